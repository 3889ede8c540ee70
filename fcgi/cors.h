#ifndef CORS_H
#define CORS_H

#include <stdbool.h>

#include "reply.h"
#include "request.h"

/*
 * Pages of other origins, as the tenants' allowed_origins in the configuration
 * have it; off where a tenant names none.  A browser's question before the
 * request comes without a token, so it is answered for what any tenant allows;
 * the request itself for what its own tenant allows, once that is known.
 */

/* Is this a browser asking whether it may ask (Access-Control-Request-…)? */
bool	 cors_is_preflight(const struct request *);
/* Add what a preflight is told besides cors_lines to the reply of an OPTIONS
 * request; nothing if no tenant allows the origin.  allow lists the methods. */
void	 cors_preflight(const struct request *, struct reply *,
	    const char *allow);
/*
 * Append the header lines that the caller's tenant gives to every reply.  To a
 * caller who is not known, any tenant's: a page whose token has expired must
 * be able to see that 401, which tells of nobody.
 */
void	 cors_lines(const struct request *, struct buf *out);

#endif /* !CORS_H */
