#ifndef RECOVER_H
#define RECOVER_H

#include "store.h"

/*
 * Bring a store forward from its documents by its journal, and open the
 * journal for what comes:
 *
 *	names of tenants > each segment in order > each record: load its
 *	tenant, skip what the document holds, apply the rest, mark it dirty
 *	> fresh segment > the last batch again under the same lsns, synced
 *
 * What no later batch vouches for may stand in the page cache only, so it is
 * written again before anything is served.
 *
 * The store's folders are open and its flush is made, not started.  Returns
 * 0, or -1 after logging why.  Blocks.
 */
int	 recover(struct store *);

#endif /* !RECOVER_H */
