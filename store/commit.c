#include <bsd/string.h>

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "change.h"
#include "import.h"
#include "store_internal.h"
#include "sys.h"

/*
 * store_commit, in the order that the promises need:
 *
 *	room in the batch            no lock yet: a full batch parks here
 *	lock                         conversation, or tenant and conversation
 *	check                        refuse here or nowhere; reserve
 *	                             a sick disk: all but a repeat is refused
 *	mark dirty, journal_append   journal order is memory order
 *	apply                        cannot fail
 *	unlock                       the caller waits for the lsn
 */

enum store_err
store_err_of(int error)
{

	switch (error) {
	case 0:
		return (STORE_OK);
	case ENOBUFS:
		return (STORE_BUSY);
	case ENOMEM:
		return (STORE_NOMEM);
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		return (STORE_FULL);
	default:
		return (STORE_SICK);
	}
}

void
store_outcome_fini(struct outcome *o)
{
	size_t i;

	store_view_fini(&o->view);
	for (i = 0; i < o->nitems; i++)
		item_unref(o->items[i]);
	free(o->items);
	memset(o, 0, sizeof(*o));
}

/* --- outcomes ----------------------------------------------------------- */

static bool
outcome_room(struct outcome *o, size_t n)
{

	o->items = calloc(n > 0 ? n : 1, sizeof(*o->items));
	return (o->items != NULL);
}

static void
outcome_add(struct outcome *o, struct item *it)
{

	if (it != NULL)
		o->items[o->nitems++] = item_ref(it);
}

/* The request's items as they will stand: those there, those new. */
static enum store_err
outcome_items(struct change_ctx *x, struct outcome *o)
{
	const struct change *ch = x->change;
	struct item *there;
	size_t i;

	if (!outcome_room(o, ch->nitems))
		return (STORE_NOMEM);
	for (i = 0; i < ch->nitems; i++) {
		there = x->conversation == NULL ? NULL :
		    items_find(&x->conversation->items, ch->items[i]->id);
		outcome_add(o, there != NULL ? there : ch->items[i]);
	}
	return (STORE_OK);
}

/* What the conversation looks like as of bound (UINT64_MAX: now), and what
 * must be durable first. */
static bool
outcome_view(struct conversation *c, uint64_t bound, struct outcome *o)
{
	struct sight s;

	undo_look(c, bound, &s);
	o->lsn = s.lsn;
	o->version = s.version;
	strlcpy(o->conversation, c->id, sizeof(o->conversation));
	return (conversation_view(c, bound, &o->view));
}

/*
 * As of when is a repeat shown, its first outcome being of that lsn?  Where
 * readers see the durable prefix, so does he whose change is in it; any other
 * waits for it.
 */
static uint64_t
repeat_bound(const struct change_ctx *x, uint64_t lsn)
{
	uint64_t bound = store_bound(x->store);

	return (lsn <= bound ? bound : UINT64_MAX);
}

/* As of when is one whose items are all known?  The same for the newest. */
static uint64_t
known_bound(const struct change_ctx *x, const struct outcome *o)
{
	uint64_t lsn = 0;
	size_t i;

	for (i = 0; i < o->nitems; i++)
		if (o->items[i]->lsn > lsn)
			lsn = o->items[i]->lsn;
	return (repeat_bound(x, lsn));
}

/*
 * The first outcome of a request that came before, built from what stands
 * there now, or as of bound.
 */
static enum store_err
outcome_repeat(struct conversation *c, const struct once *once, uint64_t bound,
    struct outcome *o)
{
	const struct items *is;
	struct items own;
	size_t i, n = 0;

	for (i = 0; i < once->ids_len; i += strlen(once->ids + i) + 1)
		n++;
	if (!outcome_room(o, n) || !outcome_view(c, bound, o) ||
	    (is = undo_items(c, bound, &own)) == NULL)
		return (STORE_NOMEM);
	for (i = 0; i < once->ids_len; i += strlen(once->ids + i) + 1)
		outcome_add(o, items_find(is, once->ids + i));
	undo_items_fini(&own);
	o->version = once->version;
	o->is_repeat = true;
	return (STORE_OK);
}

