/*
 * The power goes, again and again: a store on a simulated disk (tests/simfs.h)
 * is stopped at a random call, at work, at start or at its end, and started
 * from what such a disk may hold then.  The state that it finds must be what
 * the changes made up to one place in the order of their lsns, no less than
 * what was durable for any client, and it must not take what it finds for
 * damage (promises 1 to 5, and "Learnt from fault simulation" of the design).
 *
 *	POWERCUTS=n	how many; default 10000
 *	SEED=n		the line of lives to begin with: one that failed
 *
 * A line of lives begins with an empty disk.  Its threads run as the machine
 * lets them, so that a seed repeats a failure mostly, not always.
 */

#include <sys/mman.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bsd/string.h>

#include <cmocka.h>

#include "store/lock.h"
#include "store/log.h"
#include "store/store.h"
#include "tests/simfs.h"
#include "tests/state.h"

#define CUTS		10000
#define LIFE_CUTS	25	/* in one line of lives */
#define TENANTS		2
#define SLOTS		5	/* conversations a tenant */
#define ITEMS_MAX	600	/* that a slot ever holds */
#define SYNCS		(FAULT_FSYNC | FAULT_FDATASYNC)
#define NAMES		(FAULT_RENAMEAT | FAULT_UNLINKAT | FAULT_MKDIRAT)

/* --- what clients know -------------------------------------------------- */

/* A change that the store took. */
struct event {
	uint64_t	 lsn;
	uint64_t	 version;
	enum change_kind kind;
	unsigned	 first;		/* item, title or key; the first */
	unsigned	 n;		/* items */
	unsigned	 key;		/* idempotency key; 0: none */
};

/* A conversation, or a tenant with its keys, and all that befell it. */
struct slot {
	char		 id[ID_SIZE];
	struct event	*v;
	size_t		 n;
	size_t		 size;
};

/* What a slot is after some of its events, or what was read of it. */
struct facts {
	bool		 exists;
	uint64_t	 version;
	unsigned	 title;
	unsigned	 nitems;
	unsigned	 items[ITEMS_MAX];
};

/* One client a tenant; each with its own numbers. */
struct client {
	char		 name[16];
	struct slot	 self;
	struct slot	 slots[SLOTS];
	uint64_t	 random;
	unsigned	 next;		/* item, title or key */
	unsigned	 steps;
	bool		 is_quiet;	/* it does not ask for flushes */
	struct thread	 thread;
	struct tenant	*t;
};

/* A line of lives. */
static struct client	 clients[TENANTS];
static struct store	*s;
static struct store_options options;
static uint64_t		 seed;		/* that it began with */
static uint64_t		 line_random;
static uint64_t		 known;		/* every lsn up to it was durable for
					   somebody */
static unsigned long	 ncuts;
static unsigned long	 nkinds[4];	/* cuts at work, start, end; kills */
static FILE		*report;
static struct lock	 report_lck = LOCK_INITIALIZER(LOCK_HELPER);
static char		 complaint[256];

/* Say what is wrong; the first counts.  Any thread. */
static void __attribute__((format(printf, 1, 2)))
complain(const char *fmt, ...)
{
	va_list ap;

	lock_take(&report_lck);
	if (complaint[0] == '\0') {
		va_start(ap, fmt);
		(void)vsnprintf(complaint, sizeof(complaint), fmt, ap);
		va_end(ap);
	}
	lock_give(&report_lck);
}

static bool
has_complaint(void)
{
	bool has;

	lock_take(&report_lck);
	has = complaint[0] != '\0';
	lock_give(&report_lck);
	return (has);
}

/* From 0 to below n. */
static uint64_t
draw(uint64_t *random, uint64_t n)
{
	*random = *random * UINT64_C(6364136223846793005) +
	    UINT64_C(1442695040888963407);
	return ((*random >> 33) % n);
}

