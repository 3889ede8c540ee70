/*
 * store/segment: what was written is read back; a torn tail, damage, zeros
 * and bytes of other segments are told apart, and nothing outside is read.
 */

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <jansson.h>

#include "store/segment.h"
#include "store/sys.h"
#include "tests/fault.h"
#include "tests/nomem.h"
#include "tests/tempdir.h"

#define STORE	"store_0123456789abcdef"
#define NAME	"00000000000000000007"

/* Three batches: lsns 7 to 9, 10, and 11 to 12. */
enum { BATCHES = 3 };
static const char *const records[BATCHES] = {
	"{\"n\":7}\n{\"n\":8}\n{\"n\":9}\n", "{\"n\":10}\n",
	"{\"n\":11}\n{\"text\":\"twelve\"}\n",
};
static const uint64_t counts[BATCHES] = { 3, 1, 2 };

static int dir;

/* The lsns that were visited, one bit each, and all their bytes. */
struct seen {
	uint64_t	 lsns;
	struct buf	 bytes;
	uint64_t	 last;
	int		 stop_at;
};

static int
see(const struct segment_batch *b, void *arg)
{
	struct seen *s = arg;
	uint64_t i;

	assert_true(b->count > 0 && b->lsn > s->last);
	for (i = 0; i < b->count; i++)
		s->lsns |= UINT64_C(1) << ((b->lsn + i) & 63);
	s->last = b->lsn + b->count - 1;
	buf_add(&s->bytes, b->records.p, b->records.len);
	return (b->lsn == (uint64_t)s->stop_at ? 5 : 0);
}

static uint64_t
bits(uint64_t first, uint64_t last)
{
	uint64_t set = 0;

	for (; first <= last; first++)
		set |= UINT64_C(1) << first;
	return (set);
}

/* Read NAME; returns what segment_read does. */
static int
read_back(struct seen *s, struct segment_report *rep)
{
	int rc;

	memset(s, 0, sizeof(*s));
	rc = segment_read(dir, NAME, STORE, see, s, rep);
	buf_fini(&s->bytes);
	return (rc);
}

static struct segment *
create(uint64_t first, size_t fill)
{
	struct segment *seg;

	assert_int_equal(segment_create(dir, STORE, first, "", fill,
	    &seg), 0);
	return (seg);
}

static struct segment_batch
batch(int i)
{
	struct segment_batch b = { .at = 1700000000000 + i };
	int k;

	b.lsn = 7;
	for (k = 0; k < i; k++)
		b.lsn += counts[k];
	b.count = counts[i];
	b.durable = b.lsn - 1;
	b.records = (struct span){ records[i], strlen(records[i]) };
	return (b);
}

/*
 * Make NAME with the three batches and fill bytes.  offset_r[i] is where the
 * batch i begins, offset_r[BATCHES] the end.
 */
static void
write_three(size_t fill, size_t offset_r[BATCHES + 1])
{
	struct segment *seg = create(7, fill);
	struct segment_batch b;
	int i;

	for (i = 0; i < BATCHES; i++) {
		offset_r[i] = segment_used(seg);
		b = batch(i);
		assert_int_equal(segment_write(seg, &b), 0);
	}
	offset_r[BATCHES] = segment_used(seg);
	segment_close(seg);
}

static char *
slurp(const char *name, size_t *len_r)
{
	char *p;

	assert_int_equal(sys_readfile(dir, name, 1 << 26, &p, len_r), 0);
	return (p);
}

/* Put len bytes at p into NAME as its whole, in place: same inode. */
static void
spill(const char *p, size_t len)
{
	int fd = openat(dir, NAME, O_WRONLY | O_TRUNC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, p, len, 0), len);
	close(fd);
}

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

/* Whatever call fails: told, and no file is left behind. */
static void
create_fails_whole(void **state)
{
	struct segment *seg;
	int n, rc, fd = tempdir_free_fd();

	(void)state;
	for (n = 1; ; n++) {
		fault_arm(n, ENOSPC);
		rc = segment_create(dir, STORE, 7, "", 10000000, &seg);
		if (!fault_fired())
			break;
		assert_int_equal(rc, -1);
		assert_int_equal(errno, ENOSPC);
		fault_disarm();
		assert_int_equal(tempdir_count(dir), 0);
		assert_int_equal(tempdir_free_fd(), fd);
	}
	/* open, fstat, header, zeros in 3, fsync, fsync of the folder */
	assert_int_equal(n, 9);
	segment_close(seg);
}

