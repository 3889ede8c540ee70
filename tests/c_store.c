/*
 * store.h, the only door to the state: what is changed is read back, in every
 * page, by those who may, and by one process at a time (promises 1, 5, 9).
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <bsd/string.h>

#include <cmocka.h>

#include "store/store.h"
#include "tests/opened.h"

/* --- one conversation --------------------------------------------------- */

static void
life(void **state)
{
	struct conversation_view v;
	struct outcome o;
	struct item *it;
	uint64_t lsn, version;

	(void)state;
	assert_int_equal(state_create(s, t, "c1", "u1", NULL, &o), 0);
	assert_int_equal(o.version, 1);
	assert_false(o.is_repeat);
	assert_string_equal(o.view.id, "c1");
	assert_string_equal(o.view.user, "u1");
	assert_string_equal(o.view.metadata, "{}");
	assert_null(o.view.title);
	assert_int_equal(o.nitems, 0);
	store_outcome_fini(&o);
	assert_int_equal(state_create(s, t, "c1", "u1", NULL, NULL),
	    STORE_EXISTS);

	assert_int_equal(state_append(s, t, "c1", "m1", "hello", NULL, &o), 0);
	assert_int_equal(o.version, 2);
	assert_int_equal(o.nitems, 1);
	assert_string_equal(o.items[0]->id, "m1");
	assert_int_equal(o.view.item_count, 1);
	assert_string_equal(o.view.preview, "hello");
	store_outcome_fini(&o);
	assert_int_equal(state_append(s, t, "c1", "m2", "bye", NULL, NULL), 0);
	assert_int_equal(state_retitle(s, t, "c1", "title"), 0);
	assert_int_equal(store_item(t, "c1", NULL, "m1", &it, &version, &lsn),
	    0);
	assert_int_equal(it->position, 1);
	assert_int_equal(version, 4);
	item_unref(it);
	assert_int_equal(store_item(t, "c1", NULL, "m9", &it, &version, &lsn),
	    STORE_NOITEM);
	assert_int_equal(state_delete_item(s, t, "c1", "m9"), STORE_NOITEM);
	assert_int_equal(state_delete_item(s, t, "c1", "m2"), 0);
	assert_int_equal(store_conversation(t, "c1", NULL, &v, &lsn), 0);
	assert_string_equal(v.title, "title");
	assert_string_equal(v.preview, "hello");
	assert_int_equal(v.version, 5);
	assert_int_equal(v.item_count, 1);
	assert_true(v.updated_at >= v.created_at && v.created_at > 0);
	store_view_fini(&v);
	assert_int_equal(state_retitle(s, t, "c1", NULL), 0);
	assert_int_equal(store_conversation(t, "c1", NULL, &v, &lsn), 0);
	assert_null(v.title);
	store_view_fini(&v);

	assert_int_equal(state_delete(s, t, "c1", NULL), 0);
	assert_int_equal(store_conversation(t, "c1", NULL, &v, &lsn),
	    STORE_NOENT);
	assert_int_equal(state_append(s, t, "c1", "m3", "x", NULL, NULL),
	    STORE_NOENT);
	assert_int_equal(state_delete(s, t, "c1", NULL), STORE_NOENT);
	assert_int_equal(state_delete(s, t, "never", NULL), STORE_NOENT);
}

static void
metadata(void **state)
{
	struct conversation_view v;
	uint64_t lsn;

	(void)state;
	assert_int_equal(state_create(s, t, "c1", NULL, NULL, NULL), 0);
	set_metadata("c1", "{\"a\":\"1\",\"b\":\"x\\u0000y\"}", false, 0,
	    "{\"a\":\"1\",\"b\":\"x\\u0000y\"}");
	set_metadata("c1", "{\"a\":null,\"c\":\"\"}", true, 0,
	    "{\"b\":\"x\\u0000y\",\"c\":\"\"}");
	set_metadata("c1", "{\"none\":null}", true, 0,
	    "{\"b\":\"x\\u0000y\",\"c\":\"\"}");
	set_metadata("c1", "{\"1\":\"\",\"2\":\"\",\"3\":\"\",\"4\":\"\","
	    "\"5\":\"\",\"6\":\"\",\"7\":\"\",\"8\":\"\",\"9\":\"\","
	    "\"10\":\"\",\"11\":\"\",\"12\":\"\",\"13\":\"\",\"14\":\"\","
	    "\"15\":\"\"}", true, STORE_METADATA_LIMIT, NULL);
	set_metadata("c1", "{\"title\":\"from metadata\"}", false, 0,
	    "{\"title\":\"from metadata\"}");
	assert_int_equal(store_conversation(t, "c1", NULL, &v, &lsn), 0);
	assert_string_equal(v.title, "from metadata");
	assert_int_equal(v.version, 5);
	store_view_fini(&v);
}

