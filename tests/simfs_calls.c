#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include <bsd/string.h>

#include "store/sys.h"

#include "tests/simfs_internal.h"

/* Far from the kernel's: a call that does not go by the table gets EBADF. */
#define FIRST_FD	(1 << 20)

/* Those that can do less than they were asked for. */
#define SHORT_CALLS	(FAULT_READ | FAULT_PREAD | FAULT_WRITE | FAULT_PWRITEV)

/* --- before each call --------------------------------------------------- */

int
simfs_enter(enum fault_call call)
{
	lock_assert_held(&simfs.lck);
	if (simfs.is_stopped)
		return (EIO);
	simfs.ncalls++;
	simfs.count[__builtin_ctz(call)]++;
	if ((simfs.stop_mask & call) != 0 && --simfs.stop_left == 0) {
		simfs.is_stopped = true;
		simfs_note("stop");
		return (EIO);
	}
	if ((simfs.fail_mask & call) == 0 ||
	    (simfs.fail_error == SIMFS_SHORT && (call & SHORT_CALLS) == 0) ||
	    (simfs.fail_left > 0 && --simfs.fail_left > 0))
		return (0);
	if (!simfs.fail_forever)
		simfs.fail_mask = 0;
	simfs.has_failed = true;
	simfs_note("the next one fails: %s", simfs.fail_error == SIMFS_SHORT ?
	    "short" : strerror(simfs.fail_error));
	return (simfs.fail_error);
}

int
simfs_leave(int rc, int error)
{
	lock_give(&simfs.lck);
	if (error == 0)
		return (rc);
	errno = error;
	return (-1);
}

struct open_file *
simfs_file(int fd)
{
	size_t i;

	for (i = 0; i < SIMFS_OPEN_MAX; i++)
		if (simfs.open[i].fd == fd && fd != 0)
			return (&simfs.open[i]);
	fprintf(stderr, "simfs: descriptor %d is not open\n", fd);
	abort();
}

/* --- paths -------------------------------------------------------------- */

struct inode *
simfs_walk(int dirfd, const char *path, char word[SIMFS_NAME], int *error_r)
{
	struct inode *dir;
	size_t len;

	dir = dirfd == AT_FDCWD || path[0] == '/' ? simfs.root :
	    simfs_file(dirfd)->inode;
	strlcpy(word, ".", SIMFS_NAME);
	for (;;) {
		path += strspn(path, "/");
		len = strcspn(path, "/");
		if (len == 0)
			return (dir);
		if (strcmp(word, ".") != 0 &&
		    (dir = names_find(&dir->names, word)) == NULL) {
			*error_r = ENOENT;
			return (NULL);
		}
		if (!dir->is_dir || len >= SIMFS_NAME) {
			*error_r = dir->is_dir ? ENAMETOOLONG : ENOTDIR;
			return (NULL);
		}
		memcpy(word, path, len);
		word[len] = '\0';
		path += len;
	}
}

struct inode *
simfs_find(struct inode *dir, const char *word)
{
	return (strcmp(word, ".") == 0 ? dir : names_find(&dir->names, word));
}

/* --- open and close ----------------------------------------------------- */

static int
open_inode(struct inode *n, int flags)
{
	size_t i;

	for (i = 0; i < SIMFS_OPEN_MAX; i++)
		if (simfs.open[i].fd == 0)
			break;
	if (i == SIMFS_OPEN_MAX)
		return (-1);
	simfs.open[i] = (struct open_file){ FIRST_FD + simfs.next_fd++, flags,
	    n, 0 };
	n->nopen++;
	return (simfs.open[i].fd);
}

/* The inode to be opened, made if asked for; NULL with *error_r. */
static struct inode *
open_path(int dirfd, const char *path, int flags, int *error_r)
{
	char word[SIMFS_NAME];
	struct inode *dir, *n;

	if ((dir = simfs_walk(dirfd, path, word, error_r)) == NULL)
		return (NULL);
	if ((n = simfs_find(dir, word)) == NULL) {
		if ((flags & O_CREAT) == 0) {
			*error_r = ENOENT;
			return (NULL);
		}
		n = inode_new(false, word);
		dir_set(dir, word, n);
		return (n);
	}
	*error_r = 0;
	if ((flags & O_CREAT) != 0 && (flags & O_EXCL) != 0)
		*error_r = EEXIST;
	else if ((flags & O_DIRECTORY) != 0 && !n->is_dir)
		*error_r = ENOTDIR;
	else if ((flags & O_ACCMODE) != O_RDONLY && n->is_dir)
		*error_r = EISDIR;
	return (*error_r == 0 ? n : NULL);
}

static int
sim_openat(int dirfd, const char *path, int flags, mode_t mode)
{
	struct inode *n;
	int error, fd = -1;

	(void)mode;
	lock_take(&simfs.lck);
	if ((error = simfs_enter(FAULT_OPENAT)) == 0 &&
	    (n = open_path(dirfd, path, flags, &error)) != NULL &&
	    (fd = open_inode(n, flags)) == -1)
		error = EMFILE;
	simfs_note("openat %s %#x = %d (%d)", path, (unsigned)flags, fd, error);
	return (simfs_leave(fd, error));
}

