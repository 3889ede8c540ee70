#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <bsd/libutil.h>

#include "buf.h"

#include "sys.h"

/* What a disk that fails may still give, or not. */
#define READ_BLOCK	((size_t)4096)

/* See sys_reserve.  -1: given up, or nobody wants any. */
#define RESERVE	2
static _Atomic int	 reserve[RESERVE] = { -1, -1 };
static _Atomic unsigned	 reserve_users;

/* Close what is kept.  Returns whether there was any; keeps errno. */
static bool
reserve_give(size_t i)
{
	int error = errno, fd;

	if ((fd = atomic_exchange(&reserve[i], -1)) != -1)
		(void)close(fd);
	errno = error;
	return (fd != -1);
}

/* Have again what was given up; keeps errno. */
static void
reserve_take(void)
{
	int error = errno, fd, none;
	size_t i;

	for (i = 0; i < RESERVE && atomic_load(&reserve_users) > 0; i++) {
		if (atomic_load(&reserve[i]) != -1)
			continue;
		if ((fd = open("/dev/null", O_RDONLY | O_CLOEXEC)) == -1)
			break;
		/* Another thread may have been as quick. */
		none = -1;
		if (!atomic_compare_exchange_strong(&reserve[i], &none, fd))
			(void)close(fd);
	}
	errno = error;
}

int
sys_streams(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd != -1 && fd <= STDERR_FILENO);
	return (fd == -1 ? -1 : close(fd));
}

void
sys_reserve(void)
{
	(void)atomic_fetch_add(&reserve_users, 1);
	reserve_take();
}

void
sys_release(void)
{
	size_t i;

	if (atomic_fetch_sub(&reserve_users, 1) > 1)
		return;
	for (i = 0; i < RESERVE; i++)
		(void)reserve_give(i);
}

/* What opens a file, of those two that are in the table. */
typedef int open_call(int, const char *, int, mode_t);

static int
open_spare(open_call *call, int dirfd, const char *name, int flags, mode_t mode)
{
	size_t i;
	int fd;

	fd = call(dirfd, name, flags, mode);
	for (i = 0; fd == -1 && i < RESERVE && (errno == EMFILE ||
	    errno == ENFILE); i++)
		if (reserve_give(i))
			fd = call(dirfd, name, flags, mode);
	return (fd);
}

/* The library's take their mode as a variable argument. */
static int
call_openat(int dirfd, const char *name, int flags, mode_t mode)
{
	return (openat(dirfd, name, flags, mode));
}

static int
call_flopenat(int dirfd, const char *name, int flags, mode_t mode)
{
	return (flopenat(dirfd, name, flags, mode));
}

static int
real_openat(int dirfd, const char *name, int flags, mode_t mode)
{
	return (open_spare(call_openat, dirfd, name, flags, mode));
}

static int
real_flopenat(int dirfd, const char *name, int flags, mode_t mode)
{
	return (open_spare(call_flopenat, dirfd, name, flags, mode));
}

static int
real_close(int fd)
{
	int rc = close(fd);

	reserve_take();
	return (rc);
}

static int
real_closedir(DIR *dir)
{
	int rc = closedir(dir);

	reserve_take();
	return (rc);
}

const struct sys sys_real = {
	.openat = real_openat,
	.close = real_close,
	.read = read,
	.pread = pread,
	.write = write,
	.pwritev = pwritev,
	.fsync = fsync,
	.fdatasync = fdatasync,
	.renameat = renameat,
	.unlinkat = unlinkat,
	.mkdirat = mkdirat,
	.fstat = fstat,
	.fstatat = fstatat,
	.ftruncate = ftruncate,
	.linkat = linkat,
	.fstatvfs = fstatvfs,
	.flopenat = real_flopenat,
	.fdopendir = fdopendir,
	.readdir = readdir,
	.closedir = real_closedir,
	.fchown = fchown,
	.futimens = futimens,
};

const struct sys *sys = &sys_real;

