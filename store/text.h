#ifndef TEXT_H
#define TEXT_H

#include <stddef.h>

#include "buf.h"
#include "jsonscan.h"

/* A run of bytes on the heap; NULs allowed.  p NULL: none. */
struct text {
	char	*p;
	size_t	 len;
};

/* A copy; p NULL for want of memory, never for len 0. */
struct text	 text_new(const char *p, size_t len);
/* Free, and take what next holds. */
void		 text_replace(struct text *, struct text next);

/* Append ,"name": and the text as a JSON string, or null for none. */
void		 text_encode(const struct text *, const char *name,
		    struct buf *);
/*
 * The string, or null for none, into *t; what t held is freed.  Returns 1, 0
 * if value is neither, -1 for want of memory; then t holds none.
 */
int		 text_decode(struct span value, struct text *t);

#endif /* !TEXT_H */