static int
sim_flopenat(int dirfd, const char *path, int flags, mode_t mode)
{
	struct inode *n;
	int error, fd = -1;

	(void)mode;
	lock_take(&simfs.lck);
	if ((error = simfs_enter(FAULT_FLOPENAT)) == 0 &&
	    (n = open_path(dirfd, path, flags, &error)) != NULL) {
		if (n->locked_by != 0)
			error = EWOULDBLOCK;
		else if ((fd = open_inode(n, flags)) == -1)
			error = EMFILE;
		else
			n->locked_by = fd;
	}
	simfs_note("flopenat %s = %d (%d)", path, fd, error);
	return (simfs_leave(fd, error));
}

void
simfs_close(struct open_file *f)
{
	if (f->inode->locked_by == f->fd)
		f->inode->locked_by = 0;
	f->inode->nopen--;
	f->fd = 0;
}

/* Whoever ends after the power does not close: that happened to all files. */
static int
sim_close(int fd)
{
	struct open_file *f;
	int error;

	lock_take(&simfs.lck);
	error = simfs_enter(FAULT_CLOSE);
	if (!simfs.is_stopped) {
		f = simfs_file(fd);
		simfs_note("close %d %s (%d)", fd, f->inode->label, error);
		simfs_close(f);
	}
	return (simfs_leave(0, error == SIMFS_SHORT ? 0 : error));
}

/* --- figures ------------------------------------------------------------ */

static void
fill_stat(const struct inode *n, struct stat *st)
{
	memset(st, 0, sizeof(*st));
	st->st_ino = n->number;
	st->st_mode = n->is_dir ? S_IFDIR | 0700 : S_IFREG | 0600;
	st->st_nlink = n->nlink;
	st->st_size = (off_t)n->cache.len;
	st->st_blocks = (blkcnt_t)((n->cache.len + 511) / 512);
	st->st_blksize = SIMFS_BLOCK;
}

static int
sim_fstat(int fd, struct stat *st)
{
	int error;

	lock_take(&simfs.lck);
	if ((error = simfs_enter(FAULT_FSTAT)) == 0)
		fill_stat(simfs_file(fd)->inode, st);
	return (simfs_leave(0, error));
}

static int
sim_fstatat(int dirfd, const char *path, struct stat *st, int flags)
{
	char word[SIMFS_NAME];
	struct inode *dir, *n;
	int error;

	(void)flags;
	lock_take(&simfs.lck);
	if ((error = simfs_enter(FAULT_FSTATAT)) == 0 &&
	    (dir = simfs_walk(dirfd, path, word, &error)) != NULL) {
		if ((n = simfs_find(dir, word)) == NULL)
			error = ENOENT;
		else
			fill_stat(n, st);
	}
	return (simfs_leave(0, error));
}

static int
sim_fstatvfs(int fd, struct statvfs *st)
{
	size_t all;
	int error;

	lock_take(&simfs.lck);
	if ((error = simfs_enter(FAULT_FSTATVFS)) == 0) {
		(void)simfs_file(fd);
		all = simfs.limit != 0 ? simfs.limit : (size_t)1 << 40;
		memset(st, 0, sizeof(*st));
		st->f_bsize = st->f_frsize = SIMFS_BLOCK;
		st->f_blocks = all / SIMFS_BLOCK;
		all -= simfs_used() < all ? simfs_used() : all;
		st->f_bfree = st->f_bavail = all / SIMFS_BLOCK;
		st->f_files = st->f_ffree = st->f_favail = 1 << 20;
		st->f_namemax = SIMFS_NAME - 1;
	}
	return (simfs_leave(0, error));
}

/* Owners and times are not kept. */
static int
sim_fchown(int fd, uid_t owner, gid_t group)
{
	int error;

	(void)owner;
	(void)group;
	lock_take(&simfs.lck);
	if ((error = simfs_enter(FAULT_FCHOWN)) == 0)
		(void)simfs_file(fd);
	return (simfs_leave(0, error));
}

static int
sim_futimens(int fd, const struct timespec times[2])
{
	int error;

	(void)times;
	lock_take(&simfs.lck);
	if ((error = simfs_enter(FAULT_FUTIMENS)) == 0)
		(void)simfs_file(fd);
	return (simfs_leave(0, error));
}

static const struct sys simfs_table = {
	.openat = sim_openat,
	.close = sim_close,
	.read = sim_read,
	.pread = sim_pread,
	.write = sim_write,
	.pwritev = sim_pwritev,
	.fsync = sim_fsync,
	.fdatasync = sim_fdatasync,
	.renameat = sim_renameat,
	.unlinkat = sim_unlinkat,
	.mkdirat = sim_mkdirat,
	.fstat = sim_fstat,
	.fstatat = sim_fstatat,
	.ftruncate = sim_ftruncate,
	.linkat = sim_linkat,
	.fstatvfs = sim_fstatvfs,
	.flopenat = sim_flopenat,
	.fdopendir = sim_fdopendir,
	.readdir = sim_readdir,
	.closedir = sim_closedir,
	.fchown = sim_fchown,
	.futimens = sim_futimens,
};

void
simfs_init(void)
{
	TAILQ_INIT(&simfs.inodes);
	TAILQ_INIT(&simfs.steps);
	sys = &simfs_table;
	simfs_reset(0);
}
