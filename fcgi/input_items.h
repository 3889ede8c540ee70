#ifndef INPUT_ITEMS_H
#define INPUT_ITEMS_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "reply.h"
#include "request.h"
#include "store/item.h"

/*
 * The items of a request, checked and in normal form:
 *
 *	id		minted where there is none, or null
 *	type		"message" where there is none
 *	status		"completed" where the type has one and none was sent
 *	content		of a message, sent as a string: a list of one part
 *
 * Completed members stand in front; every other byte is the client's own,
 * without the white space between tokens, in the client's order.
 */
struct input_items {
	struct item	**items;	/* references */
	bool		 *is_minted;	/* per item: the id is from us */
	size_t		  n;
	/* Items that only name a stored one, in order; in the arena. */
	const char	**references;
	size_t		  nreferences;
};

/* Empty; input_items_fini may follow at any time. */
void	 input_items_init(struct input_items *);
/* Give back the references. */
void	 input_items_fini(struct input_items *);

/*
 * Take the array that body has as member name, if it has one, is not null
 * and (is_required) must be there with at least one element.  The request's
 * body holds its bytes.  Returns false after an error reply: nothing is
 * half taken.  413 for an item over max_item, 400 for more than
 * max_items_per_request or the same id twice.
 */
bool	 input_items(const struct request *, const json_t *body,
	    const char *name, bool is_required, struct input_items *,
	    struct reply *);

/* One message of the user whose text is a JSON string's bytes (quoted). */
bool	 input_items_text(const struct request *, struct span text,
	    struct input_items *, struct reply *);

#endif /* !INPUT_ITEMS_H */
