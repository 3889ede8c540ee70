/* fcgi/input: what bodies are taken, what is refused, and how. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fcgi/input.h"

#include "fake_request.h"

FAKE_TENANT

/* Text with its length, NULs and all. */
#define TEXT(s)		s, sizeof(s) - 1

#define EXACT	"Invalid body: failed to parse JSON value. Please check the " \
	"value to ensure it is valid JSON. (Common errors include trailing " \
	"commas, missing closing brackets, missing quotation marks, etc.) "

/* --- bodies --------------------------------------------------------------- */

static void
refuses_what_is_no_json(void **state)
{
	static const struct {
		const char	*body;
		size_t		 len;
		const char	*end;
	} cases[] = {
		{ TEXT(""), "position 0" },
		{ TEXT("  \n"), "position 3" },
		{ TEXT("{"), "position 1" },
		{ TEXT("{\"a\":1,}"), "position 8" },
		{ TEXT("{\"a\":1} x"), "position 9" },
		{ TEXT("{}{}"), "position 3" },
		{ TEXT("{}\0"), "position 3" },
		{ TEXT("{'a':1}"), "position 2" },
		{ TEXT("{\"a\":\"x\ny\"}"), "position 7" },
		{ TEXT("{\"a\":\"x\0y\"}"), "position 7" },
		{ TEXT("{\"a\":\"\\x41\"}"), "position 8" },
		{ TEXT("{\"a\":01}"), "position 6" },
		{ TEXT("{\"a\":NaN}"), "position 8" },
		{ TEXT("\xef\xbb\xbf{}"), "position 3" },
		{ TEXT("{\"a\":\"\xc0\xaf\"}"), "position 6" },
		{ TEXT("{\"a\":\"\xed\xa0\x80\"}"), "position 6" },
		{ TEXT("{\"a\":\"\xf4\x90\x80\x80\"}"), "position 6" },
		{ TEXT("{\"a\":\"\xe2\x82\"}"), "position 6" },
		{ TEXT("{\"a\":\"\\ud800\"}"), "position 13" },
		{ TEXT("{\"a\":\"\\udc00\"}"), "position 13" },
		{ TEXT("{\"a\":1,\"a\":2}"), "position 10" },
		{ TEXT("{\"a\":1,\"\\u0061\":2}"), "position 15" },
		{ TEXT("{\"k\":[{\"b\":1,\"b\":1}]}"), "position 16" },
		{ TEXT("{\"a\\u0000\":1,\"a\\u0000\":2}"), "position 22" },
	};
	struct fake f;
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++) {
		fake_post(&f, cases[i].body, cases[i].len);
		assert_null(input_body(&f.req, false, &f.rep));
		fake_assert_error(&f, 400, "invalid_json", NULL,
		    cases[i].end);
		assert_memory_equal(f.rep.body.data,
		    "{\"error\":{\"message\":\"" EXACT,
		    strlen("{\"error\":{\"message\":\"" EXACT));
		fake_end(&f);
	}
}

/* depth levels of lists in {"a":…}, and bytes behind them. */
static size_t
nest(char *buf, size_t levels, bool is_closed)
{
	size_t len = (size_t)sprintf(buf, "{\"a\":");

	memset(buf + len, '[', levels);
	len += levels;
	if (is_closed) {
		memset(buf + len, ']', levels);
		len += levels;
		buf[len++] = '}';
	}
	return (len);
}

static void
refuses_what_nests_too_deep(void **state)
{
	static char buf[300000];
	struct fake f;
	json_t *tree;
	size_t n;

	(void)state;
	fake_post(&f, buf, nest(buf, INPUT_DEPTH_MAX - 1, true));
	tree = input_body(&f.req, false, &f.rep);
	assert_non_null(tree);
	json_decref(tree);
	fake_end(&f);
	for (n = INPUT_DEPTH_MAX; n <= 100000; n += 9999) {
		fake_post(&f, buf, nest(buf, n, n % 2 == 0));
		assert_null(input_body(&f.req, false, &f.rep));
		/* Five bytes, and the 127 lists that are fine. */
		fake_assert_error(&f, 400, "invalid_json", NULL,
		    "levels at position 132");
		fake_end(&f);
	}
	/* What is wrong before it is told instead. */
	n = nest(buf, 200, true);
	buf[5] = 'x';
	fake_post(&f, buf, n);
	assert_null(input_body(&f.req, false, &f.rep));
	fake_assert_error(&f, 400, "invalid_json", NULL, "position 6");
	fake_end(&f);
	/* Brackets in strings nest nothing. */
	n = (size_t)sprintf(buf, "{\"a\":\"\\\"%0200d\"}", 0);
	memset(buf + 8, '[', 200);
	fake_post(&f, buf, n);
	tree = input_body(&f.req, false, &f.rep);
	assert_non_null(tree);
	json_decref(tree);
	fake_end(&f);
}

