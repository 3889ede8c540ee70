#ifndef JOURNAL_INTERNAL_H
#define JOURNAL_INTERNAL_H

#include <stdatomic.h>

#include <bsd/sys/queue.h>

#include "buf.h"
#include "id.h"
#include "lock.h"
#include "log.h"
#include "segment.h"

#include "journal.h"

/*
 * For journal.c, journal_writer.c (the committer), journal_spare.c (the
 * segment made ahead of need) and journal_retire.c (the end of segments) alone.
 */

/* Records whose lsns follow each other; written as one batch of a segment. */
struct run {
	uint64_t	 first;
	uint64_t	 count;
	size_t		 end;		/* of its records in batch.bytes */
};

/* What is appended while the last batch is synced: mostly one run. */
struct batch {
	struct buf	 bytes;
	struct run	*runs;
	size_t		 nruns;
	size_t		 size;		/* of the array */
	int64_t		 since;		/* of its first append, monotonic ms */
};

/* A segment file that was not retired yet. */
struct kept {
	TAILQ_ENTRY(kept) entry;
	char		 name[SEGMENT_NAME];
	uint64_t	 first;		/* lowest lsn in it; 0: no batch yet */
	int64_t		 at;		/* ms, of its first batch; 0: none */
	uint64_t	 last;		/* highest lsn in it; 0: no batch yet */
	size_t		 bytes;		/* used of it */
	size_t		 size;		/* of the file */
	int64_t		 covered_at;	/* since when all of it stands in
					 * documents, monotonic ms; or -1 */
};
TAILQ_HEAD(kept_list, kept);

struct journal_waiter {
	LIST_ENTRY(journal_waiter) entry;
	int		 efd;
	uint64_t	 wanted;	/* UINT64_MAX: no lsn */
	bool		 wants_any;
};
LIST_HEAD(waiter_list, journal_waiter);

/*
 * The next segment, made ahead of need.
 *
 *	due -> is_making -> segment != NULL --taken--> due at once
 *	            |                        --given--> due when the pass ends
 *	            +-- fails --> error != 0, due after a back-off
 */
struct spare {
	struct thread	 thread;	/* [I] */
	struct cond	 wake;		/* [m] for the thread: look again */
	struct cond	 made;		/* [m] is_making ended */
	struct segment	*segment;	/* [m] NULL: there is none */
	bool		 is_making;	/* [m] a segment's file is being made */
	bool		 is_given;	/* [m] its space is the flush's now */
	bool		 is_tried;	/* [m] the last file that was to be
					 * made was begun: there was room */
	int		 error;		/* [m] 0, or why there is none */
	int64_t		 due;		/* [m] not before; monotonic ms */
	int64_t		 backoff;	/* [m] ms; 0: the last try succeeded */
};

/*
 * Locks used to protect struct members:
 *	I	immutable after creation
 *	m	journal.lck
 *	w	only the committer
 *	mw	written by the committer under journal.lck: it may read them
 *		without
 *
 * Definitions.  A record is pending from its append until its batch's
 * fdatasync returned 0.  The runs of draining from `done` on and all runs of
 * filling are what is pending, in the order of their lsns.  A batch whose
 * last run is done is emptied at once.
 *
 * Invariants, whenever lck is free:
 *	1  durable + 1 is the lowest pending lsn, or next if none is.
 *	2  Every lsn of draining is lower than every lsn of filling, and that
 *	   lower than next.
 *	3  error != 0: nothing is appended.
 *	4  kept is in the order of making; the open segment is its last.
 *	5  The open segment's name is newest; the spare's sorts behind it
 *	   (name_order_note in journal_spare.c).
 */
struct journal {
	int		 dirfd;		/* [I] borrowed */
	char		 store_id[ID_SIZE];	/* [I] */
	size_t		 segment_size;	/* [I] */
	size_t		 batch_max;	/* [I] */
	size_t		 reserve;	/* [I] */
	struct thread	 committer;	/* [I] */

