#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "atomicfile.h"
#include "document.h"
#include "flush_internal.h"
#include "log.h"
#include "store_internal.h"
#include "sys.h"

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
	if (w->since < w->dirty->since)
		w->dirty->since = w->since;
	if (w->since < f->oldest)
		f->oldest = w->since;
	lock_give(&f->lck);
}

/* It could not be written, as errno says, which is kept. */
static void
failed(struct flush *f, const struct written *w)
{
	int error = errno;

	flush_failed(f, w->dirty);
	mark_again(f, w);
	errno = error;
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

int
flush_end_round(struct flush *f, struct round *r)
{
	struct folder *d;
	size_t i;
	int rc = 0;

	for (i = 0; i < r->nfolders; i++) {
		d = &r->folders[i];
		if (atomicfile_sync(d->fd) == -1) {
			d->is_bad = true;
			if (log_begins(&f->told, errno))
				log_warn("flush: sync folder of tenant %s",
				    d->tenant->name);
			rc = -1;
		}
		(void)sys->close(d->fd);
	}
	for (i = 0; i < r->n; i++) {
		r->v[i].is_bad = r->folders[r->v[i].folder].is_bad;
		if (r->v[i].is_bad)
			failed(f, &r->v[i]);
	}
	r->n = r->nfolders = 0;
	return (rc);
}

/* --- one document ------------------------------------------------------- */

/* While the journal is broken: is a change up to lsn not in it? */
static bool
is_pending(const struct flush *f, uint64_t lsn)
{

	return (journal_error(f->store->journal) != 0 &&
	    lsn > journal_durable(f->store->journal));
}

/*
 * Write the file; on a full disk once more, if the journal's spare can make
 * room for it: once in a pass, for no other is made before its end.  Returns
 * 0, or -1 with errno set.
 */
static int
write_file(struct flush *f, int dirfd, const char *name, const struct buf *b)
{
	int error;

	if (atomicfile_put(dirfd, name, b->data, b->len) == 0)
		return (0);
	error = errno;
	if (store_err_of(error) != STORE_FULL)
		return (-1);
	if (!journal_give_reserve(f->store->journal)) {
		errno = error;
		return (-1);
	}
	return (atomicfile_put(dirfd, name, b->data, b->len));
}

/*
 * Put what was encoded in its place, once the journal holds all of it; else
 * all that was taken is dirty again.  That the journal is broken, it tells
 * itself.
 */
static enum flushed
put(struct flush *f, struct round *r, struct tenant *t, enum dirty_kind kind,
    const char *name, const struct buf *b, uint64_t lsn, struct written *w)
{

	if (journal_wait(f->store->journal, lsn) == -1) {
		mark_again(f, w);
		return (FLUSHED_LATER);
	}
	if (!buf_ok(b)) {
		errno = ENOMEM;
		goto failed;
	}
	if ((w->folder = round_folder(f, r, t, kind)) == -1)
		goto failed;
	if (write_file(f, r->folders[w->folder].fd, name, b) == -1)
		goto failed;
	return (FLUSHED_WRITTEN);

failed:
	if (log_begins(&f->told, errno))
		log_warn("flush: tenant %s: write %s; it stays in the journal",
		    t->name, name);
	failed(f, w);
	return (FLUSHED_FAILED);
}

static enum flushed
flush_conversation(struct flush *f, struct round *r, struct conversation *c,
    struct written *w)
{
	struct buf b = BUF_INITIALIZER;
	char name[DOCUMENT_NAME];
	uint64_t lsn;
	enum flushed rc;

	lock_take(&c->lck);
	if (is_pending(f, c->lsn)) {
		lock_give(&c->lck);
		flush_postpone(f, &c->dirty);
		return (FLUSHED_LATER);
	}
	flush_unmark(f, &c->dirty, w);
	lsn = c->lsn;
	/* The file of a damaged one is set aside; there is nothing to write. */
	if (c->is_damaged) {
		lock_give(&c->lck);
		return (FLUSHED_NOTHING);
	}
	document_conversation(c, f->store->id, &b);
	lock_give(&c->lck);
	document_name(c->id, name);
	rc = put(f, r, c->tenant, DIRTY_CONVERSATION, name, &b, lsn, w);
	buf_fini(&b);
	lock_take(&c->lck);
	undo_trim(&c->undos, journal_durable(f->store->journal));
	lock_give(&c->lck);
	return (rc);
}

static enum flushed
flush_tenant(struct flush *f, struct round *r, struct tenant *t,
    struct written *w)
{
	struct buf b = BUF_INITIALIZER;
	uint64_t lsn;
	enum flushed rc;

	lock_take(&t->lck);
	if (is_pending(f, t->lsn)) {
		lock_give(&t->lck);
		flush_postpone(f, &t->dirty);
		return (FLUSHED_LATER);
	}
	flush_unmark(f, &t->dirty, w);
	lsn = t->lsn;
	document_tenant(t, f->store->id, &b);
	lock_give(&t->lck);
	rc = put(f, r, t, DIRTY_TENANT, "tenant.json", &b, lsn, w);
	lock_take(&t->lck);
	keyring_trim(&t->apikeys, journal_durable(f->store->journal));
	keyring_trim(&t->jwtkeys, journal_durable(f->store->journal));
	lock_give(&t->lck);
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
static enum flushed
flush_once(struct flush *f, struct round *r, struct tenant *t,
    struct written *w)
{
	struct buf b = BUF_INITIALIZER;
	const int64_t hour = 60 * 60 * INT64_C(1000);
	char name[ONCE_NAME];
	int64_t from, at = 0;
	uint64_t lsn;
	enum flushed rc = FLUSHED_NOTHING;

	lock_take(&t->lck);
	if (is_pending(f, t->set_lsn)) {
		lock_give(&t->lck);
		flush_postpone(f, &t->dirty_once);
		return (FLUSHED_LATER);
	}
	flush_unmark(f, &t->dirty_once, w);
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
		if (rc != FLUSHED_WRITTEN)
			break;
		from = at + hour;
	}
	lock_give(&t->lck);
	buf_fini(&b);
	return (rc);
}

enum flushed
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