static void
preconditions(void **state)
{
	struct change ch = change_of(CHANGE_CONVERSATION_UPDATE, "c1");
	struct outcome o;

	(void)state;
	assert_int_equal(state_create(s, t, "c1", NULL, NULL, NULL), 0);
	ch.has_title = true;
	ch.if_version = 7;
	assert_int_equal(state_commit(s, t, &ch, &o), STORE_PRECONDITION);
	assert_int_equal(o.version, 1);
	store_outcome_fini(&o);
	ch.if_version = 1;
	assert_int_equal(state_commit(s, t, &ch, NULL), STORE_OK);
	assert_int_equal(state_commit(s, t, &ch, &o), STORE_PRECONDITION);
	assert_int_equal(o.version, 2);
	store_outcome_fini(&o);
	ch.kind = CHANGE_CONVERSATION_DELETE;
	assert_int_equal(state_commit(s, t, &ch, NULL), STORE_PRECONDITION);
	ch.if_version = 2;
	assert_int_equal(state_commit(s, t, &ch, NULL), STORE_OK);
}

/* --- items -------------------------------------------------------------- */

#define NITEMS	57

/* Item number i of those that are left, as the model has them. */
static size_t kept[NITEMS], nkept;

static void
check_page(const char *after, size_t from, enum store_order order,
    size_t limit)
{
	struct items_page p;
	size_t i, left, at;
	char id[16];

	assert_int_equal(store_items(t, "c1", NULL, after, order, limit, &p),
	    STORE_OK);
	left = nkept - from;
	assert_int_equal(p.nitems, left < limit ? left : limit);
	assert_int_equal(p.has_more, left > limit);
	for (i = 0; i < p.nitems; i++) {
		at = order == STORE_ASC ? from + i : nkept - 1 - from - i;
		(void)snprintf(id, sizeof(id), "m%zu", kept[at]);
		assert_string_equal(p.items[i]->id, id);
		assert_int_equal(p.items[i]->position, kept[at] + 1);
	}
	store_items_fini(&p);
}

static void
pages_of_items(void **state)
{
	static const size_t limits[] = { 1, 2, 7, 56, 57, 1000 };
	struct items_page p;
	size_t i, l;
	char id[16];

	(void)state;
	assert_int_equal(state_create(s, t, "c1", NULL, NULL, NULL), 0);
	nkept = 0;
	check_page(NULL, 0, STORE_ASC, 5);
	check_page(NULL, 0, STORE_DESC, 5);
	for (i = 0; i < NITEMS; i++) {
		(void)snprintf(id, sizeof(id), "m%zu", i);
		assert_int_equal(state_append(s, t, "c1", id, "x", NULL,
		    NULL), 0);
	}
	for (i = 0; i < NITEMS; i++) {
		(void)snprintf(id, sizeof(id), "m%zu", i);
		if (i % 10 == 3)
			assert_int_equal(state_delete_item(s, t, "c1", id), 0);
		else
			kept[nkept++] = i;
	}
	for (l = 0; l < sizeof(limits) / sizeof(limits[0]); l++) {
		check_page(NULL, 0, STORE_ASC, limits[l]);
		check_page(NULL, 0, STORE_DESC, limits[l]);
		for (i = 0; i < nkept; i++) {
			(void)snprintf(id, sizeof(id), "m%zu", kept[i]);
			check_page(id, i + 1, STORE_ASC, limits[l]);
			check_page(id, nkept - i, STORE_DESC, limits[l]);
		}
	}
	assert_int_equal(store_items(t, "c1", NULL, "m3", STORE_ASC, 5, &p),
	    STORE_NOCURSOR);
	store_items_fini(&p);
}

