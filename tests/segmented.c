#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/sys.h"
#include "tests/fault.h"
#include "tests/segmented.h"
#include "tests/tempdir.h"

int dir;

const char *const records[BATCHES] = {
	"{\"n\":7}\n{\"n\":8}\n{\"n\":9}\n", "{\"n\":10}\n",
	"{\"n\":11}\n{\"text\":\"twelve\"}\n",
};
static const uint64_t counts[BATCHES] = { 3, 1, 2 };

int
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

uint64_t
bits(uint64_t first, uint64_t last)
{
	uint64_t set = 0;

	for (; first <= last; first++)
		set |= UINT64_C(1) << first;
	return (set);
}

int
read_back(struct seen *s, struct segment_report *rep)
{
	int rc;

	memset(s, 0, sizeof(*s));
	rc = segment_read(dir, NAME, STORE, see, s, rep);
	buf_fini(&s->bytes);
	return (rc);
}

struct segment *
create(uint64_t first, size_t fill)
{
	struct segment *seg;

	assert_int_equal(segment_create(dir, STORE, first, "", fill,
	    &seg), 0);
	return (seg);
}

struct segment_batch
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

void
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

char *
slurp(const char *name, size_t *len_r)
{
	char *p;

	assert_int_equal(sys_readfile(dir, name, 1 << 26, &p, len_r), 0);
	return (p);
}

void
spill(const char *p, size_t len)
{
	int fd = openat(dir, NAME, O_WRONLY | O_TRUNC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, p, len, 0), len);
	close(fd);
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
	fault_disarm();
	tempdir_close(dir);
	return (0);
}
