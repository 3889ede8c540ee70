#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <xxhash.h>

#include "document_internal.h"
#include "extra.h"
#include "key.h"

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

void
document_checksum(const char *p, size_t len, char line[CHECKSUM_LINE + 1])
{

	(void)snprintf(line, CHECKSUM_LINE + 1, CHECKSUM_HEAD "%016" PRIx64
	    "\"}\n", (uint64_t)XXH3_64bits(p, len));
}

void
document_end(struct buf *b, size_t from)
{
	char line[CHECKSUM_LINE + 1];

	if (!buf_ok(b))
		return;
	document_checksum(b->data + from, b->len - from, line);
	buf_add(b, line, CHECKSUM_LINE);
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
write_items(const struct conversation *c, struct buf *b)
{
	const struct items *is = &c->items;
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
		extra_add_entry(c->extra, it->position, b);
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
	if (c->is_deleted) {
		buf_addf(b, ",\"deleted\":%" PRId64, c->deleted_at);
		extra_add_head(c->extra, b);
	} else {
		buf_addf(b, ",\"deleted\":null,\"next_position\":%" PRIu64
		    ",\"user\":",
		    c->items.next_position);
		buf_jsons(b, c->user);
		text_encode(&c->title, "title", b);
		buf_adds(b, ",\"metadata\":");
		buf_add(b, c->metadata.p, c->metadata.len);
		extra_add_head(c->extra, b);
		write_once(&c->once, b);
		write_items(c, b);
	}
	buf_adds(b, ",\n");
	document_end(b, from);
}

static void
write_keys(const struct keyring *k, const char *name, struct buf *b)
{
	bool is_first = true;
	size_t i;

	buf_addf(b, ",\n\"%s\":[", name);
	for (i = 0; i < k->n; i++) {
		write_next(b, &is_first);
		keyring_encode(k, i, b);
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
	buf_add(b, t->rest.p, t->rest.len);
	write_keys(&t->apikeys, "api_keys", b);
	write_keys(&t->jwtkeys, "jwt_keys", b);
	buf_adds(b, ",\n");
	document_end(b, from);
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

bool
document_once_hour(struct span records, int64_t *hour_r)
{
	struct jsonscan it;
	struct span key, val, at;
	char name[ONCE_NAME];
	int64_t ms;

	jsonscan_begin(&it, records);
	if (!jsonscan_next(&it, &key, &val) || !jsonscan_get(val, "at", &at) ||
	    !jsonscan_i64(at, &ms))
		return (false);
	*hour_r = document_once_name(ms, name);
	return (true);
}

bool
document_is_once(const char *name)
{
	static const char form[] = "ddddddddTdd.json";
	size_t i;

	for (i = 0; form[i] != '\0'; i++)
		if (form[i] == 'd' ? name[i] < '0' || name[i] > '9' :
		    name[i] != form[i])
			return (false);
	return (name[i] == '\0');
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
	extra_add_hours(t->extra, from, until, b);
	buf_adds(b, ",\n\"once\":[");
	TAILQ_FOREACH(r, &t->once.keyed, link) {
		if (r->at < from || r->at >= until)
			continue;
		write_next(b, &is_first);
		once_encode(r, b);
		n++;
	}
	buf_adds(b, "\n],\n");
	document_end(b, start);
	return (n);
}
