#ifndef ARENA_H
#define ARENA_H

#include <stddef.h>

/*
 * The memory of one request: many small allocations, freed whole.  One
 * thread at a time.
 */
struct arena;

/* Returns a new arena, or NULL. */
struct arena	*arena_new(void);
/* Give all of it back; NULL is allowed. */
void		 arena_free(struct arena *);
/* Forget everything but keep the first block for the next request. */
void		 arena_reset(struct arena *);
/* n bytes, aligned for any type, not cleared; NULL for want of memory. */
void		*arena_alloc(struct arena *, size_t n);
/* A copy of len bytes with a NUL behind them; NULL for want of memory. */
char		*arena_copy(struct arena *, const void *, size_t len);

#endif /* !ARENA_H */
