#include <bsd/string.h>

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "change.h"
#include "import.h"
#include "metadata.h"
#include "store_internal.h"

/*
 * once_limit is a conversation's; a tenant creates and deletes many a day,
 * but not so many that its records fill the memory.
 */
#define ONCE_TENANT_FACTOR	256

/* --- idempotency -------------------------------------------------------- */

/*
 * Look the request up and make its own record.  For the kinds that outlive a
 * conversation only keys count: who retries a creation without one may get a
 * second, empty conversation, never somebody else's.
 */
static enum store_err
check_once(struct change_ctx *x, struct once_table *table)
{
	const struct change_once *o = x->change->once;
	enum store_err err;
	size_t limit;

	if (o == NULL || (table == &x->tenant->once && o->key == NULL))
		return (STORE_OK);
	err = once_find(table, o, x->now, x->store->down_ms,
	    x->store->started_at, &x->repeat);
	if (err != STORE_OK || x->repeat != NULL)
		return (err);
	limit = x->store->o.once_limit;
	if (table == &x->tenant->once)
		limit *= ONCE_TENANT_FACTOR;
	if (o->key != NULL && once_is_full(table, x->now, limit))
		return (STORE_ONCE_LIMIT);
	x->record->once = once_new(o, x->change->conversation);
	return (x->record->once != NULL ? STORE_OK : STORE_NOMEM);
}

/* The conversation is this caller's and as new as it was asked for? */
static enum store_err
check_conversation(struct change_ctx *x)
{
	const struct conversation *c = x->conversation;

	if (c == NULL)
		return (STORE_NOENT);
	if (conversation_is_foreign(c->user, c->is_damaged, x->change->user)) {
		x->is_foreign = true;
		return (STORE_NOENT);
	}
	if (c->is_deleted)
		return (STORE_NOENT);
	if (c->is_damaged)
		return (conversation_damage(c));
	return (STORE_OK);
}

static enum store_err
check_version(struct change_ctx *x)
{

	x->version_r = x->conversation->version;
	if (x->change->if_version != 0 &&
	    x->change->if_version != x->conversation->version)
		return (STORE_PRECONDITION);
	return (STORE_OK);
}

/* What every change of a conversation that is there looks at first. */
static enum store_err
check_common(struct change_ctx *x)
{
	enum store_err err;

	if ((err = check_conversation(x)) != STORE_OK)
		return (err);
	err = check_once(x, &x->conversation->once);
	if (err != STORE_OK || x->repeat != NULL)
		return (err);
	return (check_version(x));
}

static void
apply_once(struct once_table *table, struct record *r)
{

	if (r->once == NULL)
		return;
	r->once->at = r->at;
	r->once->lsn = r->lsn;
	r->once->version = r->version;
	once_add(table, r->once);
	r->once = NULL;
}

/* A record of a creation or deletion, for the tenant's own table. */
static void
apply_tenant_once(struct tenant *t, struct record *r)
{

	if (r->once == NULL)
		return;
	if (r->at < t->once_from)
		t->once_from = r->at;
	apply_once(&t->once, r);
}

/* --- conversation.create ------------------------------------------------ */

static enum store_err
take_items(struct record *r, struct item *const *v, size_t n)
{
	size_t i;

	if (n == 0)
		return (STORE_OK);
	if ((r->items = calloc(n, sizeof(*r->items))) == NULL)
		return (STORE_NOMEM);
	for (i = 0; i < n; i++)
		r->items[r->nitems++] = item_ref(v[i]);
	return (STORE_OK);
}

static enum store_err
take_title(struct record *r, const struct change *ch)
{

	r->has_title = true;
	if (ch->title == NULL)
		return (STORE_OK);
	r->title = text_new(ch->title, ch->title_len);
	return (r->title.p != NULL ? STORE_OK : STORE_NOMEM);
}

static enum store_err
take_metadata(struct record *r, struct span metadata)
{

	r->metadata = text_new(metadata.p, metadata.len);
	return (r->metadata.p != NULL ? STORE_OK : STORE_NOMEM);
}

static enum store_err
check_create(struct change_ctx *x)
{
	const struct change *ch = x->change;
	struct record *r = x->record;
	enum store_err err;

	err = check_once(x, &x->tenant->once);
	if (err != STORE_OK || x->repeat != NULL)
		return (err);
	if (x->conversation != NULL)
		return (STORE_EXISTS);
	id_mint_short(r->birth);
	if (ch->user != NULL) {
		r->user = text_new(ch->user, strlen(ch->user));
		if (r->user.p == NULL)
			return (STORE_NOMEM);
	}
	if (ch->title != NULL && (err = take_title(r, ch)) != STORE_OK)
		return (err);
	if (ch->has_metadata &&
	    (err = take_metadata(r, ch->metadata)) != STORE_OK)
		return (err);
	return (take_items(r, ch->items, ch->nitems));
}

