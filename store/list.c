#include <bsd/string.h>

#include <stdlib.h>
#include <string.h>

#include "list.h"
#include "metadata.h"
#include "store_internal.h"

static int
place_cmp(const struct place *a, const struct place *b)
{
	int cmp = strcmp(a->user, b->user);

	if (cmp != 0)
		return (cmp);
	if (a->key != b->key)
		return (a->key < b->key ? -1 : 1);
	if (a->tie != b->tie)
		return (a->tie < b->tie ? -1 : 1);
	return (strcmp(a->id, b->id));
}

RB_PROTOTYPE(places, place, node, place_cmp)
RB_GENERATE(places, place, node, place_cmp)

void
list_insert(struct tenant *t, struct conversation *c)
{
	struct place *p;
	int i;

	lock_assert_held(&t->lck);
	for (i = 0; i < NLISTS; i++) {
		p = &c->places[i];
		p->conversation = c;
		p->id = c->id;
		p->user = i >= LIST_OF_USER && c->user != NULL ? c->user : "";
		if (i % LIST_OF_USER == LIST_UPDATED) {
			p->key = c->updated_at;
			p->tie = c->lsn;
		} else {
			p->key = c->created_at;
			p->tie = 0;
		}
		RB_INSERT(places, &t->lists[i], p);
	}
}

void
list_remove(struct tenant *t, struct conversation *c)
{
	int i;

	lock_assert_held(&t->lck);
	for (i = 0; i < NLISTS; i++)
		RB_REMOVE(places, &t->lists[i], &c->places[i]);
}

void
list_move(struct tenant *t, struct conversation *c, int64_t at, uint64_t lsn)
{
	struct place *p;
	int i;

	lock_assert_held(&t->lck);
	for (i = LIST_UPDATED; i < NLISTS; i += LIST_OF_USER) {
		p = &c->places[i];
		if (p->key == at && p->tie == lsn)
			continue;
		RB_REMOVE(places, &t->lists[i], p);
		p->key = at;
		p->tie = lsn;
		RB_INSERT(places, &t->lists[i], p);
	}
}

/*
 * A walk through one of the tenant's orders, under its lock.  is_forward is
 * the direction in the tree; end is a place it must not reach.
 */
struct walk {
	struct tenant	*tenant;
	const struct list_query *q;
	struct places	*places;
	uint64_t	 bound;		/* what is shown, see undo.h */
	bool		 is_back;	/* places are not the tenant's own, but
					   as they were */
	const char	*user;		/* "" for all */
	int		 list;
	bool		 is_forward;
	bool		 has_end;
	struct list_cursor end;
};

static struct place *
walk_next(const struct walk *w, struct place *p)
{

	return (w->is_forward ? RB_NEXT(places, w->places, p) :
	    RB_PREV(places, w->places, p));
}

/* The first one beyond a place, which need not be taken any more. */
static struct place *
walk_beyond(const struct walk *w, const struct list_cursor *at)
{
	struct place want = { .user = w->user, .key = at->key, .tie = at->tie,
		.id = at->id };
	struct place *p;

	/* The first at or above the place. */
	p = RB_NFIND(places, w->places, &want);
	if (!w->is_forward)
		return (p == NULL ? RB_MAX(places, w->places) :
		    RB_PREV(places, w->places, p));
	if (p != NULL && strcmp(p->id, at->id) == 0)
		p = walk_next(w, p);
	return (p);
}

/* The first one of all. */
static struct place *
walk_end(const struct walk *w)
{
	/* No id orders below the one, none above the other. */
	static const struct list_cursor low = { INT64_MIN, 0, "" },
	    high = { INT64_MAX, UINT64_MAX, "~" };

	return (walk_beyond(w, w->is_forward ? &low : &high));
}

