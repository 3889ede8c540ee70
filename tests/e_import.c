/*
 * POST /admin/v1/import: what was exported comes back byte for byte, once,
 * and every line is accounted for.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "fcgi/admin.h"
#include "store/export.h"
#include "tests/fault.h"
#include "tests/state.h"

#define PATH	"/admin/v1/import"

static char dir[STATE_PATH];
static struct edge edge;
static json_t *reply;
static int status;

/* Two conversations with all that can be odd in them. */
static const char whole[] =
    "{\"tenant\":\"acme\",\"conversation\":{\"id\":\"c1\",\"created_at\":"
    "1500000000000,\"updated_at\":1500000009999,\"version\":7,\"user\":"
    "\"\xc3\xa4nn \\\"x\\\"\",\"title\":\"a\\u0000b\",\"metadata\":"
    "{\"k\":\"v\\u0000\"}},\"items\":[{\"at\":5,\"item\":{\"type\":\"x\","
    "\"n\":0.10000000000000000001,\"id\":\"a\"}},{\"at\":4,\"position\":9,"
    "\"item\":{\"id\":\"b\",\"text\":\"\\ud83d\\ude00 \\u00e4\"}},"
    "{\"at\":4,\"item\":{\"id\":\"c\",\"e\":1E400}}]}\n"
    "{\"tenant\":\"acme\",\"conversation\":{\"id\":\"c2\",\"created_at\":"
    "0,\"updated_at\":0,\"version\":1,\"user\":null,\"title\":null,"
    "\"metadata\":{}},\"items\":[]}\n";

/* One with items that are given, of tenant acme. */
#define LINE(id, items)							\
    "{\"tenant\":\"acme\",\"conversation\":{\"id\":\"" id "\","	\
    "\"created_at\":1,\"updated_at\":2},\"items\":[" items "]}\n"
#define ITEM(id)	"{\"at\":1,\"item\":{\"id\":\"" id "\"}}"
#define KEYS(api, jwt)							\
    "{\"tenant\":\"acme\",\"keys\":{\"api_keys\":[" api "],"		\
    "\"jwt_keys\":[" jwt "]}}"
#define KEY(label, rest)						\
    "{\"id\":\"k\",\"label\":\"" label "\",\"created_at\":1," rest "}"
#define HASH	"\"sha256\":\"" SIXTEEN SIXTEEN SIXTEEN SIXTEEN "\""
#define SECRET	"\"secret\":\"" SIXTEEN SIXTEEN "\""
#define SIXTEEN	"0123456789abcdef"
#define PART(n, birth, rest)						\
    "{\"part\":" n ",\"birth\":\"" birth "\",\"tenant\":\"acme\"," rest "}\n"

static void
import(const char *query, const char *body)
{
	char path[128];

	(void)snprintf(path, sizeof(path), PATH "%s", query);
	json_decref(reply);
	status = admin_call(&edge, "POST", path, body, strlen(body), &reply);
	assert_non_null(reply);
}

static json_int_t
count(const char *name)
{
	const json_t *n = json_object_get(reply, name);

	assert_true(json_is_integer(n));
	return (json_integer_value(n));
}

static void
counts(json_int_t lines, json_int_t imported, json_int_t replaced,
    json_int_t skipped, json_int_t failed, json_int_t items)
{

	assert_int_equal(status, 200);
	assert_int_equal(count("lines"), lines);
	assert_int_equal(count("imported"), imported);
	assert_int_equal(count("replaced"), replaced);
	assert_int_equal(count("skipped"), skipped);
	assert_int_equal(count("failed"), failed);
	assert_int_equal(count("items"), items);
	assert_int_equal(json_is_null(json_object_get(reply, "error")),
	    failed == 0);
}

/* --- what is there ------------------------------------------------------- */

static int
visit(const char *tenant, const struct conversation_view *v,
    struct item *const *items, size_t n, void *arg)
{

	export_line(arg, tenant, v, items, n);
	return (0);
}

/* All of the tenant as an export has it is this text. */
static void
holds(const char *tenant, const char *text)
{
	struct buf b = BUF_INITIALIZER;

	assert_int_equal(store_each(edge.store, tenant, visit, &b), 0);
	buf_addc(&b, '\0');
	assert_true(buf_ok(&b));
	assert_string_equal(b.data, text);
	buf_fini(&b);
}

/* --- tests ---------------------------------------------------------------- */

