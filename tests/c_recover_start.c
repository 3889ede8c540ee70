/*
 * store_open: the first start and later ones, whatever call fails in them or
 * kills them.
 */

#include <sys/stat.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bsd/string.h>

#include <cmocka.h>

#include "store/sys.h"
#include "tests/crashed.h"
#include "tests/fault.h"
#include "tests/state.h"

/* Whatever call fails in the first start, the second one succeeds. */
static void
first_start_fails(void **state)
{
	struct store_options o;
	struct store *s;
	pid_t holder;
	int n, rc;

	(void)state;
	for (n = 1; ; n++) {
		state_remove(dir);
		o = state_options(dir);
		fault_arm(n, n % 2 == 0 ? EIO : ENOSPC);
		rc = store_open(&o, &s, &holder);
		if (!fault_fired())
			break;
		fault_disarm();
		if (rc == 0)
			state_close(s);
		assert_int_equal(store_open(&o, &s, &holder), 0);
		busy(s);
		HAS(s, "a", 2);
		state_close(s);
	}
	fault_disarm();
	assert_int_equal(rc, 0);
	assert_true(n > 20);
	state_close(s);
}

static atomic_int above_syncs;	/* of the folder that the store is in */

static int
count_fsync(int fd)
{
	struct stat above, st;
	char path[STATE_PATH];

	strlcpy(path, dir, sizeof(path));
	*strrchr(path, '/') = '\0';
	if (stat(path, &above) == 0 && fstat(fd, &st) == 0 &&
	    st.st_ino == above.st_ino && st.st_dev == above.st_dev)
		atomic_fetch_add(&above_syncs, 1);
	return (sys_real.fsync(fd));
}

/*
 * The store's own name is synced into the folder above it, whoever made it:
 * that may have been a start that was killed there.
 */
static void
first_start_syncs(void **state)
{
	const struct sys *real = sys;
	struct sys counting = *sys;

	(void)state;
	counting.fsync = count_fsync;
	sys = &counting;
	above_syncs = 0;
	state_close(state_open(dir));
	assert_int_equal(above_syncs, 1);
	sys = real;
	state_remove(dir);
	assert_int_equal(mkdir(dir, 0700), 0);
	sys = &counting;
	state_close(state_open(dir));
	assert_int_equal(above_syncs, 2);
	sys = real;
}

/* What the last start left may be in the cache only: without a place where it
 * is durable nothing is served. */
static void
serves_nothing_unsafe(void **state)
{
	struct store_options o = state_options(dir);
	struct store *s;
	pid_t holder;
	char *text = crash(busy);

	(void)state;
	fault_arm_forever(FAULT_FDATASYNC, 1, EIO);
	assert_int_equal(store_open(&o, &s, &holder), -1);
	assert_true(fault_fired());
	fault_disarm();
	state_close(opens_as(text));
	free(text);
}

static const char *sick_folder;

static int
sick_fsync(int fd)
{
	struct stat folder, st;

	if (fstatat(AT_FDCWD, sick_folder, &folder, 0) == 0 &&
	    fstat(fd, &st) == 0 && st.st_ino == folder.st_ino &&
	    st.st_dev == folder.st_dev) {
		errno = EIO;
		return (-1);
	}
	return (sys_real.fsync(fd));
}

/*
 * No start believes what stands in a folder that it cannot sync: it may be in
 * the cache only, since the last one was killed.
 */
static void
believes_no_folder(void **state)
{
	static const char *const folders[] = { "journal", "tenants",
	    "quarantine", "tenants/acme", "tenants/acme/conversations",
	    "tenants/acme/once" };
	struct store_options o = state_options(dir);
	const struct sys *real = sys;
	static struct sys sick;
	char path[STATE_PATH + 64];
	struct store *s;
	pid_t holder;
	size_t i;

	(void)state;
	crash_quietly(busy_flushed_busy);
	sick = *sys;
	sick.fsync = sick_fsync;
	for (i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir, folders[i]);
		sick_folder = path;
		assert_int_equal(access(path, F_OK), 0);
		sys = &sick;
		assert_int_equal(store_open(&o, &s, &holder), -1);
		sys = real;
	}
	state_close(state_open(dir));
}

