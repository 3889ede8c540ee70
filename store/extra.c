#include <bsd/sys/queue.h>

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "extra.h"

struct entry {
	uint64_t	 position;
	struct text	 rest;
};

struct hour {
	SLIST_ENTRY(hour) link;
	int64_t		 at;		/* it begins, ms */
	struct text	 rest;
};
SLIST_HEAD(hours, hour);

/* An item that was deleted leaves its entry behind: nobody asks for it. */
struct extra {
	struct text	 head;		/* p NULL: none */
	struct entry	*v;		/* in rising order of position */
	size_t		 n;
	size_t		 size;
	struct hours	 hours;		/* few: a day's */
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

/* The hour's, made if need be; NULL for want of memory. */
static struct hour *
hour_of(struct extra *e, int64_t at)
{
	struct hour *h;

	SLIST_FOREACH(h, &e->hours, link)
		if (h->at == at)
			return (h);
	if ((h = calloc(1, sizeof(*h))) != NULL) {
		h->at = at;
		SLIST_INSERT_HEAD(&e->hours, h, link);
	}
	return (h);
}

bool
extra_keep_hour(struct extra **e_r, int64_t at, const struct buf *rest)
{
	struct hour *h;

	if (!buf_ok(rest))
		return (false);
	if (rest->len == 0)
		return (true);
	if (!extra_make(e_r) || (h = hour_of(*e_r, at)) == NULL)
		return (false);
	text_replace(&h->rest, text_new(rest->data, rest->len));
	return (h->rest.p != NULL);
}

void
extra_add_hours(const struct extra *e, int64_t from, int64_t until,
    struct buf *b)
{
	const struct hour *h;

	if (e == NULL)
		return;
	SLIST_FOREACH(h, &e->hours, link)
		if (h->at >= from && h->at < until && h->rest.p != NULL)
			buf_add(b, h->rest.p, h->rest.len);
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
	struct hour *h;
	size_t i;

	if (e == NULL)
		return;
	while ((h = SLIST_FIRST(&e->hours)) != NULL) {
		SLIST_REMOVE_HEAD(&e->hours, link);
		free(h->rest.p);
		free(h);
	}
	for (i = 0; i < e->n; i++)
		free(e->v[i].rest.p);
	free(e->v);
	free(e->head.p);
	free(e);
}
