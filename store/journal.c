#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bsd/string.h>

#include "log.h"
#include "sys.h"

#include "journal_internal.h"

/* This part of a segment is left for deletions on a full disk. */
#define RESERVE_PART	4

uint64_t
journal_first_pending(const struct journal *j)
{
	if (j->draining->nruns > 0)
		return (j->draining->runs[j->done].first);
	if (j->filling->nruns > 0)
		return (j->filling->runs[0].first);
	return (j->next);
}

void
journal_assert_state(struct journal *j)
{
	const struct batch *f = j->filling;

	(void)f;			/* for a build without assert */
	lock_assert_held(&j->lck);
	assert(j->filling != j->draining);
	assert(j->done == 0 || j->done < j->draining->nruns);
	assert(journal_durable(j) + 1 == journal_first_pending(j));
	assert(journal_first_pending(j) <= j->next);
	assert(f->nruns == 0 || f->runs[f->nruns - 1].end == f->bytes.len);
	assert(j->open == NULL || (TAILQ_NEXT(j->open, entry) == NULL &&
	    strcmp(j->open->name, j->newest) == 0));
	assert(j->spare.segment == NULL || (!j->spare.is_making &&
	    strcmp(segment_name(j->spare.segment), j->newest) > 0));
}

void
journal_publish(struct journal *j)
{
	lock_assert_held(&j->lck);
	atomic_store_explicit(&j->durable, journal_first_pending(j) - 1,
	    memory_order_release);
	cond_broadcast(&j->moved);
	journal_notify(j, false);
	journal_assert_state(j);
}

static void
waiter_disarm(struct journal_waiter *w)
{
	w->wanted = UINT64_MAX;
	w->wants_any = false;
}

/*
 * Not by way of the table of system calls: this is no file, and a fault that
 * a test plants is meant for one.  It does not block and fails only if the
 * eventfd is full of news that nobody has read.
 */
static void
waiter_fire(struct journal_waiter *w)
{
	static const uint64_t one = 1;

	waiter_disarm(w);
	(void)!sys_real.write(w->efd, &one, sizeof(one));
}

void
journal_notify(struct journal *j, bool is_state_change)
{
	struct journal_waiter *w;
	uint64_t durable = journal_durable(j);

	lock_assert_held(&j->lck);
	LIST_FOREACH(w, &j->waiters, entry) {
		if (w->wants_any || w->wanted <= durable ||
		    (is_state_change && w->wanted != UINT64_MAX))
			waiter_fire(w);
	}
}

/* Undo journal_open but for the threads. */
static void
journal_free(struct journal *j)
{
	struct journal_waiter *w;
	struct kept *k;
	int i, error = errno;

	journal_writer_close(j);
	journal_spare_fini(j);
	while ((k = TAILQ_FIRST(&j->kept)) != NULL) {
		TAILQ_REMOVE(&j->kept, k, entry);
		free(k);
	}
	while ((w = LIST_FIRST(&j->waiters)) != NULL)
		journal_unsubscribe(j, w);
	for (i = 0; i < 2; i++) {
		buf_fini(&j->batches[i].bytes);
		free(j->batches[i].runs);
	}
	cond_fini(&j->moved);
	cond_fini(&j->more);
	lock_fini(&j->lck);
	free(j);
	errno = error;
}

/* Let it write what there is, and end it.  Keeps errno. */
static void
stop_committer(struct journal *j)
{
	int error = errno;

	lock_take(&j->lck);
	j->stop = true;
	cond_signal(&j->more);
	lock_give(&j->lck);
	thread_join(&j->committer);
	errno = error;
}

int
journal_open(int dirfd, const struct journal_options *opt,
    struct journal **j_r)
{
	struct journal *j;

