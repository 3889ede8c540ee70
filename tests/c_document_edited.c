/*
 * store/document_read: documents that a hand edited, that a later rememberd
 * wrote into, or that say what cannot be.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/documented.h"
#include "tests/sealed.h"

/* Read text; *out_r (new) is what is written of it, NULL if it is not OK. */
static enum document_state
reads(const char *text, char **out_r)
{
	struct conversation *c;
	enum document_state state;
	struct buf b;
	size_t len;

	*out_r = NULL;
	state = read_copy("c", text, strlen(text), &c);
	if (state != DOCUMENT_OK)
		return (state);
	b = written(c);
	conversation_free(c);
	*out_r = buf_take(&b, &len);
	assert_non_null(*out_r);
	return (state);
}

/* --- edited by hand ----------------------------------------------------- */

#define HEAD	"{\"rememberd\":\"conversation\",\"format\":1,\"store\":\"" \
		STORE "\",\"tenant\":\"acme\",\"id\":\"c\",\"birth\":\"0b\"," \
		"\"version\":7,\"lsn\":42,\"created_at\":-1,\"updated_at\":9," \
		"\"deleted\":null,\"next_position\":5," \
		"\"user\":\"u \\\"1\\\"\"," \
		"\"title\":\"a\\u0000b\",\"metadata\":{\"k\":\"v v\"}"
#define ITEM	"{\"id\":\"m1\",\"n\":[0.1,1.0,1e2,100000000000000000]," \
		"\"s\":\"two  spaces\\n\"}"
#define ONCE	"{\"key\":\"k\",\"scope\":\"0000000000000007\"," \
		"\"credential\":\"0000000000000009\",\"body\":\"" \
		"63726561746500000000000000000000\",\"count\":0,\"at\":5," \
		"\"lsn\":41,\"version\":6,\"conversation\":\"c\",\"items\":[" \
		"\"m1\"]}"
#define NORMAL	HEAD ",\n\"once\":[\n" ONCE "\n],\n\"items\":[\n" \
		"{\"at\":3,\"item\":" ITEM ",\"position\":4}\n],\n"

/* As an editor or a formatter leaves it: any order, any white space. */
static const char edited[] =
"\n{\n"
"    \"items\": [\r\n"
"        {\n"
"            \"position\": 4,\n"
"            \"item\": {\"id\"\t: \"m1\",\n"
"                \"n\": [ 0.1, 1.0, 1e2, 100000000000000000 ],\n"
"                \"s\": \"two  spaces\\n\"\n"
"            },\n"
"            \"at\": 3\n"
"        }\n"
"    ],\n"
"    \"once\": [ {\"items\": [ \"m1\" ], \"conversation\": \"c\",\n"
"        \"version\": 6, \"lsn\": 41, \"at\": 5, \"count\": 0, \"body\":\n"
"        \"63726561746500000000000000000000\", \"credential\":\n"
"        \"0000000000000009\", \"scope\": \"0000000000000007\",\n"
"        \"key\": \"k\"} ],\n"
"    \"metadata\": { \"k\" : \"v v\" },\n"
"    \"title\": \"a\\u0000b\",\n"
"    \"user\": \"u \\\"1\\\"\",\n"
"    \"next_position\": 5, \"deleted\": null, \"updated_at\": 9,\n"
"    \"created_at\": -1, \"lsn\": 42, \"version\": 7, \"birth\": \"0b\",\n"
"    \"id\": \"c\", \"tenant\": \"acme\", \"store\": \"" STORE "\",\n"
"    \"format\": 1, \"rememberd\": \"conversation\"\n"
"}\n\n";

