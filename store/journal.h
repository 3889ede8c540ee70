#ifndef JOURNAL_H
#define JOURNAL_H

#include <sys/uio.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "histogram.h"
#include "segment.h"

/*
 * The journal makes a change durable before its client hears of success.
 *
 *	journal_append --> filling --swap--> draining --> write, fdatasync
 *	worker loops (eventfd) <-- journal_notify <-- durable moves up
 *
 * One fdatasync serves every append that arrived while the last one ran; no
 * delay is ever added to make batches larger.
 *
 *	OPEN   --journal_close--> CLOSED
 *	OPEN   --write or fdatasync fails, and in a fresh segment too--> BROKEN
 *	BROKEN --pending records synced in a fresh segment--> OPEN
 *	BROKEN --journal_close, after a last try--> CLOSED
 *
 * A segment that failed is never written or synced again: nobody knows what
 * its tail holds until replay reads it.  What is pending is written from
 * memory and under the same lsns into a fresh segment, at once, and nobody
 * hears of it if that succeeds; else the journal is BROKEN and the committer
 * tries again every second.
 *
 * A fresh segment is mostly the spare: one made ahead of need, whole, by a
 * thread of its own.  The one that journal_open makes is small, so that a
 * start is quick; the first spare is begun when a quarter of that is used or
 * after a second, whichever is first, so that who starts and ends often does
 * not write zeros each time.  A spare that cannot be made is tried again from
 * once a second to once in ten; until then the committer makes small segments
 * when it needs them, down to 32 KiB where room is short.  Nothing is begun
 * that the disk says it has no room for, and that it is asked each second.
 *
 * A full disk is met where the spare is made, before a batch is accepted: from
 * then on ordinary changes are refused when three quarters of the open segment
 * are used, and what is essential may use the rest.  The spare itself is what
 * documents are written with on a full disk (journal_give_reserve).  All of
 * that ends by itself when a spare can be made.
 */
struct journal;

struct journal_options {
	const char	*store_id;
	uint64_t	 next;		/* lsn of the next record, >= 1 */
	size_t		 segment_size;	/* bytes of a spare; a batch that does
					 * not fit into the rest begins a new
					 * segment */
	size_t		 batch_max;	/* bytes of appends in one batch */
	size_t		 reserve;	/* bytes of the disk; with less free,
					 * segments go before their time */
};

/*
 * Open the journal in folder dirfd (borrowed, must stay open), begin a fresh
 * segment there and start the threads.  Every record below next counts as
 * durable.  Returns 0 and *j_r (new), or -1 with errno set.  Blocks.
 */
int	 journal_open(int dirfd, const struct journal_options *,
	    struct journal **j_r);

/* Write and sync what was appended, stop the threads, remove the spare, free.
 * Returns 0, or
 * -1 with errno set if something appended did not become durable.  Blocks. */
int	 journal_close(struct journal *);

/*
 * May len bytes more be appended now?  0, or an errno: ENOBUFS (the batch
 * that is filling is full; call again after the next notification), ENOSPC
 * (no spare for want of space, and the rest is left for what is_essential, or
 * used up), EIO, ENOSPC, EROFS and so on (BROKEN, and why).  Essential is what
 * makes room or takes a right away.  Ask before taking a lock: journal_append
 * itself never refuses for want of room.  Never blocks on the disk.
 */
int	 journal_room(struct journal *, size_t len, bool is_essential);

/*
 * Copy the record in iov (one line of JSON with its newline) into the batch
 * that is filling and set *lsn_r to its number.  Numbers rise by one.  Call
 * with the conversation's (or tenant's) lock held, so that the journal's
 * order is memory's order.  Never blocks on the disk.  Returns 0, or -1 with
 * errno set to ENOMEM or to why the journal is BROKEN: then nothing was
 * appended and no number was used.
 */
int	 journal_append(struct journal *, const struct iovec *iov, int iovcnt,
	    uint64_t *lsn_r);

/*
 * Let no lsn up to lsn be given any more: a document that was loaded holds
 * it.  Numbers left out count as durable once all before them are.  Blocks
 * until that is so (for what was appended before), or the journal is BROKEN;
 * no later append gets such a number in either case.  Not for worker loops;
 * call without a lock.
 */
void	 journal_raise(struct journal *, uint64_t lsn);

/*
 * Is there no spare for want of space?  Ordinary changes are refused then, or
 * will be soon: when three quarters of the open segment are used, the larger
 * ones first.
 */
