/*
 * store/journal: acknowledged means synced, in the order of the lsns, and a
 * disk that fails loses nothing that was acknowledged.
 */

#include <sys/eventfd.h>

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

#include "store/journal.h"
#include "store/lock.h"
#include "store/segment.h"
#include "store/sys.h"
#include "tests/fault.h"
#include "tests/logged.h"
#include "tests/nomem.h"
#include "tests/tempdir.h"

#define STORE		"store_0123456789abcdef"
#define RECORDS_MAX	20000
#define NAMES_MAX	500

static int dir;

/* What stands in the folder: record i, and the names in their order. */
static struct {
	char		*records[RECORDS_MAX];
	size_t		 nrecords;	/* different ones */
	uint64_t	 last;
	char		 names[NAMES_MAX][SEGMENT_NAME];
	size_t		 nnames;
	size_t		 spares;	/* files without a batch: no names */
	size_t		 batches;
	size_t		 bytes;		/* of all batches */
} disk;

static void
disk_forget(void)
{
	size_t i;

	for (i = 0; i < RECORDS_MAX; i++)
		free(disk.records[i]);
	memset(&disk, 0, sizeof(disk));
}

static int
add_name(const char *name, void *arg)
{
	uint64_t first;

	(void)arg;
	assert_true(segment_parse(name, &first));
	assert_true(disk.nnames < NAMES_MAX);
	strcpy(disk.names[disk.nnames++], name);
	return (0);
}

static int
compare_names(const void *a, const void *b)
{
	return (strcmp(a, b));
}

/* Keep every record; one that comes again must be the same, byte for byte. */
static int
add_batch(const struct segment_batch *b, void *arg)
{
	const char *p = b->records.p, *end;
	uint64_t lsn;
	size_t len;

	(void)arg;
	disk.batches++;
	assert_int_equal(b->durable, b->lsn - 1);
	for (lsn = b->lsn; lsn < b->lsn + b->count; lsn++) {
		end = memchr(p, '\n', (size_t)(b->records.p + b->records.len -
		    p));
		assert_non_null(end);
		assert_true(lsn < RECORDS_MAX);
		len = (size_t)(end - p);
		if (disk.records[lsn] == NULL) {
			assert_non_null(disk.records[lsn] = strndup(p, len));
			disk.nrecords++;
		}
		assert_int_equal(strlen(disk.records[lsn]), len);
		assert_memory_equal(disk.records[lsn], p, len);
		p = end + 1;
		if (lsn > disk.last)
			disk.last = lsn;
	}
	assert_ptr_equal(p, b->records.p + b->records.len);
	return (0);
}

/* Read the folder as a start does; segments without a batch count apart. */
static void
disk_read(void)
{
	struct segment_report rep;
	uint64_t last = 0;
	size_t i, n = 0;

	disk_forget();
	assert_int_equal(sys_eachname(dir, add_name, NULL), 0);
	qsort(disk.names, disk.nnames, sizeof(disk.names[0]), compare_names);
	for (i = 0; i < disk.nnames; i++) {
		assert_int_equal(segment_read(dir, disk.names[i], STORE,
		    add_batch, NULL, &rep), 0);
		assert_int_equal(rep.damaged, 0);
		disk.bytes += rep.used - SEGMENT_HEADER;
		if (rep.used <= SEGMENT_HEADER)
			continue;
		/* Newer records never stand in a file that is read before. */
		assert_true(rep.last >= last);
		last = rep.last;
		memmove(disk.names[n++], disk.names[i], SEGMENT_NAME);
	}
	disk.spares = disk.nnames - n;
	disk.nnames = n;
}

/* How many segments with a batch are there? */
static size_t
count_segments(void)
{
	disk_read();
	return (disk.nnames);
}

/* Wait, at most 10 s, until what journal_stats says of the spare is so. */
static void
await_spare(struct journal *j, int error)
{
	const struct timespec nap = { 0, 2000000 };
	int64_t end = sys_monotonic_ms() + 10000;
	struct journal_stats stats;

	do {
		journal_stats(j, &stats);
		if (stats.reserve_error == error)
			return;
		nanosleep(&nap, NULL);
	} while (sys_monotonic_ms() < end);
	assert_int_equal(stats.reserve_error, error);
}

