#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <xxhash.h>

#include "document.h"
#include "key.h"

/* "checksum":"xxh3:<16 hex>"}\n */
#define CHECKSUM_HEAD	"\"checksum\":\"xxh3:"
#define CHECKSUM_LINE	(sizeof(CHECKSUM_HEAD) - 1 + 16 + 3)

#define HOUR_MS		(60 * 60 * INT64_C(1000))

/* The most that one key takes: its secret's digits, its label escaped. */
#define KEY_BYTES	(2 * KEY_SECRET_MAX + 1024)

#define SUFFIX		".json"

/* --- names -------------------------------------------------------------- */

void
document_name(const char *id, char name[DOCUMENT_NAME])
{

	(void)snprintf(name, DOCUMENT_NAME, "%s" SUFFIX, id);
}

bool
document_id(const char *name, char id[ID_SIZE])
{
	const size_t suffix = sizeof(SUFFIX) - 1;
	size_t len = strlen(name);

	if (len <= suffix || len - suffix > ID_MAX ||
	    strcmp(name + len - suffix, SUFFIX) != 0)
		return (false);
	memcpy(id, name, len - suffix);
	id[len - suffix] = '\0';
	return (id_is_valid(id, len - suffix));
}

/* --- writing ------------------------------------------------------------ */

static void
write_head(struct buf *b, const char *kind, const char *store_id,
    const char *tenant)
{

	buf_addf(b, "{\"rememberd\":\"%s\",\"format\":%d,\"store\":\"%s\","
	    "\"tenant\":\"%s\"", kind, DOCUMENT_FORMAT, store_id, tenant);
}

/* The last line, over what is in b from `from` on. */
static void
write_checksum(struct buf *b, size_t from)
{

	if (buf_ok(b))
		buf_addf(b, CHECKSUM_HEAD "%016" PRIx64 "\"}\n",
		    (uint64_t)XXH3_64bits(b->data + from, b->len - from));
}

/* A comma behind every entry of a list but the last; each on its line. */
static void
write_next(struct buf *b, bool *is_first)
{

	buf_adds(b, *is_first ? "\n" : ",\n");
	*is_first = false;
}

static void
write_once(const struct once_table *table, struct buf *b)
{
	const struct once *r;
	bool is_first = true;

	buf_adds(b, ",\n\"once\":[");
	TAILQ_FOREACH(r, &table->keyed, link) {
		write_next(b, &is_first);
		once_encode(r, b);
	}
	TAILQ_FOREACH(r, &table->unkeyed, link) {
		write_next(b, &is_first);
		once_encode(r, b);
	}
	buf_adds(b, "\n]");
}

static void
write_items(const struct items *is, struct buf *b)
{
	const struct item *it;
	uint64_t expected = 1;
	bool is_first = true;
	size_t i;

	(void)buf_reserve(b, is->bytes + is->n * 40);
	buf_adds(b, ",\n\"items\":[");
	for (i = 0; i < is->n; i++) {
		it = is->v[i];
		write_next(b, &is_first);
		buf_adds(b, "{\"at\":");
		buf_addi(b, it->at);
		buf_adds(b, ",\"item\":");
		buf_add(b, it->json, it->len);
		if (it->position != expected) {
			buf_adds(b, ",\"position\":");
			buf_addu(b, it->position);
		}
		buf_addc(b, '}');
		expected = it->position + 1;
	}
	buf_adds(b, "\n]");
}

void
document_conversation(const struct conversation *c, const char *store_id,
    struct buf *b)
{
	size_t from = b->len;

