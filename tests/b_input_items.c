/* fcgi/input_items: a list of items is taken whole, each made complete. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "fcgi/input.h"
#include "fcgi/input_items.h"

#include "fake_request.h"

FAKE_TENANT

static bool
take_items(struct fake *f, const char *body, struct input_items *in)
{
	json_t *tree;
	bool is_ok;

	fake_post(f, body, strlen(body));
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(completes_items),
		cmocka_unit_test(refuses_lists_whole),
		cmocka_unit_test(refuses_a_large_item),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
