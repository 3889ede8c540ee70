/*
 * What readers are shown while the disk is sick: the durable prefix, all of it
 * and at once (promises 2 and 8).  Whatever was changed, in whatever order, a
 * state that readers saw when it was the newest is what they are shown again
 * as long as nothing behind it is durable.
 */

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
#include "store/store.h"
#include "store/store_internal.h"
#include "store/sys.h"
#include "tests/fault.h"
#include "tests/state.h"

static char dir[STATE_PATH], copy[STATE_PATH];
static struct store *s;
static struct tenant *t;

static struct change
change_of(enum change_kind kind, const char *id)
{
	struct change ch = { .kind = kind };

	strlcpy(ch.conversation, id, sizeof(ch.conversation));
	return (ch);
}

/* --- what readers see --------------------------------------------------- */

/* Ids of conversations and items that a model uses. */
#define NIDS	6
#define NITEMS	12

/* A conversation that was deleted does not come again: others each round. */
static int era;

static void
name_of(char id[ID_SIZE], int i)
{

	snprintf(id, ID_SIZE, "c%d-%d", era, i);
}

static void
add_view(struct buf *b, const struct conversation_view *v)
{

	buf_addf(b, " %s user %s title %s metadata %s preview %s", v->id,
	    v->user != NULL ? v->user : "-", v->title != NULL ? v->title : "-",
	    v->metadata, v->preview);
	buf_addf(b, " at %jd %jd version %ju lsn %ju items %ju bytes %ju\n",
	    (intmax_t)v->created_at, (intmax_t)v->updated_at,
	    (uintmax_t)v->version, (uintmax_t)v->lsn,
	    (uintmax_t)v->item_count, (uintmax_t)v->bytes);
}

/* What is asked now is answered now. */
static void
check_lsn(uint64_t lsn, bool is_durable)
{

	if (is_durable)
		assert_true(lsn <= store_durable(s));
}

static void
add_items(struct buf *b, const char *id, enum store_order order, bool durable)
{
	struct items_page p;
	const char *after = NULL;
	char last[ID_SIZE];
	enum store_err err;
	size_t i;

	do {
		err = store_items(t, id, NULL, after, order, 2, &p);
		check_lsn(p.lsn, durable);
		buf_addf(b, " page %d version %ju", err,
		    (uintmax_t)p.version);
		for (i = 0; i < p.nitems; i++)
			buf_addf(b, " %s@%ju", p.items[i]->id,
			    (uintmax_t)p.items[i]->position);
		buf_addf(b, " more %d\n", p.has_more);
		if (p.nitems > 0)
			strlcpy(last, p.items[p.nitems - 1]->id,
			    sizeof(last));
		after = p.has_more ? last : NULL;
		store_items_fini(&p);
	} while (after != NULL);
}

static void
add_conversation(struct buf *b, const char *id, bool durable)
{
	struct conversation_view v;
	struct item *it;
	uint64_t lsn, version;
	char name[16];
	int i, err;

	err = store_conversation(t, id, "u1", &v, &lsn);
	check_lsn(lsn, durable);
	buf_addf(b, "%s %d to u1\n", id, err);
	store_view_fini(&v);
	err = store_conversation(t, id, NULL, &v, &lsn);
	check_lsn(lsn, durable);
	buf_addf(b, "%s %d\n", id, err);
	if (err != STORE_OK)
		return;
	add_view(b, &v);
	store_view_fini(&v);
	add_items(b, id, STORE_ASC, durable);
	add_items(b, id, STORE_DESC, durable);
	for (i = 0; i < NITEMS; i++) {
		snprintf(name, sizeof(name), "i%d", i);
		err = store_item(t, id, NULL, name, &it, &version, &lsn);
		check_lsn(lsn, durable);
		if (err == STORE_OK) {
			buf_addf(b, " %ju ", (uintmax_t)version);
			buf_add(b, it->json, it->len);
			buf_addc(b, '\n');
		}
		item_unref(it);
	}
}