/* A retry of a creation or deletion; the tenant's lock is held. */
static enum store_err
repeat_set(struct change_ctx *x, struct outcome *o)
{
	uint64_t bound = repeat_bound(x, x->repeat->lsn);
	struct conversation *c;
	enum store_err err;
	struct sight s;

	o->lsn = x->repeat->lsn;
	o->version = x->repeat->version;
	o->is_repeat = true;
	strlcpy(o->conversation, x->repeat->conversation,
	    sizeof(o->conversation));
	if (x->change->kind == CHANGE_CONVERSATION_DELETE)
		return (STORE_OK);
	if ((c = tenant_find(x->tenant, o->conversation)) == NULL)
		return (STORE_NOENT);
	lock_take(&c->lck);
	undo_look(c, bound, &s);
	if (!s.is_there) {
		o->lsn = s.lsn;
		err = STORE_NOENT;
	} else if (s.is_damaged)
		err = conversation_damage(c);
	else
		err = outcome_repeat(c, x->repeat, bound, o);
	lock_give(&c->lck);
	return (err);
}

/* --- the common middle -------------------------------------------------- */

/* Fill in what a record holds whatever its kind. */
static void
complete_record(struct change_ctx *x)
{
	struct record *r = x->record;
	const struct conversation *c = x->conversation;

	strlcpy(r->tenant, x->tenant->name, sizeof(r->tenant));
	r->at = x->now;
	if (r->once != NULL)
		r->once->at = x->now;
	/* The check of an import told its own. */
	if (c == NULL || change_row(r->kind)->scope == SCOPE_IMPORT)
		return;
	strlcpy(r->conversation, c->id, sizeof(r->conversation));
	strlcpy(r->birth, c->birth, sizeof(r->birth));
	r->version = c->version + 1;
	if (r->once != NULL)
		r->once->version = r->version;
}

/* What the change makes dirty; within flush_enter. */
static void
mark_dirty(struct change_ctx *x, const struct change_row *row)
{
	struct flush *f = x->store->flush;
	uint64_t lsn = x->record->lsn;

	if (row->scope == SCOPE_TENANT) {
		flush_mark(f, &x->tenant->dirty, lsn);
		return;
	}
	if (row->scope == SCOPE_IMPORT) {
		import_mark(f, x->conversation, x->record);
		return;
	}
	flush_mark(f, &x->conversation->dirty, lsn);
	if (row->scope == SCOPE_SET && x->record->once != NULL)
		flush_mark(f, &x->tenant->dirty_once, lsn);
}

/* Into the journal, in the order of memory. */
static enum store_err
append_record(struct change_ctx *x, const struct change_row *row)
{
	struct buf head = BUF_INITIALIZER;
	struct iovec *iov;
	enum store_err err = STORE_OK;
	int n;

	if (record_encode(x->record, &head, &iov, &n) == -1) {
		buf_fini(&head);
		return (STORE_NOMEM);
	}
	flush_enter(x->store->flush);
	if (journal_append(x->store->journal, iov, n, &x->record->lsn) == -1)
		err = store_err_of(errno);
	else
		mark_dirty(x, row);
	flush_leave(x->store->flush);
	free(iov);
	buf_fini(&head);
	return (err);
}

/*
 * Whether the change may be made, the locks of row->scope being held.  While
 * changes are refused a repeat goes on, and so does the refusal that every
 * reader is given as well; any other may rest on what is not durable.
 */
static enum store_err
check_change(struct change_ctx *x, const struct change_row *row)
{
	enum store_err err = row->check(x);

	if (x->refusal == STORE_OK ||
	    (err == STORE_OK && (x->repeat != NULL || x->is_known)))
		return (err);
	if (err == STORE_NOENT && (x->is_foreign || x->conversation == NULL ||
	    x->conversation->lsn <= journal_durable(x->store->journal)))
		return (STORE_NOENT);
	x->version_r = 0;
	return (x->refusal);
}

/* Journal and apply what was checked; the locks of row->scope are held. */
static enum store_err
make_change(struct change_ctx *x, const struct change_row *row)
{
	enum store_err err;

	if (x->conversation != NULL && !undo_reserve(&x->conversation->undos,
	    journal_durable(x->store->journal)))
		return (STORE_NOMEM);
	complete_record(x);
	if ((err = append_record(x, row)) != STORE_OK)
		return (err);
	row->apply(x->tenant, x->conversation, x->record);
	if (x->conversation != NULL)
		conversation_assert_state(x->conversation);
	return (STORE_OK);
}

/* --- one function a scope ----------------------------------------------- */

static enum store_err
commit_tenant(struct change_ctx *x, const struct change_row *row,
    struct outcome *o)
{
	struct tenant *t = x->tenant;
	enum store_err err;

