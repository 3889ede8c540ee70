#ifndef ATOMICFILE_H
#define ATOMICFILE_H

#include <stdbool.h>
#include <stddef.h>

/* What a temporary file's name begins with; a start removes left-overs. */
#define ATOMICFILE_PREFIX	".tmp-"

/*
 * Replace the file name in dirfd by len bytes at buf: temporary file, write,
 * fsync, rename, fsync of the folder.  Returns 0, or -1 with errno set: then
 * the file holds the old bytes or the new, never a mix, and no temporary
 * file is left.  Blocks on the disk; call without a lock.
 */
int	 atomicfile_write(int dirfd, const char *name, const void *buf,
	    size_t len);

/*
 * The same without the last fsync, for many files in one folder: the caller
 * calls atomicfile_sync(dirfd) once after them, and takes none as replaced
 * before that succeeded.
 */
int	 atomicfile_put(int dirfd, const char *name, const void *buf,
	    size_t len);
int	 atomicfile_sync(int dirfd);

/*
 * Sync the folder that path stands in: a name made in it must not vanish with
 * the power.  Returns 0, or -1 with errno set.  Blocks on the disk.
 */
int	 atomicfile_sync_parent(const char *path);

/* Is it the name of a temporary file of ours? */
bool	 atomicfile_is_temporary(const char *name);

#endif /* !ATOMICFILE_H */
