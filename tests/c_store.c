/*
 * store.h, the only door to the state: what is changed is read back, in every
 * order and page, by those who may, once, and not before it is durable
 * (promises 1, 2, 3, 5, 6, 9).
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <bsd/string.h>

#include <cmocka.h>

#include "store/lock.h"
#include "store/store.h"
#include "store/sys.h"
#include "tests/fault.h"
#include "tests/state.h"

static char dir[STATE_PATH];
static struct store *s;
static struct tenant *t;

static struct change
change_of(enum change_kind kind, const char *id)
{
	struct change ch = { .kind = kind };

	strlcpy(ch.conversation, id, sizeof(ch.conversation));
	return (ch);
}

/* --- one conversation --------------------------------------------------- */

static void
life(void **state)
{
	struct conversation_view v;
	struct outcome o;
	struct item *it;
	uint64_t lsn, version;

	(void)state;
	assert_int_equal(state_create(s, t, "c1", "u1", NULL, &o), 0);
	assert_int_equal(o.version, 1);
	assert_false(o.is_repeat);
	assert_string_equal(o.view.id, "c1");
	assert_string_equal(o.view.user, "u1");
	assert_string_equal(o.view.metadata, "{}");
	assert_null(o.view.title);
	assert_int_equal(o.nitems, 0);
	store_outcome_fini(&o);
	assert_int_equal(state_create(s, t, "c1", "u1", NULL, NULL),
	    STORE_EXISTS);

	assert_int_equal(state_append(s, t, "c1", "m1", "hello", NULL, &o), 0);
	assert_int_equal(o.version, 2);
	assert_int_equal(o.nitems, 1);
	assert_string_equal(o.items[0]->id, "m1");
	assert_int_equal(o.view.item_count, 1);
	assert_string_equal(o.view.preview, "hello");
	store_outcome_fini(&o);
	assert_int_equal(state_append(s, t, "c1", "m2", "bye", NULL, NULL), 0);
	assert_int_equal(state_retitle(s, t, "c1", "title"), 0);
	assert_int_equal(store_item(t, "c1", NULL, "m1", &it, &version, &lsn),
	    0);
	assert_int_equal(it->position, 1);
	assert_int_equal(version, 4);
	item_unref(it);
	assert_int_equal(store_item(t, "c1", NULL, "m9", &it, &version, &lsn),
	    STORE_NOITEM);
	assert_int_equal(state_delete_item(s, t, "c1", "m9"), STORE_NOITEM);
	assert_int_equal(state_delete_item(s, t, "c1", "m2"), 0);
	assert_int_equal(store_conversation(t, "c1", NULL, &v, &lsn), 0);
	assert_string_equal(v.title, "title");
	assert_string_equal(v.preview, "hello");
	assert_int_equal(v.version, 5);
	assert_int_equal(v.item_count, 1);
	assert_true(v.updated_at >= v.created_at && v.created_at > 0);
	store_view_fini(&v);
	assert_int_equal(state_retitle(s, t, "c1", NULL), 0);
	assert_int_equal(store_conversation(t, "c1", NULL, &v, &lsn), 0);
	assert_null(v.title);
	store_view_fini(&v);

	assert_int_equal(state_delete(s, t, "c1", NULL), 0);
	assert_int_equal(store_conversation(t, "c1", NULL, &v, &lsn),
	    STORE_NOENT);
	assert_int_equal(state_append(s, t, "c1", "m3", "x", NULL, NULL),
	    STORE_NOENT);
	assert_int_equal(state_delete(s, t, "c1", NULL), STORE_NOENT);
	assert_int_equal(state_delete(s, t, "never", NULL), STORE_NOENT);
}

static void
set_metadata(const char *id, const char *json, bool merges,
    enum store_err want, const char *after)
{
	struct change ch = change_of(CHANGE_CONVERSATION_UPDATE, id);
	struct outcome o;

	ch.metadata = (struct span){ json, strlen(json) };
	ch.has_metadata = true;
	ch.merges = merges;
	assert_int_equal(state_commit(s, t, &ch, &o), want);
	if (want == STORE_OK)
		assert_string_equal(o.view.metadata, after);
	store_outcome_fini(&o);
}

static void
metadata(void **state)
{
	struct conversation_view v;
	uint64_t lsn;

	(void)state;
	assert_int_equal(state_create(s, t, "c1", NULL, NULL, NULL), 0);
	set_metadata("c1", "{\"a\":\"1\",\"b\":\"x\\u0000y\"}", false, 0,
	    "{\"a\":\"1\",\"b\":\"x\\u0000y\"}");
	set_metadata("c1", "{\"a\":null,\"c\":\"\"}", true, 0,
	    "{\"b\":\"x\\u0000y\",\"c\":\"\"}");
	set_metadata("c1", "{\"none\":null}", true, 0,
	    "{\"b\":\"x\\u0000y\",\"c\":\"\"}");
	set_metadata("c1", "{\"1\":\"\",\"2\":\"\",\"3\":\"\",\"4\":\"\","
	    "\"5\":\"\",\"6\":\"\",\"7\":\"\",\"8\":\"\",\"9\":\"\","
	    "\"10\":\"\",\"11\":\"\",\"12\":\"\",\"13\":\"\",\"14\":\"\","
	    "\"15\":\"\"}", true, STORE_METADATA_LIMIT, NULL);
	set_metadata("c1", "{\"title\":\"from metadata\"}", false, 0,
	    "{\"title\":\"from metadata\"}");
	assert_int_equal(store_conversation(t, "c1", NULL, &v, &lsn), 0);
	assert_string_equal(v.title, "from metadata");
	assert_int_equal(v.version, 5);
	store_view_fini(&v);
}