	lock_take(&t->lck);
	if (t->level < TENANT_OPEN)
		err = STORE_COLD;
	else if (t->is_damaged)
		err = t->is_newer ? STORE_NEWER : STORE_DAMAGED;
	else if (!t->exists && row->kind != CHANGE_TENANT_CREATE)
		err = STORE_NOENT;
	else if ((err = row->check(x)) == STORE_OK)
		err = make_change(x, row);
	o->lsn = t->lsn;
	lock_give(&t->lck);
	return (err);
}

/* Make a conversation of the checked record; both locks are held. */
static enum store_err
create_conversation(struct change_ctx *x, const struct change_row *row,
    struct outcome *o)
{
	struct record *r = x->record;
	struct conversation *c;
	enum store_err err;

	c = conversation_new(x->tenant, x->change->conversation, r->birth,
	    r->user.p, r->user.len, x->now);
	if (c == NULL || !items_reserve(&c->items, r->nitems) ||
	    outcome_items(x, o) != STORE_OK) {
		conversation_free(c);
		return (STORE_NOMEM);
	}
	x->conversation = c;
	lock_take(&c->lck);
	if ((err = make_change(x, row)) == STORE_OK &&
	    !outcome_view(c, UINT64_MAX, o))
		err = STORE_UNSURE;
	lock_give(&c->lck);
	if (err != STORE_OK && err != STORE_UNSURE) {
		conversation_free(c);
		return (err);
	}
	tenant_insert(x->tenant, c);
	return (err);
}

/* Delete the one that is there; the tenant's lock is held. */
static enum store_err
delete_conversation(struct change_ctx *x, const struct change_row *row,
    struct outcome *o)
{
	enum store_err err;

	if ((err = make_change(x, row)) != STORE_OK)
		return (err);
	return (outcome_view(x->conversation, UINT64_MAX, o) ? STORE_OK :
	    STORE_UNSURE);
}

/*
 * The change's conversation, locked, or NULL: it is not there.  The tenant's
 * lock is held.
 */
static struct conversation *
lock_member(struct change_ctx *x, struct outcome *o)
{
	struct conversation *c;

	o->lsn = x->tenant->set_lsn;
	if ((c = tenant_find(x->tenant, x->change->conversation)) == NULL)
		return (NULL);
	lock_take(&c->lck);
	x->conversation = c;
	o->lsn = c->lsn;
	return (c);
}

static enum store_err
commit_member(struct change_ctx *x, const struct change_row *row,
    struct outcome *o)
{
	struct conversation *c = lock_member(x, o);
	enum store_err err;

	err = check_change(x, row);
	if (err == STORE_OK && x->repeat == NULL)
		err = c == NULL ? create_conversation(x, row, o) :
		    delete_conversation(x, row, o);
	if (c != NULL)
		lock_give(&c->lck);
	if (err == STORE_OK && x->repeat != NULL)
		err = repeat_set(x, o);
	return (err);
}

/* A checked conversation.import of an id that is not there yet. */
static enum store_err
import_new_one(struct change_ctx *x, const struct change_row *row)
{
	struct conversation *c;
	enum store_err err;

	c = conversation_new(x->tenant, x->record->conversation,
	    x->record->birth, NULL, 0, x->record->created_at);
	if (c == NULL)
		return (STORE_NOMEM);
	x->conversation = c;
	lock_take(&c->lck);
	err = make_change(x, row);
	lock_give(&c->lck);
	if (err != STORE_OK)
		conversation_free(c);
	return (err);
}

static enum store_err
commit_import(struct change_ctx *x, const struct change_row *row,
    struct outcome *o)
{
	struct conversation *c = lock_member(x, o);
	enum store_err err;

	if ((err = check_change(x, row)) == STORE_OK) {
		if (row->kind == CHANGE_IMPORT_PART)
			x->conversation = NULL;
		err = c == NULL && row->kind == CHANGE_CONVERSATION_IMPORT ?
		    import_new_one(x, row) : make_change(x, row);
	}
	if (c != NULL)
		lock_give(&c->lck);
	if (err == STORE_OK) {
		o->lsn = x->record->lsn;
		o->version = x->record->version;
	}
	return (err);
}

/* Changes to which conversations a tenant has. */
static enum store_err
commit_set(struct change_ctx *x, const struct change_row *row,
    struct outcome *o)
{
	struct tenant *t = x->tenant;
	enum store_err err;

	lock_take(&t->lck);
	if (t->level < TENANT_LOADED)
		err = STORE_COLD;
	else if (row->scope == SCOPE_SET)
		err = commit_member(x, row, o);
	else
		err = commit_import(x, row, o);
	lock_give(&t->lck);
	return (err);
}

