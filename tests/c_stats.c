/*
 * store/stats: what is counted of each tenant is what a walk of all its
 * conversations finds, whatever was changed and however it came into memory.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "store/store.h"
#include "tests/state.h"

static char dir[STATE_PATH];
static struct store *s;

/* The size that the lists tell. */
static struct tenant_size
walk(struct tenant *t)
{
	struct list_query q = { .limit = 1000 };
	struct tenant_size size = { .name = "" };
	struct list_page page;
	size_t i;

	assert_int_equal(store_list(t, &q, &page), STORE_OK);
	assert_false(page.has_more);
	for (i = 0; i < page.nviews; i++) {
		size.conversations++;
		size.items += page.views[i].item_count;
		size.bytes += page.views[i].bytes;
	}
	store_list_fini(&page);
	return (size);
}

/* What is counted, of the one tenant in memory or of all that are. */
static struct tenant_size
counted(const char *name)
{
	struct tenant_size v[8], rest, none = { .name = "" };
	ssize_t i, n;

	n = store_tenant_sizes(s, v, 8, &rest);
	assert_true(n >= 0);
	assert_int_equal(rest.conversations, 0);
	for (i = 0; i < n; i++)
		if (strcmp(v[i].name, name) == 0)
			return (v[i]);
	return (none);
}

static void
assert_counted(struct tenant *t)
{
	struct tenant_size is = counted(store_tenant_name(t)), want = walk(t);

	assert_int_equal(is.conversations, want.conversations);
	assert_int_equal(is.items, want.items);
	assert_int_equal(is.bytes, want.bytes);
}

static void
reopen(bool is_flushed)
{
	char copy[STATE_PATH];

	if (is_flushed)
		assert_int_equal(store_flush(s), 0);
	/* As a crash leaves it: a close would flush. */
	state_folder(copy);
	state_copy(dir, copy);
	state_close(s);
	state_remove(dir);
	(void)strcpy(dir, copy);
	s = state_open(dir);
}

static void
counts_follow_changes(void **state)
{
	struct tenant *t = state_tenant(s, "acme");
	char id[16];
	int i;

	(void)state;
	assert_counted(t);
	for (i = 0; i < 9; i++) {
		(void)snprintf(id, sizeof(id), "c%d", i);
		assert_int_equal(state_create(s, t, id, NULL, NULL, NULL), 0);
		assert_int_equal(state_append(s, t, id, "m1", "hello", NULL,
		    NULL), 0);
		assert_counted(t);
	}
	assert_int_equal(counted("acme").items, 9);
	assert_true(counted("acme").bytes > 9 * 5);
	assert_int_equal(state_append(s, t, "c1", "m2", "x", "key", NULL), 0);
	assert_int_equal(state_append(s, t, "c1", "m2", "x", "key", NULL), 0);
	assert_int_equal(counted("acme").items, 10);
	assert_int_equal(state_delete_item(s, t, "c1", "m1"), 0);
	assert_counted(t);
	assert_int_equal(state_delete(s, t, "c1", NULL), 0);
	assert_counted(t);
	assert_int_equal(counted("acme").items, 8);
	assert_int_equal(state_retitle(s, t, "c2", "t"), 0);
	assert_counted(t);
	store_tenant_put(t);
}

/* From documents, from the journal, and from one with the other on top. */
static void
counts_come_back(void **state)
{
	struct tenant *t;
	int i;

	(void)state;
	for (i = 0; i < 4; i++) {
		t = state_tenant(s, "acme");
		assert_counted(t);
		assert_true(counted("acme").conversations > 0 || i == 0);
		(void)state_create(s, t, "d1", NULL, NULL, NULL);
		assert_int_equal(state_append(s, t, "d1", i == 0 ? "a" :
		    i == 1 ? "b" : i == 2 ? "c" : "d", "x", NULL, NULL), 0);
		assert_counted(t);
		store_tenant_put(t);
		reopen(i % 2 == 0);
	}
	t = state_tenant(s, "acme");
	assert_int_equal(counted("acme").items, 4);
	assert_int_equal(state_delete(s, t, "d1", NULL), 0);
	assert_int_equal(counted("acme").items, 0);
	assert_int_equal(counted("acme").bytes, 0);
	store_tenant_put(t);
}

/* The largest by name, the others together, and nothing of what is not in
 * memory. */
static void
few_are_named(void **state)
{
	static const int sizes[] = { 3, 9, 1, 7, 5 };
	struct tenant_size v[3], rest;
	uint64_t bytes = 0, all = 0;
	struct tenant *t;
	char name[16], item[16];
	int i, k;

	(void)state;
	for (i = 0; i < 5; i++) {
		(void)snprintf(name, sizeof(name), "t%d", sizes[i]);
		t = state_tenant(s, name);
		assert_int_equal(state_create(s, t, "c", NULL, NULL, NULL), 0);
		for (k = 0; k < sizes[i]; k++) {
			(void)snprintf(item, sizeof(item), "m%d", k);
			assert_int_equal(state_append(s, t, "c", item, "x",
			    NULL, NULL), 0);
		}
		store_tenant_put(t);
		all += counted(name).bytes;
	}
	assert_int_equal(store_tenant_sizes(s, v, 3, &rest), 3);
	assert_string_equal(v[0].name, "t9");
	assert_string_equal(v[1].name, "t7");
	assert_string_equal(v[2].name, "t5");
	assert_int_equal(v[1].items, 7);
	assert_string_equal(rest.name, "");
	assert_int_equal(rest.conversations, 2);
	assert_int_equal(rest.items, 4);
	for (i = 0; i < 3; i++)
		bytes += v[i].bytes;
	assert_int_equal(bytes + rest.bytes, all);
	assert_int_equal(store_tenant_sizes(s, v, 0, &rest), 0);
	assert_int_equal(rest.items, 25);

	assert_int_equal(store_flush(s), 0);
	state_close(s);
	s = state_open(dir);
	t = state_tenant(s, "t7");
	assert_int_equal(counted("t7").items, 7);
	store_tenant_put(t);
}

static int
setup(void **state)
{

	(void)state;
	state_folder(dir);
	s = state_open(dir);
	return (0);
}

static int
teardown(void **state)
{

	(void)state;
	state_close(s);
	state_remove(dir);
	return (0);
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(counts_follow_changes), TEST(counts_come_back),
		TEST(few_are_named)
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