/* The whole list, page by page; from both ends. */
static void
add_list(struct buf *b, struct list_query q, bool durable)
{
	struct list_page p;
	struct list_cursor last;
	char before[ID_SIZE] = "";
	enum store_err err;
	size_t i;
	bool more;

	q.limit = 2;
	do {
		err = store_list(t, &q, &p);
		check_lsn(p.lsn, durable);
		buf_addf(b, "list %d %d %s: %d\n", q.sort, q.order,
		    q.user != NULL ? q.user : "-", err);
		for (i = 0; i < p.nviews; i++)
			add_view(b, &p.views[i]);
		if (p.nviews > 0)
			strlcpy(before, p.views[p.nviews - 1].id, ID_SIZE);
		more = p.has_more;
		last = p.last;
		q.after = &last;
		store_list_fini(&p);
	} while (more);
	if (before[0] == '\0')
		return;
	q.after = NULL;
	q.before_id = before;
	err = store_list(t, &q, &p);
	check_lsn(p.lsn, durable);
	buf_addf(b, "before: %d %d\n", err, p.has_more);
	for (i = 0; i < p.nviews; i++)
		add_view(b, &p.views[i]);
	store_list_fini(&p);
}

static void
add_keys(struct buf *b, enum store_err (*read)(struct tenant *,
    struct credential **, size_t *, uint64_t *), bool durable)
{
	unsigned char hash[KEY_HASH_SIZE] = { 0 };
	struct credential *v;
	char id[ID_SIZE];
	uint64_t lsn;
	size_t i, n;
	int err;

	assert_int_equal(read(t, &v, &n, &lsn), STORE_OK);
	check_lsn(lsn, durable);
	for (i = 0; i < n; i++)
		buf_addf(b, "key %s %jd\n", v[i].id,
		    (intmax_t)v[i].created_at);
	store_credentials_free(v, n);
	for (i = 0; i < 4; i++) {
		hash[0] = (unsigned char)i;
		err = store_apikey_check(t, hash, id, &lsn);
		check_lsn(lsn, durable);
		buf_addf(b, "hash %zu: %d %s\n", i, err,
		    err == STORE_OK ? id : "");
	}
}

/* All that anybody may ask, as text (new). */
static char *
look(bool durable)
{
	struct buf b = BUF_INITIALIZER;
	const char *key = "k", *value = "1";
	struct list_query q = { .limit = 0 };
	char id[ID_SIZE];
	size_t len;
	int i;

	for (i = 0; i < NIDS; i++) {
		name_of(id, i);
		add_conversation(&b, id, durable);
	}
	for (i = 0; i < 8; i++) {
		q.sort = i % 2 == 0 ? STORE_BY_UPDATED : STORE_BY_CREATED;
		q.order = i / 2 % 2 == 0 ? STORE_ASC : STORE_DESC;
		q.user = i < 4 ? NULL : "u1";
		add_list(&b, q, durable);
	}
	q.user = NULL;
	q.metadata_keys = &key;
	q.metadata_values = &value;
	q.nmetadata = 1;
	add_list(&b, q, durable);
	add_keys(&b, store_apikeys, durable);
	add_keys(&b, store_jwtkeys, durable);
	assert_true(buf_ok(&b));
	return (buf_take(&b, &len));
}

/* --- any changes, in any order ------------------------------------------ */

/* Who changes what, by chance that is the same in each run. */
static uint64_t chance;

static uint32_t
draw(uint32_t n)
{

	chance = chance * 6364136223846793005 + 1442695040888963407;
	return ((uint32_t)(chance >> 33) % n);
}

/* Fill in a change of some kind of something. */
static void
draw_change(struct change *ch, struct item *items[3],
    struct credential *k)
{
	static const enum change_kind kinds[] = {
		CHANGE_CONVERSATION_CREATE, CHANGE_CONVERSATION_CREATE,
		CHANGE_CONVERSATION_CREATE, CHANGE_CONVERSATION_UPDATE,
		CHANGE_CONVERSATION_UPDATE, CHANGE_CONVERSATION_UPDATE,
		CHANGE_CONVERSATION_DELETE, CHANGE_ITEMS_APPEND,
		CHANGE_ITEMS_APPEND, CHANGE_ITEMS_APPEND, CHANGE_ITEM_DELETE,
		CHANGE_ITEM_DELETE, CHANGE_ITEM_DELETE, CHANGE_ITEM_DELETE,
		CHANGE_ITEM_DELETE, CHANGE_ITEM_DELETE,
		CHANGE_CONVERSATION_IMPORT, CHANGE_APIKEY_ADD,
		CHANGE_APIKEY_REVOKE, CHANGE_JWTKEY_ADD,
		CHANGE_JWTKEY_REVOKE };
	static const char *const maps[] = { "{}", "{\"k\":\"1\"}",
	    "{\"k\":\"2\",\"title\":\"of the map\"}" };
	static const char *const titles[] = { NULL, "one", "two" };
	char text[32];
	size_t i;