bool	 journal_is_full(struct journal *);

/* The lsn that the next append will get at the earliest. */
uint64_t journal_next(struct journal *);
/* Every lsn up to this is on stable storage.  One atomic load. */
uint64_t journal_durable(struct journal *);
/* 0 while OPEN, else the errno that broke it.  One atomic load. */
int	 journal_error(struct journal *);
/*
 * Somebody waited for lsn for as long as anybody may: unless it is durable by
 * now or the journal BROKEN, the disk hangs.  The first is logged, and the end.
 * Call without a lock.
 */
void	 journal_late(struct journal *, uint64_t lsn);
/* Is there an lsn that came late and is not durable yet?  Two atomic loads. */
bool	 journal_hangs(struct journal *);

/*
 * Block until lsn is durable.  Returns 0, or -1 with errno set if the journal
 * is BROKEN before that.  Not for worker loops; call without a lock.
 */
int	 journal_wait(struct journal *, uint64_t lsn);

/*
 * Close the open segment and begin a fresh one, unless it holds no batch: on
 * success all that was durable at the call stands in segments that are closed
 * and will never change, those whose names sort before journal_stats.open.
 * (The spare sorts behind it.)  Returns 0, or -1 with errno set: ENOSPC if the
 * rest of the open one is the reserve, why the journal is BROKEN, or why no
 * fresh one could be made, which the next append tries again.  Blocks; call
 * without a lock.
 */
int	 journal_rotate(struct journal *);

/*
 * Who wants to hear of progress.  The committer writes 8 bytes to efd (an
 * eventfd, borrowed) when durable reaches `wanted`, when the journal breaks
 * or recovers, and when room appears after ENOBUFS, once after each
 * journal_want.
 */
struct journal_waiter;
int	 journal_subscribe(struct journal *, int efd,
	    struct journal_waiter **w_r);
void	 journal_unsubscribe(struct journal *, struct journal_waiter *);
/*
 * Ask for a notification as soon as lsn is durable (UINT64_MAX: as soon as
 * anything changes).  The least of several calls counts.  If it is durable
 * already, or the journal is BROKEN before that, efd is written at once
 * (UINT64_MAX waits for a change all the same).  Any thread; cheap; takes
 * rank 20.
 */
void	 journal_want(struct journal *, struct journal_waiter *, uint64_t lsn);

/*
 * Every record below lsn stands in a document.  Segments that hold only such
 * records are removed keep_ms after the first call that said so, strictly
 * oldest first, never the one being written; while less than the reserve is
 * free, before that time.  What cannot be removed is logged and tried at the
 * next call.  Called at the end of each pass of the flush, by one thread at a
 * time; blocks.
 */
void	 journal_retire(struct journal *, uint64_t lsn, int64_t keep_ms);
/*
 * A document met a full disk: remove the spare, so that it can be written.
 * Returns true if there was one.  Until the next journal_retire none is made.
 * Blocks; call without a lock.
 */
bool	 journal_give_reserve(struct journal *);
/*
 * Tell of a segment found at start, as segment_read saw it, so that
 * journal_retire can remove it.  In the order of the names; before any
 * append.  Returns 0, or -1 with errno set to ENOMEM.
 */
int	 journal_adopt(struct journal *, const char *name,
	    const struct segment_report *);

/* Figures for metrics, since the start. */
struct journal_stats {
	uint64_t	 records;
	uint64_t	 batches;
	uint64_t	 bytes;
	struct histogram sync_us;	/* what each batch's fdatasync took */
	struct histogram batch_records;	/* records of each batch */
	int		 reserve_error;	/* 0: the spare is there; EAGAIN: it is
					 * made soon; else why it cannot be */
	size_t		 segments;	/* files there now, the spare left
					 * out */
	size_t		 kept_bytes;	/* of those files */
	uint64_t	 oldest_lsn;	/* in those files, */
	uint64_t	 newest_lsn;	/* and the newest; 0: no record */
	int64_t		 oldest_ms;	/* since the oldest was written; 0 */
	int64_t		 pending_ms;	/* since the oldest that is not durable
					 * was appended; 0: none */
	int64_t		 keep_ms;	/* how long a copy may take now: what
					 * journal_retire is told (INT64_MAX
					 * before its first call), less while
					 * the disk is short of its reserve: 0
					 * if that will take what comes next */
	char		 open[SEGMENT_NAME];	/* being written, or "" */
};
void	 journal_stats(struct journal *, struct journal_stats *);

#endif /* !JOURNAL_H */