/* Without a checksum it is taken, byte for byte what it means, with a word. */
static void
takes_edited(void **state)
{
	char *normal = sealed(NORMAL), *out;

	(void)state;
	assert_int_equal(reads(normal, &out), DOCUMENT_OK);
	assert_string_equal(why, "");
	assert_string_equal(out, normal);
	free(out);
	assert_int_equal(reads(edited, &out), DOCUMENT_OK);
	assert_non_null(strstr(why, "no checksum"));
	assert_string_equal(out, normal);
	free(out);
	/* Its checksum line taken out, and nothing else. */
	assert_int_equal(reads(HEAD ",\n\"once\":[\n" ONCE "\n],\n\"items\":[\n"
	    "{\"at\":3,\"item\":" ITEM ",\"position\":4}\n]}\n", &out),
	    DOCUMENT_OK);
	assert_string_equal(out, normal);
	free(out);
	free(normal);
	/* A formatter ran over it and left the checksum in. */
	out = with(edited, "\"deleted\"", "\"checksum\": \"xxh3:0\",\n"
	    "\"deleted\"");
	assert_int_equal(reads(out, &normal), DOCUMENT_BAD);
	assert_string_equal(why, "the checksum is wrong");
	free(out);
}

/* What is wrong with an edited one is said, with its line. */
static void
says_where(void **state)
{
	static const struct {
		const char	*was;
		const char	*is;
		const char	*why;
	} cases[] = {
		{ "\"lsn\": 42", "\"lsn\": 42,,", "line 22: it has no checksum "
		    "and is no JSON" },
		{ "\"lsn\": 42", "\"lsn\": 42.0", "line 22: \"lsn\" is no" },
		{ "\"lsn\": 42", "\"lsn\": 0", "line 22: \"lsn\" is no whole" },
		{ "\"lsn\": 42", "\"lsn\": -1", "line 22: \"lsn\" is no" },
		/* Beyond what an editor may have rounded. */
		{ "\"lsn\": 42", "\"lsn\": 9007199254740993", "line 22: " },
		{ "\"lsn\": 42", "\"lsm\": 42", "line 1: \"lsn\" is missing" },
		{ "\"version\": 7", "\"version\": null", "line 22: \"version" },
		{ "\"version\": 7", "\"version\": 1e3", "line 22: \"version" },
		{ "\"created_at\": -1", "\"created_at\": 99999999999999999999",
		    "line 22: it has no checksum and is no JSON: too big" },
		{ "\"position\": 4", "\"position\": -4", "line 5: \"position" },
		{ "\"position\": 4", "\"position\": 0", "line 5: \"position" },
		{ "\"position\": 4", "\"position\": 5", "line 21: \"next_pos" },
		{ "\"at\": 3", "\"at\": \"3\"", "line 10: \"at\" is no time" },
		{ "\"at\": 3", "\"ad\": 3", "line 4: \"at\" is missing" },
		{ "\"id\"\t: \"m1\"", "\"id\": \"m/1\"", "line 4: \"item\" has "
		    "no id" },
		{ "\"id\"\t: \"m1\"", "\"it\": \"m1\"", "line 4: \"item\" has "
		    "no id" },
		{ "\"id\": \"c\"", "\"id\": \"d\"", "line 23: it is of another "
		    "conversation" },
		{ "\"acme\"", "\"acne\"", "line 23: \"tenant\" is another" },
		{ "\"0b\"", "\"0\\\"b\"", "line 22: \"birth\" is none" },
		{ "\"count\": 0", "\"count\": -1", "line 13: it is no idem" },
		{ "\"user\": ", "\"user\": 7, \"x\": ", "line 20: \"user\"" },
		{ "\"title\": ", "\"user\": ", "line 20: it has no checksum" },
		{ "{ \"k\" : \"v v\" }", "[]", "line 18: \"metadata\" is no" },
		{ "\"conversation\"\n", "\"tenant\"\n", "line 24: it is no "
		    "document of the kind" },
		{ "\"format\": 1", "\"format\": 0", "line 24: \"format\"" },
		{ "}\n\n", "\n\n", "line 24: its end is missing" },
	};
	char *text, *out;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		text = with(edited, cases[i].was, cases[i].is);
		if (reads(text, &out) != DOCUMENT_BAD ||
		    strncmp(why, cases[i].why, strlen(cases[i].why)) != 0)
			fail_msg("%s: %s", cases[i].is, why);
		/* What somebody wrote there is no matter of the log. */
		assert_null(strstr(why, "spaces"));
		free(text);
	}
	assert_int_equal(reads("", &out), DOCUMENT_BAD);
	assert_string_equal(why, "line 1: it is empty");
	assert_int_equal(reads("[]", &out), DOCUMENT_BAD);
	assert_int_equal(reads("{}", &out), DOCUMENT_BAD);
	assert_int_equal(reads(" \n ", &out), DOCUMENT_BAD);
}