/* Returns when the spare is there: no call but the committer's comes then. */
static struct journal *
open_journal(uint64_t next, size_t segment_size, size_t batch_max)
{
	struct journal_options opt = { .store_id = STORE, .next = next,
	    .segment_size = segment_size, .batch_max = batch_max };
	struct journal *j;

	assert_int_equal(journal_open(dir, &opt, &j), 0);
	await_spare(j, 0);
	return (j);
}

/* Append {"t":thread,"n":n} in three pieces.  Returns its lsn, 0 if refused. */
static uint64_t
append(struct journal *j, int thread, int n)
{
	char a[32], b[32], end[] = "}\n";
	struct iovec iov[3] = { { a, 0 }, { b, 0 }, { end, 2 } };
	uint64_t lsn;

	iov[0].iov_len = (size_t)snprintf(a, sizeof(a), "{\"t\":%d,", thread);
	iov[1].iov_len = (size_t)snprintf(b, sizeof(b), "\"n\":%d", n);
	return (journal_append(j, iov, 3, &lsn) == -1 ? 0 : lsn);
}

static void
assert_record(uint64_t lsn, int thread, int n)
{
	char expect[64];

	snprintf(expect, sizeof(expect), "{\"t\":%d,\"n\":%d}", thread, n);
	assert_non_null(disk.records[lsn]);
	assert_string_equal(disk.records[lsn], expect);
}

/* Wait, at most 10 s, until the journal's error is so. */
static void
await_error(struct journal *j, int error)
{
	const struct timespec nap = { 0, 2000000 };
	int64_t end = sys_monotonic_ms() + 10000;

	while (journal_error(j) != error && sys_monotonic_ms() < end)
		nanosleep(&nap, NULL);
	assert_int_equal(journal_error(j), error);
}

/* How often was it written since the last call? */
static uint64_t
drain_efd(int efd)
{
	uint64_t n;

	return (read(efd, &n, sizeof(n)) == sizeof(n) ? n : 0);
}

/* The same, but wait for it, at most 10 s. */
static uint64_t
await_efd(int efd)
{
	const struct timespec nap = { 0, 2000000 };
	int64_t end = sys_monotonic_ms() + 10000;
	uint64_t n;

	while ((n = drain_efd(efd)) == 0 && sys_monotonic_ms() < end)
		nanosleep(&nap, NULL);
	return (n);
}

/* Eight threads append, and wait now and then. */

enum { WRITERS = 8, APPENDS = 1500 };

struct writer {
	struct thread	 thread;
	struct journal	*j;
	int		 me;
	bool		 failed;
	uint64_t	 lsns[APPENDS];
};

static void
write_many(void *arg)
{
	struct writer *w = arg;
	int i;

	for (i = 0; i < APPENDS; i++) {
		w->lsns[i] = append(w->j, w->me, i);
		if (w->lsns[i] == 0)
			w->failed = true;
		if (i % 50 == 49 && (journal_wait(w->j, w->lsns[i]) == -1 ||
		    journal_durable(w->j) < w->lsns[i]))
			w->failed = true;
	}
}

static void
eight_writers(void **state)
{
	struct journal *j = open_journal(1, 20000, 1 << 20);
	struct journal_stats stats;
	static struct writer w[WRITERS];
	int i, k;

	(void)state;
	for (i = 0; i < WRITERS; i++) {
		w[i].j = j;
		w[i].me = i;
		assert_int_equal(thread_start(&w[i].thread, "writer",
		    write_many, &w[i]), 0);
	}
	for (i = 0; i < WRITERS; i++) {
		thread_join(&w[i].thread);
		assert_false(w[i].failed);
	}
	assert_int_equal(journal_next(j), 1 + WRITERS * APPENDS);
	assert_int_equal(journal_wait(j, WRITERS * APPENDS), 0);
	journal_stats(j, &stats);
	assert_int_equal(stats.records, WRITERS * APPENDS);
	assert_true(stats.segments > 5);
	assert_int_equal(journal_close(j), 0);

	disk_read();
	assert_int_equal(disk.nrecords, WRITERS * APPENDS);
	assert_int_equal(disk.last, WRITERS * APPENDS);
	assert_int_equal(disk.batches, stats.batches);
	assert_int_equal(disk.bytes, stats.bytes);
	assert_int_equal(disk.nnames, stats.segments);
	for (i = 0; i < WRITERS; i++) {
		for (k = 0; k < APPENDS; k++) {
			assert_record(w[i].lsns[k], i, k);
			assert_true(k == 0 ||
			    w[i].lsns[k - 1] < w[i].lsns[k]);
		}
	}
}

