#include <bsd/string.h>

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "import.h"
#include "log.h"
#include "store_internal.h"

static struct import *
import_new(const struct record *r)
{
	struct import *im;

	if ((im = calloc(1, sizeof(*im))) == NULL)
		return (NULL);
	items_init(&im->items);
	strlcpy(im->id, r->conversation, sizeof(im->id));
	strlcpy(im->birth, r->birth, sizeof(im->birth));
	return (im);
}

void
import_free(struct import *im)
{

	if (im == NULL)
		return;
	assert(!im->is_listed && im->hold.lsn == 0);
	items_fini(&im->items);
	free(im);
}

void
import_drop(struct tenant *t, struct import *im)
{

	lock_assert_held(&t->lck);
	assert(im->is_listed);
	TAILQ_REMOVE(&t->imports, im, link);
	im->is_listed = false;
	flush_release(t->store->flush, &im->hold);
	import_free(im);
}

void
import_sweep(struct tenant *t, int64_t before)
{
	struct import *im, *next;

	lock_take(&t->lck);
	TAILQ_FOREACH_SAFE(im, &t->imports, link, next) {
		if (im->at >= before)
			continue;
		log_info("tenant %s: the import of %s was not ended and is "
		    "dropped", t->name, im->id);
		import_drop(t, im);
	}
	lock_give(&t->lck);
}

void
import_fini(struct tenant *t)
{
	struct import *im;

	while ((im = TAILQ_FIRST(&t->imports)) != NULL) {
		TAILQ_REMOVE(&t->imports, im, link);
		im->is_listed = false;
		im->hold.lsn = 0;
		import_free(im);
	}
}

/* The parts of that id that wait, or NULL. */
static struct import *
import_find(struct tenant *t, const char *id)
{
	struct import *im;

	lock_assert_held(&t->lck);
	TAILQ_FOREACH(im, &t->imports, link)
		if (strcmp(im->id, id) == 0)
			return (im);
	return (NULL);
}

int
import_reserve(struct tenant *t, struct record *r)
{
	const bool is_part = r->kind == CHANGE_IMPORT_PART;
	const uint64_t before = is_part ? r->version - 1 : r->parts;
	struct import *im;

	assert(r->import == NULL);
	if (before == 0)
		im = import_new(r);
	else {
		im = import_find(t, r->conversation);
		if (im == NULL || im->nparts != before ||
		    strcmp(im->birth, r->birth) != 0)
			return (0);
	}
	if ((r->import = im) == NULL || !items_reserve(&im->items, r->nitems))
		return (-1);
	return (1);
}

void
import_mark(struct flush *f, struct conversation *c, struct record *r)
{
	struct flush_hold *hold = &r->import->hold;

	if (c == NULL)
		flush_hold(f, hold, r->lsn);
	else
		flush_mark(f, &c->dirty, hold->lsn != 0 ? hold->lsn : r->lsn);
}

/* --- check -------------------------------------------------------------- */

/*
 * Give every item its position.  No id may come twice, and no position be
 * below the one before it.
 */
static enum store_err
place_items(struct record *r)
{
	const struct items *before = &r->import->items;
	enum store_err err = STORE_OK;
	struct items all;
	struct item *it;
	size_t i;

	items_init(&all);
	all.next_position = before->next_position;
	if (!items_reserve(&all, r->nitems))
		return (STORE_NOMEM);
	for (i = 0; i < r->nitems && err == STORE_OK; i++) {
		it = r->items[i];
		if ((it->position != 0 && it->position < all.next_position) ||
		    items_find(&all, it->id) != NULL ||
		    items_find(before, it->id) != NULL)
			err = STORE_CONFLICT;
		else
			items_add(&all, item_ref(it), it->position);
	}
	items_fini(&all);
	return (err);
}

/* The items of the change, behind the parts that came before. */
static enum store_err
check_items(struct change_ctx *x)
{
	const struct change *ch = x->change;
	struct record *r = x->record;
	size_t i;

	if (ch->nitems > 0 &&
	    (r->items = calloc(ch->nitems, sizeof(*r->items))) == NULL)
		return (STORE_NOMEM);
	for (i = 0; i < ch->nitems; i++)
		r->items[r->nitems++] = item_ref(ch->items[i]);
	switch (import_reserve(x->tenant, r)) {
	case 1:
		return (place_items(r));
	case 0:
		return (STORE_PRECONDITION);
	default:
		return (STORE_NOMEM);
	}
}

