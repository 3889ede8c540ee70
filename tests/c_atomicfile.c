/*
 * store/atomicfile and store/sys: a file holds the old bytes or the new,
 * whatever call fails, and every sync stands where it must.
 */

#include <sys/resource.h>

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "store/atomicfile.h"
#include "store/sys.h"
#include "tests/fault.h"
#include "tests/tempdir.h"

static int dir;

static bool
holds(const char *name, const char *expect)
{
	char *s;
	size_t len;
	bool same;

	if (sys_readfile(dir, name, 1000, &s, &len) == -1)
		return (false);
	same = len == strlen(expect) && strcmp(s, expect) == 0;
	free(s);
	return (same);
}

static void
replaces(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(atomicfile_write(dir, "a.json", "one", 3), 0);
	assert_true(holds("a.json", "one"));
	assert_int_equal(atomicfile_write(dir, "a.json", "", 0), 0);
	assert_true(holds("a.json", ""));
	assert_int_equal(atomicfile_put(dir, "b.json", "two", 3), 0);
	assert_int_equal(atomicfile_sync(dir), 0);
	assert_true(holds("b.json", "two"));
	assert_int_equal(tempdir_count(dir), 2);
	assert_int_equal(fstatat(dir, "a.json", &st, 0), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

/* The folder that a name stands in: a failure is told, and one not there. */
static void
syncs_parents(void **state)
{
	unsigned long syncs = fault_count(FAULT_FSYNC);

	(void)state;
	assert_int_equal(atomicfile_sync_parent("/dev/null"), 0);
	assert_int_equal(fault_count(FAULT_FSYNC), syncs + 1);
	fault_arm_call(FAULT_FSYNC, 1, EIO);
	assert_int_equal(atomicfile_sync_parent("/dev/null"), -1);
	assert_int_equal(errno, EIO);
	assert_true(fault_fired());
	fault_disarm();
	assert_int_equal(atomicfile_sync_parent("/not/there"), -1);
	assert_int_equal(errno, ENOENT);
}

/* Whatever call fails: old or new, the failure told, nothing left over. */
static void
fails_whole(void **state)
{
	int n, rc, fd = tempdir_free_fd();

	(void)state;
	for (n = 1; ; n++) {
		assert_int_equal(atomicfile_write(dir, "a", "old", 3), 0);
		fault_arm(n, EIO);
		rc = atomicfile_write(dir, "a", "new", 3);
		if (!fault_fired())
			break;
		assert_int_equal(rc, -1);
		assert_int_equal(errno, EIO);
		fault_disarm();
		assert_true(holds("a", "old") || holds("a", "new"));
		assert_int_equal(tempdir_count(dir), 1);
		assert_int_equal(tempdir_free_fd(), fd);
	}
	fault_disarm();
	/* open, write, fsync, close, rename, fsync */
	assert_int_equal(n, 7);
	assert_int_equal(rc, 0);
	assert_true(holds("a", "new"));
}

/* EINTR of a write goes on; of close it is no failure and no second close. */
static void
goes_on_after_eintr(void **state)
{
	unsigned long before;

	(void)state;
	fault_arm_call(FAULT_WRITE, 1, EINTR);
	assert_int_equal(atomicfile_write(dir, "a", "whole", 5), 0);
	assert_true(fault_fired());
	before = fault_count(FAULT_CLOSE);
	fault_arm_call(FAULT_CLOSE, 1, EINTR);
	assert_int_equal(atomicfile_write(dir, "a", "again", 5), 0);
	assert_true(fault_fired());
	fault_disarm();
	assert_int_equal(fault_count(FAULT_CLOSE), before + 1);
	assert_true(holds("a", "again"));
}

/* The bytes are synced before the rename, the folder after it. */
static void
syncs_in_order(void **state)
{
	unsigned long syncs, renames;

	(void)state;
	assert_int_equal(atomicfile_write(dir, "a", "old", 3), 0);
	renames = fault_count(FAULT_RENAMEAT);
	fault_arm_call(FAULT_FSYNC, 1, EIO);
	assert_int_equal(atomicfile_write(dir, "a", "new", 3), -1);
	assert_int_equal(fault_count(FAULT_RENAMEAT), renames);
	assert_true(holds("a", "old"));

	syncs = fault_count(FAULT_FSYNC);
	fault_arm_call(FAULT_RENAMEAT, 1, EIO);
	assert_int_equal(atomicfile_write(dir, "a", "new", 3), -1);
	assert_int_equal(fault_count(FAULT_FSYNC), syncs + 1);
	fault_disarm();
	assert_int_equal(atomicfile_write(dir, "a", "new", 3), 0);
	assert_int_equal(fault_count(FAULT_FSYNC), syncs + 3);
}

/* A disk that is full, made real by a limit on the size of files. */
static void
full_disk(void **state)
{
	struct rlimit old, small = { 1000, RLIM_INFINITY };
	static char big[5000];

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(atomicfile_write(dir, "a", "old", 3), 0);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small.rlim_max = old.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_int_equal(atomicfile_write(dir, "a", big, sizeof(big)), -1);
	assert_int_equal(errno, EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_true(holds("a", "old"));
	assert_int_equal(tempdir_count(dir), 1);
}

static void
knows_its_names(void **state)
{
	(void)state;
	assert_true(atomicfile_is_temporary(".tmp-0123456789abcdef"));
	assert_false(atomicfile_is_temporary("conv_1.json"));
	assert_false(atomicfile_is_temporary(".tmp"));
}

static void
reads_files(void **state)
{
	static char big[100001];
	char *s;
	size_t len;

	(void)state;
	memset(big, 'x', sizeof(big));
	assert_int_equal(atomicfile_write(dir, "big", big, sizeof(big)), 0);
	assert_int_equal(sys_readfile(dir, "big", sizeof(big), &s, &len), 0);
	assert_int_equal(len, sizeof(big));
	assert_memory_equal(s, big, len);
	assert_int_equal(s[len], '\0');
	free(s);
	assert_int_equal(sys_readfile(dir, "big", sizeof(big) - 1, &s, &len),
	    -1);
	assert_int_equal(errno, EFBIG);
	assert_int_equal(sys_readfile(dir, ".", 10, &s, &len), -1);
	assert_int_equal(errno, EISDIR);
	assert_int_equal(sys_readfile(dir, "none", 10, &s, &len), -1);
	assert_int_equal(errno, ENOENT);
	/* A fifo is refused at once, though nobody writes to it. */
	assert_int_equal(mkfifoat(dir, "fifo", 0600), 0);
	assert_int_equal(sys_readfile(dir, "fifo", 10, &s, &len), -1);
	assert_int_equal(errno, EINVAL);
}

static void
reads_fail_whole(void **state)
{
	char *s;
	size_t len;
	int n, fd = tempdir_free_fd();

	(void)state;
	assert_int_equal(atomicfile_write(dir, "a", "text", 4), 0);
	for (n = 1; ; n++) {
		s = NULL;
		fault_arm(n, EIO);
		/* A failing close of what was read loses nothing. */
		if (sys_readfile(dir, "a", 10, &s, &len) == 0) {
			assert_string_equal(s, "text");
			free(s);
		} else
			assert_int_equal(errno, EIO);
		if (!fault_fired())
			break;
		assert_int_equal(tempdir_free_fd(), fd);
	}
	assert_int_equal(n, 6);
	fault_disarm();
}

/* A file that grows while it is read: whole, or too large. */
static int
fstat_small(int fd, struct stat *st)
{
	int rc = fstat(fd, st);

	st->st_size = 10;
	return (rc);
}

static void
reads_growing_files(void **state)
{
	static char big[5000];
	struct sys grown = *sys;
	const struct sys *saved = sys;
	char *s;
	size_t len;
	int rc;

	(void)state;
	memset(big, 'x', sizeof(big));
	assert_int_equal(atomicfile_write(dir, "a", big, sizeof(big)), 0);
	grown.fstat = fstat_small;
	sys = &grown;
	rc = sys_readfile(dir, "a", sizeof(big), &s, &len);
	assert_int_equal(rc, 0);
	assert_int_equal(len, sizeof(big));
	assert_memory_equal(s, big, len);
	free(s);
	rc = sys_readfile(dir, "a", sizeof(big) - 1, &s, &len);
	sys = saved;
	assert_int_equal(rc, -1);
	assert_int_equal(errno, EFBIG);
}

/* Three pieces, cut at every byte by a kernel that writes one at a time. */
static ssize_t
write_one(int fd, const struct iovec *iov, int iovcnt, off_t off)
{
	static unsigned calls;

	(void)iovcnt;
	if (calls++ % 3 == 0) {
		errno = EINTR;
		return (-1);
	}
	return (pwrite(fd, iov[0].iov_base, 1, off));
}

static ssize_t
write_none(int fd, const struct iovec *iov, int iovcnt, off_t off)
{
	(void)fd;
	(void)iov;
	(void)iovcnt;
	(void)off;
	return (0);
}

static void
writes_all(void **state)
{
	char one[] = "one", two[] = "", three[] = "three";
	struct iovec iov[3] = { { one, 3 }, { two, 0 }, { three, 5 } };
	struct sys slow = *sys;
	const struct sys *saved = sys;
	int fd;

	(void)state;
	fd = openat(dir, "v", O_RDWR | O_CREAT, 0600);
	assert_int_equal(sys_pwritevall(fd, iov, 3, 2), 0);
	assert_int_equal(pwrite(fd, "--", 2, 0), 2);
	assert_true(holds("v", "--onethree"));

	slow.pwritev = write_one;
	sys = &slow;
	iov[0] = (struct iovec){ three, 5 };
	iov[1] = (struct iovec){ two, 0 };
	iov[2] = (struct iovec){ one, 3 };
	assert_int_equal(sys_pwritevall(fd, iov, 3, 2), 0);
	slow.pwritev = write_none;
	iov[0] = (struct iovec){ three, 5 };
	assert_int_equal(sys_pwritevall(fd, iov, 1, 2), -1);
	assert_int_equal(errno, EIO);
	sys = saved;
	close(fd);
	assert_true(holds("v", "--threeone"));
}

static void
opens_folders(void **state)
{
	unsigned long syncs = fault_count(FAULT_FSYNC);
	int n, fd = -1;

	(void)state;
	assert_true((fd = sys_opendir(dir, "sub")) >= 0);
	sys->close(fd);
	assert_int_equal(fault_count(FAULT_FSYNC), syncs + 1);
	assert_true((fd = sys_opendir(dir, "sub")) >= 0);
	sys->close(fd);
	assert_int_equal(fault_count(FAULT_FSYNC), syncs + 1);
	assert_int_equal(unlinkat(dir, "sub", AT_REMOVEDIR), 0);

	/* A folder that could not be synced is made, and synced, again. */
	fault_arm_call(FAULT_FSYNC, 1, EIO);
	assert_int_equal(sys_opendir(dir, "sub"), -1);
	assert_int_equal(errno, EIO);
	fault_disarm();
	syncs = fault_count(FAULT_FSYNC);
	assert_true((fd = sys_opendir(dir, "sub")) >= 0);
	sys->close(fd);
	assert_int_equal(fault_count(FAULT_FSYNC), syncs + 1);

	/* So is one that could not be taken away again either. */
	assert_int_equal(unlinkat(dir, "sub", AT_REMOVEDIR), 0);
	fault_arm_forever(FAULT_FSYNC | FAULT_UNLINKAT, 1, EIO);
	assert_int_equal(sys_opendir(dir, "sub"), -1);
	assert_int_equal(sys_opendir(dir, "sub"), -1);
	assert_int_equal(errno, EIO);
	fault_disarm();
	syncs = fault_count(FAULT_FSYNC);
	assert_true((fd = sys_opendir(dir, "sub")) >= 0);
	assert_int_equal(fault_count(FAULT_FSYNC), syncs + 1);
	/* One that is in use is older than the doubt. */
	assert_int_equal(atomicfile_write(fd, "a", "a", 1), 0);
	sys->close(fd);
	syncs = fault_count(FAULT_FSYNC);
	assert_true((fd = sys_opendir(dir, "sub")) >= 0);
	assert_int_equal(fault_count(FAULT_FSYNC), syncs);
	assert_int_equal(unlinkat(fd, "a", 0), 0);
	sys->close(fd);

	for (n = 1; ; n++) {
		unlinkat(dir, "sub", AT_REMOVEDIR);
		fault_arm(n, EMFILE);
		fd = sys_opendir(dir, "sub");
		if (!fault_fired())
			break;
		assert_int_equal(fd, -1);
		assert_int_equal(errno, EMFILE);
	}
	sys->close(fd);
}

/* One holder at a time; who comes second hears who it is. */
static void
locks_files(void **state)
{
	char pid[32];
	pid_t holder = -1;
	int fd, n;

	(void)state;
	/* What an earlier holder with a longer id left is gone. */
	assert_int_equal(atomicfile_write(dir, "lock", "1234567890123", 13), 0);
	assert_true((fd = sys_lockfile(dir, "lock", &holder)) >= 0);
	snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
	assert_true(holds("lock", pid));
	errno = 0;
	assert_int_equal(sys_lockfile(dir, "lock", &holder), -1);
	assert_int_equal(errno, EWOULDBLOCK);
	assert_int_equal(holder, getpid());
	assert_true(holds("lock", pid));
	close(fd);

	for (n = 1; ; n++) {
		fault_arm(n, EIO);
		fd = sys_lockfile(dir, "lock", &holder);
		if (!fault_fired())
			break;
		assert_int_equal(fd, -1);
		assert_int_equal(errno, EIO);
	}
	fault_disarm();
	assert_true(n > 1);
	close(fd);
}

static int
add_length(const char *name, void *arg)
{
	*(size_t *)arg += strlen(name);
	return (strcmp(name, "stop") == 0 ? 7 : 0);
}

static void
lists_folders(void **state)
{
	size_t sum = 0;
	int i;

	(void)state;
	for (i = 0; i < 2; i++) {
		sum = 0;
		assert_int_equal(sys_eachname(dir, add_length, &sum), 0);
		assert_int_equal(sum, 0);
	}
	assert_int_equal(atomicfile_write(dir, "four", "", 0), 0);
	assert_int_equal(atomicfile_write(dir, "seven77", "", 0), 0);
	assert_int_equal(sys_eachname(dir, add_length, &sum), 0);
	assert_int_equal(sum, 11);
	assert_int_equal(atomicfile_write(dir, "stop", "", 0), 0);
	assert_int_equal(sys_eachname(dir, add_length, &sum), 7);
	assert_int_equal(unlinkat(dir, "stop", 0), 0);
	/* Also in the middle of the listing: half a folder is no folder. */
	for (i = 1; ; i++) {
		fault_arm_call(FAULT_ANY & ~FAULT_CLOSE & ~FAULT_CLOSEDIR, i,
		    EMFILE);
		if (sys_eachname(dir, add_length, &sum) == 0)
			break;
		assert_int_equal(errno, EMFILE);
	}
	assert_false(fault_fired());
	assert_true(i > 4);
	fault_disarm();
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
		TEST(replaces),
		TEST(syncs_parents),
		TEST(fails_whole),
		TEST(goes_on_after_eintr),
		TEST(syncs_in_order),
		TEST(full_disk),
		TEST(knows_its_names),
		TEST(reads_files),
		TEST(reads_fail_whole),
		TEST(reads_growing_files),
		TEST(writes_all),
		TEST(opens_folders),
		TEST(locks_files),
		TEST(lists_folders),
	};

	fault_init();
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
