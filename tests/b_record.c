/*
 * store/record and store/change: every kind of change goes into a line of the
 * journal and comes back the same; no other line does any harm.
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

#include "store/change.h"
#include "store/record.h"

static const enum change_kind kinds[] = {
	CHANGE_CONVERSATION_CREATE, CHANGE_CONVERSATION_UPDATE,
	CHANGE_CONVERSATION_DELETE, CHANGE_ITEMS_APPEND, CHANGE_ITEM_DELETE,
	CHANGE_TENANT_CREATE, CHANGE_APIKEY_ADD, CHANGE_APIKEY_REVOKE,
	CHANGE_JWTKEY_ADD, CHANGE_JWTKEY_REVOKE, CHANGE_IMPORT_PART,
	CHANGE_CONVERSATION_IMPORT,
};

#define NKINDS	(sizeof(kinds) / sizeof(kinds[0]))

static const char message[] = "{\"type\":\"message\",\"id\":\"msg_1\","
    "\"content\":[{\"type\":\"input_text\","
    "\"text\":\"h\\u0000i \\\"you\\\"\"}]}";
static const char other[] = "{\"type\":\"x\",\"n\":0.10000000000000000001,"
    "\"id\":\"it-2\"}";

static void
fill_conversation(struct record *r)
{
	struct change_once o = { .key = "a \"key\"", .scope = 1,
	    .credential = UINT64_MAX, .retry_count = 2 };

	strlcpy(r->conversation, "conv_1", sizeof(r->conversation));
	strlcpy(r->birth, "0123456789abcdef", sizeof(r->birth));
	r->version = INT64_MAX;
	r->once = once_new(&o, "conv_1");
	assert_non_null(r->once);
	assert_true(once_add_id(r->once, "msg_1"));
}

static void
fill_items(struct record *r)
{

	r->items = calloc(2, sizeof(*r->items));
	assert_non_null(r->items);
	r->items[r->nitems++] = item_new("msg_1", message, strlen(message));
	r->items[r->nitems++] = item_new("it-2", other, strlen(other));
}

/* Items with times and places of their own; two that follow, one that not. */
static void
fill_entries(struct record *r)
{
	static const uint64_t position[] = { 3, 4, INT64_MAX };
	size_t i;

	r->items = calloc(3, sizeof(*r->items));
	assert_non_null(r->items);
	r->items[r->nitems++] = item_new("msg_1", message, strlen(message));
	r->items[r->nitems++] = item_new("it-2", other, strlen(other));
	r->items[r->nitems++] = item_new("it-3", "{\"id\":\"it-3\"}", 13);
	for (i = 0; i < 3; i++) {
		r->items[i]->at = INT64_C(1600000000000) - (int64_t)i;
		r->items[i]->position = position[i];
	}
	if (r->kind != CHANGE_CONVERSATION_IMPORT)
		return;
	r->created_at = INT64_C(1500000000000);
	r->updated_at = -1;
	r->parts = INT64_MAX;
}

static void
fill_credential(struct record *r)
{
	size_t i;

	r->credential = calloc(1, sizeof(*r->credential));
	assert_non_null(r->credential);
	strlcpy(r->credential->id, "key_1", sizeof(r->credential->id));
	strlcpy(r->credential->label, "it's \"one\"",
	    sizeof(r->credential->label));
	r->credential->created_at = -5;
	for (i = 0; i < KEY_HASH_SIZE; i++)
		r->credential->hash[i] = (unsigned char)(250 + i);
	if (r->kind != CHANGE_JWTKEY_ADD)
		return;
	memset(r->credential->hash, 0, KEY_HASH_SIZE);
	r->credential->secret_len = sizeof(r->credential->secret);
	for (i = 0; i < r->credential->secret_len; i++)
		r->credential->secret[i] = (unsigned char)(i * 7);
}

/* What a tenant begins with, one and two. */
static void
fill_rings(struct record *r)
{
	int i;

	for (i = 0; i < 3; i++) {
		struct keyring *k = i == 0 ? &r->apikeys : &r->jwtkeys;

		r->kind = i == 0 ? CHANGE_APIKEY_ADD : CHANGE_JWTKEY_ADD;
		fill_credential(r);
		r->credential->id[4] = (char)('1' + i);
		assert_true(keyring_reserve(k));
		keyring_add(k, r->credential);
		store_credentials_free(r->credential, 1);
		r->credential = NULL;
	}
	r->kind = CHANGE_TENANT_CREATE;
}

