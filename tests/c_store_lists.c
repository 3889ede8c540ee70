/*
 * store.h: every list, in every order and page, is the one that a model of it
 * says, and the same after a restart.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bsd/string.h>

#include <cmocka.h>

#include "store/store.h"
#include "tests/opened.h"

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

/* Closed and opened: the same, byte for byte. */
static void
reopens(void **state)
{
	char *one, *two;

	(void)state;
	make_rows();
	assert_int_equal(state_delete(s, t, rows[3].id, "k"), 0);
	one = state_dump(s);
	reopen();
	two = state_dump(s);
	assert_string_equal(one, two);
	free(one);
	free(two);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(lists),
		TEST(reopens),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
