/* fcgi/input, input_items, query: what is taken, what is refused, and how. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fcgi/input.h"
#include "fcgi/input_items.h"
#include "fcgi/query.h"

#include "fake_request.h"

FAKE_TENANT

#define NELEMS(a)	(sizeof(a) / sizeof((a)[0]))

/* Text with its length, NULs and all. */
#define TEXT(s)		s, sizeof(s) - 1

#define EXACT	"Invalid body: failed to parse JSON value. Please check the " \
	"value to ensure it is valid JSON. (Common errors include trailing " \
	"commas, missing closing brackets, missing quotation marks, etc.) "

static void
post(struct fake *f, const char *body, size_t len)
{
	fake_begin(f, "POST", "/v1/conversations/conv_1/items", NULL, body,
	    len);
}

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
		post(&f, cases[i].body, cases[i].len);
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
	post(&f, buf, nest(buf, INPUT_DEPTH_MAX - 1, true));
	tree = input_body(&f.req, false, &f.rep);
	assert_non_null(tree);
	json_decref(tree);
	fake_end(&f);
	for (n = INPUT_DEPTH_MAX; n <= 100000; n += 9999) {
		post(&f, buf, nest(buf, n, n % 2 == 0));
		assert_null(input_body(&f.req, false, &f.rep));
		/* Five bytes, and the 127 lists that are fine. */
		fake_assert_error(&f, 400, "invalid_json", NULL,
		    "levels at position 132");
		fake_end(&f);
	}
	/* What is wrong before it is told instead. */
	n = nest(buf, 200, true);
	buf[5] = 'x';
	post(&f, buf, n);
	assert_null(input_body(&f.req, false, &f.rep));
	fake_assert_error(&f, 400, "invalid_json", NULL, "position 6");
	fake_end(&f);
	/* Brackets in strings nest nothing. */
	n = (size_t)sprintf(buf, "{\"a\":\"\\\"%0200d\"}", 0);
	memset(buf + 8, '[', 200);
	post(&f, buf, n);
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
		post(&f, cases[i].body, strlen(cases[i].body));
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
		post(&f, cases[i].body, strlen(cases[i].body));
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
		post(&f, TEXT(body));
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

	post(f, body, strlen(body));
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
	post(&f, body, strlen(body));
	got = input_metadata_bytes(&f.req, &f.rep);
	assert_int_equal(got.len, strlen("{\"a\":\"\\u00e9 \\\" x\"}"));
	assert_memory_equal(got.p, "{\"a\":\"\\u00e9 \\\" x\"}", got.len);
	fake_end(&f);
	post(&f, TEXT("{\"metadata\":null}"));
	got = input_metadata_bytes(&f.req, &f.rep);
	assert_int_equal(got.len, 2);
	fake_end(&f);
	post(&f, TEXT("{\"metadata\":{\"a\\u0000\":\"\"}}"));
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
	post(&f, TEXT("{\"items\":[],\"colour\":1}"));
	tree = input_body(&f.req, false, &f.rep);
	assert_false(input_members(tree, names, &f.rep));
	fake_assert_error(&f, 400, "unknown_parameter", "colour",
	    "Unknown parameter: 'colour'.");
	json_decref(tree);
	fake_end(&f);
}

/* --- items ---------------------------------------------------------------- */

static bool
take_items(struct fake *f, const char *body, struct input_items *in)
{
	json_t *tree;
	bool is_ok;

	post(f, body, strlen(body));
	input_items_init(in);
	tree = input_body(&f->req, false, &f->rep);
	assert_non_null(tree);
	is_ok = input_items(&f->req, tree, "items", true, in, &f->rep);
	json_decref(tree);
	return (is_ok);
}

/* What stands in sent comes back as want, %s being a minted id. */
static void
completes_items(void **state)
{
	static const struct {
		const char	*sent, *want, *prefix;
	} cases[] = {
		{ "{\"role\":\"user\",\"content\":\"a\\u0000 \\\"b\"}",
		    "{\"id\":\"%s\",\"type\":\"message\",\"status\":"
		    "\"completed\",\"role\":\"user\",\"content\":[{\"type\":"
		    "\"input_text\",\"text\":\"a\\u0000 \\\"b\"}]}", "msg_" },
		{ "{\"role\":\"assistant\",\"content\":\"\"}",
		    "{\"id\":\"%s\",\"type\":\"message\",\"status\":"
		    "\"completed\",\"role\":\"assistant\",\"content\":[{"
		    "\"type\":\"output_text\",\"text\":\"\",\"annotations\":"
		    "[],\"logprobs\":[]}]}", "msg_" },
		{ "{ \"content\" : [ ] , \"id\" : null , \"status\" : null, "
		    "\"role\" : \"system\" }",
		    "{\"id\":\"%s\",\"type\":\"message\",\"status\":"
		    "\"completed\",\"content\":[],\"role\":\"system\"}",
		    "msg_" },
		{ "{\"id\":\"mine\",\"type\":\"message\",\"status\":"
		    "\"incomplete\",\"role\":\"user\",\"content\":[]}",
		    "{\"id\":\"mine\",\"type\":\"message\",\"status\":"
		    "\"incomplete\",\"role\":\"user\",\"content\":[]}", NULL },
		{ "{\"type\":\"x.y\",\"n\":[0.1, 1.0,1E5,-0 ,0.10,"
		    "123456789012345678],\"s\":\" a  b \",\"status\":null,"
		    "\"\\u0000\":1}",
		    "{\"id\":\"%s\",\"type\":\"x.y\",\"n\":[0.1,1.0,1E5,-0,"
		    "0.10,123456789012345678],\"s\":\" a  b \",\"status\":"
		    "null,\"\\u0000\":1}", "item_" },
		{ "{\"type\":\"function_call\",\"call_id\":\"c\",\"name\":"
		    "\"f\",\"arguments\":\"{ \\\"a\\\": 1.0 }\"}",
		    "{\"id\":\"%s\",\"status\":\"completed\",\"type\":"
		    "\"function_call\",\"call_id\":\"c\",\"name\":\"f\","
		    "\"arguments\":\"{ \\\"a\\\": 1.0 }\"}", "fc_" },
		{ "{\"type\":\"mcp_approval_request\"}",
		    "{\"id\":\"%s\",\"type\":\"mcp_approval_request\"}",
		    "mcpr_" },
	};
	char body[1024], want[1024];
	struct input_items in;
	struct fake f;
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++) {
		(void)sprintf(body, "{\"items\": [ %s ] }", cases[i].sent);
		assert_true(take_items(&f, body, &in));
		assert_int_equal(in.n, 1);
		assert_int_equal(in.is_minted[0], cases[i].prefix != NULL);
		if (cases[i].prefix != NULL) {
			assert_memory_equal(in.items[0]->id, cases[i].prefix,
			    strlen(cases[i].prefix));
			assert_int_equal(strlen(in.items[0]->id),
			    strlen(cases[i].prefix) + 48);
		}
		(void)sprintf(want, cases[i].want, in.items[0]->id);
		assert_int_equal(in.items[0]->len, strlen(want));
		assert_memory_equal(in.items[0]->json, want, strlen(want));
		input_items_fini(&in);
		fake_end(&f);
	}
}

