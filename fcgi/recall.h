#ifndef RECALL_H
#define RECALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/buf.h"
#include "store/jsonscan.h"

/*
 * The built-in agent: it answers from what was said in one conversation, by
 * looking for the words of the newest message in the earlier ones and
 * quoting them with their time.  It runs no model and never makes anything
 * up: the same messages get the same answer.
 *
 *	recall_new --> recall_add, newest first --> recall_answer -->
 *	recall_free
 *
 * Work is bounded: RECALL_ITEMS items of RECALL_SCAN bytes together, of which
 * RECALL_TEXT bytes of a message and RECALL_TOTAL bytes of all are searched.
 * What is beyond is older, or longer than anybody says.
 */
struct recall;

#define RECALL_ITEMS	1000
#define RECALL_TEXT	((size_t)32 * 1024)
#define RECALL_TOTAL	((size_t)1024 * 1024)
#define RECALL_SCAN	((size_t)16 * 1024 * 1024)

/* Returns it (new), or NULL. */
struct recall	*recall_new(void);
void		 recall_free(struct recall *);

/* One item, newest first; what is no message is left out.  at is in ms since
 * the epoch.  Returns false for want of memory. */
bool		 recall_add(struct recall *, struct span item, int64_t at);

/*
 * Append the answer, plain UTF-8 text without a NUL, to out.  is_kept: the
 * messages stand in a conversation, so that one may ask for them again.
 */
void		 recall_answer(const struct recall *, bool is_kept,
		    struct buf *out);

/* Words in a message (any item), as recall counts them: its tokens. */
size_t		 recall_item_words(struct span item);

#endif /* !RECALL_H */