/* A record of that kind with all that such a record can hold. */
static void
fill(struct record *r, enum change_kind kind)
{

	record_init(r, kind);
	r->at = INT64_C(1760000000123);
	strlcpy(r->tenant, "acme-1_x", sizeof(r->tenant));
	if (change_row(kind)->scope != SCOPE_TENANT)
		fill_conversation(r);
	if (kind == CHANGE_CONVERSATION_CREATE ||
	    kind == CHANGE_CONVERSATION_IMPORT)
		r->user = text_new("user \"1\"\n", 9);
	if (kind == CHANGE_CONVERSATION_CREATE ||
	    kind == CHANGE_CONVERSATION_IMPORT ||
	    kind == CHANGE_CONVERSATION_UPDATE) {
		r->has_title = true;
		r->title = text_new("a\0title", 7);
		r->metadata = text_new("{\"k\":\"v\\u0000\"}", 15);
	}
	if (kind == CHANGE_CONVERSATION_CREATE || kind == CHANGE_ITEMS_APPEND)
		fill_items(r);
	if (change_row(kind)->scope == SCOPE_IMPORT)
		fill_entries(r);
	if (kind == CHANGE_ITEM_DELETE || kind == CHANGE_APIKEY_REVOKE ||
	    kind == CHANGE_JWTKEY_REVOKE)
		strlcpy(r->item, "msg_1", sizeof(r->item));
	if (kind == CHANGE_APIKEY_ADD || kind == CHANGE_JWTKEY_ADD)
		fill_credential(r);
	if (kind == CHANGE_TENANT_CREATE)
		fill_rings(r);
}

/* The line, with its newline. */
static struct buf
line_of(const struct record *r)
{
	struct buf head = BUF_INITIALIZER, line = BUF_INITIALIZER;
	struct iovec *iov;
	int i, n;

	assert_int_equal(record_encode(r, &head, &iov, &n), 0);
	for (i = 0; i < n; i++)
		buf_add(&line, iov[i].iov_base, iov[i].iov_len);
	assert_true(buf_ok(&line));
	free(iov);
	buf_fini(&head);
	return (line);
}

static void
same_text(const struct text *a, const struct text *b)
{

	assert_int_equal(a->p == NULL, b->p == NULL);
	assert_int_equal(a->len, b->len);
	if (a->p != NULL)
		assert_memory_equal(a->p, b->p, a->len);
}

static void
same(const struct record *a, const struct record *b)
{
	struct buf x = line_of(a), y = line_of(b);
	size_t i;

	assert_int_equal(a->kind, b->kind);
	assert_int_equal(a->at, b->at);
	assert_string_equal(a->tenant, b->tenant);
	assert_string_equal(a->conversation, b->conversation);
	assert_string_equal(a->birth, b->birth);
	assert_int_equal(a->version, b->version);
	same_text(&a->user, &b->user);
	assert_int_equal(a->has_title, b->has_title);
	same_text(&a->title, &b->title);
	same_text(&a->metadata, &b->metadata);
	assert_int_equal(a->nitems, b->nitems);
	for (i = 0; i < a->nitems; i++) {
		assert_string_equal(a->items[i]->id, b->items[i]->id);
		assert_int_equal(a->items[i]->len, b->items[i]->len);
		assert_memory_equal(a->items[i]->json, b->items[i]->json,
		    a->items[i]->len);
		assert_int_equal(a->items[i]->at, b->items[i]->at);
		assert_int_equal(a->items[i]->position,
		    b->items[i]->position);
	}
	assert_int_equal(a->created_at, b->created_at);
	assert_int_equal(a->updated_at, b->updated_at);
	assert_int_equal(a->parts, b->parts);
	assert_string_equal(a->item, b->item);
	assert_int_equal(a->once == NULL, b->once == NULL);
	assert_int_equal(a->credential == NULL, b->credential == NULL);
	if (a->credential != NULL)
		assert_memory_equal(a->credential, b->credential,
		    sizeof(*a->credential));
	assert_int_equal(a->apikeys.n, b->apikeys.n);
	assert_int_equal(a->jwtkeys.n, b->jwtkeys.n);
	/* And what was not named here, by its bytes. */
	assert_int_equal(x.len, y.len);
	assert_memory_equal(x.data, y.data, x.len);
	buf_fini(&x);
	buf_fini(&y);
}

