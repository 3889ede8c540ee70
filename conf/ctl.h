#ifndef CTL_H
#define CTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

struct conf;
struct feed_counts;
struct store_problem;

/*
 * How rememberctl reaches the store.  Both ways take the same calls, those
 * of fcgi/admin.h, and give the same replies:
 *
 *	rememberctl --> ctl_live --> control socket --> rememberd
 *	            \-> ctl_disk --> the store's lock, the store itself
 *
 * Returns the HTTP status and sets *reply_r (new), or -1: then, if nobody
 * serves the control socket, errno is ENOENT or ECONNREFUSED and nothing was
 * said; else what is wrong was said on stderr and errno is 0.  Both block.
 */
struct ctl_call {
	const char	*method;
	const char	*path;
	const char	*body;		/* JSON, or NULL */
	size_t		 body_len;
};

int	 ctl_live(const struct conf *, const struct ctl_call *,
	    json_t **reply_r);
int	 ctl_disk(const struct conf *, const struct ctl_call *,
	    json_t **reply_r);

/* The second way, for several calls.  NULL after saying why. */
struct ctl_store;
struct ctl_store *ctl_store_open(const struct conf *);
int	 ctl_store_ask(struct ctl_store *, const struct ctl_call *,
	    json_t **reply_r);
void	 ctl_store_close(struct ctl_store *);

/*
 * Many calls, by the daemon if one answers the first, else by the store,
 * which is then held until the end.  ctl_link_new returns NULL after saying
 * why; ctl_link_ask the HTTP status, or -1 after saying why.
 */
struct ctl_link;
struct ctl_link	*ctl_link_new(const struct conf *);
int	 ctl_link_ask(struct ctl_link *, const struct ctl_call *,
	    json_t **reply_r);
/* Did a daemon answer the last call? */
bool	 ctl_link_is_live(const struct ctl_link *);
void	 ctl_link_free(struct ctl_link *);

/* What the command line said. */
struct ctl_args {
	const char	*conf_path;
	bool		 is_json;
	unsigned int	 given;		/* the long options, bits of OPT_* */
	bool		 is_forced;	/* --force, --replace */
	const char	*against;
	const char	*conversation;
	const char	*kid;
	const char	*label;
	const char	*scope;
	const char	*secret_file;
	const char	*sub;
	const char	*tenant;
	uint64_t	 ttl;		/* seconds */
	const char	*words[4];	/* behind the verb; NULL: not given */
};

/*
 * Verbs that do more than one call.  conf is NULL if a folder was named in
 * its place.  Each returns the exit status, after saying on stderr why it is
 * not 0.  All block.
 */
int	 ctl_backup(const struct ctl_args *, const struct conf *);
int	 ctl_check(const struct ctl_args *, const struct conf *);
int	 ctl_dump(const struct ctl_args *, const struct conf *);
int	 ctl_export(const struct ctl_args *, const struct conf *);
int	 ctl_import(const struct ctl_args *, const struct conf *);
int	 ctl_restore(const struct ctl_args *, const struct conf *);
int	 ctl_seal(const struct ctl_args *, const struct conf *);

/* Is the problem one of the tenant or conversation that was asked for?  Without
 * either, all are. */
bool	 ctl_concerns(const struct ctl_args *, const struct store_problem *);
/* Print what an import came to. */
void	 ctl_show_counts(const struct ctl_args *, const struct feed_counts *);

#endif /* !CTL_H */
