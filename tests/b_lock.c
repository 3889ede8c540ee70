/*
 * store/lock and store/log: locks exclude, ranks are enforced in a debug
 * build, conditions wake; one event is one line of the log.
 */

#include <sys/types.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/lock.h"
#include "store/log.h"
#include "store/sys.h"

struct counter {
	struct lock	 lck;
	struct cond	 moved;
	int		 n;
	bool		 was_blocked;
};

static void
count(void *arg)
{
	struct counter *c = arg;
	sigset_t set;
	int i;

	pthread_sigmask(SIG_SETMASK, NULL, &set);
	for (i = 0; i < 20000; i++) {
		lock_take(&c->lck);
		c->n++;
		c->was_blocked = sigismember(&set, SIGTERM) == 1;
		lock_give(&c->lck);
	}
	cond_broadcast(&c->moved);
}

static void
excludes(void **state)
{
	struct counter c = { .n = 0 };
	struct thread t[4];
	int i;

	(void)state;
	lock_init(&c.lck, LOCK_JOURNAL);
	cond_init(&c.moved);
	for (i = 0; i < 4; i++)
		assert_int_equal(thread_start(&t[i], "count", count, &c), 0);
	lock_take(&c.lck);
	while (c.n < 80000)
		cond_wait_ms(&c.moved, &c.lck, 1000);
	lock_assert_held(&c.lck);
	lock_give(&c.lck);
	for (i = 0; i < 4; i++)
		thread_join(&t[i]);
	assert_int_equal(c.n, 80000);
	assert_true(c.was_blocked);
	cond_fini(&c.moved);
	lock_fini(&c.lck);
}

static void
wait_ends_in_time(void **state)
{
	struct counter c = { .n = 0 };
	int64_t before;

	(void)state;
	lock_init(&c.lck, LOCK_TENANT);
	cond_init(&c.moved);
	before = sys_monotonic_ms();
	lock_take(&c.lck);
	while (cond_wait_ms(&c.moved, &c.lck, 30))
		;
	lock_give(&c.lck);
	assert_true(sys_monotonic_ms() - before >= 29);
	cond_fini(&c.moved);
	lock_fini(&c.lck);
}

#ifdef REMEMBERD_DEBUG
/* Does a child that runs f abort? */
static bool
aborts(void (*f)(void))
{
	pid_t pid;
	int status;

	if ((pid = fork()) == 0) {
		close(STDERR_FILENO);
		signal(SIGABRT, SIG_DFL);
		f();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return (WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static struct lock low = LOCK_INITIALIZER(LOCK_TENANT);
static struct lock high = LOCK_INITIALIZER(LOCK_JOURNAL);
static struct lock high2 = LOCK_INITIALIZER(LOCK_JOURNAL);

static void
take_rising(void)
{
	lock_take(&low);
	lock_take(&high);
	lock_give(&low);
	lock_give(&high);
	lock_assert_none();
}

static void
take_falling(void)
{
	lock_take(&high);
	lock_take(&low);
}

static void
take_equal(void)
{
	lock_take(&high);
	lock_take(&high2);
}

static void
give_free(void)
{
	lock_give(&low);
}

static void
assert_free(void)
{
	lock_assert_held(&low);
}

static void
assert_none_held(void)
{
	lock_take(&low);
	lock_assert_none();
}

static void
ranks(void **state)
{
	(void)state;
	assert_false(aborts(take_rising));
	assert_true(aborts(take_falling));
	assert_true(aborts(take_equal));
	assert_true(aborts(give_free));
	assert_true(aborts(assert_free));
	assert_true(aborts(assert_none_held));
}
#endif

/* What the calls in f write to standard error, as a string (new). */
static char *
logged(void (*f)(void))
{
	char *out;
	int p[2], saved;
	ssize_t n;

	assert_non_null(out = calloc(1, 65536));
	assert_int_equal(pipe(p), 0);
	saved = dup(STDERR_FILENO);
	dup2(p[1], STDERR_FILENO);
	close(p[1]);
	f();
	dup2(saved, STDERR_FILENO);
	close(saved);
	n = read(p[0], out, 65535);
	close(p[0]);
	assert_true(n >= 0);
	return (out);
}

static void
log_all_levels(void)
{
	log_debug("not seen");
	log_info("seen %d", 1);
	errno = ENOSPC;
	log_warn("rename \"%s\"", "a\nb\\");
	assert_int_equal(errno, ENOSPC);
	log_errx("\x01\t\xc3\xa9");
}

static void
one_line_an_event(void **state)
{
	char *out = logged(log_all_levels), *line, *rest = out;
	static const char *const expect[] = {
		" level=info msg=\"seen 1\"",
		(" level=warn msg=\"rename \\\"a\\nb\\\\\\\"\""
		    " err=\"No space left on device\""),
		" level=error msg=\"\\u0001\\u0009\xc3\xa9\"",
	};
	size_t i;

	(void)state;
	for (i = 0; i < 3; i++) {
		line = strsep(&rest, "\n");
		assert_non_null(rest);
		assert_int_equal(strspn(line, "0123456789-T:.Z"), 24);
		assert_int_equal(line[23], 'Z');
		assert_string_equal(line + 24, expect[i]);
	}
	assert_string_equal(rest, "");
	free(out);
}

static void
log_long(void)
{
	char s[10000];

	memset(s, '\x01', sizeof(s) - 1);
	s[sizeof(s) - 1] = '\0';
	errno = EIO;
	log_err("%s", s);
}

/* A message of any length stays one whole line of at most 4096 bytes. */
static void
long_messages(void **state)
{
	char *out = logged(log_long);
	size_t len = strlen(out);

	(void)state;
	assert_in_range(len, 1000, 4096);
	assert_string_equal(out + len - 2, "\"\n");
	assert_ptr_equal(strchr(out, '\n'), out + len - 1);
	free(out);
}

/* Nobody reads the pipe: the log gives up lines, not its caller. */
static void
log_until_full(void)
{
	int i;

	for (i = 0; i < 5000; i++)
		log_info("line %d of many that fill the pipe", i);
	log_set_level(LOG_LEVEL_ERROR);
	log_warnx("not seen");
	log_set_level(LOG_LEVEL_INFO);
}

static void
full_pipe(void **state)
{
	char *out = logged(log_until_full);

	(void)state;
	assert_non_null(strstr(out, "line 0 of"));
	assert_null(strstr(out, "line 4999 of"));
	assert_null(strstr(out, "not seen"));
	free(out);

	/* Once there is room again it says how many are missing. */
	out = logged(log_all_levels);
	assert_non_null(strstr(out, " level=info msg=\"seen 1\" lines_lost=\""));
	assert_ptr_equal(strstr(strstr(out, "lines_lost") + 1, "lines_lost"),
	    NULL);
	free(out);
}

static void
levels(void **state)
{
	(void)state;
	assert_int_equal(log_level_parse("error"), LOG_LEVEL_ERROR);
	assert_int_equal(log_level_parse("debug"), LOG_LEVEL_DEBUG);
	assert_int_equal(log_level_parse("Debug"), -1);
	assert_int_equal(log_level_parse(""), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(excludes),
		cmocka_unit_test(wait_ends_in_time),
#ifdef REMEMBERD_DEBUG
		cmocka_unit_test(ranks),
#endif
		cmocka_unit_test(one_line_an_event),
		cmocka_unit_test(long_messages),
		cmocka_unit_test(full_pipe),
		cmocka_unit_test(levels),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
