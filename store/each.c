#include <bsd/string.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load.h"
#include "log.h"
#include "store_internal.h"
#include "sys.h"

/* A walk over all conversations; see store_each. */
struct walk {
	struct store	*store;
	int		 (*visit)(const char *,
			    const struct conversation_view *,
			    struct item *const *, size_t, void *);
	void		*arg;
};

/* --- one conversation --------------------------------------------------- */

/* The first one whose id is behind id, held; NULL: none. */
static struct conversation *
hold_next(struct tenant *t, const char *id)
{
	struct conversation want, *c;

	strlcpy(want.id, id, sizeof(want.id));
	lock_take(&t->lck);
	c = RB_NFIND(conversation_ids, &t->ids, &want);
	if (c != NULL && strcmp(c->id, id) == 0)
		c = RB_NEXT(conversation_ids, &t->ids, c);
	if (c != NULL)
		atomic_fetch_add(&c->refs, 1);
	lock_give(&t->lck);
	return (c);
}

/*
 * Copy what readers are shown of it, and reference its items.  Returns 1; 0 if
 * it is deleted or damaged; -1 for want of memory.  *lsn_r is that of the
 * change by which it is so.
 */
static int
copy_conversation(struct conversation *c, struct conversation_view *v,
    struct items_page *p, uint64_t *lsn_r)
{
	uint64_t bound = store_bound(c->tenant->store);
	const struct items *is;
	struct items own;
	struct sight s;
	size_t i;
	int rc = 1;

	memset(p, 0, sizeof(*p));
	memset(v, 0, sizeof(*v));
	lock_take(&c->lck);
	undo_look(c, bound, &s);
	*lsn_r = s.lsn;
	is = undo_items(c, bound, &own);
	if (!s.is_there || s.is_damaged)
		rc = 0;
	else if (is == NULL || !conversation_view(c, bound, v) ||
	    (p->items = calloc(is->n + 1, sizeof(*p->items))) == NULL)
		rc = -1;
	else
		for (i = 0; i < is->n; i++)
			p->items[p->nitems++] = item_ref(is->v[i]);
	undo_items_fini(&own);
	lock_give(&c->lck);
	return (rc);
}

static int
visit_conversation(struct walk *w, struct conversation *c)
{
	struct conversation_view v;
	struct items_page p;
	uint64_t lsn;
	int rc, e;

	/*
	 * That it is deleted waits, too.  If the journal breaks, the durable
	 * prefix is what is shown then.
	 */
	while ((rc = copy_conversation(c, &v, &p, &lsn)) != -1 &&
	    store_wait(w->store, lsn) != STORE_OK) {
		store_items_fini(&p);
		store_view_fini(&v);
	}
	if (rc == -1)
		errno = ENOMEM;
	if (rc == 1)
		rc = w->visit(c->tenant->name, &v, p.items, p.nitems, w->arg);
	e = errno;
	store_items_fini(&p);
	store_view_fini(&v);
	errno = e;
	return (rc);
}

/* --- one tenant --------------------------------------------------------- */

/* Conversations without their tenant, unless it was made meanwhile. */
static void
check_tenant(struct tenant *t)
{
	char file[TENANT_NAME_MAX + 32], lost[TENANT_NAME_MAX + 96];
	struct stat st;

	(void)snprintf(file, sizeof(file), "tenants/%s/tenant.json", t->name);
	(void)snprintf(lost, sizeof(lost), "the keys of tenant %s, and the "
	    "way to its conversations", t->name);
	if (!t->exists && !t->is_damaged && t->nconversations > 0 &&
	    sys->fstatat(t->store->dirfd, file, &st, 0) == -1)
		problem_note(t->store, LOG_LEVEL_ERROR, file, lost,
		    "it is missing");
}

/* The journal's changes are in it and nowhere else: it does not come back. */
static void
forget_tenant(struct store *s, struct tenant *t)
{
	struct conversation *c;

	RB_FOREACH(c, conversation_ids, &t->ids) {
		(void)flush_forget(s->flush, &c->dirty, 0);
		atomic_fetch_sub(&s->nconversations, 1);
	}
	(void)flush_forget(s->flush, &t->dirty, 0);
	(void)flush_forget(s->flush, &t->dirty_once, 0);
	lock_take(&s->tenants_lck);
	RB_REMOVE(tenant_names, &s->tenants, t);
	s->ntenants--;
	lock_give(&s->tenants_lck);
	tenant_free(t);
}

static int
load_whole(struct walk *w, struct tenant *t)
{
	uint64_t lsn;

	switch (load_tenant(t, TENANT_LOADED, &lsn)) {
	case STORE_OK:
	case STORE_DAMAGED:	/* its conversations are there */
	case STORE_NEWER:
		break;
	case STORE_NOMEM:
		errno = ENOMEM;
		return (-1);
	default:
		errno = EIO;
		return (-1);
	}
	if (!w->store->o.read_only)
		return (0);
	check_tenant(t);
	return (problem_tell(w->store));
}

static int
visit_tenant(struct walk *w, struct tenant *t)
{
	struct conversation *c;
	char id[ID_SIZE] = "";
	int rc;

	if ((rc = load_whole(w, t)) == -1)
		return (-1);
	while (rc == 0 && (c = hold_next(t, id)) != NULL) {
		strlcpy(id, c->id, sizeof(id));
		rc = visit_conversation(w, c);
		conversation_put(c);
	}
	return (rc);
}

/* --- all tenants -------------------------------------------------------- */

/* The first tenant whose name is behind name (borrowed), or NULL. */
static struct tenant *
next_tenant(struct store *s, const char *name)
{
	struct tenant want, *t;

	strlcpy(want.name, name, sizeof(want.name));
	lock_take(&s->tenants_lck);
	t = RB_NFIND(tenant_names, &s->tenants, &want);
	if (t != NULL && strcmp(t->name, name) == 0)
		t = RB_NEXT(tenant_names, &s->tenants, t);
	lock_give(&s->tenants_lck);
	return (t);
}

int
store_each(struct store *s, const char *tenant,
    int (*visit)(const char *, const struct conversation_view *,
    struct item *const *, size_t, void *), void *arg)
{
	struct walk w = { s, visit, arg };
	struct tenant *t;
	char name[TENANT_NAME_MAX + 1] = "";
	int rc = 0;

	lock_assert_none();
	if (tenant != NULL) {
		if ((t = store_find(s, tenant, strlen(tenant))) == NULL) {
			errno = ENOENT;
			return (-1);
		}
		rc = visit_tenant(&w, t);
		if (s->o.read_only)
			forget_tenant(s, t);
		return (rc);
	}
	while (rc == 0 && (t = next_tenant(s, name)) != NULL) {
		strlcpy(name, t->name, sizeof(name));
		rc = visit_tenant(&w, t);
		if (s->o.read_only)
			forget_tenant(s, t);
	}
	return (rc);
}
