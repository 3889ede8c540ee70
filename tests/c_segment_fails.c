/*
 * store/segment: any call or allocation fails, and what is left is whole or
 * absent.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/segment.h"
#include "tests/fault.h"
#include "tests/nomem.h"
#include "tests/segmented.h"
#include "tests/tempdir.h"

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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(create_fails_whole),
		TEST(write_fails_whole),
		TEST(no_memory),
	};

	fault_init();
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
