#ifndef OUTPUT_H
#define OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

#include "query.h"
#include "store/buf.h"
#include "store/store.h"

/*
 * C structs to the JSON shapes of API.md.  All append to a buf, which is
 * asked once, at the end, whether it all fitted.
 */

/* The Conversation object. */
void	 output_conversation(struct buf *, const struct conversation_view *);
void	 output_conversation_deleted(struct buf *, const char *id);

/* One item; has_times adds created_at, created_at_ms and position, but not
 * in the place of a member of that name that the client sent. */
void	 output_item(struct buf *, const struct item *, bool has_times);

/* The list objects. */
void	 output_items(struct buf *, struct item *const *, size_t n,
	    bool has_more, bool has_times);
void	 output_conversations(struct buf *, const struct list_page *,
	    enum store_sort);

#endif /* !OUTPUT_H */