int
sys_writeall(int fd, const void *buf, size_t len)
{
	const char *p = buf;
	ssize_t n;

	while (len > 0) {
		n = sys->write(fd, p, len);
		if (n == -1 && errno == EINTR)
			continue;
		/* A write of nothing would be tried for ever. */
		if (n == 0)
			errno = EIO;
		if (n <= 0)
			return (-1);
		p += n;
		len -= (size_t)n;
	}
	return (0);
}

int
sys_pwritevall(int fd, struct iovec *iov, int iovcnt, off_t off)
{
	ssize_t n;
	size_t done;

	for (;;) {
		/* Leave out what is written. */
		while (iovcnt > 0 && iov->iov_len == 0) {
			iov++;
			iovcnt--;
		}
		if (iovcnt == 0)
			return (0);

		n = sys->pwritev(fd, iov, iovcnt, off);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == 0)
			errno = EIO;
		if (n <= 0)
			return (-1);
		off += n;
		for (; n > 0 && iovcnt > 0; n -= (ssize_t)done) {
			done = (size_t)n < iov->iov_len ? (size_t)n :
			    iov->iov_len;
			iov->iov_base = (char *)iov->iov_base + done;
			iov->iov_len -= done;
			if (iov->iov_len == 0) {
				iov++;
				iovcnt--;
			}
		}
	}
}

/* Make room for a regular file of at most max bytes, else EFBIG. */
static int
reserve_file(int fd, size_t max, struct buf *b, size_t *size_r)
{
	struct stat st;

	if (sys->fstat(fd, &st) == -1)
		return (-1);
	if (!S_ISREG(st.st_mode)) {
		errno = S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
		return (-1);
	}
	if ((uintmax_t)st.st_size > max) {
		errno = EFBIG;
		return (-1);
	}
	*size_r = (size_t)st.st_size;
	/* A byte more, so that the read after the last sees the end. */
	if (buf_reserve(b, *size_r + 1))
		return (0);
	errno = ENOMEM;
	return (-1);
}

bool
sys_is_no_file(int error)
{

	return (error == EINVAL || error == EISDIR || error == ELOOP ||
	    error == ENXIO);
}

/* Read to the end of the file. */
static int
readall(int fd, size_t max, struct buf *b, size_t *lost)
{
	size_t size;
	ssize_t n;

	(void)lost;
	if (reserve_file(fd, max, b, &size) == -1)
		return (-1);
	while ((n = sys->read(fd, b->data + b->len, b->size - b->len)) != 0) {
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return (-1);
		b->len += (size_t)n;
		if (b->len > max) {
			errno = EFBIG;
			return (-1);
		}
		if (!buf_reserve(b, 1))
			goto nomem;
	}
	return (0);

nomem:
	errno = ENOMEM;
	return (-1);
}

/* The same block by block; what cannot be read is zeros. */
static int
readparts(int fd, size_t max, struct buf *b, size_t *lost)
{
	size_t size, len;
	ssize_t n;

	if (reserve_file(fd, max, b, &size) == -1)
		return (-1);
	while (b->len < size) {
		len = size - b->len < READ_BLOCK ? size - b->len : READ_BLOCK;
		n = sys->pread(fd, b->data + b->len, len, (off_t)b->len);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1 && errno != EIO)
			return (-1);
		if (n == 0)
			break;
		if (n == -1) {
			memset(b->data + b->len, 0, len);
			*lost += len;
			n = (ssize_t)len;
		}
		b->len += (size_t)n;
	}
	return (0);
}

static int
read_with(int (*reader)(int, size_t, struct buf *, size_t *), int dirfd,
    const char *name, size_t max, char **buf_r, size_t *len_r, size_t *lost)
{
	struct buf b = BUF_INITIALIZER;
	int fd, rc, error;

	/* O_NONBLOCK: a fifo that somebody put there must not hold us. */
	fd = sys->openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK |
	    O_NOFOLLOW, 0);
	if (fd == -1)
		return (-1);
	rc = reader(fd, max, &b, lost);
	error = errno;
	sys->close(fd);
	if (rc == -1) {
		buf_fini(&b);
		errno = error;
		return (-1);
	}
	if ((*buf_r = buf_take(&b, len_r)) == NULL) {
		errno = ENOMEM;
		return (-1);
	}
	return (0);
}

