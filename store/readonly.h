#ifndef READONLY_H
#define READONLY_H

#include "store.h"

/*
 * A store that is only read, maybe while a daemon writes to it:
 *
 *	store.json, names > replay > what is wrong in the journal?
 *	     ^                           | something not seen before, or a file
 *	     '---- read it all again ----' that vanished in between
 *
 * What a daemon is about to write looks like damage only while it is written;
 * what stands in two readings is damage.
 *
 * Returns as store_open does.  Blocks.
 */
int	 readonly_open(const struct store_options *, struct store **s_r);

/*
 * sys_eachname for the folder fd of this store.  If that is read only, -1 is
 * a folder that is not there, and the names come in order; each that was
 * there all the while comes, once, whatever is renamed meanwhile.
 */
int	 readonly_each(struct store *, int fd,
	    int (*visit)(const char *name, void *), void *arg);

/*
 * A file could not be read, errno says why.  True if the store is only read,
 * and can be read on without it: it is noted, or vanished.  Keeps errno.
 */
bool	 readonly_passes(struct store *, const char *file, const char *lost);
/* The same of the file that quarantine/ would call label. */
bool	 readonly_passes_label(struct store *, const char *label);

#endif /* !READONLY_H */
