/*
 * store/journal: a disk that fails, a call or an allocation, loses nothing
 * that was acknowledged.
 */

#include <sys/eventfd.h>
#include <sys/stat.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/journal.h"
#include "store/sys.h"
#include "tests/fault.h"
#include "tests/journaled.h"
#include "tests/logged.h"
#include "tests/nomem.h"
#include "tests/tempdir.h"

/*
 * One fdatasync fails: that file is left alone for ever, the batch goes into
 * a fresh segment under the same lsns, and nobody hears of it.
 */
static void
fails_once(void **state)
{
	struct journal *j = open_journal(1, 65536, 65536);
	struct stat before, after;
	char *old, *old2;
	size_t len, len2;

	(void)state;
	assert_int_equal(append(j, 0, 1), 1);
	assert_int_equal(journal_wait(j, 1), 0);
	fault_arm_call(FAULT_FDATASYNC, 1, EIO);
	assert_int_equal(append(j, 0, 2), 2);
	assert_int_equal(journal_wait(j, 2), 0);
	assert_true(fault_fired());
	assert_int_equal(journal_error(j), 0);
	disk_read();
	assert_int_equal(disk.nnames, 2);
	assert_string_equal(disk.names[1], "00000000000000000001-000001");
	assert_int_equal(sys_readfile(dir, disk.names[0], 1 << 20, &old, &len),
	    0);
	assert_int_equal(fstatat(dir, disk.names[0], &before, 0), 0);

	assert_int_equal(append(j, 0, 3), 3);
	assert_int_equal(journal_wait(j, 3), 0);
	assert_int_equal(journal_close(j), 0);
	assert_int_equal(sys_readfile(dir, disk.names[0], 1 << 20, &old2,
	    &len2), 0);
	assert_int_equal(fstatat(dir, disk.names[0], &after, 0), 0);
	assert_int_equal(len, len2);
	assert_memory_equal(old, old2, len);
	assert_memory_equal(&before.st_mtim, &after.st_mtim,
	    sizeof(before.st_mtim));
	free(old);
	free(old2);
	disk_read();
	assert_int_equal(disk.nrecords, 3);
	/* The fresh segment alone holds what the failed one may not. */
	assert_int_equal(unlinkat(dir, disk.names[0], 0), 0);
	disk_read();
	assert_int_equal(disk.nrecords, 2);
	assert_record(2, 0, 2);
	assert_record(3, 0, 3);
}

/*
 * The disk stays sick: waiters are told, changes are refused and use no
 * number, what was appended before is written when it is well again.
 */
