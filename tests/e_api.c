/*
 * The API of a real daemon over FastCGI: every answer has its status, code,
 * param and message, and what was answered survives kill -9.
 */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon.h"

#define NELEMS(a)	(sizeof(a) / sizeof((a)[0]))

/* --- conversations and items ---------------------------------------------- */

static void
a_conversation_is_held(void **state)
{
	char id[128], uri[256];
	json_t *json, *item;

	(void)state;
	json = daemon_good(daemon_key, "POST", "/v1/conversations", NULL, "");
	assert_string_equal(daemon_text(json, "object"), "conversation");
	assert_int_equal(json_object_size(json_object_get(json,
	    "metadata")), 0);
	assert_true(json_is_null(json_object_get(json, "title")));
	assert_string_equal(daemon_etag, "\"1\"");
	(void)strcpy(id, daemon_text(json, "id"));
	json_decref(json);

	(void)sprintf(uri, "/v1/conversations/%s/items", id);
	json = daemon_good(daemon_key, "POST", uri, NULL,
	    "{\"items\":[{\"id\":\"a\","
	    "\"role\":\"user\",\"content\":\"x\\u0000y\"},{\"id\":\"b\","
	    "\"role\":\"assistant\",\"content\":\"z\"},{\"id\":\"c\","
	    "\"type\":\"new.kind\",\"n\":1.0}]}");
	assert_int_equal(json_array_size(json_object_get(json, "data")), 3);
	assert_string_equal(daemon_text(json, "first_id"), "a");
	assert_string_equal(daemon_text(json, "last_id"), "c");
	assert_string_equal(daemon_etag, "\"2\"");
	json_decref(json);

	(void)sprintf(uri, "/v1/conversations/%s/items?limit=2", id);
	json = daemon_good(daemon_key, "GET", uri, NULL, "");
	assert_string_equal(daemon_text(json, "first_id"), "c");
	assert_true(json_is_true(json_object_get(json, "has_more")));
	json_decref(json);
	(void)sprintf(uri, "/v1/conversations/%s/items?order=asc&after=a"
	    "&include%%5B%%5D=created_at", id);
	json = daemon_good(daemon_key, "GET", uri, NULL, "");
	item = json_array_get(json_object_get(json, "data"), 0);
	assert_string_equal(daemon_text(item, "id"), "b");
	assert_int_equal(daemon_number(item, "position"), 2);
	assert_true(daemon_number(item, "created_at_ms") / 1000 ==
	    daemon_number(item, "created_at"));
	json_decref(json);

	(void)sprintf(uri, "/v1/conversations/%s/items/a", id);
	json = daemon_good(daemon_key, "GET", uri, NULL, "");
	item = json_array_get(json_object_get(json, "content"), 0);
	assert_int_equal(json_string_length(json_object_get(item, "text")),
	    3);
	json_decref(json);
	json = daemon_good(daemon_key, "DELETE", uri, NULL, "");
	assert_string_equal(daemon_text(json, "object"), "conversation");
	assert_int_equal(daemon_number(json, "item_count"), 2);
	json_decref(json);
	json = daemon_ask(daemon_key, "GET", uri, NULL, "");
	daemon_assert_error(json, 404, NULL, NULL,
	    "Item with id 'a' not found in conversation.");
	json_decref(json);

	(void)sprintf(uri, "/v1/conversations/%s", id);
	json = daemon_good(daemon_key, "DELETE", uri, NULL, "");
	assert_string_equal(daemon_text(json, "object"),
	    "conversation.deleted");
	assert_true(json_is_true(json_object_get(json, "deleted")));
	json_decref(json);
	json = daemon_ask(daemon_key, "GET", uri, NULL, "");
	daemon_assert_error(json, 404, NULL, NULL, "not found.");
	json_decref(json);
}

