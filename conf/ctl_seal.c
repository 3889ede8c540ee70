#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bsd/err.h>
#include <bsd/string.h>

#include "fcgi/client.h"
#include "store/document.h"
#include "store/id.h"

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

/* Cut off the last name of path, and return it. */
static const char *
cut_name(char *path)
{
	size_t len = strlen(path);
	char *slash;

	while (len > 1 && path[len - 1] == '/')
		path[--len] = '\0';
	if ((slash = strrchr(path, '/')) == NULL)
		return ("");
	*slash = '\0';
	return (slash + 1);
}

/* The tenant in whose folder, by these names, folder is; false if in none. */
static bool
name_tenant(const char *folder, char tenant[TENANT_NAME_MAX + 1])
{
	char path[PATH_MAX];
	const char *name;

	if (strlcpy(path, folder, sizeof(path)) >= sizeof(path))
		return (false);
	name = cut_name(path);
	if (strcmp(name, "conversations") == 0 || strcmp(name, "once") == 0)
		name = cut_name(path);
	return (id_is_tenant(name, strlen(name)) &&
	    strlcpy(tenant, name, TENANT_NAME_MAX + 1) <= TENANT_NAME_MAX &&
	    strcmp(cut_name(path), "tenants") == 0);
}

/* As it was named, for a tenant's folder may be a link; else as it is. */
static bool
find_tenant(const char *folder, char tenant[TENANT_NAME_MAX + 1])
{
	char real[PATH_MAX];

	return (name_tenant(folder, tenant) ||
	    (realpath(folder, real) != NULL && name_tenant(real, tenant)));
}

/*
 * Seal it as its owner, so that the file that takes its place is the
 * daemon's, too.
 */
static int
seal_as(const struct stat *st, int dirfd, const char *name,
    const char *tenant, char why[DOCUMENT_WHY])
{
	const bool is_other = geteuid() == 0 && st->st_uid != 0;
	int rc;

	if (is_other && (setegid(st->st_gid) == -1 ||
	    seteuid(st->st_uid) == -1))
		err(EXIT_FAILURE, "%s: become its owner", name);
	rc = document_seal(dirfd, name, tenant, why);
	if (rc == 0 && fchmodat(dirfd, name, st->st_mode & 0777, 0) == -1)
		warn("%s: keep its mode", name);
	if (is_other && (seteuid(0) == -1 || setegid(getgid()) == -1))
		err(EXIT_FAILURE, "%s: become root again", name);
	return (rc);
}

int
ctl_seal(const struct ctl_args *args, const struct conf *conf)
{
	char why[DOCUMENT_WHY], tenant[TENANT_NAME_MAX + 1];
	const char *path = args->words[0];
	char *copy = strdup(path), *last = strdup(path), *folder;
	struct stat st;
	int fd, rc = -1;

	if (copy == NULL || last == NULL)
		err(EXIT_FAILURE, "%s", path);
	folder = dirname(copy);
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1 || fstatat(fd, basename(last), &st,
	    AT_SYMLINK_NOFOLLOW) == -1)
		warn("%s", path);
	else {
		warn_of_daemon(conf, path);
		rc = seal_as(&st, fd, basename(last), find_tenant(folder,
		    tenant) ? tenant : NULL, why);
		if (rc == -1)
			warnx("%s: %s", path, why);
	}
	if (fd != -1)
		close(fd);
	free(copy);
	free(last);
	return (rc == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
}