	lock_assert_held(&c->lck);
	write_head(b, "conversation", store_id, c->tenant->name);
	buf_addf(b, ",\"id\":\"%s\",\"birth\":\"%s\",\"version\":%" PRIu64
	    ",\"lsn\":%" PRIu64 ",\"created_at\":%" PRId64 ",\"updated_at\":%"
	    PRId64, c->id, c->birth, c->version, c->lsn, c->created_at,
	    c->updated_at);
	if (c->is_deleted)
		buf_addf(b, ",\"deleted\":%" PRId64, c->deleted_at);
	else {
		/* The null spares the reader a walk to the end. */
		buf_addf(b, ",\"deleted\":null,\"next_position\":%" PRIu64
		    ",\"user\":",
		    c->items.next_position);
		buf_jsons(b, c->user);
		text_encode(&c->title, "title", b);
		buf_adds(b, ",\"metadata\":");
		buf_add(b, c->metadata.p, c->metadata.len);
		write_once(&c->once, b);
		write_items(&c->items, b);
	}
	buf_adds(b, ",\n");
	write_checksum(b, from);
}

static void
write_keys(const struct keyring *k, const char *name, struct buf *b)
{
	bool is_first = true;
	size_t i;

	buf_addf(b, ",\n\"%s\":[", name);
	for (i = 0; i < k->n; i++) {
		write_next(b, &is_first);
		key_encode(&k->v[i], b);
	}
	buf_adds(b, "\n]");
}

void
document_tenant(const struct tenant *t, const char *store_id, struct buf *b)
{
	size_t from = b->len;

	lock_assert_held(&t->lck);
	/* At once: a buffer that grows leaves secrets where it was. */
	(void)buf_reserve(b, 1024 + (t->apikeys.n + t->jwtkeys.n) * KEY_BYTES);
	write_head(b, "tenant", store_id, t->name);
	buf_addf(b, ",\"lsn\":%" PRIu64 ",\"created_at\":%" PRId64, t->lsn,
	    t->created_at);
	write_keys(&t->apikeys, "api_keys", b);
	write_keys(&t->jwtkeys, "jwt_keys", b);
	buf_adds(b, ",\n");
	write_checksum(b, from);
}

int64_t
document_once_name(int64_t at, char *buf)
{
	time_t sec;
	struct tm tm;

	sec = (time_t)(at / HOUR_MS * (HOUR_MS / 1000));
	if (gmtime_r(&sec, &tm) == NULL)
		memset(&tm, 0, sizeof(tm));
	(void)strftime(buf, ONCE_NAME, "%Y%m%dT%H.json", &tm);
	return (at / HOUR_MS * HOUR_MS);
}

size_t
document_once(const struct tenant *t, const char *store_id, int64_t from,
    int64_t until, struct buf *b)
{
	const struct once *r;
	size_t start = b->len, n = 0;
	bool is_first = true;

	lock_assert_held(&t->lck);
	write_head(b, "once", store_id, t->name);
	buf_adds(b, ",\n\"once\":[");
	TAILQ_FOREACH(r, &t->once.keyed, link) {
		if (r->at < from || r->at >= until)
			continue;
		write_next(b, &is_first);
		once_encode(r, b);
		n++;
	}
	buf_adds(b, "\n],\n");
	write_checksum(b, start);
	return (n);
}

/* --- reading ------------------------------------------------------------ */

/* Is the last line there and right? */
static bool
is_sealed(const char *data, size_t len)
{
	char line[CHECKSUM_LINE + 1];
	size_t before;

	if (len < CHECKSUM_LINE)
		return (false);
	before = len - CHECKSUM_LINE;
	(void)snprintf(line, sizeof(line), CHECKSUM_HEAD "%016" PRIx64
	    "\"}\n", (uint64_t)XXH3_64bits(data, before));
	return (memcmp(data + before, line, CHECKSUM_LINE) == 0);
}

static bool
get_u64(struct span root, const char *name, uint64_t *v)
{
	struct span s;

	return (jsonscan_get(root, name, &s) && jsonscan_u64(s, v));
}

static bool
get_i64(struct span root, const char *name, int64_t *v)
{
	struct span s;

	return (jsonscan_get(root, name, &s) && jsonscan_i64(s, v));
}

static bool
get_cstring(struct span root, const char *name, char *dst, size_t size)
{
	struct span s;

	return (jsonscan_get(root, name, &s) && jsonscan_cstring(s, dst, size));
}