int
sys_readfile(int dirfd, const char *name, size_t max, char **buf_r,
    size_t *len_r)
{
	return (read_with(readall, dirfd, name, max, buf_r, len_r, NULL));
}

int
sys_readparts(int dirfd, const char *name, size_t max, char **buf_r,
    size_t *len_r, size_t *lost_r)
{
	*lost_r = 0;
	return (read_with(readparts, dirfd, name, max, buf_r, len_r, lost_r));
}

/* Is there a folder whose name may be in the cache only, and which could not
 * be taken away either?  Which one, nobody keeps. */
static atomic_bool in_doubt;

static int
make_folder(int dirfd, const char *name)
{
	int error;

	if (sys->mkdirat(dirfd, name, 0700) == -1)
		return (-1);
	if (sys->fsync(dirfd) == 0)
		return (0);
	/* Else the next call would take it as durable. */
	error = errno;
	if (sys->unlinkat(dirfd, name, AT_REMOVEDIR) == -1)
		atomic_store(&in_doubt, true);
	errno = error;
	return (-1);
}

int
sys_opendir(int dirfd, const char *name)
{
	int rc;

	rc = make_folder(dirfd, name);
	/* The one in doubt is still empty, and made anew. */
	if (rc == -1 && errno == EEXIST && atomic_load(&in_doubt)) {
		if (sys->unlinkat(dirfd, name, AT_REMOVEDIR) == 0)
			rc = make_folder(dirfd, name);
		else if (errno == ENOTEMPTY)
			errno = EEXIST;
	}
	if (rc == -1 && errno != EEXIST)
		return (-1);
	return (sys->openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC,
	    0));
}

/* The process whose id stands in the lock file, or 0. */
static pid_t
read_holder(int dirfd, const char *name)
{
	char *s;
	size_t len;
	long pid;

	if (sys_readfile(dirfd, name, 100, &s, &len) == -1)
		return (0);
	pid = strtol(s, NULL, 10);
	free(s);
	return (pid > 0 && pid <= INT32_MAX ? (pid_t)pid : 0);
}

int
sys_lockfile(int dirfd, const char *name, pid_t *holder_r)
{
	char pid[16];
	int fd, error, len;

	fd = sys->flopenat(dirfd, name,
	    O_RDWR | O_CREAT | O_NONBLOCK | O_CLOEXEC, 0600);
	if (fd == -1) {
		error = errno;
		if (error == EWOULDBLOCK)
			*holder_r = read_holder(dirfd, name);
		errno = error;
		return (-1);
	}
	len = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
	if (sys->ftruncate(fd, 0) == -1 ||
	    sys_writeall(fd, pid, (size_t)len) == -1) {
		error = errno;
		sys->close(fd);
		errno = error;
		return (-1);
	}
	return (fd);
}

void
sys_touch(int fd)
{
	(void)futimens(fd, NULL);
}

int
sys_eachname(int dirfd, int (*visit)(const char *name, void *arg), void *arg)
{
	struct dirent *e;
	DIR *dir;
	int fd, error, rc = 0;

	/* A descriptor of its own: dirfd's position is shared with others. */
	fd = sys->openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (fd == -1)
		return (-1);
	if ((dir = sys->fdopendir(fd)) == NULL) {
		error = errno;
		sys->close(fd);
		errno = error;
		return (-1);
	}
	while (rc == 0 && (errno = 0, e = sys->readdir(dir)) != NULL) {
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			rc = visit(e->d_name, arg);
	}
	if (rc == 0 && errno != 0)
		rc = -1;
	error = errno;
	sys->closedir(dir);
	errno = error;
	return (rc);
}

static int64_t
clock_ms(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return ((int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000);
}

int64_t
sys_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ((int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec);
}

int64_t
sys_now_ms(void)
{
	return (clock_ms(CLOCK_REALTIME));
}

int64_t
sys_monotonic_ms(void)
{
	return (clock_ms(CLOCK_MONOTONIC));
}

int64_t
sys_monotonic_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ((int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000);
}
