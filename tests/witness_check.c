#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bsd/string.h>

#include "tests/witness_internal.h"

/* --- what is there ------------------------------------------------------ */

/* The number in an id such as i12, or one that no fact has. */
static unsigned
number_in(const char *id, size_t skip)
{
	return (strlen(id) > skip ? (unsigned)strtoul(id + skip, NULL, 10) :
	    UINT32_MAX);
}

/* The bytes must be those that were sent. */
static void
check_bytes(const struct slot *slot, const struct item *it, unsigned n)
{
	struct item *sent = witness_item(n);

	if (it->len != sent->len || memcmp(it->json, sent->json, it->len) != 0)
		witness_complain("%s: item %s has other bytes", slot->id,
		    it->id);
	item_unref(sent);
}

static enum store_err
read_slot(struct client *c, struct slot *slot, struct facts *f,
    uint64_t *lsn_r)
{
	struct conversation_view v;
	struct items_page p;
	enum store_err err;
	char title[24];
	size_t i;

	memset(f, 0, sizeof(*f));
	err = store_conversation(c->t, slot->id, NULL, &v, lsn_r);
	if (err == STORE_DAMAGED && slot->is_spoilt)
		f->is_damaged = true;
	if (err == STORE_NOENT || f->is_damaged)
		return (STORE_OK);
	if (err != STORE_OK)
		return (err);
	f->exists = true;
	f->version = v.version;
	if (v.title != NULL) {
		(void)snprintf(title, sizeof(title), "%.*s",
		    (int)v.title_len, v.title);
		f->title = number_in(title, 1);
	}
	store_view_fini(&v);
	err = store_items(c->t, slot->id, NULL, NULL, STORE_ASC, WITNESS_ITEMS,
	    &p);
	if (err != STORE_OK)
		return (err);
	for (i = 0; i < p.nitems; i++) {
		f->items[f->nitems++] = number_in(p.items[i]->id, 1);
		check_bytes(slot, p.items[i], f->items[f->nitems - 1]);
	}
	store_items_fini(&p);
	return (STORE_OK);
}

static enum store_err
read_keys(struct client *c, struct facts *f)
{
	struct credential *v;
	enum store_err err;
	uint64_t lsn;
	size_t i, n;

	memset(f, 0, sizeof(*f));
	if (c->t == NULL)
		return (STORE_OK);
	f->exists = true;
	if ((err = store_apikeys(c->t, &v, &n, &lsn)) != STORE_OK)
		return (err);
	for (i = 0; i < n; i++)
		f->items[f->nitems++] = number_in(v[i].id, 4);
	store_credentials_free(v, n);
	return (STORE_OK);
}

/* All that was read of the store. */
static struct {
	struct facts	 self;
	struct facts	 slots[WITNESS_SLOTS];
} found[WITNESS_TENANTS];

/* Read what there is of a client's tenant: nothing if there is none. */
static enum store_err
read_tenant(int i)
{
	struct client *c = &witness.clients[i];
	enum store_err err;
	uint64_t lsn;
	int k;

	memset(&found[i], 0, sizeof(found[i]));
	if ((err = witness_find(c)) == STORE_NOENT)
		return (STORE_OK);
	if (err == STORE_OK)
		err = read_keys(c, &found[i].self);
	for (k = 0; k < WITNESS_SLOTS && err == STORE_OK; k++)
		err = read_slot(c, &c->slots[k], &found[i].slots[k], &lsn);
	return (err);
}

/* Returns false if the disk has gone meanwhile. */
static bool
read_all(void)
{
	enum store_err err;
	int i;

	for (i = 0; i < WITNESS_TENANTS; i++) {
		if ((err = read_tenant(i)) == STORE_OK)
			continue;
		if (!witness_may_fail())
			witness_complain("tenant %s cannot be read: %d",
			    witness.clients[i].name, err);
		return (false);
	}
	return (true);
}

/* The k-th slot of the i-th client, -1 being its tenant; what was read. */
static struct slot *
slot_of(int i, int k)
{
	return (k == -1 ? &witness.clients[i].self :
	    &witness.clients[i].slots[k]);
}

static struct facts *
found_of(int i, int k)
{
	return (k == -1 ? &found[i].self : &found[i].slots[k]);
}

