/*
 * store/document: what is written is read back the same, is JSON for others
 * with one entry a line, and no damage to it stays unseen.
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
#include <jansson.h>

#include "store/extra.h"
#include "tests/documented.h"
#include "tests/sealed.h"
#include "tests/state.h"

static void
add_item(struct conversation *c, const char *id, const char *text,
    uint64_t position)
{
	struct item *it = state_item(id, text);

	assert_true(items_reserve(&c->items, 1));
	it->at = INT64_C(1760000000000) + (int64_t)c->items.n;
	items_add(&c->items, it, position);
}

static void
add_once(struct once_table *table, const char *key, int64_t at)
{
	struct change_once o = state_once(key, "body");
	struct once *r = once_new(&o, "conv_1");

	assert_non_null(r);
	r->at = at;
	r->lsn = 41;
	r->version = 6;
	assert_true(once_add_id(r, "msg_1"));
	once_add(table, r);
}

/* One that holds something everywhere. */
static struct conversation *
full(void)
{
	struct conversation *c;

	c = conversation_new(tenant, "conv_1", "00112233aabbccdd",
	    "user \"1\"\xc3\xbc", 10, -7);
	assert_non_null(c);
	c->version = 7;
	c->lsn = 42;
	c->updated_at = INT64_C(1760000000999);
	text_replace(&c->title, text_new("a\0b\nc\"", 6));
	text_replace(&c->metadata, text_new("{\"k\":\"v\\u0000\"}", 15));
	add_item(c, "msg_1", "one", 0);
	add_item(c, "msg_3", "three\ntwo lines \\ \"", 3);
	add_item(c, "msg_4", "", 0);
	add_item(c, "msg_9", "nine", 9);
	c->items.next_position = 12;
	add_once(&c->once, "key \"1\"", 5);
	add_once(&c->once, NULL, 6);
	return (c);
}

/* Written, read and written again it is the same, byte for byte. */
static void
goes_round(struct conversation *c)
{
	struct buf one = written(c), two;
	struct conversation *back;
	size_t i;

	assert_int_equal(read_copy(c->id, one.data, one.len, &back),
	    DOCUMENT_OK);
	two = written(back);
	assert_int_equal(one.len, two.len);
	assert_memory_equal(one.data, two.data, one.len);
	assert_int_equal(back->is_deleted, c->is_deleted);
	assert_int_equal(back->deleted_at, c->deleted_at);
	assert_int_equal(back->items.next_position, c->items.next_position);
	assert_int_equal(back->items.bytes, c->items.bytes);
	for (i = 0; i < c->items.n; i++)
		assert_int_equal(back->items.v[i]->position,
		    c->items.v[i]->position);
	conversation_free(back);
	buf_fini(&one);
	buf_fini(&two);
}

static void
round_trips(void **state)
{
	struct conversation *c = full(), *bare;

	(void)state;
	goes_round(c);
	conversation_free(c);
	bare = conversation_new(tenant, "c", "0", NULL, 0, 0);
	bare->version = bare->lsn = 1;
	goes_round(bare);
	lock_take(&bare->lck);
	conversation_bury(bare, 1760000000000);
	lock_give(&bare->lck);
	bare->version++;
	goes_round(bare);
	conversation_free(bare);
}

/* The preview is made again from the items. */
static void
has_preview(void **state)
{
	struct conversation *c = full(), *back;
	struct buf b = written(c);

	(void)state;
	assert_int_equal(read_copy("conv_1", b.data, b.len, &back),
	    DOCUMENT_OK);
	assert_string_equal(back->preview.p, "nine");
	conversation_free(back);
	conversation_free(c);
	buf_fini(&b);
}

