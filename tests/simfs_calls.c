#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include <bsd/string.h>

#include "store/sys.h"

#include "tests/simfs_internal.h"

/* Far from the kernel's: a call that does not go by the table gets EBADF. */
#define FIRST_FD	(1 << 20)

#define BLOCK		4096

/* Those that can do less than they were asked for. */
#define SHORT_CALLS	(FAULT_READ | FAULT_PREAD | FAULT_WRITE | FAULT_PWRITEV)

/* --- before each call --------------------------------------------------- */

/*
 * Count the call.  Returns 0, or the errno it gets (or SIMFS_SHORT).  The
 * power's end comes first.
 */
static int
enter(enum fault_call call)
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

/* Leave with that result; errno is set if there is an error. */
static int
leave(int rc, int error)
{
	lock_give(&simfs.lck);
	if (error == 0)
		return (rc);
	errno = error;
	return (-1);
}

static struct open_file *
file_of(int fd)
{
	size_t i;

	for (i = 0; i < SIMFS_OPEN_MAX; i++)
		if (simfs.open[i].fd == fd && fd != 0)
			return (&simfs.open[i]);
	fprintf(stderr, "simfs: descriptor %d is not open\n", fd);
	abort();
}

/* --- paths -------------------------------------------------------------- */

/*
 * The folder that the path's last word stands in, and that word.  Returns
 * NULL with *error_r set.
 */
static struct inode *
walk(int dirfd, const char *path, char word[SIMFS_NAME], int *error_r)
{
	struct inode *dir;
	size_t len;

	dir = dirfd == AT_FDCWD || path[0] == '/' ? simfs.root :
	    file_of(dirfd)->inode;
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

static struct inode *
find(struct inode *dir, const char *word)
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

	if ((dir = walk(dirfd, path, word, error_r)) == NULL)
		return (NULL);
	if ((n = find(dir, word)) == NULL) {
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
	if ((error = enter(FAULT_OPENAT)) == 0 &&
	    (n = open_path(dirfd, path, flags, &error)) != NULL &&
	    (fd = open_inode(n, flags)) == -1)
		error = EMFILE;
	simfs_note("openat %s %#x = %d (%d)", path, (unsigned)flags, fd, error);
	return (leave(fd, error));
}

static int
sim_flopenat(int dirfd, const char *path, int flags, mode_t mode)
{
	struct inode *n;
	int error, fd = -1;

	(void)mode;
	lock_take(&simfs.lck);
	if ((error = enter(FAULT_FLOPENAT)) == 0 &&
	    (n = open_path(dirfd, path, flags, &error)) != NULL) {
		if (n->locked_by != 0)
			error = EWOULDBLOCK;
		else if ((fd = open_inode(n, flags)) == -1)
			error = EMFILE;
		else
			n->locked_by = fd;
	}
	simfs_note("flopenat %s = %d (%d)", path, fd, error);
	return (leave(fd, error));
}

static void
close_file(struct open_file *f)
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
	error = enter(FAULT_CLOSE);
	if (!simfs.is_stopped) {
		f = file_of(fd);
		simfs_note("close %d %s (%d)", fd, f->inode->label, error);
		close_file(f);
	}
	return (leave(0, error == SIMFS_SHORT ? 0 : error));
}

/* --- reading and writing ------------------------------------------------ */

static ssize_t
read_at(struct open_file *f, void *buf, size_t len, size_t off, int *error)
{
	const struct bytes *b = &f->inode->cache;

	if (f->inode->is_dir)
		*error = EISDIR;
	else if (*error == SIMFS_SHORT) {
		len = (len + 1) / 2;
		*error = 0;
	}
	if (*error != 0)
		return (-1);
	if (off >= b->len)
		return (0);
	if (len > b->len - off)
		len = b->len - off;
	memcpy(buf, b->p + off, len);
	return ((ssize_t)len);
}

static ssize_t
sim_read(int fd, void *buf, size_t len)
{
	struct open_file *f;
	ssize_t n = -1;
	int error;

	lock_take(&simfs.lck);
	if ((error = enter(FAULT_READ)) == 0 || error == SIMFS_SHORT) {
		f = file_of(fd);
		n = read_at(f, buf, len, f->pos, &error);
		if (n > 0)
			f->pos += (size_t)n;
	}
	return (leave((int)n, error));
}