/* --- walls -------------------------------------------------------------- */

/* Nothing of another user, and nothing of another tenant. */
static void
walls(void **state)
{
	static const enum change_kind kinds[] = { CHANGE_CONVERSATION_UPDATE,
	    CHANGE_CONVERSATION_DELETE, CHANGE_ITEMS_APPEND,
	    CHANGE_ITEM_DELETE };
	struct tenant *other = state_tenant(s, "other");
	struct item *it = state_item("m1", "x"), *found;
	struct conversation_view v;
	struct items_page p;
	struct list_page l;
	struct list_query q = { .limit = 5, .user = "u2" };
	struct change ch;
	struct outcome o;
	uint64_t lsn, version;
	size_t i;

	(void)state;
	assert_int_equal(state_create(s, t, "c1", "u1", NULL, NULL), 0);
	assert_int_equal(state_create(s, t, "c2", NULL, NULL, NULL), 0);
	assert_int_equal(state_append(s, t, "c1", "m1", "x", NULL, NULL), 0);
	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		ch = change_of(kinds[i], "c1");
		ch.items = &it;
		ch.nitems = 1;
		strlcpy(ch.item, "m1", sizeof(ch.item));
		ch.user = "u2";
		/* With a version, too: the wall comes first, and tells none. */
		ch.if_version = 99;
		assert_int_equal(store_commit(s, t, &ch, &o), STORE_NOENT);
		assert_int_equal(o.version, 0);
		assert_int_equal(o.lsn, 0);
		strlcpy(ch.conversation, "c2", sizeof(ch.conversation));
		assert_int_equal(store_commit(s, t, &ch, &o), STORE_NOENT);
		strlcpy(ch.conversation, "c1", sizeof(ch.conversation));
		ch.user = NULL;
		assert_int_equal(store_commit(s, other, &ch, &o), STORE_NOENT);
		assert_int_equal(o.version, 0);
	}
	item_unref(it);
	assert_int_equal(store_conversation(t, "c1", "u2", &v, &lsn),
	    STORE_NOENT);
	assert_int_equal(lsn, 0);
	assert_int_equal(store_conversation(t, "c2", "u2", &v, &lsn),
	    STORE_NOENT);
	assert_int_equal(store_conversation(other, "c1", NULL, &v, &lsn),
	    STORE_NOENT);
	assert_int_equal(store_items(t, "c1", "u2", NULL, STORE_ASC, 5, &p),
	    STORE_NOENT);
	assert_int_equal(store_items(other, "c1", NULL, NULL, STORE_ASC, 5,
	    &p), STORE_NOENT);
	assert_int_equal(store_item(t, "c1", "u2", "m1", &found, &version,
	    &lsn), STORE_NOENT);
	assert_int_equal(store_list(t, &q, &l), 0);
	assert_int_equal(l.nviews, 0);
	store_list_fini(&l);
	q.user = NULL;
	assert_int_equal(store_list(other, &q, &l), 0);
	assert_int_equal(l.nviews, 0);
	store_list_fini(&l);
	/* Its own it sees; and the same id may live in both tenants. */
	assert_int_equal(store_conversation(t, "c1", "u1", &v, &lsn), 0);
	store_view_fini(&v);
	assert_int_equal(state_create(s, other, "c1", NULL, NULL, NULL), 0);
	store_tenant_put(other);
}

static void
second_open(void **state)
{
	struct store_options o = state_options(dir);
	struct store *two;
	pid_t holder = -1;

	(void)state;
	assert_int_equal(store_open(&o, &two, &holder), -1);
	assert_int_equal(errno, EWOULDBLOCK);
	assert_int_equal(holder, getpid());
	/* And the first goes on. */
	assert_int_equal(state_create(s, t, "c1", NULL, NULL, NULL), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(life),
		TEST(metadata),
		TEST(preconditions),
		TEST(pages_of_items),
		TEST(walls),
		TEST(second_open),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
