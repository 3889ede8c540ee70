/*
 * store/log: what lasts is told when it begins and when it ends, and a log
 * that fails stops nobody.
 */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/log.h"
#include "tests/logged.h"

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

/* --- a log that fails ---------------------------------------------------- */

static int
full(void)
{
	return (open("/dev/full", O_WRONLY));
}

/* Its reader is gone. */
static int
unread(void)
{
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	close(ends[0]);
	return (ends[1]);
}

/* Nobody may write to it. */
static int
unwritable(void)
{
	return (open("/dev/null", O_RDONLY));
}

/*
 * The caller, which may be the committer, goes on and keeps its errno; when
 * there is a log again, that tells how many lines are missing.
 */
static void
a_log_that_fails_stops_nobody(void **state)
{
	int (*const kinds[])(void) = { full, unread, unwritable };
	int really = dup(STDERR_FILENO);
	size_t i;
	int fd;

	(void)state;
	assert_true(really != -1);
	signal(SIGPIPE, SIG_IGN);
	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		assert_true((fd = kinds[i]()) != -1);
		assert_true(dup2(fd, STDERR_FILENO) != -1);
		close(fd);
		errno = EXDEV;
		log_warn("lost");
		log_err("lost too");
		assert_int_equal(errno, EXDEV);
		assert_true(dup2(really, STDERR_FILENO) != -1);
		logged_start();
		log_info("there");
		logged_has("lines_lost=\"2\"");
	}
	close(STDERR_FILENO);
	log_info("closed");
	assert_true(dup2(really, STDERR_FILENO) != -1);
	logged_start();
	log_info("there");
	logged_has("lines_lost=\"1\"");
	close(really);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_error_is_told_once),
		cmocka_unit_test(all_errors_have_a_place),
		cmocka_unit_test(a_log_that_fails_stops_nobody),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