static ssize_t
sim_pread(int fd, void *buf, size_t len, off_t off)
{
	ssize_t n = -1;
	int error;

	lock_take(&simfs.lck);
	if ((error = enter(FAULT_PREAD)) == 0 || error == SIMFS_SHORT)
		n = read_at(file_of(fd), buf, len, (size_t)off, &error);
	return (leave((int)n, error));
}

/* Bytes of all files that have a name or are open. */
static size_t
used(void)
{
	struct inode *n;
	size_t all = 0;

	TAILQ_FOREACH(n, &simfs.inodes, entry)
		if (n->nlink > 0 || n->nopen > 0)
			all += (n->cache.len + BLOCK - 1) / BLOCK * BLOCK;
	return (all);
}

/* How much of len bytes at off has room, in whole blocks. */
static size_t
room(const struct inode *n, size_t off, size_t len)
{
	size_t has = (n->cache.len + BLOCK - 1) / BLOCK * BLOCK, all;

	if (simfs.limit == 0 || off + len <= has)
		return (len);
	all = used();
	has += all < simfs.limit ? (simfs.limit - all) / BLOCK * BLOCK : 0;
	if (has <= off)
		return (0);
	return (has - off < len ? has - off : len);
}

/* Write what there is room for, half of it if the call fails. */
static ssize_t
write_at(struct open_file *f, const void *buf, size_t len, size_t off,
    int *error)
{
	size_t fits = room(f->inode, off, len);

	if (*error == SIMFS_SHORT) {
		fits = (fits + 1) / 2;
		*error = 0;
	} else if (*error != 0)
		fits /= 2;
	if (*error == 0 && fits == 0 && len > 0)
		*error = ENOSPC;
	file_write(f->inode, off, buf, fits);
	return (*error == 0 ? (ssize_t)fits : -1);
}

static ssize_t
sim_write(int fd, const void *buf, size_t len)
{
	struct open_file *f;
	ssize_t n = -1;
	int error;

	lock_take(&simfs.lck);
	error = enter(FAULT_WRITE);
	if (!simfs.is_stopped) {
		f = file_of(fd);
		n = write_at(f, buf, len, f->pos, &error);
		if (n > 0)
			f->pos += (size_t)n;
		simfs_note("write %s %zu = %zd (%d)", f->inode->label, len, n,
		    error);
	}
	return (leave((int)n, error));
}

static ssize_t
sim_pwritev(int fd, const struct iovec *iov, int iovcnt, off_t off)
{
	struct open_file *f;
	ssize_t n, done = 0;
	bool is_planted;
	int i, error;

	lock_take(&simfs.lck);
	error = enter(FAULT_PWRITEV);
	if (simfs.is_stopped)
		return (leave(-1, error));
	is_planted = error != 0;
	f = file_of(fd);
	for (i = 0; i < iovcnt; i++) {
		n = write_at(f, iov[i].iov_base, iov[i].iov_len,
		    (size_t)(off + done), &error);
		if (n > 0)
			done += n;
		if (n != (ssize_t)iov[i].iov_len)
			break;
	}
	/* Some bytes count more than why there were no more. */
	if (done > 0 && !is_planted)
		error = 0;
	simfs_note("pwritev %s at %lld = %zd (%d)", f->inode->label,
	    (long long)off, done, error);
	return (leave((int)done, error));
}

static int
sim_ftruncate(int fd, off_t len)
{
	struct inode *n;
	int error;

	lock_take(&simfs.lck);
	if ((error = enter(FAULT_FTRUNCATE)) == 0) {
		n = file_of(fd)->inode;
		bytes_size(&n->cache, (size_t)len);
		n->is_same = false;
	}
	return (leave(0, error));
}

static int
sync_inode(int fd, enum fault_call call, const char *what)
{
	struct inode *n;
	int error;

	lock_take(&simfs.lck);
	error = enter(call);
	if (simfs.is_stopped)
		return (leave(-1, error));
	n = file_of(fd)->inode;
	if (error == 0)
		inode_sync(n);
	else
		inode_sync_failed(n);
	simfs_note("%s %s (%d)", what, n->label, error);
	return (leave(0, error));
}