static void
refuses_impossible_numbers(void **state)
{

	(void)state;
	import("", whole);
	/* 1E400 is JSON, but no number that could ever have been stored. */
	counts(2, 1, 0, 0, 1, 0);
}

static void
round_trip(void **state)
{
	char *text = strdup(whole), *at;

	(void)state;
	assert_non_null(at = strstr(text, "1E400"));
	memcpy(at, "1E100", 5);
	import("", text);
	counts(2, 2, 0, 0, 0, 3);
	assert_int_equal(count("tenants"), 1);
	holds("acme", text);
	/* Again: all is there, and nothing changes. */
	import("", text);
	counts(2, 0, 0, 2, 0, 0);
	assert_int_equal(count("tenants"), 0);
	holds("acme", text);
	/* After a start, too. */
	state_close(edge.store);
	edge.store = state_open(dir);
	holds("acme", text);
	import("?replace=true", LINE("c2", ITEM("z")) "\n"
	    LINE("c3", ITEM("z")));
	counts(3, 1, 1, 0, 0, 2);
	free(text);
}

static void
goes_to_another_tenant(void **state)
{
	static const char moved[] =
	    "{\"tenant\":\"new\",\"conversation\":{\"id\":\"c1\","
	    "\"created_at\":1,\"updated_at\":2,\"version\":1,\"user\":null,"
	    "\"title\":null,\"metadata\":{}},\"items\":[{\"at\":1,\"item\":"
	    "{\"id\":\"a\"}}]}\n";

	(void)state;
	import("?tenant=new", LINE("c1", ITEM("a")));
	counts(1, 1, 0, 0, 0, 1);
	holds("new", moved);
	import("?tenant=New", LINE("c1", ITEM("a")));
	counts(1, 0, 0, 0, 1, 0);
}

/* A tenant that is not there comes with its keys, and with no other's. */
static void
takes_keys_of_its_own(void **state)
{
	static const char keys[] =
	    KEYS(KEY("laptop", HASH), KEY("", SECRET)) "\n";
	struct credential *v;
	struct tenant *t;
	uint64_t lsn;
	size_t n;

	(void)state;
	import("?tenant=other", keys);
	counts(1, 0, 0, 0, 1, 0);
	assert_int_equal(count("tenants"), 0);
	assert_int_equal(store_tenant_get(edge.store, "other", 5, &t),
	    STORE_NOENT);
	import("?tenant=acme", keys);
	counts(1, 0, 0, 0, 0, 0);
	assert_int_equal(count("tenants"), 1);
	assert_int_equal(store_tenant_get(edge.store, "acme", 4, &t),
	    STORE_OK);
	assert_int_equal(store_apikeys(t, &v, &n, &lsn), STORE_OK);
	assert_int_equal(n, 1);
	assert_string_equal(v[0].label, "laptop");
	store_credentials_free(v, n);
	assert_int_equal(store_jwtkeys(t, &v, &n, &lsn), STORE_OK);
	assert_int_equal(n, 1);
	assert_int_equal(v[0].secret_len, 16);
	store_credentials_free(v, n);
	store_tenant_put(t);
}

/* What a hand or another program wrote is stored in the form of all items. */
static void
takes_white_space(void **state)
{
	static const char want[] =
	    "{\"tenant\":\"acme\",\"conversation\":{\"id\":\"c1\","
	    "\"created_at\":1,\"updated_at\":2,\"version\":1,\"user\":null,"
	    "\"title\":null,\"metadata\":{\"a\":\"b c\"}},\"items\":["
	    "{\"at\":1,\"item\":{\"id\":\"a\",\"t\":\"x  y\"}}]}\n";

	(void)state;
	import("", " {\"tenant\": \"acme\" , \"conversation\": {\"id\" :"
	    "\"c1\", \"created_at\": 1, \"updated_at\":2, \"metadata\": "
	    "{ \"a\": \"b c\" } }, \"items\": [ {\"item\": { \"id\" : "
	    "\"a\", \"t\": \"x  y\" }, \"at\": 1 } ] } ");
	counts(1, 1, 0, 0, 0, 1);
	holds("acme", want);
}

