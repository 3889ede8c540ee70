#include <inttypes.h>
#include <string.h>

#include "change.h"
#include "import.h"
#include "load.h"
#include "log.h"
#include "record.h"
#include "recover_internal.h"
#include "store_internal.h"

/* --- one record --------------------------------------------------------- */

static void
mark(struct store *s, struct dirty *d, uint64_t lsn)
{

	flush_enter(s->flush);
	flush_mark(s->flush, d, lsn);
	flush_leave(s->flush);
}

/*
 * Does tenant.json take this record?  Without its document a tenant begins
 * again with its creation, and takes nothing else.
 */
static bool
tenant_takes(struct recovery *v, struct tenant *t, const struct record *r)
{

	if (!t->is_damaged)
		return (r->lsn > t->lsn);
	if (r->kind != CHANGE_TENANT_CREATE || t->is_held) {
		v->left_out = true;
		return (false);
	}
	log_info("tenant %s is built again from the journal", t->name);
	t->is_damaged = false;
	return (true);
}

/* tenant.json's kinds.  Returns 0, or -1 for want of memory. */
static int
replay_tenant(struct recovery *v, struct tenant *t, struct record *r)
{
	int rc = 0;

	lock_take(&t->lck);
	if (!tenant_takes(v, t, r))
		goto out;
	rc = -1;
	if (!change_reserve(t, NULL, r))
		goto out;
	change_row(r->kind)->apply(t, NULL, r);
	mark(v->store, &t->dirty, r->lsn);
	rc = 0;
out:
	lock_give(&t->lck);
	return (rc);
}

/* The conversation of a creation, not yet to be found. */
static struct conversation *
create_from(struct tenant *t, const struct record *r)
{
	struct conversation *c;

	c = conversation_new(t, r->conversation, r->birth, r->user.p,
	    r->user.len, r->at);
	if (c != NULL && !items_reserve(&c->items, r->nitems)) {
		conversation_free(c);
		c = NULL;
	}
	return (c);
}

/*
 * May a creation take the place of what has its id?  Of a document that was
 * lost, if the journal reaches back so far; of a tombstone, for an id that
 * was used again.
 */
static bool
makes_way(struct store *s, const struct conversation *there,
    const struct record *r)
{

	if (there->is_damaged)
		return (!there->is_held &&
		    !flush_is_marked(s->flush, &there->dirty));
	return (there->is_deleted && r->lsn > there->lsn);
}

static int
replay_create(struct recovery *v, struct tenant *t,
    struct conversation *there, struct record *r)
{
	struct store *s = v->store;
	struct conversation *c;
	uint64_t first = r->lsn;

	if (there != NULL && !makes_way(s, there, r)) {
		change_skip(t, r);
		return (0);
	}
	if ((c = create_from(t, r)) == NULL)
		return (-1);
	if (there != NULL) {
		log_info("tenant %s: %s is built again from the journal",
		    t->name, c->id);
		/* Its own changes count as written when c is. */
		first = flush_forget(s->flush, &there->dirty, first);
		lost_gap_forget(v, there);
		tenant_remove(t, there);
		conversation_free(there);
	}
	lock_take(&c->lck);
	change_row(r->kind)->apply(t, c, r);
	conversation_assert_state(c);
	mark(s, &c->dirty, first);
	lock_give(&c->lck);
	tenant_insert(t, c);
	return (0);
}

/*
 * A change is cut off by a hole in what was copied: told once, and not here if
 * that is said of the segment itself.
 */
static void
note_hole(struct recovery *v)
{

	if (!v->has_hole && !v->store->o.read_only && v->report.damaged == 0)
		log_warnx("%s: a change of it is cut off by a hole in what "
		    "was copied: such are left out", v->file);
	v->has_hole = true;
}

/*
 * Is the record the next one of this conversation?  1, 0, or -1 for want of
 * memory.
 */
