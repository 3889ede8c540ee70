#ifndef STRAY_H
#define STRAY_H

#include <stdbool.h>
#include <stddef.h>

#include "store.h"

/*
 * Names that nothing of rememberd has where they stand: they are left alone,
 * and noted as odd (problem.h).  What is temporary, or of the file system
 * (lost+found), is none.
 */
void	 stray_note(struct store *, const char *folder, const char *name);

/* Note those in the store's own folder.  Blocks. */
void	 stray_tell(struct store *);

/*
 * Is the name in tenants/ that of a tenant?  It is if anything of one stands
 * in a folder of that name, or what was its tenant.json in quarantine/.  What
 * cannot be looked at is taken for one.  Blocks.
 */
bool	 stray_is_tenant(struct store *, const char *name);

#endif /* !STRAY_H */