/*
 * While one fdatasync runs, nothing is acknowledged, and what arrives shares
 * the next.
 */
static void
group_commit(void **state)
{
	struct journal *j = open_journal(1, 65536, 65536);
	struct journal_stats stats;
	struct journal_waiter *w;
	unsigned long writes;
	int efd = eventfd(0, EFD_NONBLOCK);

	(void)state;
	assert_int_equal(journal_subscribe(j, efd, &w), 0);
	writes = fault_count(FAULT_PWRITEV);
	fault_gate_close(FAULT_FDATASYNC);
	assert_int_equal(append(j, 0, 1), 1);
	journal_want(j, w, 1);
	assert_true(fault_gate_await());
	/* Its bytes are in the file, which is not enough. */
	assert_int_equal(fault_count(FAULT_PWRITEV), writes + 1);
	assert_int_equal(append(j, 0, 2), 2);
	assert_int_equal(append(j, 0, 3), 3);
	assert_int_equal(append(j, 0, 4), 4);
	assert_int_equal(journal_durable(j), 0);
	assert_int_equal(drain_efd(efd), 0);

	fault_gate_pass();
	assert_int_equal(await_efd(efd), 1);
	assert_int_equal(journal_wait(j, 1), 0);
	assert_true(fault_gate_await());
	assert_int_equal(journal_durable(j), 1);
	journal_want(j, w, 4);
	assert_int_equal(drain_efd(efd), 0);
	fault_gate_pass();
	assert_int_equal(await_efd(efd), 1);
	assert_int_equal(journal_durable(j), 4);
	fault_gate_open();

	journal_stats(j, &stats);
	assert_int_equal(stats.batches, 2);
	assert_int_equal(stats.records, 4);
	journal_unsubscribe(j, w);
	assert_int_equal(journal_close(j), 0);
	close(efd);
	disk_read();
	assert_int_equal(disk.batches, 2);
	assert_int_equal(disk.nrecords, 4);
}

static void
notifications(void **state)
{
	struct journal *j = open_journal(1, 65536, 65536);
	struct journal_waiter *w, *idle;
	int efd = eventfd(0, EFD_NONBLOCK), efd2 = eventfd(0, EFD_NONBLOCK);

	(void)state;
	assert_int_equal(journal_subscribe(j, efd, &w), 0);
	assert_int_equal(journal_subscribe(j, efd2, &idle), 0);

	/* Durable already: at once.  Who wants nothing hears nothing. */
	assert_int_equal(append(j, 0, 1), 1);
	assert_int_equal(journal_wait(j, 1), 0);
	assert_int_equal(drain_efd(efd), 0);
	journal_want(j, w, 1);
	assert_int_equal(drain_efd(efd), 1);

	/* Once a wish: the next batch does not tell again. */
	assert_int_equal(append(j, 0, 2), 2);
	assert_int_equal(journal_wait(j, 2), 0);
	assert_int_equal(drain_efd(efd), 0);

	/* The least of several counts, in whatever order they came. */
	fault_gate_close(FAULT_FDATASYNC);
	assert_int_equal(append(j, 0, 3), 3);
	assert_true(fault_gate_await());
	assert_int_equal(append(j, 0, 4), 4);
	journal_want(j, w, 4);
	journal_want(j, w, 3);
	journal_want(j, w, 4);
	journal_want(j, idle, UINT64_MAX);
	assert_int_equal(drain_efd(efd) + drain_efd(efd2), 0);
	fault_gate_pass();
	assert_int_equal(await_efd(efd), 1);
	assert_int_equal(await_efd(efd2), 1);
	assert_int_equal(journal_durable(j), 3);
	fault_gate_open();
	assert_int_equal(journal_wait(j, 4), 0);
	assert_int_equal(drain_efd(efd), 0);

	journal_unsubscribe(j, w);
	assert_int_equal(journal_close(j), 0);
	close(efd);
	close(efd2);
}

