#ifndef ITEM_CHECK_H
#define ITEM_CHECK_H

#include <stdbool.h>

#include <jansson.h>

#include "reply.h"

/*
 * The types of items, one row each: what an item must hold, and what the
 * store completes.  A type that has no row is stored as it came, if its name
 * has the form [a-z][a-z0-9_.:-]{0,63}: new types appear every few months.
 */
struct item_type {
	const char	*name;		/* "" in the row of unknown types */
	const char	*prefix;	/* of ids that are minted */
	bool		 has_status;	/* "completed" is filled in */
};

/*
 * Check one item, whose place in the request is path ("items[3]").  Returns
 * its row, or NULL after an error reply with the first wrong field's path.
 * An item_reference has no row here: the caller takes it out before.
 */
const struct item_type	*item_check(const json_t *item, const char *path,
			    struct reply *);

/* Is it {"type":"item_reference",...}? */
bool	 item_is_reference(const json_t *item);
/* Check that it names a well-formed id; false after an error reply. */
bool	 item_check_reference(const json_t *item, const char *path,
	    struct reply *);

#endif /* !ITEM_CHECK_H */