static void
refuses_numbers_out_of_range(void **state)
{
	static const struct {
		const char	*body, *param, *end;
	} cases[] = {
		{ "{\"a\":1e400}", "a", "position 10" },
		{ "{\"a\":[1,{\"b\":-1e999}]}", "a[1].b", "position 19" },
		{ "{\"items\":[{\"v\":12345678901234567890}]}",
		    "items[0].v", "position 35" },
		{ "1e400", NULL, "position 5" },
	};
	struct fake f;
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++) {
		fake_post(&f, cases[i].body, strlen(cases[i].body));
		assert_null(input_body(&f.req, false, &f.rep));
		fake_assert_error(&f, 400, "invalid_value", cases[i].param,
		    cases[i].end);
		fake_end(&f);
	}
}

static void
takes_bodies(void **state)
{
	static const struct {
		const char	*body;
		bool		 may_be_empty;
		const char	*code;		/* NULL: taken */
	} cases[] = {
		{ "", true, NULL },
		{ "{}", true, NULL },
		{ " {\"a\" : \"\\u0000\"} ", false, NULL },
		{ "{\"a\\u0000\":1,\"b\\u0000\":\"\\ue000\"}", false, NULL },
		{ "{\"a\":1e-400,\"b\":-0}", false, NULL },
		{ "null", true, "invalid_type" },
		{ "null", false, "invalid_type" },
		{ "[]", true, "invalid_type" },
		{ "\"x\"", true, "invalid_type" },
		{ "7", false, "invalid_type" },
	};
	struct fake f;
	json_t *tree;
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++) {
		fake_post(&f, cases[i].body, strlen(cases[i].body));
		tree = input_body(&f.req, cases[i].may_be_empty, &f.rep);
		if (cases[i].code == NULL)
			assert_true(json_is_object(tree));
		else {
			assert_null(tree);
			fake_assert_error(&f, 400, cases[i].code, NULL,
			    "expected an object.");
		}
		json_decref(tree);
		fake_end(&f);
	}
}

static int allocations_left;

static void *
failing_malloc(size_t n)
{
	return (allocations_left-- == 0 ? NULL : malloc(n));
}

/*
 * Each allocation of jansson's in turn fails: the body is refused, and not
 * taken for less than it is.  jansson calls a string that it has no room for
 * an invalid token, so that some are answered by 400.
 */
static void
bears_want_of_memory(void **state)
{
	static const char body[] =
	    "{\"a\":[1,\"x\",{\"b\\u0000\":null}],\"c\":1.5}";
	struct fake f;
	json_t *tree = NULL;
	int n, refused = 0;

	(void)state;
	json_set_alloc_funcs(failing_malloc, free);
	for (n = 0; tree == NULL; n++) {
		fake_post(&f, TEXT(body));
		allocations_left = n;
		tree = input_body(&f.req, false, &f.rep);
		allocations_left = -1;
		refused += tree == NULL && f.rep.status == 503;
		assert_true(tree != NULL || f.rep.status == 503 ||
		    f.rep.status == 400);
		fake_end(&f);
	}
	assert_true(n > 10 && refused > 5);
	assert_int_equal(json_object_size(tree), 2);
	json_decref(tree);
	json_set_alloc_funcs(malloc, free);
}

/* --- metadata, title ------------------------------------------------------ */

/* n pairs of key and value, each repeated. */
static char *
pairs(size_t n, const char *key, size_t klen, const char *value, size_t vlen)
{
	static char buf[65536];
	char *p = buf + sprintf(buf, "{\"metadata\":{");
	size_t i, j;

	for (i = 0; i < n; i++) {
		p += sprintf(p, "%s\"%zu", i > 0 ? "," : "", i % 10);
		if (i >= 10)
			p += sprintf(p, "x");
		for (j = 1 + (i >= 10); j < klen; j++)
			p += sprintf(p, "%s", key);
		p += sprintf(p, "\":\"");
		for (j = 0; j < vlen; j++)
			p += sprintf(p, "%s", value);
		p += sprintf(p, "\"");
	}
	(void)sprintf(p, "}}");
	return (buf);
}

static bool
take_metadata(struct fake *f, const char *body, bool is_patch)
{
	json_t *tree;
	bool is_ok;

	fake_post(f, body, strlen(body));
	tree = input_body(&f->req, false, &f->rep);
	assert_non_null(tree);
	is_ok = input_metadata(json_object_get(tree, "metadata"), is_patch,
	    &f->rep);
	json_decref(tree);
	return (is_ok);
}

