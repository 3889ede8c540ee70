/*
 * store/journal_spare: the next segment is there before it is needed, and
 * names are in the order of their records whatever fails.
 */

#include <sys/stat.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "store/journal.h"
#include "tests/fault.h"
#include "tests/journaled.h"
#include "tests/logged.h"
#include "tests/tempdir.h"

/* A rotation makes no file: it takes the one that is there. */
static void
takes_the_spare(void **state)
{
	struct journal *j = open_journal(1, 300, 65536);
	struct journal_stats stats;

	(void)state;
	assert_int_equal(append(j, 0, 1), 1);
	await_durable(j, 1);
	fault_gate_close(FAULT_OPENAT | FAULT_FSYNC);
	assert_int_equal(append(j, 0, 2), 2);
	await_durable(j, 2);
	/* The next is on its way, as soon as this one was taken. */
	assert_true(fault_gate_await());
	journal_stats(j, &stats);
	assert_int_equal(stats.segments, 2);
	assert_int_equal(stats.reserve_error, EAGAIN);
	fault_gate_open();
	await_spare(j, 0);
	assert_int_equal(count_segments(), 2);
	assert_int_equal(disk.spares, 1);
	assert_int_equal(journal_close(j), 0);
	assert_int_equal(count_segments(), 2);
	assert_int_equal(disk.spares, 0);
}

/* One that is being made is waited for, so that no name is out of order. */
static void
awaits_the_spare(void **state)
{
	struct journal *j = open_journal(1, 300, 65536);
	unsigned long opens = fault_count(FAULT_OPENAT);
	const struct timespec nap = { 0, 50000000 };

	(void)state;
	fault_gate_close(FAULT_FSYNC);
	assert_int_equal(append(j, 0, 1), 1);
	await_durable(j, 1);
	assert_int_equal(append(j, 0, 2), 2);
	await_durable(j, 2);
	assert_true(fault_gate_await());
	/* The spare was taken, its follower stands at the gate. */
	assert_int_equal(append(j, 0, 3), 3);
	nanosleep(&nap, NULL);
	assert_int_equal(fault_count(FAULT_OPENAT), opens + 1);
	assert_int_equal(journal_durable(j), 2);
	fault_gate_open();
	await_durable(j, 3);
	assert_int_equal(journal_close(j), 0);
	assert_int_equal(count_segments(), 3);
	assert_int_equal(disk.nrecords, 3);
}

/* It is whole, and the start's own segment small. */
static void
large_spare(void **state)
{
	struct journal_options opt = { .store_id = STORE, .next = 7,
	    .segment_size = 5 << 20, .batch_max = 65536 };
	struct journal *j;
	struct stat st;
	size_t i;

	(void)state;
	assert_int_equal(journal_open(dir, &opt, &j), 0);
	disk_read();
	assert_int_equal(disk.spares, 1);
	assert_int_equal(fstatat(dir, "00000000000000000007", &st, 0), 0);
	assert_int_equal(st.st_size, 1 << 20);
	await_spare(j, 0);
	assert_int_equal(fstatat(dir, "00000000000000000007-000001", &st, 0),
	    0);
	assert_int_equal(st.st_size, 5 << 20);
	assert_int_equal(st.st_blocks * 512 >= 5 << 20, 1);
	for (i = 0; i < 8; i++)
		assert_int_equal(journal_close(j) == 0 &&
		    journal_open(dir, &opt, &j) == 0, 1);
	assert_int_equal(journal_close(j), 0);
	assert_int_equal(tempdir_count(dir), 0);
}

/*
 * None can be made: said once, tried again, and the committer makes its own
 * as far as it can; said once more when it works.
 */
static void
spare_fails(void **state)
{
	const struct timespec nap = { 0, 2000000 };
	struct journal *j = open_journal(1, 300, 65536);
	unsigned long opens;
	int i;

	(void)state;
	logged_start();
	fault_arm_forever(FAULT_OPENAT, 1, EIO);
	opens = fault_count(FAULT_OPENAT);
	assert_int_equal(append(j, 0, 1), 1);
	await_durable(j, 1);
	assert_int_equal(append(j, 0, 2), 2);
	await_durable(j, 2);
	/* The second comes with a back-off. */
	while (fault_count(FAULT_OPENAT) < opens + 2)
		nanosleep(&nap, NULL);
	await_spare(j, EIO);
	/* The committer's own tries count as little as the spare's. */
	fault_disarm();
	for (i = 3; i <= 6; i++) {
		assert_int_equal(append(j, 0, i), i);
		await_durable(j, (uint64_t)i);
	}
	await_spare(j, 0);
	for (i = 7; i <= 9; i++) {
		assert_int_equal(append(j, 0, i), i);
		await_durable(j, (uint64_t)i);
	}
	assert_int_equal(journal_close(j), 0);
	assert_int_equal(logged_times("spare segment"), 2);
	assert_true(count_segments() >= 8);
	assert_int_equal(disk.nrecords, 9);
}

/*
 * Whatever fails and whatever number is left out, at any time: the names are
 * in the order of their records, and each record is there.
 */
static void
spares_in_order(void **state)
{
	static const unsigned calls[] = { FAULT_ANY, FAULT_FDATASYNC,
	    FAULT_PWRITEV, FAULT_OPENAT, FAULT_FSYNC };
	struct journal *j;
	unsigned seed = 11;
	uint64_t lsn, last;
	size_t written;
	int round, i;

	(void)state;
	for (round = 0; round < 150; round++) {
		tempdir_empty(dir);
		j = open_journal(1, 300 + (size_t)rand_r(&seed) % 600, 65536);
		last = written = 0;
		for (i = 0; i < 20; i++) {
			if (rand_r(&seed) % 4 == 0)
				fault_arm_call(calls[rand_r(&seed) % 5],
				    1 + (int)(rand_r(&seed) % 4), EIO);
			if (rand_r(&seed) % 6 == 0)
				journal_raise(j, last + 3);
			if ((lsn = append(j, 0, i)) == 0) {
				await_error(j, 0);
				continue;
			}
			written++;
			last = lsn;
			if (rand_r(&seed) % 2 == 0)
				(void)journal_wait(j, lsn);
		}
		fault_disarm();
		assert_int_equal(journal_close(j), 0);
		disk_read();
		assert_int_equal(disk.nrecords, written);
		assert_int_equal(disk.last, last);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(takes_the_spare),
		TEST(awaits_the_spare),
		TEST(large_spare),
		TEST(spare_fails),
		TEST(spares_in_order),
	};

	fault_init();
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
