#ifndef TALLY_H
#define TALLY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "request.h"
#include "store/histogram.h"

/*
 * What the workers count, for /metrics.  Each worker adds to its own tally and
 * to no other's, without a lock or an atomic addition; who reads sums them up
 * meanwhile (see histogram.h).
 *
 *	exchange begins, in_hand[state] --> answered whole: requests
 *	                                --> else: dropped
 */

/* Rows of route.c's table and methods of request.h; 0 is no route at all. */
#define TALLY_ROUTES	32
#define TALLY_METHODS	8
/* Statuses that reply.c gives, and one for any other. */
#define TALLY_STATUSES	24
/* enum exchange_state of worker_internal.h. */
#define TALLY_STATES	6

/* Why a change was refused, or came to an end that nobody knows. */
enum refusal {
	REFUSED_BUSY,		/* the journal, or memory being filled */
	REFUSED_CONFLICT,	/* an id, or a key with another body */
	REFUSED_DAMAGED,
	REFUSED_DISK_FULL,
	REFUSED_FORBIDDEN,	/* no key or token, or not enough of one */
	REFUSED_INVALID,
	REFUSED_JOURNAL_BROKEN,
	REFUSED_MEMORY,
	REFUSED_NOT_FOUND,
	REFUSED_OUTCOME_UNKNOWN,
	REFUSED_PRECONDITION,
	REFUSED_RATE,
	REFUSED_TIMEOUT,
	REFUSED_TOO_LARGE,
	REFUSALS
};

/* Why nobody is accepted for a while. */
enum pause { PAUSE_CONNECTIONS, PAUSE_DESCRIPTORS, PAUSES };

struct tally {
	uint64_t	 in_hand[TALLY_STATES];	/* requests, at present */
	uint64_t	 dropped;	/* not answered: the client went away */
	uint64_t	 refused[REFUSALS];
	uint64_t	 accepted;
	uint64_t	 open;		/* connections, at present */
	uint64_t	 pauses[PAUSES];
	uint64_t	 received;	/* bytes */
	uint64_t	 sent;		/* bytes */
	uint64_t	 requests[TALLY_ROUTES][TALLY_METHODS][TALLY_STATUSES];
	struct histogram duration_us[TALLY_ROUTES][TALLY_METHODS];
};

struct tallies {
	atomic_bool	 is_stopping;	/* the daemon is */
	unsigned int	 n;
	struct tally	*v;		/* one a worker */
};

/* For n workers (new), all zero; or NULL. */
struct tallies	*tallies_new(unsigned int n);
void		 tallies_free(struct tallies *);

/* A request was answered whole after so many microseconds.  code: of the
 * error's object, or NULL.  In the thread of that worker. */
void	 tally_answered(struct tally *, const struct request *, int status,
	    const char *code, int64_t us);

/* One less; counter_add is one more. */
static inline void
tally_less(uint64_t *gauge)
{
	counter_add(gauge, UINT64_MAX);
}

#endif /* !TALLY_H */