	assert(opt->next > 0 && opt->batch_max > 0);
	lock_assert_none();
	if ((j = calloc(1, sizeof(*j))) == NULL)
		return (-1);
	j->dirfd = dirfd;
	strlcpy(j->store_id, opt->store_id, sizeof(j->store_id));
	j->segment_size = opt->segment_size;
	j->batch_max = opt->batch_max;
	j->reserve = opt->reserve;
	journal_retire_init(j);
	j->filling = &j->batches[0];
	j->draining = &j->batches[1];
	j->next = opt->next;
	atomic_init(&j->durable, opt->next - 1);
	atomic_init(&j->error, 0);
	atomic_init(&j->late, 0);
	TAILQ_INIT(&j->kept);
	LIST_INIT(&j->waiters);
	lock_init(&j->lck, LOCK_JOURNAL);
	cond_init(&j->more);
	cond_init(&j->moved);
	journal_spare_init(j);

	if (journal_writer_open(j, j->next) == -1)
		goto fail;
	if (thread_start(&j->committer, "committer", journal_writer_main,
	    j) == -1)
		goto fail;
	if (journal_spare_start(j) == -1)
		goto fail_committer;
	*j_r = j;
	return (0);

fail_committer:
	stop_committer(j);
fail:
	journal_free(j);
	return (-1);
}

int
journal_close(struct journal *j)
{
	int error;

	stop_committer(j);
	journal_spare_stop(j);
	error = journal_error(j);
	journal_free(j);
	if (error == 0)
		return (0);
	errno = error;
	return (-1);
}

/* Is there no spare for want of space? */
static bool
is_full(const struct journal *j)
{
	lock_assert_held(&j->lck);
	return (j->spare.segment == NULL &&
	    journal_is_space_error(j->spare.error));
}

/* Bytes that batch b still takes in a segment, headers and all. */
static size_t
batch_size(const struct batch *b, size_t done)
{
	const size_t begin = done == 0 ? 0 : b->runs[done - 1].end;

	return (b->bytes.len - begin + (b->nruns - done) * SEGMENT_BATCH);
}

/*
 * On a full disk: does the rest of the open segment take len bytes?  Of what
 * all may use a part is left for what is essential.
 */
static bool
has_rest(const struct journal *j, size_t len, bool is_essential)
{
	const struct kept *k = j->open;
	size_t need;

	if (k == NULL)
		return (false);
	need = k->bytes + batch_size(j->draining, j->done) +
	    batch_size(j->filling, 0) + SEGMENT_BATCH;
	if (!is_essential)
		need += k->size / RESERVE_PART;
	return (need <= k->size && len <= k->size - need);
}

int
journal_room(struct journal *j, size_t len, bool is_essential)
{
	const struct buf *b;
	int error;

	lock_take(&j->lck);
	b = &j->filling->bytes;
	error = journal_error(j);
	/* One that fits into no batch still gets one of its own. */
	if (error == 0 && b->len > 0 && (b->len >= j->batch_max ||
	    len > j->batch_max - b->len))
		error = ENOBUFS;
	if (error == 0 && is_full(j) && !has_rest(j, len, is_essential))
		error = ENOSPC;
	lock_give(&j->lck);
	return (error);
}

bool
journal_is_full(struct journal *j)
{
	bool yes;

	lock_take(&j->lck);
	yes = is_full(j);
	lock_give(&j->lck);
	return (yes);
}

/* The run that the record lsn belongs to, begun if need be; NULL: no memory. */
static struct run *
batch_run(struct batch *b, uint64_t lsn)
{
	struct run *runs, *run = NULL;
	size_t size;

	if (b->nruns > 0)
		run = &b->runs[b->nruns - 1];
	if (run != NULL && run->first + run->count == lsn)
		return (run);
	if (b->nruns == b->size) {
		size = b->size == 0 ? 4 : 2 * b->size;
		runs = reallocarray(b->runs, size, sizeof(*runs));
		if (runs == NULL)
			return (NULL);
		b->runs = runs;
		b->size = size;
	}
	run = &b->runs[b->nruns++];
	*run = (struct run){ .first = lsn, .end = b->bytes.len };
	return (run);
}

