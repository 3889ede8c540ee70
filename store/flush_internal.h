#ifndef FLUSH_INTERNAL_H
#define FLUSH_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "flush.h"
#include "lock.h"
#include "log.h"

/*
 * For flush.c, the list, flush_pass.c, the thread and its passes, and
 * flush_write.c, the documents.
 */

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
	int64_t		 oldest;	/* [d] least since of the list, or
					   earlier; INT64_MAX: it is empty */
	struct flush_stats stats;	/* [d] all but dirty and lag_ms */
	struct log_told	 told;		/* [w] failures, until all is written */
	int64_t		 touched;	/* [w] ms, the lock, monotonic */
	uint64_t	 seen;		/* [w] journal bytes at the last pass */
	/* Monotonic ms, not before: */
	int64_t		 due;		/* [w] the next pass */
	int64_t		 retry_at;	/* [w] the next of what failed */
	int64_t		 relieve_at;	/* [w] a pass that may make space */
};

/* What is visited in a pass. */
enum pass_kind {
	PASS_ALL,		/* somebody asked, or it is the last */
	PASS_DUE,		/* all but what failed and waits */
	PASS_RETRY		/* only what failed and has waited */
};

/* What became of one document. */
enum flushed {
	FLUSHED_WRITTEN,	/* its folder is to be synced */
	FLUSHED_NOTHING,	/* there was nothing to write */
	FLUSHED_FAILED,		/* with errno set */
	FLUSHED_LATER		/* the broken journal lacks some of it */
};

/* One document written in this round, its folder not yet synced. */
struct written {
	struct dirty	*dirty;
	uint64_t	 first;		/* as it was when it was taken */
	int64_t		 since;		/* so was this, */
	int64_t		 once_from;	/* and this, of DIRTY_ONCE */
	int		 folder;	/* index into round.folders, or -1 */
	bool		 is_bad;	/* that could not be synced */
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

/* Take d off, noted in w; its object's lock is held. */
void	 flush_unmark(struct flush *, struct dirty *, struct written *w);
/* The first on the list, left there; NULL: it is empty. */
struct dirty	*flush_first(struct flush *);
/* Put d, which is listed, behind all others. */
void	 flush_postpone(struct flush *, struct dirty *);
/* The list and its count tell the same.  Call with lck held. */
void	 flush_assert_state(const struct flush *);

/* flush_pass.c */

/* The thread: a pass whenever one is due, until stop and once more. */
void	 flush_main(void *flush);
/* It could not be written: count that, and see when it is tried again. */
void	 flush_failed(struct flush *, struct dirty *);

/* flush_write.c; all in the flush's thread. */

/*
 * Write the document of what is dirty, which comes off the list, and fill in
 * w, a place of the round; FLUSHED_FAILED is counted and logged.  What is for
 * later, or failed, is dirty again.  Blocks.
 */
enum flushed	 flush_one(struct flush *, struct round *, struct dirty *,
		    struct written *w);
/*
 * Sync and close the round's folders; what stands in one whose sync failed is
 * dirty again.  Returns 0, or -1 if any was.  Blocks.
 */
int	 flush_end_round(struct flush *, struct round *);

#endif /* !FLUSH_INTERNAL_H */
