#ifndef CTL_H
#define CTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

struct conf;

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

/* What the command line said. */
struct ctl_args {
	const char	*conf_path;
	bool		 is_json;
	unsigned int	 given;		/* the long options, bits of OPT_* */
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
int	 ctl_check(const struct ctl_args *, const struct conf *);
int	 ctl_dump(const struct ctl_args *, const struct conf *);

#endif /* !CTL_H */
