/*
 * store_open on a full disk: a start finds room for its segment in what those
 * before it did not use, and harms nothing if that is not enough.
 */

#include <sys/stat.h>

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

#include "store/sys.h"
#include "tests/crashed.h"
#include "tests/fault.h"
#include "tests/logged.h"
#include "tests/state.h"

/* The one that was written to, and the spare, whose name tells of numbers. */
#define LAST	"00000000000000000001"
#define SPARE	"00000000000000000999"
#define WHOLE	65536
#define USED	8192		/* what is left of the one, */
#define HEADER	4096		/* and of the other */

static const char *
path_of(const char *name)
{
	static char path[300];

	(void)snprintf(path, sizeof(path), "%s/journal/%s", dir, name);
	return (path);
}

/* 0: there is none. */
static size_t
size_of(const char *name)
{
	struct stat st;

	return (stat(path_of(name), &st) == 0 ? (size_t)st.st_size : 0);
}

/* --- a disk that takes so much of a journal ------------------------------- */

static size_t disk_size;
static struct sys table;

static int
add_size(const char *name, void *arg)
{
	*(size_t *)arg += size_of(name);
	return (0);
}

static int
tell_free(int fd, struct statvfs *fs)
{
	size_t sum = 0;

	assert_int_equal(sys_eachname(fd, add_size, &sum), 0);
	memset(fs, 0, sizeof(*fs));
	fs->f_frsize = 1;
	fs->f_blocks = 1 << 30;
	fs->f_bavail = sum < disk_size ? disk_size - sum : 0;
	return (0);
}

static const struct sys *real;

static void
limit_disk(size_t size)
{
	disk_size = size;
	sys = &table;
}

static int
set_up(void **state)
{
	table = *sys;
	table.fstatvfs = tell_free;
	real = sys;
	return (setup(state));
}

static int
tear_down(void **state)
{
	sys = real;
	return (teardown(state));
}

/* --- what a kill leaves ------------------------------------------------- */

static void
busy_with_spare(struct store *s)
{
	struct store_stats st;

	busy(s);
	do
		store_stats(s, &st);
	while (st.reserve_error != 0);
}

static int
rename_spare(const char *name, void *arg)
{
	char from[300];

	(void)arg;
	if (strcmp(name, LAST) == 0)
		return (0);
	(void)snprintf(from, sizeof(from), "%s", path_of(name));
	return (rename(from, path_of(SPARE)));
}

/* As crash(). */
static char *
crash_with_spare(void)
{
	char *text = crash(busy_with_spare);
	int fd = open(path_of(""), O_RDONLY | O_DIRECTORY);

	assert_true(fd != -1);
	assert_int_equal(sys_eachname(fd, rename_spare, NULL), 0);
	close(fd);
	assert_int_equal(size_of(LAST), WHOLE);
	assert_int_equal(size_of(SPARE), WHOLE);
	return (text);
}

static int
fails_to_open(void)
{
	struct store_options o = state_options(dir);
	struct store *s;
	pid_t holder;

	return (store_open(&o, &s, &holder) == -1 ? errno : 0);
}

static uint64_t
next_lsn(struct store *s)
{
	struct tenant *t = state_tenant(s, "acme");
	struct outcome o;
	uint64_t lsn;

	assert_int_equal(state_append(s, t, "b", "b9", "on", NULL, &o), 0);
	lsn = o.lsn;
	store_outcome_fini(&o);
	store_tenant_put(t);
	return (lsn);
}

/* --- tests -------------------------------------------------------------- */

/* It opens, holds all, and takes changes. */
static void
goes_on(char *text, uint64_t least)
{
	struct store *s = opens_as(text);

	assert_true(next_lsn(s) >= least);
	free(text);
	text = state_dump(s);
	state_close(s);
	sys = real;
	state_close(opens_as(text));
	free(text);
}

/* The disk took both and not a byte more: both give what they did not use. */
static void
takes_what_was_not_used(void **state)
{
	char *text = crash_with_spare();

	(void)state;
	limit_disk(2 * WHOLE);
	logged_start();
	goes_on(text, 999);
	logged_has("what earlier ones did not use is given back");
	assert_int_equal(size_of(LAST), USED);
}

static void
takes_the_spare_alone(void **state)
{
	char *text = crash_with_spare();

	(void)state;
	assert_int_equal(truncate(path_of(LAST), USED), 0);
	limit_disk(USED + WHOLE);
	goes_on(text, 999);
}

static void
takes_the_rest_alone(void **state)
{
	char *text = crash_with_spare();

	(void)state;
	assert_int_equal(unlink(path_of(SPARE)), 0);
	limit_disk(WHOLE);
	goes_on(text, 1);
	assert_int_equal(size_of(LAST), USED);
}

/* Where there is room, they stay as they are. */
static void
leaves_them_else(void **state)
{
	struct store *s;
	char *text = crash_with_spare();

	(void)state;
	limit_disk((size_t)1 << 30);
	s = opens_as(text);
	assert_int_equal(size_of(LAST), WHOLE);
	state_close(s);
	free(text);
}

/* It is not enough: the start says what to do, and the next one that finds
 * room knows of every number that was given. */
static void
fails_and_harms_nothing(void **state)
{
	char *text = crash_with_spare();

	(void)state;
	limit_disk(USED + HEADER);
	logged_start();
	assert_int_equal(fails_to_open(), ENOSPC);
	logged_has("no room for a fresh segment; make some on the disk of ");
	assert_int_equal(size_of(LAST), USED);
	assert_int_equal(size_of(SPARE), HEADER);
	assert_int_equal(fails_to_open(), ENOSPC);
	sys = real;
	goes_on(text, 999);
}

/* What may be looked at another day is not cut. */
static void
leaves_what_is_torn(void **state)
{
	char *text = crash_with_spare();
	int fd = open(path_of(LAST), O_WRONLY);

	(void)state;
	assert_true(fd != -1);
	assert_int_equal(pwrite(fd, "torn", 4, WHOLE - 100), 4);
	close(fd);
	assert_int_equal(unlink(path_of(SPARE)), 0);
	limit_disk(WHOLE);
	assert_int_equal(fails_to_open(), ENOSPC);
	assert_int_equal(size_of(LAST), WHOLE);
	sys = real;
	goes_on(text, 1);
}

static enum store_state
await_state(struct store *s, enum store_state state)
{
	int i;

	for (i = 0; i < 2000 && store_ready(s) != state; i++)
		usleep(10 * 1000);
	return (store_ready(s));
}

/* As soon as the next segment cannot be made, though the open one takes small
 * changes for a while; and until it can. */
static void
says_that_it_is_full(void **state)
{
	struct store *s;

	(void)state;
	limit_disk(2 * WHOLE);
	s = state_open(dir);
	assert_int_equal(await_state(s, STATE_FULL), STATE_FULL);
	busy(s);
	assert_int_equal(store_ready(s), STATE_FULL);
	limit_disk((size_t)1 << 30);
	assert_int_equal(await_state(s, STATE_READY), STATE_READY);
	state_close(s);
}

#undef TEST
#define TEST(f)	cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(takes_what_was_not_used),
		TEST(takes_the_spare_alone),
		TEST(takes_the_rest_alone),
		TEST(leaves_them_else),
		TEST(fails_and_harms_nothing),
		TEST(leaves_what_is_torn),
		TEST(says_that_it_is_full),
	};

	fault_init();
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