	memset(ch, 0, sizeof(*ch));
	ch->kind = kinds[draw(sizeof(kinds) / sizeof(kinds[0]))];
	name_of(ch->conversation, (int)draw(NIDS));
	if ((ch->kind == CHANGE_CONVERSATION_CREATE ||
	    ch->kind == CHANGE_CONVERSATION_IMPORT) && draw(2) == 0)
		ch->user = "u1";
	ch->created_at = 1000 + draw(100);
	ch->updated_at = ch->created_at + draw(100);
	ch->replaces = draw(2) == 0;
	ch->has_title = draw(2) == 0;
	ch->title = titles[draw(3)];
	ch->title_len = ch->title != NULL ? strlen(ch->title) : 0;
	ch->has_metadata = draw(2) == 0;
	i = draw(3);
	ch->metadata = (struct span){ maps[i], strlen(maps[i]) };
	snprintf(ch->item, sizeof(ch->item), "i%u", draw(NITEMS));
	for (i = 0; i < 3; i++) {
		snprintf(text, sizeof(text), "i%u", 3 * draw(NITEMS / 3) +
		    (uint32_t)i);
		item_unref(items[i]);
		items[i] = state_item(text, text);
	}
	ch->items = items;
	ch->nitems = 1 + draw(3);
	memset(k, 0, sizeof(*k));
	i = draw(4);
	snprintf(k->id, sizeof(k->id), "key_%zu", i);
	k->created_at = draw(1000);
	k->hash[0] = (unsigned char)i;
	if (ch->kind == CHANGE_JWTKEY_ADD)
		k->secret_len = 5;
	ch->credential = k;
}

/* Make n changes that are accepted.  Returns the lsn of the last. */
static uint64_t
make_changes(int n)
{
	struct item *items[3] = { NULL, NULL, NULL };
	struct credential k;
	struct change ch;
	struct outcome o;
	uint64_t lsn = 0;
	enum store_err err;
	int i;

	while (n > 0) {
		draw_change(&ch, items, &k);
		err = store_commit(s, t, &ch, &o);
		assert_true(err != STORE_NOMEM && err != STORE_UNSURE);
		if (err == STORE_OK && !o.is_repeat) {
			lsn = o.lsn;
			n--;
		}
		store_outcome_fini(&o);
		/* Some in one millisecond, some not. */
		if (draw(4) == 0)
			usleep(1500);
	}
	for (i = 0; i < 3; i++)
		item_unref(items[i]);
	return (lsn);
}

/* Those of an era. */
static void
delete_all(void)
{
	char id[ID_SIZE];
	int i;

	for (i = 0; i < NIDS; i++) {
		name_of(id, i);
		(void)state_delete(s, t, id, NULL);
	}
}

static void
assert_looks(const char *want)
{
	char *have = look(true);
	size_t i;

	for (i = 0; have[i] == want[i] && want[i] != '\0'; i++)
		;
	if (have[i] != want[i])
		fail_msg("differs at %zu:\n%.300s\nwanted\n%.300s", i,
		    have + (i < 150 ? 0 : i - 150),
		    want + (i < 150 ? 0 : i - 150));
	free(have);
}

static void
await_health(enum store_err err)
{
	int i;

	for (i = 0; i < 200 && store_health(s) != err; i++)
		usleep(50 * 1000);
	assert_int_equal(store_health(s), err);
}

/* The sync that stands at the gate fails, and whatever is tried then. */
static void
break_journal(void)
{

	fault_arm_forever(FAULT_FDATASYNC | FAULT_FSYNC | FAULT_PWRITEV |
	    FAULT_OPENAT, 1, ENOSPC);
	fault_gate_open();
	await_health(STORE_FULL);
}

static void
mend_journal(void)
{

	fault_disarm();
	await_health(STORE_OK);
}

#define ROUNDS	60
#define BREAKS	12		/* one in so many breaks the journal */

/*
 * Three batches: one that is being synced, what comes meanwhile, and what
 * comes while that is synced; the last fails.
 */