static int
follows(struct recovery *v, struct conversation *c, const struct record *r)
{

	if (c->is_deleted || r->lsn <= c->lsn)
		return (0);
	/* Of what is damaged nothing is known but that it may be deleted. */
	if (c->is_damaged) {
		if (r->kind == CHANGE_CONVERSATION_DELETE && !c->is_held)
			return (1);
		v->left_out = true;
		return (0);
	}
	if (strcmp(r->birth, c->birth) != 0)
		return (0);
	if (r->version == c->version + 1)
		return (1);
	/*
	 * In a copy the hole is the copying: what stands behind it is newer
	 * than the copy's beginning, and left out.
	 */
	if (v->store->o.read_only)
		lost_gap_tell(v, c);
	else if (!v->report.is_copy)
		return (lost_gap(v, c, r));
	note_hole(v);
	return (0);
}

/*
 * Any other kind.  change_row(DELETE)->apply wants both locks, and the
 * tenant's is held by the caller.
 */
static int
replay_change(struct recovery *v, struct tenant *t, struct conversation *c,
    struct record *r)
{
	const struct change_row *row = change_row(r->kind);
	int rc;

	lock_take(&c->lck);
	rc = follows(v, c, r);
	if (rc == 0 && row->scope == SCOPE_SET)
		change_skip(t, r);
	else if (rc == 1 && !change_reserve(t, c, r))
		rc = -1;
	else if (rc == 1) {
		row->apply(t, c, r);
		conversation_assert_state(c);
		mark(v->store, &c->dirty, r->lsn);
	}
	lock_give(&c->lck);
	return (rc == -1 ? -1 : 0);
}

static int
replay_conversation(struct recovery *v, struct tenant *t, struct record *r)
{
	struct store *s = v->store;
	struct conversation *c;
	const bool is_set = change_row(r->kind)->scope == SCOPE_SET;
	int rc = 0;

	lock_take(&t->lck);
	/* A file of once/ that had to stay must not be written over. */
	if (t->is_held)
		v->left_out = true;
	else if (r->once != NULL && is_set)
		mark(s, &t->dirty_once, r->lsn);
	c = tenant_find(t, r->conversation);
	if (r->kind == CHANGE_CONVERSATION_CREATE) {
		rc = replay_create(v, t, c, r);
		lost_orphan_forget(v, r, r->conversation);
	} else if (c != NULL)
		rc = replay_change(v, t, c, r);
	else {
		if (r->kind == CHANGE_CONVERSATION_DELETE)
			lost_orphan_forget(v, r, r->conversation);
		else
			rc = lost_orphan(v, r, r->conversation);
		if (is_set)
			change_skip(t, r);
	}
	/* A creation may have put another in its place. */
	c = tenant_find(t, r->conversation);
	lock_give(&t->lck);
	if (rc == 0 && c != NULL && c->is_listed)
		tenant_touch(t, c);
	return (rc);
}

/* --- imports ------------------------------------------------------------ */

/*
 * The parts that a conversation.import names are not there.  In a copy they
 * were cut off with it; else the conversation is damaged.
 */
static int
note_parts(struct recovery *v, struct conversation *c, const struct record *r)
{
	int rc = 0;

	if (v->report.is_copy && !v->store->o.read_only) {
		note_hole(v);
		return (0);
	}
	/* If it is deleted later, nobody misses it. */
	if (c == NULL)
		return (lost_orphan(v, r, r->conversation));
	lock_take(&c->lck);
	if (v->store->o.read_only) {
		lost_gap_tell(v, c);
		v->has_hole = true;
	} else
		rc = lost_gap(v, c, r);
	lock_give(&c->lck);
	return (rc);
}

/* c is there, or was made for this and is not to be found yet. */
static void
apply_import(struct recovery *v, struct tenant *t, struct conversation *c,
    struct record *r)
{
	struct flush *f = v->store->flush;

	flush_enter(f);
	import_mark(f, c, r);
	flush_leave(f);
	if (c == NULL) {
		change_row(r->kind)->apply(t, NULL, r);
		return;
	}
	lock_take(&c->lck);
	change_row(r->kind)->apply(t, c, r);
	conversation_assert_state(c);
	lock_give(&c->lck);
}

