#ifndef LOAD_H
#define LOAD_H

#include <stdint.h>

#include "store.h"
#include "tenant.h"

/*
 * Bring a tenant's documents into memory, up to that level.  *lsn_r is set to
 * the highest lsn found in them.  A damaged document is set aside under
 * quarantine/ and its conversation answers STORE_DAMAGED; a damaged
 * tenant.json makes the tenant answer so.  Returns STORE_OK, STORE_DAMAGED,
 * STORE_NOMEM, or STORE_SICK if something could not be read (logged; nothing
 * changed, try again).  Blocks; several threads may ask at once.
 */
enum store_err	 load_tenant(struct tenant *, enum tenant_level,
		    uint64_t *lsn_r);

/*
 * Move a file into quarantine/ with a .why beside it; logged.  label says
 * where it stood, such as "acme.conv_1.json".  If it cannot be moved it stays
 * where it is.
 */
void		 load_quarantine(struct store *, int dirfd, const char *name,
		    const char *label, const char *why);

#endif /* !LOAD_H */