/* May it come in, and under which birth? */
static enum store_err
check_place(struct change_ctx *x)
{
	const struct conversation *c = x->conversation;
	const struct change *ch = x->change;
	struct record *r = x->record;

	/* Its file is in its place and not to be written over. */
	if (c != NULL && c->is_held)
		return (conversation_damage(c));
	if (c != NULL && !c->is_deleted && !c->is_damaged && !ch->replaces)
		return (STORE_EXISTS);
	strlcpy(r->conversation, ch->conversation, sizeof(r->conversation));
	if (ch->part > 0)
		strlcpy(r->birth, ch->birth, sizeof(r->birth));
	else
		id_mint_short(r->birth);
	return (STORE_OK);
}

enum store_err
import_check_part(struct change_ctx *x)
{
	enum store_err err;

	assert(x->change->part > 0);
	if ((err = check_place(x)) != STORE_OK)
		return (err);
	x->record->version = x->change->part;
	return (check_items(x));
}

/* A version above those of what it takes the place of, for If-Match. */
static uint64_t
next_version(const struct change_ctx *x)
{
	const struct conversation *c = x->conversation;
	uint64_t version = x->change->version > 0 ? x->change->version : 1;

	return (c != NULL && c->version >= version ? c->version + 1 : version);
}

enum store_err
import_check(struct change_ctx *x)
{
	const struct change *ch = x->change;
	struct record *r = x->record;
	enum store_err err;

	if ((err = check_place(x)) != STORE_OK)
		return (err);
	r->parts = ch->part;
	r->version = next_version(x);
	r->created_at = ch->created_at;
	r->updated_at = ch->updated_at;
	r->has_title = true;
	r->metadata = text_new(ch->metadata.p, ch->metadata.len);
	if (ch->title != NULL)
		r->title = text_new(ch->title, ch->title_len);
	if (ch->user != NULL)
		r->user = text_new(ch->user, strlen(ch->user));
	if (r->metadata.p == NULL ||
	    (ch->title != NULL && r->title.p == NULL) ||
	    (ch->user != NULL && r->user.p == NULL))
		return (STORE_NOMEM);
	return (check_items(x));
}

/* --- apply -------------------------------------------------------------- */

/* Hand the record's items over to those that wait. */
static void
gather(struct record *r)
{
	struct items *is = &r->import->items;
	struct item *it;
	size_t i;

	for (i = 0; i < r->nitems; i++) {
		it = r->items[i];
		items_add(is, it, it->position < is->next_position ? 0 :
		    it->position);
	}
	r->nitems = 0;
}

void
import_apply_part(struct tenant *t, struct conversation *c, struct record *r)
{
	struct import *im = r->import, *old;

	(void)c;
	lock_assert_held(&t->lck);
	gather(r);
	im->nparts = r->version;
	im->at = r->at;
	if (!im->is_listed) {
		/* Of a try that was given up. */
		if ((old = import_find(t, im->id)) != NULL)
			import_drop(t, old);
		TAILQ_INSERT_TAIL(&t->imports, im, link);
		im->is_listed = true;
	}
	r->import = NULL;
}

/* All that the record says, in place of what c held. */
static void
fill(struct conversation *c, struct record *r)
{
	size_t i;

	undo_replace(undo_begin(c, r->lsn), c);
	conversation_clear(c);
	c->is_deleted = c->is_damaged = false;
	c->deleted_at = 0;
	free(c->user);
	c->user = r->user.p;
	r->user = (struct text){ NULL, 0 };
	strlcpy(c->birth, r->birth, sizeof(c->birth));
	c->created_at = r->created_at;
	c->updated_at = r->updated_at;
	c->version = r->version;
	c->lsn = r->lsn;
	c->title = r->title;
	r->title = (struct text){ NULL, 0 };
	c->metadata = r->metadata;
	r->metadata = (struct text){ NULL, 0 };
	c->items = r->import->items;
	items_init(&r->import->items);
	for (i = 0; i < c->items.n; i++)
		c->items.v[i]->lsn = r->lsn;
	c->preview = conversation_preview(c->items.v, c->items.n);
}

void
import_apply(struct tenant *t, struct conversation *c, struct record *r)
{
	struct import *im;

	lock_assert_held(&t->lck);
	lock_assert_held(&c->lck);
	assert(r->lsn > c->lsn);
	/* Its times change, and they are its place in the lists. */
	if (tenant_find(t, c->id) == c)
		tenant_remove(t, c);
	gather(r);
	fill(c, r);
	tenant_insert(t, c);
	if (r->lsn > t->set_lsn)
		t->set_lsn = r->lsn;
	im = r->import;
	r->import = NULL;
	if (im->is_listed)
		import_drop(t, im);
	else
		import_free(im);
}