static void
breaks_and_recovers(void **state)
{
	struct journal *j = open_journal(1, 65536, 65536);
	struct journal_waiter *w, *late;
	int efd = eventfd(0, EFD_NONBLOCK), efd2 = eventfd(0, EFD_NONBLOCK);
	unsigned long opened;
	uint64_t lsn;
	int i;

	(void)state;
	assert_int_equal(journal_subscribe(j, efd, &w), 0);
	assert_int_equal(journal_subscribe(j, efd2, &late), 0);
	logged_start();
	assert_int_equal(append(j, 0, 1), 1);
	assert_int_equal(journal_wait(j, 1), 0);

	/* 2 is being synced, 3 and 4 wait for the next batch. */
	fault_gate_close(FAULT_FDATASYNC);
	assert_int_equal(append(j, 0, 2), 2);
	assert_true(fault_gate_await());
	assert_int_equal(append(j, 0, 3), 3);
	assert_int_equal(append(j, 0, 4), 4);
	journal_want(j, w, 4);
	fault_arm_forever(FAULT_FDATASYNC, 1, EIO);
	fault_gate_open();
	assert_int_equal(journal_wait(j, 2), -1);
	assert_int_equal(errno, EIO);
	assert_int_equal(await_efd(efd), 1);
	assert_int_equal(journal_error(j), EIO);
	assert_int_equal(journal_room(j, 1, false), EIO);
	errno = 0;
	assert_int_equal(append(j, 0, 99), 0);
	assert_int_equal(errno, EIO);
	assert_int_equal(journal_next(j), 5);
	assert_int_equal(journal_durable(j), 1);
	/* What is durable stays so; who asks late is told at once. */
	assert_int_equal(journal_wait(j, 1), 0);
	journal_want(j, late, 4);
	assert_int_equal(drain_efd(efd2), 1);
	journal_want(j, late, UINT64_MAX);
	assert_int_equal(drain_efd(efd2), 0);

	/* It is tried again and again; tries that fail leave no files. */
	opened = fault_count(FAULT_OPENAT);
	for (i = 0; i < 10000 && fault_count(FAULT_OPENAT) < opened + 2; i++)
		usleep(1000);
	assert_true(i < 10000);

	/* It works again when all that is pending is durable, not before. */
	fault_gate_close(FAULT_FDATASYNC);
	assert_true(fault_gate_await());
	fault_arm_call(0, 0, 0);
	fault_gate_pass();
	assert_int_equal(await_efd(efd2), 1);
	assert_true(fault_gate_await());
	assert_int_equal(journal_durable(j), 2);
	assert_int_equal(journal_error(j), EIO);
	journal_want(j, late, UINT64_MAX);
	fault_gate_open();
	assert_int_equal(await_efd(efd2), 1);
	await_error(j, 0);
	assert_int_equal(journal_durable(j), 4);
	assert_int_equal(journal_wait(j, 4), 0);
	assert_int_equal(drain_efd(efd), 0);
	lsn = append(j, 0, 5);
	assert_int_equal(lsn, 5);
	assert_int_equal(journal_wait(j, 5), 0);
	assert_int_equal(journal_close(j), 0);
	/* However often it was tried. */
	assert_int_equal(logged_times("journal is broken"), 1);
	assert_int_equal(logged_times("journal works again"), 1);
	close(efd);
	close(efd2);

	disk_read();
	assert_int_equal(disk.nnames, 2);
	assert_int_equal(disk.nrecords, 5);
	for (lsn = 1; lsn <= 5; lsn++)
		assert_record(lsn, 0, (int)lsn);
}

/* Closed while broken: a last try, and the truth about it. */
static void
closes_broken(void **state)
{
	struct journal *j = open_journal(1, 65536, 65536);

	(void)state;
	assert_int_equal(append(j, 0, 1), 1);
	assert_int_equal(journal_wait(j, 1), 0);
	fault_arm_forever(FAULT_FDATASYNC, 1, EROFS);
	assert_int_equal(append(j, 0, 2), 2);
	await_error(j, EROFS);
	errno = 0;
	assert_int_equal(journal_close(j), -1);
	assert_int_equal(errno, EROFS);
	fault_disarm();
	disk_read();
	assert_int_equal(disk.nnames, 1);

	/* The last try may succeed. */
	j = open_journal(2, 65536, 65536);
	fault_arm_forever(FAULT_FDATASYNC, 1, EROFS);
	assert_int_equal(append(j, 0, 2), 2);
	await_error(j, EROFS);
	fault_disarm();
	assert_int_equal(journal_close(j), 0);
	disk_read();
	assert_int_equal(disk.nrecords, 2);
	assert_record(2, 0, 2);
}

/*
 * Any one call fails, while a journal is opened, written with a rotation for
 * every record, retired and closed: what was acknowledged is on the disk.
 */
static void
every_call_fails_once(void **state)
{
	struct journal_options opt = { STORE, 1, 300, 65536, 0 };
	struct journal *j;
	uint64_t acked;
	int n, i, fd = tempdir_free_fd();

	(void)state;
	for (n = 1; ; n++) {
		tempdir_empty(dir);
		fault_arm(n, ENOSPC);
		if (journal_open(dir, &opt, &j) == -1) {
			assert_true(fault_fired());
			assert_int_equal(errno, ENOSPC);
			assert_int_equal(tempdir_count(dir), 0);
			continue;
		}
		acked = 0;
		for (i = 1; i <= 4; i++) {
			assert_int_equal(append(j, 0, i), i);
			assert_int_equal(journal_wait(j, (uint64_t)i), 0);
			acked = (uint64_t)i;
		}
		assert_int_equal(journal_error(j), 0);
		journal_retire(j, 2, 0);
		assert_int_equal(journal_close(j), 0);
		if (!fault_fired())
			break;
		fault_disarm();
		assert_int_equal(tempdir_free_fd(), fd);
		disk_read();
		assert_int_equal(disk.last, acked);
		for (i = 2; i <= 4; i++)
			assert_record((uint64_t)i, 0, i);
	}
	fault_disarm();
	assert_true(n > 30);
}

