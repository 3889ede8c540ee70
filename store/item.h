#ifndef ITEM_H
#define ITEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * One stored item: its bytes as they go out, counted references.  Immutable
 * once it stands in a conversation, so that readers hold it without a lock
 * while it is written to a socket or a document.
 */
struct item {
	uint64_t	 lsn;		/* of the change that brought it */
	uint64_t	 position;	/* in its conversation, from 1 up */
	int64_t		 at;		/* ms since the epoch */
	const char	*id;		/* NUL-terminated, in the same memory */
	const char	*json;		/* one JSON object, no white space */
	size_t		 len;		/* of json */
};

/*
 * Copy len bytes of one JSON object in normal form (minified, id, status and
 * content completed) with its id.  Returns a new reference, or NULL for want
 * of memory.  lsn, position and at are set when a change is applied.
 */
struct item	*item_new(const char *id, const char *json, size_t len);
/* One more reference; any thread, no lock. */
struct item	*item_ref(struct item *);
/* Give one back; the last frees.  NULL is allowed. */
void		 item_unref(struct item *);

#endif /* !ITEM_H */