static void
metadata_is_replaced_and_merged(void **state)
{
	char id[128], uri[256];
	json_t *json;

	(void)state;
	daemon_converse(id, "[]");
	(void)sprintf(uri, "/v1/conversations/%s", id);
	json_decref(daemon_good(daemon_key, "POST", uri, NULL,
	    "{\"metadata\":{\"a\":\"1\",\"title\":\"t\"}}"));
	json = daemon_good(daemon_key, "PATCH", uri, NULL,
	    "{\"metadata\":{\"a\":null,\"b\":\"2\"}}");
	assert_int_equal(json_object_size(json_object_get(json,
	    "metadata")), 2);
	assert_string_equal(daemon_text(json_object_get(json, "metadata"), "b"),
	    "2");
	assert_string_equal(daemon_text(json, "title"), "t");
	json_decref(json);
	json = daemon_good(daemon_key, "PATCH", uri, NULL, "{}");
	assert_int_equal(daemon_number(json, "version"), 3);
	json_decref(json);
	json = daemon_good(daemon_key, "PATCH", uri, NULL,
	    "{\"title\":\"own\",\"metadata\":null}");
	assert_string_equal(daemon_text(json, "title"), "own");
	assert_int_equal(json_object_size(json_object_get(json,
	    "metadata")), 0);
	json_decref(json);
	json = daemon_good(daemon_key, "POST", uri, NULL,
	    "{\"metadata\":null}");
	assert_int_equal(daemon_number(json, "version"), 5);
	json_decref(json);
	json_decref(daemon_good(daemon_key, "POST", uri, NULL,
	    "{\"metadata\":{\"0\":\"\","
	    "\"1\":\"\",\"2\":\"\",\"3\":\"\",\"4\":\"\",\"5\":\"\",\"6\":"
	    "\"\",\"7\":\"\",\"8\":\"\",\"9\":\"\",\"a\":\"\",\"b\":\"\","
	    "\"c\":\"\",\"d\":\"\",\"e\":\"\",\"f\":\"\"}}"));
	json = daemon_ask(daemon_key, "PATCH", uri, NULL,
	    "{\"title\":\"no\",\"metadata\":{\"g\":\"\"}}");
	daemon_assert_error(json, 400, "object_above_max_properties",
	    "metadata",
	    "after the change.");
	json_decref(json);
	json = daemon_good(daemon_key, "PATCH", uri, NULL,
	    "{\"metadata\":{\"g\":\"\",\"f\":null}}");
	assert_string_equal(daemon_text(json, "title"), "own");
	json_decref(json);
}

