/*
 * store/flush on a full disk: the journal's spare makes room, and deletions
 * go on (promise 8).
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "store/store_internal.h"
#include "tests/fault.h"
#include "tests/flushed.h"
#include "tests/logged.h"

/* The spare makes room for a document, once a pass, and is made again. */
static void
uses_the_reserve(void **state)
{
	(void)state;
	open_it(3600000, 65536);
	assert_int_equal(state_create(s, t, "a", NULL, NULL, NULL), 0);
	assert_int_equal(store_flush(s), 0);
	assert_int_equal(state_append(s, t, "a", "i1", "x", NULL, NULL), 0);
	await_spare(0);
	logged_start();
	fault_arm_call(FAULT_WRITE, 1, ENOSPC);
	assert_int_equal(store_flush(s), 0);
	assert_true(fault_fired());
	assert_int_equal(dirty(), 0);
	assert_int_equal(figures().failures, 0);
	await_spare(0);
	assert_int_equal(logged_times("makes room"), 1);

	/* It was not enough: no second one goes, and nothing is lost. */
	assert_int_equal(state_append(s, t, "a", "i2", "x", NULL, NULL), 0);
	assert_int_equal(state_create(s, t, "b", NULL, NULL, NULL), 0);
	logged_start();
	fault_arm_forever(FAULT_WRITE, 1, EDQUOT);
	assert_int_equal(store_flush(s), -1);
	fault_disarm();
	assert_int_equal(dirty(), 2);
	assert_int_equal(logged_times("stays in the journal"), 1);
	assert_int_equal(logged_times("makes room"), 1);
	copy_is_whole();
	assert_int_equal(store_flush(s), 0);
	await_spare(0);

	/* What is not for want of space does not cost the spare. */
	assert_int_equal(state_append(s, t, "a", "i3", "x", NULL, NULL), 0);
	logged_start();
	fault_arm_call(FAULT_WRITE, 1, EIO);
	assert_int_equal(store_flush(s), -1);
	assert_int_equal(logged_times("makes room"), 0);
	await_spare(0);
	close_it();
}

/*
 * No file can be made any more: sends are refused before anything breaks,
 * deletions go on, a pass comes without being asked, and all is well again
 * when there is space.
 */
static void
deletes_on_a_full_disk(void **state)
{
	static char text[3000];
	enum store_err err = STORE_OK;
	char id[16];
	uint64_t before;
	int i, n;

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	open_it(3600000, 16384);
	for (n = 0; n < 40; n++) {
		(void)snprintf(id, sizeof(id), "c%d", n);
		assert_int_equal(state_create(s, t, id, NULL, NULL, NULL), 0);
	}
	await_spare(0);
	fault_arm_forever(FAULT_OPENAT, 1, ENOSPC);
	before = passes();
	assert_int_equal(store_rotate(s), 0);
	await_spare(ENOSPC);
	await_passes(before + 1);
	for (i = 0; i < 10 && err == STORE_OK; i++) {
		(void)snprintf(id, sizeof(id), "i%d", i);
		err = state_append(s, t, "c0", id, text, NULL, NULL);
	}
	assert_int_equal(err, STORE_FULL);
	assert_true(i > 1);
	err = STORE_OK;
	for (i = 0; i < 50 && err == STORE_OK; i++) {
		(void)snprintf(id, sizeof(id), "d%d", i);
		err = state_create(s, t, id, NULL, NULL, NULL);
	}
	assert_int_equal(err, STORE_FULL);
	assert_int_equal(store_rotate(s), -1);
	assert_int_equal(errno, ENOSPC);
	for (n = 1; n <= 5; n++) {
		(void)snprintf(id, sizeof(id), "c%d", n);
		assert_int_equal(state_delete(s, t, id, NULL), STORE_OK);
	}
	assert_int_equal(store_health(s), STORE_OK);
	assert_int_equal(store_flush(s), -1);
	fault_disarm();
	copy_is_whole();
	create_soon("new", NULL, NULL);
	assert_int_equal(store_flush(s), 0);
	copy_is_whole();
	close_it();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(uses_the_reserve),
		TEST(deletes_on_a_full_disk),
	};

	fault_init();
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
