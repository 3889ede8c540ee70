#ifndef METADATA_H
#define METADATA_H

#include <stdbool.h>

#include "conversation.h"
#include "jsonscan.h"
#include "store.h"

/* What the metadata of a conversation means: a JSON object of strings. */
#define METADATA_MAX	16		/* pairs; API.md 1.1 */

/*
 * Merge a patch into old: a null removes its key.  STORE_OK with *merged_r
 * (new), STORE_METADATA_LIMIT or STORE_NOMEM.
 */
enum store_err	 metadata_merge(const struct text *old, struct span patch,
		    struct text *merged_r);

/* Does it hold every pair that the query asks for?  STORE_OK with *yes_r, or
 * STORE_NOMEM. */
enum store_err	 metadata_matches(const struct text *,
		    const struct list_query *, bool *yes_r);

#endif /* !METADATA_H */
