#include <bsd/string.h>

#include <stdlib.h>
#include <string.h>

#include "metadata.h"
#include "store_internal.h"

/*
 * Reads: decide and copy under the lock, work outside it.  The bytes of items
 * are not copied but referenced.
 */

/*
 * Find the conversation for this user and lock it.  Returns STORE_OK with
 * *c_r locked and held, to be given back by unhold(); *lsn_r is set in any
 * case.
 */
static enum store_err
hold(struct tenant *t, const char *id, const char *user,
    struct conversation **c_r, uint64_t *lsn_r)
{
	struct conversation *c;
	enum store_err err = STORE_OK;

	*lsn_r = 0;
	if (!tenant_is_loaded(t))
		return (STORE_COLD);
	if ((c = tenant_hold(t, id)) == NULL)
		return (STORE_NOENT);
	lock_take(&c->lck);
	*lsn_r = c->lsn;
	if (c->is_deleted)
		err = STORE_NOENT;
	else if (user != NULL && (c->user == NULL ? !c->is_damaged :
	    strcmp(user, c->user) != 0)) {
		*lsn_r = 0;
		err = STORE_NOENT;
	} else if (c->is_damaged)
		err = STORE_DAMAGED;
	if (err == STORE_OK) {
		*c_r = c;
		return (STORE_OK);
	}
	lock_give(&c->lck);
	conversation_put(c);
	return (err);
}

static void
unhold(struct conversation *c)
{

	lock_give(&c->lck);
	conversation_put(c);
}

enum store_err
store_conversation(struct tenant *t, const char *id, const char *user,
    struct conversation_view *v, uint64_t *lsn_r)
{
	struct conversation *c;
	enum store_err err;

	memset(v, 0, sizeof(*v));
	if ((err = hold(t, id, user, &c, lsn_r)) != STORE_OK)
		return (err);
	if (!conversation_view(c, v))
		err = STORE_NOMEM;
	unhold(c);
	return (err);
}

enum store_err
store_item(struct tenant *t, const char *id, const char *user,
    const char *item, struct item **item_r, uint64_t *version_r,
    uint64_t *lsn_r)
{
	struct conversation *c;
	struct item *it;
	enum store_err err;

	*item_r = NULL;
	if ((err = hold(t, id, user, &c, lsn_r)) != STORE_OK)
		return (err);
	*version_r = c->version;
	if ((it = items_find(&c->items, item)) != NULL)
		*item_r = item_ref(it);
	else
		err = STORE_NOITEM;
	unhold(c);
	return (err);
}

/* Reference the page [first, first + n) of v, in the order asked for. */
static enum store_err
page_items(const struct items *is, size_t first, size_t n,
    enum store_order order, struct items_page *p)
{
	size_t i;

	if ((p->items = calloc(n > 0 ? n : 1, sizeof(*p->items))) == NULL)
		return (STORE_NOMEM);
	for (i = 0; i < n; i++)
		p->items[i] = item_ref(is->v[order == STORE_ASC ? first + i :
		    first + n - 1 - i]);
	p->nitems = n;
	return (STORE_OK);
}

static enum store_err
find_page(const struct items *is, const char *after, enum store_order order,
    size_t limit, struct items_page *p)
{
	struct item *at = NULL;
	size_t first, n;

	if (after != NULL && (at = items_find(is, after)) == NULL)
		return (STORE_NOCURSOR);
	if (order == STORE_ASC) {
		first = at == NULL ? 0 : items_index(is, at) + 1;
		n = is->n - first < limit ? is->n - first : limit;
		p->has_more = first + n < is->n;
	} else {
		first = at == NULL ? is->n : items_index(is, at);
		n = first < limit ? first : limit;
		first -= n;
		p->has_more = first > 0;
	}
	return (page_items(is, first, n, order, p));
}

enum store_err
store_items(struct tenant *t, const char *id, const char *user,
    const char *after, enum store_order order, size_t limit,
    struct items_page *p)
{
	struct conversation *c;
	enum store_err err;

	memset(p, 0, sizeof(*p));
	if ((err = hold(t, id, user, &c, &p->lsn)) != STORE_OK)
		return (err);
	p->version = c->version;
	err = find_page(&c->items, after, order, limit, p);
	unhold(c);
	return (err);
}

void
store_items_fini(struct items_page *p)
{
	size_t i;

	for (i = 0; i < p->nitems; i++)
		item_unref(p->items[i]);
	free(p->items);
	memset(p, 0, sizeof(*p));
}

/* --- lists -------------------------------------------------------------- */

/*
 * A walk through one of the tenant's lists, under its lock.  is_forward is
 * the direction in the tree; end is a place it must not reach.
 */
struct walk {
	struct tenant	*tenant;
	const struct list_query *q;
	bool		 is_forward;
	bool		 has_end;
	struct list_cursor end;
};

static struct conversation *
walk_end(const struct walk *w)
{
	struct tenant *t = w->tenant;

	if (w->q->sort == STORE_BY_UPDATED)
		return (w->is_forward ?
		    RB_MIN(conversation_updates, &t->updates) :
		    RB_MAX(conversation_updates, &t->updates));
	return (w->is_forward ?
	    RB_MIN(conversation_creations, &t->creations) :
	    RB_MAX(conversation_creations, &t->creations));
}

static struct conversation *
walk_next(const struct walk *w, struct conversation *c)
{

	if (w->q->sort == STORE_BY_UPDATED)
		return (w->is_forward ?
		    RB_NEXT(conversation_updates, &w->tenant->updates, c) :
		    RB_PREV(conversation_updates, &w->tenant->updates, c));
	return (w->is_forward ?
	    RB_NEXT(conversation_creations, &w->tenant->creations, c) :
	    RB_PREV(conversation_creations, &w->tenant->creations, c));
}

