/* store/jsonscan: finds what jansson finds, and stays inside its bytes. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "store/jsonscan.h"

static struct span
span(const char *s)
{
	return ((struct span){ s, strlen(s) });
}

static void
assert_span(struct span got, const char *expect)
{
	assert_int_equal(got.len, strlen(expect));
	assert_memory_equal(got.p, expect, got.len);
}

static void
walks_objects(void **state)
{
	struct jsonscan it;
	struct span key, val;
	size_t i;
	static const struct {
		const char *key, *val;
	} expect[] = {
		{ "a", "1" }, { "", "\"\"" }, { "b\\\"", "\"x\\\\\"" },
		{ "c", "{\"in\":[1,{\"}\":2}]}" }, { "d", "[ ]" },
		{ "e", "true" }, { "f", "-1.5e+3" }, { "g", "null" },
	};

	(void)state;
	jsonscan_begin(&it, span(" {\"a\":1 , \"\" : \"\",\"b\\\"\":\"x\\\\\""
	    "\n,\t\"c\":{\"in\":[1,{\"}\":2}]},\"d\":[ ]\r,\"e\":true ,"
	    "\"f\":-1.5e+3,\"g\":null} "));
	for (i = 0; i < sizeof(expect) / sizeof(expect[0]); i++) {
		assert_true(jsonscan_next(&it, &key, &val));
		assert_span(key, expect[i].key);
		assert_span(val, expect[i].val);
	}
	assert_false(jsonscan_next(&it, &key, &val));
	assert_false(jsonscan_next(&it, &key, &val));
}

static void
walks_arrays(void **state)
{
	struct jsonscan it;
	struct span key, val;

	(void)state;
	jsonscan_begin(&it, span("[\"a,b\",[],{},\n7]"));
	assert_true(jsonscan_next(&it, &key, &val));
	assert_int_equal(key.len, 0);
	assert_span(val, "\"a,b\"");
	assert_true(jsonscan_next(&it, &key, &val));
	assert_span(val, "[]");
	assert_true(jsonscan_next(&it, &key, &val));
	assert_span(val, "{}");
	assert_true(jsonscan_next(&it, &key, &val));
	assert_span(val, "7");
	assert_false(jsonscan_next(&it, &key, &val));

	jsonscan_begin(&it, span("[]"));
	assert_false(jsonscan_next(&it, &key, &val));
	jsonscan_begin(&it, span("{ }"));
	assert_false(jsonscan_next(&it, &key, &val));
	jsonscan_begin(&it, span("\"[1]\""));
	assert_false(jsonscan_next(&it, &key, &val));
	jsonscan_begin(&it, span("12"));
	assert_false(jsonscan_next(&it, &key, &val));
}

static void
gets(void **state)
{
	struct span v;

	(void)state;
	assert_true(jsonscan_get(span("{\"x\":{\"y\":1},\"y\":2}"), "y", &v));
	assert_span(v, "2");
	assert_false(jsonscan_get(span("{\"x\":{\"y\":1}}"), "y", &v));
	assert_false(jsonscan_get(span("[\"y\"]"), "y", &v));
	/* A name written with escapes is the same name. */
	assert_true(jsonscan_get(span("{\"t\\u0079p\\u0065\":3}"), "type", &v));
	assert_span(v, "3");
	assert_true(jsonscan_is(span("\\/a\\n"), "/a\n"));
	assert_false(jsonscan_is(span("ty"), "type"));
	assert_false(jsonscan_is(span("types"), "type"));
	assert_false(jsonscan_is(span("\\u0074ypes"), "type"));
	assert_false(jsonscan_is(span("typ\\u0065\\u0000"), "type"));
	assert_false(jsonscan_is(span("\\u0000"), ""));
	assert_false(jsonscan_is(span("\\u0174ype"), "type"));
	assert_true(jsonscan_is(span(""), ""));
	assert_false(jsonscan_is(span("tt\\x"), "ttt"));
	assert_false(jsonscan_is(span("t\\u00"), "t\\u00"));
}

static void
assert_string(const char *json, const char *expect, size_t len)
{
	struct buf b = BUF_INITIALIZER;

	assert_true(jsonscan_string(span(json), &b));
	assert_int_equal(b.len, len);
	if (len > 0)
		assert_memory_equal(b.data, expect, len);
	buf_fini(&b);
}