static struct event *
add_event(struct slot *slot)
{
	if (slot->n == slot->size) {
		slot->size = slot->size == 0 ? 64 : 2 * slot->size;
		slot->v = realloc(slot->v, slot->size * sizeof(*slot->v));
		assert_non_null(slot->v);
	}
	memset(&slot->v[slot->n], 0, sizeof(*slot->v));
	return (&slot->v[slot->n++]);
}

static void
drop_item(struct facts *f, unsigned item)
{
	unsigned i, n = 0;

	for (i = 0; i < f->nitems; i++)
		if (f->items[i] != item)
			f->items[n++] = f->items[i];
	f->nitems = n;
}

static void
add_items(struct facts *f, unsigned first, unsigned n)
{
	for (; n > 0 && f->nitems < ITEMS_MAX; n--)
		f->items[f->nitems++] = first++;
}

static void
apply(struct facts *f, const struct event *e)
{
	switch (e->kind) {
	case CHANGE_CONVERSATION_CREATE:
	case CHANGE_TENANT_CREATE:
		memset(f, 0, sizeof(*f));
		f->exists = true;
		add_items(f, e->first, e->n);
		break;
	case CHANGE_CONVERSATION_DELETE:
		memset(f, 0, sizeof(*f));
		break;
	case CHANGE_CONVERSATION_UPDATE:
		f->title = e->first;
		break;
	case CHANGE_ITEMS_APPEND:
	case CHANGE_APIKEY_ADD:
		add_items(f, e->first, e->n);
		break;
	case CHANGE_ITEM_DELETE:
	case CHANGE_APIKEY_REVOKE:
		drop_item(f, e->first);
		break;
	default:
		abort();
	}
	if (f->exists)
		f->version = e->version;
}

/* What the slot is once everything up to lsn has happened. */
static void
facts_at(const struct slot *slot, uint64_t lsn, struct facts *f)
{
	size_t i;

	memset(f, 0, sizeof(*f));
	for (i = 0; i < slot->n && slot->v[i].lsn <= lsn; i++)
		apply(f, &slot->v[i]);
}

static bool
same_facts(const struct facts *a, const struct facts *b)
{
	return (a->exists == b->exists && a->version == b->version &&
	    a->title == b->title && a->nitems == b->nitems &&
	    memcmp(a->items, b->items, a->nitems * sizeof(*a->items)) == 0);
}

/* Mostly short; some longer than a sector, few than a segment. */
static void
text_of(unsigned item, char text[6000])
{
	unsigned h = item * 2654435761u, len = 10 + h % 40;

	if (h % 7 == 0)
		len = 300 + h % 700;
	if (h % 61 == 0)
		len = 3000 + h % 2900;
	memset(text, 'a' + (int)(h % 26), len);
	text[len] = '\0';
}

static void
item_id(unsigned item, char id[ID_SIZE])
{
	(void)snprintf(id, ID_SIZE, "i%u", item);
}

static struct item *
item_of(unsigned item)
{
	char id[ID_SIZE], text[6000];

	item_id(item, id);
	text_of(item, text);
	return (state_item(id, text));
}

/* --- one change --------------------------------------------------------- */

/* The store may refuse: its disk has gone, or a planted fault has come. */
static bool
may_fail(void)
{
	return (simfs_is_stopped() || simfs_has_failed());
}

static struct facts *
facts_now(const struct slot *slot)
{
	static _Thread_local struct facts f;

	facts_at(slot, UINT64_MAX, &f);
	return (&f);
}

/*
 * Commit what e says of the slot and note that.  Returns false if the store
 * takes no changes.
 */