/* What is refused, each with all it must say; ID stands for a conversation. */
static void
refusals_say_what_is_wrong(void **state)
{
#define LONG_PART	"a23456789b23456789c23456789d23456"
#define ITEMS	"/v1/conversations/ID/items"
#define CONV	"/v1/conversations/ID"
#define ALL	"/v1/conversations"
	static const struct {
		const char	*method, *uri, *header, *body;
		int		 status;
		const char	*code, *param, *end;
	} cases[] = {
		{ "POST", ITEMS, NULL, "{", 400, "invalid_json", NULL,
		    "position 1" },
		{ "POST", ITEMS, NULL, "", 400, "invalid_json", NULL,
		    "position 0" },
		{ "POST", ITEMS, NULL, "[]", 400, "invalid_type", NULL,
		    "expected an object." },
		{ "POST", ITEMS, NULL, "{\"items\":[],\"x\":1}", 400,
		    "unknown_parameter", "x", "Unknown parameter: 'x'." },
		{ "POST", ITEMS, NULL, "{\"items\":[{\"type\":\"x\",\"n\":"
		    "1e999}]}", 400, "invalid_value", "items[0].n",
		    "position 31" },
		{ "POST", ITEMS, NULL, "{\"items\":[{\"type\":"
		    "\"item_reference\",\"id\":\"nope\"},{\"type\":\"x\"}]}",
		    404, NULL, NULL,
		    "Item with id 'nope' not found in conversation." },
		{ "POST", ITEMS, NULL, "{\"items\":[{\"type\":"
		    "\"item_reference\",\"id\":\"known\"}]}", 400,
		    "item_already_in_conversation", "items",
		    "Item already in conversation" },
		{ "POST", ITEMS, NULL, "{\"items\":[{\"type\":\"y\",\"id\":"
		    "\"known\"}]}", 400, "item_already_in_conversation",
		    "items", "Item already in conversation" },
		{ "POST", ITEMS "?include[]=all", NULL, "{\"items\":[{\"type\""
		    ":\"x\"}]}", 400, "invalid_value", "include",
		    "and 'created_at'." },
		{ "POST", ITEMS, "If-Match: 7", "{\"items\":[{\"type\":\"x\""
		    "}]}", 400, "invalid_value", "If-Match", "gives it." },
		{ "POST", ITEMS, "If-Match: \"99\"", "{\"items\":[{\"type\":"
		    "\"x\"}]}", 412, "precondition_failed", NULL,
		    "not the one that was asked for." },
		{ "POST", ITEMS, "Idempotency-Key: \x7f", "{\"items\":[{"
		    "\"type\":\"x\"}]}", 400, "invalid_value",
		    "Idempotency-Key", "printable ASCII characters." },
		{ "GET", ITEMS "?limit=0", NULL, "", 400,
		    "integer_below_min_value", "limit", "got 0 instead." },
		{ "GET", ITEMS "?after=nope", NULL, "", 404, NULL, "after",
		    "" },
		{ "GET", ITEMS "?after=a%2Fb", NULL, "", 404, NULL, "after",
		    "" },
		{ "GET", ALL "?after=conv_nope", NULL, "", 404, NULL,
		    "after", "" },
		{ "GET", ALL "?before=conv_nope", NULL, "", 404, NULL,
		    "before", "" },
		{ "GET", ALL "?after=ID&before=conv_nope", NULL, "", 404,
		    NULL, "before", "" },
		{ "GET", ALL "?after=u1.conv_1.0000000000000000", NULL, "",
		    404, NULL, "after", "" },
		{ "GET", ALL "?sort=title", NULL, "", 400, "invalid_value",
		    "sort", "'updated_at' and 'created_at'." },
		{ "GET", ALL "?user=%01", NULL, "", 400, "invalid_value",
		    "user", "control characters." },
		{ "POST", CONV, NULL, "{}", 400, "missing_required_parameter",
		    "metadata", "Missing required parameter: 'metadata'." },
		{ "POST", CONV, NULL, "{\"metadata\":7}", 400, "invalid_type",
		    "metadata", "an integer instead." },
		{ "POST", CONV, NULL, "{\"metadata\":{\"k\":null}}", 400,
		    "invalid_type", "metadata.k", "null instead." },
		{ "PATCH", CONV, NULL, "{\"title\":7}", 400, "invalid_type",
		    "title", "Invalid type for 'title': expected a string or "
		    "null, but got an integer instead." },
		{ "PATCH", CONV, NULL, "{\"pinned\":true}", 400,
		    "unknown_parameter", "pinned", "'pinned'." },
		{ "POST", ALL, NULL, "{\"items\":[{\"role\":\"user\"}]}", 400,
		    "missing_required_parameter", "items[0].content",
		    "'items[0].content'." },
		{ "POST", ALL, NULL, "{\"items\":[{\"type\":"
		    "\"item_reference\",\"id\":\"known\"}]}", 404, NULL, NULL,
		    "Item with id 'known' not found in conversation." },
		{ "POST", ALL, NULL, "{\"user\":\"\"}", 400, "invalid_value",
		    "user", "control characters." },
		{ "GET", "/v1/conversations/conv_nope", NULL, "", 404, NULL,
		    NULL, "Conversation with id 'conv_nope' not found." },
		{ "GET", "/v1/conversations/a%2Fb", NULL, "", 400,
		    "invalid_value", "conversation_id",
		    "'a/b'. Expected an ID of 1 to 64 letters, digits, "
		    "underscores, or dashes." },
		{ "GET", "/v1/conversations/" LONG_PART LONG_PART "/items",
		    NULL, "", 400, "string_above_max_length",
		    "conversation_id", "with length 66 instead." },
		{ "GET", CONV "/items/a%20b", NULL, "", 404, NULL, NULL,
		    "not found in conversation." },
		{ "DELETE", CONV "/items/nope", NULL, "", 404, NULL, NULL,
		    "Item with id 'nope' not found in conversation." },
		{ "DELETE", "/v1/conversations/conv_nope/items/known", NULL,
		    "", 404, NULL, NULL,
		    "Conversation with id 'conv_nope' not found." },
		{ "POST", "/v1/responses", NULL, "{}", 400,
		    "missing_required_parameter", "model",
		    "Missing required parameter: 'model'." },
		{ "POST", "/v1/responses", NULL, "{\"model\":\"gpt\",\"input\""
		    ":\"x\"}", 400, "model_not_found", "model",
		    "Supported values are: 'recall'." },
		{ "POST", "/v1/responses", NULL, "{\"model\":\"recall\"}",
		    400, "missing_required_parameter", "input",
		    "Missing required parameter: 'input'." },
		{ "POST", "/v1/responses", NULL, "{\"model\":\"recall\","
		    "\"input\":\"x\",\"stream\":true}", 400,
		    "unsupported_value", "stream", "with this model." },
		{ "POST", "/v1/responses", NULL, "{\"model\":\"recall\","
		    "\"input\":\"x\",\"previous_response_id\":\"resp_1\"}",
		    400, "previous_response_not_found",
		    "previous_response_id",
		    "Previous response with id 'resp_1' not found." },
		{ "POST", "/v1/responses", NULL, "{\"model\":\"recall\","
		    "\"input\":\"x\",\"previous_response_id\":\"resp_1\","
		    "\"conversation\":\"ID\"}", 400,
		    "mutually_exclusive_parameters", NULL,
		    "Mutually exclusive parameters: ''. Ensure you are only "
		    "providing one of: 'previous_response_id' or "
		    "'conversation'." },
		{ "POST", "/v1/responses", NULL, "{\"model\":\"recall\","
		    "\"input\":\"x\",\"conversation\":{\"id\":\"nope\"}}",
		    404, NULL, NULL,
		    "Conversation with id 'nope' not found." },
		{ "POST", "/v1/responses", NULL, "{\"model\":\"recall\","
		    "\"input\":[{\"type\":\"item_reference\",\"id\":\"x\"}],"
		    "\"conversation\":\"ID\"}", 404, NULL, NULL,
		    "Item with id 'x' not found in conversation." },
		{ "GET", "/admin/v1/status", NULL, "", 404, NULL, NULL, "" },
	};
	char id[128], uri[256], body[512], *at;
	json_t *json;
	size_t i;

	(void)state;
	daemon_converse(id, "[{\"type\":\"x\",\"id\":\"known\"}]");
	for (i = 0; i < NELEMS(cases); i++) {
		(void)strcpy(uri, cases[i].uri);
		if ((at = strstr(uri, "ID")) != NULL)
			(void)sprintf(at, "%s%s", id,
			    strstr(cases[i].uri, "ID") + 2);
		(void)strcpy(body, cases[i].body);
		if ((at = strstr(body, "ID")) != NULL)
			(void)sprintf(at, "%s%s", id,
			    strstr(cases[i].body, "ID") + 2);
		json = daemon_ask(daemon_key, cases[i].method, uri,
		    cases[i].header, body);
		daemon_assert_error(json, cases[i].status, cases[i].code,
		    cases[i].param, cases[i].end);
		json_decref(json);
	}
	/* And nothing was changed by any of it. */
	(void)sprintf(uri, CONV);
	(void)sprintf(strstr(uri, "ID"), "%s", id);
	json = daemon_good(daemon_key, "GET", uri, NULL, "");
	assert_int_equal(daemon_number(json, "version"), 1);
	json_decref(json);
}