static bool
same_facts(const struct facts *a, const struct facts *b)
{
	return (a->exists == b->exists && a->version == b->version &&
	    a->title == b->title && a->nitems == b->nitems &&
	    memcmp(a->items, b->items, a->nitems * sizeof(*a->items)) == 0);
}

/* The slot that is not as it would be after everything up to lsn, or NULL. */
static const struct slot *
differs(uint64_t lsn)
{
	static struct facts f;
	int i, k;

	for (i = 0; i < WITNESS_TENANTS; i++)
		for (k = -1; k < WITNESS_SLOTS; k++) {
			witness_facts(slot_of(i, k), lsn, &f);
			/* A tenant has no versions to tell what is missing. */
			if (!(k == -1 && slot_of(i, k)->is_spoilt) &&
			    !found_of(i, k)->is_damaged && !same_facts(&f, found_of(i, k)))
				return (slot_of(i, k));
		}
	return (NULL);
}

/* The least lsn of an event above that one, or 0. */
static uint64_t
next_event(uint64_t above)
{
	uint64_t least = 0;
	struct slot *slot;
	size_t n;
	int i, k;

	for (i = 0; i < WITNESS_TENANTS; i++)
		for (k = -1; k < WITNESS_SLOTS; k++) {
			slot = slot_of(i, k);
			for (n = slot->n; n > 0 && slot->v[n - 1].lsn > above;
			    n--)
				if (least == 0 || slot->v[n - 1].lsn < least)
					least = slot->v[n - 1].lsn;
		}
	return (least);
}

/* The lsn of the last event of all, or 0. */
uint64_t
witness_last(void)
{
	uint64_t last = 0, lsn;

	while ((lsn = next_event(last)) != 0)
		last = lsn;
	return (last);
}

/* What never happened is forgotten. */
static void
forget_above(uint64_t lsn)
{
	struct slot *slot;
	int i, k;

	for (i = 0; i < WITNESS_TENANTS; i++)
		for (k = -1; k < WITNESS_SLOTS; k++) {
			slot = slot_of(i, k);
			while (slot->n > 0 &&
			    slot->v[slot->n - 1].lsn > lsn)
				slot->n--;
		}
}

static void
show_facts(const char *what, const struct facts *f)
{
	unsigned i;

	witness_show("  %s: exists %d version %ju title %u items", what,
	    f->exists, (uintmax_t)f->version, f->title);
	for (i = 0; i < f->nitems; i++)
		witness_show(" %u", f->items[i]);
	witness_show("\n");
}

static void
show_slot(const struct slot *slot, const struct facts *f)
{
	static struct facts should;
	size_t i;

	witness_show("%s, durable up to %ju:\n", slot->id,
	    (uintmax_t)witness.known);
	show_facts("found", f);
	witness_facts(slot, witness.known, &should);
	show_facts("durable", &should);
	for (i = 0; i < slot->n; i++)
		witness_show("  lsn %ju version %ju kind %d first %u n %u "
		    "key %u\n", (uintmax_t)slot->v[i].lsn,
		    (uintmax_t)slot->v[i].version, slot->v[i].kind,
		    slot->v[i].first, slot->v[i].n, slot->v[i].key);
}

static void
show_difference(void)
{
	const struct slot *slot = differs(witness.known);
	int i, k;

	for (i = 0; i < WITNESS_TENANTS; i++)
		for (k = -1; k < WITNESS_SLOTS; k++)
			if (slot == slot_of(i, k))
				show_slot(slot, found_of(i, k));
}

bool
witness_check(void)
{
	struct store_stats st;
	uint64_t lsn, next;

	if (!read_all())
		return (false);
	store_stats(witness.s, &st);
	/* Without a disk nothing can be read; it is not moved then, either. */
	if (!witness.is_spoilt && ((st.quarantined > 0 && !simfs_is_stopped()) ||
	    simfs_count("/store/quarantine", "") > 0))
		witness_complain("something is set aside");
	for (lsn = witness.known; differs(lsn) != NULL; lsn = next) {
		if ((next = next_event(lsn)) != 0)
			continue;
		show_difference();
		witness_complain("%s is not as any client may find it",
		    differs(witness.known)->id);
		return (true);
	}
	simfs_say("found as of lsn %ju", (uintmax_t)lsn);
	/* It was seen now, and must stay. */
	forget_above(lsn);
	witness.known = lsn;
	return (true);
}