static bool
commit(struct client *c, struct slot *slot, const struct event *e)
{
	const struct facts *now = facts_now(slot);
	uint64_t expected = e->kind == CHANGE_CONVERSATION_CREATE ? 1 :
	    now->version + 1;
	struct item *items[4];
	struct credential credential;
	struct change ch = { .kind = e->kind, .items = items, .nitems = e->n,
	    .credential = &credential, .tenant = c->name };
	struct change_once once;
	struct outcome o;
	struct event *mine;
	enum store_err err;
	char key[24], title[24];
	unsigned i;

	memset(&credential, 0, sizeof(credential));
	(void)snprintf(credential.id, sizeof(credential.id), "key_%u",
	    e->first);
	(void)snprintf(key, sizeof(key), "k%u", e->key);
	(void)snprintf(title, sizeof(title), "t%u", e->first);
	once = state_once(key, "body");
	if (e->key != 0)
		ch.once = &once;
	strlcpy(ch.conversation, slot->id, sizeof(ch.conversation));
	item_id(e->first, ch.item);
	ch.has_title = e->kind == CHANGE_CONVERSATION_UPDATE;
	if (ch.has_title) {
		ch.title = title;
		ch.title_len = strlen(title);
	}
	if (e->kind == CHANGE_APIKEY_ADD)
		ch.nitems = 0;
	for (i = 0; i < ch.nitems; i++)
		items[i] = item_of(e->first + i);
	err = store_commit(s, c->t, &ch, &o);
	for (i = 0; i < ch.nitems; i++)
		item_unref(items[i]);
	/* The id's tombstone is still there. */
	if (err == STORE_EXISTS && e->kind == CHANGE_CONVERSATION_CREATE) {
		store_outcome_fini(&o);
		return (true);
	}
	if (err != STORE_OK) {
		if (!may_fail())
			complain("%s: change %d is refused: %d", slot->id,
			    e->kind, err);
		store_outcome_fini(&o);
		return (false);
	}
	if (o.is_repeat || (slot != &c->self && o.version != expected))
		complain("%s: change %d gives version %ju, not %ju",
		    slot->id, e->kind, (uintmax_t)o.version,
		    (uintmax_t)expected);
	mine = add_event(slot);
	*mine = *e;
	mine->lsn = o.lsn;
	mine->version = slot == &c->self ? 0 : expected;
	store_outcome_fini(&o);
	simfs_say("%s: kind %d, lsn %ju", slot->id, e->kind,
	    (uintmax_t)mine->lsn);
	/* Half of them go on before they know. */
	if (draw(&c->random, 2) == 0)
		return (true);
	if (store_wait(s, mine->lsn) == STORE_OK)
		return (true);
	if (!may_fail())
		complain("%s: %ju does not become durable", slot->id,
		    (uintmax_t)mine->lsn);
	return (false);
}

static bool
change_keys(struct client *c)
{
	struct facts *f = facts_now(&c->self);
	struct event e = { .kind = CHANGE_APIKEY_ADD, .n = 1 };

	if (f->nitems > 3) {
		e.kind = CHANGE_APIKEY_REVOKE;
		e.first = f->items[draw(&c->random, f->nitems)];
		e.n = 0;
	} else
		e.first = c->next++;
	return (commit(c, &c->self, &e));
}

static bool
change_slot(struct client *c, struct slot *slot)
{
	struct facts *f = facts_now(slot);
	struct event e = { 0 };

	if (draw(&c->random, 3) == 0)
		e.key = c->next++;
	if (!f->exists)
		e.kind = CHANGE_CONVERSATION_CREATE;
	else switch (draw(&c->random, 12)) {
	case 0:
		e.kind = CHANGE_CONVERSATION_DELETE;
		break;
	case 1:
		e.kind = CHANGE_CONVERSATION_UPDATE;
		e.first = c->next++;
		break;
	case 2:
	case 3:
		if (f->nitems > 0) {
			e.kind = CHANGE_ITEM_DELETE;
			e.first = f->items[draw(&c->random, f->nitems)];
			e.key = 0;
			break;
		}
		/* FALLTHROUGH */
	default:
		e.kind = CHANGE_ITEMS_APPEND;
		break;
	}
	if (e.kind == CHANGE_CONVERSATION_CREATE)
		e.n = (unsigned)draw(&c->random, 3);
	if (e.kind == CHANGE_ITEMS_APPEND)
		e.n = 1 + (unsigned)draw(&c->random, 3);
	if (f->nitems + e.n > ITEMS_MAX)
		e.kind = CHANGE_CONVERSATION_DELETE;
	if (e.n > 0) {
		e.first = c->next;
		c->next += e.n;
	}
	return (commit(c, slot, &e));
}