/* Hand the record's items over to the conversation. */
static void
apply_items(struct conversation *c, struct record *r, struct undo *u)
{
	size_t i;

	undo_append(u, r->nitems);
	for (i = 0; i < r->nitems; i++) {
		r->items[i]->lsn = r->lsn;
		r->items[i]->at = r->at;
		items_add(&c->items, r->items[i], 0);
	}
	r->nitems = 0;
	if (r->preview.p != NULL) {
		undo_text(u, c, UNDO_PREVIEW, r->preview);
		r->preview = (struct text){ NULL, 0 };
	}
}

static void
apply_texts(struct conversation *c, struct record *r, struct undo *u)
{

	if (r->has_title) {
		undo_text(u, c, UNDO_TITLE, r->title);
		r->title = (struct text){ NULL, 0 };
	}
	if (r->metadata.p != NULL) {
		undo_text(u, c, UNDO_METADATA, r->metadata);
		r->metadata = (struct text){ NULL, 0 };
	}
}

/*
 * What all kinds do to the conversation.  Returns where to note what else is
 * done, or NULL.
 */
static struct undo *
apply_common(struct conversation *c, const struct record *r)
{
	struct undo *u;

	lock_assert_held(&c->lck);
	assert(r->lsn > c->lsn);
	u = undo_begin(c, r->lsn);
	c->lsn = r->lsn;
	c->version = r->version;
	if (r->at > c->updated_at)
		c->updated_at = r->at;
	return (u);
}

static void
apply_create(struct tenant *t, struct conversation *c, struct record *r)
{
	struct undo *u = apply_common(c, r);

	apply_texts(c, r, u);
	apply_items(c, r, u);
	apply_tenant_once(t, r);
	if (r->lsn > t->set_lsn)
		t->set_lsn = r->lsn;
}

/* --- conversation.update ------------------------------------------------ */

static enum store_err
check_update(struct change_ctx *x)
{
	const struct change *ch = x->change;
	enum store_err err;

	err = check_common(x);
	if (err != STORE_OK || x->repeat != NULL)
		return (err);
	if (ch->has_title && (err = take_title(x->record, ch)) != STORE_OK)
		return (err);
	if (!ch->has_metadata)
		return (STORE_OK);
	if (ch->merges)
		return (metadata_merge(&x->conversation->metadata,
		    ch->metadata, &x->record->metadata));
	return (take_metadata(x->record, ch->metadata));
}

static void
apply_update(struct tenant *t, struct conversation *c, struct record *r)
{

	(void)t;
	apply_texts(c, r, apply_common(c, r));
	apply_once(&c->once, r);
}

/* --- conversation.delete ------------------------------------------------ */

static enum store_err
check_delete(struct change_ctx *x)
{
	enum store_err err;

	/* The key first: the conversation is gone when the retry comes. */
	err = check_once(x, &x->tenant->once);
	if (err != STORE_OK || x->repeat != NULL)
		return (err);
	err = check_conversation(x);
	/*
	 * What is damaged the tenant may delete, but not just any user; and
	 * not while its file would be written over.
	 */
	if (err != STORE_OK && (err != STORE_DAMAGED ||
	    x->change->user != NULL || x->conversation->is_held))
		return (err);
	return (check_version(x));
}

static void
apply_delete(struct tenant *t, struct conversation *c, struct record *r)
{

	lock_assert_held(&t->lck);
	undo_bury(apply_common(c, r), c);
	conversation_bury(c, r->at);
	tenant_bury(t, c);
	apply_tenant_once(t, r);
	if (r->lsn > t->set_lsn)
		t->set_lsn = r->lsn;
}

/* --- items.append ------------------------------------------------------- */

/*
 * Are two items one, whatever the order of their members?  STORE_OK, or
 * STORE_CONFLICT.
 */
static enum store_err
compare_items(const struct item *a, const struct item *b)
{
	const int flags = JSON_ALLOW_NUL | JSON_DECODE_ANY;
	enum store_err err = STORE_NOMEM;
	json_t *ja, *jb;

	if (a->len == b->len && memcmp(a->json, b->json, a->len) == 0)
		return (STORE_OK);
	ja = json_loadb(a->json, a->len, flags, NULL);
	jb = json_loadb(b->json, b->len, flags, NULL);
	/* Both are JSON, so what does not load found no memory. */
	if (ja != NULL && jb != NULL)
		err = json_equal(ja, jb) ? STORE_OK : STORE_CONFLICT;
	json_decref(ja);
	json_decref(jb);
	return (err);
}

