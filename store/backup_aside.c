#include <sys/stat.h>

#include <bsd/string.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "backup_internal.h"
#include "log.h"
#include "sys.h"

#define BEFORE		".before"	/* of the name set aside */

int
backup_may_replace(const char *from, const char *store)
{
	int fd, dir, rc = -1;

	if ((fd = backup_open(AT_FDCWD, from)) == -1) {
		log_err("%s", from);
		return (-1);
	}
	if ((dir = backup_open(AT_FDCWD, store)) == -1 && errno != ENOENT)
		log_err("%s", store);
	else if (backup_check_source(fd, from) == 0) {
		rc = dir == -1 ? 0 : backup_is_within(from, dir);
		if (rc == 1)
			log_errx("%s is in the store %s itself", from, store);
		else if (rc == -1)
			log_err("%s", from);
	}
	if (dir != -1)
		(void)sys->close(dir);
	(void)sys->close(fd);
	return (rc == 0 ? 0 : -1);
}

static bool
is_taken(const char *path)
{
	struct stat st;

	return (sys->fstatat(AT_FDCWD, path, &st, AT_SYMLINK_NOFOLLOW) == 0);
}

/* What failed to replace the store of that name gets one beside it, too. */
static void
name_partial(const char *aside, char *partial, size_t size)
{
	const char *at = strrchr(aside, '-');

	(void)snprintf(partial, size, "%.*s.partial%s",
	    (int)(at - aside - (ptrdiff_t)strlen(BEFORE)), aside, at);
}

/*
 * The name that the store at path gets: with the time and, where that is
 * taken, a number.  0, or -1 with errno set.
 */
static int
choose_name(const char *path, char *aside, size_t size)
{
	struct tm tm;
	time_t now = (time_t)(sys_now_ms() / 1000);
	char at[32], nth[16] = "", partial[PATH_MAX];
	unsigned int n = 1;

	if (gmtime_r(&now, &tm) == NULL)
		memset(&tm, 0, sizeof(tm));
	(void)strftime(at, sizeof(at), "-%Y%m%dT%H%M%SZ", &tm);
	do {
		if (n > 1)
			(void)snprintf(nth, sizeof(nth), ".%u", n);
		if ((size_t)snprintf(aside, size, "%s" BEFORE "%s%s", path, at,
		    nth) >= size) {
			errno = ENAMETOOLONG;
			return (-1);
		}
		name_partial(aside, partial, sizeof(partial));
		n++;
	} while (is_taken(aside) || is_taken(partial));
	return (0);
}

int
backup_set_aside(const char *store, char *aside, size_t size)
{
	char path[PATH_MAX];
	size_t len;
	pid_t holder = 0;
	int dir, lock, rc = -1;

	/* The name it gets stands beside its own. */
	if (strlcpy(path, store, sizeof(path)) >= sizeof(path)) {
		errno = ENAMETOOLONG;
		log_err("%s", store);
		return (-1);
	}
	for (len = strlen(path); len > 1 && path[len - 1] == '/'; len--)
		path[len - 1] = '\0';
	if ((dir = backup_open(AT_FDCWD, path)) == -1)
		return (errno == ENOENT ? 0 : -1);
	if ((lock = sys_lockfile(dir, "lock", &holder)) == -1) {
		if (errno == EWOULDBLOCK)
			log_errx("%s is in use by process %d", path,
			    (int)holder);
		else
			log_err("%s/lock", path);
		goto out;
	}
	if (choose_name(path, aside, size) == -1)
		log_err("%s", path);
	else if (sys->renameat(AT_FDCWD, path, AT_FDCWD, aside) == -1)
		log_err("rename %s to %s", path, aside);
	else
		rc = 1;
	(void)sys->close(lock);
out:
	(void)sys->close(dir);
	return (rc);
}

int
backup_put_back(const char *store, const char *aside)
{
	char partial[PATH_MAX];

	/* No daemon may take it. */
	name_partial(aside, partial, sizeof(partial));
	if (sys->renameat(AT_FDCWD, store, AT_FDCWD, partial) == -1 &&
	    errno != ENOENT)
		log_err("rename %s to %s", store, partial);
	else if (sys->renameat(AT_FDCWD, aside, AT_FDCWD, store) == -1)
		log_err("rename %s to %s", aside, store);
	else
		return (0);
	return (-1);
}