static void
preconditions(void **state)
{
	struct change ch = change_of(CHANGE_CONVERSATION_UPDATE, "c1");
	struct outcome o;

	(void)state;
	assert_int_equal(state_create(s, t, "c1", NULL, NULL, NULL), 0);
	ch.has_title = true;
	ch.if_version = 7;
	assert_int_equal(state_commit(s, t, &ch, &o), STORE_PRECONDITION);
	assert_int_equal(o.version, 1);
	store_outcome_fini(&o);
	ch.if_version = 1;
	assert_int_equal(state_commit(s, t, &ch, NULL), STORE_OK);
	assert_int_equal(state_commit(s, t, &ch, &o), STORE_PRECONDITION);
	assert_int_equal(o.version, 2);
	store_outcome_fini(&o);
	ch.kind = CHANGE_CONVERSATION_DELETE;
	assert_int_equal(state_commit(s, t, &ch, NULL), STORE_PRECONDITION);
	ch.if_version = 2;
	assert_int_equal(state_commit(s, t, &ch, NULL), STORE_OK);
}

/* --- items -------------------------------------------------------------- */

#define NITEMS	57

/* Item number i of those that are left, as the model has them. */
static size_t kept[NITEMS], nkept;

static void
check_page(const char *after, size_t from, enum store_order order,
    size_t limit)
{
	struct items_page p;
	size_t i, left, at;
	char id[16];

	assert_int_equal(store_items(t, "c1", NULL, after, order, limit, &p),
	    STORE_OK);
	left = nkept - from;
	assert_int_equal(p.nitems, left < limit ? left : limit);
	assert_int_equal(p.has_more, left > limit);
	for (i = 0; i < p.nitems; i++) {
		at = order == STORE_ASC ? from + i : nkept - 1 - from - i;
		(void)snprintf(id, sizeof(id), "m%zu", kept[at]);
		assert_string_equal(p.items[i]->id, id);
		assert_int_equal(p.items[i]->position, kept[at] + 1);
	}
	store_items_fini(&p);
}

static void
pages_of_items(void **state)
{
	static const size_t limits[] = { 1, 2, 7, 56, 57, 1000 };
	struct items_page p;
	size_t i, l;
	char id[16];

	(void)state;
	assert_int_equal(state_create(s, t, "c1", NULL, NULL, NULL), 0);
	nkept = 0;
	check_page(NULL, 0, STORE_ASC, 5);
	check_page(NULL, 0, STORE_DESC, 5);
	for (i = 0; i < NITEMS; i++) {
		(void)snprintf(id, sizeof(id), "m%zu", i);
		assert_int_equal(state_append(s, t, "c1", id, "x", NULL,
		    NULL), 0);
	}
	for (i = 0; i < NITEMS; i++) {
		(void)snprintf(id, sizeof(id), "m%zu", i);
		if (i % 10 == 3)
			assert_int_equal(state_delete_item(s, t, "c1", id), 0);
		else
			kept[nkept++] = i;
	}
	for (l = 0; l < sizeof(limits) / sizeof(limits[0]); l++) {
		check_page(NULL, 0, STORE_ASC, limits[l]);
		check_page(NULL, 0, STORE_DESC, limits[l]);
		for (i = 0; i < nkept; i++) {
			(void)snprintf(id, sizeof(id), "m%zu", kept[i]);
			check_page(id, i + 1, STORE_ASC, limits[l]);
			check_page(id, nkept - i, STORE_DESC, limits[l]);
		}
	}
	assert_int_equal(store_items(t, "c1", NULL, "m3", STORE_ASC, 5, &p),
	    STORE_NOCURSOR);
	store_items_fini(&p);
}

/* Append several; ids that begin with 'm' are minted by us. */
static enum store_err
append_ids(const char *id, const char *const *ids, const char *text,
    struct outcome *o)
{
	struct change ch = change_of(CHANGE_ITEMS_APPEND, id);
	struct item *v[8];
	bool minted[8];
	enum store_err err;
	size_t n;

	for (n = 0; ids[n] != NULL; n++) {
		v[n] = state_item(ids[n], text);
		minted[n] = ids[n][0] == 'm';
	}
	ch.items = v;
	ch.is_minted = minted;
	ch.nitems = n;
	err = state_commit(s, t, &ch, o);
	while (n > 0)
		item_unref(v[--n]);
	return (err);
}

static void
ids_are(const struct outcome *o, const char *const *ids)
{
	size_t i;

	for (i = 0; ids[i] != NULL; i++) {
		assert_true(i < o->nitems);
		assert_string_equal(o->items[i]->id, ids[i]);
	}
	assert_int_equal(o->nitems, i);
}

#define IDS(...)	((const char *const[]){ __VA_ARGS__, NULL })

/* Ids that clients choose are the cheapest idempotency (API.md). */
static void
client_ids(void **state)
{
	struct change ch = change_of(CHANGE_ITEMS_APPEND, "c1");
	struct items_page p;
	struct outcome o;
	struct item *it;
	const char *json;

	(void)state;
	assert_int_equal(state_create(s, t, "c1", NULL, NULL, NULL), 0);
	assert_int_equal(append_ids("c1", IDS("a", "b"), "x", &o), 0);
	assert_false(o.is_repeat);
	store_outcome_fini(&o);
	/* All there already: nothing is added, all are told. */
	assert_int_equal(append_ids("c1", IDS("b", "a"), "x", &o), 0);
	assert_true(o.is_repeat);
	assert_int_equal(o.version, 2);
	ids_are(&o, IDS("b", "a"));
	store_outcome_fini(&o);
	/* Some: they keep their place, the new ones are appended. */
	assert_int_equal(append_ids("c1", IDS("c", "a", "m1"), "x", &o), 0);
	assert_false(o.is_repeat);
	assert_int_equal(o.version, 3);
	ids_are(&o, IDS("c", "a", "m1"));
	assert_int_equal(o.items[1]->position, 1);
	store_outcome_fini(&o);
	/* Other content: the whole batch is refused. */
	assert_int_equal(append_ids("c1", IDS("new", "a"), "y", &o),
	    STORE_CONFLICT);
	store_outcome_fini(&o);
	assert_int_equal(store_items(t, "c1", NULL, NULL, STORE_ASC, 9, &p),
	    0);
	assert_int_equal(p.nitems, 4);
	assert_string_equal(p.items[0]->id, "a");
	assert_string_equal(p.items[1]->id, "b");
	assert_string_equal(p.items[2]->id, "c");
	assert_string_equal(p.items[3]->id, "m1");
	store_items_fini(&p);
	/* Equal whatever the order of members and the way a number is put. */
	json = "{\"id\":\"n\",\"type\":\"x\",\"v\":[1.50,{\"b\":1,\"a\":2}]}";
	it = item_new("n", json, strlen(json));
	ch.items = &it;
	ch.nitems = 1;
	assert_int_equal(state_commit(s, t, &ch, NULL), 0);
	item_unref(it);
	json = "{\"v\":[1.5,{\"a\":2,\"b\":1}],\"id\":\"n\",\"type\":\"x\"}";
	it = item_new("n", json, strlen(json));
	assert_int_equal(state_commit(s, t, &ch, &o), 0);
	assert_true(o.is_repeat);
	item_unref(it);
	store_outcome_fini(&o);
	/* A deleted one's id is new again. */
	assert_int_equal(state_delete_item(s, t, "c1", "a"), 0);
	assert_int_equal(append_ids("c1", IDS("a"), "y", &o), 0);
	assert_false(o.is_repeat);
	assert_int_equal(o.items[0]->position, 6);
	store_outcome_fini(&o);
}

