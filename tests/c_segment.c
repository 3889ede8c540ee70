/*
 * store/segment: what was written is read back, line by line; names, sizes
 * and syncs.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "store/segment.h"
#include "store/sys.h"
#include "tests/fault.h"
#include "tests/segmented.h"
#include "tests/tempdir.h"

static void
names(void **state)
{
	uint64_t n;

	(void)state;
	assert_true(segment_parse("00000000000000000042", &n));
	assert_int_equal(n, 42);
	assert_true(segment_parse("18446744073709551615", &n));
	assert_true(n == UINT64_MAX);
	assert_true(segment_parse("00000000000000000042-000001", &n));
	assert_int_equal(n, 42);
	assert_false(segment_parse("18446744073709551616", &n));
	assert_false(segment_parse("0000000000000000042", &n));
	assert_false(segment_parse("000000000000000000042", &n));
	assert_false(segment_parse("00000000000000000042-00001", &n));
	assert_false(segment_parse("00000000000000000042-0000001", &n));
	assert_false(segment_parse("00000000000000000042.why", &n));
	assert_false(segment_parse(".tmp-0000000000000000", &n));
	assert_false(segment_parse("", &n));
}

static void
reads_what_was_written(void **state)
{
	struct segment_report rep;
	struct seen s = { .lsns = 0 };
	size_t off[BATCHES + 1], len;
	char *p;

	(void)state;
	write_three(65536, off);
	assert_int_equal(segment_read(dir, NAME, STORE, see, &s, &rep), 0);
	assert_int_equal(s.lsns, bits(7, 12));
	assert_int_equal(s.bytes.len, strlen(records[0]) + strlen(records[1]) +
	    strlen(records[2]));
	assert_memory_equal(s.bytes.data, records[0], strlen(records[0]));
	buf_fini(&s.bytes);
	assert_false(rep.is_torn);
	assert_false(rep.is_copy);
	assert_int_equal(rep.damaged, 0);
	assert_int_equal(rep.first, 7);
	assert_int_equal(rep.last, 12);
	assert_int_equal(rep.vouched, 10);
	assert_int_equal(rep.at, 1700000000002);
	assert_int_equal(rep.used, off[BATCHES]);

	/* It is filled with zeros to the last byte, being below a step. */
	p = slurp(NAME, &len);
	assert_int_equal(len, 65536);
	while (len > off[BATCHES])
		assert_int_equal(p[--len], 0);
	free(p);
}

/*
 * All zeros are there before the first batch, and a batch writes nothing but
 * itself; the file grows for what is beyond them only.
 */
static void
filled_whole(void **state)
{
	const size_t size = (5 << 20) + 1234, len = (1 << 20) + 7;
	struct segment_batch b = { .lsn = 7, .count = 1 };
	struct segment_report rep;
	struct segment *seg = create(7, size);
	unsigned long writes;
	struct seen s;
	char *lines, *p;
	size_t n, at;

	(void)state;
	p = slurp(NAME, &n);
	assert_int_equal(n, size);
	assert_int_equal(segment_size(seg), size);
	for (at = SEGMENT_HEADER; at < n; at++)
		assert_int_equal(p[at], 0);
	free(p);
	assert_non_null(lines = malloc(len));
	memset(lines, 'x', len);
	lines[len - 1] = '\n';
	b.records = (struct span){ lines, len };
	for (; b.lsn < 7 + 6; b.lsn++) {
		b.durable = b.lsn - 1;
		writes = fault_count(FAULT_PWRITEV);
		assert_int_equal(segment_write(seg, &b), 0);
		assert_int_equal(fault_count(FAULT_PWRITEV), writes + 1);
		free(slurp(NAME, &n));
		assert_int_equal(n, segment_size(seg));
		assert_int_equal(n, segment_used(seg) > size ?
		    segment_used(seg) : size);
	}
	assert_true(n > size);
	segment_close(seg);
	free(lines);
	assert_int_equal(read_back(&s, &rep), 0);
	assert_int_equal(rep.last, 12);
	assert_false(rep.is_torn);
}

/* Every line of a segment, batch lines too, is JSON of fixed length. */
static void
lines_are_json(void **state)
{
	size_t off[BATCHES + 1], len;
	char *p, *line, *end;
	json_t *value;
	int n = 0;

	(void)state;
	write_three(0, off);
	p = slurp(NAME, &len);
	assert_int_equal(len, off[BATCHES]);
	for (line = p; line < p + len; line = end + 1, n++) {
		end = memchr(line, '\n', (size_t)(p + len - line));
		assert_non_null(end);
		value = json_loadb(line, (size_t)(end - line), 0, NULL);
		assert_true(json_is_object(value));
		if (json_object_get(value, "lsn") != NULL)
			assert_int_equal(end + 1 - line, SEGMENT_BATCH);
		if (json_object_get(value, "journal") != NULL)
			assert_int_equal(end + 1 - line, SEGMENT_HEADER);
		json_decref(value);
	}
	assert_int_equal(n, 1 + BATCHES + 6);
	free(p);
}