static void
any_changes(void **state)
{
	char *before, *first, *second, *last;
	uint64_t lsn[3];
	int i;

	(void)state;
	for (i = 0; i < ROUNDS; i++) {
		chance = (uint64_t)i;
		delete_all();
		era = i;
		assert_int_equal(store_wait(s, make_changes(10 +
		    (int)draw(20))), STORE_OK);
		if (i % 3 == 0)
			assert_int_equal(store_flush(s), 0);
		before = look(false);

		fault_gate_close(FAULT_FDATASYNC);
		lsn[0] = make_changes(1);
		first = look(false);
		assert_true(fault_gate_await());
		lsn[1] = make_changes(1 + (int)draw(12));
		second = look(false);

		/* It hangs, and who waited long enough is answered. */
		store_late(s, lsn[0]);
		assert_looks(before);
		fault_gate_pass();
		assert_int_equal(store_wait(s, lsn[0]), STORE_OK);
		assert_true(fault_gate_await());
		/* Now it is the second batch that hangs. */
		lsn[2] = make_changes(1 + (int)draw(12));
		last = look(false);
		store_late(s, lsn[2]);
		assert_looks(first);

		fault_gate_pass();
		assert_int_equal(store_wait(s, lsn[1]), STORE_OK);
		assert_true(fault_gate_await());
		assert_looks(second);
		if (i % BREAKS == 0) {
			break_journal();
			assert_looks(second);
			mend_journal();
		} else
			fault_gate_open();
		assert_int_equal(store_wait(s, lsn[2]), STORE_OK);
		assert_looks(last);
		free(before);
		free(first);
		free(second);
		free(last);
	}
}

/* --- one by one --------------------------------------------------------- */

/* Changes from now on stand at the gate. */
static void
hold_disk(void)
{

	fault_gate_close(FAULT_FDATASYNC);
}

/* One more change, which nobody waits for.  Its lsn. */
static uint64_t
change(const struct change *ch)
{
	struct outcome o;
	uint64_t lsn;

	assert_int_equal(store_commit(s, t, ch, &o), STORE_OK);
	lsn = o.lsn;
	store_outcome_fini(&o);
	return (lsn);
}

static enum store_err
look_at(const char *id)
{
	struct conversation_view v;
	enum store_err err;
	uint64_t lsn;

	err = store_conversation(t, id, NULL, &v, &lsn);
	assert_true(lsn <= store_durable(s));
	store_view_fini(&v);
	return (err);
}

/* What store_each visits. */
static int
add_name(const char *tenant, const struct conversation_view *v,
    struct item *const *items, size_t n, void *arg)
{

	(void)items;
	assert_string_equal(tenant, "acme");
	buf_addf(arg, "%s %ju %zu,", v->id, (uintmax_t)v->version, n);
	return (0);
}

/* A creation is not there yet, a deletion has not been. */
static void
there_or_not(void **state)
{
	struct list_query q = { .limit = 9, .order = STORE_DESC };
	struct change ch = change_of(CHANGE_CONVERSATION_CREATE, "new");
	struct buf b = BUF_INITIALIZER;
	struct list_page p;

	(void)state;
	assert_int_equal(state_create(s, t, "old", NULL, NULL, NULL), 0);
	usleep(2000);
	assert_int_equal(state_create(s, t, "newer", NULL, NULL, NULL), 0);
	usleep(2000);
	assert_int_equal(state_append(s, t, "newer", "i", "x", NULL, NULL), 0);
	hold_disk();
	(void)change(&ch);
	assert_true(fault_gate_await());
	ch = change_of(CHANGE_CONVERSATION_DELETE, "newer");
	(void)change(&ch);
	/* It would stand first. */
	ch = change_of(CHANGE_CONVERSATION_UPDATE, "old");
	ch.has_title = true;
	(void)change(&ch);
	break_journal();
	assert_int_equal(look_at("new"), STORE_NOENT);
	assert_int_equal(look_at("newer"), STORE_OK);
	assert_int_equal(store_list(t, &q, &p), STORE_OK);
	assert_int_equal(p.nviews, 2);
	assert_string_equal(p.views[0].id, "newer");
	assert_string_equal(p.views[1].id, "old");
	assert_int_equal(p.views[1].version, 1);
	store_list_fini(&p);
	assert_int_equal(state_append(s, t, "old", "i", "x", NULL, NULL),
	    STORE_FULL);
	assert_int_equal(store_each(s, "acme", add_name, &b), 0);
	buf_addc(&b, '\0');
	assert_string_equal(b.data, "newer 2 1,old 1 0,");
	buf_fini(&b);
	q.after_id = "new";
	assert_int_equal(store_list(t, &q, &p), STORE_NOCURSOR);
	store_list_fini(&p);
	q.after_id = "newer";
	assert_int_equal(store_list(t, &q, &p), STORE_OK);
	assert_int_equal(p.nviews, 1);
	store_list_fini(&p);
	mend_journal();
	assert_int_equal(look_at("new"), STORE_OK);
	assert_int_equal(look_at("newer"), STORE_NOENT);
}