static enum store_err
commit_locked(struct change_ctx *x, const struct change_row *row,
    struct outcome *o)
{
	struct conversation *c = x->conversation;
	uint64_t bound = UINT64_MAX;
	enum store_err err;

	o->lsn = c->lsn;
	if ((err = check_change(x, row)) != STORE_OK)
		return (err);
	if (x->repeat != NULL)
		return (outcome_repeat(c, x->repeat,
		    repeat_bound(x, x->repeat->lsn), o));
	if (row->kind == CHANGE_ITEMS_APPEND &&
	    (err = outcome_items(x, o)) != STORE_OK)
		return (err);
	if (x->is_known) {
		o->is_repeat = true;
		bound = known_bound(x, o);
	} else if ((err = make_change(x, row)) != STORE_OK)
		return (err);
	if (outcome_view(c, bound, o))
		return (STORE_OK);
	return (x->is_known ? STORE_NOMEM : STORE_UNSURE);
}

static enum store_err
commit_conversation(struct change_ctx *x, const struct change_row *row,
    struct outcome *o)
{
	struct tenant *t = x->tenant;
	struct conversation *c;
	enum store_err err;

	if (!tenant_is_loaded(t))
		return (STORE_COLD);
	if ((c = tenant_hold(t, x->change->conversation)) == NULL)
		return (STORE_NOENT);
	x->conversation = c;
	lock_take(&c->lck);
	err = commit_locked(x, row, o);
	lock_give(&c->lck);
	/* The list still shows the old place, as readers may see it. */
	if (err == STORE_OK || err == STORE_UNSURE)
		tenant_touch(t, c);
	conversation_put(c);
	return (err);
}

static enum store_err
commit_scope(struct change_ctx *x, const struct change_row *row,
    struct outcome *o)
{

	switch (row->scope) {
	case SCOPE_TENANT:
		return (commit_tenant(x, row, o));
	case SCOPE_SET:
	case SCOPE_IMPORT:
		return (commit_set(x, row, o));
	case SCOPE_CONVERSATION:
		break;
	}
	return (commit_conversation(x, row, o));
}

/* On a refusal only what store_commit promises stays in the outcome. */
static void
strip_outcome(struct outcome *o, const struct change_ctx *x)
{
	/*
	 * To a stranger it was never there, whatever becomes of it; and a sick
	 * disk is no secret.
	 */
	uint64_t lsn = x->is_foreign || x->refusal != STORE_OK ? 0 : o->lsn;

	store_outcome_fini(o);
	o->lsn = lsn;
	o->version = x->version_r;
}

/* What stands beside an item at most, by the digits of its numbers. */
#define ITEM_EXTRA	80

/* About what the record will take in the batch. */
static size_t
change_size(const struct change *ch)
{
	size_t i, size = 1024 + ch->title_len + ch->metadata.len;

	size += (ch->napikeys + ch->njwtkeys) * (sizeof(struct credential) +
	    KEY_SECRET_MAX);
	for (i = 0; i < ch->nitems; i++)
		size += ch->items[i]->len + ITEM_EXTRA;
	return (size);
}

enum store_err
store_commit(struct store *s, struct tenant *t, const struct change *ch,
    struct outcome *o)
{
	const struct change_row *row = change_row(ch->kind);
	struct record r;
	struct change_ctx x;
	enum store_err err;

	assert(row != NULL);
	lock_assert_none();
	memset(o, 0, sizeof(*o));
	if (s->o.read_only)
		return (STORE_SICK);
	memset(&x, 0, sizeof(x));
	x.refusal = store_err_of(journal_room(s->journal, change_size(ch),
	    row->is_essential));
	/* Nothing of a tenant is known again. */
	if (x.refusal == STORE_BUSY ||
	    (x.refusal != STORE_OK && row->scope == SCOPE_TENANT))
		return (x.refusal);
	if (ch->kind == CHANGE_TENANT_CREATE &&
	    (t = store_add(s, ch->tenant, TENANT_LOADED)) == NULL)
		return (STORE_NOMEM);

	record_init(&r, ch->kind);
	r.preview = conversation_preview(ch->items, ch->nitems);
	x.store = s;
	x.tenant = t;
	x.change = ch;
	x.record = &r;
	x.now = sys_now_ms();
	err = commit_scope(&x, row, o);
	if (err != STORE_OK)
		strip_outcome(o, &x);
	/* Promise 1: there is something to wait for. */
	assert(err != STORE_OK || o->is_repeat || o->lsn > 0);
	record_fini(&r);
	return (err);
}