/*
 * Keep in the record the items that are new.  Those of the client's own ids
 * that are there already with the same content keep their place.
 */
static enum store_err
sort_items(struct change_ctx *x)
{
	const struct change *ch = x->change;
	struct record *r = x->record;
	struct item *there;
	enum store_err err;
	size_t i;

	if ((r->items = calloc(ch->nitems, sizeof(*r->items))) == NULL)
		return (STORE_NOMEM);
	for (i = 0; i < ch->nitems; i++) {
		there = ch->is_minted != NULL && ch->is_minted[i] ? NULL :
		    items_find(&x->conversation->items, ch->items[i]->id);
		if (there == NULL)
			r->items[r->nitems++] = item_ref(ch->items[i]);
		else if ((err = compare_items(there, ch->items[i])) !=
		    STORE_OK)
			return (err);
	}
	x->is_known = r->nitems == 0;
	return (STORE_OK);
}

static enum store_err
check_append(struct change_ctx *x)
{
	const struct change *ch = x->change;
	enum store_err err;
	size_t i;

	assert(ch->nitems > 0);
	err = check_common(x);
	if (err != STORE_OK || x->repeat != NULL)
		return (err);
	if ((err = sort_items(x)) != STORE_OK)
		return (err);
	if (!items_reserve(&x->conversation->items, x->record->nitems))
		return (STORE_NOMEM);
	for (i = 0; x->record->once != NULL && i < ch->nitems; i++)
		if (!once_add_id(x->record->once, ch->items[i]->id))
			return (STORE_NOMEM);
	return (STORE_OK);
}

static void
apply_append(struct tenant *t, struct conversation *c, struct record *r)
{

	(void)t;
	apply_items(c, r, apply_common(c, r));
	apply_once(&c->once, r);
}

/* --- item.delete -------------------------------------------------------- */

/* The preview as it is once `gone` is no longer there. */
static struct text
preview_without(const struct items *is, const struct item *gone)
{
	size_t i = items_index(is, gone);
	struct text t;

	t = conversation_preview(is->v + i + 1, is->n - i - 1);
	if (t.p == NULL)
		t = conversation_preview(is->v, i);
	return (t);
}

static enum store_err
check_item_delete(struct change_ctx *x)
{
	struct item *it;
	enum store_err err;

	err = check_common(x);
	if (err != STORE_OK || x->repeat != NULL)
		return (err);
	it = items_find(&x->conversation->items, x->change->item);
	if (it == NULL)
		return (STORE_NOITEM);
	strlcpy(x->record->item, it->id, sizeof(x->record->item));
	return (STORE_OK);
}

static void
apply_item_delete(struct tenant *t, struct conversation *c, struct record *r)
{
	struct undo *u = apply_common(c, r);
	struct item *it;

	(void)t;
	if ((it = items_find(&c->items, r->item)) != NULL) {
		undo_remove(u, &c->items, it);
		undo_text(u, c, UNDO_PREVIEW,
		    preview_without(&c->items, it));
		items_remove(&c->items, it);
	}
	apply_once(&c->once, r);
}

/* --- tenants and credentials -------------------------------------------- */

static enum store_err
check_tenant_create(struct change_ctx *x)
{

	const struct change *ch = x->change;

	if (x->tenant->exists)
		return (STORE_EXISTS);
	if (!keyring_add_all(&x->record->apikeys, ch->apikeys,
	    ch->napikeys) || !keyring_add_all(&x->record->jwtkeys,
	    ch->jwtkeys, ch->njwtkeys))
		return (STORE_NOMEM);
	return (STORE_OK);
}

static void
apply_tenant_create(struct tenant *t, struct conversation *c, struct record *r)
{

	(void)c;
	t->exists = true;
	t->created_at = r->at;
	keyring_take(&t->apikeys, &r->apikeys);
	keyring_take(&t->jwtkeys, &r->jwtkeys);
	t->lsn = t->set_lsn = t->created_lsn = r->lsn;
}

/* The ring that a kind changes. */
static struct keyring *
ring_of(struct tenant *t, enum change_kind kind)
{

	return (kind == CHANGE_APIKEY_ADD || kind == CHANGE_APIKEY_REVOKE ?
	    &t->apikeys : &t->jwtkeys);
}

