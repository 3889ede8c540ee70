/*
 * store/segment_read: a torn tail, damage, zeros and bytes of other segments
 * are told apart, and nothing outside is read.
 */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/segment.h"
#include "store/sys.h"
#include "tests/fault.h"
#include "tests/segmented.h"

/*
 * The crash came inside the last batch: the file ends there, or only the
 * first bytes reached the disk, or only the last.
 */
static void
torn_tail(void **state)
{
	struct segment_report rep;
	struct seen s;
	size_t off[BATCHES + 1], len, cut;
	char *whole, *p;

	(void)state;
	write_three(4096, off);
	whole = slurp(NAME, &len);
	assert_non_null(p = malloc(len));
	for (cut = off[2]; cut < off[3]; cut++) {
		spill(whole, cut);
		assert_int_equal(read_back(&s, &rep), 0);
		assert_int_equal(s.lsns, bits(7, 10));
		assert_int_equal(rep.is_torn, cut > off[2]);
		assert_int_equal(rep.damaged, 0);
		assert_int_equal(rep.last, 10);
		assert_int_equal(rep.vouched, 9);

		memcpy(p, whole, len);
		memset(p + cut, 0, len - cut);
		spill(p, len);
		assert_int_equal(read_back(&s, &rep), 0);
		assert_int_equal(s.lsns, bits(7, 10));
		assert_int_equal(rep.is_torn, cut > off[2]);
		assert_int_equal(rep.damaged, 0);

		memcpy(p, whole, len);
		memset(p + off[2], 0, cut + 1 - off[2]);
		spill(p, len);
		assert_int_equal(read_back(&s, &rep), 0);
		assert_int_equal(s.lsns, bits(7, 10));
		assert_int_equal(rep.is_torn, cut + 1 < off[3]);
		assert_int_equal(rep.damaged, 0);
	}
	free(p);
	free(whole);
}

/* A bit turned over anywhere in a batch: it, and it alone, is not read. */
static void
flipped_bits(void **state)
{
	struct segment_report rep;
	struct seen s;
	size_t off[BATCHES + 1], len, at;
	char *p;
	int bit;

	(void)state;
	write_three(4096, off);
	p = slurp(NAME, &len);
	for (at = off[0]; at < off[3]; at++) {
		bit = (int)(at % 8);
		p[at] ^= (char)(1 << bit);
		spill(p, len);
		p[at] ^= (char)(1 << bit);
		assert_int_equal(read_back(&s, &rep), 0);
		if (at < off[1])
			assert_int_equal(s.lsns, bits(10, 12));
		else if (at < off[2])
			assert_int_equal(s.lsns, bits(7, 9) | bits(11, 12));
		else
			assert_int_equal(s.lsns, bits(7, 10));
		assert_int_equal(rep.damaged, at < off[2] ? 1 : 0);
		assert_int_equal(rep.is_torn, at >= off[2]);
	}
	free(p);
}

/* A hole of zeros before a valid batch is damage; two holes are two. */
static void
holes(void **state)
{
	struct segment_report rep;
	struct seen s;
	size_t off[BATCHES + 1], len;
	char *p;

	(void)state;
	write_three(4096, off);
	p = slurp(NAME, &len);
	memset(p + off[0], 0, off[1] - off[0]);
	spill(p, len);
	assert_int_equal(read_back(&s, &rep), 0);
	assert_int_equal(s.lsns, bits(10, 12));
	assert_int_equal(rep.damaged, 1);
	assert_false(rep.is_torn);
	p[off[2] + 20] = 'x';
	spill(p, len);
	assert_int_equal(read_back(&s, &rep), 0);
	assert_int_equal(s.lsns, bits(10, 10));
	assert_int_equal(rep.damaged, 1);
	assert_true(rep.is_torn);
	free(p);
}

/*
 * Any byte of the header wrong: the batches are read if it still tells the id
 * that seeds their sums, and it is damage; else nothing in the file can be
 * believed.
 */