/* --- lists -------------------------------------------------------------- */

#define NCONV	40

struct row {
	char	 id[16];
	const char *user;
	int64_t	 created_at;
	int64_t	 updated_at;
	uint64_t lsn;
	int	 color;
};
static struct row rows[NCONV];
static const struct list_query *query;		/* for compare_rows */

static int64_t
key_of(const struct row *r)
{

	return (query->sort == STORE_BY_UPDATED ? r->updated_at :
	    r->created_at);
}

static int
compare_rows(const void *a, const void *b)
{
	const struct row *ra = a, *rb = b;
	int sign = query->order == STORE_ASC ? 1 : -1;

	if (key_of(ra) != key_of(rb))
		return (key_of(ra) < key_of(rb) ? -sign : sign);
	if (query->sort == STORE_BY_UPDATED)
		return (ra->lsn < rb->lsn ? -sign : sign);
	return (strcmp(ra->id, rb->id) * sign);
}

/* Those the query asks for, in its order. */
static size_t
model_list(const struct list_query *q, struct row *v)
{
	size_t i, n = 0;

	query = q;
	for (i = 0; i < NCONV; i++) {
		if (q->user != NULL && (rows[i].user == NULL ||
		    strcmp(q->user, rows[i].user) != 0))
			continue;
		if (q->nmetadata > 0 && (rows[i].color == 0 ||
		    atoi(q->metadata_values[0]) != rows[i].color))
			continue;
		v[n++] = rows[i];
	}
	qsort(v, n, sizeof(*v), compare_rows);
	return (n);
}

static void
page_is(const struct list_query *q, const struct row *v, size_t n, bool more)
{
	struct list_page p;
	size_t i;

	assert_int_equal(store_list(t, q, &p), STORE_OK);
	assert_int_equal(p.nviews, n);
	assert_int_equal(p.has_more, more);
	for (i = 0; i < n; i++)
		assert_string_equal(p.views[i].id, v[i].id);
	if (n > 0)
		assert_string_equal(p.last.id, v[n - 1].id);
	store_list_fini(&p);
}

/* Every page of this query, by id, by cursor and backwards. */
static void
walk_query(struct list_query *q)
{
	struct row v[NCONV];
	struct list_cursor at;
	size_t i, n, len, from;

	n = model_list(q, v);
	page_is(q, v, n < q->limit ? n : q->limit, n > q->limit);
	for (i = 0; i < n; i++) {
		len = n - i - 1 < q->limit ? n - i - 1 : q->limit;
		q->after_id = v[i].id;
		page_is(q, v + i + 1, len, n - i - 1 > q->limit);
		q->after_id = NULL;
		at.key = key_of(&v[i]);
		at.tie = q->sort == STORE_BY_UPDATED ? v[i].lsn : 0;
		strlcpy(at.id, v[i].id, sizeof(at.id));
		q->after = &at;
		page_is(q, v + i + 1, len, n - i - 1 > q->limit);
		q->after = NULL;
		from = i > q->limit ? i - q->limit : 0;
		q->before_id = v[i].id;
		page_is(q, v + from, i - from, i > q->limit);
		q->before_id = NULL;
	}
}

static void
refresh_rows(void)
{
	struct conversation_view v;
	uint64_t lsn;
	int i;

	for (i = 0; i < NCONV; i++) {
		assert_int_equal(store_conversation(t, rows[i].id, NULL, &v,
		    &lsn), 0);
		rows[i].created_at = v.created_at;
		rows[i].updated_at = v.updated_at;
		rows[i].lsn = v.lsn;
		store_view_fini(&v);
	}
}

static void
make_rows(void)
{
	static const char *const users[] = { NULL, "u1", "u2" };
	char json[64];
	int i;

	for (i = 0; i < NCONV; i++) {
		(void)snprintf(rows[i].id, sizeof(rows[i].id), "c%d",
		    (i * 17) % NCONV);
		rows[i].user = users[i % 3];
		rows[i].color = i % 4;
		assert_int_equal(state_create(s, t, rows[i].id, rows[i].user,
		    NULL, NULL), 0);
		if (i % 4 != 0) {
			(void)snprintf(json, sizeof(json),
			    "{\"c\\u006flor\":\"%d\",\"x\":\"y\"}", i % 4);
			set_metadata(rows[i].id, json, false, 0, json);
		}
	}
	for (i = 0; i < NCONV; i += 3)
		assert_int_equal(state_retitle(s, t, rows[(i * 7) % NCONV].id,
		    "x"), 0);
	refresh_rows();
}