static int
sim_fsync(int fd)
{
	return (sync_inode(fd, FAULT_FSYNC, "fsync"));
}

static int
sim_fdatasync(int fd)
{
	return (sync_inode(fd, FAULT_FDATASYNC, "fdatasync"));
}

/* --- names -------------------------------------------------------------- */

static int
rename_paths(int olddir, const char *old, int newdir, const char *new)
{
	char oldword[SIMFS_NAME], newword[SIMFS_NAME];
	struct inode *from, *to, *n, *there;
	int error;

	if ((from = walk(olddir, old, oldword, &error)) == NULL ||
	    (to = walk(newdir, new, newword, &error)) == NULL)
		return (error);
	if ((n = names_find(&from->names, oldword)) == NULL)
		return (ENOENT);
	there = names_find(&to->names, newword);
	if (there == n)
		return (0);
	if (there != NULL && there->is_dir)
		return (n->is_dir ? ENOTEMPTY : EISDIR);
	dir_set(to, newword, n);
	dir_set(from, oldword, NULL);
	strlcpy(n->label, newword, sizeof(n->label));
	return (0);
}

static int
sim_renameat(int olddir, const char *old, int newdir, const char *new)
{
	int error;

	lock_take(&simfs.lck);
	if ((error = enter(FAULT_RENAMEAT)) == 0)
		error = rename_paths(olddir, old, newdir, new);
	simfs_note("rename %s %s (%d)", old, new, error);
	return (leave(0, error));
}

static int
link_paths(int olddir, const char *old, int newdir, const char *new)
{
	char oldword[SIMFS_NAME], newword[SIMFS_NAME];
	struct inode *from, *to, *n;
	int error;

	if ((from = walk(olddir, old, oldword, &error)) == NULL ||
	    (to = walk(newdir, new, newword, &error)) == NULL)
		return (error);
	if ((n = names_find(&from->names, oldword)) == NULL)
		return (ENOENT);
	if (n->is_dir)
		return (EPERM);
	if (find(to, newword) != NULL)
		return (EEXIST);
	dir_set(to, newword, n);
	return (0);
}

static int
sim_linkat(int olddir, const char *old, int newdir, const char *new,
    int flags)
{
	int error;

	(void)flags;
	lock_take(&simfs.lck);
	if ((error = enter(FAULT_LINKAT)) == 0)
		error = link_paths(olddir, old, newdir, new);
	simfs_note("link %s %s (%d)", old, new, error);
	return (leave(0, error));
}

static int
unlink_path(int dirfd, const char *path, int flags)
{
	char word[SIMFS_NAME];
	struct inode *dir, *n;
	int error;

	if ((dir = walk(dirfd, path, word, &error)) == NULL)
		return (error);
	if ((n = names_find(&dir->names, word)) == NULL)
		return (ENOENT);
	if (((flags & AT_REMOVEDIR) != 0) != n->is_dir)
		return (n->is_dir ? EISDIR : ENOTDIR);
	if (n->is_dir && !TAILQ_EMPTY(&n->names))
		return (ENOTEMPTY);
	dir_set(dir, word, NULL);
	return (0);
}

static int
sim_unlinkat(int dirfd, const char *path, int flags)
{
	int error;

	lock_take(&simfs.lck);
	if ((error = enter(FAULT_UNLINKAT)) == 0)
		error = unlink_path(dirfd, path, flags);
	simfs_note("unlink %s (%d)", path, error);
	return (leave(0, error));
}

static int
sim_mkdirat(int dirfd, const char *path, mode_t mode)
{
	char word[SIMFS_NAME];
	struct inode *dir;
	int error;

	(void)mode;
	lock_take(&simfs.lck);
	if ((error = enter(FAULT_MKDIRAT)) == 0 &&
	    (dir = walk(dirfd, path, word, &error)) != NULL) {
		if (find(dir, word) != NULL)
			error = EEXIST;
		else
			dir_set(dir, word, inode_new(true, word));
	}
	simfs_note("mkdir %s (%d)", path, error);
	return (leave(0, error));
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
	st->st_blksize = BLOCK;
}