/* A full batch is known before the append, and room is told. */
static void
room(void **state)
{
	struct journal *j = open_journal(1, 65536, 100);
	struct journal_waiter *w;
	int efd = eventfd(0, EFD_NONBLOCK), n = 2;

	(void)state;
	assert_int_equal(journal_subscribe(j, efd, &w), 0);
	assert_int_equal(journal_room(j, 100, false), 0);
	assert_int_equal(journal_room(j, 1000, false), 0);
	fault_gate_close(FAULT_FDATASYNC);
	assert_int_equal(append(j, 0, 1), 1);
	assert_true(fault_gate_await());
	while (journal_room(j, 16, false) == 0)
		assert_true(append(j, 0, n++) != 0);
	assert_in_range(n, 7, 9);
	assert_int_equal(journal_room(j, 16, false), ENOBUFS);
	journal_want(j, w, UINT64_MAX);
	assert_int_equal(drain_efd(efd), 0);
	/* Who did not ask is taken all the same. */
	assert_int_equal(append(j, 0, n), n);
	/* When the news comes there is room already. */
	fault_gate_pass();
	assert_int_equal(await_efd(efd), 1);
	assert_int_equal(journal_room(j, 100, false), 0);
	fault_gate_open();
	assert_int_equal(journal_wait(j, (uint64_t)n), 0);
	assert_int_equal(journal_room(j, 100, false), 0);
	assert_int_equal(journal_close(j), 0);
	close(efd);
}

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
	uint64_t lsn;

	(void)state;
	assert_int_equal(journal_subscribe(j, efd, &w), 0);
	assert_int_equal(journal_subscribe(j, efd2, &late), 0);
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

	/* Tries that fail leave no files behind. */
	while (fault_count(FAULT_OPENAT) < 4)
		(void)journal_wait(j, 1);

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
	close(efd);
	close(efd2);

	disk_read();
	assert_int_equal(disk.nnames, 2);
	assert_int_equal(disk.nrecords, 5);
	for (lsn = 1; lsn <= 5; lsn++)
		assert_record(lsn, 0, (int)lsn);
}

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

