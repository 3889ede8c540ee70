/* fcgi/request: what was asked for, whatever bytes it was asked with. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fcgi/request.h"
#include "nomem.h"

/* The impossible allocations below must fail, not end the program. */
const char	*__asan_default_options(void);

const char *
__asan_default_options(void)
{
	return ("allocator_may_return_null=1");
}

static struct arena *arena;
static struct request req;
static struct pair params[8];
static size_t nparams;

/* Nothing here has a tenant. */
void
store_tenant_put(struct tenant *t)
{
	(void)t;
	fail();
}

static struct span
text(const char *s)
{
	return ((struct span){ s, strlen(s) });
}

static void
add(const char *name, const char *value)
{
	params[nparams++] = (struct pair){ text(name), text(value) };
}

static void
init(void)
{
	struct span body = { "body", 4 };

	arena_reset(arena);
	assert_int_equal(request_init(&req, NULL, arena, params, nparams, body,
	    false), 0);
	nparams = 0;
}

/* A request for this address. */
static void
ask(const char *uri)
{
	add("REQUEST_METHOD", "GET");
	add("REQUEST_URI", uri);
	init();
}

static void
assert_bytes(struct span s, const char *expect, size_t len)
{
	assert_int_equal(s.len, len);
	assert_memory_equal(s.p, expect, len);
	assert_int_equal(s.p[len], '\0');
}

static void
assert_segments(size_t n, const char *const *expect)
{
	size_t i;

	assert_false(req.is_path_bad);
	assert_int_equal(req.nsegments, n);
	for (i = 0; i < n; i++)
		assert_bytes(req.segments[i], expect[i], strlen(expect[i]));
}

static void
paths(void **state)
{
	(void)state;
	ask("/v1/conversations");
	assert_segments(2, (const char *[]){ "v1", "conversations" });
	assert_true(request_segment_is(&req, 0, "v1"));
	assert_false(request_segment_is(&req, 0, "v"));
	assert_false(request_segment_is(&req, 0, "v10"));
	assert_false(request_segment_is(&req, 2, ""));
	ask("/");
	assert_segments(1, (const char *[]){ "" });
	ask("/v1/");
	assert_segments(2, (const char *[]){ "v1", "" });
	ask("//v1//x");
	assert_segments(4, (const char *[]){ "", "v1", "", "x" });
	ask("/a+b/%2B?x=/y");
	assert_segments(2, (const char *[]){ "a+b", "+" });
}

/* path is not ended by a NUL of its own: it stands in the raw address. */
static void
raw_path(void **state)
{
	(void)state;
	ask("/a%20b?q=1");
	assert_int_equal(req.path.len, 6);
	assert_memory_equal(req.path.p, "/a%20b", 6);
}

static void
escapes(void **state)
{
	(void)state;
	ask("/%e2%82%AC/a%2Fb/%00x/%25/%3f");
	assert_int_equal(req.nsegments, 5);
	assert_false(req.is_path_bad);
	assert_bytes(req.segments[0], "\xe2\x82\xac", 3);
	assert_bytes(req.segments[1], "a/b", 3);
	assert_bytes(req.segments[2], "\0x", 2);
	assert_bytes(req.segments[3], "%", 1);
	assert_bytes(req.segments[4], "?", 1);
	/* Decoded once, not twice. */
	ask("/%2541");
	assert_bytes(req.segments[0], "%41", 3);
}

static void
bad_paths(void **state)
{
	static const char *const bad[] = { "/%", "/%4", "/%zz", "/%4g", "/a/%",
	    "/%-1", "/% 1", "/%+1", "", "v1", "?x", "*", "http://h/x" };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ask(bad[i]);
		assert_true(req.is_path_bad);
	}
	ask("/1/2/3/4/5/6/7/8/9/10/11/12");
	assert_false(req.is_path_bad);
	assert_int_equal(req.nsegments, REQUEST_SEGMENTS);
	ask("/1/2/3/4/5/6/7/8/9/10/11/12/");
	assert_true(req.is_path_bad);

	/* No address at all. */
	init();
	assert_true(req.is_path_bad);
	assert_string_equal(req.method_name, "");
	assert_int_equal(req.method, METHOD_OTHER);
}

static void
assert_query(const char *name, const char *value)
{
	struct span v;

	assert_true(request_query(&req, name, &v));
	assert_bytes(v, value, strlen(value));
}

static void
queries(void **state)
{
	struct span v;

	(void)state;
	ask("/x?limit=10&order=asc&&=&empty=&bare&a=b=c&limit=20");
	assert_query("limit", "10");
	assert_query("order", "asc");
	assert_query("empty", "");
	assert_query("bare", "");
	assert_query("a", "b=c");
	assert_query("", "");
	assert_false(request_query(&req, "lim", &v));
	assert_false(request_query(&req, "limits", &v));
	assert_int_equal(req.nquery, 7);

	ask("/x?include%5B%5D=a&include[]=b&metadata[k+1]=v%201+2&x=%");
	assert_query("include", "a");
	assert_query("include[]", "a");
	assert_query("metadata[k 1]", "v 1 2");
	assert_bytes(req.query[1].name, "include[]", 9);
	assert_bytes(req.query[1].value, "b", 1);
	/* Browsers and servers keep a '%' that escapes nothing. */
	assert_query("x", "%");

	ask("/x?a=%00b");
	assert_true(request_query(&req, "a", &v));
	assert_bytes(v, "\0b", 2);
	ask("/x?");
	assert_int_equal(req.nquery, 0);
	ask("/x?a?b=c?d");
	assert_query("a?b", "c?d");
}

