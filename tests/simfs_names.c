#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include <bsd/string.h>

#include "tests/simfs_internal.h"

static int
rename_paths(int olddir, const char *old, int newdir, const char *new)
{
	char oldword[SIMFS_NAME], newword[SIMFS_NAME];
	struct inode *from, *to, *n, *there;
	int error;

	if ((from = simfs_walk(olddir, old, oldword, &error)) == NULL ||
	    (to = simfs_walk(newdir, new, newword, &error)) == NULL)
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

int
sim_renameat(int olddir, const char *old, int newdir, const char *new)
{
	int error;

	lock_take(&simfs.lck);
	if ((error = simfs_enter(FAULT_RENAMEAT)) == 0)
		error = rename_paths(olddir, old, newdir, new);
	simfs_note("rename %s %s (%d)", old, new, error);
	return (simfs_leave(0, error));
}

static int
link_paths(int olddir, const char *old, int newdir, const char *new)
{
	char oldword[SIMFS_NAME], newword[SIMFS_NAME];
	struct inode *from, *to, *n;
	int error;

	if ((from = simfs_walk(olddir, old, oldword, &error)) == NULL ||
	    (to = simfs_walk(newdir, new, newword, &error)) == NULL)
		return (error);
	if ((n = names_find(&from->names, oldword)) == NULL)
		return (ENOENT);
	if (n->is_dir)
		return (EPERM);
	if (simfs_find(to, newword) != NULL)
		return (EEXIST);
	dir_set(to, newword, n);
	return (0);
}

int
sim_linkat(int olddir, const char *old, int newdir, const char *new,
    int flags)
{
	int error;

	(void)flags;
	lock_take(&simfs.lck);
	if ((error = simfs_enter(FAULT_LINKAT)) == 0)
		error = link_paths(olddir, old, newdir, new);
	simfs_note("link %s %s (%d)", old, new, error);
	return (simfs_leave(0, error));
}

static int
unlink_path(int dirfd, const char *path, int flags)
{
	char word[SIMFS_NAME];
	struct inode *dir, *n;
	int error;

	if ((dir = simfs_walk(dirfd, path, word, &error)) == NULL)
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

int
sim_unlinkat(int dirfd, const char *path, int flags)
{
	int error;

	lock_take(&simfs.lck);
	if ((error = simfs_enter(FAULT_UNLINKAT)) == 0)
		error = unlink_path(dirfd, path, flags);
	simfs_note("unlink %s (%d)", path, error);
	return (simfs_leave(0, error));
}

int
sim_mkdirat(int dirfd, const char *path, mode_t mode)
{
	char word[SIMFS_NAME];
	struct inode *dir;
	int error;

	(void)mode;
	lock_take(&simfs.lck);
	if ((error = simfs_enter(FAULT_MKDIRAT)) == 0 &&
	    (dir = simfs_walk(dirfd, path, word, &error)) != NULL) {
		if (simfs_find(dir, word) != NULL)
			error = EEXIST;
		else
			dir_set(dir, word, inode_new(true, word));
	}
	simfs_note("mkdir %s (%d)", path, error);
	return (simfs_leave(0, error));
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

DIR *
sim_fdopendir(int fd)
{
	struct listing *l = NULL;
	struct inode *dir;
	struct name *e;
	size_t n = 2;
	int error;

	lock_take(&simfs.lck);
	if ((error = simfs_enter(FAULT_FDOPENDIR)) == 0) {
		dir = simfs_file(fd)->inode;
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
	(void)simfs_leave(0, error);
	return ((DIR *)l);
}

struct dirent *
sim_readdir(DIR *dir)
{
	struct listing *l = (struct listing *)dir;
	int error;

	lock_take(&simfs.lck);
	error = simfs_enter(FAULT_READDIR);
	(void)simfs_leave(0, error);
	if (error != 0 || l->at == l->n)
		return (NULL);
	strlcpy(l->entry.d_name, l->names[l->at++], sizeof(l->entry.d_name));
	return (&l->entry);
}

int
sim_closedir(DIR *dir)
{
	struct listing *l = (struct listing *)dir;
	int error;

	lock_take(&simfs.lck);
	error = simfs_enter(FAULT_CLOSEDIR);
	if (!simfs.is_stopped)
		simfs_close(simfs_file(l->fd));
	free(l->names);
	free(l);
	return (simfs_leave(0, error));
}