/* What a reader is shown of the slot must be there afterwards. */
static void
observe_slot(struct client *c, struct slot *slot)
{
	static struct facts f;
	uint64_t lsn;
	size_t n;

	if (read_slot(c, slot, &f, &lsn) != STORE_OK ||
	    lsn > witness.known || !f.exists)
		return;
	for (n = slot->n; n > 0; n--)
		if (slot->v[n - 1].version == f.version)
			break;
	if (n == 0 || slot->v[n - 1].lsn > witness.known)
		witness_complain("%s: version %ju is shown, and not durable",
		    slot->id, (uintmax_t)f.version);
}

/* Note what is durable, and that readers are shown no more. */
static void
observe(void)
{
	int i, k;

	if (store_durable(witness.s) > witness.known)
		witness.known = store_durable(witness.s);
	simfs_say("durable up to %ju", (uintmax_t)witness.known);
	for (i = 0; i < WITNESS_TENANTS; i++)
		for (k = 0; k < WITNESS_SLOTS &&
		    witness.clients[i].t != NULL; k++)
			observe_slot(&witness.clients[i], slot_of(i, k));
}

/* --- retries ------------------------------------------------------------ */

/* Did the slot begin anew behind this event? */
static bool
is_past(const struct slot *slot, size_t at)
{
	for (at++; at < slot->n; at++)
		if (slot->v[at].kind == CHANGE_CONVERSATION_CREATE ||
		    slot->v[at].kind == CHANGE_CONVERSATION_DELETE)
			return (true);
	return (false);
}

/* The first outcome comes again, and nothing is added. */
static void
retry(struct client *c, struct slot *slot, const struct event *e)
{
	struct outcome o;
	struct wish w;
	enum store_err err;

	wish_init(&w, c, slot, e);
	err = store_commit(witness.s, c->t, &w.ch, &o);
	wish_fini(&w);
	if (err != STORE_OK) {
		if (!witness_may_fail() && !(err == STORE_DAMAGED &&
		    slot->is_spoilt))
			witness_complain("%s: retry of key %u: %d", slot->id,
			    e->key, err);
	} else if (!o.is_repeat || o.version != e->version)
		witness_complain("%s: retry of key %u: repeat %d, version %ju "
		    "not %ju", slot->id, e->key, o.is_repeat,
		    (uintmax_t)o.version, (uintmax_t)e->version);
	store_outcome_fini(&o);
}

/* Retry the newest keyed change of each slot, and one older. */
void
witness_retry(void)
{
	struct client *c;
	struct slot *slot;
	size_t n;
	int i, k, left;

	for (i = 0; i < WITNESS_TENANTS; i++)
		for (k = 0, c = &witness.clients[i]; c->t != NULL && k < WITNESS_SLOTS; k++) {
			slot = &c->slots[k];
			for (left = 2, n = slot->n; n > 0 && left > 0; n--)
				if (slot->v[n - 1].key != 0 &&
				    !is_past(slot, n - 1)) {
					retry(c, slot, &slot->v[n - 1]);
					left--;
				}
		}
}


/* --- open and close ----------------------------------------------------- */

bool
witness_open(void)
{
	pid_t holder;

	if (store_open(&witness.options, &witness.s, &holder) == 0)
		return (true);
	if (!witness_may_fail())
		witness_complain("the store does not open: %s",
		    strerror(errno));
	return (false);
}

void
witness_wait(void)
{
	uint64_t last = witness_last();

	if (last > 0 && store_wait(witness.s, last) != STORE_OK &&
	    !witness_may_fail())
		witness_complain("%ju does not become durable",
		    (uintmax_t)last);
}

void
witness_close(bool is_checked)
{
	int i;

	observe();
	for (i = 0; i < WITNESS_TENANTS; i++) {
		store_tenant_put(witness.clients[i].t);
		witness.clients[i].t = NULL;
	}
	if (store_close(witness.s) == 0) {
		if (is_checked && witness_last() > witness.known)
			witness.known = witness_last();
		simfs_say("closed, durable up to %ju",
		    (uintmax_t)witness.known);
	} else if (!witness_may_fail())
		witness_complain("the store cannot be closed");
	witness.s = NULL;
}
