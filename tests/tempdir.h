#ifndef TEMPDIR_H
#define TEMPDIR_H

#include <sys/types.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * A folder of its own for a test in C, for programs that want one at a time.
 *
 *	int dir = tempdir_open();
 *	...
 *	tempdir_close(dir);		removes the files in it
 */
static char tempdir_path[64];

static inline int
tempdir_open(void)
{
	strcpy(tempdir_path, "/tmp/rememberd-test-XXXXXX");
	if (mkdtemp(tempdir_path) == NULL)
		abort();
	return (open(tempdir_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

/* How many entries does the folder have, "." and ".." left out? */
static inline int
tempdir_count(int dirfd)
{
	DIR *d = fdopendir(openat(dirfd, ".", O_RDONLY | O_DIRECTORY));
	int n = 0;

	if (d == NULL)
		abort();
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return (n - 2);
}

/* Remove the files in the folder, empty folders too. */
static inline void
tempdir_empty(int dirfd)
{
	DIR *d = fdopendir(openat(dirfd, ".", O_RDONLY | O_DIRECTORY));
	struct dirent *e;

	if (d == NULL)
		abort();
	while ((e = readdir(d)) != NULL) {
		if (unlinkat(dirfd, e->d_name, 0) == -1)
			(void)unlinkat(dirfd, e->d_name, AT_REMOVEDIR);
	}
	closedir(d);
}

static inline void
tempdir_close(int dirfd)
{
	tempdir_empty(dirfd);
	close(dirfd);
	rmdir(tempdir_path);
}

/* Listen on a socket in the folder; its path goes into path_r. */
static inline int
tempdir_listen(const char *name, char path_r[108])
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	snprintf(path_r, 108, "%s/%s", tempdir_path, name);
	strcpy(sun.sun_path, path_r);
	if (bind(fd, (struct sockaddr *)&sun, sizeof(sun)) == -1 ||
	    listen(fd, 100) == -1)
		abort();
	return (fd);
}

/* The lowest descriptor that is free: the same again if none leaked. */
static inline int
tempdir_free_fd(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	close(fd);
	return (fd);
}

#endif /* !TEMPDIR_H */
