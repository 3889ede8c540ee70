/*
 * store/import: a conversation comes in as it was exported, whole or not at
 * all, wherever a crash comes, and takes the place of none unless told to.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <bsd/string.h>

#include <cmocka.h>

#include "store/store.h"
#include "tests/imported.h"

/* The same from memory, from the journal and from a document. */
static void
keeps_all(void **state)
{
	struct change ch = import_of("c1");
	char *one, *two, *three;

	(void)state;
	assert_int_equal(import_items(&ch, 1, 7), STORE_OK);
	check_whole("c1", 7);
	one = state_dump(s);
	crash();
	check_whole("c1", 7);
	two = state_dump(s);
	reopen();
	check_whole("c1", 7);
	three = state_dump(s);
	assert_string_equal(one, two);
	assert_string_equal(one, three);
	free(one);
	free(two);
	free(three);
	/* And goes on from there, also from the journal. */
	assert_int_equal(state_append(s, t, "c1", "new", "x", NULL, NULL), 0);
	one = state_dump(s);
	crash();
	two = state_dump(s);
	assert_string_equal(one, two);
	free(one);
	free(two);
}

static void
comes_bare(void **state)
{
	struct change ch = { .kind = CHANGE_CONVERSATION_IMPORT,
	    .metadata = { "{}", 2 } };
	struct conversation_view v;
	uint64_t lsn;
	int i;

	(void)state;
	strlcpy(ch.conversation, "c1", sizeof(ch.conversation));
	assert_int_equal(state_commit(s, t, &ch, NULL), STORE_OK);
	for (i = 0; i < 3; i++) {
		assert_int_equal(store_conversation(t, "c1", NULL, &v, &lsn),
		    0);
		assert_null(v.user);
		assert_null(v.title);
		assert_int_equal(v.version, 1);
		assert_int_equal(v.created_at, 0);
		assert_int_equal(v.updated_at, 0);
		assert_int_equal(v.item_count, 0);
		store_view_fini(&v);
		if (i == 0)
			crash();
		else
			reopen();
	}
}

/* --- what is there already ---------------------------------------------- */

static void
replaces_if_told(void **state)
{
	struct change ch = import_of("c1");
	struct conversation_view v;
	char *before, *after;
	struct item *it;
	uint64_t lsn, version;

	(void)state;
	assert_int_equal(state_create(s, t, "c1", "bob", "key", NULL), 0);
	assert_int_equal(state_append(s, t, "c1", "m1", "mine", NULL, NULL),
	    0);
	before = state_dump(s);
	assert_int_equal(import_items(&ch, 1, 2), STORE_EXISTS);
	assert_int_equal(part("c1", 1, "b1", 1, 2), STORE_EXISTS);
	after = state_dump(s);
	assert_string_equal(before, after);
	free(before);
	free(after);

	ch.replaces = true;
	assert_int_equal(import_items(&ch, 1, 2), STORE_OK);
	check_whole("c1", 2);
	assert_int_equal(store_conversation(t, "c1", "bob", &v, &lsn),
	    STORE_NOENT);
	/* A version it had before never comes again. */
	ch.version = 1;
	assert_int_equal(import_items(&ch, 2, 3), STORE_OK);
	assert_int_equal(store_item(t, "c1", NULL, "m1", &it, &version, &lsn),
	    STORE_NOITEM);
	assert_int_equal(store_item(t, "c1", NULL, "m4", &it, &version, &lsn),
	    STORE_OK);
	assert_int_equal(version, 8);
	item_unref(it);
	before = state_dump(s);
	crash();
	after = state_dump(s);
	assert_string_equal(before, after);
	free(before);
	free(after);
}

