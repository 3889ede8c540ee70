#include <bsd/string.h>

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "hex.h"
#include "member.h"
#include "once.h"

/* How many records without key a table may hold: credentials are few. */
#define ONCE_UNKEYED_MAX	64

static int
once_cmp(const struct once *a, const struct once *b)
{

	if (a->scope != b->scope)
		return (a->scope < b->scope ? -1 : 1);
	return (strcmp(a->key, b->key));
}

RB_PROTOTYPE(once_tree, once, node, once_cmp)
RB_GENERATE(once_tree, once, node, once_cmp)

struct once *
once_new(const struct change_once *o, const char *conversation)
{
	struct once *r;

	if ((r = calloc(1, sizeof(*r))) == NULL)
		return (NULL);
	if (o->key != NULL && (r->key = strdup(o->key)) == NULL) {
		free(r);
		return (NULL);
	}
	r->scope = o->scope;
	r->credential = o->credential;
	memcpy(r->body, o->body, sizeof(r->body));
	r->count = o->retry_count;
	strlcpy(r->conversation, conversation, sizeof(r->conversation));
	return (r);
}

void
once_free(struct once *r)
{

	if (r == NULL)
		return;
	free(r->key);
	free(r->ids);
	free(r->rest.p);
	free(r);
}

bool
once_add_id(struct once *r, const char *id)
{
	size_t size = strlen(id) + 1;
	char *ids;

	if ((ids = realloc(r->ids, r->ids_len + size)) == NULL)
		return (false);
	memcpy(ids + r->ids_len, id, size);
	r->ids = ids;
	r->ids_len += size;
	return (true);
}

void
once_table_init(struct once_table *t)
{

	TAILQ_INIT(&t->keyed);
	RB_INIT(&t->tree);
	t->nkeyed = 0;
	TAILQ_INIT(&t->unkeyed);
}

/* A record with a key stands in list and tree, one without in its own list. */
static void
once_assert_state(const struct once_table *t)
{

	(void)t;		/* for a build without assert */
	assert(TAILQ_EMPTY(&t->keyed) == (t->nkeyed == 0));
	assert(RB_EMPTY(&t->tree) == (t->nkeyed == 0));
	assert(t->nkeyed == 0 || TAILQ_FIRST(&t->keyed)->key != NULL);
	assert(TAILQ_EMPTY(&t->unkeyed) ||
	    TAILQ_LAST(&t->unkeyed, once_list)->key == NULL);
}

static void
once_remove(struct once_table *t, struct once *r)
{

	if (r->key != NULL) {
		TAILQ_REMOVE(&t->keyed, r, link);
		RB_REMOVE(once_tree, &t->tree, r);
		t->nkeyed--;
	} else
		TAILQ_REMOVE(&t->unkeyed, r, link);
	once_free(r);
	once_assert_state(t);
}

void
once_table_fini(struct once_table *t)
{
	struct once *r;

	while ((r = TAILQ_FIRST(&t->keyed)) != NULL)
		once_remove(t, r);
	while ((r = TAILQ_FIRST(&t->unkeyed)) != NULL)
		once_remove(t, r);
}

/* The record under the request's scope and key, or NULL. */
static struct once *
find_keyed(const struct once_table *t, const struct change_once *o)
{
	struct once want;

	memset(&want, 0, sizeof(want));
	want.scope = o->scope;
	want.key = (char *)(uintptr_t)o->key;	/* only compared */
	return (RB_FIND(once_tree, (struct once_tree *)(uintptr_t)&t->tree,
	    &want));
}

/* The newest record of a credential in one list, or NULL. */
static struct once *
newest_of(const struct once_list *list, uint64_t credential)
{
	struct once *r;

	TAILQ_FOREACH_REVERSE(r, list, once_list, link)
		if (r->credential == credential)
			break;
	return (r);
}

/*
 * Is the request the retry of the newest change that its credential made?
 * Time in which the daemon was down does not count against it.
 */
