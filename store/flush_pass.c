#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "flush_internal.h"
#include "log.h"
#include "store_internal.h"
#include "sweep.h"
#include "sys.h"

/* How often the thread looks whether the journal needs a pass. */
#define LOOK_MS		1000
/* How often a full disk makes one come early. */
#define RELIEVE_MS	10000
/* How long what failed waits, first and at most. */
#define RETRY_MS	1000
#define RETRY_MAX_MS	60000
/* How often the thread touches the store's lock. */
#define TOUCH_MS	(10 * INT64_C(1000))

/* --- failures ----------------------------------------------------------- */

/* How long what failed so often in a row waits. */
static int64_t
retry_ms(uint8_t failures)
{
	int64_t ms = RETRY_MS;

	while (--failures > 0 && ms < RETRY_MAX_MS)
		ms *= 2;
	return (ms < RETRY_MAX_MS ? ms : RETRY_MAX_MS);
}

void
flush_failed(struct flush *f, struct dirty *d)
{
	const bool is_new = d->failures == 0;

	if (d->failures < UINT8_MAX)
		d->failures++;
	d->retry_at = sys_monotonic_ms() + retry_ms(d->failures);
	lock_take(&f->lck);
	f->stats.failures++;
	if (is_new)
		f->stats.failing++;
	lock_give(&f->lck);
}

/* It stands in its place, or needs none any more. */
static void
succeeded(struct flush *f, struct dirty *d)
{

	if (d->failures == 0)
		return;
	d->failures = 0;
	lock_take(&f->lck);
	assert(f->stats.failing > 0);
	f->stats.failing--;
	lock_give(&f->lck);
}

/* --- a pass ------------------------------------------------------------- */

static bool
is_visited(const struct dirty *d, enum pass_kind kind, int64_t now)
{

	switch (kind) {
	case PASS_ALL:
		return (true);
	case PASS_DUE:
		return (d->failures == 0 || d->retry_at <= now);
	case PASS_RETRY:
		break;
	}
	return (d->failures > 0 && d->retry_at <= now);
}

/* Close the round; what it wrote is then done with or dirty again. */
static int
end_round(struct flush *f, struct round *r)
{
	size_t i, n = r->n, written = 0;
	int rc = flush_end_round(f, r);

	for (i = 0; i < n; i++) {
		if (r->v[i].is_bad)
			continue;
		written++;
		succeeded(f, r->v[i].dirty);
	}
	lock_take(&f->lck);
	f->stats.written += written;
	lock_give(&f->lck);
	return (rc);
}

/*
 * Write the document of d at the next place of the round.  Where descriptors
 * are missing the round is ended, for it holds one a folder, and d gets
 * another try.  Returns 0, or -1 if something stayed dirty.
 */
static int
write_one(struct flush *f, struct round *r, struct dirty *d)
{
	enum flushed one;
	int rc = 0;

	one = flush_one(f, r, d, &r->v[r->n]);
	if (one == FLUSHED_FAILED && (errno == EMFILE || errno == ENFILE) &&
	    r->nfolders > 0) {
		rc = end_round(f, r);
		one = flush_one(f, r, d, &r->v[r->n]);
	}
	switch (one) {
	case FLUSHED_WRITTEN:
		r->n++;
		return (rc);
	case FLUSHED_NOTHING:
		succeeded(f, d);
		return (rc);
	case FLUSHED_LATER:
		/* If its time had come: not at once again, but then. */
		if (d->failures > 0)
			d->retry_at = sys_monotonic_ms() +
			    retry_ms(d->failures);
		break;
	case FLUSHED_FAILED:
		break;
	}
	return (-1);
}

/* Returns 0, or -1 if something that was dirty stayed so. */
static int
write_all(struct flush *f, struct round *r, enum pass_kind kind)
{
	const int64_t now = sys_monotonic_ms();
	struct dirty *d;
	size_t n;
	int rc = 0;

	for (n = flush_count(f); n > 0 && (d = flush_first(f)) != NULL; n--) {
		if (!is_visited(d, kind, now)) {
			flush_postpone(f, d);
			rc = -1;
			continue;
		}
		if (write_one(f, r, d) == -1)
			rc = -1;
		if ((r->n == FLUSH_ROUND || r->nfolders == FLUSH_ROUND) &&
		    end_round(f, r) == -1)
			rc = -1;
	}
	return (end_round(f, r) == -1 ? -1 : rc);
}

/*
 * Below the result everything stands in a document, and nothing is held.
 * Notes how old the rest is, and when what failed is tried again.
 */