/* A damaged one that is deleted is still damaged. */
static void
damaged(void **state)
{
	struct change ch = change_of(CHANGE_CONVERSATION_DELETE, "c1");
	struct list_query q = { .limit = 9 };
	struct list_page p;
	char path[128];

	(void)state;
	assert_int_equal(state_create(s, t, "c1", NULL, NULL, NULL), 0);
	assert_int_equal(store_flush(s), 0);
	store_tenant_put(t);
	state_close(s);
	state_write(dir, "tenants/acme/conversations/c1.json", "", 0);
	/* Nor does the journal reach back to it. */
	snprintf(path, sizeof(path), "%s/journal", dir);
	state_remove(path);
	s = state_open(dir);
	t = state_tenant(s, "acme");
	assert_int_equal(look_at("c1"), STORE_DAMAGED);
	hold_disk();
	(void)change(&ch);
	assert_true(fault_gate_await());
	break_journal();
	assert_int_equal(look_at("c1"), STORE_DAMAGED);
	assert_int_equal(store_list(t, &q, &p), STORE_OK);
	assert_int_equal(p.nviews, 0);
	store_list_fini(&p);
	mend_journal();
	assert_int_equal(look_at("c1"), STORE_NOENT);
}

/* A new key opens nothing yet, a revoked one still does. */
static void
keys_and_tenants(void **state)
{
	struct credential one = { .id = "key_1", .hash = { 1 } }, two = {
	    .id = "key_2", .hash = { 2 } };
	struct change ch = { .kind = CHANGE_APIKEY_ADD, .credential = &one };
	struct tenant *other;
	struct outcome o;
	char id[ID_SIZE];
	uint64_t lsn;

	(void)state;
	assert_int_equal(state_commit(s, t, &ch, NULL), STORE_OK);
	hold_disk();
	ch.credential = &two;
	(void)change(&ch);
	assert_true(fault_gate_await());
	ch.kind = CHANGE_APIKEY_REVOKE;
	ch.credential = &one;
	(void)change(&ch);
	ch = (struct change){ .kind = CHANGE_TENANT_CREATE, .tenant = "b" };
	assert_int_equal(store_commit(s, NULL, &ch, &o), STORE_OK);
	break_journal();
	assert_int_equal(store_apikey_check(t, one.hash, id, &lsn), STORE_OK);
	assert_true(lsn <= store_durable(s));
	assert_int_equal(store_apikey_check(t, two.hash, id, &lsn),
	    STORE_NOENT);
	assert_int_equal(store_tenant_get(s, "b", 1, &other), STORE_NOENT);
	/* Nor is anything of tenants changed now, in any way. */
	assert_int_equal(store_commit(s, NULL, &ch, &o), STORE_FULL);
	assert_int_equal(o.lsn, 0);
	mend_journal();
	assert_int_equal(store_apikey_check(t, one.hash, id, &lsn),
	    STORE_NOENT);
	assert_int_equal(store_apikey_check(t, two.hash, id, &lsn), STORE_OK);
	assert_int_equal(store_tenant_get(s, "b", 1, &other), STORE_OK);
	store_tenant_put(other);
}

static size_t
count_keys(enum store_err (*keys)(struct tenant *, struct credential **,
    size_t *, uint64_t *), struct tenant *of)
{
	struct credential *v;
	uint64_t lsn;
	size_t n;

	assert_int_equal(keys(of, &v, &n, &lsn), STORE_OK);
	store_credentials_free(v, n);
	return (n);
}

