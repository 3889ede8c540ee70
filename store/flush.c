#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "atomicfile.h"
#include "document.h"
#include "flush.h"
#include "log.h"
#include "store_internal.h"
#include "sweep.h"
#include "sys.h"

/* How often the thread looks whether the journal has outgrown its limit. */
#define FLUSH_LOOK_MS	1000
/* Documents written between two syncs of their folders. */
#define FLUSH_ROUND	256

TAILQ_HEAD(dirty_list, dirty);

/*
 * Locks used to protect struct members:
 *	I	immutable after flush_start
 *	d	flush.lck
 *	w	only the flush's thread
 */
struct flush {
	struct store	*store;		/* [I] */
	int64_t		 interval_ms;	/* [I] */
	struct thread	 thread;
	bool		 is_started;	/* [I] */
	struct lock	 lck;		/* rank 17 */
	struct cond	 more;		/* [d] wanted or stop */
	struct cond	 done;		/* [d] finished moved */
	struct dirty_list list;		/* [d] */
	size_t		 n;		/* [d] of list */
	uint64_t	 wanted;	/* [d] passes asked for */
	uint64_t	 finished;	/* [d] of those, done */
	bool		 stop;		/* [d] */
	int		 rc;		/* [d] of the last pass */
	uint64_t	 seen;		/* [w] journal bytes at the last pass */
};

/* One document written in this round, its folder not yet synced. */
struct written {
	struct dirty	*dirty;
	uint64_t	 first;		/* as it was when it was taken */
	int64_t		 once_from;	/* so was this, of DIRTY_ONCE */
	int		 folder;	/* index into round.folders, or -1 */
};

struct folder {
	struct tenant	*tenant;
	enum dirty_kind	 kind;
	int		 fd;
	bool		 is_bad;	/* its sync failed */
};

struct round {
	struct written	 v[FLUSH_ROUND];
	size_t		 n;
	struct folder	 folders[FLUSH_ROUND];
	size_t		 nfolders;
};

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
	d->is_listed = true;
	TAILQ_INSERT_TAIL(&f->list, d, link);
	f->n++;
	flush_assert_state(f);
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

/* Take d off; its object's lock is held.  Returns its least lsn. */
static uint64_t
unmark(struct flush *f, struct dirty *d)
{

	lock_take(&f->lck);
	assert(d->is_listed);
	TAILQ_REMOVE(&f->list, d, link);
	d->is_listed = false;
	f->n--;
	flush_assert_state(f);
	lock_give(&f->lck);
	return (d->first);
}

static struct tenant *
tenant_of_once(struct dirty *d)
{

	assert(d->kind == DIRTY_ONCE);
	return ((void *)((char *)d - offsetof(struct tenant, dirty_once)));
}

/* It does not stand where it should: all that was taken is dirty again. */
static void
mark_again(struct flush *f, const struct written *w)
{
	struct tenant *t;

	if (w->dirty->kind == DIRTY_ONCE) {
		t = tenant_of_once(w->dirty);
		lock_take(&t->lck);
		if (w->once_from < t->once_from)
			t->once_from = w->once_from;
		lock_give(&t->lck);
	}
	lock_take(&f->lck);
	flush_mark(f, w->dirty, w->first);
	lock_give(&f->lck);
}

/* --- folders ------------------------------------------------------------ */

/*
 * The round's folder of this tenant and kind, opened and made if need be: its
 * index, or -1 with errno set.
 */
static int
round_folder(struct flush *f, struct round *r, struct tenant *t,
    enum dirty_kind kind)
{
	size_t i;
	int fd, sub, e;

	for (i = 0; i < r->nfolders; i++)
		if (r->folders[i].tenant == t && r->folders[i].kind == kind)
			return ((int)i);
	if ((fd = sys_opendir(f->store->tenantsfd, t->name)) == -1)
		return (-1);
	if (kind != DIRTY_TENANT) {
		sub = sys_opendir(fd, kind == DIRTY_CONVERSATION ?
		    "conversations" : "once");
		e = errno;
		(void)sys->close(fd);
		errno = e;
		if ((fd = sub) == -1)
			return (-1);
	}
	assert(r->nfolders < FLUSH_ROUND);
	r->folders[r->nfolders] = (struct folder){ t, kind, fd, false };
	return ((int)r->nfolders++);
}

/* Sync and close the round's folders; what stands in one whose sync failed
 * is dirty again.  Returns 0, or -1 if any was. */
static int
end_round(struct flush *f, struct round *r)
{
	struct folder *d;
	size_t i;
	int rc = 0;

	for (i = 0; i < r->nfolders; i++) {
		d = &r->folders[i];
		if (atomicfile_sync(d->fd) == -1) {
			log_warn("flush: sync folder of tenant %s",
			    d->tenant->name);
			d->is_bad = true;
			rc = -1;
		}
		(void)sys->close(d->fd);
	}
	for (i = 0; i < r->n; i++)
		if (r->folders[r->v[i].folder].is_bad)
			mark_again(f, &r->v[i]);
	r->n = r->nfolders = 0;
	return (rc);
}

/* --- one document ------------------------------------------------------- */

/*
 * Put what was encoded in its place, once the journal holds all of it.
 * Returns 0, or -1 logged.
 */