/* Have the client's tenant in memory, made if it is not there. */
static bool
enter(struct client *c)
{
	struct event create = { .kind = CHANGE_TENANT_CREATE };
	enum store_err err = STORE_COLD;
	int i;

	for (i = 0; i < 4 && err == STORE_COLD; i++) {
		err = store_tenant_get(s, c->name, strlen(c->name), &c->t);
		if (err == STORE_OK && store_warm(s, c->name,
		    strlen(c->name)) != STORE_OK) {
			store_tenant_put(c->t);
			c->t = NULL;
			err = STORE_SICK;
		}
		if (err == STORE_COLD &&
		    store_warm(s, c->name, strlen(c->name)) != STORE_OK)
			err = STORE_SICK;
	}
	if (err == STORE_OK)
		return (true);
	if (err == STORE_NOENT && !facts_now(&c->self)->exists)
		return (commit(c, &c->self, &create) &&
		    store_tenant_get(s, c->name, strlen(c->name), &c->t) ==
		    STORE_OK);
	if (!may_fail())
		complain("tenant %s: %d", c->name, err);
	return (false);
}

static void
work(void *arg)
{
	struct client *c = arg;
	unsigned n;

	if (c->t == NULL && !enter(c))
		return;
	for (n = 0; n < c->steps && !has_complaint(); n++) {
		if (!c->is_quiet && draw(&c->random, 15) == 0 &&
		    store_flush(s) == -1 && !may_fail())
			complain("the flush fails");
		if (!(draw(&c->random, 10) == 0 ? change_keys(c) :
		    change_slot(c, &c->slots[draw(&c->random, SLOTS)])))
			return;
	}
}

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
	struct item *sent = item_of(n);

	if (it->len != sent->len || memcmp(it->json, sent->json, it->len) != 0)
		complain("%s: item %s has other bytes", slot->id, it->id);
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
	if (err == STORE_NOENT)
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
	err = store_items(c->t, slot->id, NULL, NULL, STORE_ASC, ITEMS_MAX,
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
	struct facts	 slots[SLOTS];
} found[TENANTS];

/* Returns false if the disk has gone meanwhile. */
static bool
read_all(void)
{
	struct client *c;
	enum store_err err = STORE_OK;
	uint64_t lsn;
	int i, k;

	for (i = 0; i < TENANTS; i++) {
		c = &clients[i];
		memset(&found[i], 0, sizeof(found[i]));
		for (k = 0; k < 4; k++) {
			err = store_tenant_get(s, c->name, strlen(c->name),
			    &c->t);
			if (err != STORE_OK && err != STORE_COLD)
				break;
			err = store_warm(s, c->name, strlen(c->name));
			if (c->t != NULL || err != STORE_OK)
				break;
		}
		if (err == STORE_NOENT)
			continue;
		if (err == STORE_OK)
			err = read_keys(c, &found[i].self);
		for (k = 0; k < SLOTS && err == STORE_OK; k++)
			err = read_slot(c, &c->slots[k], &found[i].slots[k],
			    &lsn);
		if (err != STORE_OK) {
			if (!may_fail())
				complain("tenant %s cannot be read: %d",
				    c->name, err);
			return (false);
		}
	}
	return (true);
}