/* For everybody else: JSON, and one entry a line. */
static void
is_json(void **state)
{
	struct conversation *c = full();
	struct buf b = written(c);
	const char *p, *nl;
	json_t *root, *line;
	char copy[1024];
	int lines = 0, entries = 0;
	size_t len;

	(void)state;
	root = json_loadb(b.data, b.len, JSON_ALLOW_NUL |
	    JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(root);
	assert_string_equal(json_string_value(json_object_get(root,
	    "tenant")), "acme");
	assert_int_equal(json_array_size(json_object_get(root, "items")), 4);
	assert_int_equal(json_array_size(json_object_get(root, "once")), 2);
	assert_int_equal(json_integer_value(json_object_get(json_array_get(
	    json_object_get(root, "items"), 3), "position")), 9);
	json_decref(root);
	assert_int_equal(b.data[b.len - 1], '\n');
	for (p = b.data; p < b.data + b.len; p = nl + 1, lines++) {
		nl = memchr(p, '\n', (size_t)(b.data + b.len - p));
		assert_non_null(nl);
		if (strncmp(p, "{\"at\":", 6) != 0)
			continue;
		/* An entry is JSON by itself, but for its comma. */
		len = (size_t)(nl - p) - (nl[-1] == ',');
		assert_true(len < sizeof(copy));
		memcpy(copy, p, len);
		line = json_loadb(copy, len, JSON_ALLOW_NUL, NULL);
		assert_non_null(line);
		json_decref(line);
		entries++;
	}
	assert_int_equal(entries, 4);
	/* head; "once", 2, end; "items", 4, end; checksum */
	assert_int_equal(lines, 12);
	conversation_free(c);
	buf_fini(&b);
}

static void
is_bad(const char *id, const char *p, size_t len)
{
	struct conversation *c;

	assert_int_equal(read_copy(id, p, len, &c), DOCUMENT_BAD);
}

/* Any bit that turned, any end that is missing, any byte too many. */
static void
finds_damage(void **state)
{
	struct conversation *c = full();
	struct buf b = written(c);
	size_t i;
	int bit;

	(void)state;
	for (i = 0; i < b.len; i++) {
		is_bad("conv_1", b.data, i);
		for (bit = 0; bit < 8; bit++) {
			b.data[i] ^= (char)(1 << bit);
			is_bad("conv_1", b.data, b.len);
			b.data[i] ^= (char)(1 << bit);
		}
	}
	buf_addc(&b, '\n');
	is_bad("conv_1", b.data, b.len);
	conversation_free(c);
	buf_fini(&b);
}

/* A right checksum does not make it this tenant's or this id's. */
static void
knows_its_place(void **state)
{
	struct conversation *c = full();
	struct buf b = written(c);

	(void)state;
	is_bad("conv_2", b.data, b.len);
	strlcpy(tenant->name, "acme2", sizeof(tenant->name));
	is_bad("conv_1", b.data, b.len);
	strlcpy(tenant->name, "acme", sizeof(tenant->name));
	conversation_free(c);
	buf_fini(&b);
}

/* Text that is sealed rightly but is no conversation's. */
static void
refuses_sealed_nonsense(void **state)
{
#define HEAD	"{\"rememberd\":\"conversation\",\"format\":1,\"store\":" \
		"\"0\",\"tenant\":\"acme\",\"id\":\"c\",\"birth\":\"0\","
#define REST	"\"version\":1,\"lsn\":1,\"created_at\":1,\"updated_at\":1,"
#define LIVE	"\"deleted\":null,\"next_position\":3,\"user\":null,"	\
		"\"title\":null,\"metadata\":{},"
	static const struct {
		const char	*text;
		bool		 is_good;
	} cases[] = {
		{ HEAD REST LIVE "\"once\":[],\"items\":[],\n", true },
		{ HEAD REST "\"deleted\":5,\n", true },
		{ "", false },
		{ "{", false },
		{ "[]", false },
		{ HEAD, false },
		{ HEAD REST, false },
		{ HEAD REST LIVE "\"items\":[],\n", false },
		{ HEAD REST LIVE "\"once\":[],\n", false },
		{ HEAD REST LIVE "\"once\":[7],\"items\":[],\n", false },
		{ HEAD REST LIVE "\"once\":[],\"items\":[{}],\n", false },
		{ HEAD REST LIVE "\"once\":[],\"items\":[{\"at\":1,\"item\":"
		    "{\"id\":\"a\"}},{\"at\":1,\"item\":{\"id\":\"a\"}}],\n",
		    false },
		{ HEAD REST LIVE "\"once\":[],\"items\":[{\"at\":1,\"item\":"
		    "{\"id\":\"a\"},\"position\":2},{\"at\":1,\"item\":"
		    "{\"id\":\"b\"},\"position\":2}],\n", false },
		/* next_position is behind all of them. */
		{ HEAD REST LIVE "\"once\":[],\"items\":[{\"at\":1,\"item\":"
		    "{\"id\":\"a\"},\"position\":3}],\n", false },
		/* Without its user it would be anybody's. */
		{ HEAD REST "\"deleted\":null,\"next_position\":3,"
		    "\"title\":null,\"metadata\":{},\"once\":[],\"items\":[],"
		    "\n", false },
		{ HEAD REST "\"deleted\":null,\"next_position\":3,\"user\":7,"
		    "\"title\":null,\"metadata\":{},\"once\":[],\"items\":[],"
		    "\n", false },
	};
	struct conversation *c;
	char *text;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		text = sealed(cases[i].text);
		if (read_copy("c", text, strlen(text), &c) !=
		    (cases[i].is_good ? DOCUMENT_OK : DOCUMENT_BAD))
			fail_msg("%s", text);
		conversation_free(c);
		free(text);
	}
}

static void
add_keys(struct tenant *t)
{
	struct credential k;
	int i;

	for (i = 0; i < 3; i++) {
		memset(&k, 0, sizeof(k));
		(void)snprintf(k.id, sizeof(k.id), "key_%d", i);
		strlcpy(k.label, i == 0 ? "" : "a \"label\"\n",
		    sizeof(k.label));
		k.created_at = i;
		memset(k.hash, 0xf0 + i, sizeof(k.hash));
		assert_true(keyring_reserve(&t->apikeys));
		keyring_add(&t->apikeys, &k);
		memset(k.hash, 0, sizeof(k.hash));
		memset(k.secret, i, sizeof(k.secret));
		k.secret_len = 1 + 255 * (size_t)i;
		assert_true(keyring_reserve(&t->jwtkeys));
		keyring_add(&t->jwtkeys, &k);
	}
}

