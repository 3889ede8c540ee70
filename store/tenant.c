#include <bsd/string.h>

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "extra.h"
#include "import.h"
#include "store_internal.h"
#include "tenant.h"

static int
conversation_cmp_id(const struct conversation *a, const struct conversation *b)
{

	return (strcmp(a->id, b->id));
}

RB_GENERATE(conversation_ids, conversation, by_id, conversation_cmp_id)

struct tenant *
tenant_new(struct store *s, const char *name, enum tenant_level level)
{
	struct tenant *t;
	int i;

	if ((t = calloc(1, sizeof(*t))) == NULL)
		return (NULL);
	t->store = s;
	strlcpy(t->name, name, sizeof(t->name));
	lock_init(&t->lck, LOCK_TENANT);
	cond_init(&t->loaded);
	atomic_init(&t->refs, 0);
	t->level = level;
	t->dirty.kind = DIRTY_TENANT;
	t->dirty_once.kind = DIRTY_ONCE;
	t->once_from = INT64_MAX;
	once_table_init(&t->once);
	TAILQ_INIT(&t->tombs);
	TAILQ_INIT(&t->imports);
	RB_INIT(&t->ids);
	for (i = 0; i < NLISTS; i++)
		RB_INIT(&t->lists[i]);
	return (t);
}

void
tenant_free(struct tenant *t)
{
	struct conversation *c;

	if (t == NULL)
		return;
	assert(atomic_load(&t->refs) == 0);
	while ((c = RB_ROOT(&t->ids)) != NULL) {
		RB_REMOVE(conversation_ids, &t->ids, c);
		conversation_free(c);
	}
	import_fini(t);
	keyring_fini(&t->apikeys);
	keyring_fini(&t->jwtkeys);
	free(t->rest.p);
	once_table_fini(&t->once);
	extra_free(t->extra);
	cond_fini(&t->loaded);
	lock_fini(&t->lck);
	free(t);
}

void
tenant_assert_state(const struct tenant *t)
{
	const struct conversation *c;
	int i;

	lock_assert_held(&t->lck);
	for (i = 0; i < NLISTS; i++)
		assert(RB_EMPTY(&t->lists[i]) == (t->nconversations == 0));
	assert(t->nconversations == 0 || !RB_EMPTY(&t->ids));
	assert(t->nconversations > 0 || (t->nitems == 0 && t->nbytes == 0));
	if ((c = TAILQ_FIRST(&t->tombs)) != NULL)
		assert(!c->is_listed && !RB_EMPTY(&t->ids));
	assert(!t->exists || t->level != TENANT_NAMED);
	assert(t->created_lsn <= t->lsn || !t->exists);
}

struct conversation *
tenant_find(struct tenant *t, const char *id)
{
	struct conversation want;

	lock_assert_held(&t->lck);
	if (strlcpy(want.id, id, sizeof(want.id)) >= sizeof(want.id))
		return (NULL);
	return (RB_FIND(conversation_ids, &t->ids, &want));
}

bool
tenant_is_loaded(struct tenant *t)
{
	bool is_loaded;

	lock_take(&t->lck);
	is_loaded = t->level == TENANT_LOADED;
	lock_give(&t->lck);
	return (is_loaded);
}

struct conversation *
tenant_hold(struct tenant *t, const char *id)
{
	struct conversation *c;

	lock_take(&t->lck);
	if ((c = tenant_find(t, id)) != NULL)
		atomic_fetch_add(&c->refs, 1);
	lock_give(&t->lck);
	return (c);
}

void
conversation_put(struct conversation *c)
{
	unsigned int before;

	before = atomic_fetch_sub(&c->refs, 1);
	assert(before > 0);
	(void)before;
}

/* Its part of the tenant's items is so many now. */
static void
count_items(struct tenant *t, struct conversation *c, uint64_t items,
    uint64_t bytes)
{

	t->nitems += items - c->counted_items;
	t->nbytes += bytes - c->counted_bytes;
	c->counted_items = items;
	c->counted_bytes = bytes;
}

void
tenant_insert(struct tenant *t, struct conversation *c)
{
	struct conversation *there;

	lock_assert_held(&t->lck);
	there = RB_INSERT(conversation_ids, &t->ids, c);
	assert(there == NULL);
	(void)there;
	atomic_fetch_add(&t->store->nconversations, 1);
	if (c->is_deleted)
		TAILQ_INSERT_TAIL(&t->tombs, c, tomb);
	if (c->is_deleted || c->is_damaged)
		return;
	list_insert(t, c);
	c->is_listed = true;
	t->nconversations++;
	/* Nobody else can change it yet. */
	count_items(t, c, c->items.n, c->items.bytes);
	tenant_assert_state(t);
}

void
tenant_unlist(struct tenant *t, struct conversation *c)
{

	lock_assert_held(&t->lck);
	if (!c->is_listed)
		return;
	list_remove(t, c);
	c->is_listed = false;
	t->nconversations--;
	count_items(t, c, 0, 0);
	tenant_assert_state(t);
}

void
tenant_bury(struct tenant *t, struct conversation *c)
{

	lock_assert_held(&t->lck);
	tenant_unlist(t, c);
	TAILQ_INSERT_TAIL(&t->tombs, c, tomb);
}

void
tenant_remove(struct tenant *t, struct conversation *c)
{

	lock_assert_held(&t->lck);
	tenant_unlist(t, c);
	if (c->is_deleted)
		TAILQ_REMOVE(&t->tombs, c, tomb);
	RB_REMOVE(conversation_ids, &t->ids, c);
	atomic_fetch_sub(&t->store->nconversations, 1);
}

void
tenant_touch(struct tenant *t, struct conversation *c)
{
	uint64_t lsn;
	int64_t at;

	lock_take(&t->lck);
	lock_take(&c->lck);
	at = c->updated_at;
	lsn = c->lsn;
	if (lsn > t->list_lsn)
		t->list_lsn = lsn;
	if (c->is_listed)
		count_items(t, c, c->items.n, c->items.bytes);
	lock_give(&c->lck);
	if (c->is_listed)
		list_move(t, c, at, lsn);
	lock_give(&t->lck);
}
