/*
 * What readers are shown while the disk is sick: the durable prefix, all of it
 * and at once (promises 2 and 8).  Whatever was changed, in whatever order, a
 * state that readers saw when it was the newest is what they are shown again
 * as long as nothing behind it is durable.
 */

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

#include "store/store.h"
#include "tests/fault.h"
#include "tests/opened.h"

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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(any_changes),
	};

	fault_init();
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