static void
methods(void **state)
{
	static const struct {
		const char	*name;
		enum method	 method;
	} cases[] = {
		{ "GET", METHOD_GET }, { "HEAD", METHOD_HEAD },
		{ "POST", METHOD_POST }, { "PUT", METHOD_PUT },
		{ "PATCH", METHOD_PATCH }, { "DELETE", METHOD_DELETE },
		{ "OPTIONS", METHOD_OPTIONS }, { "get", METHOD_OTHER },
		{ "BREW", METHOD_OTHER }, { "", METHOD_OTHER }
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		add("REQUEST_METHOD", cases[i].name);
		init();
		assert_int_equal(req.method, cases[i].method);
		assert_string_equal(req.method_name, cases[i].name);
	}
}

static void
parameters(void **state)
{
	struct span v;

	(void)state;
	add("A", "1");
	add("AB", "2");
	add("A", "3");
	init();
	assert_bytes(request_param(&req, "A"), "1", 1);
	assert_bytes(request_param(&req, "AB"), "2", 1);
	v = request_param(&req, "B");
	assert_null(v.p);
	assert_int_equal(v.len, 0);
	assert_bytes(req.body, "body", 4);
}

/* nginx's id goes on if it can stand in a header and a log. */
static void
ids(void **state)
{
	static const char *const bad[] = { "", "seven77", "has space",
	    "has\nnewline", "has:colon", "ümlaut-ümlaut",
	    ("0123456789012345678901234567890123456789012345678901234567890123"
	    "4") };
	char first[ID_SIZE] = "";
	size_t i;

	(void)state;
	add("REQUEST_ID", "0123456789abcdef0123456789abcdef");
	init();
	assert_string_equal(req.id, "0123456789abcdef0123456789abcdef");
	add("REQUEST_ID", "aZ9_-xyz");
	init();
	assert_string_equal(req.id, "aZ9_-xyz");
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		add("REQUEST_ID", bad[i]);
		init();
		assert_memory_equal(req.id, "req_", 4);
		assert_true(id_is_valid(req.id, strlen(req.id)));
		assert_string_not_equal(req.id, first);
		memcpy(first, req.id, sizeof(first));
	}
}

/* An arena gives what was asked for, apart and aligned, and again. */
static void
arenas(void **state)
{
	static const size_t sizes[] = { 0, 1, 7, 16, 100, 4095, 4096, 5000,
	    65536, 1000000 };
	struct arena *a = arena_new();
	char *p[10];
	size_t i, round;

	(void)state;
	assert_non_null(a);
	for (round = 0; round < 3; round++) {
		for (i = 0; i < 10; i++) {
			p[i] = arena_alloc(a, sizes[i]);
			assert_non_null(p[i]);
			assert_int_equal((uintptr_t)p[i] % 16, 0);
			memset(p[i], (int)i, sizes[i]);
		}
		for (i = 1; i < 10; i++) {
			assert_int_equal(p[i][0], i);
			assert_int_equal(p[i][sizes[i] - 1], i);
		}
		arena_reset(a);
	}
	assert_string_equal(arena_copy(a, "abcdef", 3), "abc");
	assert_string_equal(arena_copy(a, NULL, 0), "");
	assert_null(arena_alloc(a, SIZE_MAX));
	assert_null(arena_alloc(a, SIZE_MAX - 64));
	assert_null(arena_copy(a, "", SIZE_MAX));
	arena_free(a);
	arena_free(NULL);
}

/* Every allocation fails once: told, and never half a request. */
static void
no_memory(void **state)
{
	char uri[12000];
	struct arena *a;
	size_t i;
	int n, rc;

	(void)state;
	/* More than the first blocks of the arena hold. */
	strcpy(uri, "/v1/conversations?");
	for (i = strlen(uri); i < sizeof(uri) - 5; i += 4)
		memcpy(uri + i, "a=b&", 5);
	for (n = 1; ; n++) {
		nomem_arm(n);
		if ((a = arena_new()) == NULL)
			continue;
		params[0] = (struct pair){ text("REQUEST_URI"), text(uri) };
		rc = request_init(&req, NULL, a, params, 1, text(""), false);
		arena_free(a);
		if (!nomem_fired())
			break;
		assert_int_equal(rc, -1);
		/* A reply can still name it. */
		assert_memory_equal(req.id, "req_", 4);
	}
	nomem_disarm();
	assert_int_equal(rc, 0);
	assert_true(n > 3);
}

static int
setup(void **state)
{
	(void)state;
	return ((arena = arena_new()) == NULL);
}

static int
teardown(void **state)
{
	(void)state;
	arena_free(arena);
	return (0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths),
		cmocka_unit_test(raw_path),
		cmocka_unit_test(escapes),
		cmocka_unit_test(bad_paths),
		cmocka_unit_test(queries),
		cmocka_unit_test(methods),
		cmocka_unit_test(parameters),
		cmocka_unit_test(ids),
		cmocka_unit_test(arenas),
		cmocka_unit_test(no_memory)
	};

	return (cmocka_run_group_tests(tests, setup, teardown));
}