/*
 * What every document must be: whole, of this kind, format and tenant.
 * Returns NULL, or what is wrong.
 */
static const char *
check_head(struct span root, const char *kind, const char *tenant)
{
	char word[TENANT_NAME_MAX + 1];
	uint64_t format;

	if (!is_sealed(root.p, root.len))
		return ("the checksum is wrong");
	if (!get_cstring(root, "rememberd", word, sizeof(word)) ||
	    strcmp(word, kind) != 0)
		return ("it is a document of another kind");
	if (!get_u64(root, "format", &format) || format != DOCUMENT_FORMAT)
		return ("its format is not known here");
	if (!get_cstring(root, "tenant", word, sizeof(word)) ||
	    strcmp(word, tenant) != 0)
		return ("it is of another tenant than its path says");
	return (NULL);
}

/* A string, or null for none. */
static enum document_state
get_text(struct span root, const char *name, struct text *t)
{
	struct span s;

	if (!jsonscan_get(root, name, &s))
		return (DOCUMENT_BAD);
	switch (text_decode(s, t)) {
	case 1:
		return (DOCUMENT_OK);
	case 0:
		return (DOCUMENT_BAD);
	default:
		return (DOCUMENT_NOMEM);
	}
}

static enum document_state
read_once(struct span root, struct once_table *table)
{
	struct jsonscan it;
	struct span array, key, val;
	struct once *r;

	if (!jsonscan_get(root, "once", &array))
		return (DOCUMENT_BAD);
	jsonscan_begin(&it, array);
	while (jsonscan_next(&it, &key, &val)) {
		errno = 0;
		if ((r = once_decode(val)) == NULL)
			return (errno == ENOMEM ? DOCUMENT_NOMEM :
			    DOCUMENT_BAD);
		once_add(table, r);
	}
	return (DOCUMENT_OK);
}

static enum document_state
read_item(struct span entry, struct conversation *c)
{
	struct item *it;
	struct span json;
	char id[ID_SIZE];
	uint64_t position = 0;
	int64_t at;

	if (!jsonscan_get(entry, "item", &json) ||
	    !get_i64(entry, "at", &at) ||
	    !get_cstring(json, "id", id, sizeof(id)) ||
	    items_find(&c->items, id) != NULL)
		return (DOCUMENT_BAD);
	(void)get_u64(entry, "position", &position);
	if (position != 0 && position < c->items.next_position)
		return (DOCUMENT_BAD);
	if (!items_reserve(&c->items, 1) ||
	    (it = item_new(id, json.p, json.len)) == NULL)
		return (DOCUMENT_NOMEM);
	it->at = at;
	it->lsn = c->lsn;
	items_add(&c->items, it, position);
	return (DOCUMENT_OK);
}

static enum document_state
read_items(struct span root, struct conversation *c)
{
	enum document_state state;
	struct jsonscan it;
	struct span array, key, val;
	uint64_t next;

	if (!jsonscan_get(root, "items", &array))
		return (DOCUMENT_BAD);
	jsonscan_begin(&it, array);
	while (jsonscan_next(&it, &key, &val))
		if ((state = read_item(val, c)) != DOCUMENT_OK)
			return (state);
	if (!get_u64(root, "next_position", &next) ||
	    next < c->items.next_position)
		return (DOCUMENT_BAD);
	c->items.next_position = next;
	c->preview = conversation_preview(c->items.v, c->items.n);
	return (DOCUMENT_OK);
}