/* Nor do those that a tenant comes with, to who had found it before. */
static void
keys_of_new_tenants(void **state)
{
	struct credential k = { .id = "key_1", .hash = { 1 } };
	struct change ch = { .kind = CHANGE_TENANT_CREATE, .tenant = "b",
	    .apikeys = &k, .napikeys = 1, .jwtkeys = &k, .njwtkeys = 1 };
	struct tenant *b;
	struct outcome o;
	char id[ID_SIZE];
	uint64_t lsn;

	(void)state;
	hold_disk();
	assert_int_equal(store_commit(s, NULL, &ch, &o), STORE_OK);
	assert_true(fault_gate_await());
	assert_int_equal(store_tenant_get(s, "b", 1, &b), STORE_OK);
	assert_int_equal(store_apikey_check(b, k.hash, id, &lsn), STORE_OK);
	assert_int_equal(lsn, o.lsn);
	break_journal();
	assert_int_equal(store_apikey_check(b, k.hash, id, &lsn),
	    STORE_NOENT);
	assert_true(lsn <= store_durable(s));
	assert_int_equal(count_keys(store_apikeys, b), 0);
	assert_int_equal(count_keys(store_jwtkeys, b), 0);
	mend_journal();
	assert_int_equal(store_apikey_check(b, k.hash, id, &lsn), STORE_OK);
	assert_int_equal(count_keys(store_apikeys, b), 1);
	assert_int_equal(count_keys(store_jwtkeys, b), 1);
	store_tenant_put(b);
}

/* An append with that key, or none, and that count. */
static enum store_err
append(const char *id, const char *item, const char *key, uint32_t count,
    struct outcome *o)
{
	struct change_once once = state_once(key, item);
	struct change ch = change_of(CHANGE_ITEMS_APPEND, id);
	struct item *it = state_item(item, item);
	bool is_minted = true;
	enum store_err err;

	once.retry_count = count;
	ch.items = &it;
	ch.nitems = 1;
	ch.is_minted = &is_minted;
	ch.once = &once;
	err = store_commit(s, t, &ch, o);
	item_unref(it);
	return (err);
}

/* The first outcome is told, as it is in the durable prefix. */
static void
told_again(enum store_err err, struct outcome *o, uint64_t version,
    size_t nitems)
{

	assert_int_equal(err, STORE_OK);
	assert_true(o->is_repeat);
	assert_true(o->lsn <= store_durable(s));
	assert_int_equal(o->version, version);
	assert_int_equal(o->nitems, nitems);
	store_outcome_fini(o);
}

/* It is a retry, but of what nobody may know yet. */
static void
known_but_unsure(enum store_err err, struct outcome *o, uint64_t lsn)
{

	assert_int_equal(err, STORE_OK);
	assert_true(o->is_repeat);
	assert_true(o->lsn >= lsn && o->lsn > store_durable(s));
	store_outcome_fini(o);
}

/* Refused: the same to all, whatever is not durable. */
static void
refused(enum store_err err, const struct outcome *o)
{

	assert_int_equal(err, STORE_FULL);
	assert_int_equal(o->lsn, 0);
	assert_int_equal(o->version, 0);
}

