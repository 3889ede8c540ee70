#ifndef ITEMS_H
#define ITEMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "item.h"

/*
 * The items of one conversation: in order of position, and found by id.
 * Belongs to its conversation and is used under that lock.
 *
 * Invariants:
 *	1. v[0 .. n) rises strictly in position; all are below next_position.
 *	2. slots is NULL, or holds each of v once, by open addressing on the
 *	   id, in a table of nslots (a power of two) at most half full.
 *	3. bytes is the sum of the len of all of v.
 */
struct items {
	struct item	**v;		/* references */
	size_t		 n;
	size_t		 size;
	struct item	**slots;
	size_t		 nslots;
	uint64_t	 next_position;	/* from 1 */
	uint64_t	 bytes;
};

void	 items_init(struct items *);
/* Give back all references and the memory. */
void	 items_fini(struct items *);

/* Make room for more items, so that as many items_add cannot fail. */
bool	 items_reserve(struct items *, size_t more);
/*
 * Add one at the end, its position set to position, or to the next if that
 * is 0; a position must not be below next_position.  Room was reserved.
 * Steals the reference.
 */
void	 items_add(struct items *, struct item *, uint64_t position);
/* The item of that id (borrowed), or NULL. */
struct item	*items_find(const struct items *, const char *id);
/* Where in v the item stands; it must be there. */
size_t	 items_index(const struct items *, const struct item *);
/* Take it out and give back the reference. */
void	 items_remove(struct items *, struct item *);

#endif /* !ITEMS_H */
