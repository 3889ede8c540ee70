#ifndef ROUTE_H
#define ROUTE_H

#include "api.h"

/*
 * Find the row of the route table that method and path name, answer what
 * needs no handler (404, 405 with Allow, OPTIONS and the CORS headers,
 * 401, 403), else call the handler.  HEAD runs the GET row.  Sets
 * request.route.  Never blocks.
 */
enum api_verdict	 route_dispatch(struct request *, struct reply *);

/* Does its handler wait for the disk, so that no loop may run it? */
bool			 route_blocks(const struct request *);

/*
 * The pattern of request.route, such as "/v1/conversations/{}": the paths that
 * it fits are one to who counts them.  NULL beyond the last; 0, for what fits
 * none, is "".  *methods_r: what it takes, as enum method; 0 for a number that
 * no request has, as another has that pattern.
 */
const char		*route_pattern(unsigned int route,
			    unsigned int *methods_r);

#endif /* !ROUTE_H */
