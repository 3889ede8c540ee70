/*
 * A disk that is slow or fails, for a daemon that knows nothing of it: a
 * library to preload (LD_PRELOAD), with the file SICKDISK_CONTROL in which a
 * test says, while the daemon runs, what ails the files below SICKDISK_STORE.
 *
 *	ID CALLS PART ERRNO MS TIMES	one rule a line; the first one fits
 *
 *	ID	1 to 9999, new for each rule: its hits are counted
 *	CALLS	names with commas between: fdatasync,pwritev
 *	PART	of the path, such as journal/ or /tenants; * is any
 *	ERRNO	the call fails with it; 0: it does what it shall
 *	MS	but after so long; -1: as soon as the rule is gone
 *	TIMES	so often and no more; -1: always
 *
 * A call that is let go is judged anew, by the rules there are then.  Each
 * hit is a line "ID CALL PATH" in SICKDISK_CONTROL.hits.  What fails to write
 * wrote half before, as a disk may.
 */
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define RULES_MAX	10000
#define CONTROL_MAX	4096
#define HOLD_MS		5

struct rule {
	int	 id;
	char	 calls[128];
	char	 part[128];
	int	 error;
	int	 ms;
	int	 times;
};

static atomic_int	 hits[RULES_MAX];

/* The library's own call of this name. */
#define REAL(name)	((__typeof__(&name))real(#name))

static void *
real(const char *name)
{
	void *p;

	if ((p = dlsym(RTLD_NEXT, name)) == NULL)
		abort();
	return (p);
}

/* Read the control file into text; without one no rule is in force. */
static void
read_control(char text[CONTROL_MAX])
{
	const char *name = getenv("SICKDISK_CONTROL");
	ssize_t n = 0;
	int fd;

	if (name != NULL && (fd = (int)syscall(SYS_openat, AT_FDCWD, name,
	    O_RDONLY | O_CLOEXEC, 0)) != -1) {
		n = syscall(SYS_read, fd, text, CONTROL_MAX - 1);
		syscall(SYS_close, fd);
	}
	text[n > 0 ? n : 0] = '\0';
}

/* Is word one of the words in list? */
static bool
is_listed(const char *list, const char *word)
{
	size_t len = strlen(word);
	const char *p;

	for (p = list; (p = strstr(p, word)) != NULL; p += len)
		if ((p == list || p[-1] == ',') &&
		    (p[len] == '\0' || p[len] == ','))
			return (true);
	return (false);
}

/* Find the rule for a call on path that may still be applied. */
static bool
find_rule(const char *call, const char *path, struct rule *r)
{
	char text[CONTROL_MAX], *line, *next;

	read_control(text);
	for (line = text; *line != '\0'; line = next) {
		next = line + strcspn(line, "\n");
		if (*next != '\0')
			*next++ = '\0';
		if (sscanf(line, "%d %127s %127s %d %d %d", &r->id, r->calls,
		    r->part, &r->error, &r->ms, &r->times) != 6)
			continue;
		if (r->id < 1 || r->id >= RULES_MAX)
			continue;
		if (!is_listed(r->calls, call))
			continue;
		if (strcmp(r->part, "*") != 0 && strstr(path, r->part) == NULL)
			continue;
		if (r->times < 0 || atomic_load(&hits[r->id]) < r->times)
			return (true);
	}
	return (false);
}

static void
note_hit(const struct rule *r, const char *call, const char *path)
{
	char name[PATH_MAX], line[PATH_MAX + 64];
	int fd, n;

	snprintf(name, sizeof(name), "%s.hits", getenv("SICKDISK_CONTROL"));
	n = snprintf(line, sizeof(line), "%d %s %s\n", r->id, call, path);
	fd = (int)syscall(SYS_openat, AT_FDCWD, name,
	    O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd == -1)
		return;
	if (syscall(SYS_write, fd, line, n) != n)
		abort();
	syscall(SYS_close, fd);
}

static void
sleep_ms(int ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000L };

	while (nanosleep(&ts, &ts) == -1 && errno == EINTR)
		;
}

/* Wait as long as rule r stands and holds the call. */
static void
hold(struct rule *r, const char *call, const char *path)
{
	int id = r->id;

	do
		sleep_ms(HOLD_MS);
	while (find_rule(call, path, r) && r->id == id);
}