/*
 * Whatever call of the second write fails: told; the first batch is there,
 * and the second is whole or absent.
 */
static void
write_fails_whole(void **state)
{
	struct segment_report rep;
	struct seen s;
	struct segment_batch b0 = batch(0), b1 = batch(1);
	struct segment *seg;
	int n, rc;

	(void)state;
	for (n = 1; ; n++) {
		seg = create(7, 4096);
		assert_int_equal(segment_write(seg, &b0), 0);
		fault_arm(n, EIO);
		rc = segment_write(seg, &b1);
		if (!fault_fired())
			break;
		assert_int_equal(rc, -1);
		assert_int_equal(errno, EIO);
		fault_disarm();
		segment_close(seg);
		assert_int_equal(read_back(&s, &rep), 0);
		assert_true(s.lsns == bits(7, 9) || s.lsns == bits(7, 10));
		assert_int_equal(rep.damaged, 0);
		assert_int_equal(unlinkat(dir, NAME, 0), 0);
	}
	/* pwritev, fdatasync */
	assert_int_equal(n, 3);
	segment_close(seg);
}

/* Whatever allocation fails: told, and nothing is left behind. */
static void
no_memory(void **state)
{
	struct segment_report rep;
	struct segment *seg = NULL;
	struct seen s;
	size_t off[BATCHES + 1];
	int n, rc;

	(void)state;
	for (n = 1; ; n++) {
		nomem_arm(n);
		rc = segment_create(dir, STORE, 7, "", 4096, &seg);
		if (!nomem_fired())
			break;
		assert_int_equal(rc, -1);
		assert_int_equal(errno, ENOMEM);
		assert_int_equal(tempdir_count(dir), 0);
	}
	nomem_disarm();
	assert_true(n > 1);
	segment_close(seg);
	write_three(4096, off);
	for (n = 1; ; n++) {
		memset(&s, 0, sizeof(s));
		nomem_arm(n);
		rc = segment_read(dir, NAME, STORE, see, &s, &rep);
		nomem_disarm();
		buf_fini(&s.bytes);
		if (!nomem_fired())
			break;
		/* The last is that of the test's own visit. */
		if (s.lsns == 0) {
			assert_int_equal(rc, -1);
			assert_int_equal(errno, ENOMEM);
		}
	}
	assert_true(n > 2);
	assert_int_equal(rc, 0);
	assert_int_equal(s.lsns, bits(7, 12));
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
 * 40,000 lines that look like batches of 8 MB each: reading takes as long
 * as the file is large, not as the lines claim.
 */
static void
hostile_lengths(void **state)
{
	enum { LINES = 40000 };
	struct segment_report rep;
	struct seen s;
	size_t off[BATCHES + 1], len;
	char *head, *p, *line;
	int64_t before;
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
	before = sys_monotonic_ms();
	assert_int_equal(read_back(&s, &rep), 0);
	assert_true(sys_monotonic_ms() - before < 5000);
	assert_true(rep.is_torn);
	assert_int_equal(s.lsns, 0);
	free(p);
	free(head);
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
	fault_disarm();
	tempdir_close(dir);
	return (0);
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(names),
		TEST(reads_what_was_written),
		TEST(filled_whole),
		TEST(lines_are_json),
		TEST(visit_ends_it),
		TEST(torn_tail),
		TEST(flipped_bits),
		TEST(holes),
		TEST(bad_header),
		TEST(other_store),
		TEST(unborn),
		TEST(foreign_batches),
		TEST(copies),
		TEST(grows),
		TEST(cut_long_batch),
		TEST(taken_names),
		TEST(names_behind),
		TEST(syncs),
		TEST(create_fails_whole),
		TEST(write_fails_whole),
		TEST(no_memory),
		TEST(garbage),
		TEST(hostile_lengths),
	};

	fault_init();
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
