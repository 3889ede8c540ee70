/*
 * store/journal on a full disk: it refuses before it breaks, gives its spare
 * to documents, and keeps less.
 */

#include <sys/stat.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "store/journal.h"
#include "store/sys.h"
#include "tests/fault.h"
#include "tests/journaled.h"
#include "tests/logged.h"
#include "tests/tempdir.h"

/* The waiters' errno is the disk's: a full one is known as such. */
static void
full_disk(void **state)
{
	struct journal *j = open_journal(1, 2000, 65536);
	int i;

	(void)state;
	fault_arm_forever(FAULT_PWRITEV, 5, ENOSPC);
	for (i = 1; journal_error(j) == 0; i++) {
		if (append(j, 0, i) != 0)
			(void)journal_wait(j, (uint64_t)i);
	}
	assert_int_equal(journal_error(j), ENOSPC);
	assert_int_equal(journal_durable(j), 4);
	assert_int_equal(journal_next(j), 6);
	fault_disarm();
	await_error(j, 0);
	assert_int_equal(journal_durable(j), 5);
	assert_int_equal(journal_close(j), 0);
	disk_read();
	assert_int_equal(disk.nrecords, 5);
}

/*
 * No spare can be made: ordinary changes are refused while a part of the open
 * segment is left, deletions when that is used up, and nothing breaks.
 */
static void
refuses_before_it_breaks(void **state)
{
	struct journal *j = open_journal(1, 4096, 65536);
	struct journal_stats stats;
	int i, ordinary;

	(void)state;
	fault_arm_forever(FAULT_OPENAT, 1, ENOSPC);
	/* The spare is there: room is no question. */
	assert_int_equal(journal_room(j, 60000, false), 0);
	for (i = 1; i <= 16; i++) {
		assert_int_equal(append(j, 0, i), i);
		assert_int_equal(journal_wait(j, (uint64_t)i), 0);
	}
	journal_stats(j, &stats);
	while (stats.segments == 1) {
		assert_int_equal(append(j, 0, i), i);
		assert_int_equal(journal_wait(j, (uint64_t)i++), 0);
		journal_stats(j, &stats);
	}
	await_spare(j, ENOSPC);
	ordinary = i;
	assert_int_equal(journal_room(j, 3500, false), ENOSPC);
	while (journal_room(j, 100, false) == 0) {
		assert_int_equal(append(j, 0, i), i);
		assert_int_equal(journal_wait(j, (uint64_t)i++), 0);
	}
	assert_int_equal(journal_room(j, 100, false), ENOSPC);
	assert_in_range(i - ordinary, 8, 14);
	ordinary = i;
	/* What waits for its batch counts, too. */
	fault_gate_close(FAULT_FDATASYNC);
	assert_int_equal(append(j, 0, i), i);
	assert_true(fault_gate_await());
	i++;
	while (journal_room(j, 100, true) == 0) {
		assert_int_equal(append(j, 0, i), i);
		i++;
	}
	assert_int_equal(journal_room(j, 100, true), ENOSPC);
	fault_gate_open();
	assert_int_equal(journal_wait(j, (uint64_t)i - 1), 0);
	assert_in_range(i - ordinary, 4, 60);
	assert_int_equal(journal_error(j), 0);
	journal_stats(j, &stats);
	assert_int_equal(stats.segments, 2);
	assert_int_equal(stats.kept_bytes, 2 * 4096);

	/* It ends by itself. */
	fault_disarm();
	await_spare(j, 0);
	assert_int_equal(journal_room(j, 100, false), 0);
	assert_int_equal(append(j, 0, i), i);
	assert_int_equal(journal_wait(j, (uint64_t)i), 0);
	assert_int_equal(journal_close(j), 0);
	disk_read();
	assert_int_equal(disk.nrecords, i);
}

/* Where a file of that size is not allowed, or the user has no more. */
static void
errors_of_a_full_disk(void **state)
{
	static const int errors[] = { EDQUOT, EFBIG, EIO, EMFILE };
	struct journal *j;
	size_t n;

	(void)state;
	for (n = 0; n < sizeof(errors) / sizeof(errors[0]); n++) {
		tempdir_empty(dir);
		j = open_journal(1, 300, 65536);
		fault_arm_forever(FAULT_OPENAT, 1, errors[n]);
		assert_int_equal(append(j, 0, 1), 1);
		assert_int_equal(journal_wait(j, 1), 0);
		assert_int_equal(append(j, 0, 2), 2);
		assert_int_equal(journal_wait(j, 2), 0);
		await_spare(j, errors[n]);
		/* Of the others nobody knows whether they are over. */
		assert_int_equal(journal_room(j, 20, true), n < 2 ? ENOSPC : 0);
		fault_disarm();
		assert_int_equal(journal_close(j), 0);
	}
}

