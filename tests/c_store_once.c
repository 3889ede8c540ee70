/*
 * store.h: what is asked for twice is done once, whatever it is known by: an
 * idempotency key, a client's own id or its count of retries (promise 3).
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "store/store.h"
#include "tests/opened.h"

/* --- ids that clients choose -------------------------------------------- */

/* Append several; ids that begin with 'm' are minted by us. */
static enum store_err
append_ids(const char *id, const char *const *ids, const char *text,
    struct outcome *o)
{
	struct change ch = change_of(CHANGE_ITEMS_APPEND, id);
	struct item *v[8];
	bool minted[8];
	enum store_err err;
	size_t n;

	for (n = 0; ids[n] != NULL; n++) {
		v[n] = state_item(ids[n], text);
		minted[n] = ids[n][0] == 'm';
	}
	ch.items = v;
	ch.is_minted = minted;
	ch.nitems = n;
	err = state_commit(s, t, &ch, o);
	while (n > 0)
		item_unref(v[--n]);
	return (err);
}

static void
ids_are(const struct outcome *o, const char *const *ids)
{
	size_t i;

	for (i = 0; ids[i] != NULL; i++) {
		assert_true(i < o->nitems);
		assert_string_equal(o->items[i]->id, ids[i]);
	}
	assert_int_equal(o->nitems, i);
}

#define IDS(...)	((const char *const[]){ __VA_ARGS__, NULL })

/* Ids that clients choose are the cheapest idempotency (API.md). */
static void
client_ids(void **state)
{
	struct change ch = change_of(CHANGE_ITEMS_APPEND, "c1");
	struct items_page p;
	struct outcome o;
	struct item *it;
	const char *json;

	(void)state;
	assert_int_equal(state_create(s, t, "c1", NULL, NULL, NULL), 0);
	assert_int_equal(append_ids("c1", IDS("a", "b"), "x", &o), 0);
	assert_false(o.is_repeat);
	store_outcome_fini(&o);
	/* All there already: nothing is added, all are told. */
	assert_int_equal(append_ids("c1", IDS("b", "a"), "x", &o), 0);
	assert_true(o.is_repeat);
	assert_int_equal(o.version, 2);
	ids_are(&o, IDS("b", "a"));
	store_outcome_fini(&o);
	/* Some: they keep their place, the new ones are appended. */
	assert_int_equal(append_ids("c1", IDS("c", "a", "m1"), "x", &o), 0);
	assert_false(o.is_repeat);
	assert_int_equal(o.version, 3);
	ids_are(&o, IDS("c", "a", "m1"));
	assert_int_equal(o.items[1]->position, 1);
	store_outcome_fini(&o);
	/* Other content: the whole batch is refused. */
	assert_int_equal(append_ids("c1", IDS("new", "a"), "y", &o),
	    STORE_CONFLICT);
	store_outcome_fini(&o);
	assert_int_equal(store_items(t, "c1", NULL, NULL, STORE_ASC, 9, &p),
	    0);
	assert_int_equal(p.nitems, 4);
	assert_string_equal(p.items[0]->id, "a");
	assert_string_equal(p.items[1]->id, "b");
	assert_string_equal(p.items[2]->id, "c");
	assert_string_equal(p.items[3]->id, "m1");
	store_items_fini(&p);
	/* Equal whatever the order of members and the way a number is put. */
	json = "{\"id\":\"n\",\"type\":\"x\",\"v\":[1.50,{\"b\":1,\"a\":2}]}";
	it = item_new("n", json, strlen(json));
	ch.items = &it;
	ch.nitems = 1;
	assert_int_equal(state_commit(s, t, &ch, NULL), 0);
	item_unref(it);
	json = "{\"v\":[1.5,{\"a\":2,\"b\":1}],\"id\":\"n\",\"type\":\"x\"}";
	it = item_new("n", json, strlen(json));
	assert_int_equal(state_commit(s, t, &ch, &o), 0);
	assert_true(o.is_repeat);
	item_unref(it);
	store_outcome_fini(&o);
	/* A deleted one's id is new again. */
	assert_int_equal(state_delete_item(s, t, "c1", "a"), 0);
	assert_int_equal(append_ids("c1", IDS("a"), "y", &o), 0);
	assert_false(o.is_repeat);
	assert_int_equal(o.items[0]->position, 6);
	store_outcome_fini(&o);
}

/* --- keys and counts ---------------------------------------------------- */