static void
tells_what_is_wrong(void **state)
{
	static const struct {
		const char	*line;
		const char	*said;
	} cases[] = {
		{ "{", "no JSON object" },
		{ "[]", "no JSON object" },
		{ "{\"tenant\":\"acme\",\"tenant\":\"acme\"}",
		    "no JSON object" },
		{ "{}", "no tenant" },
		{ "{\"tenant\":\"../x\"}", "no tenant" },
		{ "{\"tenant\":\"acme\"}", "no conversation" },
		{ LINE("../x", ""), "no conversation" },
		{ LINE("\\u001b[2J", ""), "no conversation" },
		{ LINE("\\u007f", ""), "no conversation" },
		{ KEYS(KEY("\\u001b[2J", HASH), ""), "keys" },
		{ KEYS("", KEY("\\u001b[2J", SECRET)), "keys" },
		{ KEYS("", KEY("", "\"secret\":\"61\"")), "keys" },
		{ KEYS("", KEY("", HASH)), "keys" },
		{ KEYS(KEY("", SECRET), ""), "keys" },
		{ "{\"tenant\":\"acme\",\"conversation\":{\"id\":\"c\"},"
		    "\"items\":[]}", "time or version" },
		{ "{\"tenant\":\"acme\",\"conversation\":{\"id\":\"c\","
		    "\"created_at\":1,\"updated_at\":-1},\"items\":[]}",
		    "time or version" },
		{ "{\"tenant\":\"acme\",\"conversation\":{\"id\":\"c\","
		    "\"created_at\":1,\"updated_at\":1,\"version\":"
		    "18446744073709551615},\"items\":[]}",
		    "no JSON object" },
		{ "{\"tenant\":\"acme\",\"conversation\":{\"id\":\"c\","
		    "\"created_at\":1,\"updated_at\":1,\"version\":"
		    "9223372036854775807},\"items\":[]}",
		    "time or version" },
		{ "{\"tenant\":\"acme\",\"conversation\":{\"id\":\"c\","
		    "\"created_at\":1,\"updated_at\":1}}", "no items" },
		{ "{\"tenant\":\"acme\",\"conversation\":{\"id\":\"c\","
		    "\"created_at\":1,\"updated_at\":1,\"user\":\"a\\u0000\""
		    "},\"items\":[]}", "user" },
		{ "{\"tenant\":\"acme\",\"conversation\":{\"id\":\"c\","
		    "\"created_at\":1,\"updated_at\":1,\"title\":7},"
		    "\"items\":[]}", "title" },
		{ "{\"tenant\":\"acme\",\"conversation\":{\"id\":\"c\","
		    "\"created_at\":1,\"updated_at\":1,\"metadata\":[]},"
		    "\"items\":[]}", "metadata" },
		{ LINE("c", "{\"at\":1,\"item\":{}}"), "without an id" },
		{ LINE("c", "{\"at\":1}"), "without an id" },
		{ LINE("c", "{\"item\":{\"id\":\"a\"}}"), "time or position" },
		{ LINE("c", "{\"at\":1,\"position\":-1,\"item\":{\"id\":"
		    "\"a\"}}"), "time or position" },
		{ LINE("c", ITEM("a") "," ITEM("a")), "twice" },
		{ "{\"part\":1,\"tenant\":\"acme\",\"conversation\":{\"id\":"
		    "\"c\"},\"items\":[]}", "birth" },
		{ PART("2", "b1", "\"conversation\":{\"id\":\"c\"},"
		    "\"items\":[]"), "parts before" },
	};
	char body[2048], *message;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		/* What stands around it is imported all the same. */
		(void)snprintf(body, sizeof(body), "%s%s\n%s",
		    LINE("before", ""), cases[i].line, LINE("after", ""));
		import("?replace=true", body);
		assert_int_equal(count("failed"), 1);
		assert_int_equal(count("imported") + count("replaced"), 2);
		assert_int_equal(json_unpack(reply, "{s:{s:s}}", "error",
		    "message", &message), 0);
		if (strstr(message, cases[i].said) == NULL ||
		    strpbrk(message, "\x1b\x7f") != NULL)
			fail_msg("%s: %s", cases[i].line, message);
		assert_int_equal(json_integer_value(json_object_get(
		    json_object_get(reply, "error"), "line")), 2);
	}
}