/*
 * From some call on all fail, until the disk is well again: what was
 * acknowledged is there, what was only taken too, and everything goes on.
 */
static void
every_call_fails_from_then_on(void **state)
{
	static const int errors[] = { EIO, ENOSPC, EROFS };
	struct journal_options opt = { STORE, 1, 300, 65536, 0 };
	struct journal *j;
	uint64_t lsn, last;
	int n, i, fd = tempdir_free_fd();
	bool fired;

	(void)state;
	for (n = 8; ; n += 5) {
		tempdir_empty(dir);
		assert_int_equal(journal_open(dir, &opt, &j), 0);
		await_spare(j, 0);
		fault_arm_forever(FAULT_ANY, n - 7, errors[n % 3]);
		for (i = 1, last = 0; i <= 6; i++) {
			if ((lsn = append(j, 0, (int)last + 1)) == 0) {
				assert_int_equal(errno, errors[n % 3]);
				continue;
			}
			assert_int_equal(lsn, ++last);
			if (journal_wait(j, lsn) == -1)
				assert_int_equal(errno, errors[n % 3]);
		}
		journal_retire(j, 2, 0);
		fired = fault_fired();
		fault_disarm();
		await_error(j, 0);
		await_spare(j, 0);
		assert_int_equal(append(j, 0, (int)last + 1), last + 1);
		assert_int_equal(journal_close(j), 0);
		assert_int_equal(tempdir_free_fd(), fd);
		/* Files that could not be removed hold nothing. */
		disk_read();
		assert_int_equal(disk.last, last + 1);
		for (lsn = 2; lsn <= last + 1; lsn++)
			assert_record(lsn, 0, (int)lsn);
		if (!fired)
			break;
	}
	assert_true(n > 30);
}

/*
 * Any one allocation fails: an append is refused and uses no number, or the
 * committer tries again; what was taken becomes durable.
 */
static void
every_allocation_fails_once(void **state)
{
	struct journal_options opt = { STORE, 1, 300, 65536, 0 };
	struct journal_waiter *w;
	struct journal *j;
	uint64_t lsn, last;
	int n, i, refused = 0;

	(void)state;
	for (n = 1; ; n++) {
		tempdir_empty(dir);
		nomem_arm(n);
		if (journal_open(dir, &opt, &j) == -1) {
			assert_true(nomem_fired());
			assert_int_equal(errno, ENOMEM);
			assert_int_equal(tempdir_count(dir), 0);
			continue;
		}
		if (journal_subscribe(j, -1, &w) == -1)
			assert_int_equal(errno, ENOMEM);
		last = 0;
		for (i = 1; i <= 4; i++) {
			if ((lsn = append(j, 0, (int)last + 1)) == 0) {
				assert_int_equal(errno, ENOMEM);
				refused++;
				continue;
			}
			assert_int_equal(lsn, last + 1);
			last = lsn;
			assert_int_equal(journal_wait(j, lsn), 0);
		}
		assert_int_equal(journal_close(j), 0);
		if (!nomem_fired())
			break;
		nomem_disarm();
		disk_read();
		assert_int_equal(disk.nrecords, last);
		for (lsn = 1; lsn <= last; lsn++)
			assert_record(lsn, 0, (int)lsn);
	}
	nomem_disarm();
	assert_true(n > 10);
	assert_true(refused > 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(fails_once),
		TEST(breaks_and_recovers),
		TEST(closes_broken),
		TEST(every_call_fails_once),
		TEST(every_call_fails_from_then_on),
		TEST(every_allocation_fails_once),
	};

	fault_init();
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
