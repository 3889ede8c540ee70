#include <errno.h>
#include <string.h>

#include "tests/simfs_internal.h"

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

ssize_t
sim_read(int fd, void *buf, size_t len)
{
	struct open_file *f;
	ssize_t n = -1;
	int error;

	lock_take(&simfs.lck);
	if ((error = simfs_enter(FAULT_READ)) == 0 || error == SIMFS_SHORT) {
		f = simfs_file(fd);
		n = read_at(f, buf, len, f->pos, &error);
		if (n > 0)
			f->pos += (size_t)n;
	}
	return (simfs_leave((int)n, error));
}

ssize_t
sim_pread(int fd, void *buf, size_t len, off_t off)
{
	ssize_t n = -1;
	int error;

	lock_take(&simfs.lck);
	if ((error = simfs_enter(FAULT_PREAD)) == 0 || error == SIMFS_SHORT)
		n = read_at(simfs_file(fd), buf, len, (size_t)off, &error);
	return (simfs_leave((int)n, error));
}

size_t
simfs_used(void)
{
	struct inode *n;
	size_t all = 0;

	TAILQ_FOREACH(n, &simfs.inodes, entry)
		if (n->nlink > 0 || n->nopen > 0)
			all += (n->cache.len + SIMFS_BLOCK - 1) / SIMFS_BLOCK * SIMFS_BLOCK;
	return (all);
}

/* How much of len bytes at off has room, in whole blocks. */
static size_t
room(const struct inode *n, size_t off, size_t len)
{
	size_t has = (n->cache.len + SIMFS_BLOCK - 1) / SIMFS_BLOCK * SIMFS_BLOCK, all;

	if (simfs.limit == 0 || off + len <= has)
		return (len);
	all = simfs_used();
	has += all < simfs.limit ? (simfs.limit - all) / SIMFS_BLOCK * SIMFS_BLOCK : 0;
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

ssize_t
sim_write(int fd, const void *buf, size_t len)
{
	struct open_file *f;
	ssize_t n = -1;
	int error;

	lock_take(&simfs.lck);
	error = simfs_enter(FAULT_WRITE);
	if (!simfs.is_stopped) {
		f = simfs_file(fd);
		n = write_at(f, buf, len, f->pos, &error);
		if (n > 0)
			f->pos += (size_t)n;
		simfs_note("write %s %zu = %zd (%d)", f->inode->label, len, n,
		    error);
	}
	return (simfs_leave((int)n, error));
}

ssize_t
sim_pwritev(int fd, const struct iovec *iov, int iovcnt, off_t off)
{
	struct open_file *f;
	ssize_t n, done = 0;
	bool is_planted;
	int i, error;

	lock_take(&simfs.lck);
	error = simfs_enter(FAULT_PWRITEV);
	if (simfs.is_stopped)
		return (simfs_leave(-1, error));
	is_planted = error != 0;
	f = simfs_file(fd);
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
	return (simfs_leave((int)done, error));
}

int
sim_ftruncate(int fd, off_t len)
{
	struct inode *n;
	int error;

	lock_take(&simfs.lck);
	if ((error = simfs_enter(FAULT_FTRUNCATE)) == 0) {
		n = simfs_file(fd)->inode;
		bytes_size(&n->cache, (size_t)len);
		n->is_same = false;
	}
	return (simfs_leave(0, error));
}

static int
sync_inode(int fd, enum fault_call call, const char *what)
{
	struct inode *n;
	int error;

	lock_take(&simfs.lck);
	error = simfs_enter(call);
	if (simfs.is_stopped)
		return (simfs_leave(-1, error));
	n = simfs_file(fd)->inode;
	if (error == 0)
		inode_sync(n);
	else
		inode_sync_failed(n);
	simfs_note("%s %s (%d)", what, n->label, error);
	return (simfs_leave(0, error));
}

int
sim_fsync(int fd)
{
	return (sync_inode(fd, FAULT_FSYNC, "fsync"));
}

int
sim_fdatasync(int fd)
{
	return (sync_inode(fd, FAULT_FDATASYNC, "fdatasync"));
}