/* In the lists it stands where its own times and user say. */
static void
moves_in_lists(void **state)
{
	struct list_query q = { .limit = 10, .sort = STORE_BY_CREATED };
	struct change ch = import_of("c2");
	struct list_page p;

	(void)state;
	assert_int_equal(state_create(s, t, "c1", "bob", NULL, NULL), 0);
	assert_int_equal(state_create(s, t, "c2", "bob", NULL, NULL), 0);
	ch.replaces = true;
	assert_int_equal(import_items(&ch, 1, 1), STORE_OK);
	assert_int_equal(store_list(t, &q, &p), STORE_OK);
	assert_int_equal(p.nviews, 2);
	assert_string_equal(p.views[0].id, "c2");
	store_list_fini(&p);
	q.sort = STORE_BY_UPDATED;
	assert_int_equal(store_list(t, &q, &p), STORE_OK);
	assert_string_equal(p.views[0].id, "c2");
	store_list_fini(&p);
	q.user = "bob";
	assert_int_equal(store_list(t, &q, &p), STORE_OK);
	assert_int_equal(p.nviews, 1);
	assert_string_equal(p.views[0].id, "c1");
	store_list_fini(&p);
}

/* What was deleted comes back, for good, and can be deleted again. */
static void
brings_back(void **state)
{
	struct change ch = import_of("c1");
	int i;

	(void)state;
	for (i = 0; i < 2; i++) {
		assert_int_equal(state_create(s, t, "c1", NULL, NULL, NULL),
		    i == 0 ? STORE_OK : STORE_EXISTS);
		assert_int_equal(state_delete(s, t, "c1", NULL), 0);
		assert_false(is_there("c1"));
		assert_int_equal(import_items(&ch, 1, 3), STORE_OK);
		assert_true(is_there("c1"));
		crash();
		assert_true(is_there("c1"));
		reopen();
		assert_true(is_there("c1"));
	}
	assert_int_equal(state_delete(s, t, "c1", NULL), 0);
	crash();
	assert_false(is_there("c1"));
	assert_int_equal(state_count(dir, "quarantine", ""), 0);
}

static void
heals(void **state)
{
	struct change ch = import_of("c1");
	struct conversation_view v;
	uint64_t lsn;

	(void)state;
	assert_int_equal(import_items(&ch, 1, 3), STORE_OK);
	close_store();
	state_write(dir, "tenants/acme/conversations/c1.json", "{}", 2);
	/* Nor may the journal mend it. */
	remove_journal();
	open_store(dir);
	assert_int_equal(store_conversation(t, "c1", NULL, &v, &lsn),
	    STORE_DAMAGED);
	assert_int_equal(import_items(&ch, 1, 3), STORE_OK);
	check_whole("c1", 3);
	crash();
	check_whole("c1", 3);
	reopen();
	check_whole("c1", 3);
	/* What was set aside is left there. */
	assert_true(state_count(dir, "quarantine", "c1") > 0);
}

/* A file of a later format is not written over, whoever asks. */
static void
leaves_newer(void **state)
{
	static const char newer[] = "{\"rememberd\":\"conversation\","
	    "\"format\":99,\"tenant\":\"acme\",\"id\":\"c1\"}\n";
	struct change ch = import_of("c1");
	size_t len;
	char *p;
	int i;

	(void)state;
	assert_int_equal(import_items(&ch, 1, 3), STORE_OK);
	for (i = 0; i < 2; i++) {
		close_store();
		state_write(dir, "tenants/acme/conversations/c1.json", newer,
		    strlen(newer));
		open_store(dir);
		ch.replaces = i == 1;
		assert_int_equal(import_items(&ch, 1, 3), STORE_NEWER);
	}
	assert_int_equal(store_flush(s), 0);
	assert_non_null(p = state_read(dir,
	    "tenants/acme/conversations/c1.json", &len));
	assert_string_equal(p, newer);
	free(p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(keeps_all),
		TEST(comes_bare),
		TEST(replaces_if_told),
		TEST(moves_in_lists),
		TEST(brings_back),
		TEST(heals),
		TEST(leaves_newer),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
