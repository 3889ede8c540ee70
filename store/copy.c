#include <bsd/string.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "atomicfile.h"
#include "copy.h"
#include "sys.h"

#define COPY_BYTES	((size_t)256 << 10)
/* A document's checksum stands in its last bytes. */
#define TAIL_BYTES	64
/* A link to a folder above it would have no end. */
#define DEPTH_MAX	32

/* Note where it failed: the innermost comes first. */
static int
failed(struct copy *c, const char *name)
{
	char rest[sizeof(c->failed)];
	int error = errno;

	strlcpy(rest, c->failed, sizeof(rest));
	strlcpy(c->failed, name, sizeof(c->failed));
	if (rest[0] != '\0')
		strlcat(c->failed, "/", sizeof(c->failed));
	strlcat(c->failed, rest, sizeof(c->failed));
	errno = error;
	return (-1);
}

static void
close_quietly(int fd)
{
	int error = errno;

	if (fd != -1)
		(void)sys->close(fd);
	errno = error;
}

void
copy_owner(int from, int to)
{
	struct stat st;
	int error = errno;

	/* Who is not root copies for himself. */
	if (sys->fstat(from, &st) == 0)
		(void)!sys->fchown(to, st.st_uid, st.st_gid);
	errno = error;
}

/* --- one file ------------------------------------------------------------- */

static bool
is_there(int fd, const char *name)
{
	struct stat st;

	return (sys->fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0);
}

static bool
is_link(int fd, const char *name)
{
	struct stat st;

	return (sys->fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISLNK(st.st_mode));
}

/* Read the file's last bytes.  Returns their number, or -1. */
static ssize_t
read_tail(int dirfd, const char *name, off_t size, char *tail)
{
	off_t at = size > TAIL_BYTES ? size - TAIL_BYTES : 0;
	ssize_t n;
	int fd;

	fd = sys->openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW |
	    O_NONBLOCK, 0);
	if (fd == -1)
		return (-1);
	n = sys->pread(fd, tail, TAIL_BYTES, at);
	close_quietly(fd);
	return (n);
}

/*
 * Is the earlier copy what stands there now?  By size and time, and, as a
 * clock may stand still between two writes, by the bytes at its end.
 */
static bool
is_same(int from, int earlier, const char *name)
{
	struct stat now, then;
	char a[TAIL_BYTES], b[TAIL_BYTES];
	ssize_t n;

	if (sys->fstatat(from, name, &now, AT_SYMLINK_NOFOLLOW) == -1 ||
	    sys->fstatat(earlier, name, &then, AT_SYMLINK_NOFOLLOW) == -1 ||
	    !S_ISREG(now.st_mode) || !S_ISREG(then.st_mode))
		return (false);
	if (now.st_dev == then.st_dev && now.st_ino == then.st_ino)
		return (true);
	if (now.st_size != then.st_size ||
	    now.st_mtim.tv_sec != then.st_mtim.tv_sec ||
	    now.st_mtim.tv_nsec != then.st_mtim.tv_nsec)
		return (false);
	n = read_tail(from, name, now.st_size, a);
	return (n != -1 && read_tail(earlier, name, then.st_size, b) == n &&
	    memcmp(a, b, (size_t)n) == 0);
}

/*
 * Link the file.  Returns 1; 0 if it vanished; -1 if it must be copied: other
 * file system, too many links, not allowed, not known there.
 */
static int
link_file(int from, int to, const char *name)
{

	if (sys->linkat(from, name, to, name, 0) == 0)
		return (1);
	return (errno == ENOENT ? 0 : -1);
}

/* All bytes of in to out. */
static int
copy_bytes(struct copy *c, int in, int out)
{
	char *buf;
	ssize_t n;
	int rc = 0;

	if ((buf = malloc(COPY_BYTES)) == NULL)
		return (-1);
	while (rc == 0 && (n = sys->read(in, buf, COPY_BYTES)) != 0) {
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			rc = -1;
		else if ((rc = sys_writeall(out, buf, (size_t)n)) == 0)
			c->bytes += (uint64_t)n;
	}
	free(buf);
	return (rc);
}

/* Make name in to of what in holds, under a temporary name first. */
static int
write_file(struct copy *c, int in, int to, const char *name)
{
	struct timespec times[2];
	struct stat st;
	char tmp[NAME_MAX + 16];
	int out;

	(void)snprintf(tmp, sizeof(tmp), ATOMICFILE_PREFIX "%.240s", name);
	if (sys->fstat(in, &st) == -1)
		return (-1);
	out = sys->openat(to, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
	    st.st_mode & 0777);
	if (out == -1)
		return (-1);
	copy_owner(in, out);
	times[0] = st.st_atim;
	times[1] = st.st_mtim;
	if (copy_bytes(c, in, out) == -1 ||
	    sys->futimens(out, times) == -1 || sys->fsync(out) == -1)
		goto fail_open;
	if (sys->close(out) == -1 && errno != EINTR)
		goto fail_closed;
	if (sys->renameat(to, tmp, to, name) == -1)
		goto fail_closed;
	return (0);

fail_open:
	close_quietly(out);
fail_closed:
	out = errno;
	(void)sys->unlinkat(to, tmp, 0);
	errno = out;
	return (-1);
}

