/*
 * store/journal_retire: a segment goes in its time, the oldest first; what a
 * start finds is adopted.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "store/journal.h"
#include "store/segment.h"
#include "tests/fault.h"
#include "tests/journaled.h"
#include "tests/logged.h"

/* A journal that has n segments of one record each, the last one open. */
static struct journal *
open_segments(int n)
{
	struct journal *j = open_journal(1, 300, 65536);
	int i;

	for (i = 1; i <= n; i++) {
		assert_int_equal(append(j, 0, i), i);
		assert_int_equal(journal_wait(j, (uint64_t)i), 0);
	}
	await_spare(j, 0);
	return (j);
}

static void
retires(void **state)
{
	const struct timespec nap = { 0, 60000000 };
	struct journal *j = open_segments(6);
	struct journal_stats stats;
	unsigned long syncs;

	(void)state;
	/* Not before keep_ms, counted from the call that first said so. */
	journal_retire(j, 3, 3600000);
	assert_int_equal(count_segments(), 6);
	nanosleep(&nap, NULL);
	journal_retire(j, 4, 50);
	assert_int_equal(count_segments(), 4);
	disk_read();
	assert_null(disk.records[2]);
	assert_record(3, 0, 3);
	journal_retire(j, 4, 5000);
	assert_int_equal(count_segments(), 4);

	/* The folder is synced after each; the open one stays. */
	syncs = fault_count(FAULT_FSYNC);
	journal_retire(j, 100, 0);
	assert_int_equal(count_segments(), 1);
	assert_int_equal(fault_count(FAULT_FSYNC), syncs + 3);
	assert_int_equal(append(j, 0, 7), 7);
	assert_int_equal(journal_wait(j, 7), 0);
	journal_stats(j, &stats);
	assert_int_equal(stats.segments, 2);
	assert_int_equal(journal_close(j), 0);
	disk_read();
	assert_record(6, 0, 6);
	assert_record(7, 0, 7);
}

/* A segment that grew after it was covered begins its time anew. */
static void
keeps_from_the_last_record(void **state)
{
	const struct timespec nap = { 0, 60000000 };
	struct journal *j = open_journal(1, 700, 65536);

	(void)state;
	assert_int_equal(append(j, 0, 1), 1);
	assert_int_equal(journal_wait(j, 1), 0);
	journal_retire(j, 2, 50);
	nanosleep(&nap, NULL);
	assert_int_equal(append(j, 0, 2), 2);
	assert_int_equal(journal_wait(j, 2), 0);
	assert_int_equal(append(j, 0, 3), 3);
	assert_int_equal(journal_wait(j, 3), 0);
	assert_int_equal(count_segments(), 2);
	journal_retire(j, 3, 50);
	assert_int_equal(count_segments(), 2);
	nanosleep(&nap, NULL);
	journal_retire(j, 3, 50);
	assert_int_equal(count_segments(), 1);
	assert_int_equal(journal_close(j), 0);
}

/* One that cannot be removed holds all later ones. */
static void
retires_oldest_first(void **state)
{
	struct journal *j = open_segments(5);

	(void)state;
	fault_arm_call(FAULT_UNLINKAT, 2, EIO);
	journal_retire(j, 5, 0);
	disk_read();
	assert_int_equal(disk.nnames, 4);
	assert_null(disk.records[1]);
	assert_record(2, 0, 2);

	/* Nor is the next touched before the folder is synced. */
	fault_arm_call(FAULT_FSYNC, 1, EIO);
	journal_retire(j, 5, 0);
	disk_read();
	assert_int_equal(disk.nnames, 3);
	fault_disarm();
	journal_retire(j, 5, 0);
	disk_read();
	assert_int_equal(disk.nnames, 1);
	assert_record(5, 0, 5);
	assert_int_equal(journal_close(j), 0);
}

/* A start: old segments are adopted, the unsure records written again. */
static void
restarts(void **state)
{
	struct journal *j = open_segments(3);
	struct segment_report report = { .used = 1000 };
	size_t i;

	(void)state;
	assert_int_equal(journal_close(j), 0);
	disk_read();
	assert_int_equal(disk.nnames, 3);

	j = open_journal(3, 65536, 65536);
	for (i = 0; i < 3; i++) {
		report.last = i + 1;
		assert_int_equal(journal_adopt(j, disk.names[i], &report), 0);
	}
	assert_int_equal(append(j, 0, 3), 3);
	assert_int_equal(journal_wait(j, 3), 0);
	disk_read();
	assert_int_equal(disk.nnames, 4);
	assert_memory_equal(disk.names[3], "00000000000000000003", 20);
	assert_int_equal(disk.nrecords, 3);

	journal_retire(j, 3, 0);
	disk_read();
	assert_int_equal(disk.nnames, 2);
	assert_int_equal(append(j, 0, 4), 4);
	journal_retire(j, 4, 0);
	assert_int_equal(journal_close(j), 0);
	disk_read();
	assert_int_equal(disk.nnames, 1);
	assert_memory_equal(disk.names[0], "00000000000000000003", 20);
	assert_record(3, 0, 3);
	assert_record(4, 0, 4);
}

/* What cannot be removed is told of once, and when it can again. */
static void
fails_at(enum fault_call call, const char *told, size_t left)
{
	struct journal *j = open_segments(4);
	struct journal_stats stats;
	int n;

	fault_arm_forever(call, 1, EIO);
	logged_start();
	for (n = 0; n < 3; n++)
		journal_retire(j, 100, 0);
	assert_int_equal(logged_times(told), 1);
	assert_int_equal(count_segments(), left);
	journal_stats(j, &stats);
	assert_int_equal(stats.segments, 4);
	fault_disarm();
	logged_start();
	for (n = 0; n < 2; n++)
		journal_retire(j, 100, 0);
	assert_int_equal(logged_times("are removed again"), 1);
	assert_int_equal(count_segments(), 1);
	assert_int_equal(journal_close(j), 0);
}

static void
cannot_be_removed(void **state)
{
	(void)state;
	fails_at(FAULT_UNLINKAT, "remove journal/", 4);
}

/* It is gone, perhaps, and the next must not go before that is sure. */
static void
removal_cannot_be_synced(void **state)
{
	(void)state;
	fails_at(FAULT_FSYNC, "sync journal after removing", 3);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(retires),
		TEST(keeps_from_the_last_record),
		TEST(retires_oldest_first),
		TEST(restarts),
		TEST(cannot_be_removed),
		TEST(removal_cannot_be_synced),
	};

	fault_init();
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