static void
lists(void **state)
{
	static const size_t limits[] = { 1, 3, 39, 40, 1000 };
	const char *keys[] = { "color", "x" }, *values[] = { "2", "y" };
	struct list_query q;
	struct list_page p;
	size_t i;
	int mode;

	(void)state;
	make_rows();
	for (i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
		for (mode = 0; mode < 16; mode++) {
			memset(&q, 0, sizeof(q));
			q.limit = limits[i];
			q.sort = mode & 1 ? STORE_BY_UPDATED :
			    STORE_BY_CREATED;
			q.order = mode & 2 ? STORE_ASC : STORE_DESC;
			q.user = mode & 4 ? "u1" : NULL;
			q.metadata_keys = keys;
			q.metadata_values = values;
			q.nmetadata = mode & 8 ? 2 : 0;
			walk_query(&q);
		}
	/* What is not there, or another user's, is no cursor. */
	memset(&q, 0, sizeof(q));
	q.limit = 5;
	q.after_id = "none";
	assert_int_equal(store_list(t, &q, &p), STORE_NOCURSOR);
	q.after_id = rows[2].id;	/* of u2 */
	q.user = "u1";
	assert_int_equal(store_list(t, &q, &p), STORE_NOCURSOR);
	q.after_id = NULL;
	q.before_id = rows[2].id;
	assert_int_equal(store_list(t, &q, &p), STORE_NOCURSOR);
	/* A place whose conversation went is a place all the same. */
	{
		struct list_cursor at = { rows[2].created_at, 0, "" };
		size_t behind = 0;

		/* Those of the same millisecond stand in order of their ids. */
		for (i = 0; i < NCONV; i++)
			if (rows[i].created_at > at.key ||
			    (rows[i].created_at == at.key &&
			    strcmp(rows[i].id, rows[2].id) > 0))
				behind++;
		memset(&q, 0, sizeof(q));
		q.limit = 1000;
		q.sort = STORE_BY_CREATED;
		q.order = STORE_ASC;
		strlcpy(at.id, rows[2].id, sizeof(at.id));
		assert_int_equal(state_delete(s, t, rows[2].id, NULL), 0);
		q.after = &at;
		assert_int_equal(store_list(t, &q, &p), STORE_OK);
		assert_int_equal(p.nviews, behind);
		store_list_fini(&p);
	}
}

/* --- idempotency -------------------------------------------------------- */

static void
once_keys(void **state)
{
	struct outcome o;
	int round;

	(void)state;
	assert_int_equal(state_create(s, t, "c1", NULL, "k1", NULL), 0);
	assert_int_equal(state_append(s, t, "c1", "m1", "x", "k2", NULL), 0);
	assert_int_equal(state_append(s, t, "c1", "m2", "y", "k3", NULL), 0);
	assert_int_equal(state_create(s, t, "gone", NULL, "k4", NULL), 0);
	assert_int_equal(state_delete(s, t, "gone", "k5"), 0);
	/* Live, after a restart, and after one with everything flushed. */
	for (round = 0; round < 3; round++) {
		assert_int_equal(state_create(s, t, "c9", NULL, "k1", &o), 0);
		assert_true(o.is_repeat);
		assert_int_equal(o.version, 1);
		assert_string_equal(o.conversation, "c1");
		store_outcome_fini(&o);
		assert_int_equal(state_append(s, t, "c1", "m9", "x", "k2",
		    &o), 0);
		assert_true(o.is_repeat);
		assert_int_equal(o.version, 2);
		ids_are(&o, IDS("m1"));
		assert_int_equal(o.view.item_count, 2);
		store_outcome_fini(&o);
		assert_int_equal(state_append(s, t, "c1", "m9", "z", "k3",
		    NULL), STORE_REUSED);
		assert_int_equal(state_create(s, t, "g2", NULL, "k4", NULL),
		    STORE_NOENT);
		assert_int_equal(state_delete(s, t, "gone", "k5"), STORE_OK);
		assert_int_equal(state_delete(s, t, "gone", "k6"),
		    STORE_NOENT);
		store_tenant_put(t);
		state_close(s);
		s = state_open(dir);
		t = state_tenant(s, "acme");
	}
	/* One deleted in between is left out of the first outcome. */
	assert_int_equal(state_delete_item(s, t, "c1", "m1"), 0);
	assert_int_equal(state_append(s, t, "c1", "m9", "x", "k2", &o), 0);
	assert_true(o.is_repeat);
	assert_int_equal(o.nitems, 0);
	store_outcome_fini(&o);
}

/* An unmodified client's retry: known by its count alone. */
static void
once_counts(void **state)
{
	struct change_once once = state_once(NULL, "body");
	struct change ch = change_of(CHANGE_ITEMS_APPEND, "c1");
	struct item *it = state_item("m1", "x");
	struct outcome o;

	(void)state;
	assert_int_equal(state_create(s, t, "c1", NULL, NULL, NULL), 0);
	ch.items = &it;
	ch.nitems = 1;
	ch.is_minted = &(const bool){ true };
	ch.once = &once;
	assert_int_equal(state_commit(s, t, &ch, NULL), 0);
	item_unref(it);
	it = state_item("m2", "x");
	once.retry_count = 1;
	assert_int_equal(state_commit(s, t, &ch, &o), 0);
	assert_true(o.is_repeat);
	ids_are(&o, IDS("m1"));
	store_outcome_fini(&o);
	/* Over a restart, too. */
	store_tenant_put(t);
	state_close(s);
	s = state_open(dir);
	t = state_tenant(s, "acme");
	assert_int_equal(state_commit(s, t, &ch, &o), 0);
	assert_true(o.is_repeat);
	store_outcome_fini(&o);
	once.retry_count = 0;
	assert_int_equal(state_commit(s, t, &ch, &o), 0);
	assert_false(o.is_repeat);
	store_outcome_fini(&o);
	item_unref(it);
}

static void
once_limit(void **state)
{
	struct store_options opt = state_options(dir);
	char key[16], id[16];
	pid_t holder;
	int i;

	(void)state;
	store_tenant_put(t);
	state_close(s);
	opt.once_limit = 3;
	assert_int_equal(store_open(&opt, &s, &holder), 0);
	t = state_tenant(s, "acme");
	assert_int_equal(state_create(s, t, "c1", NULL, NULL, NULL), 0);
	for (i = 0; i < 3; i++) {
		(void)snprintf(key, sizeof(key), "k%d", i);
		(void)snprintf(id, sizeof(id), "m%d", i);
		assert_int_equal(state_append(s, t, "c1", id, "x", key, NULL),
		    0);
	}
	assert_int_equal(state_append(s, t, "c1", "m9", "x", "k9", NULL),
	    STORE_ONCE_LIMIT);
	assert_int_equal(state_append(s, t, "c1", "m9", "x", "k0", NULL), 0);
	assert_int_equal(state_append(s, t, "c1", "m9", "x", NULL, NULL), 0);
	/*
	 * It is a conversation's limit: a tenant's conversations may be as
	 * many as it likes.
	 */
	for (i = 0; i < 10; i++) {
		(void)snprintf(key, sizeof(key), "c%d", i);
		(void)snprintf(id, sizeof(id), "new%d", i);
		assert_int_equal(state_create(s, t, id, NULL, key, NULL), 0);
	}
}

/* --- walls -------------------------------------------------------------- */

/* Nothing of another user, and nothing of another tenant. */
static void
walls(void **state)
{
	static const enum change_kind kinds[] = { CHANGE_CONVERSATION_UPDATE,
	    CHANGE_CONVERSATION_DELETE, CHANGE_ITEMS_APPEND,
	    CHANGE_ITEM_DELETE };
	struct tenant *other = state_tenant(s, "other");
	struct item *it = state_item("m1", "x"), *found;
	struct conversation_view v;
	struct items_page p;
	struct list_page l;
	struct list_query q = { .limit = 5, .user = "u2" };
	struct change ch;
	struct outcome o;
	uint64_t lsn, version;
	size_t i;

	(void)state;
	assert_int_equal(state_create(s, t, "c1", "u1", NULL, NULL), 0);
	assert_int_equal(state_create(s, t, "c2", NULL, NULL, NULL), 0);
	assert_int_equal(state_append(s, t, "c1", "m1", "x", NULL, NULL), 0);
	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		ch = change_of(kinds[i], "c1");
		ch.items = &it;
		ch.nitems = 1;
		strlcpy(ch.item, "m1", sizeof(ch.item));
		ch.user = "u2";
		/* With a version, too: the wall comes first, and tells none. */
		ch.if_version = 99;
		assert_int_equal(store_commit(s, t, &ch, &o), STORE_NOENT);
		assert_int_equal(o.version, 0);
		assert_int_equal(o.lsn, 0);
		strlcpy(ch.conversation, "c2", sizeof(ch.conversation));
		assert_int_equal(store_commit(s, t, &ch, &o), STORE_NOENT);
		strlcpy(ch.conversation, "c1", sizeof(ch.conversation));
		ch.user = NULL;
		assert_int_equal(store_commit(s, other, &ch, &o), STORE_NOENT);
		assert_int_equal(o.version, 0);
	}
	item_unref(it);
	assert_int_equal(store_conversation(t, "c1", "u2", &v, &lsn),
	    STORE_NOENT);
	assert_int_equal(lsn, 0);
	assert_int_equal(store_conversation(t, "c2", "u2", &v, &lsn),
	    STORE_NOENT);
	assert_int_equal(store_conversation(other, "c1", NULL, &v, &lsn),
	    STORE_NOENT);
	assert_int_equal(store_items(t, "c1", "u2", NULL, STORE_ASC, 5, &p),
	    STORE_NOENT);
	assert_int_equal(store_items(other, "c1", NULL, NULL, STORE_ASC, 5,
	    &p), STORE_NOENT);
	assert_int_equal(store_item(t, "c1", "u2", "m1", &found, &version,
	    &lsn), STORE_NOENT);
	assert_int_equal(store_list(t, &q, &l), 0);
	assert_int_equal(l.nviews, 0);
	store_list_fini(&l);
	q.user = NULL;
	assert_int_equal(store_list(other, &q, &l), 0);
	assert_int_equal(l.nviews, 0);
	store_list_fini(&l);
	/* Its own it sees; and the same id may live in both tenants. */
	assert_int_equal(store_conversation(t, "c1", "u1", &v, &lsn), 0);
	store_view_fini(&v);
	assert_int_equal(state_create(s, other, "c1", NULL, NULL, NULL), 0);
	store_tenant_put(other);
}