/* A folder that somebody else made may stand in one that is not ours. */
static void
first_start_in_foreign(void **state)
{
	struct store_options o = state_options(dir);
	struct store *s;
	pid_t holder;

	(void)state;
	/* The first is the store's folder. */
	fault_arm_call(FAULT_OPENAT, 2, EACCES);
	assert_int_equal(store_open(&o, &s, &holder), -1);
	assert_int_equal(errno, EACCES);
	assert_int_equal(mkdir(dir, 0700), 0);
	fault_arm_call(FAULT_OPENAT, 2, EIO);
	assert_int_equal(store_open(&o, &s, &holder), -1);
	fault_arm_call(FAULT_OPENAT, 2, EACCES);
	state_close(state_open(dir));
	assert_true(fault_fired());
}

/* As above, but killed at that very call. */
static void
first_start_killed(void **state)
{
	struct store_options o;
	struct store *s;
	pid_t holder, pid;
	int n, status;

	(void)state;
	for (n = 1; ; n++) {
		state_remove(dir);
		o = state_options(dir);
		assert_true((pid = fork()) != -1);
		if (pid == 0) {
			fault_kill(n);
			if (store_open(&o, &s, &holder) != 0)
				_exit(1);
			_exit(0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		assert_int_not_equal(WEXITSTATUS(status), 1);
		assert_int_equal(store_open(&o, &s, &holder), 0);
		busy(s);
		state_close(s);
		if (WEXITSTATUS(status) == 0)
			break;
	}
	assert_true(n > 20);
}

/*
 * One of these calls fails in a start of what is saved, the first, the second,
 * and so on: the next start has it all, and nothing is taken for damaged.
 * Returns how many there are.
 */
static int
each_fails(const char *saved, const char *text, unsigned calls, int error)
{
	struct store_options o = state_options(dir);
	struct store *s;
	pid_t holder;
	int n, rc;

	for (n = 1; ; n++) {
		state_copy(saved, dir);
		fault_arm_call(calls, n, error);
		rc = store_open(&o, &s, &holder);
		if (!fault_fired())
			break;
		fault_disarm();
		if (rc == 0)
			state_close(s);
		assert_int_equal(state_count(dir, "quarantine", ""), 0);
		s = opens_as(text);
		state_close(s);
	}
	fault_disarm();
	assert_int_equal(rc, 0);
	state_close(s);
	return (n - 1);
}

/* The same over a store that has something to replay. */
static void
start_fails(void **state)
{
	char saved[STATE_PATH];
	char *text = crash(busy_flushed_busy);

	(void)state;
	state_folder(saved);
	state_copy(dir, saved);
	/* Reads have their turn below. */
	assert_true(each_fails(saved, text, FAULT_ANY & ~FAULT_READ &
	    ~FAULT_OPENAT & ~FAULT_FSTAT, EIO) >= 10);
	/* Out of descriptors nothing is taken for damaged. */
	assert_true(each_fails(saved, text, FAULT_OPENAT, EMFILE) > 0);
	/* A read that fails once is no damage either. */
	assert_true(each_fails(saved, text, FAULT_READ, EIO) > 0);
	state_remove(saved);
	free(text);
}

/* A folder with other things in it is not made a store. */
static void
not_a_store(void **state)
{
	struct store_options o = state_options(dir);
	struct store *s;
	pid_t holder;
	size_t len;
	char *p;

	(void)state;
	assert_int_equal(mkdir(dir, 0700) == 0 || errno == EEXIST, 1);
	state_write(dir, "thesis.txt", "precious", 8);
	assert_int_equal(store_open(&o, &s, &holder), -1);
	assert_int_equal(holder, 0);
	assert_non_null(p = state_read(dir, "thesis.txt", &len));
	free(p);
	assert_int_equal(state_count(dir, ".", "store.json"), 0);
	state_remove(dir);
	assert_int_equal(mkdir(dir, 0700), 0);
	state_write(dir, "store.json", "{\"format\":2}", 12);
	assert_int_equal(store_open(&o, &s, &holder), -1);
	state_write(dir, "store.json", "{\"format\":1,\"store\":"
	    "\"../../../../etc/\",\"epochs\":[]}", 50);
	assert_int_equal(store_open(&o, &s, &holder), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(first_start_fails),
		TEST(first_start_syncs),
		TEST(serves_nothing_unsafe),
		TEST(believes_no_folder),
		TEST(first_start_in_foreign),
		TEST(first_start_killed),
		TEST(start_fails),
		TEST(not_a_store),
	};

	fault_init();
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