static struct once *
find_retry(const struct once_table *t, const struct change_once *o,
    int64_t now, int64_t down_ms, int64_t started_at)
{
	struct once *r, *keyed;
	int64_t age;

	r = newest_of(&t->unkeyed, o->credential);
	keyed = newest_of(&t->keyed, o->credential);
	if (r == NULL || (keyed != NULL && keyed->lsn > r->lsn))
		r = keyed;
	if (r == NULL || r->scope != o->scope || r->count >= o->retry_count)
		return (NULL);
	if (memcmp(r->body, o->body, sizeof(r->body)) != 0)
		return (NULL);
	age = now - r->at;
	if (r->at < started_at)
		age -= down_ms;
	return (age <= ONCE_RETRY_MS ? r : NULL);
}

enum store_err
once_find(const struct once_table *t, const struct change_once *o,
    int64_t now, int64_t down_ms, int64_t started_at, struct once **r_r)
{

	*r_r = NULL;
	if (o->key != NULL) {
		if ((*r_r = find_keyed(t, o)) == NULL)
			return (STORE_OK);
		if (now - (*r_r)->at > ONCE_KEEP_MS) {
			*r_r = NULL;
			return (STORE_OK);
		}
		if (memcmp((*r_r)->body, o->body, sizeof(o->body)) == 0)
			return (STORE_OK);
		*r_r = NULL;
		return (STORE_REUSED);
	}
	if (o->retry_count > 0)
		*r_r = find_retry(t, o, now, down_ms, started_at);
	return (STORE_OK);
}

bool
once_is_full(struct once_table *t, int64_t now, size_t limit)
{
	struct once *r, *next;

	/* Old ones stand in front: the list is in order of commit. */
	TAILQ_FOREACH_SAFE(r, &t->keyed, link, next) {
		if (now - r->at <= ONCE_KEEP_MS)
			break;
		once_remove(t, r);
	}
	return (t->nkeyed >= limit);
}

void
once_add(struct once_table *t, struct once *r)
{
	struct once *old, *next;
	size_t unkeyed = 0;

	TAILQ_FOREACH_REVERSE_SAFE(old, &t->unkeyed, once_list, link, next)
		if (old->credential == r->credential ||
		    ++unkeyed >= ONCE_UNKEYED_MAX)
			once_remove(t, old);
	if (r->key == NULL) {
		TAILQ_INSERT_TAIL(&t->unkeyed, r, link);
		once_assert_state(t);
		return;
	}
	if ((old = RB_FIND(once_tree, &t->tree, r)) != NULL)
		once_remove(t, old);
	RB_INSERT(once_tree, &t->tree, r);
	TAILQ_INSERT_TAIL(&t->keyed, r, link);
	t->nkeyed++;
	once_assert_state(t);
}

void
once_encode(const struct once *r, struct buf *b)
{
	char body[2 * BODY_HASH_SIZE + 1];
	size_t i;

	hex_encode(body, r->body, sizeof(r->body));
	buf_adds(b, "{\"key\":");
	buf_jsons(b, r->key);
	/* 64-bit hashes as text: not every reader of JSON holds them. */
	buf_addf(b, ",\"scope\":\"%016" PRIx64 "\",\"credential\":\"%016" PRIx64
	    "\",\"body\":\"%s\"", r->scope, r->credential, body);
	buf_addf(b, ",\"count\":%" PRIu32 ",\"at\":%" PRId64 ",\"lsn\":%"
	    PRIu64 ",\"version\":%" PRIu64 ",\"conversation\":\"%s\"",
	    r->count, r->at, r->lsn, r->version, r->conversation);
	buf_adds(b, ",\"items\":[");
	for (i = 0; i < r->ids_len; i += strlen(r->ids + i) + 1) {
		if (i > 0)
			buf_addc(b, ',');
		buf_jsons(b, r->ids + i);
	}
	buf_addc(b, ']');
	buf_add(b, r->rest.p, r->rest.len);
	buf_addc(b, '}');
}

