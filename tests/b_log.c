/*
 * store/log: what lasts is told when it begins and when it ends.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/log.h"

static void
each_error_is_told_once(void **state)
{
	struct log_told told = { { 0 } };
	int i;

	(void)state;
	assert_false(log_ends(&told));
	for (i = 0; i < 3; i++) {
		errno = EXDEV;
		assert_true(log_begins(&told, EIO) == (i == 0));
		assert_true(log_begins(&told, ENOSPC) == (i == 0));
		assert_int_equal(errno, EXDEV);
	}
	assert_true(log_ends(&told));
	assert_false(log_ends(&told));
	assert_true(log_begins(&told, EIO));
	assert_false(log_begins(&told, EIO));
	assert_true(log_begins(&told, ENOSPC));
}

/* Any number will do, and none reaches beyond the memory. */
static void
all_errors_have_a_place(void **state)
{
	struct { struct log_told told; uint64_t guard; } s = { 0 };
	int error;

	(void)state;
	for (error = 0; error < 192; error++)
		assert_true(log_begins(&s.told, error));
	(void)log_begins(&s.told, 100000);
	(void)log_begins(&s.told, -1);
	assert_int_equal(s.guard, 0);
	assert_true(log_ends(&s.told));
	for (error = 0; error < 192; error++) {
		assert_true(log_begins(&s.told, error));
		assert_true(log_ends(&s.told));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_error_is_told_once),
		cmocka_unit_test(all_errors_have_a_place),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