static void
takes_metadata_to_its_limits(void **state)
{
	struct fake f;

	(void)state;
	/* Characters, not bytes. */
	assert_true(take_metadata(&f, pairs(16, "é", 64, "é", 512), false));
	fake_end(&f);
	assert_true(take_metadata(&f, pairs(3, "k", 2, "", 0), false));
	fake_end(&f);
	assert_true(take_metadata(&f, "{\"metadata\":null}", false));
	fake_end(&f);
	assert_true(take_metadata(&f, "{\"metadata\":{\"a\":null}}", true));
	fake_end(&f);
	assert_false(take_metadata(&f, pairs(17, "k", 3, "v", 1), false));
	fake_assert_error(&f, 400, "object_above_max_properties", "metadata",
	    "Invalid 'metadata': too many properties. Expected an object with "
	    "at most 16 properties, but got an object with 17 properties "
	    "instead.");
	fake_end(&f);
	assert_false(take_metadata(&f, pairs(1, "é", 65, "v", 1), false));
	fake_assert_error(&f, 400, "property_name_above_max_length",
	    "metadata", "length 65 instead.");
	fake_end(&f);
	assert_false(take_metadata(&f, pairs(1, "k", 1, "é", 513), false));
	fake_assert_error(&f, 400, "string_above_max_length", "metadata.0",
	    "Invalid 'metadata.0': string too long. Expected a string with "
	    "maximum length 512, but got a string with length 513 instead.");
	fake_end(&f);
}

static void
refuses_other_metadata(void **state)
{
	static const struct {
		const char	*body, *param, *end;
	} cases[] = {
		{ "{\"metadata\":\"x\"}", "metadata", "Invalid type for "
		    "'metadata': expected an object, but got a string "
		    "instead." },
		{ "{\"metadata\":[]}", "metadata", "an array instead." },
		{ "{\"metadata\":{\"k\":1}}", "metadata.k", "Invalid type "
		    "for 'metadata.k': expected a string, but got an integer "
		    "instead." },
		{ "{\"metadata\":{\"k\":null}}", "metadata.k",
		    "null instead." },
		{ "{\"metadata\":{\"k\":{}}}", "metadata.k",
		    "an object instead." },
		{ "{\"metadata\":{\"k\":1.5}}", "metadata.k",
		    "a decimal number instead." },
		{ "{\"metadata\":{\"k\":true}}", "metadata.k",
		    "a boolean instead." },
	};
	struct fake f;
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++) {
		assert_false(take_metadata(&f, cases[i].body, false));
		fake_assert_error(&f, 400, "invalid_type", cases[i].param,
		    cases[i].end);
		fake_end(&f);
	}
}

static void
keeps_the_bytes_of_metadata(void **state)
{
	static const char body[] =
	    "{ \"meta\\u0064ata\" : { \"a\" : \"\\u00e9 \\\" x\" } }";
	struct span got;
	struct fake f;

	(void)state;
	fake_post(&f, body, strlen(body));
	got = input_metadata_bytes(&f.req, &f.rep);
	assert_int_equal(got.len, strlen("{\"a\":\"\\u00e9 \\\" x\"}"));
	assert_memory_equal(got.p, "{\"a\":\"\\u00e9 \\\" x\"}", got.len);
	fake_end(&f);
	fake_post(&f, TEXT("{\"metadata\":null}"));
	got = input_metadata_bytes(&f.req, &f.rep);
	assert_int_equal(got.len, 2);
	fake_end(&f);
	fake_post(&f, TEXT("{\"metadata\":{\"a\\u0000\":\"\"}}"));
	assert_null(input_metadata_bytes(&f.req, &f.rep).p);
	fake_assert_error(&f, 400, "invalid_value", "metadata", "U+0000.");
	fake_end(&f);
}

static void
names_unknown_members(void **state)
{
	static const char *const names[] = { "items", NULL };
	struct fake f;
	json_t *tree;

	(void)state;
	fake_post(&f, TEXT("{\"items\":[],\"colour\":1}"));
	tree = input_body(&f.req, false, &f.rep);
	assert_false(input_members(tree, names, &f.rep));
	fake_assert_error(&f, 400, "unknown_parameter", "colour",
	    "Unknown parameter: 'colour'.");
	json_decref(tree);
	fake_end(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refuses_what_is_no_json),
		cmocka_unit_test(refuses_what_nests_too_deep),
		cmocka_unit_test(refuses_numbers_out_of_range),
		cmocka_unit_test(takes_bodies),
		cmocka_unit_test(bears_want_of_memory),
		cmocka_unit_test(takes_metadata_to_its_limits),
		cmocka_unit_test(refuses_other_metadata),
		cmocka_unit_test(keeps_the_bytes_of_metadata),
		cmocka_unit_test(names_unknown_members),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
