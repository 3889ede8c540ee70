/*
 * store/import in parts: it is shown at the end, parts of two tries never mix,
 * and the journal is held for them as long as they are needed, and no longer.
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

#include "store/import.h"
#include "store/store_internal.h"
#include "tests/imported.h"

/* --- in parts ----------------------------------------------------------- */

static void
shows_parts_at_the_end(void **state)
{

	(void)state;
	assert_int_equal(part("c1", 1, "b1", 1, 3), STORE_OK);
	assert_false(is_there("c1"));
	assert_int_equal(part("c1", 2, "b1", 4, 3), STORE_OK);
	assert_false(is_there("c1"));
	assert_int_equal(finish("c1", 2, "b1", 7), STORE_OK);
	check_whole("c1", 7);
	assert_null(TAILQ_FIRST(&t->imports));
	crash();
	check_whole("c1", 7);
	assert_null(TAILQ_FIRST(&t->imports));
	reopen();
	check_whole("c1", 7);
}

/* A crash between any two: nothing is seen, and it can go on or begin anew. */
static void
crashes_between_parts(void **state)
{

	(void)state;
	assert_int_equal(part("c1", 1, "b1", 1, 3), STORE_OK);
	crash();
	assert_false(is_there("c1"));
	assert_int_equal(part("c1", 2, "b1", 4, 3), STORE_OK);
	crash();
	assert_false(is_there("c1"));
	assert_int_equal(finish("c1", 2, "b1", 7), STORE_OK);
	crash();
	check_whole("c1", 7);

	assert_int_equal(part("c2", 1, "b1", 5, 3), STORE_OK);
	crash();
	assert_int_equal(part("c2", 1, "b2", 1, 2), STORE_OK);
	assert_int_equal(finish("c2", 1, "b2", 3), STORE_OK);
	check_whole("c2", 3);
	crash();
	check_whole("c2", 3);
	assert_null(TAILQ_FIRST(&t->imports));
}

/* Parts of two tries never become one conversation. */
static void
keeps_tries_apart(void **state)
{

	(void)state;
	assert_int_equal(part("c1", 2, "b1", 1, 1), STORE_PRECONDITION);
	assert_int_equal(finish("c1", 1, "b1", 1), STORE_PRECONDITION);
	assert_int_equal(part("c1", 1, "b1", 1, 2), STORE_OK);
	assert_int_equal(part("c1", 1, "b2", 1, 3), STORE_OK);
	assert_int_equal(part("c1", 2, "b1", 3, 1), STORE_PRECONDITION);
	assert_int_equal(part("c1", 3, "b2", 4, 1), STORE_PRECONDITION);
	assert_int_equal(finish("c1", 1, "b1", 3), STORE_PRECONDITION);
	assert_int_equal(finish("c1", 2, "b2", 4), STORE_PRECONDITION);
	assert_false(is_there("c1"));
	assert_int_equal(finish("c1", 1, "b2", 4), STORE_OK);
	check_whole("c1", 4);
}

/* An id twice, or a position that falls: nothing is taken. */
static void
refuses_odd_items(void **state)
{
	struct change ch = import_of("c1");
	struct item *v[2];
	int i;

	(void)state;
	for (i = 0; i < 2; i++) {
		v[0] = state_item("a", "1");
		v[1] = state_item(i == 0 ? "a" : "b", "2");
		v[0]->position = 2;
		v[1]->position = i == 0 ? 3 : 2;
		ch.items = v;
		ch.nitems = 2;
		assert_int_equal(state_commit(s, t, &ch, NULL),
		    STORE_CONFLICT);
		item_unref(v[0]);
		item_unref(v[1]);
	}
	assert_int_equal(part("c1", 1, "b1", 1, 3), STORE_OK);
	/* At its end, but of an id that came in a part before. */
	ch = import_of("c1");
	ch.part = 1;
	strlcpy(ch.birth, "b1", sizeof(ch.birth));
	v[0] = state_item("m2", "1");
	ch.items = v;
	ch.nitems = 1;
	assert_int_equal(state_commit(s, t, &ch, NULL), STORE_CONFLICT);
	item_unref(v[0]);
	assert_int_equal(part("c1", 2, "b1", 3, 1), STORE_CONFLICT);
	assert_int_equal(finish("c1", 1, "b1", 2), STORE_CONFLICT);
	assert_false(is_there("c1"));
	assert_int_equal(finish("c1", 1, "b1", 4), STORE_OK);
	check_whole("c1", 4);
}

/* --- the journal is held ------------------------------------------------ */

/* Does a segment that holds this text stand in the journal? */
static bool
journal_has(const char *text)
{
	char line[256];

	(void)snprintf(line, sizeof(line), "grep -qr '%s' '%s/journal'", text,
	    dir);
	return (system(line) == 0);
}

/* Enough other changes that the segment with the parts is closed, and
 * retired unless it is held. */