/* Retries, while changes are refused, and after. */
static void
repeats(void **state)
{
	struct change_once once = state_once("d", "delete");
	struct change ch = change_of(CHANGE_ITEM_DELETE, "c1");
	struct outcome o;
	uint64_t lsn, gone;

	(void)state;
	assert_int_equal(state_create(s, t, "c1", "u1", "kc", NULL), 0);
	assert_int_equal(state_create(s, t, "c2", "u1", "kd", NULL), 0);
	assert_int_equal(append("c1", "a", "ka", 0, &o), STORE_OK);
	store_outcome_fini(&o);
	assert_int_equal(state_append(s, t, "c1", "own", "own", NULL, NULL),
	    STORE_OK);
	assert_int_equal(append("c2", "x", NULL, 0, &o), STORE_OK);
	assert_int_equal(store_wait(s, o.lsn), STORE_OK);
	store_outcome_fini(&o);
	hold_disk();
	assert_int_equal(append("c1", "b", "kb", 0, &o), STORE_OK);
	lsn = o.lsn;
	store_outcome_fini(&o);
	assert_true(fault_gate_await());
	/* What the first outcome names is gone, but not durably. */
	strlcpy(ch.item, "a", sizeof(ch.item));
	(void)change(&ch);
	ch = change_of(CHANGE_CONVERSATION_DELETE, "c2");
	ch.once = &once;
	gone = change(&ch);
	/* A retry that comes while the first is pending waits with it. */
	known_but_unsure(append("c1", "b", "kb", 0, &o), &o, lsn);
	break_journal();

	told_again(append("c1", "a", "ka", 0, &o), &o, 2, 1);
	told_again(state_create(s, t, "c1", "u1", "kc", &o), &o, 1, 0);
	told_again(state_create(s, t, "c2", "u1", "kd", &o), &o, 1, 0);
	known_but_unsure(append("c1", "b", "kb", 0, &o), &o, lsn);
	known_but_unsure(store_commit(s, t, &ch, &o), &o, gone);
	/* The items are the client's own: all are there, durably or not. */
	ch = change_of(CHANGE_ITEMS_APPEND, "c1");
	ch.items = (struct item *[]){ state_item("b", "b") };
	ch.nitems = 1;
	known_but_unsure(store_commit(s, t, &ch, &o), &o, lsn);
	item_unref(ch.items[0]);
	ch.items[0] = state_item("own", "own");
	told_again(store_commit(s, t, &ch, &o), &o, 3, 1);
	item_unref(ch.items[0]);
	/* Anything else. */
	refused(append("c1", "new", "kn", 0, &o), &o);
	refused(append("c1", "other", "ka", 0, &o), &o);
	refused(append("c2", "new", NULL, 0, &o), &o);
	ch = change_of(CHANGE_CONVERSATION_UPDATE, "c1");
	ch.if_version = 77;
	refused(store_commit(s, t, &ch, &o), &o);
	ch = change_of(CHANGE_CONVERSATION_IMPORT, "c1");
	ch.metadata = (struct span){ "{}", 2 };
	refused(store_commit(s, t, &ch, &o), &o);
	ch = change_of(CHANGE_CONVERSATION_UPDATE, "c1");
	/* A stranger is told nothing but what he may know. */
	ch.user = "u2";
	assert_int_equal(store_commit(s, t, &ch, &o), STORE_NOENT);
	assert_int_equal(o.lsn, 0);
	ch = change_of(CHANGE_CONVERSATION_UPDATE, "unknown");
	assert_int_equal(store_commit(s, t, &ch, &o), STORE_NOENT);
	assert_int_equal(o.lsn, 0);
	/* Deleted, but not durably: not even that. */
	ch = change_of(CHANGE_CONVERSATION_UPDATE, "c2");
	refused(store_commit(s, t, &ch, &o), &o);
	ch.user = "u2";
	assert_int_equal(store_commit(s, t, &ch, &o), STORE_NOENT);
	mend_journal();

	/* Now each gets its one true outcome, and nothing was added. */
	told_again(append("c1", "b", "kb", 0, &o), &o, 4, 1);
	told_again(append("c1", "a", "ka", 0, &o), &o, 2, 0);
	ch = change_of(CHANGE_CONVERSATION_DELETE, "c2");
	ch.once = &once;
	told_again(store_commit(s, t, &ch, &o), &o, 3, 0);
}

/* A client that only counts its retries, while the first is pending. */
static void
counted(void **state)
{
	struct outcome o;
	uint64_t lsn;

	(void)state;
	assert_int_equal(state_create(s, t, "c1", NULL, NULL, NULL), 0);
	hold_disk();
	assert_int_equal(append("c1", "a", NULL, 0, &o), STORE_OK);
	lsn = o.lsn;
	store_outcome_fini(&o);
	assert_true(fault_gate_await());
	known_but_unsure(append("c1", "a", NULL, 1, &o), &o, lsn);
	known_but_unsure(append("c1", "a", NULL, 2, &o), &o, lsn);
	break_journal();
	known_but_unsure(append("c1", "a", NULL, 1, &o), &o, lsn);
	/* An equal count is another message, and so is another body. */
	refused(append("c1", "a", NULL, 0, &o), &o);
	refused(append("c1", "b", NULL, 1, &o), &o);
	mend_journal();
	told_again(append("c1", "a", NULL, 3, &o), &o, 2, 1);
}

/*
 * What was loaded is durable, whatever lsn it brought along: of a store whose
 * journal is gone the numbers begin low, and rise when a tenant comes in.
 */