static void
visit_ends_it(void **state)
{
	struct segment_report rep;
	struct seen s = { .stop_at = 10 };
	size_t off[BATCHES + 1];

	(void)state;
	write_three(0, off);
	assert_int_equal(segment_read(dir, NAME, STORE, see, &s, &rep), 5);
	assert_int_equal(s.lsns, bits(7, 10));
	buf_fini(&s.bytes);
}

/* A batch that is longer than all the zeros makes the file grow. */
static void
grows(void **state)
{
	struct segment_report rep;
	struct seen s;
	struct segment_batch b = batch(0);
	struct segment *seg = create(7, 1000);
	char *big;

	(void)state;
	assert_non_null(big = malloc(300000));
	memset(big, 'x', 300000);
	big[299999] = '\n';
	b.count = 1;
	b.records = (struct span){ big, 300000 };
	assert_int_equal(segment_write(seg, &b), 0);
	b.lsn = 8;
	b.durable = 7;
	assert_int_equal(segment_write(seg, &b), 0);
	assert_int_equal(segment_used(seg), SEGMENT_HEADER +
	    2 * (SEGMENT_BATCH + 300000));
	segment_close(seg);
	assert_int_equal(read_back(&s, &rep), 0);
	assert_int_equal(s.lsns, bits(7, 8));
	free(big);
}

/* A name that is taken gets a suffix; the one that is there stays. */
static void
taken_names(void **state)
{
	struct segment *a, *b, *c;
	struct segment_batch one = batch(0);

	(void)state;
	a = create(7, 0);
	b = create(7, 0);
	assert_string_equal(segment_name(a), NAME);
	assert_string_equal(segment_name(b), NAME "-000001");
	assert_true(strcmp(segment_name(a), segment_name(b)) < 0);
	assert_true(strcmp(segment_name(b), "00000000000000000008") < 0);
	assert_int_equal(segment_write(a, &one), 0);
	assert_int_equal(segment_write(b, &one), 0);
	c = create(7, 0);
	assert_string_equal(segment_name(c), NAME "-000002");
	/* c has no batch: it goes, the others stay. */
	segment_close(c);
	assert_int_equal(tempdir_count(dir), 2);
	segment_close(a);
	segment_close(b);
	segment_close(NULL);
	assert_int_equal(tempdir_count(dir), 2);
}

/* A free name is not taken if it sorts before the one that is said. */
static void
names_behind(void **state)
{
	struct segment_batch one = batch(0);
	struct segment *a, *b;

	(void)state;
	assert_int_equal(segment_create(dir, STORE, 7, NAME "-000004", 0, &a),
	    0);
	assert_string_equal(segment_name(a), NAME "-000005");
	assert_int_equal(segment_create(dir, STORE, 7,
	    "00000000000000000006-000009", 0, &b), 0);
	assert_string_equal(segment_name(b), NAME);
	assert_int_equal(segment_write(a, &one), 0);
	segment_close(b);
	/* Nor is the one that went. */
	assert_int_equal(segment_create(dir, STORE, 7, NAME, 0, &b), 0);
	assert_string_equal(segment_name(b), NAME "-000001");
	segment_close(b);
	segment_close(a);
	assert_int_equal(segment_create(dir, STORE, 7, NAME "-999999", 0, &b),
	    -1);
	assert_int_equal(errno, EEXIST);
	assert_int_equal(tempdir_count(dir), 1);
}

/* The file is synced, then the folder; each batch once. */
static void
syncs(void **state)
{
	unsigned long fsyncs = fault_count(FAULT_FSYNC);
	unsigned long datas = fault_count(FAULT_FDATASYNC);
	struct segment_batch b = batch(0);
	struct segment *seg = create(7, 100000);

	(void)state;
	assert_int_equal(fault_count(FAULT_FSYNC), fsyncs + 2);
	assert_int_equal(segment_write(seg, &b), 0);
	assert_int_equal(fault_count(FAULT_FDATASYNC), datas + 1);
	segment_close(seg);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(names),
		TEST(reads_what_was_written),
		TEST(filled_whole),
		TEST(lines_are_json),
		TEST(visit_ends_it),
		TEST(grows),
		TEST(taken_names),
		TEST(names_behind),
		TEST(syncs),
	};

	fault_init();
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
