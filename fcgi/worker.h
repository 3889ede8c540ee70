#ifndef WORKER_H
#define WORKER_H

#include <stdint.h>

#include "helper.h"
#include "request.h"

/*
 * The pool of event loops.  Each worker thread has its own connections, taken
 * from listeners that all share, and never blocks: what has to wait is parked.
 *
 *	accept -> read -> (whole) dispatch -> DONE -> durable? -> write -> read
 *	                     ^    |    |              |     ^
 *	                     |  BUSY  COLD            v     |
 *	                     +----+----+            parked--+
 *	                 journal moved, helper is done
 */
struct workers;

struct workers_options {
	const struct edge *edge;	/* borrowed; its tallies are for n */
	struct helper	*helper;	/* borrowed */
	unsigned int	 n;
	int		 public_fd;	/* listeners, non-blocking, borrowed */
	int		 control_fd;
	unsigned int	 max_conns;	/* of all workers together */
	int64_t		 stop_ms;	/* how long a stop waits for replies */
};

/* Start them.  Returns them (new), or NULL after logging why. */
struct workers	*workers_start(const struct workers_options *);
/*
 * Stop accepting, answer what was taken in, close, join.  Blocks, at most
 * stop_ms and a little.
 */
void		 workers_stop(struct workers *);
/* Free what helper threads may have used: after helper_free. */
void		 workers_free(struct workers *);

#endif /* !WORKER_H */
