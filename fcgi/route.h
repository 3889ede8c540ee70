#ifndef ROUTE_H
#define ROUTE_H

#include "api.h"

/*
 * Find the row of the route table that method and path name, answer what
 * needs no handler (404, 405 with Allow, OPTIONS and the CORS headers,
 * 401, 403), else call the handler.  HEAD runs the GET row.  Never blocks.
 */
enum api_verdict	 route_dispatch(struct request *, struct reply *);

#endif /* !ROUTE_H */