/* --- tenants ------------------------------------------------------------ */

static int
count_name(const char *name, void *arg)
{

	(void)name;
	++*(int *)arg;
	return (0);
}

static void
credentials(void **state)
{
	struct credential k = { .id = "key_1", .label = "one",
	    .created_at = 5 }, *v;
	struct change ch = { .kind = CHANGE_APIKEY_ADD, .credential = &k };
	unsigned char hash[KEY_HASH_SIZE];
	char id[ID_SIZE];
	uint64_t lsn;
	size_t n;
	int round;

	(void)state;
	memset(k.hash, 7, sizeof(k.hash));
	memcpy(hash, k.hash, sizeof(hash));
	assert_int_equal(state_commit(s, t, &ch, NULL), 0);
	assert_int_equal(state_commit(s, t, &ch, NULL), STORE_EXISTS);
	ch.kind = CHANGE_JWTKEY_ADD;
	memset(k.secret, 9, 32);
	k.secret_len = 32;
	assert_int_equal(state_commit(s, t, &ch, NULL), 0);
	for (round = 0; round < 3; round++) {
		assert_int_equal(store_apikey_check(t, hash, id, &lsn), 0);
		assert_string_equal(id, "key_1");
		hash[31] ^= 1;
		assert_int_equal(store_apikey_check(t, hash, id, &lsn),
		    STORE_NOENT);
		hash[31] ^= 1;
		assert_int_equal(store_jwtkeys(t, &v, &n, &lsn), 0);
		assert_int_equal(n, 1);
		assert_int_equal(v[0].secret_len, 32);
		assert_memory_equal(v[0].secret, k.secret, 32);
		store_credentials_free(v, n);
		store_tenant_put(t);
		state_close(s);
		s = state_open(dir);
		t = state_tenant(s, "acme");
	}
	ch.kind = CHANGE_APIKEY_REVOKE;
	assert_int_equal(state_commit(s, t, &ch, NULL), 0);
	assert_int_equal(state_commit(s, t, &ch, NULL), STORE_NOENT);
	assert_int_equal(store_apikey_check(t, hash, id, &lsn), STORE_NOENT);
	assert_int_equal(store_apikeys(t, &v, &n, &lsn), 0);
	assert_int_equal(n, 0);
	assert_null(v);
}