static void
strings(void **state)
{
	struct buf b = BUF_INITIALIZER;
	char c[8];

	(void)state;
	assert_string("\"\"", "", 0);
	assert_string("\"plain \xc3\xa9\"", "plain \xc3\xa9", 8);
	assert_string("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t", 8);
	assert_string("\"a\\u0000b\"", "a\0b", 3);
	assert_string("\"\\u00e9\\u20AC\"", "\xc3\xa9\xe2\x82\xac", 5);
	assert_string("\"x\\ud83d\\ude00y\"", "x\xf0\x9f\x98\x80y", 6);
	assert_string("\"\\uDBFF\\uDFFF\"", "\xf4\x8f\xbf\xbf", 4);
	assert_false(jsonscan_string(span("12"), &b));
	assert_false(jsonscan_string(span("\""), &b));
	assert_false(jsonscan_string(span("\"\\\""), &b));
	assert_false(jsonscan_string(span("\"\\u12\""), &b));
	assert_false(jsonscan_string(span("\"\\ud800x\""), &b));
	assert_false(jsonscan_string(span("\"\\ud800\\ud800\""), &b));
	assert_false(jsonscan_string(span("\"\\ude00\""), &b));
	assert_false(jsonscan_string((struct span){ "\"\\\0\"", 4 }, &b));
	buf_fini(&b);

	assert_true(jsonscan_cstring(span("\"\\u0061bcdefg\""), c, 8));
	assert_string_equal(c, "abcdefg");
	assert_false(jsonscan_cstring(span("\"abcdefgh\""), c, 8));
	assert_false(jsonscan_cstring(span("\"abcdef\\u00e9\""), c, 8));
	assert_false(jsonscan_cstring(span("\"a\\u0000\""), c, 8));
	assert_false(jsonscan_cstring(span("7"), c, 8));
	assert_false(jsonscan_cstring(span("\"\""), c, 0));
	assert_true(jsonscan_cstring(span("\"\""), c, 1));
	assert_string_equal(c, "");
}

static void
integers(void **state)
{
	uint64_t u;
	int64_t i;

	(void)state;
	assert_true(jsonscan_u64(span("18446744073709551615"), &u));
	assert_true(u == UINT64_MAX);
	assert_false(jsonscan_u64(span("18446744073709551616"), &u));
	assert_false(jsonscan_u64(span("184467440737095516150"), &u));
	assert_false(jsonscan_u64(span("-1"), &u));
	assert_false(jsonscan_u64(span(""), &u));
	assert_false(jsonscan_u64(span("1.0"), &u));
	assert_false(jsonscan_u64(span("1e3"), &u));
	assert_false(jsonscan_u64(span("\"1\""), &u));
	assert_true(jsonscan_i64(span("-9223372036854775808"), &i));
	assert_true(i == INT64_MIN);
	assert_false(jsonscan_i64(span("-9223372036854775809"), &i));
	assert_true(jsonscan_i64(span("9223372036854775807"), &i));
	assert_true(i == INT64_MAX);
	assert_false(jsonscan_i64(span("9223372036854775808"), &i));
	assert_true(jsonscan_i64(span("-0"), &i));
	assert_int_equal(i, 0);
	assert_false(jsonscan_i64(span("-"), &i));
	assert_false(jsonscan_i64(span("--1"), &i));
}

static void
minifies(void **state)
{
	struct buf b = BUF_INITIALIZER;
	const char *in = " { \"a b\" :\n[ 1 , 0.10 ,\t\" \\\" \" ] }\r\n";

	(void)state;
	jsonscan_minify(span(in), &b);
	assert_span((struct span){ b.data, b.len },
	    "{\"a b\":[1,0.10,\" \\\" \"]}");
	buf_fini(&b);
	jsonscan_minify(span(""), &b);
	assert_int_equal(b.len, 0);
}

/* 100,000 levels need no stack. */
static void
nests_deep(void **state)
{
	enum { LEVELS = 100000 };
	struct jsonscan it;
	struct span key, val;
	char *deep;

	(void)state;
	assert_non_null(deep = malloc(2 * LEVELS));
	memset(deep, '[', LEVELS);
	memset(deep + LEVELS, ']', LEVELS);
	jsonscan_begin(&it, (struct span){ deep, 2 * LEVELS });
	assert_true(jsonscan_next(&it, &key, &val));
	assert_int_equal(val.len, 2 * LEVELS - 2);
	assert_false(jsonscan_next(&it, &key, &val));
	free(deep);
}

/* A reference that is not ours: rebuild the text from the walk. */
static json_t *
rebuild(struct span value)
{
	struct buf b = BUF_INITIALIZER;
	struct jsonscan it;
	struct span key, val;
	json_t *out, *v;

	if (value.p[0] != '{' && value.p[0] != '[')
		return (json_loadb(value.p, value.len,
		    JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL));
	out = value.p[0] == '{' ? json_object() : json_array();
	jsonscan_begin(&it, value);
	while (jsonscan_next(&it, &key, &val)) {
		v = rebuild(val);
		if (!it.is_object) {
			json_array_append_new(out, v);
			continue;
		}
		buf_clear(&b);
		assert_true(jsonscan_string((struct span){ key.p - 1,
		    key.len + 2 }, &b));
		buf_addc(&b, '\0');
		json_object_set_new(out, b.data, v);
	}
	buf_fini(&b);
	return (out);
}