/* The first one beyond a place, which need not be taken any more. */
static struct conversation *
walk_beyond(const struct walk *w, const struct list_cursor *at)
{
	struct tenant *t = w->tenant;
	struct conversation want, *c;

	want.listed_at = want.created_at = at->key;
	strlcpy(want.id, at->id, sizeof(want.id));
	/* The first at or above the place. */
	c = w->q->sort == STORE_BY_UPDATED ?
	    RB_NFIND(conversation_updates, &t->updates, &want) :
	    RB_NFIND(conversation_creations, &t->creations, &want);
	if (w->is_forward) {
		if (c != NULL && strcmp(c->id, at->id) == 0)
			c = walk_next(w, c);
		return (c);
	}
	return (c == NULL ? walk_end(w) : walk_next(w, c));
}

/* Did the walk come to its end with c? */
static bool
walk_is_over(const struct walk *w, const struct conversation *c)
{
	int64_t key;
	int cmp;

	if (c == NULL || !w->has_end)
		return (c == NULL);
	key = w->q->sort == STORE_BY_UPDATED ? c->listed_at : c->created_at;
	cmp = key < w->end.key ? -1 : key > w->end.key ? 1 :
	    strcmp(c->id, w->end.id);
	return (w->is_forward ? cmp >= 0 : cmp <= 0);
}

/* The present place of a conversation that this user may see. */
static bool
place_of(const struct walk *w, const char *id, struct list_cursor *at)
{
	struct conversation *c;
	const char *user = w->q->user;

	c = tenant_find(w->tenant, id);
	if (c == NULL || !c->is_listed)
		return (false);
	if (user != NULL && (c->user == NULL || strcmp(user, c->user) != 0))
		return (false);
	at->key = w->q->sort == STORE_BY_UPDATED ? c->listed_at :
	    c->created_at;
	strlcpy(at->id, c->id, sizeof(at->id));
	return (true);
}

/*
 * Copy c into the page if it is asked for.  Returns STORE_OK, with *taken
 * saying whether.
 */
static enum store_err
take_view(const struct walk *w, struct conversation *c, struct list_page *p,
    bool *taken)
{
	const struct list_query *q = w->q;
	enum store_err err = STORE_OK;

	*taken = false;
	if (q->user != NULL &&
	    (c->user == NULL || strcmp(q->user, c->user) != 0))
		return (STORE_OK);
	lock_take(&c->lck);
	/* One that is left out by what it says now is seen as well. */
	if (c->lsn > p->lsn)
		p->lsn = c->lsn;
	*taken = true;
	if (q->nmetadata > 0)
		err = metadata_matches(&c->metadata, q, taken);
	if (err == STORE_OK && *taken &&
	    !conversation_view(c, &p->views[p->nviews]))
		err = STORE_NOMEM;
	lock_give(&c->lck);
	if (err != STORE_OK || !*taken)
		return (err);
	p->nviews++;
	p->last.key = q->sort == STORE_BY_UPDATED ? c->listed_at :
	    c->created_at;
	strlcpy(p->last.id, c->id, sizeof(p->last.id));
	return (STORE_OK);
}

/* Fill the page from c on, one more than asked for to know of more. */
static enum store_err
walk_page(const struct walk *w, struct conversation *c, struct list_page *p)
{
	struct list_cursor last = p->last;
	enum store_err err;
	bool taken;

	for (; !walk_is_over(w, c); c = walk_next(w, c)) {
		if ((err = take_view(w, c, p, &taken)) != STORE_OK)
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
		p->last.key = q->sort == STORE_BY_UPDATED ? v.updated_at :
		    v.created_at;
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
	struct walk w = { .tenant = t, .q = q };
	enum store_err err = STORE_COLD;

	memset(p, 0, sizeof(*p));
	if ((p->views = calloc(q->limit + 1, sizeof(*p->views))) == NULL)
		return (STORE_NOMEM);
	lock_take(&t->lck);
	if (t->level == TENANT_LOADED) {
		/*
		 * What is missing was durably taken away, and what moved to
		 * another page moved durably.
		 */
		p->lsn = t->set_lsn > t->list_lsn ? t->set_lsn : t->list_lsn;
		err = walk_list(&w, p);
	}
	lock_give(&t->lck);
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

/* --- credentials -------------------------------------------------------- */

enum store_err
store_apikey_check(struct tenant *t, const unsigned char hash[KEY_HASH_SIZE],
    char id_r[ID_SIZE], uint64_t *lsn_r)
{
	const struct credential *c;

	lock_take(&t->lck);
	*lsn_r = t->lsn;
	if ((c = keyring_match(&t->apikeys, hash)) != NULL)
		strlcpy(id_r, c->id, ID_SIZE);
	lock_give(&t->lck);
	return (c != NULL ? STORE_OK : STORE_NOENT);
}

static enum store_err
copy_ring(struct tenant *t, const struct keyring *ring, struct credential **v_r,
    size_t *n_r, uint64_t *lsn_r)
{
	bool ok;

	lock_take(&t->lck);
	*lsn_r = t->lsn;
	ok = keyring_copy(ring, v_r, n_r);
	lock_give(&t->lck);
	return (ok ? STORE_OK : STORE_NOMEM);
}

enum store_err
store_apikeys(struct tenant *t, struct credential **v_r, size_t *n_r,
    uint64_t *lsn_r)
{

	return (copy_ring(t, &t->apikeys, v_r, n_r, lsn_r));
}

enum store_err
store_jwtkeys(struct tenant *t, struct credential **v_r, size_t *n_r,
    uint64_t *lsn_r)
{

	return (copy_ring(t, &t->jwtkeys, v_r, n_r, lsn_r));
}