static uint64_t
look_through(struct flush *f)
{
	struct flush_hold *h;
	struct dirty *d;
	uint64_t below;

	f->retry_at = INT64_MAX;
	lock_take(&f->lck);
	f->oldest = INT64_MAX;
	below = journal_next(f->store->journal);
	TAILQ_FOREACH(d, &f->list, link) {
		if (d->first < below)
			below = d->first;
		if (d->since < f->oldest)
			f->oldest = d->since;
		if (d->failures > 0 && d->retry_at < f->retry_at)
			f->retry_at = d->retry_at;
	}
	TAILQ_FOREACH(h, &f->holds, link)
		if (h->lsn < below)
			below = h->lsn;
	lock_give(&f->lck);
	return (below);
}

/*
 * Write what is dirty now; what becomes dirty meanwhile waits for the next
 * pass.  Returns 0, or -1 if something stayed dirty.
 */
static int
pass(struct flush *f, struct round *r, enum pass_kind kind)
{
	struct journal_stats stats;
	int rc;

	if (kind != PASS_RETRY) {
		journal_stats(f->store->journal, &stats);
		f->seen = stats.bytes;
	}
	rc = write_all(f, r, kind);
	/* Only this thread counts what is failing. */
	if (f->stats.failing == 0 && log_ends(&f->told))
		log_info("flush: all documents are written again");
	journal_retire(f->store->journal, look_through(f),
	    f->store->o.keep_ms);
	sweep(f->store);
	return (rc);
}

/* --- the thread --------------------------------------------------------- */

/*
 * Has the journal grown past its limit since the last pass, or no space left
 * for its next segment?
 */
static bool
is_needed(const struct flush *f, int64_t now)
{
	struct journal_stats stats;

	journal_stats(f->store->journal, &stats);
	return (stats.bytes - f->seen > f->store->o.journal_limit ||
	    (store_err_of(stats.reserve_error) == STORE_FULL &&
	    now >= f->relieve_at));
}

/* See alive_note. */
static void
touch_lock(struct flush *f)
{
	int64_t now = sys_monotonic_ms();

	if (now - f->touched < TOUCH_MS)
		return;
	f->touched = now;
	sys_touch(f->store->lockfd);
}

/* Wait until a pass is due.  Returns false when it is the last. */
static bool
wait_due(struct flush *f, uint64_t *goal_r, enum pass_kind *kind_r)
{
	int64_t now, left;
	bool go_on;

	lock_take(&f->lck);
	while (!f->stop && f->wanted == f->finished) {
		now = sys_monotonic_ms();
		left = (f->due < f->retry_at ? f->due : f->retry_at) - now;
		if (left <= 0)
			break;
		(void)cond_wait_ms(&f->more, &f->lck,
		    left < LOOK_MS ? left : LOOK_MS);
		lock_give(&f->lck);
		touch_lock(f);
		if (is_needed(f, sys_monotonic_ms()))
			f->due = 0;
		lock_take(&f->lck);
	}
	*goal_r = f->wanted;
	if (f->stop || f->wanted != f->finished)
		*kind_r = PASS_ALL;
	else
		*kind_r = f->due <= sys_monotonic_ms() ? PASS_DUE : PASS_RETRY;
	go_on = !f->stop;
	lock_give(&f->lck);
	return (go_on);
}

/* Make a pass and count it. */
static void
make_pass(struct flush *f, uint64_t goal, enum pass_kind kind)
{
	const int64_t begin = sys_monotonic_ms();
	struct round *r;
	int64_t end;
	int rc = -1;

	/* A fresh one each time: an idle flush holds no memory. */
	if ((r = calloc(1, sizeof(*r))) != NULL)
		rc = pass(f, r, kind);
	else if (log_begins(&f->told, errno))
		log_warn("flush");
	end = sys_monotonic_ms();
	/* Nothing was looked through: no sooner than that. */
	if (r == NULL && f->retry_at != INT64_MAX)
		f->retry_at = end + RETRY_MS;
	free(r);
	f->relieve_at = end + RELIEVE_MS;
	if (kind != PASS_RETRY)
		f->due = end + f->interval_ms;
	lock_take(&f->lck);
	f->finished = goal;
	f->rc = rc;
	histogram_add(&f->stats.duration_ms, (uint64_t)(end - begin));
	if (rc == 0)
		f->stats.ok_at = sys_now_ms();
	else
		f->stats.failed++;
	flush_assert_state(f);
	cond_broadcast(&f->done);
	lock_give(&f->lck);
}

void
flush_main(void *arg)
{
	struct flush *f = arg;
	enum pass_kind kind;
	uint64_t goal;
	bool go_on;

	f->retry_at = INT64_MAX;
	do {
		go_on = wait_due(f, &goal, &kind);
		make_pass(f, goal, kind);
	} while (go_on);
}
