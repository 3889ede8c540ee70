#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bsd/err.h>

#include "fcgi/client.h"
#include "store/document.h"

#include "conf.h"
#include "ctl.h"

#define LOOK_MS		1000

/* Does a daemon answer?  It knows nothing of the edit. */
static void
warn_of_daemon(const struct conf *conf, const char *path)
{
	struct client *client;

	client = client_open(conf->control_socket, LOOK_MS);
	if (client == NULL)
		return;
	client_close(client);
	warnx("a daemon answers on %s: what it has in memory is written over "
	    "%s when that changes", conf->control_socket, path);
}

/*
 * Seal it as its owner, so that the file that takes its place is the
 * daemon's, too.
 */
static int
seal_as(const struct stat *st, int dirfd, const char *name,
    char why[DOCUMENT_WHY])
{
	const bool is_other = geteuid() == 0 && st->st_uid != 0;
	int rc;

	if (is_other && (setegid(st->st_gid) == -1 ||
	    seteuid(st->st_uid) == -1))
		err(EXIT_FAILURE, "%s: become its owner", name);
	rc = document_seal(dirfd, name, why);
	if (rc == 0 && fchmodat(dirfd, name, st->st_mode & 0777, 0) == -1)
		warn("%s: keep its mode", name);
	if (is_other && (seteuid(0) == -1 || setegid(getgid()) == -1))
		err(EXIT_FAILURE, "%s: become root again", name);
	return (rc);
}

int
ctl_seal(const struct ctl_args *args, const struct conf *conf)
{
	char why[DOCUMENT_WHY];
	const char *path = args->words[0];
	char *folder = strdup(path), *last = strdup(path);
	struct stat st;
	int fd, rc = -1;

	if (folder == NULL || last == NULL)
		err(EXIT_FAILURE, "%s", path);
	fd = open(dirname(folder), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1 || fstatat(fd, basename(last), &st,
	    AT_SYMLINK_NOFOLLOW) == -1)
		warn("%s", path);
	else {
		warn_of_daemon(conf, path);
		rc = seal_as(&st, fd, basename(last), why);
		if (rc == -1)
			warnx("%s: %s", path, why);
	}
	if (fd != -1)
		close(fd);
	free(folder);
	free(last);
	return (rc == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
}
