/*
 * store/recover: whatever a crash left of a store, it opens with all that was
 * acknowledged (promises 3 and 4).
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/crashed.h"
#include "tests/fault.h"
#include "tests/state.h"

/* Killed once, killed again and again while starting, closed: the same. */
static void
crashes(void **state)
{
	struct store *s;
	char *text, *again;
	size_t i;
	int n;

	(void)state;
	for (i = 0; i < NWORKS; i++) {
		text = crash(works[i]);
		/* Each start repeats the last batch in a fresh segment. */
		for (n = 0; n < 4; n++) {
			again = crash(nothing);
			assert_string_equal(again, text);
			free(again);
		}
		s = opens_as(text);
		state_close(s);
		s = opens_as(text);
		state_close(s);
		free(text);
		state_remove(dir);
	}
}

/* The documents alone hold all of it once they were flushed. */
static void
documents_alone(void **state)
{
	struct outcome o;
	struct tenant *t;
	struct store *s;
	char *text = crash(busy_and_flushed);

	(void)state;
	remove_journal();
	s = state_open(dir);
	/*
	 * The counter must rise above a document's lsn before anybody can
	 * change it, else the change is passed over at the next start.
	 */
	t = state_tenant(s, "acme");
	assert_int_equal(state_append(s, t, "b", "b9", "new", NULL, &o), 0);
	assert_true(o.lsn > 10);
	store_outcome_fini(&o);
	store_tenant_put(t);
	HAS(s, "a", 2);
	state_close(s);
	free(text);
}

/* What was replayed is written, idempotency records as well. */
static void
replayed_is_flushed(void **state)
{
	struct outcome o;
	struct tenant *t;
	struct store *s;
	char *text = crash(busy);

	(void)state;
	s = opens_as(text);
	state_close(s);
	remove_journal();
	s = opens_as(text);
	t = state_tenant(s, "acme");
	assert_int_equal(state_create(s, t, "z", NULL, "key-a", &o), 0);
	assert_true(o.is_repeat);
	store_outcome_fini(&o);
	assert_int_equal(state_delete(s, t, "c", "del-c"), STORE_OK);
	store_tenant_put(t);
	state_close(s);
	free(text);
}

static void
append_late(struct store *s)
{

	busy_and_flushed(s);
	append_to_b(s);
}

/*
 * What nothing vouches for may stand in the page cache only: each start writes
 * it again, into a segment of its own, before anything is served.
 */
static void
tail_is_written_again(void **state)
{
	char name[256], path[STATE_PATH + 256];
	struct store *s;
	char *text = crash(append_late);

	(void)state;
	assert_true(state_find(dir, "journal", "0000", name));
	free(crash(nothing));
	/* The old one is not needed for it any more. */
	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(unlink(path), 0);
	s = opens_as(text);
	HAS(s, "b", 2);
	state_close(s);
	free(text);
}

/* A journal older than the documents: what comes now is newer than both. */
static void
older_journal(void **state)
{
	struct tenant *t;
	struct store *s;
	char journal[256], older[256];
	char *text = crash(busy_and_flushed);
	int i;

	(void)state;
	(void)snprintf(journal, sizeof(journal), "%s/journal", dir);
	(void)snprintf(older, sizeof(older), "%s/older", side);
	state_copy(journal, older);
	s = opens_as(text);
	free(text);
	t = state_tenant(s, "acme");
	for (i = 0; i < 10; i++)
		assert_int_equal(state_retitle(s, t, "b", i % 2 ? "x" : "y"),
		    STORE_OK);
	store_tenant_put(t);
	state_close(s);
	state_copy(older, journal);
	text = crash(append_to_b);
	s = opens_as(text);
	HAS(s, "b", 2);
	state_close(s);
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(crashes),
		TEST(documents_alone),
		TEST(replayed_is_flushed),
		TEST(tail_is_written_again),
		TEST(older_journal),
	};

	fault_init();
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