static void
round_trips(void **state)
{
	struct record r, back;
	struct buf line;
	json_t *tree;
	size_t i;

	(void)state;
	for (i = 0; i < NKINDS; i++) {
		fill(&r, kinds[i]);
		line = line_of(&r);
		/* One line, and JSON to others, too. */
		assert_ptr_equal(memchr(line.data, '\n', line.len),
		    line.data + line.len - 1);
		tree = json_loadb(line.data, line.len, JSON_ALLOW_NUL |
		    JSON_REJECT_DUPLICATES, NULL);
		assert_non_null(tree);
		json_decref(tree);
		assert_int_equal(record_decode((struct span){ line.data,
		    line.len - 1 }, &back), 1);
		same(&r, &back);
		record_fini(&r);
		record_fini(&back);
		buf_fini(&line);
	}
}

/* The same with nothing in it that can be left out. */
static void
round_trips_bare(void **state)
{
	struct record r, back;
	struct buf line;
	size_t i;

	(void)state;
	for (i = 0; i < NKINDS; i++) {
		fill(&r, kinds[i]);
		once_free(r.once);
		r.once = NULL;
		r.has_title = kinds[i] == CHANGE_CONVERSATION_UPDATE;
		text_replace(&r.title, (struct text){ NULL, 0 });
		text_replace(&r.user, (struct text){ NULL, 0 });
		text_replace(&r.metadata, (struct text){ NULL, 0 });
		keyring_fini(&r.apikeys);
		keyring_fini(&r.jwtkeys);
		/* An imported one has metadata, be it {}. */
		if (kinds[i] == CHANGE_CONVERSATION_IMPORT)
			r.metadata = text_new("{}", 2);
		while (kinds[i] != CHANGE_ITEMS_APPEND && r.nitems > 0)
			item_unref(r.items[--r.nitems]);
		line = line_of(&r);
		assert_int_equal(record_decode((struct span){ line.data,
		    line.len - 1 }, &back), 1);
		same(&r, &back);
		record_fini(&r);
		record_fini(&back);
		buf_fini(&line);
	}
}

/* The preview is not in the line: it comes from the items. */
static void
makes_the_preview(void **state)
{
	struct record r, back;
	struct buf line;

	(void)state;
	fill(&r, CHANGE_ITEMS_APPEND);
	line = line_of(&r);
	assert_int_equal(record_decode((struct span){ line.data,
	    line.len - 1 }, &back), 1);
	assert_int_equal(back.preview.len, 9);
	assert_memory_equal(back.preview.p, "h\0i \"you\"", 9);
	record_fini(&r);
	record_fini(&back);
	buf_fini(&line);
}

/* Decode in memory of its own, so that a byte too far is seen. */
static int
decode_copy(const char *p, size_t len, struct record *r)
{
	char *copy = malloc(len > 0 ? len : 1);
	int rc;

	assert_non_null(copy);
	memcpy(copy, p, len);
	rc = record_decode((struct span){ copy, len }, r);
	free(copy);
	return (rc);
}

/* What was decoded is safe to apply: it holds what its kind needs. */
static void
check_complete(const struct record *r)
{
	const struct change_row *row = change_row(r->kind);

	assert_non_null(row);
	if (row->scope != SCOPE_TENANT)
		assert_true(r->conversation[0] != '\0' && r->version > 0);
	if (r->kind == CHANGE_APIKEY_ADD || r->kind == CHANGE_JWTKEY_ADD)
		assert_non_null(r->credential);
	if (r->kind == CHANGE_APIKEY_REVOKE || r->kind == CHANGE_JWTKEY_REVOKE)
		assert_true(r->item[0] != '\0');
}

static void
survives(const char *p, size_t len)
{
	struct record r;

	if (decode_copy(p, len, &r) == 1)
		check_complete(&r);
	record_fini(&r);
}

static void
decodes_anything(void **state)
{
	static const char bytes[] = "\"{}[],:a0-\\";
	struct record r;
	struct buf line;
	size_t i, j, k;
	char was;

	(void)state;
	for (k = 0; k < NKINDS; k++) {
		fill(&r, kinds[k]);
		line = line_of(&r);
		record_fini(&r);
		for (i = 0; i < line.len; i++) {
			survives(line.data, i);
			was = line.data[i];
			for (j = 0; j < sizeof(bytes) - 1; j++) {
				line.data[i] = bytes[j];
				survives(line.data, line.len);
			}
			line.data[i] = was;
		}
		buf_fini(&line);
	}
}

