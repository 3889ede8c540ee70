#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "flush_internal.h"
#include "log.h"
#include "store_internal.h"
#include "sweep.h"
#include "sys.h"

/* How often the thread looks whether the journal has outgrown its limit. */
#define FLUSH_LOOK_MS	1000
/* How often it touches the store's lock. */
#define FLUSH_TOUCH_MS	(10 * INT64_C(1000))

struct flush *
flush_new(struct store *s)
{
	struct flush *f;

	if ((f = calloc(1, sizeof(*f))) == NULL)
		return (NULL);
	f->store = s;
	lock_init(&f->lck, LOCK_DIRTY);
	cond_init(&f->more);
	cond_init(&f->done);
	TAILQ_INIT(&f->list);
	TAILQ_INIT(&f->holds);
	f->oldest = INT64_MAX;
	return (f);
}

void
flush_free(struct flush *f)
{

	if (f == NULL)
		return;
	assert(!f->is_started);
	cond_fini(&f->more);
	cond_fini(&f->done);
	lock_fini(&f->lck);
	free(f);
}

void
flush_enter(struct flush *f)
{

	lock_take(&f->lck);
}

void
flush_leave(struct flush *f)
{

	lock_give(&f->lck);
}

/* The list and its count tell the same; no pass is done that was not asked
 * for.  Call with lck held. */
static void
flush_assert_state(const struct flush *f)
{
	const struct dirty *d = TAILQ_FIRST(&f->list);

	(void)d;		/* for a build without assert */
	lock_assert_held(&f->lck);
	assert((d == NULL) == (f->n == 0));
	assert(d == NULL || (d->is_listed && d->first > 0));
	assert(f->finished <= f->wanted);
}

void
flush_mark(struct flush *f, struct dirty *d, uint64_t lsn)
{

	lock_assert_held(&f->lck);
	assert(lsn > 0);
	if (d->is_listed) {
		if (lsn < d->first)
			d->first = lsn;
		return;
	}
	d->first = lsn;
	d->since = sys_monotonic_ms();
	d->is_listed = true;
	if (d->since < f->oldest)
		f->oldest = d->since;
	TAILQ_INSERT_TAIL(&f->list, d, link);
	f->n++;
	flush_assert_state(f);
}

void
flush_hold(struct flush *f, struct flush_hold *h, uint64_t lsn)
{

	lock_assert_held(&f->lck);
	assert(lsn > 0);
	if (h->lsn != 0)
		return;
	h->lsn = lsn;
	TAILQ_INSERT_TAIL(&f->holds, h, link);
}

void
flush_release(struct flush *f, struct flush_hold *h)
{

	lock_take(&f->lck);
	if (h->lsn != 0)
		TAILQ_REMOVE(&f->holds, h, link);
	h->lsn = 0;
	lock_give(&f->lck);
}

uint64_t
flush_forget(struct flush *f, struct dirty *d, uint64_t lsn)
{

	assert(!f->is_started);
	lock_take(&f->lck);
	if (d->is_listed) {
		TAILQ_REMOVE(&f->list, d, link);
		d->is_listed = false;
		f->n--;
		if (d->first < lsn)
			lsn = d->first;
	}
	lock_give(&f->lck);
	return (lsn);
}

bool
flush_is_marked(struct flush *f, const struct dirty *d)
{
	bool is_listed;

	lock_take(&f->lck);
	is_listed = d->is_listed;
	lock_give(&f->lck);
	return (is_listed);
}

size_t
flush_count(struct flush *f)
{
	size_t n;

	lock_take(&f->lck);
	n = f->n;
	lock_give(&f->lck);
	return (n);
}

/*
 * The oldest on the list, left there: it comes off under its own lock, when
 * it is encoded.  What is on the list does not go away: only this thread
 * frees tombstones, and none that is listed.
 */
static struct dirty *
first_dirty(struct flush *f)
{
	struct dirty *d;

	lock_take(&f->lck);
	d = TAILQ_FIRST(&f->list);
	lock_give(&f->lck);
	return (d);
}

void
flush_unmark(struct flush *f, struct dirty *d, struct written *w)
{

	lock_take(&f->lck);
	assert(d->is_listed);
	TAILQ_REMOVE(&f->list, d, link);
	d->is_listed = false;
	f->n--;
	flush_assert_state(f);
	w->first = d->first;
	w->since = d->since;
	lock_give(&f->lck);
}

void
flush_stats(struct flush *f, struct flush_stats *stats)
{

	lock_take(&f->lck);
	*stats = f->stats;
	stats->dirty = f->n;
	stats->lag_ms = f->oldest == INT64_MAX ? 0 :
	    sys_monotonic_ms() - f->oldest;
	lock_give(&f->lck);
}

/* --- passes ------------------------------------------------------------- */

/* Below this lsn everything stands in a document, and nothing is held.  Sets
 * oldest anew. */
static uint64_t
flushed_below(struct flush *f)
{
	struct flush_hold *h;
	struct dirty *d;
	uint64_t below;

	lock_take(&f->lck);
	below = journal_next(f->store->journal);
	f->oldest = INT64_MAX;
	TAILQ_FOREACH(d, &f->list, link) {
		if (d->first < below)
			below = d->first;
		if (d->since < f->oldest)
			f->oldest = d->since;
	}
	TAILQ_FOREACH(h, &f->holds, link)
		if (h->lsn < below)
			below = h->lsn;
	lock_give(&f->lck);
	return (below);
}