/* Did the walk come to its end with p? */
static bool
walk_is_over(const struct walk *w, const struct place *p)
{
	const struct place end = { .user = w->user, .key = w->end.key,
		.tie = w->end.tie, .id = w->end.id };
	int cmp;

	if (p == NULL || strcmp(p->user, w->user) != 0)
		return (true);
	if (!w->has_end)
		return (false);
	cmp = place_cmp(p, &end);
	return (w->is_forward ? cmp >= 0 : cmp <= 0);
}

/* Where it stood as of the walk's bound; false if he who asks saw it in no list
 * then. */
static bool
place_back(const struct walk *w, struct conversation *c, struct place *p)
{
	struct sight s;

	lock_take(&c->lck);
	undo_look(c, w->bound, &s);
	lock_give(&c->lck);
	if (!s.is_there || s.is_damaged ||
	    conversation_is_foreign(s.user, false, w->q->user))
		return (false);
	p->user = w->user;
	p->id = c->id;
	p->conversation = c;
	p->key = s.created_at;
	p->tie = 0;
	if (w->list % LIST_OF_USER == LIST_UPDATED) {
		p->key = s.updated_at;
		p->tie = s.lsn;
	}
	return (true);
}

/* The present place of a conversation that this user may see. */
static bool
place_of(const struct walk *w, const char *id, struct list_cursor *at)
{
	struct conversation *c;
	struct place back, *p;

	c = tenant_find(w->tenant, id);
	if (c == NULL)
		return (false);
	p = w->is_back ? &back : &c->places[w->list];
	if (w->is_back ? !place_back(w, c, p) : !c->is_listed ||
	    conversation_is_foreign(c->user, false, w->q->user))
		return (false);
	at->key = p->key;
	at->tie = p->tie;
	strlcpy(at->id, c->id, sizeof(at->id));
	return (true);
}

/*
 * Let the walk go through places of its own, as they were at its bound: one
 * for each conversation, in *v_r (new).  That costs the number of a tenant's
 * conversations, and only while the disk is sick and something of this tenant
 * waits for it: lists that cost what they show cannot be kept for a state that
 * nobody knew to be asked for.  Returns false for want of memory.
 */
static bool
walk_back(struct walk *w, struct places *places, struct place **v_r)
{
	struct conversation_ids *ids = &w->tenant->ids;
	struct conversation *c;
	struct place *v;
	size_t n = 0;

	lock_assert_held(&w->tenant->lck);
	RB_INIT(places);
	RB_FOREACH(c, conversation_ids, ids)
		n++;
	if ((*v_r = v = calloc(n + 1, sizeof(*v))) == NULL)
		return (false);
	RB_FOREACH(c, conversation_ids, ids)
		if (place_back(w, c, v))
			RB_INSERT(places, places, v++);
	w->places = places;
	w->is_back = true;
	return (true);
}

/*
 * Copy the conversation at that place into the page, if it is asked for.
 * Returns STORE_OK, with *taken saying whether.
 */
static enum store_err
take_view(const struct walk *w, const struct place *at, struct list_page *p,
    bool *taken)
{
	const struct list_query *q = w->q;
	struct conversation *c = at->conversation;
	enum store_err err = STORE_OK;
	struct sight s;

	lock_take(&c->lck);
	undo_look(c, w->bound, &s);
	/* One that is left out by what it says now is seen as well. */
	if (s.lsn > p->lsn)
		p->lsn = s.lsn;
	*taken = true;
	if (q->nmetadata > 0)
		err = metadata_matches(s.texts[UNDO_METADATA], q, taken);
	if (err == STORE_OK && *taken &&
	    !conversation_view(c, w->bound, &p->views[p->nviews]))
		err = STORE_NOMEM;
	lock_give(&c->lck);
	if (err != STORE_OK || !*taken)
		return (err);
	p->nviews++;
	p->last.key = at->key;
	p->last.tie = at->tie;
	strlcpy(p->last.id, c->id, sizeof(p->last.id));
	return (STORE_OK);
}