static int
decode_text(const char *s, struct record *r)
{
	return (decode_copy(s, strlen(s), r));
}

/* Members that come twice, with another type, or not at all. */
static void
odd_lines(void **state)
{
#define TENANT	"{\"at\":1,\"op\":\"%s\",\"tenant\":\"acme\"%s}"
#define CONV	",\"conversation\":\"c\",\"birth\":\"0\",\"version\":1"
	static const struct {
		const char	*op, *rest;
		int		 rc;
	} lines[] = {
		{ "tenant.create", "", 1 },
		{ "tenant.create", ",\"unknown\":[{}]", 1 },
		{ "tenant.burn", "", 0 },
		{ "apikey.add", "", 0 },
		/* These were taken, and would have crashed when applied. */
		{ "apikey.add", ",\"item\":\"key_1\"", 0 },
		{ "jwtkey.add", ",\"item\":\"key_1\"", 0 },
		{ "apikey.revoke", ",\"credential\":{\"id\":\"k\",\"label\":"
		    "\"\",\"created_at\":1,\"secret\":\"00\"}", 0 },
		{ "apikey.add", ",\"credential\":{}", 0 },
		{ "items.append", "", 0 },
		{ "items.append", CONV, 1 },
		{ "items.append", CONV ",\"items\":[{}]", 0 },
		{ "items.append", CONV ",\"items\":[{\"id\":7}]", 0 },
		{ "item.delete", CONV, 0 },
		{ "conversation.create", CONV ",\"user\":7", 0 },
		{ "conversation.create", CONV ",\"user\":\"\\ud800\"", 0 },
		{ "conversation.create", CONV ",\"title\":\"long enough to "
		    "need memory \\x\"", 0 },
		/* Twice: the last counts, nothing is lost. */
		{ "conversation.create", CONV ",\"user\":\"a\",\"user\":\"b\","
		    "\"title\":\"a\",\"title\":\"b\",\"metadata\":{},"
		    "\"metadata\":{}", 1 },
		{ "conversation.create", CONV ",\"title\":\"a\","
		    "\"title\":null", 1 },
		{ "items.append", CONV ",\"once\":7", 0 },
		{ "conversation.import", CONV, 0 },
		{ "conversation.import", CONV ",\"metadata\":{}", 1 },
		{ "import.part", CONV ",\"entries\":[{\"at\":1}]", 0 },
		{ "import.part", CONV ",\"entries\":[{\"item\":{\"id\":"
		    "\"a\"}}]", 0 },
		{ "import.part", CONV ",\"entries\":[{\"at\":1,\"item\":"
		    "{\"id\":\"a\"},\"position\":\"x\"}]", 0 },
	};
	char line[512];
	struct record r;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		(void)snprintf(line, sizeof(line), TENANT, lines[i].op,
		    lines[i].rest);
		if (decode_text(line, &r) != lines[i].rc)
			fail_msg("%s: not %d", line, lines[i].rc);
		record_fini(&r);
	}
	assert_int_equal(decode_text("", &r), 0);
	record_fini(&r);
	assert_int_equal(decode_text("[1]", &r), 0);
	record_fini(&r);
	assert_int_equal(decode_text("{\"at\":1,\"op\":\"tenant.create\","
	    "\"tenant\":\"../x\"}", &r), 0);
	record_fini(&r);
}

/* Every kind has a row, and is found by its name as by its number. */
static void
table_is_whole(void **state)
{
	const struct change_row *row;
	char name[64];
	size_t i;

	(void)state;
	for (i = 0; i < NKINDS; i++) {
		row = change_row(kinds[i]);
		assert_non_null(row);
		assert_int_equal(row->kind, kinds[i]);
		(void)snprintf(name, sizeof(name), "\"%s\"", row->name);
		assert_ptr_equal(change_row_named((struct span){ name,
		    strlen(name) }), row);
	}
	assert_null(change_row(0));
	assert_null(change_row(CHANGE_CONVERSATION_IMPORT + 1));
	assert_null(change_row_named((struct span){ "7", 1 }));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trips),
		cmocka_unit_test(round_trips_bare),
		cmocka_unit_test(makes_the_preview),
		cmocka_unit_test(odd_lines),
		cmocka_unit_test(decodes_anything),
		cmocka_unit_test(table_is_whole),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