static void
takes_parts(void **state)
{
	static const char parts[] =
	    PART("1", "b1", "\"conversation\":{\"id\":\"c1\"},\"items\":["
	    ITEM("a") "," ITEM("b") "]")
	    PART("2", "b1", "\"conversation\":{\"id\":\"c1\"},\"items\":["
	    "{\"at\":1,\"position\":7,\"item\":{\"id\":\"c\"}}]");
	static const char end[] =
	    PART("2", "b1", "\"conversation\":{\"id\":\"c1\",\"created_at\":"
	    "1,\"updated_at\":2,\"version\":3},\"items\":[" ITEM("d") "]");
	static const char all[] =
	    "{\"tenant\":\"acme\",\"conversation\":{\"id\":\"c1\","
	    "\"created_at\":1,\"updated_at\":2,\"version\":3,\"user\":null,"
	    "\"title\":null,\"metadata\":{}},\"items\":[{\"at\":1,\"item\":"
	    "{\"id\":\"a\"}},{\"at\":1,\"item\":{\"id\":\"b\"}},{\"at\":1,"
	    "\"position\":7,\"item\":{\"id\":\"c\"}},{\"at\":1,\"item\":"
	    "{\"id\":\"d\"}}]}\n";

	(void)state;
	import("", parts);
	counts(2, 0, 0, 0, 0, 3);
	holds("acme", "");
	import("", end);
	counts(1, 1, 0, 0, 0, 1);
	holds("acme", all);
	/* What is there is skipped, counted once. */
	import("", parts);
	counts(2, 0, 0, 0, 0, 0);
	import("", end);
	counts(1, 0, 0, 1, 0, 0);
	holds("acme", all);
	import("?replace=true", parts);
	counts(2, 0, 0, 0, 0, 3);
	holds("acme", all);
	import("?replace=true", end);
	counts(1, 0, 1, 0, 0, 1);
}

static void
passes_over_the_end(void **state)
{

	(void)state;
	import("", LINE("c1", "") "\n{\"export\":\"end\",\"conversations\":1,"
	    "\"items\":0}");
	counts(3, 1, 0, 0, 0, 0);
	import("", "");
	counts(0, 0, 0, 0, 0, 0);
}

/* A tenant that is to be read first: what was done is told, the rest comes
 * again. */
static void
stops_at_a_cold_tenant(void **state)
{

	(void)state;
	import("?tenant=cold", LINE("c1", ITEM("a")));
	counts(1, 1, 0, 0, 0, 1);
	state_close(edge.store);
	edge.store = state_open(dir);
	/* The journal's tail has warmed it; a new one has not. */
	assert_int_equal(store_flush(edge.store), 0);
	import("", LINE("c1", "") LINE("c2", ""));
	counts(2, 2, 0, 0, 0, 0);
	state_close(edge.store);
	{
		char journal[STATE_PATH + 16];

		(void)snprintf(journal, sizeof(journal), "%s/journal", dir);
		state_remove(journal);
	}
	edge.store = state_open(dir);
	import("", LINE("c1", "") "{\"tenant\":\"cold\",\"conversation\":"
	    "{\"id\":\"c1\",\"created_at\":1,\"updated_at\":1},"
	    "\"items\":[]}\n");
	counts(1, 0, 0, 1, 0, 0);
}

/* A full disk refuses the first line; the journal's refusal is the reply. */
static void
says_that_the_disk_is_full(void **state)
{

	(void)state;
	import("", LINE("c1", ""));
	fault_arm_forever(FAULT_PWRITEV | FAULT_FDATASYNC | FAULT_OPENAT, 1,
	    ENOSPC);
	while (store_health(edge.store) == STORE_OK)
		import("", LINE("c2", "") LINE("c3", ""));
	import("", LINE("c4", ""));
	assert_int_equal(status, 507);
	assert_non_null(json_object_get(reply, "error"));
	fault_disarm();
}

static int
setup(void **state)
{

	(void)state;
	state_folder(dir);
	edge.store = state_open(dir);
	return (0);
}

static int
teardown(void **state)
{

	(void)state;
	json_decref(reply);
	reply = NULL;
	(void)store_close(edge.store);
	state_remove(dir);
	return (0);
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(refuses_impossible_numbers),
		TEST(round_trip),
		TEST(goes_to_another_tenant),
		TEST(takes_keys_of_its_own),
		TEST(takes_white_space),
		TEST(tells_what_is_wrong),
		TEST(takes_parts),
		TEST(passes_over_the_end),
		TEST(stops_at_a_cold_tenant),
		TEST(says_that_the_disk_is_full),
	};

	fault_init();
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