static void
once_keys(void **state)
{
	struct outcome o;
	int round;

	(void)state;
	assert_int_equal(state_create(s, t, "c1", NULL, "k1", NULL), 0);
	assert_int_equal(state_append(s, t, "c1", "m1", "x", "k2", NULL), 0);
	assert_int_equal(state_append(s, t, "c1", "m2", "y", "k3", NULL), 0);
	assert_int_equal(state_create(s, t, "gone", NULL, "k4", NULL), 0);
	assert_int_equal(state_delete(s, t, "gone", "k5"), 0);
	/* Live, after a restart, and after one with everything flushed. */
	for (round = 0; round < 3; round++) {
		assert_int_equal(state_create(s, t, "c9", NULL, "k1", &o), 0);
		assert_true(o.is_repeat);
		assert_int_equal(o.version, 1);
		assert_string_equal(o.conversation, "c1");
		store_outcome_fini(&o);
		assert_int_equal(state_append(s, t, "c1", "m9", "x", "k2",
		    &o), 0);
		assert_true(o.is_repeat);
		assert_int_equal(o.version, 2);
		ids_are(&o, IDS("m1"));
		assert_int_equal(o.view.item_count, 2);
		store_outcome_fini(&o);
		assert_int_equal(state_append(s, t, "c1", "m9", "z", "k3",
		    NULL), STORE_REUSED);
		assert_int_equal(state_create(s, t, "g2", NULL, "k4", NULL),
		    STORE_NOENT);
		assert_int_equal(state_delete(s, t, "gone", "k5"), STORE_OK);
		assert_int_equal(state_delete(s, t, "gone", "k6"),
		    STORE_NOENT);
		reopen();
	}
	/* One deleted in between is left out of the first outcome. */
	assert_int_equal(state_delete_item(s, t, "c1", "m1"), 0);
	assert_int_equal(state_append(s, t, "c1", "m9", "x", "k2", &o), 0);
	assert_true(o.is_repeat);
	assert_int_equal(o.nitems, 0);
	store_outcome_fini(&o);
}

/* An unmodified client's retry: known by its count alone. */
static void
once_counts(void **state)
{
	struct change_once once = state_once(NULL, "body");
	struct change ch = change_of(CHANGE_ITEMS_APPEND, "c1");
	struct item *it = state_item("m1", "x");
	struct outcome o;

	(void)state;
	assert_int_equal(state_create(s, t, "c1", NULL, NULL, NULL), 0);
	ch.items = &it;
	ch.nitems = 1;
	ch.is_minted = &(const bool){ true };
	ch.once = &once;
	assert_int_equal(state_commit(s, t, &ch, NULL), 0);
	item_unref(it);
	it = state_item("m2", "x");
	once.retry_count = 1;
	assert_int_equal(state_commit(s, t, &ch, &o), 0);
	assert_true(o.is_repeat);
	ids_are(&o, IDS("m1"));
	store_outcome_fini(&o);
	/* Over a restart, too. */
	reopen();
	assert_int_equal(state_commit(s, t, &ch, &o), 0);
	assert_true(o.is_repeat);
	store_outcome_fini(&o);
	once.retry_count = 0;
	assert_int_equal(state_commit(s, t, &ch, &o), 0);
	assert_false(o.is_repeat);
	store_outcome_fini(&o);
	item_unref(it);
}

static void
once_limit(void **state)
{
	struct store_options opt = state_options(dir);
	char key[16], id[16];
	pid_t holder;
	int i;

	(void)state;
	close_store();
	opt.once_limit = 3;
	assert_int_equal(store_open(&opt, &s, &holder), 0);
	t = state_tenant(s, "acme");
	assert_int_equal(state_create(s, t, "c1", NULL, NULL, NULL), 0);
	for (i = 0; i < 3; i++) {
		(void)snprintf(key, sizeof(key), "k%d", i);
		(void)snprintf(id, sizeof(id), "m%d", i);
		assert_int_equal(state_append(s, t, "c1", id, "x", key, NULL),
		    0);
	}
	assert_int_equal(state_append(s, t, "c1", "m9", "x", "k9", NULL),
	    STORE_ONCE_LIMIT);
	assert_int_equal(state_append(s, t, "c1", "m9", "x", "k0", NULL), 0);
	assert_int_equal(state_append(s, t, "c1", "m9", "x", NULL, NULL), 0);
	/*
	 * It is a conversation's limit: a tenant's conversations may be as
	 * many as it likes.
	 */
	for (i = 0; i < 10; i++) {
		(void)snprintf(key, sizeof(key), "c%d", i);
		(void)snprintf(id, sizeof(id), "new%d", i);
		assert_int_equal(state_create(s, t, id, NULL, key, NULL), 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(client_ids),
		TEST(once_keys),
		TEST(once_counts),
		TEST(once_limit),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
