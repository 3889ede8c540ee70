#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>

#include "id.h"
#include "sys.h"

#include "atomicfile.h"

/* The prefix, 16 hex digits, NUL. */
#define TEMPORARY_SIZE	(sizeof(ATOMICFILE_PREFIX) + 16)

/*
 * A name of its own for every try: two threads may write the same file, and
 * what a crash left must not be in the way.
 */
static void
temporary_name(char *buf)
{
	memcpy(buf, ATOMICFILE_PREFIX, sizeof(ATOMICFILE_PREFIX) - 1);
	id_mint_short(buf + sizeof(ATOMICFILE_PREFIX) - 1);
}

int
atomicfile_put(int dirfd, const char *name, const void *buf, size_t len)
{
	char tmp[TEMPORARY_SIZE];
	int fd, error;

	temporary_name(tmp);
	fd = sys->openat(dirfd, tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
	    0600);
	if (fd == -1)
		return (-1);
	if (sys_writeall(fd, buf, len) == -1)
		goto fail_open;

	/* The bytes first: a crash must not find the name without them. */
	if (sys->fsync(fd) == -1)
		goto fail_open;
	/* Once only, even on EINTR: the number may be another thread's now. */
	if (sys->close(fd) == -1 && errno != EINTR)
		goto fail_closed;
	if (sys->renameat(dirfd, tmp, dirfd, name) == -1)
		goto fail_closed;
	return (0);

fail_open:
	error = errno;
	sys->close(fd);
	errno = error;
fail_closed:
	/* Never synced again: after a failed fsync that proves nothing. */
	error = errno;
	sys->unlinkat(dirfd, tmp, 0);
	errno = error;
	return (-1);
}

int
atomicfile_sync(int dirfd)
{
	return (sys->fsync(dirfd));
}

int
atomicfile_sync_parent(const char *path)
{
	char *copy;
	int fd, rc, error;

	if ((copy = strdup(path)) == NULL)
		return (-1);
	fd = sys->openat(AT_FDCWD, dirname(copy), O_RDONLY | O_DIRECTORY |
	    O_CLOEXEC, 0);
	free(copy);
	if (fd == -1)
		return (-1);
	rc = atomicfile_sync(fd);
	error = errno;
	(void)sys->close(fd);
	errno = error;
	return (rc);
}

int
atomicfile_write(int dirfd, const char *name, const void *buf, size_t len)
{
	if (atomicfile_put(dirfd, name, buf, len) == -1)
		return (-1);

	/* Without this the old name can come back after a power cut. */
	return (atomicfile_sync(dirfd));
}

bool
atomicfile_is_temporary(const char *name)
{
	return (strncmp(name, ATOMICFILE_PREFIX,
	    sizeof(ATOMICFILE_PREFIX) - 1) == 0);
}
