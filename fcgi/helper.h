#ifndef HELPER_H
#define HELPER_H

#include <bsd/sys/queue.h>
#include <stddef.h>

/*
 * Threads for what may block, so that loops never do.
 *
 *	loop --helper_run--> queue --> helper thread: job.run(job)
 *	loop <--eventfd, helper_box_take-- box <--+
 *
 * A job belongs to the pool from helper_run until helper_box_take hands it
 * back; meanwhile only its run function may touch it.
 */
struct helper;			/* the pool */
struct helper_box;		/* where a loop's jobs come back to */

struct helper_job {
	void			(*run)(struct helper_job *);
	struct helper_box	 *box;
	STAILQ_ENTRY(helper_job)  entry;	/* the pool's, or the taker's */
};
STAILQ_HEAD(helper_jobs, helper_job);

/*
 * Start nthreads threads with a queue of at most max jobs.  Returns it (new),
 * or NULL with errno set.
 */
struct helper	*helper_new(unsigned int nthreads, size_t max);
/*
 * End the threads after the jobs they are at; jobs still queued are put into
 * their boxes without having been run.  Blocks.
 */
void		 helper_free(struct helper *);

/*
 * Queue a job whose run and box are set.  Any thread; never blocks.  Returns
 * 0, or -1 with errno EAGAIN if the queue is full.
 */
int		 helper_run(struct helper *, struct helper_job *);

/* How many jobs wait for a thread? */
size_t		 helper_queued(struct helper *);

/* A box that writes to efd (an eventfd, borrowed) when a job comes back.
 * Returns it (new), or NULL. */
struct helper_box *helper_box_new(int efd);
/* Only after helper_free, and empty. */
void		 helper_box_free(struct helper_box *);
/* Move all that came back to the end of jobs.  The loop's thread. */
void		 helper_box_take(struct helper_box *, struct helper_jobs *jobs);

#endif /* !HELPER_H */
