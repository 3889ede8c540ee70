/*
 * store/backup: a store that is restored belongs to its daemon and keeps others
 * out until it is whole, and none that is in use is set aside.
 */

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/store.h"
#include "tests/backedup.h"
#include "tests/fault.h"

/* --- in whose way ------------------------------------------------------- */

static void
try_lock(void *arg)
{
	pid_t holder = 0;
	int dir, fd;

	dir = open(again, O_RDONLY | O_DIRECTORY);
	assert_true(dir != -1);
	fd = sys_lockfile(dir, "lock", &holder);
	assert_int_equal(fd, -1);
	assert_int_equal(errno, EWOULDBLOCK);
	close(dir);
	++*(int *)arg;
}

static void
restore_keeps_daemons_out(void **state)
{
	int n = 0;

	(void)state;
	make(to, NULL);
	assert_int_equal(backup_restore(to, again, try_lock, &n), 0);
	assert_true(n > 5);
}

/* --- whose it is -------------------------------------------------------- */

#define DAEMON	4711

static ino_t owned[4096];	/* by DAEMON */
static size_t nowned;

/* store.json is the daemon's, and all else ours. */
static int
daemon_fstat(int fd, struct stat *st)
{
	char link[64], path[PATH_SIZE];
	int rc = sys_real.fstat(fd, st);
	ssize_t n;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	assert_true(n > 0);
	path[n] = '\0';
	if (strcmp(path + n - strlen("/store.json"), "/store.json") == 0)
		st->st_uid = DAEMON;
	return (rc);
}

static int
daemon_fchown(int fd, uid_t uid, gid_t gid)
{

	(void)gid;
	assert_true(nowned < 4096);
	if (uid == DAEMON)
		owned[nowned++] = inode_of(fd);
	return (0);
}

static bool
is_the_daemons(const char *dir, const char *name)
{
	const ino_t ino = stat_of(dir, name).st_ino;
	size_t i;

	for (i = 0; i < nowned; i++)
		if (owned[i] == ino)
			return (true);
	return (false);
}

/* What root made and brought back the daemon can open. */
static void
belongs_to_the_daemon(void **state)
{

	(void)state;
	(void)options(to, NULL);
	hook();
	table.fstat = daemon_fstat;
	table.fchown = daemon_fchown;
	nowned = 0;
	make(to, NULL);
	assert_true(is_the_daemons(to, ""));
	assert_true(is_the_daemons(to, BACKUP_NAME));
	assert_true(is_the_daemons(to, "store.json"));
	nowned = 0;
	/* Its folder is root's here, as in what was made by other means. */
	assert_int_equal(backup_restore(to, again, NULL, NULL), 0);
	assert_true(is_the_daemons(again, ""));
	assert_true(is_the_daemons(again, "lock"));
	assert_true(is_the_daemons(again, "store.json"));
}

static void
sets_no_store_in_use_aside(void **state)
{
	char aside[PATH_SIZE + 64];
	struct store *s = state_open(store);

	(void)state;
	assert_int_equal(backup_set_aside(store, aside, sizeof(aside)), -1);
	assert_true(exists(store, "store.json"));
	state_close(s);
	assert_int_equal(backup_set_aside(store, aside, sizeof(aside)), 1);
	assert_false(exists(store, ""));
	assert_true(exists(aside, "store.json"));
	assert_int_equal(backup_set_aside(store, aside, sizeof(aside)), 0);
}

/* A rename that fails is told, and the store is where it was. */
static void
stays_where_it_was(void **state)
{
	char aside[PATH_SIZE + 64];
	int n;

	(void)state;
	fault_init();
	fault_arm_call(FAULT_RENAMEAT, 1, EIO);
	assert_int_equal(backup_set_aside(store, aside, sizeof(aside)), -1);
	assert_true(fault_fired());
	fault_disarm();
	assert_true(exists(store, "store.json"));

	/* Both renames on the way back, of a folder that is empty still and of
	 * what was restored meanwhile. */
	make(to, NULL);
	assert_int_equal(backup_set_aside(store, aside, sizeof(aside)), 1);
	assert_int_equal(mkdir(store, 0700), 0);
	for (n = 1; n <= 2; n++) {
		fault_arm_call(FAULT_RENAMEAT, n, EIO);
		assert_int_equal(backup_put_back(store, aside), -1);
		assert_true(fault_fired());
		fault_disarm();
		assert_true(exists(aside, "store.json"));
		assert_true(exists(store, "") == (n == 1));
		if (n == 1)
			assert_int_equal(backup_restore(to, store, NULL,
			    NULL), 0);
	}
	/* There is nothing in its place, then. */
	assert_int_equal(backup_put_back(store, aside), 0);
	assert_true(exists(store, "store.json"));
	assert_false(exists(aside, ""));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(restore_keeps_daemons_out),
		TEST(belongs_to_the_daemon),
		TEST(sets_no_store_in_use_aside),
		TEST(stays_where_it_was),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