static int
batch_add(struct batch *b, uint64_t lsn, const struct iovec *iov, int iovcnt)
{
	struct run *run;
	size_t len = 0;
	int i;

	for (i = 0; i < iovcnt; i++)
		len += iov[i].iov_len;
	if (!buf_reserve(&b->bytes, len)) {
		/* What it holds is whole, and the next may be smaller. */
		b->bytes.failed = false;
		return (-1);
	}
	if ((run = batch_run(b, lsn)) == NULL)
		return (-1);
	for (i = 0; i < iovcnt; i++)
		buf_add(&b->bytes, iov[i].iov_base, iov[i].iov_len);
	assert(len > 0 && b->bytes.data[b->bytes.len - 1] == '\n');
	run->count++;
	run->end = b->bytes.len;
	return (0);
}

int
journal_append(struct journal *j, const struct iovec *iov, int iovcnt,
    uint64_t *lsn_r)
{
	int error;

	lock_take(&j->lck);
	assert(!j->stop);
	if ((error = journal_error(j)) != 0)
		goto refuse;
	if (batch_add(j->filling, j->next, iov, iovcnt) == -1) {
		error = ENOMEM;
		goto refuse;
	}
	*lsn_r = j->next++;

	/* The committer sleeps only while filling is empty. */
	if (j->filling->nruns == 1 && j->filling->runs[0].count == 1) {
		j->filling->since = sys_monotonic_ms();
		cond_signal(&j->more);
	}
	journal_assert_state(j);
	lock_give(&j->lck);
	return (0);

refuse:
	lock_give(&j->lck);
	errno = error;
	return (-1);
}

void
journal_raise(struct journal *j, uint64_t lsn)
{
	assert(lsn < UINT64_MAX);
	lock_assert_none();
	lock_take(&j->lck);
	if (j->next <= lsn) {
		j->next = lsn + 1;
		journal_publish(j);
	}
	while (journal_durable(j) < lsn && journal_error(j) == 0)
		cond_wait(&j->moved, &j->lck);
	lock_give(&j->lck);
}

uint64_t
journal_next(struct journal *j)
{
	uint64_t next;

	lock_take(&j->lck);
	next = j->next;
	lock_give(&j->lck);
	return (next);
}

uint64_t
journal_durable(struct journal *j)
{
	return (atomic_load_explicit(&j->durable, memory_order_acquire));
}

int
journal_error(struct journal *j)
{
	return (atomic_load_explicit(&j->error, memory_order_acquire));
}

bool
journal_hangs(struct journal *j)
{
	const uint64_t durable = journal_durable(j);

	return (atomic_load_explicit(&j->late, memory_order_acquire) >
	    durable);
}

/* For how long has the oldest that is pending been so? */
static int64_t
pending_ms(const struct journal *j)
{
	lock_assert_held(&j->lck);
	if (j->draining->nruns > 0)
		return (sys_monotonic_ms() - j->draining->since);
	if (j->filling->nruns > 0)
		return (sys_monotonic_ms() - j->filling->since);
	return (0);
}

bool
journal_hang_ends(struct journal *j)
{
	lock_assert_held(&j->lck);
	if (!j->has_told || journal_hangs(j))
		return (false);
	j->has_told = false;
	return (true);
}

void
journal_tell_end(void)
{
	log_warnx("journal: the disk hangs no more");
}

/*
 * The log is written without the lock: it may be on the disk that hangs.  Its
 * end is told only by who finds the begin told, so that it comes last.
 */