/* Documents may have the spare's space; the flush's end, or space, ends it. */
static void
gives_the_reserve(void **state)
{
	const struct timespec nap = { 0, 200000000 };
	struct journal *j = open_journal(1, 300, 65536);
	unsigned long opens;
	int i;

	(void)state;
	for (i = 1; i <= 3; i++) {
		assert_int_equal(append(j, 0, i), i);
		assert_int_equal(journal_wait(j, (uint64_t)i), 0);
		await_spare(j, 0);
	}
	logged_start();
	assert_int_equal(tempdir_count(dir), 4);
	assert_true(journal_give_reserve(j));
	assert_int_equal(tempdir_count(dir), 3);
	assert_false(journal_give_reserve(j));
	await_spare(j, ENOSPC);
	assert_int_equal(journal_room(j, 20, true), ENOSPC);
	/* Who cannot wait for one makes his own; no spare is made behind it. */
	opens = fault_count(FAULT_OPENAT);
	assert_int_equal(append(j, 0, 4), 4);
	assert_int_equal(journal_wait(j, 4), 0);
	nanosleep(&nap, NULL);
	assert_int_equal(fault_count(FAULT_OPENAT), opens + 1);
	journal_retire(j, 1, 0);
	await_spare(j, 0);
	assert_int_equal(tempdir_count(dir), 5);

	/* A segment that goes makes space: tried at once, not when due. */
	fault_arm_forever(FAULT_OPENAT, 1, ENOSPC);
	assert_int_equal(append(j, 0, 5), 5);
	assert_int_equal(journal_wait(j, 5), 0);
	await_spare(j, ENOSPC);
	opens = fault_count(FAULT_OPENAT);
	/* By now the back-off is four seconds or more. */
	while (fault_count(FAULT_OPENAT) < opens + 2)
		nanosleep(&(struct timespec){ 0, 2000000 }, NULL);
	fault_disarm();
	opens = fault_count(FAULT_OPENAT);
	journal_retire(j, 2, 0);
	await_spare(j, 0);
	assert_int_equal(fault_count(FAULT_OPENAT), opens + 1);
	assert_int_equal(journal_close(j), 0);
	assert_int_equal(logged_times("spare segment"), 4);
	assert_int_equal(count_segments(), 4);
}

/* What fstatvfs says: so many blocks and one more for each file that went. */
static _Atomic uint64_t blocks_free;
#define BLOCK	((uint64_t)1 << 20)

static int
count_blocks(int fd, struct statvfs *fs)
{
	memset(fs, 0, sizeof(*fs));
	fs->f_frsize = BLOCK;
	fs->f_bsize = 1;
	fs->f_bfree = UINT32_MAX;
	fs->f_bavail = blocks_free - (uint64_t)tempdir_count(fd);
	return (0);
}

/*
 * Below the reserve segments go before their time: the oldest, no more than
 * need be, none that is not in documents.
 */
static void
keeps_less(void **state)
{
	static struct sys table;
	struct journal_options opt = { .store_id = STORE, .next = 1,
	    .segment_size = 300, .batch_max = 65536, .reserve = 40 * BLOCK };
	const struct sys *real = sys;
	struct journal *j;
	struct journal_stats stats;
	int i;

	(void)state;
	table = *sys;
	table.fstatvfs = count_blocks;
	sys = &table;
	assert_int_equal(journal_open(dir, &opt, &j), 0);
	for (i = 1; i <= 8; i++) {
		await_spare(j, 0);
		assert_int_equal(append(j, 0, i), i);
		assert_int_equal(journal_wait(j, (uint64_t)i), 0);
	}
	await_spare(j, 0);
	logged_start();
	/* Eight and the spare: just enough. */
	blocks_free = 40 + 9;
	journal_retire(j, 7, 3600000);
	assert_int_equal(count_segments(), 8);
	journal_stats(j, &stats);
	assert_int_equal(stats.keep_ms, 3600000);

	/* Three too few. */
	blocks_free = 40 + 9 - 3;
	journal_retire(j, 7, 3600000);
	assert_int_equal(count_segments(), 5);
	assert_null(disk.records[3]);
	assert_record(4, 0, 4);
	journal_stats(j, &stats);
	assert_in_range(stats.keep_ms, 0, 60000);
	/* And far too few: 7 and 8 stand in no document. */
	blocks_free = 10;
	journal_retire(j, 7, 3600000);
	assert_int_equal(count_segments(), 2);
	assert_record(7, 0, 7);
	assert_record(8, 0, 8);
	/* They go as soon as they do. */
	journal_stats(j, &stats);
	assert_int_equal(stats.keep_ms, 0);

	/* Over with a margin only, lest it begin again at once. */
	blocks_free = 40 + 3 + 9;
	journal_retire(j, 7, 3600000);
	journal_stats(j, &stats);
	assert_in_range(stats.keep_ms, 0, 60000);
	blocks_free = 40 + 3 + 10;
	journal_retire(j, 7, 3600000);
	journal_stats(j, &stats);
	assert_int_equal(stats.keep_ms, 3600000);
	assert_int_equal(logged_times("the disk has"), 2);
	assert_int_equal(journal_close(j), 0);
	sys = real;
}

