#ifndef SWEEP_H
#define SWEEP_H

struct store;

/*
 * Take away what has served its time, a little at each flush: tombstones
 * whose deletion no kept journal segment and no slow copier can bring back
 * (twice journal_keep old), and files of idempotency records older than
 * their keep.  Called by the flush's thread only; blocks.  What fails is
 * logged and tried at the next flush.
 */
void	 sweep(struct store *);

#endif /* !SWEEP_H */
