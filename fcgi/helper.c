#include <sys/eventfd.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "helper.h"
#include "store/lock.h"

/*
 * Locks used to protect struct members:
 *	I	immutable after creation
 *	q	helper.lck
 *	b	helper_box.lck
 */
struct helper {
	struct lock		 lck;		/* rank LOCK_HELPER */
	struct cond		 more;		/* [q] a job, or is_ending */
	struct helper_jobs	 queue;		/* [q] */
	size_t			 queued;	/* [q] */
	bool			 is_ending;	/* [q] */
	size_t			 max;		/* [I] */
	unsigned int		 nthreads;	/* [I] those that started */
	struct thread		*threads;	/* [I] */
};

struct helper_box {
	struct lock		 lck;		/* rank LOCK_WORKER */
	struct helper_jobs	 jobs;		/* [b] came back */
	int			 efd;		/* [I] */
};

struct helper_box *
helper_box_new(int efd)
{
	struct helper_box *box;

	if ((box = malloc(sizeof(*box))) == NULL)
		return (NULL);
	lock_init(&box->lck, LOCK_WORKER);
	STAILQ_INIT(&box->jobs);
	box->efd = efd;
	return (box);
}

void
helper_box_free(struct helper_box *box)
{
	if (box == NULL)
		return;
	lock_fini(&box->lck);
	free(box);
}

void
helper_box_take(struct helper_box *box, struct helper_jobs *jobs)
{
	lock_take(&box->lck);
	STAILQ_CONCAT(jobs, &box->jobs);
	lock_give(&box->lck);
}

static void
box_put(struct helper_box *box, struct helper_job *job)
{
	lock_take(&box->lck);
	STAILQ_INSERT_TAIL(&box->jobs, job, entry);
	lock_give(&box->lck);
	/* It fails only when the counter is full: then the loop will wake. */
	(void)eventfd_write(box->efd, 1);
}

/* The next job, or NULL when the pool is ending. */
static struct helper_job *
next_job(struct helper *h)
{
	struct helper_job *job = NULL;

	lock_take(&h->lck);
	while (STAILQ_EMPTY(&h->queue) && !h->is_ending)
		cond_wait(&h->more, &h->lck);
	if (!h->is_ending) {
		job = STAILQ_FIRST(&h->queue);
		STAILQ_REMOVE_HEAD(&h->queue, entry);
		h->queued--;
	}
	lock_give(&h->lck);
	return (job);
}

static void
help(void *arg)
{
	struct helper *h = arg;
	struct helper_job *job;

	while ((job = next_job(h)) != NULL) {
		job->run(job);
		box_put(job->box, job);
	}
}

struct helper *
helper_new(unsigned int nthreads, size_t max)
{
	struct helper *h;
	int saved;

	if ((h = calloc(1, sizeof(*h))) == NULL)
		return (NULL);
	lock_init(&h->lck, LOCK_HELPER);
	cond_init(&h->more);
	STAILQ_INIT(&h->queue);
	h->max = max;
	if ((h->threads = calloc(nthreads, sizeof(*h->threads))) == NULL)
		goto fail;
	for (; h->nthreads < nthreads; h->nthreads++)
		if (thread_start(&h->threads[h->nthreads], "helper", help,
		    h) == -1)
			goto fail;
	return (h);

fail:
	saved = errno;
	helper_free(h);
	errno = saved;
	return (NULL);
}

void
helper_free(struct helper *h)
{
	struct helper_job *job;
	unsigned int i;

	if (h == NULL)
		return;
	lock_take(&h->lck);
	h->is_ending = true;
	cond_broadcast(&h->more);
	lock_give(&h->lck);
	for (i = 0; i < h->nthreads; i++)
		thread_join(&h->threads[i]);

	while ((job = STAILQ_FIRST(&h->queue)) != NULL) {
		STAILQ_REMOVE_HEAD(&h->queue, entry);
		box_put(job->box, job);
	}
	cond_fini(&h->more);
	lock_fini(&h->lck);
	free(h->threads);
	free(h);
}

size_t
helper_queued(struct helper *h)
{
	size_t n;

	lock_take(&h->lck);
	n = h->queued;
	lock_give(&h->lck);
	return (n);
}

int
helper_run(struct helper *h, struct helper_job *job)
{
	bool is_full;

	lock_take(&h->lck);
	if (!(is_full = h->queued >= h->max)) {
		STAILQ_INSERT_TAIL(&h->queue, job, entry);
		h->queued++;
		cond_signal(&h->more);
	}
	lock_give(&h->lck);
	if (is_full) {
		errno = EAGAIN;
		return (-1);
	}
	return (0);
}