static void
bad_header(void **state)
{
	struct segment_report rep;
	struct seen s;
	size_t off[BATCHES + 1], len, at, nread = 0;
	char *p;

	(void)state;
	write_three(4096, off);
	p = slurp(NAME, &len);
	for (at = 0; at < SEGMENT_HEADER; at++) {
		p[at] ^= 1;
		spill(p, len);
		p[at] ^= 1;
		errno = 0;
		if (read_back(&s, &rep) == 0) {
			assert_int_equal(s.lsns, bits(7, 12));
			assert_int_equal(rep.damaged, 1);
			assert_false(rep.is_copy);
			nread++;
			continue;
		}
		assert_int_equal(errno, EBADMSG);
		assert_int_equal(s.lsns, 0);
	}
	/* The padding, the inode, the number, the sum. */
	assert_in_range(nread, 100, SEGMENT_HEADER - 60);
	free(p);
	assert_int_equal(segment_read(dir, "00000000000000000008", STORE, see,
	    &s, &rep), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(segment_read(dir, "nonsense", STORE, see, &s, &rep),
	    -1);
	assert_int_equal(errno, EINVAL);
}

static void
other_store(void **state)
{
	struct segment_report rep;
	struct seen s = { .lsns = 0 };
	size_t off[BATCHES + 1];

	(void)state;
	write_three(4096, off);
	assert_int_equal(segment_read(dir, NAME, "store_other", see, &s, &rep),
	    -1);
	assert_int_equal(errno, EBADMSG);
	assert_int_equal(s.lsns, 0);
}

/* What a crash leaves before the header was synced holds no batch. */
static void
unborn(void **state)
{
	static const char zeros[4096];
	char sector[SEGMENT_HEADER + 16384] = { 0 };
	struct segment_report rep;
	struct seen s;
	size_t off[BATCHES + 1], len, n;
	char *p;

	(void)state;
	write_three(4096, off);
	p = slurp(NAME, &len);
	for (n = 0; n < SEGMENT_HEADER; n += 15) {
		spill(p, n);
		assert_int_equal(read_back(&s, &rep), 0);
		assert_true(rep.is_torn);
		assert_int_equal(rep.last, 6);
		assert_int_equal(rep.first, 7);
	}
	spill(zeros, sizeof(zeros));
	assert_int_equal(read_back(&s, &rep), 0);
	assert_true(rep.is_torn);
	assert_int_equal(s.lsns, 0);
	/* One sector of anything is what was being written; two are not. */
	memset(sector + 5000, 'x', 4096);
	spill(sector, sizeof(sector));
	assert_int_equal(read_back(&s, &rep), 0);
	assert_true(rep.is_torn);
	sector[5000 + 4096] = 'x';
	spill(sector, sizeof(sector));
	assert_int_equal(read_back(&s, &rep), -1);
	assert_int_equal(errno, EBADMSG);
	spill(p, SEGMENT_HEADER);
	assert_int_equal(read_back(&s, &rep), 0);
	assert_false(rep.is_torn);
	assert_int_equal(rep.last, 6);
	free(p);
}

/* Valid batches of another segment, or of this one pasted once more. */
static void
foreign_batches(void **state)
{
	struct segment_report rep;
	struct seen s;
	size_t off[BATCHES + 1], len, len2;
	char *p, *other;

	(void)state;
	write_three(4096, off);
	other = slurp(NAME, &len2);
	assert_int_equal(unlinkat(dir, NAME, 0), 0);
	write_three(4096, off);
	p = slurp(NAME, &len);

	memcpy(p + off[1], other + off[1], off[2] - off[1]);
	spill(p, len);
	assert_int_equal(read_back(&s, &rep), 0);
	assert_int_equal(s.lsns, bits(7, 9) | bits(11, 12));
	assert_int_equal(rep.damaged, 1);
	memcpy(p + off[2], other + off[2], off[3] - off[2]);
	spill(p, len);
	assert_int_equal(read_back(&s, &rep), 0);
	assert_int_equal(s.lsns, bits(7, 9));
	assert_true(rep.is_torn);

	memcpy(p + off[1], p + off[0], off[1] - off[0]);
	memset(p + off[2], 0, off[3] - off[2]);
	spill(p, len);
	assert_int_equal(read_back(&s, &rep), 0);
	assert_int_equal(s.lsns, bits(7, 9));
	assert_true(rep.is_torn);
	free(other);
	free(p);
}

static void
copies(void **state)
{
	struct segment_report rep;
	struct seen s;
	size_t off[BATCHES + 1], len;
	char *p;
	int fd;

	(void)state;
	write_three(4096, off);
	p = slurp(NAME, &len);
	/* The old one stays, so that the new one gets another inode. */
	assert_int_equal(renameat(dir, NAME, dir, "old"), 0);
	assert_true((fd = openat(dir, NAME, O_CREAT | O_WRONLY, 0600)) >= 0);
	close(fd);
	spill(p, len);
	assert_int_equal(read_back(&s, &rep), 0);
	assert_true(rep.is_copy);
	assert_int_equal(s.lsns, bits(7, 12));
	free(p);
}

/* A true line whose 64 MB of records are cut off: none of them is read. */
static void
cut_long_batch(void **state)
{
	enum { LENGTH = 64 << 20 };
	struct segment_report rep;
	struct seen s;
	struct segment_batch b = batch(0);
	struct segment *seg = create(7, 0);
	char *big;
	int fd;

	(void)state;
	assert_non_null(big = calloc(1, LENGTH));
	big[LENGTH - 1] = '\n';
	b.count = 1;
	b.records = (struct span){ big, LENGTH };
	assert_int_equal(segment_write(seg, &b), 0);
	segment_close(seg);
	free(big);
	assert_true((fd = openat(dir, NAME, O_WRONLY)) >= 0);
	assert_int_equal(ftruncate(fd, SEGMENT_HEADER + SEGMENT_BATCH + 10), 0);
	close(fd);
	assert_int_equal(read_back(&s, &rep), 0);
	assert_int_equal(s.lsns, 0);
	assert_true(rep.is_torn);
}

/* Random bytes, and random pieces of the file itself, put anywhere. */
static void
garbage(void **state)
{
	struct segment_report rep;
	struct seen s;
	size_t off[BATCHES + 1], len, n, from, to;
	unsigned seed = 7;
	char *whole, *p;
	int round, k;

	(void)state;
	write_three(2048, off);
	whole = slurp(NAME, &len);
	assert_non_null(p = malloc(len));
	for (round = 0; round < 3000; round++) {
		memcpy(p, whole, len);
		for (k = rand_r(&seed) % 8; k >= 0; k--) {
			from = (size_t)rand_r(&seed) % len;
			to = SEGMENT_HEADER + (size_t)rand_r(&seed) %
			    (len - SEGMENT_HEADER);
			n = (size_t)rand_r(&seed) % 300;
			if (n > len - from)
				n = len - from;
			if (n > len - to)
				n = len - to;
			if (rand_r(&seed) % 2 == 0)
				memmove(p + to, p + from, n);
			else
				p[to] = (char)rand_r(&seed);
		}
		spill(p, (size_t)rand_r(&seed) % 4 == 0 ?
		    (size_t)rand_r(&seed) % len : len);
		if (read_back(&s, &rep) == 0)
			assert_int_equal(s.lsns & ~bits(7, 12), 0);
	}
	free(p);
	free(whole);
}

/*
 * 200,000 lines that look like batches, each as long as all that follows:
 * reading takes as long as the file is large.  To believe them would be some
 * terabytes to hash, and this would never end.
 */
static void
hostile_lengths(void **state)
{
	enum { LINES = 200000 };
	struct segment_report rep;
	struct seen s;
	size_t off[BATCHES + 1], len;
	char *head, *p, *line;
	int i, n;

	(void)state;
	write_three(0, off);
	head = slurp(NAME, &len);
	len = SEGMENT_HEADER + (size_t)LINES * SEGMENT_BATCH;
	assert_non_null(p = calloc(1, len));
	memcpy(p, head, SEGMENT_HEADER);
	for (i = 0; i < LINES; i++) {
		line = p + SEGMENT_HEADER + (size_t)i * SEGMENT_BATCH;
		memset(line, ' ', SEGMENT_BATCH);
		n = snprintf(line, SEGMENT_BATCH,
		    "{\"lsn\":%20d,\"count\":%10d,\"length\":%12zu,"
		    "\"durable\":%20d,\"at\":%20d,\"line\":\"%08x\",", 100 + i, 1,
		    len - SEGMENT_HEADER - (size_t)(i + 1) * SEGMENT_BATCH, 1,
		    1, 1234567);
		line[n] = ' ';
		memcpy(line + SEGMENT_BATCH - 26,
		    "\"sum\":\"0123456789abcdef\"}\n", 26);
	}
	spill(p, len);
	assert_int_equal(read_back(&s, &rep), 0);
	assert_true(rep.is_torn);
	assert_int_equal(s.lsns, 0);
	free(p);
	free(head);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(torn_tail),
		TEST(flipped_bits),
		TEST(holes),
		TEST(bad_header),
		TEST(other_store),
		TEST(unborn),
		TEST(foreign_batches),
		TEST(copies),
		TEST(cut_long_batch),
		TEST(garbage),
		TEST(hostile_lengths),
	};

	fault_init();
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