#define ONE	"{\"type\":\"x\"}"
#define EIGHT	ONE "," ONE "," ONE "," ONE "," ONE "," ONE "," ONE "," ONE

static void
refuses_lists_whole(void **state)
{
	static const struct {
		const char	*body;
		int		 status;
		const char	*code, *param, *end;
	} cases[] = {
		{ "{}", 400, "missing_required_parameter", "items",
		    "Missing required parameter: 'items'." },
		{ "{\"items\":null}", 400, "invalid_type", "items",
		    "Invalid type for 'items': expected an array of objects, "
		    "but got null instead." },
		{ "{\"items\":{}}", 400, "invalid_type", "items",
		    "an object instead." },
		{ "{\"items\":[]}", 400, "empty_array", "items",
		    "Invalid 'items': empty array. Expected an array with "
		    "minimum length 1, but got an empty array instead." },
		{ "{\"items\":[" EIGHT "," ONE "]}", 400,
		    "array_above_max_length", "items", "Invalid 'items': "
		    "array too long. Expected an array with maximum length 8, "
		    "but got an array with length 9 instead." },
		{ "{\"items\":[" ONE ",{\"type\":\"x\",\"id\":\"a\"},"
		    "{\"type\":\"y\",\"id\":\"a\"}]}", 400,
		    "item_already_in_conversation", "items",
		    "Item already in conversation" },
		{ "{\"items\":[" ONE ",7]}", 400, "invalid_type", "items[1]",
		    "Invalid type for 'items[1]': expected an object, but got "
		    "an integer instead." },
		{ "{\"items\":[" ONE ",{\"type\":\"item_reference\"}]}", 400,
		    "missing_required_parameter", "items[1].id",
		    "Missing required parameter: 'items[1].id'." },
	};
	struct input_items in;
	struct fake f;
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++) {
		assert_false(take_items(&f, cases[i].body, &in));
		assert_int_equal(in.n, 0);
		fake_assert_error(&f, cases[i].status, cases[i].code,
		    cases[i].param, cases[i].end);
		fake_end(&f);
	}
	assert_true(take_items(&f, "{\"items\":[" EIGHT "]}", &in));
	assert_int_equal(in.n, 8);
	input_items_fini(&in);
	fake_end(&f);
	assert_true(take_items(&f, "{\"items\":[" ONE ",{\"type\":"
	    "\"item_reference\",\"id\":\"a\"}]}", &in));
	assert_int_equal(in.n, 1);
	assert_int_equal(in.nreferences, 1);
	assert_string_equal(in.references[0], "a");
	input_items_fini(&in);
	fake_end(&f);
}

static void
refuses_a_large_item(void **state)
{
	char body[5000];
	struct input_items in;
	struct fake f;

	(void)state;
	(void)sprintf(body, "{\"items\":[{\"type\":\"x\",\"v\":\"%04000d\"}]}",
	    0);
	assert_true(take_items(&f, body, &in));
	input_items_fini(&in);
	fake_end(&f);
	(void)sprintf(body, "{\"items\":[{\"type\":\"x\",\"v\":\"%04096d\"}]}",
	    0);
	assert_false(take_items(&f, body, &in));
	fake_assert_error(&f, 413, "request_too_large", "items[0]",
	    "bytes instead.");
	fake_end(&f);
}

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
		cmocka_unit_test(refuses_what_is_no_json),
		cmocka_unit_test(refuses_what_nests_too_deep),
		cmocka_unit_test(refuses_numbers_out_of_range),
		cmocka_unit_test(takes_bodies),
		cmocka_unit_test(bears_want_of_memory),
		cmocka_unit_test(takes_metadata_to_its_limits),
		cmocka_unit_test(refuses_other_metadata),
		cmocka_unit_test(keeps_the_bytes_of_metadata),
		cmocka_unit_test(names_unknown_members),
		cmocka_unit_test(completes_items),
		cmocka_unit_test(refuses_lists_whole),
		cmocka_unit_test(refuses_a_large_item),
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