static enum store_err
check_key_add(struct change_ctx *x)
{
	struct keyring *ring = ring_of(x->tenant, x->change->kind);
	const struct credential *c = x->change->credential;

	if (keyring_find(ring, c->id) != NULL)
		return (STORE_EXISTS);
	if (!keyring_reserve(ring) ||
	    !keyring_reserve_past(ring, journal_durable(x->store->journal)))
		return (STORE_NOMEM);
	if ((x->record->credential = calloc(1, sizeof(*c))) == NULL)
		return (STORE_NOMEM);
	*x->record->credential = *c;
	return (STORE_OK);
}

static void
apply_key_add(struct tenant *t, struct conversation *c, struct record *r)
{

	(void)c;
	keyring_note(ring_of(t, r->kind), r->lsn, r->credential->id);
	keyring_add(ring_of(t, r->kind), r->credential);
	t->lsn = r->lsn;
}

static enum store_err
check_key_revoke(struct change_ctx *x)
{
	struct keyring *ring = ring_of(x->tenant, x->change->kind);
	const char *id = x->change->credential->id;

	if (keyring_find(ring, id) == NULL)
		return (STORE_NOENT);
	if (!keyring_reserve_past(ring, journal_durable(x->store->journal)))
		return (STORE_NOMEM);
	strlcpy(x->record->item, id, sizeof(x->record->item));
	return (STORE_OK);
}

static void
apply_key_revoke(struct tenant *t, struct conversation *c, struct record *r)
{

	(void)c;
	keyring_note(ring_of(t, r->kind), r->lsn, r->item);
	(void)keyring_remove(ring_of(t, r->kind), r->item);
	t->lsn = r->lsn;
}

/* --- the table ---------------------------------------------------------- */

static const struct change_row rows[] = {
	{ CHANGE_CONVERSATION_CREATE, "conversation.create", SCOPE_SET,
	    check_create, apply_create, false },
	{ CHANGE_CONVERSATION_UPDATE, "conversation.update",
	    SCOPE_CONVERSATION, check_update, apply_update, false },
	{ CHANGE_CONVERSATION_DELETE, "conversation.delete", SCOPE_SET,
	    check_delete, apply_delete, true },
	{ CHANGE_ITEMS_APPEND, "items.append", SCOPE_CONVERSATION,
	    check_append, apply_append, false },
	{ CHANGE_ITEM_DELETE, "item.delete", SCOPE_CONVERSATION,
	    check_item_delete, apply_item_delete, true },
	{ CHANGE_TENANT_CREATE, "tenant.create", SCOPE_TENANT,
	    check_tenant_create, apply_tenant_create, false },
	{ CHANGE_APIKEY_ADD, "apikey.add", SCOPE_TENANT,
	    check_key_add, apply_key_add, false },
	{ CHANGE_APIKEY_REVOKE, "apikey.revoke", SCOPE_TENANT,
	    check_key_revoke, apply_key_revoke, true },
	{ CHANGE_JWTKEY_ADD, "jwtkey.add", SCOPE_TENANT,
	    check_key_add, apply_key_add, false },
	{ CHANGE_JWTKEY_REVOKE, "jwtkey.revoke", SCOPE_TENANT,
	    check_key_revoke, apply_key_revoke, true },
	{ CHANGE_IMPORT_PART, "import.part", SCOPE_IMPORT,
	    import_check_part, import_apply_part, false },
	{ CHANGE_CONVERSATION_IMPORT, "conversation.import", SCOPE_IMPORT,
	    import_check, import_apply, false },
};

#define NROWS	(sizeof(rows) / sizeof(rows[0]))

const struct change_row *
change_row(enum change_kind kind)
{
	size_t i;

	for (i = 0; i < NROWS; i++)
		if (rows[i].kind == kind)
			return (&rows[i]);
	return (NULL);
}

const struct change_row *
change_row_named(struct span name)
{
	size_t i, len;

	for (i = 0; i < NROWS; i++) {
		len = strlen(rows[i].name);
		if (name.len == len + 2 &&
		    memcmp(name.p + 1, rows[i].name, len) == 0)
			return (&rows[i]);
	}
	return (NULL);
}

void
change_skip(struct tenant *t, struct record *r)
{

	apply_tenant_once(t, r);
}

bool
change_reserve(struct tenant *t, struct conversation *c, struct record *r)
{

	if (r->credential != NULL)
		return (keyring_reserve(ring_of(t, r->kind)));
	if (c != NULL && r->nitems > 0)
		return (items_reserve(&c->items, r->nitems));
	return (true);
}