/* Hex digits of a JSON string into n bytes. */
static bool
decode_hex(struct span value, unsigned char *p, size_t n)
{
	char hex[2 * BODY_HASH_SIZE + 1];

	return (jsonscan_cstring(value, hex, sizeof(hex)) &&
	    strlen(hex) == 2 * n && hex_decode(hex, p, n));
}

static bool
decode_hash(struct span value, uint64_t *hash)
{
	unsigned char p[8];
	size_t i;

	if (!decode_hex(value, p, sizeof(p)))
		return (false);
	for (*hash = 0, i = 0; i < sizeof(p); i++)
		*hash = *hash << 8 | p[i];
	return (true);
}

static bool
decode_ids(struct once *r, struct span array)
{
	struct jsonscan it;
	struct span key, val;
	char id[ID_SIZE];

	jsonscan_begin(&it, array);
	while (jsonscan_next(&it, &key, &val))
		if (!jsonscan_cstring(val, id, sizeof(id)) ||
		    !once_add_id(r, id))
			return (false);
	return (true);
}

static bool
decode_key(struct once *r, struct span value)
{
	char key[256];

	if (value.len == 4 && memcmp(value.p, "null", 4) == 0)
		return (true);
	if (!jsonscan_cstring(value, key, sizeof(key)))
		return (false);
	return ((r->key = strdup(key)) != NULL);
}

enum { KEY, SCOPE, CREDENTIAL, BODY, COUNT, AT, LSN, VERSION, CONVERSATION,
    ITEMS, NMEMBERS };

static bool
decode_numbers(struct once *r, const struct member *v)
{
	uint64_t count;

	if (!jsonscan_u64(v[COUNT].value, &count) || count > UINT32_MAX)
		return (false);
	r->count = (uint32_t)count;
	return (jsonscan_i64(v[AT].value, &r->at) &&
	    jsonscan_u64(v[LSN].value, &r->lsn) &&
	    jsonscan_u64(v[VERSION].value, &r->version));
}

static bool
decode_strings(struct once *r, const struct member *v)
{

	if (v[KEY].value.p == NULL || !decode_key(r, v[KEY].value) ||
	    !decode_hash(v[SCOPE].value, &r->scope) ||
	    !decode_hash(v[CREDENTIAL].value, &r->credential) ||
	    !decode_hex(v[BODY].value, r->body, sizeof(r->body)) ||
	    !jsonscan_cstring(v[CONVERSATION].value, r->conversation,
	    sizeof(r->conversation)))
		return (false);
	/* It is written without escapes. */
	return (id_is_valid(r->conversation, strlen(r->conversation)) &&
	    v[ITEMS].value.p != NULL && decode_ids(r, v[ITEMS].value));
}

static bool
decode_rest(struct once *r, const struct buf *rest)
{

	if (rest->len > 0)
		r->rest = text_new(rest->data, rest->len);
	return (buf_ok(rest) && (rest->len == 0 || r->rest.p != NULL));
}

struct once *
once_decode(struct span object)
{
	struct member v[NMEMBERS] = {
		[KEY] = { .name = "key" },
		[SCOPE] = { .name = "scope" },
		[CREDENTIAL] = { .name = "credential" },
		[BODY] = { .name = "body" },
		[COUNT] = { .name = "count" },
		[AT] = { .name = "at" },
		[LSN] = { .name = "lsn" },
		[VERSION] = { .name = "version" },
		[CONVERSATION] = { .name = "conversation" },
		[ITEMS] = { .name = "items" },
	};
	struct buf rest = BUF_INITIALIZER;
	struct once *r;

	if ((r = calloc(1, sizeof(*r))) == NULL)
		return (NULL);
	member_split(object, v, NMEMBERS, &rest);
	if (!decode_numbers(r, v) || !decode_strings(r, v) ||
	    !decode_rest(r, &rest)) {
		once_free(r);
		r = NULL;
	}
	buf_fini(&rest);
	return (r);
}