static int
sim_fstat(int fd, struct stat *st)
{
	int error;

	lock_take(&simfs.lck);
	if ((error = enter(FAULT_FSTAT)) == 0)
		fill_stat(file_of(fd)->inode, st);
	return (leave(0, error));
}

static int
sim_fstatat(int dirfd, const char *path, struct stat *st, int flags)
{
	char word[SIMFS_NAME];
	struct inode *dir, *n;
	int error;

	(void)flags;
	lock_take(&simfs.lck);
	if ((error = enter(FAULT_FSTATAT)) == 0 &&
	    (dir = walk(dirfd, path, word, &error)) != NULL) {
		if ((n = find(dir, word)) == NULL)
			error = ENOENT;
		else
			fill_stat(n, st);
	}
	return (leave(0, error));
}

static int
sim_fstatvfs(int fd, struct statvfs *st)
{
	size_t all;
	int error;

	lock_take(&simfs.lck);
	if ((error = enter(FAULT_FSTATVFS)) == 0) {
		(void)file_of(fd);
		all = simfs.limit != 0 ? simfs.limit : (size_t)1 << 40;
		memset(st, 0, sizeof(*st));
		st->f_bsize = st->f_frsize = BLOCK;
		st->f_blocks = all / BLOCK;
		all -= used() < all ? used() : all;
		st->f_bfree = st->f_bavail = all / BLOCK;
		st->f_files = st->f_ffree = st->f_favail = 1 << 20;
		st->f_namemax = SIMFS_NAME - 1;
	}
	return (leave(0, error));
}

/* Owners and times are not kept. */
static int
sim_fchown(int fd, uid_t owner, gid_t group)
{
	int error;

	(void)owner;
	(void)group;
	lock_take(&simfs.lck);
	if ((error = enter(FAULT_FCHOWN)) == 0)
		(void)file_of(fd);
	return (leave(0, error));
}

static int
sim_futimens(int fd, const struct timespec times[2])
{
	int error;

	(void)times;
	lock_take(&simfs.lck);
	if ((error = enter(FAULT_FUTIMENS)) == 0)
		(void)file_of(fd);
	return (leave(0, error));
}

/* --- listings ----------------------------------------------------------- */

/* What a DIR points to here: the names as they were when it was opened. */
struct listing {
	int		 fd;
	struct dirent	 entry;
	size_t		 at;
	size_t		 n;
	char		 (*names)[SIMFS_NAME];
};

static DIR *
sim_fdopendir(int fd)
{
	struct listing *l = NULL;
	struct inode *dir;
	struct name *e;
	size_t n = 2;
	int error;

	lock_take(&simfs.lck);
	if ((error = enter(FAULT_FDOPENDIR)) == 0) {
		dir = file_of(fd)->inode;
		TAILQ_FOREACH(e, &dir->names, entry)
			n++;
		l = simfs_alloc(NULL, sizeof(*l));
		memset(l, 0, sizeof(*l));
		l->names = simfs_alloc(NULL, n * sizeof(*l->names));
		l->fd = fd;
		strlcpy(l->names[l->n++], ".", SIMFS_NAME);
		strlcpy(l->names[l->n++], "..", SIMFS_NAME);
		TAILQ_FOREACH(e, &dir->names, entry)
			strlcpy(l->names[l->n++], e->name, SIMFS_NAME);
	}
	(void)leave(0, error);
	return ((DIR *)l);
}

static struct dirent *
sim_readdir(DIR *dir)
{
	struct listing *l = (struct listing *)dir;
	int error;

	lock_take(&simfs.lck);
	error = enter(FAULT_READDIR);
	(void)leave(0, error);
	if (error != 0 || l->at == l->n)
		return (NULL);
	strlcpy(l->entry.d_name, l->names[l->at++], sizeof(l->entry.d_name));
	return (&l->entry);
}

static int
sim_closedir(DIR *dir)
{
	struct listing *l = (struct listing *)dir;
	int error;

	lock_take(&simfs.lck);
	error = enter(FAULT_CLOSEDIR);
	if (!simfs.is_stopped)
		close_file(file_of(l->fd));
	free(l->names);
	free(l);
	return (leave(0, error));
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