/* All but the head's strings that conversation_new takes. */
static enum document_state
read_body(struct span root, struct conversation *c)
{
	enum document_state state;
	struct span metadata;

	if (!get_u64(root, "version", &c->version) || c->version == 0 ||
	    !get_u64(root, "lsn", &c->lsn) || c->lsn == 0 ||
	    !get_i64(root, "updated_at", &c->updated_at))
		return (DOCUMENT_BAD);
	if (get_i64(root, "deleted", &c->deleted_at)) {
		lock_take(&c->lck);
		conversation_bury(c, c->deleted_at);
		lock_give(&c->lck);
		return (DOCUMENT_OK);
	}
	if (!jsonscan_get(root, "metadata", &metadata))
		return (DOCUMENT_BAD);
	if ((state = get_text(root, "title", &c->title)) != DOCUMENT_OK)
		return (state);
	text_replace(&c->metadata, text_new(metadata.p, metadata.len));
	if (c->metadata.p == NULL)
		return (DOCUMENT_NOMEM);
	if ((state = read_once(root, &c->once)) != DOCUMENT_OK)
		return (state);
	return (read_items(root, c));
}

enum document_state
document_read_conversation(struct tenant *t, const char *id, const char *data,
    size_t len, struct conversation **c_r, const char **why)
{
	struct span root = { data, len };
	struct text user = { NULL, 0 };
	struct conversation *c;
	enum document_state state;
	char name[ID_SIZE], birth[BIRTH_SIZE];
	int64_t created, deleted;

	if ((*why = check_head(root, "conversation", t->name)) != NULL)
		return (DOCUMENT_BAD);
	*why = "it is of another conversation than its name says";
	if (!get_cstring(root, "id", name, sizeof(name)) ||
	    strcmp(name, id) != 0)
		return (DOCUMENT_BAD);
	*why = "its content is not what a conversation's is";
	if (!get_cstring(root, "birth", birth, sizeof(birth)) ||
	    !get_i64(root, "created_at", &created))
		return (DOCUMENT_BAD);
	/* Whose a live one is must be known, or it would be anybody's. */
	if (!get_i64(root, "deleted", &deleted) &&
	    (state = get_text(root, "user", &user)) != DOCUMENT_OK)
		return (state);
	c = conversation_new(t, id, birth, user.p, user.len, created);
	free(user.p);
	if (c == NULL)
		return (DOCUMENT_NOMEM);
	if ((state = read_body(root, c)) != DOCUMENT_OK) {
		conversation_free(c);
		return (state);
	}
	*c_r = c;
	return (DOCUMENT_OK);
}

static enum document_state
read_keys(struct span root, const char *name, struct keyring *k)
{
	struct jsonscan it;
	struct span array, key, val;
	struct credential c;
	enum document_state state = DOCUMENT_OK;

	if (!jsonscan_get(root, name, &array))
		return (DOCUMENT_BAD);
	jsonscan_begin(&it, array);
	while (state == DOCUMENT_OK && jsonscan_next(&it, &key, &val)) {
		if (!key_decode(val, &c))
			state = DOCUMENT_BAD;
		else if (!keyring_reserve(k))
			state = DOCUMENT_NOMEM;
		else
			keyring_add(k, &c);
	}
	explicit_bzero(&c, sizeof(c));
	return (state);
}

enum document_state
document_read_tenant(struct tenant *t, const char *data, size_t len,
    const char **why)
{
	struct span root = { data, len };
	enum document_state state;

	if ((*why = check_head(root, "tenant", t->name)) != NULL)
		return (DOCUMENT_BAD);
	*why = "its content is not what a tenant's is";
	if (!get_u64(root, "lsn", &t->lsn) ||
	    !get_i64(root, "created_at", &t->created_at))
		return (DOCUMENT_BAD);
	if ((state = read_keys(root, "api_keys", &t->apikeys)) != DOCUMENT_OK)
		return (state);
	state = read_keys(root, "jwt_keys", &t->jwtkeys);
	t->exists = state == DOCUMENT_OK;
	return (state);
}

enum document_state
document_read_once(struct tenant *t, const char *data, size_t len,
    const char **why)
{
	struct span root = { data, len };

	if ((*why = check_head(root, "once", t->name)) != NULL)
		return (DOCUMENT_BAD);
	*why = "its content is not what idempotency records are";
	return (read_once(root, &t->once));
}