/* The same facts under a right checksum. */
static void
refuses_what_cannot_be(void **state)
{
	static const struct {
		const char	*was;
		const char	*is;
		const char	*why;
	} cases[] = {
		{ "\"lsn\":42", "\"lsn\":0", "line 1: \"lsn\"" },
		{ "\"lsn\":42", "\"lsn\":9223372036854775808", "line 1: " },
		{ "\"lsn\":42", "\"lsn\":-42", "line 1: \"lsn\"" },
		{ "\"version\":7", "\"version\":0", "line 1: \"version\"" },
		{ "\"position\":4", "\"position\":0", "line 6: \"position\"" },
		{ "\"position\":4", "\"position\":7", "line 1: \"next_posi" },
		{ "\"position\":4}", "\"position\":4},\n{\"at\":3,\"item\":{"
		    "\"id\":\"m2\"},\"position\":4}", "line 7: \"position\" is "
		    "no whole number from 5 up" },
		{ "\"position\":4}", "\"position\":4},\n{\"at\":3,\"item\":{"
		    "\"id\":\"m1\"}}", "line 7: the id m1 stands there twice" },
		{ "\"metadata\":{\"k\":\"v v\"}", "\"metadata\":7",
		    "line 1: " },
		{ "\"next_position\":5", "\"next_position\":-5", "line 1: " },
	};
	char *text, *whole, *out;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		text = with(NORMAL, cases[i].was, cases[i].is);
		whole = sealed(text);
		if (reads(whole, &out) != DOCUMENT_BAD ||
		    strncmp(why, cases[i].why, strlen(cases[i].why)) != 0)
			fail_msg("%s: %s", cases[i].is, why);
		free(whole);
		free(text);
	}
}

/* --- a later rememberd -------------------------------------------------- */

/* A later format is neither read nor damage. */
static void
knows_newer(void **state)
{
	char *text = with(NORMAL, "\"format\":1", "\"format\":2"), *whole, *out;

	(void)state;
	whole = sealed(text);
	assert_int_equal(reads(whole, &out), DOCUMENT_NEWER);
	assert_string_equal(why, "it was written by a newer rememberd: format "
	    "2, this one reads up to 1");
	/* A digit that turned is damage. */
	whole[strlen("{\"rememberd\":\"conversation\",\"format\":")] = '3';
	assert_int_equal(reads(whole, &out), DOCUMENT_BAD);
	free(whole);
	free(text);
	/* Edited by hand it is one, too. */
	text = with(edited, "\"format\": 1", "\"format\": 2");
	assert_int_equal(reads(text, &out), DOCUMENT_NEWER);
	free(text);
}