static void
versions_and_retries_are_known(void **state)
{
	static const char body[] =
	    "{\"items\":[{\"role\":\"user\",\"content\":\"once\"}]}";
	char id[128], uri[256];
	json_t *one, *two;

	(void)state;
	daemon_converse(id, "[]");
	(void)sprintf(uri, "/v1/conversations/%s/items", id);
	one = daemon_good(daemon_key, "POST", uri, "Idempotency-Key: k", body);
	two = daemon_good(daemon_key, "POST", uri, "Idempotency-Key: k", body);
	assert_true(json_equal(one, two));
	assert_string_equal(daemon_etag, "\"2\"");
	json_decref(two);
	two = daemon_ask(daemon_key, "POST", uri, "Idempotency-Key: k",
	    "{\"items\":[{\"type\":\"x\"}]}");
	assert_int_equal(daemon_status, 422);
	json_decref(two);
	json_decref(one);
	one = daemon_good(daemon_key, "POST", uri, "x-stainless-retry-count: 0",
	    body);
	two = daemon_good(daemon_key, "POST", uri, "x-stainless-retry-count: 1",
	    body);
	assert_true(json_equal(one, two));
	json_decref(one);
	json_decref(two);
	one = daemon_good(daemon_key, "GET", uri, NULL, "");
	assert_int_equal(json_array_size(json_object_get(one, "data")), 2);
	json_decref(one);
	one = daemon_ask(daemon_key, "GET", uri, "If-None-Match: \"3\"", "");
	assert_null(one);
	assert_int_equal(daemon_status, 304);
	assert_string_equal(daemon_etag, "\"3\"");
	json_decref(daemon_good(daemon_key, "POST", uri, "If-Match: \"3\"",
	    body));
	assert_string_equal(daemon_etag, "\"4\"");
	/* The key wins over what has moved on since. */
	json_decref(daemon_good(daemon_key, "POST", uri, "Idempotency-Key: k",
	    body));
}

