#ifndef FLUSH_H
#define FLUSH_H

#include <bsd/sys/queue.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "histogram.h"

/*
 * The flush writes what changed since the last one.
 *
 *	timer: flush > take the dirty list > each: lock, encode, unlock
 *	       > wait until its lsn is durable > temp file, fsync, rename
 *	       > fsync of its folder > retire journal segments
 *
 * Whatever has a document embeds a struct dirty.  The append to the journal
 * and the mark are one step under the flush's own lock, so that every lsn
 * below the least mark, or below the journal's next where nothing is marked,
 * stands in a document.
 *
 * What cannot be written stays dirty, holds its part of the journal and is
 * tried again, after 1 s, 2 s and so on up to a minute, and whenever somebody
 * asks for a pass; the others are written meanwhile.  The log has a line when
 * documents begin to fail, and one when all are written again.  A document
 * that met a full disk is tried once more with the space of the journal's
 * spare.  While the journal is broken, what has changes that are not durable
 * just stays dirty.
 */
struct store;
struct flush;

enum dirty_kind { DIRTY_CONVERSATION, DIRTY_TENANT, DIRTY_ONCE };

struct dirty {
	TAILQ_ENTRY(dirty) link;	/* [d] */
	enum dirty_kind	 kind;		/* [I] */
	bool		 is_listed;	/* [d] */
	uint8_t		 failures;	/* [w] in a row */
	uint64_t	 first;		/* [d] least lsn not yet written */
	int64_t		 since;		/* [d] monotonic ms, of that */
	int64_t		 retry_at;	/* [w] not before, if it failed */
};

/* What has no document yet, but needs the journal from lsn on; 0: nothing. */
struct flush_hold {
	TAILQ_ENTRY(flush_hold) link;	/* [d] */
	uint64_t	 lsn;		/* [d] */
};

/* A new flush with nothing to do and no thread yet, or NULL. */
struct flush	*flush_new(struct store *);
void		 flush_free(struct flush *);
/* Start its thread, a pass every interval_ms.  0, or -1 with errno set. */
int	 flush_start(struct flush *, int64_t interval_ms);
/* Make a last pass and stop the thread.  Returns 0, or -1 if something
 * stayed dirty.  Blocks. */
int	 flush_stop(struct flush *);

/*
 * The one step: flush_enter, journal_append, flush_mark for all that the
 * change touched, flush_leave.  Call with the locks of those held.
 */
void	 flush_enter(struct flush *);
void	 flush_mark(struct flush *, struct dirty *, uint64_t lsn);
void	 flush_leave(struct flush *);

/*
 * Keep the journal from lsn on, between flush_enter and flush_leave; one that
 * holds already holds from where it did.  flush_release, which takes rank 17,
 * ends it; of one that does not hold it does nothing.
 */
void	 flush_hold(struct flush *, struct flush_hold *, uint64_t lsn);
void	 flush_release(struct flush *, struct flush_hold *);

/*
 * Take d off, listed or not: its object goes, and what takes its place is to
 * be marked with the result, the lesser of lsn and d's own.  Before the
 * thread runs.
 */
uint64_t flush_forget(struct flush *, struct dirty *d, uint64_t lsn);

/* Is it listed?  Rank 17 is taken. */
bool	 flush_is_marked(struct flush *, const struct dirty *);

/* Make a pass now and return when it is done: 0, or -1 if something stayed
 * dirty.  Blocks. */
int	 flush_now(struct flush *);
/* Ask the thread for a pass, which begins within a second unless another is
 * under way.  Any thread, any lock below 17. */
void	 flush_soon(struct flush *);
/* How many documents are dirty? */
size_t	 flush_count(struct flush *);

/* Figures for metrics, since the start. */
struct flush_stats {
	struct histogram duration_ms;	/* of all passes */
	uint64_t	 written;	/* documents */
	uint64_t	 failed;	/* passes that left something dirty */
	int64_t		 ok_at;		/* when the last ended that left
					   nothing; ms since the epoch, or 0 */
	size_t		 dirty;		/* documents, now */
	size_t		 failing;	/* of those, that cannot be written */
	uint64_t	 failures;	/* tries of such */
	int64_t		 lag_ms;	/* since the oldest change that stands
					   in no document, as of the last pass;
					   0: none */
};
void	 flush_stats(struct flush *, struct flush_stats *);

#endif /* !FLUSH_H */