	struct lock	 lck;		/* rank 20 */
	struct cond	 more;		/* [m] filling is not empty, or stop */
	struct cond	 moved;		/* [m] durable or error changed */
	struct batch	 batches[2];
	struct batch	*filling;	/* [m] appends go here */
	struct batch	*draining;	/* [mw] on its way to the disk */
	size_t		 done;		/* [mw] runs of it that are durable */
	uint64_t	 next;		/* [m] lsn of the next append */
	bool		 stop;		/* [m] */
	struct waiter_list waiters;	/* [m] */
	struct kept_list kept;		/* [m] */
	struct kept	*open;		/* [mw] that of segment, or NULL */
	struct segment	*segment;	/* [w] NULL after a failure */
	char		 newest[SEGMENT_NAME];	/* [m] of what was open last */
	struct spare	 spare;
	uint64_t	 rotate;	/* [m] rotations asked for */
	uint64_t	 rotated;	/* [m] of those, tried */
	int		 rotate_error;	/* [m] of the last */
	bool		 is_short;	/* [m] less is free than the reserve */
	struct log_told	 told;		/* segments that cannot be removed; of
					 * the caller of journal_retire */
	int64_t		 keep_ms;	/* [m] how long a copy may take now */
	bool		 has_told;	/* [m] the log says that the disk
					 * hangs */
	struct journal_stats stats;	/* [m] what is only counted */

	/* Written under lck; read by anybody. */
	_Atomic uint64_t durable;
	_Atomic int	 error;		/* 0, or why the journal is BROKEN */
	_Atomic uint64_t late;		/* highest lsn of journal_late */
};

/* The lowest lsn that is not durable, or the next to be given.  Call with lck
 * held. */
uint64_t journal_first_pending(const struct journal *);

/* Check the invariants.  Call with lck held. */
void	 journal_assert_state(struct journal *);

/*
 * Set durable from what is pending and tell who waits for it.  Call with lck
 * held.
 */
void	 journal_publish(struct journal *);

/*
 * Write to the eventfds of those whose wish came true; if the state changed,
 * of all who wish for anything.  Call with lck held.
 */
void	 journal_notify(struct journal *, bool is_state_change);

/* Is what was told of a disk that hangs over?  Then it is to be logged, by
 * journal_tell_end.  Call with lck held. */
bool	 journal_hang_ends(struct journal *);
void	 journal_tell_end(void);

/* For want of space? */
bool	 journal_is_space_error(int error);

/* The committer: runs until stop. */
void	 journal_writer_main(void *journal);
/* Begin a segment for lsns from first on.  Returns 0, or -1 with errno. */
int	 journal_writer_open(struct journal *, uint64_t first);
/* Close the segment, if there is one.  Keeps errno. */
void	 journal_writer_close(struct journal *);

/* Say how long a copy may take, until journal_retire does; blocks. */
void	 journal_retire_init(struct journal *);

void	 journal_spare_init(struct journal *);
/* Start the thread, which makes the first spare somewhat later. */
int	 journal_spare_start(struct journal *);
/* End the thread; after stop. */
void	 journal_spare_stop(struct journal *);
/* Free all but the thread; a spare that is there is removed. */
void	 journal_spare_fini(struct journal *);
/*
 * A segment for lsns from first on: the spare, waited for if it is being
 * made, else a small one made now, a smaller one where room is short.  Returns
 * 0 and *seg_r (new), or -1 with errno set.  Only the committer, or before it
 * runs.  Blocks; call without a lock.
 */
int	 journal_spare_take(struct journal *, uint64_t first,
	    struct segment **seg_r);
/* Let one that is wanted be made now, whatever it waits for.  Call with lck
 * held. */
void	 journal_spare_hurry(struct journal *);
/* The flush needs its space no more, and may have made some. */
void	 journal_spare_release(struct journal *, bool is_freed);

#endif /* !JOURNAL_INTERNAL_H */