static struct buf
written_tenant(struct tenant *t)
{
	struct buf b = BUF_INITIALIZER;

	lock_take(&t->lck);
	document_tenant(t, STORE, &b);
	lock_give(&t->lck);
	assert_true(buf_ok(&b));
	return (b);
}

static void
tenants(void **state)
{
	struct tenant *back = tenant_new(&store, "acme", TENANT_OPEN);
	struct buf one, two;
	json_t *root;
	size_t i;

	(void)state;
	add_keys(tenant);
	tenant->lsn = 77;
	tenant->created_at = 1760000000000;
	one = written_tenant(tenant);
	assert_non_null(root = json_loadb(one.data, one.len,
	    JSON_REJECT_DUPLICATES, NULL));
	json_decref(root);
	for (i = 0; i < one.len; i++) {
		one.data[i] ^= 4;
		assert_int_equal(document_read_tenant(back, one.data, one.len,
		    why), DOCUMENT_BAD);
		one.data[i] ^= 4;
		assert_int_equal(document_read_tenant(back, one.data, i,
		    why), DOCUMENT_BAD);
	}
	assert_false(back->exists);
	assert_int_equal(document_read_tenant(back, one.data, one.len, why),
	    DOCUMENT_OK);
	assert_true(back->exists);
	two = written_tenant(back);
	assert_int_equal(one.len, two.len);
	assert_memory_equal(one.data, two.data, one.len);
	buf_fini(&one);
	buf_fini(&two);
	tenant_free(back);
}

/* Each hour's records in a file of their own. */
static void
once_files(void **state)
{
	const int64_t hour = 3600 * 1000, at = INT64_C(1760000000000) / hour *
	    hour;
	struct tenant *back = tenant_new(&store, "acme", TENANT_OPEN);
	struct buf b = BUF_INITIALIZER;
	struct buf rest = BUF_INITIALIZER, again = BUF_INITIALIZER;
	char name[ONCE_NAME];
	json_t *root;

	(void)state;
	assert_int_equal(document_once_name(at + 1, name), at);
	assert_string_equal(name, "20251009T08.json");
	assert_int_equal(document_once_name(at + hour - 1, name), at);
	assert_string_equal(name, "20251009T08.json");
	assert_int_equal(document_once_name(at + hour, name), at + hour);
	assert_string_equal(name, "20251009T09.json");

	add_once(&tenant->once, "before", at - 1);
	add_once(&tenant->once, "first", at);
	add_once(&tenant->once, "last", at + hour - 1);
	add_once(&tenant->once, "behind", at + hour);
	/* What a later rememberd wrote into each file's head. */
	buf_adds(&rest, ",\"another\":2");
	assert_true(extra_keep_hour(&tenant->extra, at + hour, &rest));
	buf_clear(&rest);
	buf_adds(&rest, ",\"later\":[1]");
	assert_true(extra_keep_hour(&tenant->extra, at, &rest));
	buf_fini(&rest);
	lock_take(&tenant->lck);
	assert_int_equal(document_once(tenant, STORE, at, at + hour, &b),
	    2);
	lock_give(&tenant->lck);
	assert_non_null(root = json_loadb(b.data, b.len, 0, NULL));
	assert_int_equal(json_array_size(json_object_get(root, "once")), 2);
	assert_non_null(json_object_get(root, "later"));
	assert_null(json_object_get(root, "another"));
	json_decref(root);
	lock_take(&back->lck);
	assert_int_equal(document_read_once(back, b.data, b.len, why),
	    DOCUMENT_OK);
	assert_int_equal(back->once.nkeyed, 2);
	assert_string_equal(TAILQ_FIRST(&back->once.keyed)->key, "first");
	/* Read twice it is there once. */
	assert_int_equal(document_read_once(back, b.data, b.len, why),
	    DOCUMENT_OK);
	assert_int_equal(back->once.nkeyed, 2);
	assert_int_equal(document_once(back, STORE, at, at + hour, &again),
	    2);
	assert_int_equal(again.len, b.len);
	assert_memory_equal(again.data, b.data, b.len);
	buf_fini(&again);
	b.data[b.len / 2] ^= 1;
	assert_int_equal(document_read_once(back, b.data, b.len, why),
	    DOCUMENT_BAD);
	lock_give(&back->lck);
	tenant_free(back);
	buf_fini(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(round_trips),
		TEST(has_preview),
		TEST(is_json),
		TEST(finds_damage),
		TEST(knows_its_place),
		TEST(refuses_sealed_nonsense),
		TEST(tenants),
		TEST(once_files),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