static int
put(struct flush *f, struct round *r, struct tenant *t, enum dirty_kind kind,
    const char *name, const struct buf *b, uint64_t lsn, struct written *w)
{

	if (!buf_ok(b)) {
		errno = ENOMEM;
		goto failed;
	}
	if (journal_wait(f->store->journal, lsn) == -1)
		goto failed;
	if ((w->folder = round_folder(f, r, t, kind)) == -1)
		goto failed;
	if (atomicfile_put(r->folders[w->folder].fd, name, b->data,
	    b->len) == -1)
		goto failed;
	return (0);

failed:
	log_warn("flush: tenant %s: write %s", t->name, name);
	return (-1);
}

static int
flush_conversation(struct flush *f, struct round *r, struct conversation *c,
    struct written *w)
{
	struct buf b = BUF_INITIALIZER;
	char name[DOCUMENT_NAME];
	uint64_t lsn;
	int rc;

	lock_take(&c->lck);
	w->first = unmark(f, &c->dirty);
	lsn = c->lsn;
	/* The file of a damaged one is set aside; there is nothing to write. */
	if (c->is_damaged) {
		lock_give(&c->lck);
		return (1);
	}
	document_conversation(c, f->store->id, &b);
	lock_give(&c->lck);
	document_name(c->id, name);
	rc = put(f, r, c->tenant, DIRTY_CONVERSATION, name, &b, lsn, w);
	buf_fini(&b);
	return (rc);
}

static int
flush_tenant(struct flush *f, struct round *r, struct tenant *t,
    struct written *w)
{
	struct buf b = BUF_INITIALIZER;
	uint64_t lsn;
	int rc;

	lock_take(&t->lck);
	w->first = unmark(f, &t->dirty);
	lsn = t->lsn;
	document_tenant(t, f->store->id, &b);
	lock_give(&t->lck);
	rc = put(f, r, t, DIRTY_TENANT, "tenant.json", &b, lsn, w);
	/* It holds hashes and keys. */
	if (b.data != NULL)
		explicit_bzero(b.data, b.size);
	buf_fini(&b);
	return (rc);
}

/* The earliest record from that time on, or INT64_MAX; its lock is held. */
static int64_t
next_once(const struct tenant *t, int64_t from)
{
	const struct once *r;
	int64_t at = INT64_MAX;

	TAILQ_FOREACH(r, &t->once.keyed, link)
		if (r->at >= from && r->at < at)
			at = r->at;
	return (at);
}

/*
 * Write the file of each hour that has records not older than the oldest new
 * one; a clock may have been ahead, so that there may be any.
 */
static int
flush_once(struct flush *f, struct round *r, struct tenant *t,
    struct written *w)
{
	struct buf b = BUF_INITIALIZER;
	const int64_t hour = 60 * 60 * INT64_C(1000);
	char name[ONCE_NAME];
	int64_t from, at = 0;
	uint64_t lsn;
	int rc = 0;

	lock_take(&t->lck);
	w->first = unmark(f, &t->dirty_once);
	from = w->once_from = t->once_from;
	t->once_from = INT64_MAX;
	while ((from = next_once(t, from)) != INT64_MAX) {
		at = document_once_name(from, name);
		buf_clear(&b);
		lsn = t->set_lsn;
		(void)document_once(t, f->store->id, at, at + hour, &b);
		lock_give(&t->lck);
		rc = put(f, r, t, DIRTY_ONCE, name, &b, lsn, w);
		lock_take(&t->lck);
		if (rc == -1)
			break;
		from = at + hour;
	}
	lock_give(&t->lck);
	buf_fini(&b);
	return (rc == 0 && w->folder == -1 ? 1 : rc);
}

/* 0 written, 1 nothing to write, -1 failed and logged. */
static int
flush_one(struct flush *f, struct round *r, struct dirty *d, struct written *w)
{
	char *p = (char *)d;

	w->dirty = d;
	w->folder = -1;
	switch (d->kind) {
	case DIRTY_CONVERSATION:
		return (flush_conversation(f, r, (void *)(p -
		    offsetof(struct conversation, dirty)), w));
	case DIRTY_TENANT:
		return (flush_tenant(f, r, (void *)(p -
		    offsetof(struct tenant, dirty)), w));
	case DIRTY_ONCE:
		break;
	}
	return (flush_once(f, r, tenant_of_once(d), w));
}

/* --- passes ------------------------------------------------------------- */

/* Below this lsn everything stands in a document. */
static uint64_t
flushed_below(struct flush *f)
{
	struct dirty *d;
	uint64_t below;

	lock_take(&f->lck);
	below = journal_next(f->store->journal);
	TAILQ_FOREACH(d, &f->list, link)
		if (d->first < below)
			below = d->first;
	lock_give(&f->lck);
	return (below);
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
	int one, rc = 0;

	journal_stats(f->store->journal, &stats);
	f->seen = stats.bytes;
	for (n = flush_count(f); n > 0 && (d = first_dirty(f)) != NULL; n--) {
		one = flush_one(f, r, d, &r->v[r->n]);
		if (one == 0)
			r->n++;
		else if (one == -1) {
			mark_again(f, &r->v[r->n]);
			rc = -1;
		}
		if ((r->n == FLUSH_ROUND || r->nfolders == FLUSH_ROUND) &&
		    end_round(f, r) == -1)
			rc = -1;
	}
	if (end_round(f, r) == -1)
		rc = -1;
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
	bool go_on;
	int rc;

	do {
		go_on = wait_due(f, &goal);
		/* A fresh one each time: an idle flush holds no memory. */
		if ((r = calloc(1, sizeof(*r))) == NULL) {
			log_warn("flush");
			rc = -1;
		} else
			rc = pass(f, r);
		free(r);
		lock_take(&f->lck);
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
