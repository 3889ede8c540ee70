#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "store/lock.h"
#include "store/sys.h"

#include "tests/fault.h"

/*
 * Locks used to protect struct members:
 *	f	fault.lck
 */
static struct {
	struct lock	 lck;		/* rank 30: calls come under any lock */
	struct cond	 moved;		/* [f] a call came, or may go on */
	unsigned	 mask;		/* [f] calls that count; 0: disarmed */
	int		 left;		/* [f] until the one that fails */
	int		 error;		/* [f] */
	bool		 forever;	/* [f] */
	bool		 fired;		/* [f] */
	unsigned	 gate;		/* [f] calls that stop */
	int		 waiting;	/* [f] calls standing at the gate */
	int		 passes;	/* [f] how many of them may go on */
	unsigned long	 count[FAULT_CALLS];	/* [f] */
} fault = { .lck = LOCK_INITIALIZER(LOCK_LOG) };

/* In place of an errno: the process ends. */
#define KILL	(-1)

/* Count the call and wait at the gate.  Returns 0, or the errno it gets. */
static int
enter(enum fault_call call)
{
	int error = 0;

	lock_take(&fault.lck);
	fault.count[__builtin_ctz(call)]++;
	if ((fault.gate & call) != 0) {
		fault.waiting++;
		cond_broadcast(&fault.moved);
		while ((fault.gate & call) != 0 && fault.passes == 0)
			cond_wait(&fault.moved, &fault.lck);
		if (fault.passes > 0)
			fault.passes--;
		fault.waiting--;
	}
	if ((fault.mask & call) != 0 && (fault.left == 0 ||
	    --fault.left == 0)) {
		error = fault.error;
		fault.fired = true;
		if (!fault.forever)
			fault.mask = 0;
	}
	lock_give(&fault.lck);
	if (error == KILL)
		_exit(FAULT_KILLED);
	return (error);
}

/* Set errno if there is an error; the value of a call that fails. */
static int
fail(int error)
{
	errno = error;
	return (-1);
}

static int
fault_openat(int dirfd, const char *name, int flags, mode_t mode)
{
	int error = enter(FAULT_OPENAT);

	return (error != 0 ? fail(error) :
	    sys_real.openat(dirfd, name, flags, mode));
}

static int
fault_close(int fd)
{
	int error = enter(FAULT_CLOSE), rc;

	rc = sys_real.close(fd);
	return (error != 0 ? fail(error) : rc);
}

static ssize_t
fault_read(int fd, void *buf, size_t len)
{
	int error = enter(FAULT_READ);

	return (error != 0 ? fail(error) : sys_real.read(fd, buf, len));
}

static ssize_t
fault_pread(int fd, void *buf, size_t len, off_t off)
{
	int error = enter(FAULT_PREAD);

	return (error != 0 ? fail(error) : sys_real.pread(fd, buf, len, off));
}

static ssize_t
fault_write(int fd, const void *buf, size_t len)
{
	int error = enter(FAULT_WRITE);

	if (error == 0)
		return (sys_real.write(fd, buf, len));
	(void)!sys_real.write(fd, buf, len / 2);
	return (fail(error));
}

static ssize_t
fault_pwritev(int fd, const struct iovec *iov, int iovcnt, off_t off)
{
	int error = enter(FAULT_PWRITEV);
	struct iovec half;

	if (error == 0)
		return (sys_real.pwritev(fd, iov, iovcnt, off));
	half = iov[0];
	half.iov_len /= 2;
	(void)!sys_real.pwritev(fd, &half, 1, off);
	return (fail(error));
}

static int
fault_fsync(int fd)
{
	int error = enter(FAULT_FSYNC);

	return (error != 0 ? fail(error) : sys_real.fsync(fd));
}

static int
fault_fdatasync(int fd)
{
	int error = enter(FAULT_FDATASYNC);

	return (error != 0 ? fail(error) : sys_real.fdatasync(fd));
}

static int
fault_renameat(int olddir, const char *old, int newdir, const char *new)
{
	int error = enter(FAULT_RENAMEAT);

	return (error != 0 ? fail(error) :
	    sys_real.renameat(olddir, old, newdir, new));
}

static int
fault_unlinkat(int dirfd, const char *name, int flags)
{
	int error = enter(FAULT_UNLINKAT);

	return (error != 0 ? fail(error) :
	    sys_real.unlinkat(dirfd, name, flags));
}

static int
fault_mkdirat(int dirfd, const char *name, mode_t mode)
{
	int error = enter(FAULT_MKDIRAT);

	return (error != 0 ? fail(error) :
	    sys_real.mkdirat(dirfd, name, mode));
}

static int
fault_fstat(int fd, struct stat *st)
{
	int error = enter(FAULT_FSTAT);

	return (error != 0 ? fail(error) : sys_real.fstat(fd, st));
}

static int
fault_fstatat(int dirfd, const char *name, struct stat *st, int flags)
{
	int error = enter(FAULT_FSTATAT);

	return (error != 0 ? fail(error) :
	    sys_real.fstatat(dirfd, name, st, flags));
}

static int
fault_ftruncate(int fd, off_t len)
{
	int error = enter(FAULT_FTRUNCATE);

	return (error != 0 ? fail(error) : sys_real.ftruncate(fd, len));
}

