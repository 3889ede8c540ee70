/*
 * store/replay: what copiers make of a store that is written, or deleted from,
 * meanwhile, and what a daemon writes behind that (promises 6 and 7).
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

#include "tests/crashed.h"
#include "tests/logged.h"
#include "tests/state.h"

static char copied[STATE_PATH];

static void
three_appends(struct store *s)
{
	struct tenant *t = state_tenant(s, "acme");

	assert_int_equal(state_create(s, t, "a", NULL, NULL, NULL), 0);
	assert_int_equal(state_create(s, t, "b", NULL, NULL, NULL), 0);
	assert_int_equal(state_append(s, t, "a", "a1", "alpha", NULL, NULL),
	    0);
	assert_int_equal(state_append(s, t, "a", "a2", "beta", NULL, NULL),
	    0);
	assert_int_equal(state_append(s, t, "b", "b1", "whole", NULL, NULL),
	    0);
	store_tenant_put(t);
}

static void
appends_more(struct store *s)
{
	struct tenant *t = state_tenant(s, "acme");

	assert_int_equal(state_append(s, t, "a", "a3", "gamma", NULL, NULL),
	    0);
	assert_int_equal(state_append(s, t, "a", "a4", "delta", NULL, NULL),
	    0);
	assert_int_equal(state_create(s, t, "c", NULL, NULL, NULL), 0);
	assert_int_equal(state_append(s, t, "c", "c1", "new", NULL, NULL), 0);
	store_tenant_put(t);
}

static void
deletes(struct store *s)
{
	struct tenant *t = state_tenant(s, "acme");

	assert_int_equal(state_delete(s, t, "a", NULL), 0);
	store_tenant_put(t);
	assert_int_equal(store_flush(s), 0);
}

/* From now on the store is the copy. */
static void
turn_to_copy(void)
{
	char old[STATE_PATH];

	(void)strlcpy(old, dir, sizeof(old));
	(void)strlcpy(dir, copied, sizeof(dir));
	(void)strlcpy(copied, old, sizeof(copied));
}

static int
setup_copy(void **state)
{
	(void)setup(state);
	state_folder(copied);
	return (0);
}

static int
teardown_copy(void **state)
{
	logged_stop();
	state_remove(copied);
	return (teardown(state));
}

/* The first segment ends in the middle of that text. */
static void
tear(const char *text)
{
	static const char name[] = "journal/00000000000000000001";
	char path[STATE_PATH + sizeof(name)];
	char *p, *at;
	size_t len;

	assert_non_null(p = state_read(dir, name, &len));
	assert_non_null(at = memmem(p, len, text, strlen(text)));
	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(truncate(path, at + 1 - p), 0);
	free(p);
}

/*
 * A copier that took one segment early and the next late: the first is torn,
 * though others follow.  What has no gap is taken from those, the rest is told
 * of once.
 */
static void
torn_in_any_segment(void **state)
{
	char line[512];
	struct store *s;

	(void)state;
	free(crash(three_appends));
	state_copy(dir, copied);
	turn_to_copy();
	tear("beta");
	turn_to_copy();
	free(crash(appends_more));
	(void)snprintf(line, sizeof(line), "cp -n '%s/journal'/* '%s/journal'",
	    dir, copied);
	assert_int_equal(system(line), 0);
	turn_to_copy();
	logged_start();
	s = state_open(dir);
	assert_int_equal(logged_times("is cut off by a hole"), 1);
	HAS(s, "a", 1);
	HAS(s, "b", 1);
	HAS(s, "c", 1);
	state_close(s);
	assert_int_equal(state_count(dir, "quarantine", ""), 0);
}

/*
 * What a daemon writes behind a copied segment is its own: a gap in that is
 * damage to what was acknowledged, and is not passed over as copying.
 */
static void
gap_behind_a_copy(void **state)
{
	struct store *s;

	(void)state;
	free(crash(three_appends));
	state_copy(dir, copied);
	turn_to_copy();
	free(crash(appends_more));
	damage_batch("gamma");
	s = state_open(dir);
	IS(s, "a", STORE_DAMAGED);
	HAS(s, "b", 1);
	HAS(s, "c", 1);
	state_close(s);
	assert_int_equal(state_count(dir, "quarantine", ASIDE), 2);
}

/*
 * A copier that took the journal before a conversation was deleted and its
 * document after: the tombstone stands for the deletion that it did not get.
 */
static void
deleted_while_copied(void **state)
{
	char from[STATE_PATH + 16], to[STATE_PATH + 16];
	struct store *s;

	(void)state;
	free(crash(three_appends));
	state_copy(dir, copied);
	free(crash(deletes));
	(void)snprintf(from, sizeof(from), "%s/tenants", dir);
	(void)snprintf(to, sizeof(to), "%s/tenants", copied);
	state_copy(from, to);
	turn_to_copy();
	s = state_open(dir);
	IS(s, "a", STORE_NOENT);
	HAS(s, "b", 1);
	state_close(s);
}

#define COPY(f)	cmocka_unit_test_setup_teardown(f, setup_copy, teardown_copy)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		COPY(torn_in_any_segment),
		COPY(gap_behind_a_copy),
		COPY(deleted_while_copied),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