/* As link_file, but copied. */
static int
copy_contents(struct copy *c, int from, int to, const char *name)
{
	int in, rc;

	in = sys->openat(from, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0);
	if (in == -1)
		return (errno == ENOENT ? 0 : -1);
	rc = write_file(c, in, to, name);
	close_quietly(in);
	return (rc == -1 ? -1 : 1);
}

int
copy_file(struct copy *c, int from, int to, int earlier, const char *name)
{
	const bool may_link = c->may_link != NULL &&
	    c->may_link(from, name, c->arg) && !is_link(from, name);
	int rc = -1;

	if (is_there(to, name))
		return (0);
	if (may_link && (rc = link_file(from, to, name)) == 1)
		c->linked++;
	if (rc == -1 && may_link && earlier != -1 &&
	    (c->half == NULL || strcmp(name, c->half) < 0) &&
	    is_same(from, earlier, name) &&
	    link_file(earlier, to, name) == 1) {
		c->kept++;
		rc = 1;
	}
	if (rc == -1 && (rc = copy_contents(c, from, to, name)) == 1)
		c->copied++;
	if (rc == -1)
		return (failed(c, name));
	if (rc == 1 && c->on_file != NULL)
		c->on_file(c->arg);
	return (rc);
}

/* --- folders ------------------------------------------------------------- */

struct level {
	struct copy	*copy;
	int		 from;
	int		 to;
	int		 earlier;
};

/* A folder in the one that is copied.  0, or -1. */
static int
copy_sub(struct level *l, const char *name)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
	int from, to, earlier = -1, rc = -1;

	if (l->copy->depth == DEPTH_MAX) {
		errno = ELOOP;
		return (failed(l->copy, name));
	}
	if ((from = sys->openat(l->from, name, flags, 0)) == -1)
		return (errno == ENOENT ? 0 : failed(l->copy, name));
	if (l->earlier != -1)
		earlier = sys->openat(l->earlier, name, flags, 0);
	if ((to = sys_opendir(l->to, name)) == -1)
		(void)failed(l->copy, name);
	else {
		l->copy->depth++;
		if ((rc = copy_tree(l->copy, from, to, earlier)) == -1)
			(void)failed(l->copy, name);
		l->copy->depth--;
	}
	close_quietly(to);
	close_quietly(earlier);
	close_quietly(from);
	return (rc);
}

static int
visit_name(const char *name, void *arg)
{
	struct level *l = arg;
	struct stat st;

	if (atomicfile_is_temporary(name))
		return (0);
	if (sys->fstatat(l->from, name, &st, AT_SYMLINK_NOFOLLOW) == -1)
		return (errno == ENOENT ? 0 : failed(l->copy, name));
	/* One that leads nowhere may be a disk that is not mounted. */
	if (S_ISLNK(st.st_mode) && sys->fstatat(l->from, name, &st, 0) == -1)
		return (failed(l->copy, name));
	if (S_ISDIR(st.st_mode))
		return (copy_sub(l, name));
	if (!S_ISREG(st.st_mode))
		return (0);
	return (copy_file(l->copy, l->from, l->to, l->earlier, name) == -1 ?
	    -1 : 0);
}

int
copy_tree(struct copy *c, int from, int to, int earlier)
{
	struct level l = { c, from, to, earlier };

	if (sys_eachname(from, visit_name, &l) == -1)
		return (-1);
	copy_owner(from, to);
	/* The names of what was synced. */
	return (sys->fsync(to));
}

/* The names of a listing. */
struct names {
	bool		 (*is_one)(const char *name);
	char		 (*v)[NAME_MAX + 1];
	size_t		 n;
	size_t		 size;
};

static int
visit_one(const char *name, void *arg)
{
	struct names *l = arg;
	void *p;

	if (!l->is_one(name))
		return (0);
	if (l->n == l->size) {
		l->size = l->size * 2 + 64;
		if ((p = reallocarray(l->v, l->size, sizeof(*l->v))) == NULL)
			return (-1);
		l->v = p;
	}
	strlcpy(l->v[l->n++], name, sizeof(*l->v));
	return (0);
}

static int
last_first(const void *a, const void *b)
{

	return (strcmp(b, a));
}

int
copy_last_first(struct copy *c, int from, int to, int earlier,
    bool (*is_one)(const char *))
{
	struct names l = { .is_one = is_one };
	size_t i;
	int rc;

	if ((rc = sys_eachname(from, visit_one, &l)) == 0 && l.n > 0)
		qsort(l.v, l.n, sizeof(*l.v), last_first);
	for (i = 0; rc == 0 && i < l.n; i++)
		if (copy_file(c, from, to, earlier, l.v[i]) == -1)
			rc = -1;
	free(l.v);
	if (rc == -1)
		return (-1);
	copy_owner(from, to);
	return (sys->fsync(to));
}

static int
visit_any(const char *name, void *arg)
{

	(void)arg;
	return (strcmp(name, "lost+found") != 0 && strcmp(name, "lock") != 0);
}

int
copy_folder(const char *path)
{
	int fd;

	if (sys->mkdirat(AT_FDCWD, path, 0700) == 0) {
		if (atomicfile_sync_parent(path) == -1)
			return (-1);
	} else if (errno != EEXIST)
		return (-1);
	fd = sys->openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC,
	    0);
	if (fd == -1)
		return (-1);
	switch (sys_eachname(fd, visit_any, NULL)) {
	case 0:
		return (fd);
	case 1:
		errno = ENOTEMPTY;
		/* FALLTHROUGH */
	default:
		close_quietly(fd);
		return (-1);
	}
}