/* Cold at first: one level a call, and no call blocks in between. */
static void
cold(void **state)
{
	struct change ch = change_of(CHANGE_CONVERSATION_CREATE, "c2");
	struct conversation_view v;
	struct list_query q = { .limit = 5 };
	struct list_page l;
	struct outcome o;
	uint64_t lsn;

	(void)state;
	assert_int_equal(state_create(s, t, "c1", NULL, NULL, NULL), 0);
	store_tenant_put(t);
	state_close(s);
	/* Closed well, the journal is in documents: nothing is replayed. */
	s = state_open(dir);
	state_close(s);
	{
		char path[128];

		(void)snprintf(path, sizeof(path), "%s/journal", dir);
		state_remove(path);
	}
	s = state_open(dir);
	assert_int_equal(store_tenant_get(s, "none", 4, &t), STORE_NOENT);
	assert_int_equal(store_tenant_get(s, "../x", 4, &t), STORE_NOENT);
	assert_int_equal(store_warm(s, "none", 4), STORE_NOENT);
	assert_int_equal(store_tenant_get(s, "acme", 4, &t), STORE_COLD);
	assert_int_equal(store_warm(s, "acme", 4), STORE_OK);
	assert_int_equal(store_tenant_get(s, "acme", 4, &t), STORE_OK);
	assert_int_equal(store_conversation(t, "c1", NULL, &v, &lsn),
	    STORE_COLD);
	assert_int_equal(store_commit(s, t, &ch, &o), STORE_COLD);
	ch.kind = CHANGE_CONVERSATION_UPDATE;
	assert_int_equal(store_commit(s, t, &ch, &o), STORE_COLD);
	assert_int_equal(store_list(t, &q, &l), STORE_COLD);
	store_list_fini(&l);
	assert_int_equal(store_warm(s, "acme", 4), STORE_OK);
	assert_int_equal(store_conversation(t, "c1", NULL, &v, &lsn), 0);
	store_view_fini(&v);
	assert_int_equal(store_warm(s, "acme", 4), STORE_OK);
	ch = (struct change){ .kind = CHANGE_TENANT_CREATE,
	    .tenant = "acme" };
	assert_int_equal(store_commit(s, NULL, &ch, &o), STORE_EXISTS);
}

/*
 * A document that a hand put there may be newer than any number the journal
 * knows of: no change gets one that replay would take for older.
 */
static void
numbers_follow_documents(void **state)
{
	struct outcome o;
	uint64_t newest = 0;
	char path[128], id[8];
	int i;

	(void)state;
	assert_int_equal(state_create(s, t, "c1", NULL, NULL, NULL), 0);
	for (i = 0; i < 20; i++) {
		(void)snprintf(id, sizeof(id), "m%d", i);
		assert_int_equal(state_append(s, t, "c1", id, "one", NULL,
		    &o), 0);
		newest = o.lsn;
		store_outcome_fini(&o);
	}
	store_tenant_put(t);
	state_close(s);
	(void)snprintf(path, sizeof(path), "%s/journal", dir);
	state_remove(path);

	s = state_open(dir);
	t = state_tenant(s, "acme");
	assert_int_equal(state_append(s, t, "c1", "last", "two", NULL, &o), 0);
	assert_true(o.lsn > newest);
	store_outcome_fini(&o);
}

static void
warm(void *arg)
{

	(void)arg;
	assert_int_equal(store_warm(s, "acme", 4), STORE_OK);
}

/* Who comes while another loads waits for it, and not longer. */
static void
cold_for_two(void **state)
{
	static const struct timespec nap = { 0, 30000000 };
	struct thread first, second;
	char path[128];

	(void)state;
	store_tenant_put(t);
	state_close(s);
	s = state_open(dir);
	state_close(s);
	(void)snprintf(path, sizeof(path), "%s/journal", dir);
	state_remove(path);
	s = state_open(dir);
	fault_gate_close(FAULT_READ);
	assert_int_equal(thread_start(&first, "first", warm, NULL), 0);
	assert_true(fault_gate_await());
	assert_int_equal(thread_start(&second, "second", warm, NULL), 0);
	/* Time for the second to begin to wait; one that is late passes. */
	(void)nanosleep(&nap, NULL);
	fault_gate_open();
	thread_join(&first);
	thread_join(&second);
	assert_int_equal(store_tenant_get(s, "acme", 4, &t), STORE_OK);
}

/* --- the lock ----------------------------------------------------------- */

static void
second_open(void **state)
{
	struct store_options o = state_options(dir);
	struct store *two;
	pid_t holder = -1;

	(void)state;
	assert_int_equal(store_open(&o, &two, &holder), -1);
	assert_int_equal(errno, EWOULDBLOCK);
	assert_int_equal(holder, getpid());
	/* And the first goes on. */
	assert_int_equal(state_create(s, t, "c1", NULL, NULL, NULL), 0);
}

/* --- promise 2 ---------------------------------------------------------- */

static void
not_yet(uint64_t lsn)
{

	assert_true(lsn > store_durable(s));
}

