#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "conversation.h"
#include "undo.h"

/*
 * Invariants, whenever the conversation's lock is free:
 *	1. lsn rises along the list, and the last one's is not above the
 *	   conversation's.
 *	2. The spare is not in the list and holds nothing.
 */
struct undo {
	TAILQ_ENTRY(undo) link;
	uint64_t	 lsn;		/* of the change */
	/* How it was before. */
	bool		 was_there;	/* false: the change created it */
	bool		 was_damaged;
	bool		 has_user;	/* was replaced */
	char		*user;
	int64_t		 created_at;
	int64_t		 updated_at;
	uint64_t	 version;
	uint64_t	 prior;		/* lsn of the change before */
	size_t		 item_count;
	uint64_t	 bytes;
	bool		 has_text[NUNDO_TEXTS];	/* was replaced */
	struct text	 texts[NUNDO_TEXTS];
	/* What was done to the items. */
	size_t		 nadded;
	struct item	*removed;	/* reference, or NULL */
	size_t		 index;		/* where it stood */
	bool		 took_all;
	struct items	 items;		/* then: all */
};

/* Let go what it holds. */
static void
undo_clear(struct undo *u)
{
	size_t i;

	for (i = 0; i < NUNDO_TEXTS; i++)
		free(u->texts[i].p);
	free(u->user);
	item_unref(u->removed);
	if (u->took_all)
		items_fini(&u->items);
	memset(u, 0, sizeof(*u));
}

void
undo_init(struct undos *us)
{

	TAILQ_INIT(&us->list);
	us->spare = NULL;
}

/* Drop what is durable; the last of it becomes the spare. */
static void
drop_durable(struct undos *us, uint64_t durable)
{
	struct undo *u;

	while ((u = TAILQ_FIRST(&us->list)) != NULL && u->lsn <= durable) {
		TAILQ_REMOVE(&us->list, u, link);
		undo_clear(u);
		free(us->spare);
		us->spare = u;
	}
}

void
undo_trim(struct undos *us, uint64_t durable)
{

	drop_durable(us, durable);
	free(us->spare);
	us->spare = NULL;
}

void
undo_fini(struct undos *us)
{

	undo_trim(us, UINT64_MAX);
	assert(TAILQ_EMPTY(&us->list));
}

bool
undo_reserve(struct undos *us, uint64_t durable)
{

	drop_durable(us, durable);
	if (us->spare == NULL)
		us->spare = calloc(1, sizeof(*us->spare));
	return (us->spare != NULL);
}

static struct text *
text_of(struct conversation *c, enum undo_what what)
{

	switch (what) {
	case UNDO_TITLE:
		return (&c->title);
	case UNDO_METADATA:
		return (&c->metadata);
	default:
		assert(what == UNDO_PREVIEW);
		return (&c->preview);
	}
}

struct undo *
undo_begin(struct conversation *c, uint64_t lsn)
{
	struct undo *u = c->undos.spare, *last;

	lock_assert_held(&c->lck);
	if (u == NULL)
		return (NULL);
	last = TAILQ_LAST(&c->undos.list, undo_list);
	assert(last == NULL || (last->lsn == c->lsn && last->lsn < lsn));
	(void)last;		/* for a build without assert */
	c->undos.spare = NULL;
	u->lsn = lsn;
	/* What is damaged has no lsn, but it is there. */
	u->was_there = (c->lsn > 0 || c->is_damaged) && !c->is_deleted;
	u->was_damaged = c->is_damaged;
	u->created_at = c->created_at;
	u->updated_at = c->updated_at;
	u->version = c->version;
	u->prior = c->lsn;
	u->item_count = c->items.n;
	u->bytes = c->items.bytes;
	TAILQ_INSERT_TAIL(&c->undos.list, u, link);
	return (u);
}

void
undo_text(struct undo *u, struct conversation *c, enum undo_what what,
    struct text next)
{
	struct text *now = text_of(c, what);

	if (u == NULL) {
		text_replace(now, next);
		return;
	}
	assert(!u->has_text[what]);
	u->has_text[what] = true;
	u->texts[what] = *now;
	*now = next;
}

void
undo_append(struct undo *u, size_t n)
{

	if (u != NULL)
		u->nadded = n;
}

void
undo_remove(struct undo *u, const struct items *is, struct item *it)
{

	if (u == NULL)
		return;
	u->removed = item_ref(it);
	u->index = items_index(is, it);
}

