#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"

/* The first block of an arena: most requests never need another. */
#define FIRST_BLOCK	4096
#define LARGEST_BLOCK	65536

struct block {
	struct block	*next;		/* the one before it in time */
	size_t		 size;		/* of data */
	size_t		 used;
	alignas(max_align_t) char data[];
};

struct arena {
	struct block	*top;		/* allocations come from here */
	struct block	*first;		/* stays over arena_reset */
};

static struct block *
block_new(size_t size)
{
	struct block *b;

	if (size > SIZE_MAX - sizeof(*b))
		return (NULL);
	if ((b = malloc(sizeof(*b) + size)) == NULL)
		return (NULL);
	b->next = NULL;
	b->size = size;
	b->used = 0;
	return (b);
}

struct arena *
arena_new(void)
{
	struct arena *a;

	if ((a = malloc(sizeof(*a))) == NULL)
		return (NULL);
	if ((a->first = block_new(FIRST_BLOCK)) == NULL) {
		free(a);
		return (NULL);
	}
	a->top = a->first;
	return (a);
}

void
arena_reset(struct arena *a)
{
	struct block *b;

	while ((b = a->top) != a->first) {
		a->top = b->next;
		free(b);
	}
	a->first->used = 0;
}

void
arena_free(struct arena *a)
{
	if (a == NULL)
		return;
	arena_reset(a);
	free(a->first);
	free(a);
}

/* Put a block with room for n bytes on top. */
static struct block *
arena_grow(struct arena *a, size_t n)
{
	struct block *b;
	size_t size = a->top->size * 2;

	if (size > LARGEST_BLOCK)
		size = LARGEST_BLOCK;
	if (size < n)
		size = n;
	if ((b = block_new(size)) == NULL)
		return (NULL);
	b->next = a->top;
	a->top = b;
	return (b);
}

void *
arena_alloc(struct arena *a, size_t n)
{
	const size_t align = alignof(max_align_t);
	struct block *b = a->top;
	void *p;

	if (n > SIZE_MAX - align)
		return (NULL);
	n = (n + align - 1) / align * align;
	if (b->size - b->used < n && (b = arena_grow(a, n)) == NULL)
		return (NULL);
	p = b->data + b->used;
	b->used += n;
	return (p);
}

char *
arena_copy(struct arena *a, const void *bytes, size_t len)
{
	char *p;

	if (len == SIZE_MAX || (p = arena_alloc(a, len + 1)) == NULL)
		return (NULL);
	if (len > 0)
		memcpy(p, bytes, len);
	p[len] = '\0';
	return (p);
}