/* With a change on its way to the disk, nobody is shown it, errors too. */
static void
observed_is_durable(void **state)
{
	const char *key = "k", *value = "old";
	struct list_query q = { .limit = 5 }, by_user = { .limit = 5,
	    .user = "u1" }, filtered = { .limit = 5, .metadata_keys = &key,
	    .metadata_values = &value, .nmetadata = 1 };
	struct change ch;
	struct conversation_view v;
	struct items_page p;
	struct list_page l;
	struct outcome o;
	struct item *it = state_item("m1", "other"), *found;
	uint64_t lsn, version;
	int n = 0;

	(void)state;
	assert_int_equal(state_create(s, t, "c1", "u1", NULL, NULL), 0);
	assert_int_equal(state_create(s, t, "c2", NULL, NULL, NULL), 0);
	assert_int_equal(state_create(s, t, "c3", NULL, NULL, NULL), 0);
	assert_int_equal(state_append(s, t, "c1", "m1", "x", NULL, NULL), 0);
	set_metadata("c3", "{\"k\":\"old\"}", false, 0, "{\"k\":\"old\"}");
	assert_int_equal(store_list(t, &q, &l), 0);
	assert_true(l.lsn <= store_durable(s));
	store_list_fini(&l);

	fault_gate_close(FAULT_FDATASYNC);
	/* An item goes. */
	ch = change_of(CHANGE_ITEM_DELETE, "c1");
	strlcpy(ch.item, "m1", sizeof(ch.item));
	assert_int_equal(store_commit(s, t, &ch, &o), STORE_OK);
	not_yet(o.lsn);
	store_outcome_fini(&o);
	assert_true(fault_gate_await());
	assert_int_equal(store_conversation(t, "c1", NULL, &v, &lsn), 0);
	not_yet(lsn);
	store_view_fini(&v);
	assert_int_equal(store_item(t, "c1", NULL, "m1", &found, &version,
	    &lsn), STORE_NOITEM);
	not_yet(lsn);
	assert_int_equal(store_items(t, "c1", NULL, NULL, STORE_ASC, 5, &p),
	    0);
	not_yet(p.lsn);
	store_items_fini(&p);
	assert_int_equal(store_items(t, "c1", NULL, "m1", STORE_ASC, 5, &p),
	    STORE_NOCURSOR);
	not_yet(p.lsn);
	store_items_fini(&p);
	assert_int_equal(store_commit(s, t, &ch, &o), STORE_NOITEM);
	not_yet(o.lsn);
	ch.if_version = 1;
	assert_int_equal(store_commit(s, t, &ch, &o), STORE_PRECONDITION);
	not_yet(o.lsn);
	/* Other conversations do not wait, and strangers learn nothing. */
	assert_int_equal(store_conversation(t, "c2", NULL, &v, &lsn), 0);
	assert_true(lsn <= store_durable(s));
	store_view_fini(&v);
	assert_int_equal(store_conversation(t, "c1", "u2", &v, &lsn),
	    STORE_NOENT);
	assert_int_equal(lsn, 0);
	fault_gate_open();
	assert_int_equal(store_wait(s, o.lsn), STORE_OK);

	/* The oldest moves to the end: its old page shows that it is gone. */
	fault_gate_close(FAULT_FDATASYNC);
	ch = change_of(CHANGE_CONVERSATION_UPDATE, "c2");
	ch.has_title = true;
	usleep(2000);
	assert_int_equal(store_commit(s, t, &ch, &o), STORE_OK);
	store_outcome_fini(&o);
	q.limit = 1;
	q.sort = STORE_BY_UPDATED;
	q.order = STORE_ASC;
	assert_int_equal(store_list(t, &q, &l), 0);
	assert_string_not_equal(l.views[0].id, "c2");
	not_yet(l.lsn);
	lsn = l.lsn;
	store_list_fini(&l);
	fault_gate_open();
	assert_int_equal(store_wait(s, lsn), STORE_OK);

	/* What no longer fits the filter is missed, so that waits too. */
	fault_gate_close(FAULT_FDATASYNC);
	ch = change_of(CHANGE_CONVERSATION_UPDATE, "c3");
	ch.metadata = (struct span){ "{}", 2 };
	ch.has_metadata = true;
	assert_int_equal(store_commit(s, t, &ch, &o), STORE_OK);
	assert_int_equal(store_list(t, &filtered, &l), 0);
	assert_int_equal(l.nviews, 0);
	not_yet(l.lsn);
	store_list_fini(&l);
	fault_gate_open();
	assert_int_equal(store_wait(s, o.lsn), STORE_OK);
	store_outcome_fini(&o);

	/* A deletion: NOENT, EXISTS, and the list without it. */
	fault_gate_close(FAULT_FDATASYNC);
	ch = change_of(CHANGE_CONVERSATION_DELETE, "c1");
	assert_int_equal(store_commit(s, t, &ch, &o), STORE_OK);
	lsn = 0;
	assert_int_equal(store_conversation(t, "c1", NULL, &v, &lsn),
	    STORE_NOENT);
	not_yet(lsn);
	assert_int_equal(store_commit(s, t, &ch, &o), STORE_NOENT);
	not_yet(o.lsn);
	ch.kind = CHANGE_ITEMS_APPEND;
	ch.items = &it;
	ch.nitems = 1;
	assert_int_equal(store_commit(s, t, &ch, &o), STORE_NOENT);
	not_yet(o.lsn);
	ch.kind = CHANGE_CONVERSATION_CREATE;
	ch.nitems = 0;
	assert_int_equal(store_commit(s, t, &ch, &o), STORE_EXISTS);
	not_yet(o.lsn);
	assert_int_equal(store_list(t, &by_user, &l), 0);
	assert_int_equal(l.nviews, 0);
	not_yet(l.lsn);
	store_list_fini(&l);
	by_user.after_id = "c1";
	assert_int_equal(store_list(t, &by_user, &l), STORE_NOCURSOR);
	not_yet(l.lsn);
	store_list_fini(&l);
	/* A tenant, too. */
	ch = (struct change){ .kind = CHANGE_TENANT_CREATE, .tenant = "new" };
	assert_int_equal(store_commit(s, NULL, &ch, &o), STORE_OK);
	not_yet(o.lsn);
	lsn = o.lsn;
	store_outcome_fini(&o);
	assert_int_equal(store_commit(s, NULL, &ch, &o), STORE_EXISTS);
	not_yet(o.lsn);
	assert_int_equal(store_tenants(s, count_name, &n), 0);
	assert_int_equal(n, 1);
	fault_gate_open();
	assert_int_equal(store_wait(s, lsn), STORE_OK);
	n = 0;
	assert_int_equal(store_tenants(s, count_name, &n), 0);
	assert_int_equal(n, 2);
	item_unref(it);
}