static void
loaded_meanwhile(void **state)
{
	struct credential k = { .id = "key_1", .hash = { 1 } };
	struct change ch = { .kind = CHANGE_APIKEY_ADD, .credential = &k };
	struct list_query q = { .limit = 9 };
	struct tenant *other;
	struct list_page p;
	char path[128], id[ID_SIZE];
	uint64_t lsn;
	int i;

	(void)state;
	for (i = 0; i < 50; i++)
		assert_int_equal(state_create(s, t, i == 0 ? "c1" : "c2",
		    NULL, NULL, NULL), i < 2 ? STORE_OK : STORE_EXISTS);
	for (i = 0; i < 50; i++)
		assert_int_equal(state_retitle(s, t, "c1", "t"), 0);
	assert_int_equal(state_commit(s, t, &ch, NULL), STORE_OK);
	store_tenant_put(t);
	state_close(s);
	snprintf(path, sizeof(path), "%s/journal", dir);
	state_remove(path);
	s = state_open(dir);
	other = state_tenant(s, "other");
	hold_disk();
	ch = (struct change){ .kind = CHANGE_TENANT_CREATE, .tenant = "b" };
	(void)change(&ch);
	assert_true(fault_gate_await());
	break_journal();
	/* It stays so, but files can be read. */
	fault_arm_forever(FAULT_PWRITEV | FAULT_FDATASYNC, 1, ENOSPC);
	assert_true(store_durable(s) < 50);
	t = state_tenant(s, "acme");
	assert_int_equal(look_at("c1"), STORE_OK);
	assert_int_equal(store_list(t, &q, &p), STORE_OK);
	assert_int_equal(p.nviews, 2);
	assert_true(p.lsn <= store_durable(s));
	store_list_fini(&p);
	assert_int_equal(store_apikey_check(t, k.hash, id, &lsn), STORE_OK);
	assert_true(lsn <= store_durable(s));
	mend_journal();
	store_tenant_put(other);
}

/* --- bounds ------------------------------------------------------------- */

/* What is kept is what waits for the disk, and one more. */
static void
no_more_than_needed(void **state)
{
	struct change ch = change_of(CHANGE_CONVERSATION_DELETE, "c1");
	struct credential k = { .id = "key_1" };
	struct change add = { .kind = CHANGE_APIKEY_ADD, .credential = &k };
	struct undo *one, *before = NULL;
	struct conversation *c;
	char item[16];
	int i;

	(void)state;
	assert_int_equal(state_create(s, t, "c1", NULL, NULL, NULL), 0);
	assert_non_null(c = tenant_hold(t, "c1"));
	for (i = 0; i < 50; i++) {
		snprintf(item, sizeof(item), "i%d", i);
		assert_int_equal(state_append(s, t, "c1", item, "x", NULL,
		    NULL), 0);
		assert_non_null(one = TAILQ_FIRST(&c->undos.list));
		/* The same again: none was made. */
		assert_true(i < 2 || one == before);
		before = one;
		assert_ptr_equal(TAILQ_FIRST(&c->undos.list),
		    TAILQ_LAST(&c->undos.list, undo_list));
		/* There is one to take, not one more. */
		assert_null(c->undos.spare);
	}
	assert_int_equal(store_flush(s), 0);
	assert_null(TAILQ_FIRST(&c->undos.list));
	assert_null(c->undos.spare);
	(void)store_wait(s, change(&ch));
	assert_int_equal(store_flush(s), 0);
	assert_null(TAILQ_FIRST(&c->undos.list));
	conversation_put(c);
	for (i = 0; i < 2; i++) {
		assert_int_equal(state_commit(s, t, &add, NULL), STORE_OK);
		assert_non_null(t->apikeys.past);
		assert_int_equal(store_flush(s), 0);
		assert_null(t->apikeys.past);
		add.kind = CHANGE_APIKEY_REVOKE;
	}
}

/* A start leaves none. */
static void
replay_makes_none(void **state)
{
	struct conversation *c;

	(void)state;
	assert_int_equal(state_create(s, t, "c1", NULL, NULL, NULL), 0);
	assert_int_equal(state_append(s, t, "c1", "a", "x", NULL, NULL), 0);
	state_copy(dir, copy);
	store_tenant_put(t);
	state_close(s);
	s = state_open(copy);
	t = state_tenant(s, "acme");
	assert_non_null(c = tenant_hold(t, "c1"));
	assert_int_equal(c->version, 2);
	assert_null(TAILQ_FIRST(&c->undos.list));
	assert_null(c->undos.spare);
	conversation_put(c);
}

/* --- setup -------------------------------------------------------------- */

static int
setup(void **state)
{

	(void)state;
	state_folder(dir);
	state_folder(copy);
	s = state_open(dir);
	t = state_tenant(s, "acme");
	return (0);
}

static int
teardown(void **state)
{

	(void)state;
	fault_disarm();
	store_tenant_put(t);
	state_close(s);
	state_remove(dir);
	state_remove(copy);
	return (0);
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(any_changes),
		TEST(there_or_not),
		TEST(damaged),
		TEST(keys_and_tenants),
		TEST(keys_of_new_tenants),
		TEST(repeats),
		TEST(counted),
		TEST(loaded_meanwhile),
		TEST(no_more_than_needed),
		TEST(replay_makes_none),
	};

	fault_init();
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
