#ifndef CTL_H
#define CTL_H

#include <stddef.h>

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

#endif /* !CTL_H */
