/* fcgi/query: what is asked for beside the body, and which retry it is. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "fcgi/query.h"

#include "fake_request.h"

FAKE_TENANT

/* --- query ---------------------------------------------------------------- */

static void
get(struct fake *f, const char *query, const char *const *headers)
{
	static char uri[2048];

	(void)snprintf(uri, sizeof(uri), "/v1/conversations?%s", query);
	fake_begin(f, "GET", uri, headers, "", 0);
}

static void
reads_limit(void **state)
{
	static const struct {
		const char	*query, *code, *end;	/* code NULL: taken */
		size_t		 limit;
	} cases[] = {
		{ "", NULL, NULL, 20 },
		{ "limit=1", NULL, NULL, 1 },
		{ "limit=1000", NULL, NULL, 1000 },
		{ "limit=0", "integer_below_min_value", "Invalid 'limit': "
		    "integer below minimum value. Expected a value >= 1, but "
		    "got 0 instead.", 0 },
		{ "limit=-3", "integer_below_min_value", "got -3 instead.",
		    0 },
		{ "limit=5000", "integer_above_max_value", "Invalid 'limit': "
		    "integer above maximum value. Expected a value <= 1000, "
		    "but got 5000 instead.", 0 },
		{ "limit=99999999999999999999", "integer_above_max_value",
		    "got 99999999999999999999 instead.", 0 },
		{ "limit=1.5", "invalid_type", "a decimal number instead.",
		    0 },
		{ "limit=abc", "invalid_type", "Invalid type for 'limit': "
		    "expected an integer, but got a string instead.", 0 },
		{ "limit=", "invalid_type", "a string instead.", 0 },
		{ "limit=1%00", "invalid_type", "a string instead.", 0 },
		{ "limit=%2B1", "invalid_type", "a string instead.", 0 },
	};
	struct fake f;
	size_t i, limit;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++) {
		get(&f, cases[i].query, NULL);
		if (cases[i].code == NULL) {
			assert_true(query_limit(&f.req, &limit, &f.rep));
			assert_int_equal(limit, cases[i].limit);
		} else {
			assert_false(query_limit(&f.req, &limit, &f.rep));
			fake_assert_error(&f, 400, cases[i].code, "limit",
			    cases[i].end);
		}
		fake_end(&f);
	}
}

static void
reads_words(void **state)
{
	enum store_order order;
	enum store_sort sort;
	struct fake f;
	bool times;

	(void)state;
	get(&f, "order=asc&sort=created_at&include%5B%5D=created_at&"
	    "include[]=reasoning.encrypted_content", NULL);
	assert_true(query_order(&f.req, &order, &f.rep));
	assert_int_equal(order, STORE_ASC);
	assert_true(query_sort(&f.req, &sort, &f.rep));
	assert_int_equal(sort, STORE_BY_CREATED);
	assert_true(query_include(&f.req, &times, &f.rep));
	assert_true(times);
	fake_end(&f);
	get(&f, "order=up&sort=title&include=created_at%00", NULL);
	assert_false(query_order(&f.req, &order, &f.rep));
	fake_assert_error(&f, 400, "invalid_value", "order", "Invalid value: "
	    "'up'. Supported values are: 'desc' and 'asc'.");
	assert_false(query_sort(&f.req, &sort, &f.rep));
	fake_assert_error(&f, 400, "invalid_value", "sort", "Invalid value: "
	    "'title'. Supported values are: 'updated_at' and 'created_at'.");
	assert_false(query_include(&f.req, &times, &f.rep));
	fake_assert_error(&f, 400, "invalid_value", "include",
	    "'message.output_text.logprobs', and 'created_at'.");
	fake_end(&f);
}

static void
reads_metadata_filters(void **state)
{
	struct list_query q;
	struct fake f;

	(void)state;
	memset(&q, 0, sizeof(q));
	get(&f, "metadata[a+b]=%C3%A9&limit=1&metadata%5Bc%5D=&metadata=x&"
	    "metadatax[y]=1", NULL);
	assert_true(query_metadata(&f.req, &q, &f.rep));
	assert_int_equal(q.nmetadata, 2);
	assert_string_equal(q.metadata_keys[0], "a b");
	assert_string_equal(q.metadata_values[0], "é");
	assert_string_equal(q.metadata_keys[1], "c");
	assert_string_equal(q.metadata_values[1], "");
	fake_end(&f);
}