/*
 * Write the document of d at the next place of the round.  Where descriptors
 * are missing the round is ended, for it holds one a folder, and d gets
 * another try.  Returns 0, or -1 if something stayed dirty.
 */
static int
write_one(struct flush *f, struct round *r, struct dirty *d)
{
	int one, rc = 0;

	one = flush_one(f, r, d, &r->v[r->n]);
	if (one == -1 && (errno == EMFILE || errno == ENFILE) &&
	    r->nfolders > 0) {
		flush_mark_again(f, &r->v[r->n]);
		rc = flush_end_round(f, r);
		one = flush_one(f, r, d, &r->v[r->n]);
	}
	if (one == 0)
		r->n++;
	else if (one == -1) {
		flush_mark_again(f, &r->v[r->n]);
		rc = -1;
	}
	return (rc);
}

/*
 * Write what is dirty now; what becomes dirty meanwhile waits for the next
 * pass.  Returns 0, or -1 if something stayed dirty.
 */
static int
pass(struct flush *f, struct round *r)
{
	struct journal_stats stats;
	struct dirty *d;
	size_t n;
	int rc = 0;

	journal_stats(f->store->journal, &stats);
	f->seen = stats.bytes;
	for (n = flush_count(f); n > 0 && (d = first_dirty(f)) != NULL; n--) {
		if (write_one(f, r, d) == -1)
			rc = -1;
		if ((r->n == FLUSH_ROUND || r->nfolders == FLUSH_ROUND) &&
		    flush_end_round(f, r) == -1)
			rc = -1;
	}
	if (flush_end_round(f, r) == -1)
		rc = -1;
	if (rc == 0 && log_ends(&f->told))
		log_info("flush: all documents are written again");
	journal_retire(f->store->journal, flushed_below(f),
	    f->store->o.keep_ms);
	sweep(f->store);
	return (rc);
}

/* Has the journal grown past its limit since the last pass? */
static bool
is_overgrown(struct flush *f)
{
	struct journal_stats stats;

	journal_stats(f->store->journal, &stats);
	return (stats.bytes - f->seen > f->store->o.journal_limit);
}

/* See alive_note. */
static void
touch_lock(struct flush *f)
{
	int64_t now = sys_monotonic_ms();

	if (now - f->touched < FLUSH_TOUCH_MS)
		return;
	f->touched = now;
	sys_touch(f->store->lockfd);
}

/* Wait until a pass is due.  Returns false when it is the last. */
static bool
wait_due(struct flush *f, uint64_t *goal_r)
{
	int64_t left, due = sys_monotonic_ms() + f->interval_ms;
	bool go_on;

	lock_take(&f->lck);
	while (!f->stop && f->wanted == f->finished &&
	    (left = due - sys_monotonic_ms()) > 0) {
		(void)cond_wait_ms(&f->more, &f->lck,
		    left < FLUSH_LOOK_MS ? left : FLUSH_LOOK_MS);
		lock_give(&f->lck);
		touch_lock(f);
		if (is_overgrown(f))
			due = 0;
		lock_take(&f->lck);
	}
	*goal_r = f->wanted;
	go_on = !f->stop;
	lock_give(&f->lck);
	return (go_on);
}

static void
run(void *arg)
{
	struct flush *f = arg;
	struct round *r;
	uint64_t goal;
	int64_t begun;
	bool go_on;
	int rc;

	do {
		go_on = wait_due(f, &goal);
		begun = sys_monotonic_ms();
		/* A fresh one each time: an idle flush holds no memory. */
		if ((r = calloc(1, sizeof(*r))) == NULL) {
			if (log_begins(&f->told, errno))
				log_warn("flush");
			rc = -1;
		} else
			rc = pass(f, r);
		free(r);
		lock_take(&f->lck);
		histogram_add(&f->stats.duration_ms,
		    (uint64_t)(sys_monotonic_ms() - begun));
		f->stats.failed += rc == -1;
		f->finished = goal;
		f->rc = rc;
		flush_assert_state(f);
		cond_broadcast(&f->done);
		lock_give(&f->lck);
	} while (go_on);
}

int
flush_start(struct flush *f, int64_t interval_ms)
{

	f->interval_ms = interval_ms;
	if (thread_start(&f->thread, "flush", run, f) == -1)
		return (-1);
	f->is_started = true;
	return (0);
}

int
flush_stop(struct flush *f)
{

	if (!f->is_started)
		return (0);
	lock_take(&f->lck);
	f->stop = true;
	cond_signal(&f->more);
	lock_give(&f->lck);
	thread_join(&f->thread);
	f->is_started = false;
	return (f->rc);
}

int
flush_now(struct flush *f)
{
	uint64_t mine;
	int rc;

	lock_take(&f->lck);
	/* After the last pass nobody would answer. */
	assert(!f->stop);
	mine = ++f->wanted;
	cond_signal(&f->more);
	while (f->finished < mine)
		cond_wait(&f->done, &f->lck);
	rc = f->rc;
	lock_give(&f->lck);
	return (rc);
}

void
flush_soon(struct flush *f)
{

	lock_take(&f->lck);
	f->wanted++;
	cond_signal(&f->more);
	lock_give(&f->lck);
}