/* Ten items of 7 MiB: nine fit into a page, whatever limit is asked for. */
static void
pages_of_large_items_are_cut(void **state)
{
	const size_t len = 7 << 20;
	char id[128], uri[256], *body = malloc(len + 256), *p;
	json_t *json;
	int i;

	(void)state;
	assert_non_null(body);
	daemon_converse(id, "[]");
	(void)sprintf(uri, "/v1/conversations/%s/items", id);
	for (i = 0; i < 10; i++) {
		p = body + sprintf(body, "{\"items\":[{\"type\":\"x\","
		    "\"id\":\"i%d\",\"v\":\"", i);
		memset(p, 'x', len);
		(void)strcpy(p + len, "\"}]}");
		json_decref(daemon_good(daemon_key, "POST", uri, NULL, body));
	}
	free(body);
	(void)strcat(uri, "?order=asc&limit=1000");
	json = daemon_good(daemon_key, "GET", uri, NULL, "");
	assert_int_equal(json_array_size(json_object_get(json, "data")), 9);
	assert_string_equal(daemon_text(json, "last_id"), "i8");
	assert_true(json_is_true(json_object_get(json, "has_more")));
	json_decref(json);
	(void)strcat(uri, "&after=i8");
	json = daemon_good(daemon_key, "GET", uri, NULL, "");
	assert_int_equal(json_array_size(json_object_get(json, "data")), 1);
	assert_true(json_is_false(json_object_get(json, "has_more")));
	json_decref(json);
}

/* --- responses ------------------------------------------------------------ */

static void
recall_answers(void **state)
{
	char id[128], body[512], uri[256];
	const json_t *output, *part;
	json_t *one, *two;

	(void)state;
	daemon_converse(id,
	    "[{\"role\":\"user\",\"content\":\"My cat is Miezi.\"}]");
	(void)sprintf(body, "{\"model\":\"recall\",\"conversation\":\"%s\","
	    "\"input\":\"Which cat?\",\"temperature\":0.10,\"tools\":[ {} ]}",
	    id);
	one = daemon_good(daemon_key, "POST", "/v1/responses",
	    "Idempotency-Key: r", body);
	two = daemon_good(daemon_key, "POST", "/v1/responses",
	    "Idempotency-Key: r", body);
	assert_true(json_equal(one, two));
	output = json_array_get(json_object_get(one, "output"), 0);
	part = json_array_get(json_object_get(output, "content"), 0);
	assert_non_null(strstr(daemon_text(part, "text"),
	    "“My cat is Miezi.”"));
	assert_int_equal(json_array_size(json_object_get(one, "tools")), 1);
	(void)sprintf(uri, "/v1/conversations/%s/items/%s", id,
	    daemon_text(output, "id"));
	json_decref(two);
	two = daemon_good(daemon_key, "GET", uri, NULL, "");
	assert_true(json_equal(output, two));
	json_decref(one);
	json_decref(two);
	one = daemon_good(daemon_key, "GET", "/v1/models", NULL, "");
	assert_string_equal(daemon_text(json_array_get(json_object_get(one,
	    "data"), 0), "id"), "recall");
	json_decref(one);
}

/* --- kill -9 -------------------------------------------------------------- */

static void
what_was_answered_stays(void **state)
{
	char id[128], uri[256];
	json_t *before, *after;

	(void)state;
	daemon_converse(id, "[{\"type\":\"x\",\"id\":\"a\",\"n\":0.10}]");
	(void)sprintf(uri, "/v1/conversations/%s", id);
	before = daemon_good(daemon_key, "PATCH", uri, NULL,
	    "{\"title\":\"kept\"}");
	assert_int_equal(daemon_stop(SIGKILL), -1);
	daemon_start();
	after = daemon_good(daemon_key, "GET", uri, NULL, "");
	assert_true(json_equal(before, after));
	json_decref(before);
	json_decref(after);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_conversation_is_held),
		cmocka_unit_test(metadata_is_replaced_and_merged),
		cmocka_unit_test(refusals_say_what_is_wrong),
		cmocka_unit_test(versions_and_retries_are_known),
		cmocka_unit_test(pages_of_large_items_are_cut),
		cmocka_unit_test(recall_answers),
		cmocka_unit_test(what_was_answered_stays),
	};

	if (argc < 1 || daemon_find(argv[0]) == -1)
		return (77);
	return (cmocka_run_group_tests(tests, daemon_set_up,
	    daemon_tear_down));
}