static void
cursors_are_read_back_and_nothing_else(void **state)
{
	struct list_cursor c = { .key = 1700000000123, .tie = UINT64_MAX },
	    got;
	char text[QUERY_CURSOR], bad[QUERY_CURSOR + 2];
	size_t i;

	(void)state;
	memset(c.id, 'x', ID_MAX);
	c.id[ID_MAX] = '\0';
	query_cursor_write(text, STORE_BY_UPDATED, &c);
	assert_int_equal(strspn(text, "abcdefghijklmnopqrstuvwxyz"
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~"), strlen(text));
	assert_true(query_cursor_read(fake_span(text), STORE_BY_UPDATED,
	    &got));
	assert_int_equal(got.key, c.key);
	assert_true(got.tie == c.tie);
	assert_string_equal(got.id, c.id);
	assert_false(query_cursor_read(fake_span(text), STORE_BY_CREATED,
	    &got));
	assert_false(id_is_valid(text, strlen(text)));
	/* Each byte counts, and none may be missing or more. */
	for (i = 0; i < strlen(text); i++) {
		(void)strcpy(bad, text);
		bad[i] = bad[i] == '7' ? '8' : '7';
		assert_false(query_cursor_read(fake_span(bad),
		    STORE_BY_UPDATED, &got));
		bad[i] = '\0';
		assert_false(query_cursor_read(fake_span(bad),
		    STORE_BY_UPDATED, &got));
	}
	(void)sprintf(bad, "%s0", text);
	assert_false(query_cursor_read(fake_span(bad), STORE_BY_UPDATED,
	    &got));
	assert_false(query_cursor_read(fake_span(text + 1), STORE_BY_UPDATED,
	    &got));
}

static void
reads_if_match(void **state)
{
	static const struct {
		const char	*value;		/* NULL: no header */
		int		 status;	/* 0: taken */
		uint64_t	 version;
	} cases[] = {
		{ NULL, 0, 0 },
		{ "*", 0, 0 },
		{ "\"7\"", 0, 7 },
		{ "W/\"7\"", 0, 7 },
		{ "\"0\"", 0, UINT64_MAX },
		{ "\"abc\"", 0, UINT64_MAX },
		{ "\"07\"", 0, UINT64_MAX },
		{ "\"99999999999999999999\"", 0, UINT64_MAX },
		{ "7", 400, 0 },
		{ "", 400, 0 },
		{ "\"7", 400, 0 },
		{ "\"7\", \"8\"", 400, 0 },
	};
	const char *headers[] = { "HTTP_IF_MATCH", NULL, NULL };
	struct fake f;
	uint64_t version;
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++) {
		headers[1] = cases[i].value;
		get(&f, "", cases[i].value == NULL ? NULL : headers);
		assert_int_equal(query_if_match(&f.req, &version, &f.rep),
		    cases[i].status == 0);
		if (cases[i].status == 0)
			assert_true(version == cases[i].version);
		else
			fake_assert_error(&f, 400, "invalid_value",
			    "If-Match", "gives it.");
		fake_end(&f);
	}
}

static void
reads_if_none_match(void **state)
{
	static const struct {
		const char	*value;
		bool		 is_unchanged;	/* at version 7 */
	} cases[] = {
		{ "\"7\"", true }, { "W/\"7\"", true }, { "*", true },
		{ "\"6\", \"7\"", true }, { "\"x\" , W/\"7\"", true },
		{ "\"6\"", false }, { "7", false }, { "\"77\"", false },
		{ "", false }, { "\"7", false }, { "x, \"7\"", false },
	};
	const char *headers[] = { "HTTP_IF_NONE_MATCH", NULL, NULL };
	struct fake f;
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++) {
		headers[1] = cases[i].value;
		get(&f, "", headers);
		assert_int_equal(query_is_unchanged(&f.req, 7),
		    cases[i].is_unchanged);
		fake_end(&f);
	}
	get(&f, "", NULL);
	assert_false(query_is_unchanged(&f.req, 7));
	fake_end(&f);
}

