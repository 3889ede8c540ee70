#ifndef BACKUP_INTERNAL_H
#define BACKUP_INTERNAL_H

#include "backup.h"

/* What backup.c has for backup_aside.c, too. */

/* Open a folder to be read; a descriptor, or -1 with errno set. */
int	 backup_open(int dirfd, const char *name);

/* Is what is open as fd, by the name from, a store?  0, or -1 after logging
 * why not. */
int	 backup_check_source(int fd, const char *from);

/*
 * Is path what is open as dir, or below it, by whatever links and mounts it is
 * reached?  1, 0, or -1 with errno set.
 */
int	 backup_is_within(const char *path, int dir);

#endif /* !BACKUP_INTERNAL_H */
