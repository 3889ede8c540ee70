#ifndef MEMBER_H
#define MEMBER_H

#include <stdbool.h>
#include <stddef.h>

#include "buf.h"
#include "jsonscan.h"

/*
 * The members of a JSON object that are known here, in any order, and the
 * rest: what a later rememberd of the same format wrote beside them, which is
 * kept as text and written again.
 *
 *	struct member v[] = { { "id" }, { "lsn" } };
 *
 *	member_split(object, v, 2, &rest);
 *	if (v[1].value.p == NULL)
 *		... there is no "lsn"
 */
struct member {
	const char	*name;
	struct span	 value;		/* p NULL: not there */
};

/*
 * Fill in the values of the n members at v, the first of each name.  What has
 * none of the names is appended to rest (NULL: left out) as ,"name":value
 * without white space.  Ask buf_ok(rest).
 */
void	 member_split(struct span object, struct member *v, size_t n,
	    struct buf *rest);
/* Is it there, and not null? */
bool	 member_is_set(const struct member *);

#endif /* !MEMBER_H */
