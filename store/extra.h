#ifndef EXTRA_H
#define EXTRA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "text.h"

/*
 * What a later rememberd of the same format wrote into a document of a
 * conversation, or of once/, and this one does not know: kept as text and
 * written again.  Most have none and cost a pointer; an item that has none
 * costs nothing.
 */
struct extra;

/*
 * Keep rest (members with a comma before each, see member.h): of the head, or
 * of the entry at that position, in rising order.  *e_r NULL: one is made.
 * An empty rest is nothing to keep.  False for want of memory.
 */
bool	 extra_keep_head(struct extra **e_r, const struct buf *rest);
bool	 extra_keep_entry(struct extra **e_r, uint64_t position,
	    const struct buf *rest);
/* The same of the file of once/ for that hour, instead of what was kept. */
bool	 extra_keep_hour(struct extra **e_r, int64_t hour,
	    const struct buf *rest);
/* Append what is kept; e may be NULL. */
void	 extra_add_head(const struct extra *, struct buf *);
void	 extra_add_entry(const struct extra *, uint64_t position,
	    struct buf *);
/* Of the hours that begin in [from, until). */
void	 extra_add_hours(const struct extra *, int64_t from, int64_t until,
	    struct buf *);
void	 extra_free(struct extra *);

#endif /* !EXTRA_H */
