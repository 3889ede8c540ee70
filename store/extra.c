#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "extra.h"

struct entry {
	uint64_t	 position;
	struct text	 rest;
};

/* An item that was deleted leaves its entry behind: nobody asks for it. */
struct extra {
	struct text	 head;		/* p NULL: none */
	struct entry	*v;		/* in rising order of position */
	size_t		 n;
	size_t		 size;
};

static bool
extra_make(struct extra **e_r)
{

	if (*e_r == NULL)
		*e_r = calloc(1, sizeof(**e_r));
	return (*e_r != NULL);
}

bool
extra_keep_head(struct extra **e_r, const struct buf *rest)
{

	if (!buf_ok(rest))
		return (false);
	if (rest->len == 0)
		return (true);
	if (!extra_make(e_r))
		return (false);
	text_replace(&(*e_r)->head, text_new(rest->data, rest->len));
	return ((*e_r)->head.p != NULL);
}

bool
extra_keep_entry(struct extra **e_r, uint64_t position, const struct buf *rest)
{
	struct extra *e;
	struct entry *v;
	struct text t;
	size_t size;

	if (!buf_ok(rest))
		return (false);
	if (rest->len == 0)
		return (true);
	if (!extra_make(e_r))
		return (false);
	e = *e_r;
	assert(e->n == 0 || e->v[e->n - 1].position < position);
	if (e->n == e->size) {
		size = e->size == 0 ? 8 : e->size * 2;
		if ((v = reallocarray(e->v, size, sizeof(*v))) == NULL)
			return (false);
		e->v = v;
		e->size = size;
	}
	if ((t = text_new(rest->data, rest->len)).p == NULL)
		return (false);
	e->v[e->n++] = (struct entry){ position, t };
	return (true);
}

void
extra_add_head(const struct extra *e, struct buf *b)
{

	if (e != NULL && e->head.p != NULL)
		buf_add(b, e->head.p, e->head.len);
}

static int
cmp_position(const void *key, const void *entry)
{
	uint64_t position = *(const uint64_t *)key;
	const struct entry *there = entry;

	if (position == there->position)
		return (0);
	return (position < there->position ? -1 : 1);
}

void
extra_add_entry(const struct extra *e, uint64_t position, struct buf *b)
{
	const struct entry *there;

	if (e == NULL || e->n == 0)
		return;
	there = bsearch(&position, e->v, e->n, sizeof(*e->v), cmp_position);
	if (there != NULL)
		buf_add(b, there->rest.p, there->rest.len);
}

void
extra_free(struct extra *e)
{
	size_t i;

	if (e == NULL)
		return;
	for (i = 0; i < e->n; i++)
		free(e->v[i].rest.p);
	free(e->v);
	free(e->head.p);
	free(e);
}
