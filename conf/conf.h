#ifndef CONF_H
#define CONF_H

#include <sys/types.h>

#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/*
 * The configuration file, checked whole: who got a struct conf need not
 * look for nonsense in it.
 *
 *	conf_load --> read only, shared by all threads --> conf_free
 *
 * rememberd.conf(5) is the manual of what stands here.
 */

/* What the file says of one tenant; the tenant itself lives in the store. */
struct conf_tenant {
	char		 *name;
	char		**allowed_origins;	/* as in the Origin header */
	size_t		  norigins;
};

struct conf {
	/* Where things are. */
	char	*store;			/* folder of the truth */
	char	*cache;			/* folder of what can be rebuilt */
	char	*socket;		/* FastCGI, for nginx */
	mode_t	 socket_mode;		/* of the above */
	char	*control_socket;	/* for rememberctl, 0600 */
	char	*jwt_secret_file;	/* NULL: no operator-wide secret */

	/* Threads. */
	unsigned int	 workers;	/* event loops */
	unsigned int	 helpers;	/* threads for what may block */

	/* The journal and the flush. */
	uint64_t	 flush_interval;	/* milliseconds */
	uint64_t	 journal_keep;		/* milliseconds */
	uint64_t	 journal_limit;		/* bytes */
	uint64_t	 journal_segment;	/* bytes */
	uint64_t	 disk_reserve;		/* bytes */
	bool		 strict_recovery;	/* refuse to start on damage */

	/* What a client may ask for. */
	uint64_t	 max_body;		/* bytes */
	uint64_t	 max_item;		/* bytes, at most max_body */
	unsigned int	 max_items_per_request;
	unsigned int	 once_limit;		/* keys a conversation */
	uint64_t	 request_timeout;	/* milliseconds */

	int		 log_level;		/* enum log_level */

	struct conf_tenant	*tenants;	/* in order of name */
	size_t			 ntenants;
};

/* The file that is read when nobody names another. */
#define CONF_DEFAULT	SYSCONFDIR "/rememberd.conf"

/*
 * Read the file path and set *conf_r to what it says (new; conf_free it).
 * Returns 0, or -1 after one line on stderr: "FILE:LINE: what is wrong: what
 * was expected".  Blocks on the disk.  One thread at a time: libconfuse's
 * lexer is global.
 */
int	 conf_load(const char *path, struct conf **conf_r);

/* Free it; NULL is fine. */
void	 conf_free(struct conf *);

/*
 * What the file says of the tenant name: borrowed, or NULL when it says
 * nothing.
 */
const struct conf_tenant	*conf_tenant(const struct conf *,
	    const char *name);

/*
 * Write what is in force to fp, each option on a line, so that conf_load
 * would read it back.
 */
void	 conf_print(const struct conf *, FILE *fp);

/* "30d" to milliseconds; digits alone are seconds.  0, or -1. */
int	 conf_duration(const char *, uint64_t *ms_r);

/*
 * Read a secret: all bytes of the file path ("-" is stdin) but one newline
 * at its end.  Sets *secret_r (new, with a NUL behind it; wipe and free it)
 * and *len_r.  Returns 0, or -1 after one line on stderr: not readable,
 * empty, or over 512 bytes.  Blocks.
 */
int	 conf_secret(const char *path, char **secret_r, size_t *len_r);

#endif /* !CONF_H */