/* --- promise 8 ---------------------------------------------------------- */

/* A sick disk: refused at once, reads go on, and it comes back by itself. */
static void
sick(void **state)
{
	struct change ch = change_of(CHANGE_CONVERSATION_UPDATE, "c1");
	struct conversation_view v;
	struct outcome o;
	enum store_err err;
	uint64_t lsn, first;
	int i, n = 0;

	(void)state;
	assert_int_equal(state_create(s, t, "c1", NULL, NULL, NULL), 0);
	assert_int_equal(state_create(s, t, "c2", NULL, NULL, NULL), 0);
	fault_arm_forever(FAULT_PWRITEV, 1, ENOSPC);
	ch.has_title = true;
	assert_int_equal(store_commit(s, t, &ch, &o), STORE_OK);
	first = o.lsn;
	store_outcome_fini(&o);
	assert_int_equal(store_wait(s, first), STORE_SICK);
	assert_int_equal(store_health(s), STORE_FULL);
	assert_int_equal(store_commit(s, t, &ch, &o), STORE_FULL);
	assert_int_equal(o.lsn, 0);
	ch = (struct change){ .kind = CHANGE_TENANT_CREATE, .tenant = "new" };
	assert_int_equal(store_commit(s, NULL, &ch, &o), STORE_FULL);
	/* A tenant that was refused is not there. */
	assert_int_equal(store_tenants(s, count_name, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(store_conversation(t, "c2", NULL, &v, &lsn), 0);
	assert_true(lsn <= store_durable(s));
	store_view_fini(&v);
	assert_int_equal(store_flush(s), -1);
	fault_disarm();
	for (i = 0; i < 100 && (err = store_health(s)) != STORE_OK; i++)
		usleep(50 * 1000);
	assert_int_equal(err, STORE_OK);
	/* What waited is durable now, and nothing got lost. */
	assert_int_equal(store_wait(s, first), STORE_OK);
	assert_int_equal(state_retitle(s, t, "c1", "later"), 0);
	assert_int_equal(store_conversation(t, "c1", NULL, &v, &lsn), 0);
	assert_int_equal(v.version, 3);
	store_view_fini(&v);
	assert_int_equal(store_flush(s), 0);
}

/* --- promise 6 ---------------------------------------------------------- */

#define WRITERS	4

struct writer {
	struct thread	 thread;
	int		 number;
	atomic_int	 acked;		/* items that are durable */
	atomic_bool	*stop;
};

static void
write_items(void *arg)
{
	struct writer *w = arg;
	char id[16], item[32];
	int i;

	(void)snprintf(id, sizeof(id), "w%d", w->number);
	for (i = 0; !atomic_load(w->stop); i++) {
		(void)snprintf(item, sizeof(item), "i%d", i);
		if (state_append(s, t, id, item, "x", NULL, NULL) != STORE_OK)
			abort();
		atomic_store(&w->acked, i + 1);
	}
}

/* Copied while four write and one flushes: all that was acknowledged. */
static void
copies(void **state)
{
	struct writer w[WRITERS];
	struct conversation_view v;
	struct store *two;
	struct tenant *there;
	char copy[STATE_PATH], id[16];
	int i, round, acked[WRITERS];
	atomic_bool stop;
	uint64_t lsn;

	(void)state;
	atomic_init(&stop, false);
	state_folder(copy);
	for (i = 0; i < WRITERS; i++) {
		(void)snprintf(id, sizeof(id), "w%d", i);
		assert_int_equal(state_create(s, t, id, NULL, NULL, NULL), 0);
		w[i].number = i;
		w[i].stop = &stop;
		atomic_init(&w[i].acked, 0);
		assert_int_equal(thread_start(&w[i].thread, "writer",
		    write_items, &w[i]), 0);
	}
	for (round = 0; round < 6; round++) {
		usleep(20000);
		if (round % 2 == 1)
			store_flush_soon(s);
		for (i = 0; i < WRITERS; i++)
			acked[i] = atomic_load(&w[i].acked);
		state_copy(dir, copy);
		two = state_open(copy);
		there = state_tenant(two, "acme");
		for (i = 0; i < WRITERS; i++) {
			(void)snprintf(id, sizeof(id), "w%d", i);
			assert_int_equal(store_conversation(there, id, NULL,
			    &v, &lsn), 0);
			assert_true(v.item_count >= (uint64_t)acked[i]);
			assert_int_equal(v.version, v.item_count + 1);
			store_view_fini(&v);
		}
		store_tenant_put(there);
		state_close(two);
	}
	atomic_store(&stop, true);
	for (i = 0; i < WRITERS; i++)
		thread_join(&w[i].thread);
	state_remove(copy);
}

/* Closed and opened: the same, byte for byte. */
static void
reopens(void **state)
{
	char *one, *two;

	(void)state;
	make_rows();
	assert_int_equal(state_delete(s, t, rows[3].id, "k"), 0);
	one = state_dump(s);
	store_tenant_put(t);
	state_close(s);
	s = state_open(dir);
	t = state_tenant(s, "acme");
	two = state_dump(s);
	assert_string_equal(one, two);
	free(one);
	free(two);
}

static int
setup(void **state)
{
	(void)state;
	fault_disarm();
	state_folder(dir);
	s = state_open(dir);
	t = state_tenant(s, "acme");
	return (0);
}

static int
teardown(void **state)
{
	(void)state;
	fault_disarm();
	store_tenant_put(t);
	state_close(s);
	state_remove(dir);
	return (0);
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(life),
		TEST(metadata),
		TEST(preconditions),
		TEST(pages_of_items),
		TEST(client_ids),
		TEST(lists),
		TEST(once_keys),
		TEST(once_counts),
		TEST(once_limit),
		TEST(walls),
		TEST(credentials),
		TEST(cold),
		TEST(numbers_follow_documents),
		TEST(cold_for_two),
		TEST(second_open),
		TEST(observed_is_durable),
		TEST(sick),
		TEST(copies),
		TEST(reopens),
	};

	fault_init();
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