/* --- retries -------------------------------------------------------------- */

struct once_case {
	const char	*tenant, *user, *method, *uri, *body, *key, *count;
};

static struct change_once
once_of(const struct once_case *c)
{
	static char key[300];
	const char *headers[] = { "HTTP_IDEMPOTENCY_KEY", c->key,
		"HTTP_X_STAINLESS_RETRY_COUNT", c->count, NULL };
	struct change_once once;
	struct fake f;

	fake_begin(&f, c->method, c->uri, headers, c->body, strlen(c->body));
	f.req.caller.tenant = (struct tenant *)(uintptr_t)c->tenant;
	f.req.caller.user = c->user;
	f.req.caller.credential = 5;
	assert_true(query_once(&f.req, &once, &f.rep));
	(void)strcpy(key, once.key);
	once.key = key;
	fake_end(&f);
	return (once);
}

static void
retries_are_known_by_who_what_and_where(void **state)
{
	static const struct once_case first = { "acme", NULL, "POST", "/v1/a",
		"{}", "k", "0" };
	static const struct {
		struct once_case	 other;
		bool			 same_scope, same_body;
	} cases[] = {
		{ { "acme", NULL, "POST", "/v1/a", "{}", "k", "1" }, true,
		    true },
		{ { "acme", NULL, "POST", "/v1/a", "{ }", "k", "0" }, true,
		    false },
		{ { "acme", NULL, "POST", "/v1/a?x", "{}", "k", "0" }, true,
		    true },
		{ { "acme2", NULL, "POST", "/v1/a", "{}", "k", "0" }, false,
		    true },
		{ { "acme", "ann", "POST", "/v1/a", "{}", "k", "0" }, false,
		    true },
		{ { "acme", NULL, "PATCH", "/v1/a", "{}", "k", "0" }, false,
		    false },
		{ { "acme", NULL, "POST", "/v1/b", "{}", "k", "0" }, false,
		    false },
	};
	struct change_once a = once_of(&first), b;
	size_t i;

	(void)state;
	assert_string_equal(a.key, "k");
	assert_int_equal(a.retry_count, 0);
	assert_int_equal(a.credential, 5);
	for (i = 0; i < NELEMS(cases); i++) {
		b = once_of(&cases[i].other);
		assert_int_equal(a.scope == b.scope, cases[i].same_scope);
		assert_int_equal(memcmp(a.body, b.body, BODY_HASH_SIZE) == 0,
		    cases[i].same_body);
	}
	b = once_of(&cases[0].other);
	assert_int_equal(b.retry_count, 1);
	/* Only a POST counts. */
	b = once_of(&(struct once_case){ "acme", NULL, "PATCH", "/v1/a", "{}",
	    "k", "3" });
	assert_int_equal(b.retry_count, 0);
}

static void
refuses_malformed_keys(void **state)
{
	static char long_key[257];
	const char *const bad[] = { "", "a\tb", "\xc3\xa9", long_key };
	const char *headers[] = { "HTTP_IDEMPOTENCY_KEY", NULL, NULL };
	struct change_once once;
	struct fake f;
	size_t i;

	(void)state;
	memset(long_key, 'x', 256);
	for (i = 0; i < NELEMS(bad); i++) {
		headers[1] = bad[i];
		get(&f, "", headers);
		assert_false(query_once(&f.req, &once, &f.rep));
		fake_assert_error(&f, 400, "invalid_value",
		    "Idempotency-Key", "printable ASCII characters.");
		fake_end(&f);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_limit),
		cmocka_unit_test(reads_words),
		cmocka_unit_test(reads_metadata_filters),
		cmocka_unit_test(cursors_are_read_back_and_nothing_else),
		cmocka_unit_test(reads_if_match),
		cmocka_unit_test(reads_if_none_match),
		cmocka_unit_test(retries_are_known_by_who_what_and_where),
		cmocka_unit_test(refuses_malformed_keys),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