/* Closed while broken: a last try, and the truth about it. */
static void
closes_broken(void **state)
{
	struct journal *j = open_journal(1, 65536, 65536);
	int64_t before;

	(void)state;
	assert_int_equal(append(j, 0, 1), 1);
	assert_int_equal(journal_wait(j, 1), 0);
	fault_arm_forever(FAULT_FDATASYNC, 1, EROFS);
	assert_int_equal(append(j, 0, 2), 2);
	await_error(j, EROFS);
	before = sys_monotonic_ms();
	errno = 0;
	assert_int_equal(journal_close(j), -1);
	assert_int_equal(errno, EROFS);
	assert_true(sys_monotonic_ms() - before < 900);
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

/* Close writes what nobody waited for. */
static void
close_drains(void **state)
{
	struct journal *j = open_journal(1, 65536, 65536);
	int i;

	(void)state;
	for (i = 1; i <= 500; i++)
		assert_int_equal(append(j, 0, i), i);
	assert_int_equal(journal_close(j), 0);
	disk_read();
	assert_int_equal(disk.nrecords, 500);
	/* A journal without a record leaves no file. */
	j = open_journal(501, 65536, 65536);
	assert_int_equal(journal_close(j), 0);
	disk_read();
	assert_int_equal(disk.last, 500);
	assert_true(strcmp(disk.names[disk.nnames - 1],
	    "00000000000000000501") < 0);
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

/* Numbers are left out at once, and count as durable in their turn. */
static void
raises(void **state)
{
	struct journal *j = open_journal(1, 65536, 65536);
	uint64_t lsn;

	(void)state;
	journal_raise(j, 10);
	assert_int_equal(journal_durable(j), 10);
	assert_int_equal(append(j, 0, 11), 11);
	assert_int_equal(journal_wait(j, 11), 0);
	journal_raise(j, 5);
	assert_int_equal(journal_next(j), 12);
	assert_int_equal(append(j, 0, 12), 12);
	assert_int_equal(append(j, 0, 13), 13);
	journal_raise(j, 100);
	assert_int_equal(journal_durable(j), 100);
	assert_int_equal(append(j, 0, 101), 101);
	assert_int_equal(journal_close(j), 0);
	disk_read();
	assert_int_equal(disk.nrecords, 4);
	for (lsn = 11; lsn <= 13; lsn++)
		assert_record(lsn, 0, (int)lsn);
	assert_record(101, 0, 101);
}

static void
raise_to_50(void *arg)
{
	journal_raise(arg, 50);
}

/* Raised while records are pending: one batch of the file for each side. */
static void
raises_while_filling(void **state)
{
	struct journal *j = open_journal(1, 65536, 65536);
	const struct timespec nap = { 0, 1000000 };
	struct thread t;

	(void)state;
	fault_gate_close(FAULT_FDATASYNC);
	assert_int_equal(append(j, 0, 1), 1);
	assert_true(fault_gate_await());
	assert_int_equal(append(j, 0, 2), 2);
	assert_int_equal(thread_start(&t, "raise", raise_to_50, j), 0);
	while (journal_next(j) == 3)
		nanosleep(&nap, NULL);
	assert_int_equal(append(j, 0, 51), 51);
	assert_int_equal(append(j, 0, 52), 52);
	assert_int_equal(journal_durable(j), 0);
	fault_gate_pass();
	assert_int_equal(journal_wait(j, 1), 0);
	assert_true(fault_gate_await());
	assert_int_equal(journal_durable(j), 1);
	fault_gate_pass();
	/* 2 is durable, and so is the gap; 51 is not. */
	thread_join(&t);
	assert_true(fault_gate_await());
	assert_int_equal(journal_durable(j), 50);
	fault_gate_open();
	assert_int_equal(journal_wait(j, 52), 0);
	assert_int_equal(journal_close(j), 0);
	disk_read();
	assert_int_equal(disk.nrecords, 4);
	assert_int_equal(disk.batches, 3);
	assert_record(51, 0, 51);
	assert_record(52, 0, 52);
}

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

/* --- spares ------------------------------------------------------------- */

/* Wait, at most 10 s, until lsn is durable. */
static void
await_durable(struct journal *j, uint64_t lsn)
{
	const struct timespec nap = { 0, 2000000 };
	int64_t end = sys_monotonic_ms() + 10000;

	while (journal_durable(j) < lsn && sys_monotonic_ms() < end)
		nanosleep(&nap, NULL);
	assert_in_range(journal_durable(j), lsn, UINT64_MAX);
}

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

/* --- figures ------------------------------------------------------------ */

static void
figures(void **state)
{
	const struct timespec nap = { 0, 30000000 };
	struct segment_report report = { .used = 1000, .size = 4096,
	    .first = 3, .last = 5 };
	struct journal *j = open_journal(10, 700, 65536);
	struct journal_stats stats;

	(void)state;
	journal_stats(j, &stats);
	assert_int_equal(stats.oldest_lsn, 0);
	assert_int_equal(stats.newest_lsn, 0);
	assert_int_equal(stats.oldest_ms, 0);
	/* One that holds no batch says nothing of ages. */
	assert_int_equal(journal_adopt(j, "00000000000000000002", &report), 0);
	report.first_at = sys_now_ms() - 5000;
	assert_int_equal(journal_adopt(j, "00000000000000000003", &report), 0);
	journal_stats(j, &stats);
	assert_int_equal(stats.oldest_lsn, 3);
	assert_int_equal(stats.newest_lsn, 5);
	assert_in_range(stats.oldest_ms, 5000, 60000);
	assert_int_equal(stats.segments, 3);
	assert_int_equal(stats.kept_bytes, 4096 + 4096 + 700);
	assert_int_equal(histogram_count(&stats.sync_us), 0);

	/* One of 1 and one of 3; the sync of the first takes 30 ms. */
	fault_gate_close(FAULT_FDATASYNC);
	assert_int_equal(append(j, 0, 10), 10);
	assert_true(fault_gate_await());
	assert_int_equal(append(j, 0, 11), 11);
	assert_int_equal(append(j, 0, 12), 12);
	assert_int_equal(append(j, 0, 13), 13);
	nanosleep(&nap, NULL);
	fault_gate_open();
	assert_int_equal(journal_wait(j, 13), 0);
	journal_stats(j, &stats);
	assert_int_equal(stats.newest_lsn, 13);
	assert_int_equal(stats.batch_records.sum, 4);
	assert_int_equal(histogram_count(&stats.batch_records), 2);
	assert_int_equal(stats.batch_records.counts[0], 1);
	assert_int_equal(histogram_count(&stats.sync_us), 2);
	assert_in_range(stats.sync_us.sum, 30000, 20000000);

	/* What is left is as old as its own first batch. */
	journal_retire(j, 10, 0);
	journal_stats(j, &stats);
	assert_int_equal(stats.oldest_lsn, 10);
	assert_in_range(stats.oldest_ms, 0, 4000);
	assert_int_equal(journal_close(j), 0);
}

/* --- a full disk -------------------------------------------------------- */

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

/* --- rotation ----------------------------------------------------------- */

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

/* A record larger than batch and segment is taken whole. */
static void
giant(void **state)
{
	struct journal *j = open_journal(1, 4096, 1000);
	struct iovec iov;
	uint64_t lsn;
	char *big;

	(void)state;
	assert_non_null(big = malloc(1000000));
	memset(big, 'x', 1000000);
	big[999999] = '\n';
	iov = (struct iovec){ big, 1000000 };
	assert_int_equal(append(j, 0, 1), 1);
	assert_int_equal(journal_wait(j, 1), 0);
	assert_int_equal(journal_append(j, &iov, 1, &lsn), 0);
	assert_int_equal(journal_wait(j, lsn), 0);
	assert_int_equal(append(j, 0, 3), 3);
	assert_int_equal(journal_close(j), 0);
	disk_read();
	assert_int_equal(disk.nrecords, 3);
	assert_int_equal(strlen(disk.records[2]), 999999);
	free(big);
}

static int
setup(void **state)
{
	(void)state;
	fault_disarm();
	dir = tempdir_open();
	return (dir == -1 ? -1 : 0);
}

static int
teardown(void **state)
{
	(void)state;
	logged_stop();
	fault_disarm();
	disk_forget();
	tempdir_close(dir);
	return (0);
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(eight_writers),
		TEST(group_commit),
		TEST(notifications),
		TEST(room),
		TEST(fails_once),
		TEST(breaks_and_recovers),
		TEST(full_disk),
		TEST(closes_broken),
		TEST(close_drains),
		TEST(every_call_fails_once),
		TEST(every_call_fails_from_then_on),
		TEST(every_allocation_fails_once),
		TEST(raises),
		TEST(raises_while_filling),
		TEST(retires),
		TEST(keeps_from_the_last_record),
		TEST(retires_oldest_first),
		TEST(restarts),
		TEST(giant),
		TEST(takes_the_spare),
		TEST(awaits_the_spare),
		TEST(large_spare),
		TEST(spare_fails),
		TEST(spares_in_order),
		TEST(figures),
		TEST(refuses_before_it_breaks),
		TEST(errors_of_a_full_disk),
		TEST(gives_the_reserve),
		TEST(keeps_less),
		TEST(rotates),
		TEST(rotation_fails),
	};

	fault_init();
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
