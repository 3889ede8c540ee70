#ifndef ADMIN_H
#define ADMIN_H

#include <jansson.h>

#include "request.h"

/*
 * The operator's calls under /admin/v1, the same for the control socket (of
 * which api_admin is the handler) and for rememberctl on a closed store.
 *
 * admin_call makes one call and waits until it is durable; blocking, for
 * programs that are not a worker loop.  Returns the HTTP status and *reply_r
 * (new; never NULL but for want of memory: then 503).
 */
int	 admin_call(const struct edge *, const char *method, const char *path,
	    const char *body, size_t len, json_t **reply_r);

#endif /* !ADMIN_H */