/* The slot that is not as it would be after everything up to lsn, or NULL. */
static const struct slot *
differs(uint64_t lsn)
{
	static struct facts f;
	int i, k;

	for (i = 0; i < TENANTS; i++) {
		facts_at(&clients[i].self, lsn, &f);
		if (!same_facts(&f, &found[i].self))
			return (&clients[i].self);
		for (k = 0; k < SLOTS; k++) {
			facts_at(&clients[i].slots[k], lsn, &f);
			if (!same_facts(&f, &found[i].slots[k]))
				return (&clients[i].slots[k]);
		}
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

	for (i = 0; i < TENANTS; i++)
		for (k = -1; k < SLOTS; k++) {
			slot = k == -1 ? &clients[i].self :
			    &clients[i].slots[k];
			for (n = slot->n; n > 0 && slot->v[n - 1].lsn > above;
			    n--)
				if (least == 0 || slot->v[n - 1].lsn < least)
					least = slot->v[n - 1].lsn;
		}
	return (least);
}

/* The lsn of the last event of all, or 0. */
static uint64_t
last_event(void)
{
	uint64_t last = 0, lsn;

	while ((lsn = next_event(last)) != 0)
		last = lsn;
	return (last);
}

/* What never happened is forgotten, but for one to be retried. */
static void
forget_above(uint64_t lsn)
{
	struct slot *slot;
	int i, k;

	for (i = 0; i < TENANTS; i++)
		for (k = -1; k < SLOTS; k++) {
			slot = k == -1 ? &clients[i].self :
			    &clients[i].slots[k];
			while (slot->n > 0 &&
			    slot->v[slot->n - 1].lsn > lsn)
				slot->n--;
		}
}

static void
show_facts(const char *what, const struct facts *f)
{
	unsigned i;

	fprintf(report, "  %s: exists %d version %ju title %u items", what,
	    f->exists, (uintmax_t)f->version, f->title);
	for (i = 0; i < f->nitems; i++)
		fprintf(report, " %u", f->items[i]);
	fprintf(report, "\n");
}

static void
show_slot(const struct slot *slot, const struct facts *f)
{
	static struct facts should;
	size_t i;

	fprintf(report, "%s, durable up to %ju:\n", slot->id,
	    (uintmax_t)known);
	show_facts("found", f);
	facts_at(slot, known, &should);
	show_facts("durable", &should);
	for (i = 0; i < slot->n; i++)
		fprintf(report, "  lsn %ju version %ju kind %d first %u n %u "
		    "key %u\n", (uintmax_t)slot->v[i].lsn,
		    (uintmax_t)slot->v[i].version, slot->v[i].kind,
		    slot->v[i].first, slot->v[i].n, slot->v[i].key);
}

static void
show_difference(void)
{
	const struct slot *slot = differs(known);
	int i, k;

	for (i = 0; i < TENANTS; i++)
		for (k = -1; k < SLOTS; k++)
			if (slot == (k == -1 ? &clients[i].self :
			    &clients[i].slots[k]))
				show_slot(slot, k == -1 ? &found[i].self :
				    &found[i].slots[k]);
}

/*
 * The store that was opened is one that the clients may find.  Returns false
 * if the disk has gone before that could be seen.
 */
static bool
check_all(void)
{
	struct store_stats st;
	uint64_t lsn, next;

	if (!read_all())
		return (false);
	store_stats(s, &st);
	/* Without a disk nothing can be read; it is not moved then, either. */
	if ((st.quarantined > 0 && !simfs_is_stopped()) ||
	    simfs_count("/store/quarantine", "") > 0)
		complain("something is set aside");
	for (lsn = known; differs(lsn) != NULL; lsn = next) {
		if ((next = next_event(lsn)) != 0)
			continue;
		show_difference();
		complain("%s is not as any client may find it",
		    differs(known)->id);
		return (true);
	}
	simfs_say("found as of lsn %ju", (uintmax_t)lsn);
	/* It was seen now, and must stay. */
	forget_above(lsn);
	known = lsn;
	return (true);
}

/* What readers are shown when the disk is gone must be there afterwards. */
static void
observe(void)
{
	static struct facts f;
	struct client *c;
	struct slot *slot;
	uint64_t lsn;
	size_t n;
	int i, k;

	if (store_durable(s) > known)
		known = store_durable(s);
	simfs_say("durable up to %ju", (uintmax_t)known);
	for (i = 0; i < TENANTS; i++)
		for (k = 0, c = &clients[i]; c->t != NULL && k < SLOTS; k++) {
			slot = &c->slots[k];
			if (read_slot(c, slot, &f, &lsn) != STORE_OK ||
			    lsn > known || !f.exists)
				continue;
			for (n = slot->n; n > 0; n--)
				if (slot->v[n - 1].version == f.version)
					break;
			if (n == 0 || slot->v[n - 1].lsn > known)
				complain("%s: version %ju is shown, and not "
				    "durable", slot->id, (uintmax_t)f.version);
		}
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
	struct item *items[4];
	struct change ch = { .kind = e->kind, .items = items,
	    .nitems = e->n };
	struct change_once once;
	struct outcome o;
	enum store_err err;
	char key[24], title[24];
	unsigned i;

	(void)snprintf(key, sizeof(key), "k%u", e->key);
	(void)snprintf(title, sizeof(title), "t%u", e->first);
	once = state_once(key, "body");
	ch.once = &once;
	strlcpy(ch.conversation, slot->id, sizeof(ch.conversation));
	ch.has_title = e->kind == CHANGE_CONVERSATION_UPDATE;
	ch.title = title;
	ch.title_len = strlen(title);
	for (i = 0; i < e->n; i++)
		items[i] = item_of(e->first + i);
	err = store_commit(s, c->t, &ch, &o);
	for (i = 0; i < e->n; i++)
		item_unref(items[i]);
	if (err != STORE_OK) {
		if (!may_fail())
			complain("%s: retry of key %u: %d", slot->id, e->key,
			    err);
	} else if (!o.is_repeat || o.version != e->version)
		complain("%s: retry of key %u: repeat %d, version %ju not %ju",
		    slot->id, e->key, o.is_repeat, (uintmax_t)o.version,
		    (uintmax_t)e->version);
	store_outcome_fini(&o);
}

/* Retry the newest keyed change of each slot, and one older. */
static void
retry_all(void)
{
	struct client *c;
	struct slot *slot;
	size_t n;
	int i, k, left;

	for (i = 0; i < TENANTS; i++)
		for (k = 0, c = &clients[i]; c->t != NULL && k < SLOTS; k++) {
			slot = &c->slots[k];
			for (left = 2, n = slot->n; n > 0 && left > 0; n--)
				if (slot->v[n - 1].key != 0 &&
				    !is_past(slot, n - 1)) {
					retry(c, slot, &slot->v[n - 1]);
					left--;
				}
		}
}

/* --- lives -------------------------------------------------------------- */

/* Choose the last call. */
static void
plan_stop(bool is_start)
{
	uint64_t *r = &line_random;

	switch (draw(r, 4)) {
	case 0:
		simfs_stop_at(FAULT_ANY, 1 + draw(r, is_start ? 80 : 300));
		break;
	case 1:
		simfs_stop_at(NAMES, 1 + draw(r, is_start ? 6 : 25));
		break;
	default:
		simfs_stop_at(SYNCS, 1 + draw(r, is_start ? 8 : 50));
		break;
	}
}

/* Sometimes a sync fails first. */
static void
plan_fault(void)
{
	static const unsigned masks[] = { FAULT_FDATASYNC, FAULT_FSYNC, SYNCS };

	if (draw(&line_random, 4) == 0)
		simfs_fail(masks[draw(&line_random, 3)], 1 +
		    draw(&line_random, 30), EIO, draw(&line_random, 5) == 0);
	else
		simfs_fail(0, 0, 0, false);
}

static void
work_all(void)
{
	struct client *c;
	int i, nthreads = draw(&line_random, 3) == 0 ? TENANTS : 1;

	for (i = 0; i < TENANTS; i++) {
		c = &clients[i];
		c->steps = 10 + (unsigned)draw(&line_random, 30);
		c->random = draw(&line_random, UINT32_MAX);
	}
	if (nthreads > 1) {
		for (i = 0; i < TENANTS; i++)
			assert_int_equal(thread_start(&clients[i].thread,
			    "client", work, &clients[i]), 0);
		for (i = 0; i < TENANTS; i++)
			thread_join(&clients[i].thread);
	} else
		for (i = 0; i < TENANTS; i++)
			work(&clients[i]);
}

/*
 * A store is open: let it go.  Some end in peace, as far as they come; then
 * what its clients changed, and nothing of an earlier life, is on the disk.
 */
static void
end_store(bool is_checked)
{
	bool is_peace = draw(&line_random, 4) == 0;
	int i;

	if (!is_peace)
		simfs_stop();
	observe();
	for (i = 0; i < TENANTS; i++) {
		store_tenant_put(clients[i].t);
		clients[i].t = NULL;
	}
	nkinds[simfs_is_stopped() ? 0 : 2]++;
	if (store_close(s) == 0) {
		if (is_checked && last_event() > known)
			known = last_event();
		simfs_say("closed, durable up to %ju", (uintmax_t)known);
	} else if (!may_fail())
		complain("the store cannot be closed");
	s = NULL;
}

static void
cut(void)
{
	simfs_stop();
	if (draw(&line_random, 8) == 0) {
		nkinds[3]++;
		simfs_kill();
	} else
		simfs_power_cut(seed << 20 | ncuts);
	ncuts++;
}

/* From a start to the next cut. */
static void
live(void)
{
	bool is_early = draw(&line_random, 3) == 0, is_checked;
	pid_t holder;

	if (is_early)
		plan_stop(true);
	plan_fault();
	if (store_open(&options, &s, &holder) == -1) {
		if (!may_fail())
			complain("the store does not open: %s",
			    strerror(errno));
		nkinds[1]++;
		cut();
		return;
	}
	if (!is_early)
		plan_stop(false);
	is_checked = check_all();
	if (is_checked && !has_complaint()) {
		retry_all();
		work_all();
	}
	end_store(is_checked);
	cut();
}

static void
clear_client(struct client *c, int i)
{
	int k;

	free(c->self.v);
	for (k = 0; k < SLOTS; k++)
		free(c->slots[k].v);
	memset(c, 0, sizeof(*c));
	(void)snprintf(c->name, sizeof(c->name), "tenant%d", i);
	strlcpy(c->self.id, c->name, sizeof(c->self.id));
	for (k = 0; k < SLOTS; k++)
		(void)snprintf(c->slots[k].id, ID_SIZE, "conv_%d_%d", i, k);
	c->next = 1;
}

/* The log of this line of lives: its end. */
static void
show_log(void)
{
	static char log[8192];
	off_t end = lseek(STDERR_FILENO, 0, SEEK_END);
	off_t from = end > (off_t)sizeof(log) ? end - (off_t)sizeof(log) : 0;
	ssize_t n;

	n = pread(STDERR_FILENO, log, sizeof(log), from);
	if (n > 0)
		fprintf(report, "%.*s\n", (int)n, log);
}

static void
begin_line(uint64_t its_seed)
{
	static const size_t segments[] = { 4096, 16384, 65536 };
	int i;

	seed = line_random = its_seed;
	known = 0;
	simfs_reset(its_seed);
	(void)!ftruncate(STDERR_FILENO, 0);
	(void)lseek(STDERR_FILENO, 0, SEEK_SET);
	for (i = 0; i < TENANTS; i++)
		clear_client(&clients[i], i);
	options = state_options("/store");
	options.journal_segment = segments[draw(&line_random, 3)];
	if (draw(&line_random, 3) != 0)
		options.keep_ms = 0;
}

static void
end_line(uint64_t its_seed, int ends)
{
	if (!has_complaint())
		return;
	fprintf(report, "%s\nSEED=%ju, cut %d\n", complaint,
	    (uintmax_t)its_seed, ends);
	simfs_trace(report);
	show_log();
	fflush(report);
}

/* A line of lives, each of what the last one left. */
static void
line(uint64_t its_seed)
{
	int i;

	begin_line(its_seed);
	for (i = 0; i < LIFE_CUTS && !has_complaint(); i++)
		live();
	end_line(its_seed, i);
}

/* --- stories ------------------------------------------------------------ */

/* Seeds for what a cut leaves, at each place. */
#define STORY_CUTS	8

static void
start(void)
{
	pid_t holder;

	assert_int_equal(store_open(&options, &s, &holder), 0);
	assert_true(check_all());
}

/* The process ends where it is; then the power too, or not. */
static void
end_here(bool is_kill, uint64_t cut_seed)
{
	simfs_stop();
	if (is_kill)
		simfs_kill();
	else
		simfs_power_cut(cut_seed);
}

/* Work, without a flush, until all of it is durable. */
static void
work_quietly(struct client *c, unsigned steps)
{
	c->random = seed;
	c->is_quiet = true;
	c->steps = steps;
	work(c);
	assert_int_equal(store_wait(s, last_event()), STORE_OK);
}

/*
 * The first start of all ends at its n-th call; the next one makes the store,
 * works, and loses its power: what it acknowledged is there.
 */
static bool
first_start(unsigned long n, uint64_t k)
{
	pid_t holder;
	bool is_last;

	simfs_stop_at(FAULT_ANY, n);
	is_last = store_open(&options, &s, &holder) == 0;
	if (is_last)
		end_store(false);
	end_here(k % 2 == 0, k);
	start();
	work_quietly(&clients[0], 5);
	simfs_stop();
	end_store(true);
	end_here(false, k);
	start();
	end_store(true);
	return (is_last);
}

/*
 * A flush ends at its n-th call, killed behind its renames and before it has
 * synced their folder, say.  The next start finds the new documents, in the
 * cache; it has nothing to write, and its flush lets their part of the journal
 * go.  Then the power is cut.
 */
static bool
flush(unsigned long n, uint64_t k)
{
	bool is_last;

	start();
	work_quietly(&clients[0], 12);
	simfs_stop_at(FAULT_ANY, n);
	(void)store_flush(s);
	is_last = !simfs_is_stopped();
	end_store(true);
	end_here(k % 2 == 0, k);
	start();
	assert_int_equal(store_flush(s), 0);
	simfs_stop();
	end_store(true);
	end_here(false, k);
	start();
	end_store(true);
	return (is_last);
}

/* Run the story for each place to end at, some times. */
static void
tell(bool (*story)(unsigned long, uint64_t))
{
	unsigned long n;
	bool is_last = false;
	uint64_t k;

	for (n = 1; !is_last && !has_complaint(); n++)
		for (k = 0; k < STORY_CUTS && !has_complaint(); k++) {
			begin_line(1);
			options.keep_ms = 0;
			is_last = story(n, k);
			end_line(n, (int)k);
		}
	assert_false(has_complaint());
	assert_true(n > 20);
}

static void
first_start_ends(void **state)
{
	(void)state;
	tell(first_start);
}

static void
flush_ends(void **state)
{
	(void)state;
	tell(flush);
}

static unsigned long
number_of(const char *name, unsigned long otherwise)
{
	const char *value = getenv(name);

	return (value != NULL ? strtoul(value, NULL, 10) : otherwise);
}

static void
cuts(void **state)
{
	unsigned long n = number_of("POWERCUTS", CUTS), one;

	(void)state;
	memset(nkinds, 0, sizeof(nkinds));
	one = number_of("SEED", 0);
	for (; ncuts < n && !has_complaint(); one++)
		line(one);
	fprintf(report, "%lu simulated ends: %lu at work, %lu at start, %lu at "
	    "a stop; %lu of them kills, the others power cuts\n", ncuts,
	    nkinds[0], nkinds[1], nkinds[2], nkinds[3]);
	fflush(report);
	assert_false(has_complaint());
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_start_ends),
		cmocka_unit_test(flush_ends),
		cmocka_unit_test(cuts),
	};
	int fd;

	/* Each end is logged, as it should: nobody reads ten thousand. */
	report = fdopen(dup(STDERR_FILENO), "w");
	fd = memfd_create("log", MFD_CLOEXEC);
	if (report == NULL || fd == -1 || dup2(fd, STDERR_FILENO) == -1)
		return (1);
	simfs_init();
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
