#ifndef FLUSH_INTERNAL_H
#define FLUSH_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "flush.h"
#include "lock.h"
#include "log.h"

/* For flush.c, the list and its thread, and flush_write.c, the documents. */

/* Documents written between two syncs of their folders. */
#define FLUSH_ROUND	256

TAILQ_HEAD(dirty_list, dirty);
TAILQ_HEAD(hold_list, flush_hold);

/*
 * Locks used to protect struct members:
 *	I	immutable after flush_start
 *	d	flush.lck
 *	w	only the flush's thread
 */
struct flush {
	struct store	*store;		/* [I] */
	int64_t		 interval_ms;	/* [I] */
	struct thread	 thread;
	bool		 is_started;	/* [I] */
	struct lock	 lck;		/* rank 17 */
	struct cond	 more;		/* [d] wanted or stop */
	struct cond	 done;		/* [d] finished moved */
	struct dirty_list list;		/* [d] */
	size_t		 n;		/* [d] of list */
	struct hold_list holds;		/* [d] */
	uint64_t	 wanted;	/* [d] passes asked for */
	uint64_t	 finished;	/* [d] of those, done */
	bool		 stop;		/* [d] */
	int		 rc;		/* [d] of the last pass */
	uint64_t	 seen;		/* [w] journal bytes at the last pass */
	struct log_told	 told;		/* [w] failures, until all is written */
	struct flush_stats stats;	/* [d] */
	int64_t		 oldest;	/* [d] least since of the list, or
					   earlier; INT64_MAX: it is empty */
	int64_t		 touched;	/* [w] ms, the lock, monotonic */
};

/* One document written in this round, its folder not yet synced. */
struct written {
	struct dirty	*dirty;
	uint64_t	 first;		/* as it was when it was taken */
	int64_t		 since;		/* so was this */
	int64_t		 once_from;	/* so was this, of DIRTY_ONCE */
	int		 folder;	/* index into round.folders, or -1 */
};

struct folder {
	struct tenant	*tenant;
	enum dirty_kind	 kind;
	int		 fd;
	bool		 is_bad;	/* its sync failed */
};

struct round {
	struct written	 v[FLUSH_ROUND];
	size_t		 n;
	struct folder	 folders[FLUSH_ROUND];
	size_t		 nfolders;
};

/* flush.c */

/* Take d off and note in w what it was marked with; its object's lock is
 * held. */
void	 flush_unmark(struct flush *, struct dirty *d, struct written *w);

/* flush_write.c; all in the flush's thread. */

/*
 * Write the document of what is dirty, which comes off the list, and fill in
 * w, a place of the round.  Returns 0 written, 1 nothing to write, -1 failed,
 * with errno set.  Blocks.
 */
int	 flush_one(struct flush *, struct round *, struct dirty *,
	    struct written *w);
/* It does not stand where it should: all that was taken is dirty again. */
void	 flush_mark_again(struct flush *, const struct written *);
/*
 * Sync and close the round's folders; what stands in one whose sync failed is
 * dirty again.  Returns 0, or -1 if any was.  Blocks.
 */
int	 flush_end_round(struct flush *, struct round *);

#endif /* !FLUSH_INTERNAL_H */
