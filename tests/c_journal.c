/*
 * store/journal: acknowledged means synced, in the order of the lsns; who is
 * told, when there is room, and the figures.
 */

#include <sys/eventfd.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/journal.h"
#include "store/lock.h"
#include "store/segment.h"
#include "store/sys.h"
#include "tests/fault.h"
#include "tests/journaled.h"

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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(eight_writers),
		TEST(group_commit),
		TEST(notifications),
		TEST(room),
		TEST(close_drains),
		TEST(giant),
		TEST(raises),
		TEST(raises_while_filling),
		TEST(figures),
	};

	fault_init();
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