void
undo_bury(struct undo *u, struct conversation *c)
{
	size_t i;

	if (u == NULL)
		return;
	for (i = 0; i < NUNDO_TEXTS; i++)
		undo_text(u, c, i, (struct text){ NULL, 0 });
	u->took_all = true;
	u->items = c->items;
	items_init(&c->items);
}

void
undo_replace(struct undo *u, struct conversation *c)
{

	if (u == NULL)
		return;
	undo_bury(u, c);
	u->has_user = true;
	u->user = c->user;
	c->user = NULL;
}

/* --- looking back ------------------------------------------------------- */

static void
look_now(const struct conversation *c, struct sight *s)
{

	s->is_there = !c->is_deleted;
	s->is_damaged = c->is_damaged;
	s->user = c->user;
	s->created_at = c->created_at;
	s->updated_at = c->updated_at;
	s->version = c->version;
	s->lsn = c->lsn;
	s->texts[UNDO_TITLE] = &c->title;
	s->texts[UNDO_METADATA] = &c->metadata;
	s->texts[UNDO_PREVIEW] = &c->preview;
	s->item_count = c->items.n;
	s->bytes = c->items.bytes;
}

/* From the state behind that change to the one before it. */
static void
look_before(const struct undo *u, struct sight *s)
{
	size_t i;

	s->is_there = u->was_there;
	s->is_damaged = u->was_damaged;
	if (u->has_user)
		s->user = u->user;
	s->created_at = u->created_at;
	s->updated_at = u->updated_at;
	s->version = u->version;
	s->lsn = u->prior;
	for (i = 0; i < NUNDO_TEXTS; i++)
		if (u->has_text[i])
			s->texts[i] = &u->texts[i];
	s->item_count = u->item_count;
	s->bytes = u->bytes;
}

void
undo_look(const struct conversation *c, uint64_t bound, struct sight *s)
{
	const struct undo *u;

	lock_assert_held(&c->lck);
	look_now(c, s);
	TAILQ_FOREACH_REVERSE(u, &c->undos.list, undo_list, link) {
		if (u->lsn <= bound)
			break;
		look_before(u, s);
	}
	if (s->lsn > bound)
		s->lsn = bound;
}

/*
 * The most items that stood there at any time after bound: what each step back
 * needs room for.
 */
static size_t
most_items(const struct conversation *c, uint64_t bound)
{
	const struct undo *u;
	size_t n = c->items.n;

	TAILQ_FOREACH_REVERSE(u, &c->undos.list, undo_list, link) {
		if (u->lsn <= bound)
			break;
		if (u->item_count > n)
			n = u->item_count;
	}
	return (n);
}

static void
copy_items(struct items *to, const struct items *from)
{

	if (from->n > 0)
		memcpy(to->v, from->v, from->n * sizeof(*to->v));
	to->n = from->n;
	to->bytes = from->bytes;
	to->next_position = from->next_position;
}

/* Take one change back. */
static void
undo_one(const struct undo *u, struct items *is)
{

	if (u->took_all)
		copy_items(is, &u->items);
	assert(u->nadded <= is->n);
	is->n -= u->nadded;
	if (u->removed != NULL) {
		memmove(&is->v[u->index + 1], &is->v[u->index],
		    (is->n - u->index) * sizeof(*is->v));
		is->v[u->index] = u->removed;
		is->n++;
	}
	is->bytes = u->bytes;
	assert(is->n == u->item_count && is->n <= is->size);
}

const struct items *
undo_items(const struct conversation *c, uint64_t bound, struct items *own)
{
	const struct undo *u = TAILQ_LAST(&c->undos.list, undo_list);

	lock_assert_held(&c->lck);
	items_init(own);
	if (u == NULL || u->lsn <= bound)
		return (&c->items);
	own->size = most_items(c, bound);
	own->v = reallocarray(NULL, own->size + 1, sizeof(*own->v));
	if (own->v == NULL)
		return (NULL);
	copy_items(own, &c->items);
	for (; u != NULL && u->lsn > bound;
	    u = TAILQ_PREV(u, undo_list, link))
		undo_one(u, own);
	return (own);
}

void
undo_items_fini(struct items *own)
{

	/* The references are the conversation's. */
	free(own->v);
	items_init(own);
}