void
journal_late(struct journal *j, uint64_t lsn)
{
	bool begins, ends;
	int64_t ms;

	lock_assert_none();
	lock_take(&j->lck);
	begins = journal_error(j) == 0 && !journal_hangs(j) &&
	    lsn > journal_durable(j);
	if (lsn > j->late)
		atomic_store_explicit(&j->late, lsn, memory_order_release);
	ms = pending_ms(j);
	lock_give(&j->lck);
	if (!begins)
		return;
	log_errx("journal: the disk hangs, no change became safe for %lld s",
	    (long long)ms / 1000);
	lock_take(&j->lck);
	j->has_told = true;
	ends = journal_hang_ends(j);
	lock_give(&j->lck);
	if (ends)
		journal_tell_end();
}

int
journal_wait(struct journal *j, uint64_t lsn)
{
	int error = 0;

	lock_assert_none();
	lock_take(&j->lck);
	assert(lsn < j->next);
	while (journal_durable(j) < lsn && (error = journal_error(j)) == 0)
		cond_wait(&j->moved, &j->lck);
	lock_give(&j->lck);
	if (error == 0)
		return (0);
	errno = error;
	return (-1);
}

int
journal_rotate(struct journal *j)
{
	uint64_t mine;
	int error;

	lock_assert_none();
	lock_take(&j->lck);
	assert(!j->stop);
	mine = j->rotate + 1;
	if ((error = journal_error(j)) == 0 && is_full(j))
		error = ENOSPC;
	if (error == 0) {
		j->rotate = mine;
		cond_signal(&j->more);
		while (j->rotated < mine && (error = journal_error(j)) == 0)
			cond_wait(&j->moved, &j->lck);
	}
	if (error == 0)
		error = j->rotate_error;
	lock_give(&j->lck);
	errno = error;
	return (error == 0 ? 0 : -1);
}

int
journal_subscribe(struct journal *j, int efd, struct journal_waiter **w_r)
{
	struct journal_waiter *w;

	if ((w = calloc(1, sizeof(*w))) == NULL)
		return (-1);
	w->efd = efd;
	waiter_disarm(w);
	lock_take(&j->lck);
	LIST_INSERT_HEAD(&j->waiters, w, entry);
	lock_give(&j->lck);
	*w_r = w;
	return (0);
}

void
journal_unsubscribe(struct journal *j, struct journal_waiter *w)
{
	lock_take(&j->lck);
	LIST_REMOVE(w, entry);
	lock_give(&j->lck);
	free(w);
}

void
journal_want(struct journal *j, struct journal_waiter *w, uint64_t lsn)
{
	lock_take(&j->lck);
	if (lsn == UINT64_MAX)
		w->wants_any = true;
	else if (lsn < w->wanted)
		w->wanted = lsn;
	if (lsn != UINT64_MAX && (lsn <= journal_durable(j) ||
	    journal_error(j) != 0))
		waiter_fire(w);
	lock_give(&j->lck);
}

/* Why is there no spare? */
static int
reserve_error(const struct journal *j)
{
	lock_assert_held(&j->lck);
	if (j->spare.segment != NULL)
		return (0);
	return (j->spare.error != 0 ? j->spare.error : EAGAIN);
}

void
journal_stats(struct journal *j, struct journal_stats *stats)
{
	const int64_t now = sys_now_ms();
	const struct kept *k;

	lock_take(&j->lck);
	*stats = j->stats;
	TAILQ_FOREACH(k, &j->kept, entry) {
		stats->segments++;
		stats->kept_bytes += k->size;
		if (stats->oldest_lsn == 0 && k->first != 0) {
			stats->oldest_lsn = k->first;
			/* The clock may have been set back. */
			stats->oldest_ms = now > k->at ? now - k->at : 0;
		}
		if (k->first != 0)
			stats->newest_lsn = k->last;
	}
	stats->pending_ms = pending_ms(j);
	stats->reserve_error = reserve_error(j);
	stats->keep_ms = j->keep_ms;
	strlcpy(stats->open, j->open == NULL ? "" : j->open->name,
	    sizeof(stats->open));
	lock_give(&j->lck);
}