static void
fill_segments(void)
{
	static char text[9000];
	char id[16];
	int i;

	memset(text, 'x', sizeof(text) - 1);
	assert_int_equal(state_create(s, t, "other", NULL, NULL, NULL), 0);
	for (i = 0; i < 30; i++) {
		(void)snprintf(id, sizeof(id), "o%d", i);
		assert_int_equal(state_append(s, t, "other", id, text, NULL,
		    NULL), 0);
	}
	/* The second pass finds the time of the first one over. */
	assert_int_equal(store_flush(s), 0);
	assert_int_equal(store_flush(s), 0);
	assert_int_equal(state_delete(s, t, "other", NULL), 0);
}

/* Open the store so that what is in documents leaves the journal at once. */
static void
keep_nothing(void)
{

	close_store();
	open_keeping_nothing();
}

static void
holds_the_journal(void **state)
{
	struct conversation *c;
	bool is_held;

	(void)state;
	keep_nothing();
	assert_int_equal(part("c1", 1, "b1", 1, 3), STORE_OK);
	fill_segments();
	assert_true(journal_has("import.part"));
	assert_int_equal(finish("c1", 1, "b1", 4), STORE_OK);
	/* Its document is not written yet: the parts are needed still. */
	lock_take(&t->lck);
	c = tenant_find(t, "c1");
	is_held = c->dirty.is_listed && c->dirty.first < c->lsn - 1;
	lock_give(&t->lck);
	assert_true(is_held);
	crash();
	check_whole("c1", 4);
}

static void
lets_the_journal_go(void **state)
{

	(void)state;
	keep_nothing();
	assert_int_equal(part("c1", 1, "b1", 1, 3), STORE_OK);
	assert_int_equal(finish("c1", 1, "b1", 4), STORE_OK);
	fill_segments();
	assert_false(journal_has("import.part"));
	check_whole("c1", 4);
}

/* Parts whose end never comes do not hold it for ever. */
static void
drops_what_is_given_up(void **state)
{
	struct import *im;

	(void)state;
	keep_nothing();
	assert_int_equal(part("c1", 1, "b1", 1, 3), STORE_OK);
	assert_int_equal(store_flush(s), 0);
	lock_take(&t->lck);
	if ((im = TAILQ_FIRST(&t->imports)) != NULL)
		im->at -= IMPORT_WAIT_MS + 1;
	lock_give(&t->lck);
	assert_non_null(im);
	assert_int_equal(store_flush(s), 0);
	assert_null(TAILQ_FIRST(&t->imports));
	assert_int_equal(finish("c1", 1, "b1", 4), STORE_PRECONDITION);
	fill_segments();
	assert_false(journal_has("import.part"));
	assert_false(is_there("c1"));
}

/* --- damage ------------------------------------------------------------- */

/*
 * The journal lets the parts go before the change that showed them, which is
 * in a segment that is used still; deleted meanwhile, it is missed by nobody.
 */
static void
deleted_behind_its_parts(void **state)
{
	struct store_options o = state_options(dir);
	pid_t holder;
	int i;

	(void)state;
	keep_nothing();
	assert_int_equal(part("c1", 1, "b1", 1, 3), STORE_OK);
	assert_int_equal(store_rotate(s), 0);
	assert_int_equal(finish("c1", 1, "b1", 4), STORE_OK);
	assert_int_equal(store_flush(s), 0);
	assert_int_equal(state_delete(s, t, "c1", NULL), STORE_OK);
	/* The tombstone goes a moment behind its document. */
	for (i = 0; i < 1000 && (i == 0 || state_count(dir,
	    "tenants/acme/conversations", "c1") > 0); i++) {
		(void)usleep(1000);
		assert_int_equal(store_flush(s), 0);
	}
	assert_int_equal(state_count(dir, "tenants/acme/conversations", "c1"),
	    0);
	close_store();
	o.keep_ms = 0;
	o.strict_recovery = true;
	assert_int_equal(store_open(&o, &s, &holder), 0);
	t = state_tenant(s, "acme");
	assert_false(is_there("c1"));
	assert_int_equal(state_count(dir, "quarantine", ""), 0);
}

/*
 * The journal lost a part of what was imported: the conversation is damaged
 * and says so, and is not shown without it.
 */
static void
misses_a_part(void **state)
{
	struct conversation_view v;
	char name[256];
	uint64_t lsn;
	char *p, *at;
	size_t len;

	(void)state;
	assert_int_equal(part("c1", 1, "b1", 1, 3), STORE_OK);
	assert_int_equal(finish("c1", 1, "b1", 4), STORE_OK);
	assert_true(state_find(dir, "journal", "0", name));
	assert_non_null(p = state_read(dir, name, &len));
	assert_non_null(at = memmem(p, len, "import.part", 11));
	*at = 'I';
	/* In place: another file would be taken for a copy. */
	state_write(dir, name, p, len);
	free(p);
	crash();
	assert_int_equal(store_conversation(t, "c1", NULL, &v, &lsn),
	    STORE_DAMAGED);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(shows_parts_at_the_end),
		TEST(crashes_between_parts),
		TEST(keeps_tries_apart),
		TEST(refuses_odd_items),
		TEST(holds_the_journal),
		TEST(lets_the_journal_go),
		TEST(drops_what_is_given_up),
		TEST(deleted_behind_its_parts),
		TEST(misses_a_part),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