/* Also while there is nothing yet that could go, and before the first call. */
static void
says_at_once_that_it_keeps_less(void **state)
{
	static struct sys table;
	struct journal_options opt = { .store_id = STORE, .next = 1,
	    .segment_size = 300, .batch_max = 65536, .reserve = 40 * BLOCK };
	const struct sys *real = sys;
	struct journal *j;
	struct journal_stats stats;

	(void)state;
	table = *sys;
	table.fstatvfs = count_blocks;
	sys = &table;
	blocks_free = 10;
	assert_int_equal(journal_open(dir, &opt, &j), 0);
	journal_stats(j, &stats);
	assert_int_equal(stats.keep_ms, 0);
	journal_retire(j, 1, 3600000);
	journal_stats(j, &stats);
	assert_int_equal(stats.keep_ms, 0);
	blocks_free = 200;
	journal_retire(j, 1, 3600000);
	journal_stats(j, &stats);
	assert_int_equal(stats.keep_ms, 3600000);
	assert_int_equal(journal_close(j), 0);

	assert_int_equal(journal_open(dir, &opt, &j), 0);
	journal_stats(j, &stats);
	assert_true(stats.keep_ms == INT64_MAX);
	assert_int_equal(journal_close(j), 0);
	sys = real;
}

/* A disk that has so many bytes free, as it says. */
static _Atomic uint64_t bytes_free;
static atomic_int times_asked;

static int
tell_free(int fd, struct statvfs *fs)
{
	(void)fd;
	memset(fs, 0, sizeof(*fs));
	fs->f_frsize = 1;
	fs->f_blocks = 1 << 30;
	fs->f_bavail = bytes_free;
	atomic_fetch_add(&times_asked, 1);
	return (0);
}

/* A disk that has no room for the spare is not filled to find that out, and is
 * asked again each second. */
static void
asks_the_disk(void **state)
{
	static struct sys table;
	struct journal_options opt = { .store_id = STORE, .next = 1,
	    .segment_size = 5 << 20, .batch_max = 65536 };
	const struct sys *real = sys;
	unsigned long opens;
	struct journal *j;
	int i;

	(void)state;
	table = *sys;
	table.fstatvfs = tell_free;
	sys = &table;
	bytes_free = 5 << 20;
	assert_int_equal(journal_open(dir, &opt, &j), 0);
	opens = fault_count(FAULT_OPENAT);
	logged_start();
	times_asked = 0;
	await_spare(j, ENOSPC);
	for (i = 0; i < 1000 && times_asked < 5; i++)
		nanosleep(&(struct timespec){ 0, 10000000 }, NULL);
	assert_true(times_asked >= 5);
	assert_int_equal(fault_count(FAULT_OPENAT), opens);
	assert_int_equal(tempdir_count(dir), 1);
	bytes_free = (5 << 20) + (16 << 10);
	await_spare(j, 0);
	assert_int_equal(tempdir_count(dir), 2);
	assert_int_equal(logged_times("spare segment"), 2);
	assert_int_equal(journal_close(j), 0);
	sys = real;
}

/* What a start makes is as large as there is room for, down to 32 KiB. */
static void
smaller_where_room_is_short(void **state)
{
	static const struct {
		uint64_t free, size;
	} rows[] = {
		{ 2 << 20, 1 << 20 }, { 1 << 20, 512 << 10 },
		{ 300 << 10, 256 << 10 }, { 48 << 10, 32 << 10 },
	};
	static struct sys table;
	struct journal_options opt = { .store_id = STORE, .next = 1,
	    .segment_size = 5 << 20, .batch_max = 65536 };
	const struct sys *real = sys;
	struct journal *j;
	struct stat st;
	size_t i;

	(void)state;
	table = *sys;
	table.fstatvfs = tell_free;
	sys = &table;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bytes_free = rows[i].free;
		assert_int_equal(journal_open(dir, &opt, &j), 0);
		assert_int_equal(fstatat(dir, "00000000000000000001", &st, 0),
		    0);
		assert_int_equal(st.st_size, rows[i].size);
		assert_int_equal(journal_close(j), 0);
	}
	bytes_free = (48 << 10) - 1;
	assert_int_equal(journal_open(dir, &opt, &j), -1);
	assert_int_equal(errno, ENOSPC);
	assert_int_equal(tempdir_count(dir), 0);
	/* A quota is met, not told of. */
	sys = real;
	fault_arm_call(FAULT_PWRITEV, 2, EDQUOT);
	assert_int_equal(journal_open(dir, &opt, &j), 0);
	assert_int_equal(fstatat(dir, "00000000000000000001", &st, 0), 0);
	assert_int_equal(st.st_size, 512 << 10);
	assert_int_equal(journal_close(j), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(full_disk),
		TEST(refuses_before_it_breaks),
		TEST(errors_of_a_full_disk),
		TEST(gives_the_reserve),
		TEST(keeps_less),
		TEST(says_at_once_that_it_keeps_less),
		TEST(asks_the_disk),
		TEST(smaller_where_room_is_short),
	};

	fault_init();
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