/* Fill the page from there on, one more than asked for to know of more. */
static enum store_err
walk_page(const struct walk *w, struct place *at, struct list_page *p)
{
	struct list_cursor last = p->last;
	enum store_err err;
	bool taken;

	for (; !walk_is_over(w, at); at = walk_next(w, at)) {
		if ((err = take_view(w, at, p, &taken)) != STORE_OK)
			return (err);
		if (taken && p->nviews > w->q->limit) {
			store_view_fini(&p->views[--p->nviews]);
			p->has_more = true;
			p->last = last;
			return (STORE_OK);
		}
		last = p->last;
	}
	return (STORE_OK);
}

static enum store_err
walk_list(struct walk *w, struct list_page *p)
{
	const struct list_query *q = w->q;
	struct list_cursor after, before;
	bool has_after;

	w->is_forward = (q->order == STORE_ASC) == (q->before_id == NULL);
	if (q->after != NULL)
		after = *q->after;
	else if (q->after_id != NULL && !place_of(w, q->after_id, &after))
		return (STORE_NOCURSOR);
	has_after = q->after != NULL || q->after_id != NULL;
	if (q->before_id == NULL)
		return (walk_page(w, has_after ? walk_beyond(w, &after) :
		    walk_end(w), p));
	/* Towards the front of the list, as far as what it is to be after. */
	if (!place_of(w, q->before_id, &before))
		return (STORE_NOCURSOR);
	w->has_end = has_after;
	if (has_after)
		w->end = after;
	return (walk_page(w, walk_beyond(w, &before), p));
}

/* A page that was walked against the list's order. */
static void
turn_page(const struct list_query *q, struct list_page *p)
{
	struct conversation_view v;
	size_t i;

	if (p->nviews > 0) {
		v = p->views[0];
		if (q->sort == STORE_BY_UPDATED) {
			p->last.key = v.updated_at;
			p->last.tie = v.lsn;
		} else {
			p->last.key = v.created_at;
			p->last.tie = 0;
		}
		strlcpy(p->last.id, v.id, sizeof(p->last.id));
	}
	for (i = 0; i < p->nviews / 2; i++) {
		v = p->views[i];
		p->views[i] = p->views[p->nviews - 1 - i];
		p->views[p->nviews - 1 - i] = v;
	}
}

enum store_err
store_list(struct tenant *t, const struct list_query *q, struct list_page *p)
{
	struct walk w = {
		.tenant = t,
		.q = q,
		.bound = store_bound(t->store),
		.user = q->user != NULL ? q->user : "",
		.list = (q->sort == STORE_BY_UPDATED ? LIST_UPDATED :
		    LIST_CREATED) + (q->user != NULL ? LIST_OF_USER : 0),
	};
	enum store_err err = STORE_COLD;
	struct place *v = NULL;
	struct places back;

	memset(p, 0, sizeof(*p));
	if ((p->views = calloc(q->limit + 1, sizeof(*p->views))) == NULL)
		return (STORE_NOMEM);
	w.places = &t->lists[w.list];
	lock_take(&t->lck);
	if (t->level == TENANT_LOADED) {
		/*
		 * What is missing was durably taken away, and what moved to
		 * another page moved durably.
		 */
		p->lsn = t->set_lsn > t->list_lsn ? t->set_lsn : t->list_lsn;
		err = STORE_NOMEM;
		if (p->lsn <= w.bound || walk_back(&w, &back, &v))
			err = walk_list(&w, p);
		if (p->lsn > w.bound)
			p->lsn = w.bound;
	}
	lock_give(&t->lck);
	free(v);
	if (err != STORE_OK)
		store_list_fini(p);
	else if (q->before_id != NULL)
		turn_page(q, p);
	return (err);
}

void
store_list_fini(struct list_page *p)
{
	size_t i;

	for (i = 0; i < p->nviews; i++)
		store_view_fini(&p->views[i]);
	free(p->views);
	p->views = NULL;
	p->nviews = 0;
}
