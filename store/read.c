#include <bsd/string.h>

#include <stdlib.h>
#include <string.h>

#include "store_internal.h"

/*
 * Reads: decide and copy under the lock, work outside it.  The bytes of items
 * are not copied but referenced.
 */

uint64_t
store_bound(struct store *s)
{
	uint64_t durable;

	/* What was read is all there is. */
	if (s->o.read_only)
		return (UINT64_MAX);
	/*
	 * The error first: if the journal breaks behind this look, the reader
	 * is given an lsn to wait for, and will ask again.
	 */
	if (journal_error(s->journal) != 0)
		return (journal_durable(s->journal));
	durable = journal_durable(s->journal);
	return (journal_hangs(s->journal) ? durable : UINT64_MAX);
}

/*
 * Find the conversation for this user and lock it.  Returns STORE_OK with
 * *c_r locked and held, to be given back by unhold(), and in *sight_r what he
 * may see of it, as of bound; *lsn_r is set in any case.
 */
static enum store_err
hold(struct tenant *t, const char *id, const char *user, uint64_t bound,
    struct conversation **c_r, struct sight *sight_r, uint64_t *lsn_r)
{
	struct conversation *c;
	enum store_err err = STORE_OK;

	*lsn_r = 0;
	if (!tenant_is_loaded(t))
		return (STORE_COLD);
	if ((c = tenant_hold(t, id)) == NULL)
		return (STORE_NOENT);
	lock_take(&c->lck);
	undo_look(c, bound, sight_r);
	if (conversation_is_foreign(sight_r->user, sight_r->is_damaged, user))
		err = STORE_NOENT;
	else {
		*lsn_r = sight_r->lsn;
		if (!sight_r->is_there)
			err = STORE_NOENT;
		else if (sight_r->is_damaged)
			err = conversation_damage(c);
	}
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
	uint64_t bound = store_bound(t->store);
	struct conversation *c;
	struct sight sight;
	enum store_err err;

	memset(v, 0, sizeof(*v));
	err = hold(t, id, user, bound, &c, &sight, lsn_r);
	if (err != STORE_OK)
		return (err);
	if (!conversation_view(c, bound, v))
		err = STORE_NOMEM;
	unhold(c);
	return (err);
}

enum store_err
store_item(struct tenant *t, const char *id, const char *user,
    const char *item, struct item **item_r, uint64_t *version_r,
    uint64_t *lsn_r)
{
	uint64_t bound = store_bound(t->store);
	const struct items *is;
	struct conversation *c;
	struct sight sight;
	struct items own;
	struct item *it;
	enum store_err err;

	*item_r = NULL;
	err = hold(t, id, user, bound, &c, &sight, lsn_r);
	if (err != STORE_OK)
		return (err);
	*version_r = sight.version;
	if ((is = undo_items(c, bound, &own)) == NULL)
		err = STORE_NOMEM;
	else if ((it = items_find(is, item)) != NULL)
		*item_r = item_ref(it);
	else
		err = STORE_NOITEM;
	undo_items_fini(&own);
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
	uint64_t bound = store_bound(t->store);
	const struct items *is;
	struct conversation *c;
	struct sight sight;
	struct items own;
	enum store_err err;

	memset(p, 0, sizeof(*p));
	err = hold(t, id, user, bound, &c, &sight, &p->lsn);
	if (err != STORE_OK)
		return (err);
	p->version = sight.version;
	err = STORE_NOMEM;
	if ((is = undo_items(c, bound, &own)) != NULL)
		err = find_page(is, after, order, limit, p);
	undo_items_fini(&own);
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

/* --- credentials -------------------------------------------------------- */

/*
 * The ring as of bound, as keyring_at has it.  The keys that a tenant is
 * created with come and go with it: who found it before the journal broke is
 * shown none.
 */
static const struct keyring *
ring_at(const struct tenant *t, const struct keyring *ring, uint64_t bound,
    struct keyring *own_r)
{
	lock_assert_held(&t->lck);
	if (t->created_lsn <= bound)
		return (keyring_at(ring, bound, own_r));
	memset(own_r, 0, sizeof(*own_r));
	return (own_r);
}

enum store_err
store_apikey_check(struct tenant *t, const unsigned char hash[KEY_HASH_SIZE],
    char id_r[ID_SIZE], uint64_t *lsn_r)
{
	uint64_t bound = store_bound(t->store);
	const struct credential *c;
	const struct keyring *ring;
	struct keyring own;
	enum store_err err = STORE_NOENT;

	lock_take(&t->lck);
	*lsn_r = t->lsn < bound ? t->lsn : bound;
	if ((ring = ring_at(t, &t->apikeys, bound, &own)) == NULL)
		err = STORE_NOMEM;
	else if ((c = keyring_match(ring, hash)) != NULL) {
		strlcpy(id_r, c->id, ID_SIZE);
		err = STORE_OK;
	}
	keyring_fini(&own);
	lock_give(&t->lck);
	return (err);
}

static enum store_err
copy_ring(struct tenant *t, const struct keyring *ring, struct credential **v_r,
    size_t *n_r, uint64_t *lsn_r)
{
	uint64_t bound = store_bound(t->store);
	struct keyring own;
	bool ok;

	lock_take(&t->lck);
	*lsn_r = t->lsn < bound ? t->lsn : bound;
	ring = ring_at(t, ring, bound, &own);
	ok = ring != NULL && keyring_copy(ring, v_r, n_r);
	keyring_fini(&own);
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
