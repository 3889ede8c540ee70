#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/sys.h"
#include "tests/fault.h"
#include "tests/journaled.h"
#include "tests/logged.h"
#include "tests/tempdir.h"

int dir;
struct journal_disk disk;

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

void
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

size_t
count_segments(void)
{
	disk_read();
	return (disk.nnames);
}

/* Wait, at most 10 s, until it is so. */
#define AWAIT(is_so)	do {						\
	const struct timespec nap_ = { 0, 2000000 };			\
	int64_t end_ = sys_monotonic_ms() + 10000;			\
									\
	while (!(is_so) && sys_monotonic_ms() < end_)			\
		nanosleep(&nap_, NULL);					\
} while (0)

static int
spare_error(struct journal *j)
{
	struct journal_stats stats;

	journal_stats(j, &stats);
	return (stats.reserve_error);
}

void
await_spare(struct journal *j, int error)
{
	int is;

	AWAIT((is = spare_error(j)) == error);
	assert_int_equal(is, error);
}

struct journal *
open_journal(uint64_t next, size_t segment_size, size_t batch_max)
{
	struct journal_options opt = { .store_id = STORE, .next = next,
	    .segment_size = segment_size, .batch_max = batch_max };
	struct journal *j;

	assert_int_equal(journal_open(dir, &opt, &j), 0);
	await_spare(j, 0);
	return (j);
}

uint64_t
append(struct journal *j, int thread, int n)
{
	char a[32], b[32], end[] = "}\n";
	struct iovec iov[3] = { { a, 0 }, { b, 0 }, { end, 2 } };
	uint64_t lsn;

	iov[0].iov_len = (size_t)snprintf(a, sizeof(a), "{\"t\":%d,", thread);
	iov[1].iov_len = (size_t)snprintf(b, sizeof(b), "\"n\":%d", n);
	return (journal_append(j, iov, 3, &lsn) == -1 ? 0 : lsn);
}

void
assert_record(uint64_t lsn, int thread, int n)
{
	char expect[64];

	snprintf(expect, sizeof(expect), "{\"t\":%d,\"n\":%d}", thread, n);
	assert_non_null(disk.records[lsn]);
	assert_string_equal(disk.records[lsn], expect);
}

void
await_error(struct journal *j, int error)
{
	AWAIT(journal_error(j) == error);
	assert_int_equal(journal_error(j), error);
}

void
await_durable(struct journal *j, uint64_t lsn)
{
	AWAIT(journal_durable(j) >= lsn);
	assert_in_range(journal_durable(j), lsn, UINT64_MAX);
}

uint64_t
drain_efd(int efd)
{
	uint64_t n;

	return (read(efd, &n, sizeof(n)) == sizeof(n) ? n : 0);
}

uint64_t
await_efd(int efd)
{
	uint64_t n;

	AWAIT((n = drain_efd(efd)) != 0);
	return (n);
}

int
setup(void **state)
{
	(void)state;
	fault_disarm();
	dir = tempdir_open();
	return (dir == -1 ? -1 : 0);
}

int
teardown(void **state)
{
	(void)state;
	logged_stop();
	fault_disarm();
	disk_forget();
	tempdir_close(dir);
	return (0);
}