static int
fault_linkat(int olddir, const char *old, int newdir, const char *new,
    int flags)
{
	int error = enter(FAULT_LINKAT);

	return (error != 0 ? fail(error) :
	    sys_real.linkat(olddir, old, newdir, new, flags));
}

static int
fault_fstatvfs(int fd, struct statvfs *st)
{
	int error = enter(FAULT_FSTATVFS);

	return (error != 0 ? fail(error) : sys_real.fstatvfs(fd, st));
}

static int
fault_flopenat(int dirfd, const char *name, int flags, mode_t mode)
{
	int error = enter(FAULT_FLOPENAT);

	return (error != 0 ? fail(error) :
	    sys_real.flopenat(dirfd, name, flags, mode));
}

static DIR *
fault_fdopendir(int fd)
{
	int error = enter(FAULT_FDOPENDIR);

	if (error == 0)
		return (sys_real.fdopendir(fd));
	errno = error;
	return (NULL);
}

static struct dirent *
fault_readdir(DIR *dir)
{
	int error = enter(FAULT_READDIR);

	/* At the end of the folder errno stays, which sys_eachname zeroed. */
	if (error == 0) {
		errno = 0;
		return (sys_real.readdir(dir));
	}
	errno = error;
	return (NULL);
}

static int
fault_closedir(DIR *dir)
{
	int error = enter(FAULT_CLOSEDIR), rc;

	rc = sys_real.closedir(dir);
	return (error != 0 ? fail(error) : rc);
}

static int
fault_fchown(int fd, uid_t uid, gid_t gid)
{
	int error = enter(FAULT_FCHOWN);

	return (error != 0 ? fail(error) : sys_real.fchown(fd, uid, gid));
}

static int
fault_futimens(int fd, const struct timespec times[2])
{
	int error = enter(FAULT_FUTIMENS);

	return (error != 0 ? fail(error) : sys_real.futimens(fd, times));
}

static const struct sys fault_table = {
	.openat = fault_openat,
	.close = fault_close,
	.read = fault_read,
	.pread = fault_pread,
	.write = fault_write,
	.pwritev = fault_pwritev,
	.fsync = fault_fsync,
	.fdatasync = fault_fdatasync,
	.renameat = fault_renameat,
	.unlinkat = fault_unlinkat,
	.mkdirat = fault_mkdirat,
	.fstat = fault_fstat,
	.fstatat = fault_fstatat,
	.ftruncate = fault_ftruncate,
	.linkat = fault_linkat,
	.fstatvfs = fault_fstatvfs,
	.flopenat = fault_flopenat,
	.fdopendir = fault_fdopendir,
	.readdir = fault_readdir,
	.closedir = fault_closedir,
	.fchown = fault_fchown,
	.futimens = fault_futimens,
};

void
fault_init(void)
{
	cond_init(&fault.moved);
	sys = &fault_table;
}

static void
arm(unsigned mask, int n, int error, bool forever)
{
	lock_take(&fault.lck);
	fault.mask = mask;
	fault.left = n;
	fault.error = error;
	fault.forever = forever;
	fault.fired = false;
	lock_give(&fault.lck);
}

void
fault_arm(int n, int error)
{
	arm(FAULT_ANY, n, error, false);
}

void
fault_arm_call(unsigned mask, int n, int error)
{
	arm(mask, n, error, false);
}

void
fault_arm_forever(unsigned mask, int n, int error)
{
	arm(mask, n, error, true);
}

void
fault_kill(int n)
{
	arm(FAULT_ANY, n, KILL, false);
}

bool
fault_fired(void)
{
	bool fired;

	lock_take(&fault.lck);
	fired = fault.fired;
	lock_give(&fault.lck);
	return (fired);
}

void
fault_disarm(void)
{
	arm(0, 0, 0, false);
	fault_gate_open();
}

unsigned long
fault_count(unsigned mask)
{
	unsigned long n = 0;
	int i;

	lock_take(&fault.lck);
	for (i = 0; i < FAULT_CALLS; i++) {
		if ((mask & (1U << i)) != 0)
			n += fault.count[i];
	}
	lock_give(&fault.lck);
	return (n);
}

void
fault_gate_close(unsigned mask)
{
	lock_take(&fault.lck);
	fault.gate = mask;
	fault.passes = 0;
	lock_give(&fault.lck);
}

bool
fault_gate_await(void)
{
	int64_t end = sys_monotonic_ms() + 10000;
	bool came;

	lock_take(&fault.lck);
	while (fault.waiting <= fault.passes && sys_monotonic_ms() < end)
		cond_wait_ms(&fault.moved, &fault.lck, 1000);
	came = fault.waiting > fault.passes;
	lock_give(&fault.lck);
	return (came);
}

void
fault_gate_pass(void)
{
	lock_take(&fault.lck);
	fault.passes++;
	cond_broadcast(&fault.moved);
	lock_give(&fault.lck);
}

void
fault_gate_open(void)
{
	lock_take(&fault.lck);
	fault.gate = 0;
	fault.passes = 0;
	cond_broadcast(&fault.moved);
	lock_give(&fault.lck);
}
