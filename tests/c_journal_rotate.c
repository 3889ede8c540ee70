/*
 * store/journal: a fresh segment when asked for one, and what becomes of the
 * old one if there is none.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "store/journal.h"
#include "tests/fault.h"
#include "tests/journaled.h"

static void
rotates(void **state)
{
	struct journal *j = open_journal(1, 65536, 65536);
	struct journal_stats a, b;

	(void)state;
	/* One without a batch is fresh already. */
	journal_stats(j, &a);
	assert_int_equal(journal_rotate(j), 0);
	journal_stats(j, &b);
	assert_string_equal(a.open, b.open);
	assert_int_equal(append(j, 0, 1), 1);
	assert_int_equal(journal_wait(j, 1), 0);
	assert_int_equal(journal_rotate(j), 0);
	journal_stats(j, &b);
	assert_true(strcmp(a.open, b.open) < 0);
	assert_int_equal(b.segments, 2);

	/* Between two batches, also when there is always one that waits. */
	await_spare(j, 0);
	fault_gate_close(FAULT_FDATASYNC);
	assert_int_equal(append(j, 0, 2), 2);
	assert_true(fault_gate_await());
	assert_int_equal(append(j, 0, 3), 3);
	fault_gate_open();
	assert_int_equal(journal_rotate(j), 0);
	assert_int_equal(journal_wait(j, 3), 0);
	assert_int_equal(journal_close(j), 0);
	disk_read();
	assert_int_equal(disk.nrecords, 3);
	assert_true(disk.nnames >= 2);
	assert_string_equal(disk.names[0], a.open);
}

/*
 * No fresh one can be made: the old one is closed all the same, the next
 * append tries again; on a full disk nothing is closed at all.
 */
static void
rotation_fails(void **state)
{
	struct journal *j = open_journal(1, 300, 65536);
	struct journal_stats stats;
	int i;

	(void)state;
	fault_arm_forever(FAULT_OPENAT, 1, ENOSPC);
	for (i = 1; i <= 2; i++) {
		assert_int_equal(append(j, 0, i), i);
		assert_int_equal(journal_wait(j, (uint64_t)i), 0);
	}
	await_spare(j, ENOSPC);
	assert_int_equal(journal_rotate(j), -1);
	assert_int_equal(errno, ENOSPC);
	journal_stats(j, &stats);
	assert_string_not_equal(stats.open, "");

	fault_arm_forever(FAULT_OPENAT, 1, EMFILE);
	await_spare(j, EMFILE);
	assert_int_equal(journal_rotate(j), -1);
	assert_int_equal(errno, EMFILE);
	assert_int_equal(journal_error(j), 0);
	journal_stats(j, &stats);
	assert_string_equal(stats.open, "");
	fault_disarm();
	assert_int_equal(append(j, 0, 3), 3);
	assert_int_equal(journal_wait(j, 3), 0);

	/* Broken, it says why. */
	fault_arm_forever(FAULT_FDATASYNC | FAULT_OPENAT, 1, EROFS);
	assert_int_equal(append(j, 0, 4), 4);
	await_error(j, EROFS);
	assert_int_equal(journal_rotate(j), -1);
	assert_int_equal(errno, EROFS);
	fault_disarm();
	await_error(j, 0);
	assert_int_equal(journal_rotate(j), 0);
	assert_int_equal(journal_close(j), 0);
	assert_int_equal(count_segments(), 4);
	assert_int_equal(disk.nrecords, 4);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(rotates),
		TEST(rotation_fails),
	};

	fault_init();
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