/* Does the call on path fail?  Then errno is set.  It may take its time. */
static bool
is_failed(const char *call, const char *path)
{
	const char *store = getenv("SICKDISK_STORE");
	int error = errno;
	struct rule r;

	if (store == NULL || strncmp(path, store, strlen(store)) != 0)
		return (false);
	while (find_rule(call, path, &r)) {
		/* Several threads may have found the last of its times. */
		if (atomic_fetch_add(&hits[r.id], 1) >= r.times && r.times >= 0)
			continue;
		note_hit(&r, call, path);
		if (r.ms < 0) {
			hold(&r, call, path);
			continue;
		}
		sleep_ms(r.ms);
		errno = r.error != 0 ? r.error : error;
		return (r.error != 0);
	}
	errno = error;
	return (false);
}

/* Set path to the file that fd is; "" if it has no name. */
static void
path_of(int fd, char path[PATH_MAX])
{
	char link[64];
	ssize_t n;
	int error = errno;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, PATH_MAX - 1);
	path[n > 0 ? n : 0] = '\0';
	errno = error;
}

static bool
is_fd_failed(const char *call, int fd)
{
	char path[PATH_MAX];

	path_of(fd, path);
	return (is_failed(call, path));
}

static bool
is_name_failed(const char *call, int dirfd, const char *name)
{
	char path[PATH_MAX];
	size_t len;

	path[0] = '\0';
	if (name[0] != '/') {
		path_of(dirfd, path);
		len = strlen(path);
		if (len == 0 || len + 1 + strlen(name) >= sizeof(path))
			return (false);
		path[len] = '/';
		strcpy(path + len + 1, name);
	} else if (strlen(name) < sizeof(path))
		strcpy(path, name);
	return (is_failed(call, path));
}

/* --- what stands before the library's calls ------------------------------ */

int
fsync(int fd)
{
	return (is_fd_failed("fsync", fd) ? -1 : REAL(fsync)(fd));
}

int
fdatasync(int fd)
{
	return (is_fd_failed("fdatasync", fd) ? -1 : REAL(fdatasync)(fd));
}

ssize_t
write(int fd, const void *buf, size_t len)
{
	int error;

	if (!is_fd_failed("write", fd))
		return (REAL(write)(fd, buf, len));
	error = errno;
	if (REAL(write)(fd, buf, len / 2) == -1)
		abort();
	errno = error;
	return (-1);
}

ssize_t
pwritev(int fd, const struct iovec *iov, int iovcnt, off_t off)
{
	struct iovec half;
	int error;

	if (!is_fd_failed("pwritev", fd))
		return (REAL(pwritev)(fd, iov, iovcnt, off));
	error = errno;
	half.iov_base = iov[iovcnt - 1].iov_base;
	half.iov_len = iov[iovcnt - 1].iov_len / 2;
	if (iovcnt > 1) {
		/* All but the last, and half of that. */
		ssize_t n = REAL(pwritev)(fd, iov, iovcnt - 1, off);

		if (n == -1)
			abort();
		off += n;
	}
	if (REAL(pwritev)(fd, &half, 1, off) == -1)
		abort();
	errno = error;
	return (-1);
}

int
openat(int dirfd, const char *name, int flags, ...)
{
	mode_t mode = 0;
	va_list ap;

	if ((flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE) {
		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		va_end(ap);
	}
	/* What reads is another matter than what makes a file. */
	if (is_name_failed((flags & O_CREAT) != 0 ? "creat" : "openat", dirfd,
	    name))
		return (-1);
	return (REAL(openat)(dirfd, name, flags, mode));
}

int
renameat(int fromfd, const char *from, int tofd, const char *to)
{
	if (is_name_failed("renameat", tofd, to))
		return (-1);
	return (REAL(renameat)(fromfd, from, tofd, to));
}

int
unlinkat(int dirfd, const char *name, int flags)
{
	if (is_name_failed("unlinkat", dirfd, name))
		return (-1);
	return (REAL(unlinkat)(dirfd, name, flags));
}

int
mkdirat(int dirfd, const char *name, mode_t mode)
{
	if (is_name_failed("mkdirat", dirfd, name))
		return (-1);
	return (REAL(mkdirat)(dirfd, name, mode));
}
