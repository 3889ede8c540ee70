/*
 * store/flush while the journal is broken: what is not durable waits, without
 * a word; the others are written (promise 8).
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/store_internal.h"
#include "tests/fault.h"
#include "tests/flushed.h"
#include "tests/logged.h"

/* One change of a that is not waited for. */
static void
change_a(void)
{
	struct change ch = { .kind = CHANGE_CONVERSATION_UPDATE,
	    .conversation = "a", .has_title = true };
	struct outcome o;

	assert_int_equal(store_commit(s, t, &ch, &o), STORE_OK);
	store_outcome_fini(&o);
}

/*
 * The journal is broken: what has a change that is not durable stays dirty,
 * without a word; the others are written.
 */
static void
broken_journal(void **state)
{
	ino_t a;
	int i;

	(void)state;
	open_it(3600000, 65536);
	assert_int_equal(state_create(s, t, "a", NULL, "k", NULL), 0);
	assert_int_equal(store_flush(s), 0);
	a = inode(DOC("a"));
	assert_int_equal(state_create(s, t, "b", NULL, NULL, NULL), 0);
	assert_int_equal(state_append(s, t, "a", "i1", "x", NULL, NULL), 0);
	fault_arm_forever(FAULT_FDATASYNC, 1, EIO);
	change_a();
	for (i = 0; i < 1000 && store_health(s) == STORE_OK; i++)
		usleep(10 * 1000);
	assert_int_equal(store_health(s), STORE_SICK);
	logged_start();
	assert_int_equal(dirty(), 2);
	assert_int_equal(store_flush(s), -1);
	assert_int_equal(dirty(), 1);
	assert_true(inode(DOC("b")) != 0);
	assert_true(inode(DOC("a")) == a);
	assert_int_equal(figures().failing, 0);
	assert_int_equal(figures().failures, 0);
	assert_int_equal(logged_times("flush"), 0);
	fault_disarm();
	for (i = 0; i < 1000 && store_health(s) != STORE_OK; i++)
		usleep(10 * 1000);
	assert_int_equal(store_flush(s), 0);
	assert_true(inode(DOC("a")) != a);
	copy_is_whole();
	close_it();
}

/* Nor is one tried without end that is due again meanwhile. */
static void
broken_journal_and_documents(void **state)
{
	uint64_t passes;
	int i;

	(void)state;
	open_it(3600000, 65536);
	assert_int_equal(state_create(s, t, "a", NULL, NULL, NULL), 0);
	assert_int_equal(store_flush(s), 0);
	assert_int_equal(state_append(s, t, "a", "i1", "x", NULL, NULL), 0);
	fault_arm_forever(FAULT_WRITE, 1, EIO);
	assert_int_equal(store_flush(s), -1);
	assert_int_equal(figures().failing, 1);
	fault_arm_forever(FAULT_FDATASYNC, 1, EIO);
	change_a();
	for (i = 0; i < 1000 && store_health(s) == STORE_OK; i++)
		usleep(10 * 1000);
	assert_int_equal(store_health(s), STORE_SICK);
	passes = figures().failed;
	sleep(3);
	assert_in_range(figures().failed - passes, 0, 10);
	fault_disarm();
	for (i = 0; i < 1000 && store_health(s) != STORE_OK; i++)
		usleep(10 * 1000);
	for (i = 0; i < 1000 && store_flush(s) == -1; i++)
		usleep(10 * 1000);
	assert_int_equal(dirty(), 0);
	copy_is_whole();
	close_it();
}

/* The journal breaks while a document waits for it: the same. */
static void
breaks_meanwhile(void **state)
{
	(void)state;
	open_it(3600000, 65536);
	assert_int_equal(state_create(s, t, "a", NULL, NULL, NULL), 0);
	assert_int_equal(store_flush(s), 0);
	fault_gate_close(FAULT_FDATASYNC);
	change_a();
	assert_true(fault_gate_await());
	store_flush_soon(s);
	logged_start();
	while (dirty() > 0)
		usleep(1000);
	fault_arm_forever(FAULT_FDATASYNC, 1, EIO);
	fault_gate_open();
	await_dirty(1);
	assert_int_equal(figures().failures, 0);
	assert_int_equal(logged_times("flush"), 0);
	fault_disarm();
	while (store_flush(s) == -1)
		usleep(1000);
	assert_int_equal(dirty(), 0);
	copy_is_whole();
	close_it();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(broken_journal),
		TEST(broken_journal_and_documents),
		TEST(breaks_meanwhile),
	};

	fault_init();
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
