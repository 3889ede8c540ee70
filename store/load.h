#ifndef LOAD_H
#define LOAD_H

#include <stdint.h>

#include "quarantine.h"
#include "store.h"
#include "tenant.h"

/*
 * Bring a tenant's documents into memory, up to that level.  *lsn_r is set to
 * the highest lsn found in them; the journal's counter is raised above it
 * before anybody finds them.  A damaged or unreadable document is set aside
 * under quarantine/ and its conversation answers STORE_DAMAGED, now and after
 * each start; so does a tenant for its tenant.json, but its conversations are
 * loaded.  One of a later format (STORE_NEWER), or that may not be read for
 * want of a right, stays where it is and is not written over.  Of a store that
 * is read only all that is noted instead, unreadable files and folders too
 * (problem.h).  Returns STORE_OK, STORE_DAMAGED or STORE_NEWER (the tenant),
 * STORE_NOMEM, or
 * STORE_SICK if something could not be read now (logged; nothing changed, try
 * again).  Blocks; several threads may ask at once.
 */
enum store_err	 load_tenant(struct tenant *, enum tenant_level,
		    uint64_t *lsn_r);

/* Open a folder of the tenant's, "." being its own.  Returns its descriptor,
 * or -1 with errno set, ENOENT if it is not there. */
int		 load_folder(const struct tenant *, const char *sub);

/* What quarantine/ calls a file of the tenant's conversations/. */
void		 load_label(const struct tenant *, const char *name,
		    char label[QUARANTINE_LABEL]);

/*
 * A conversation that holds nothing but says that it is damaged, not yet to be
 * found (new), or NULL.
 */
struct conversation	*load_stand_in(struct tenant *, const char *id);

/* Remove the temporary files that a crash left in a folder of the store. */
void		 load_clean(struct store *, int dirfd);

#endif /* !LOAD_H */