static const char *const samples[] = {
	("{\"type\":\"message\",\"role\":\"user\",\"content\":[{\"type\":"
	    "\"input_text\",\"text\":\"h\\u00e9 \\ud83d\\ude00 \\\"q\\\"\"}]}"),
	"[1,-2,3.5e-7,true,false,null,\"\",{},[],[[[]]],{\"\":{\"\":\"\"}}]",
	" {\n \"a\" : [ 1 , 2 ] ,\t\"b\\\\\" : \"\\\\\\\\\" , \"c\":{ } } ",
	"{\"\\ud83d\\ude00\":1}",
	"{\"at\":1769854830123,\"item\":{\"id\":\"msg_1\",\"n\":-0.10}}",
};

static void
agrees_with_jansson(void **state)
{
	struct buf b = BUF_INITIALIZER;
	json_t *mine, *theirs;
	struct span s;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
		s = span(samples[i]);
		theirs = json_loadb(s.p, s.len, 0, NULL);
		assert_non_null(theirs);
		while (*s.p == ' ')
			s = span(s.p + 1);
		mine = rebuild(s);
		assert_true(json_equal(mine, theirs));
		json_decref(mine);

		buf_clear(&b);
		jsonscan_minify(s, &b);
		mine = json_loadb(b.data, b.len, 0, NULL);
		assert_true(json_equal(mine, theirs));
		json_decref(mine);
		json_decref(theirs);
	}
	buf_fini(&b);
}

/* Every function on the len bytes at p, which end where memory ends. */
static void
run_all(const char *p, size_t len)
{
	struct buf b = BUF_INITIALIZER;
	struct span all = { p, len }, key, val;
	struct jsonscan it;
	size_t steps = 0;
	uint64_t u;
	int64_t i;
	char c[16];

	jsonscan_begin(&it, all);
	while (jsonscan_next(&it, &key, &val)) {
		assert_true(key.p >= p && key.p + key.len <= p + len);
		assert_true(val.p >= p && val.p + val.len <= p + len);
		assert_true(val.len > 0);
		assert_true(++steps <= len);
		buf_clear(&b);
		(void)jsonscan_string(val, &b);
		assert_true(b.len <= val.len);
		(void)jsonscan_cstring(val, c, sizeof(c));
		(void)jsonscan_is(key, "type");
		(void)jsonscan_u64(val, &u);
		(void)jsonscan_i64(val, &i);
	}
	(void)jsonscan_get(all, "type", &val);
	(void)jsonscan_is(all, "type");
	/* A key may begin anywhere, and end in the middle of an escape. */
	for (key = all; key.len > 0 && key.len < 24; key.p++, key.len--)
		(void)jsonscan_is(key, "e");
	buf_clear(&b);
	(void)jsonscan_string(all, &b);
	buf_clear(&b);
	jsonscan_minify(all, &b);
	assert_true(b.len <= len);
	buf_fini(&b);
}

/*
 * Broken text: cut short at every byte, and with random bytes put in.  Each
 * try has a block of its own, so that the address sanitizer sees one byte
 * too many.
 */
static void
stays_inside(void **state)
{
	static const char bytes[] = "\"\\{}[]:, u0dD8\0\xff";
	struct span s;
	unsigned seed = 1;
	size_t i, n;
	char *copy;
	int round, k;

	(void)state;
	for (i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
		s = span(samples[i]);
		for (n = 0; n <= s.len; n++) {
			assert_non_null(copy = malloc(n == 0 ? 1 : n));
			memcpy(copy, s.p, n);
			run_all(copy, n);
			free(copy);
		}
		for (round = 0; round < 5000; round++) {
			n = 1 + (size_t)rand_r(&seed) % s.len;
			assert_non_null(copy = malloc(n));
			memcpy(copy, s.p, n);
			for (k = rand_r(&seed) % 6; k >= 0; k--)
				copy[(size_t)rand_r(&seed) % n] = bytes[
				    (size_t)rand_r(&seed) % sizeof(bytes)];
			run_all(copy, n);
			free(copy);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(walks_objects),
		cmocka_unit_test(walks_arrays),
		cmocka_unit_test(gets),
		cmocka_unit_test(strings),
		cmocka_unit_test(integers),
		cmocka_unit_test(minifies),
		cmocka_unit_test(nests_deep),
		cmocka_unit_test(agrees_with_jansson),
		cmocka_unit_test(stays_inside),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
