#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "flush_internal.h"
#include "sys.h"

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

void
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
	if (d->since < f->oldest)
		f->oldest = d->since;
	d->is_listed = true;
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

void
flush_stats(struct flush *f, struct flush_stats *st)
{

	lock_take(&f->lck);
	*st = f->stats;
	st->dirty = f->n;
	st->lag_ms = f->oldest == INT64_MAX ? 0 :
	    sys_monotonic_ms() - f->oldest;
	lock_give(&f->lck);
}

/*
 * It stays listed: it comes off under its own lock, when it is encoded.  What
 * is on the list does not go away: only the flush's thread frees tombstones,
 * and none that is listed.
 */
struct dirty *
flush_first(struct flush *f)
{
	struct dirty *d;

	lock_take(&f->lck);
	d = TAILQ_FIRST(&f->list);
	lock_give(&f->lck);
	return (d);
}

void
flush_postpone(struct flush *f, struct dirty *d)
{

	lock_take(&f->lck);
	assert(d->is_listed);
	TAILQ_REMOVE(&f->list, d, link);
	TAILQ_INSERT_TAIL(&f->list, d, link);
	lock_give(&f->lck);
}

void
flush_unmark(struct flush *f, struct dirty *d, struct written *w)
{

	lock_take(&f->lck);
	assert(d->is_listed);
	TAILQ_REMOVE(&f->list, d, link);
	d->is_listed = false;
	f->n--;
	w->first = d->first;
	w->since = d->since;
	flush_assert_state(f);
	lock_give(&f->lck);
}

/* --- the thread --------------------------------------------------------- */

int
flush_start(struct flush *f, int64_t interval_ms)
{

	f->interval_ms = interval_ms;
	f->due = sys_monotonic_ms() + interval_ms;
	if (thread_start(&f->thread, "flush", flush_main, f) == -1)
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
	lock_give(&f->lck);
}
