#ifndef IMPORT_H
#define IMPORT_H

#include <bsd/sys/queue.h>

#include <stdbool.h>
#include <stdint.h>

#include "change.h"
#include "conversation.h"
#include "flush.h"
#include "items.h"
#include "record.h"

/*
 * A conversation that comes in as it was exported: it keeps its id, times,
 * user, title, metadata and version, and its items their bytes, times and
 * positions.
 *
 *	small	conversation.import
 *	large	import.part 1 .. n, conversation.import with the rest
 *
 * Nobody sees parts: they wait here until the conversation.import that
 * names them, one change, shows all at once.  So a conversation is imported
 * whole or not at all, wherever a crash comes: parts stand in the journal,
 * which is held from the first one on, and replay gathers them again.  Parts
 * whose end does not come within IMPORT_WAIT_MS are dropped; who imports
 * begins that conversation again at part 1.
 *
 * It takes the place of a deleted or damaged one, and only if it is told to
 * (change.replaces) that of a live one.  Its birth is new, so that no change
 * to what had the id before is ever applied to it.
 */
#define IMPORT_WAIT_MS	(10 * 60 * INT64_C(1000))

/* The parts of one, so far.  All under the tenant's lock. */
struct import {
	TAILQ_ENTRY(import) link;
	bool		 is_listed;	/* with the tenant; else a record's */
	char		 id[ID_SIZE];
	char		 birth[BIRTH_SIZE];	/* tells one try from another */
	uint64_t	 nparts;
	int64_t		 at;		/* ms, of the newest part */
	struct items	 items;
	struct flush_hold hold;		/* from the first part on */
};

/* Free one that is not listed; NULL is allowed. */
void	 import_free(struct import *);
/* Take one off its tenant's list, let the journal go, and free it. */
void	 import_drop(struct tenant *, struct import *);
/* Drop those whose newest part is older than before, ms. */
void	 import_sweep(struct tenant *, int64_t before);
/* Free all, with the tenant. */
void	 import_fini(struct tenant *);

/* The rows of change.h's table.  Both locks held, where there are two. */
enum store_err	 import_check_part(struct change_ctx *);
void		 import_apply_part(struct tenant *, struct conversation *,
		    struct record *);
enum store_err	 import_check(struct change_ctx *);
void		 import_apply(struct tenant *, struct conversation *,
		    struct record *);

/*
 * Find or make what the record's items go to, and room in it for them, for
 * replay (a live check did it already).  1; 0 if the parts before it are not
 * there; -1 for want of memory.
 */
int	 import_reserve(struct tenant *, struct record *);

/*
 * Between flush_enter and flush_leave, the record having its lsn: c (NULL for
 * a part) is dirty from its first part on, and until then the journal is held.
 */
void	 import_mark(struct flush *, struct conversation *c, struct record *);

#endif /* !IMPORT_H */