/* import.h's kinds; they take the place of whatever is older. */
static int
replay_import(struct recovery *v, struct tenant *t, struct record *r)
{
	const bool is_part = r->kind == CHANGE_IMPORT_PART;
	struct conversation *c;
	int rc = 0;

	lock_take(&t->lck);
	c = tenant_find(t, r->conversation);
	if (c != NULL && r->lsn <= c->lsn)
		goto out;
	if (c != NULL && c->is_held) {
		v->left_out = true;
		goto out;
	}
	if ((rc = import_reserve(t, r)) == 0) {
		/* A part alone is missed by nobody. */
		rc = is_part ? 0 : note_parts(v, c, r);
		goto out;
	}
	if (rc == 1 && !is_part && c == NULL) {
		c = conversation_new(t, r->conversation, r->birth, NULL, 0,
		    r->created_at);
		if (c == NULL)
			rc = -1;
	}
	if (rc == 1) {
		apply_import(v, t, is_part ? NULL : c, r);
		if (!is_part)
			lost_orphan_forget(v, r, r->conversation);
		rc = 0;
	}
out:
	lock_give(&t->lck);
	return (rc);
}

/* The tenant of the record, loaded as far as it needs. */
static int
tenant_for(struct recovery *v, const struct record *r, struct tenant **t_r)
{
	const bool is_tenant = change_row(r->kind)->scope == SCOPE_TENANT;
	struct tenant *t;
	uint64_t lsn;

	*t_r = NULL;
	t = store_find(v->store, r->tenant, strlen(r->tenant));
	if (t == NULL && r->kind == CHANGE_TENANT_CREATE &&
	    (t = store_add(v->store, r->tenant, TENANT_LOADED)) == NULL)
		return (-1);
	if (t == NULL)
		return (lost_orphan(v, r, "the tenant"));
	switch (load_tenant(t, is_tenant ? TENANT_OPEN : TENANT_LOADED,
	    &lsn)) {
	case STORE_OK:
	case STORE_DAMAGED:	/* its conversations take theirs */
	case STORE_NEWER:
		break;
	default:
		return (-1);
	}
	if (lsn > v->max)
		v->max = lsn;
	*t_r = t;
	return (0);
}

static int
replay_scope(struct recovery *v, struct tenant *t, struct record *r)
{

	switch (change_row(r->kind)->scope) {
	case SCOPE_TENANT:
		return (replay_tenant(v, t, r));
	case SCOPE_IMPORT:
		return (replay_import(v, t, r));
	default:
		return (replay_conversation(v, t, r));
	}
}

/*
 * Was it seen before?  Each start writes the last batch again: what is left
 * out of it is kept with the segment that had it first.
 */
static bool
is_repeated(struct recovery *v, uint64_t lsn)
{

	if (lsn >= v->run_first && lsn <= v->run_last)
		return (true);
	if (lsn != v->run_last + 1)
		v->run_first = lsn;
	v->run_last = lsn;
	return (false);
}

int
replay_record(struct recovery *v, struct span line, uint64_t lsn)
{
	const bool left_out = v->left_out, is_new = !is_repeated(v, lsn);
	struct record r;
	struct tenant *t;
	int rc;

	if ((rc = record_decode(line, &r)) == 0)
		problem_note(v->store, LOG_LEVEL_ERROR, v->file, "that change",
		    "change %" PRIu64 " is of no known kind: left out", lsn);
	r.lsn = lsn;
	if (rc == 1 && (rc = tenant_for(v, &r, &t)) == 0 && t != NULL) {
		rc = replay_scope(v, t, &r);
		v->applied++;
	}
	v->left_out = left_out || (v->left_out && is_new);
	record_fini(&r);
	if (rc == -1)
		log_errx("journal: change %" PRIu64 " cannot be applied: out "
		    "of memory or its documents cannot be read", lsn);
	return (rc);
}