/* What is not known here is written again as it came. */
static void
keeps_unknown(void **state)
{
	static const char text[] = HEAD ",\"x\":{\"y\":[0.1,null]},\"z\":1e2,\n"
	    "\"once\":[\n{\"key\":\"k\",\"scope\":\"0000000000000007\","
	    "\"credential\":\"0000000000000009\",\"body\":\""
	    "63726561746500000000000000000000\",\"count\":0,\"at\":5,"
	    "\"lsn\":41,\"version\":6,\"conversation\":\"c\",\"items\":[],"
	    "\"hue\":\"\\u0000\"}\n],\n\"items\":[\n"
	    "{\"at\":3,\"item\":{\"id\":\"a\"},\"w\":1},\n"
	    "{\"at\":3,\"item\":{\"id\":\"b\"}},\n"
	    "{\"at\":3,\"item\":{\"id\":\"d\"},\"position\":4,\"w\":[],"
	    "\"\\u0077w\":2}\n],\n";
	static const char tomb[] = "{\"rememberd\":\"conversation\","
	    "\"format\":1,\"store\":\"" STORE "\",\"tenant\":\"acme\",\"id\":"
	    "\"c\",\"birth\":\"0b\",\"version\":7,\"lsn\":42,\"created_at\":1,"
	    "\"updated_at\":8,\"deleted\":8,\"x\":true,\n";
	struct conversation *c;
	struct buf b = BUF_INITIALIZER;
	char *whole = sealed(text), *out;

	(void)state;
	assert_int_equal(reads(whole, &out), DOCUMENT_OK);
	assert_string_equal(out, whole);
	free(out);
	/* Of an item that was deleted nothing is left, of the others all. */
	assert_int_equal(read_copy("c", whole, strlen(whole), &c),
	    DOCUMENT_OK);
	free(whole);
	lock_take(&c->lck);
	items_remove(&c->items, items_find(&c->items, "a"));
	document_conversation(c, STORE, &b);
	/* Deleted, it keeps none of what it said. */
	conversation_bury(c, 9);
	assert_null(c->extra);
	lock_give(&c->lck);
	conversation_free(c);
	buf_addc(&b, '\0');
	assert_null(strstr(b.data, "\"w\":1"));
	assert_non_null(strstr(b.data, "\"w\":[],\"\\u0077w\":2}"));
	assert_non_null(strstr(b.data, "\"z\":1e2,\n"));
	buf_fini(&b);
	whole = sealed(tomb);
	assert_int_equal(reads(whole, &out), DOCUMENT_OK);
	assert_string_equal(out, whole);
	free(out);
	free(whole);
}

/* The same of a tenant and its keys. */
static void
keeps_unknown_of_tenants(void **state)
{
	static const char text[] = "{\"rememberd\":\"tenant\",\"format\":1,"
	    "\"store\":\"" STORE "\",\"tenant\":\"acme\",\"lsn\":3,"
	    "\"created_at\":1,\"quota\":{\"a\":0.1},\n\"api_keys\":[\n"
	    "{\"id\":\"key_1\",\"label\":\"\",\"created_at\":2,\"sha256\":\""
	    "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
	    "\",\"scope\":[\"read\"]},\n"
	    "{\"id\":\"key_2\",\"label\":\"\",\"created_at\":2,\"sha256\":\""
	    "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
	    "\"}\n],\n\"jwt_keys\":[\n"
	    "{\"id\":\"k\",\"label\":\"\",\"created_at\":2,\"secret\":\"00ff"
	    "\",\"alg\":\"HS256\"}\n],\n";
	struct buf b = BUF_INITIALIZER;
	char *whole = sealed(text), *twice, *bad;

	(void)state;
	assert_int_equal(document_read_tenant(tenant, whole, strlen(whole),
	    why), DOCUMENT_OK);
	lock_take(&tenant->lck);
	document_tenant(tenant, STORE, &b);
	assert_int_equal(b.len, strlen(whole));
	assert_memory_equal(b.data, whole, b.len);
	/* What belongs to a key goes with it. */
	assert_true(keyring_remove(&tenant->apikeys, "key_1"));
	assert_null(tenant->apikeys.rests);
	lock_give(&tenant->lck);
	buf_fini(&b);
	free(whole);
	twice = with(text, "key_2", "key_1");
	bad = sealed(twice);
	tenant_free(tenant);
	tenant = tenant_new(&store, "acme", TENANT_LOADED);
	assert_int_equal(document_read_tenant(tenant, bad, strlen(bad), why),
	    DOCUMENT_BAD);
	assert_string_equal(why, "line 4: the id key_1 stands there twice");
	free(twice);
	free(bad);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(takes_edited),
		TEST(says_where),
		TEST(refuses_what_cannot_be),
		TEST(knows_newer),
		TEST(keeps_unknown),
		TEST(keeps_unknown_of_tenants),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
