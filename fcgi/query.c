#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "input.h"
#include "query.h"
#include "shape.h"

static bool
is_digits(struct span s)
{
	size_t i;

	for (i = 0; i < s.len; i++)
		if (s.p[i] < '0' || s.p[i] > '9')
			return (false);
	return (s.len > 0);
}

static bool
is_word(struct span s, const char *word)
{
	return (s.len == strlen(word) && memcmp(s.p, word, s.len) == 0);
}

/* --- limit, order, sort, include ------------------------------------------ */

/* Is it a decimal with a point?  Only for the words of an error. */
static bool
is_decimal(struct span s)
{
	size_t i, points = 0, digits = 0;

	for (i = s.len > 0 && s.p[0] == '-'; i < s.len; i++) {
		points += s.p[i] == '.';
		digits += s.p[i] >= '0' && s.p[i] <= '9';
	}
	return (points == 1 && digits > 0 && points + digits +
	    (s.p[0] == '-') == s.len);
}

bool
query_limit(const struct request *req, size_t *limit_r, struct reply *rep)
{
	struct span value, digits;
	bool is_negative;
	uint64_t n;

	*limit_r = QUERY_LIMIT_DEFAULT;
	if (!request_query(req, "limit", &value))
		return (true);
	is_negative = value.len > 0 && value.p[0] == '-';
	digits = (struct span){ value.p + is_negative,
	    value.len - is_negative };
	if (!is_digits(digits)) {
		reply_error(rep, 400, "invalid_type", "limit",
		    "Invalid type for 'limit': expected an integer, but got "
		    "a %s instead.", is_decimal(value) ? "decimal number" :
		    "string");
		return (false);
	}
	/* What does not fit 64 bits becomes the greatest that does. */
	n = strtoull(digits.p, NULL, 10);
	if (n != 0 && !is_negative && n <= QUERY_LIMIT_MAX) {
		*limit_r = (size_t)n;
		return (true);
	}
	if (n == 0 || is_negative)
		reply_error(rep, 400, "integer_below_min_value", "limit",
		    "Invalid 'limit': integer below minimum value. Expected a "
		    "value >= 1, but got %.40s instead.", value.p);
	else
		reply_error(rep, 400, "integer_above_max_value", "limit",
		    "Invalid 'limit': integer above maximum value. Expected a "
		    "value <= %d, but got %.40s instead.", QUERY_LIMIT_MAX,
		    value.p);
	return (false);
}

/* The index in words (which ends in NULL) of a parameter; 0 if not there. */
static bool
query_word(const struct request *req, const char *name,
    const char *const *words, size_t *index_r, struct reply *rep)
{
	struct span value;
	size_t i;

	*index_r = 0;
	if (!request_query(req, name, &value))
		return (true);
	for (i = 0; words[i] != NULL; i++)
		if (is_word(value, words[i])) {
			*index_r = i;
			return (true);
		}
	return (shape_bad_value(value.p, name, words, rep));
}

bool
query_order(const struct request *req, enum store_order *order_r,
    struct reply *rep)
{
	static const char *const words[] = { "desc", "asc", NULL };
	size_t i;

	if (!query_word(req, "order", words, &i, rep))
		return (false);
	*order_r = i == 0 ? STORE_DESC : STORE_ASC;
	return (true);
}

bool
query_sort(const struct request *req, enum store_sort *sort_r,
    struct reply *rep)
{
	static const char *const words[] = { "updated_at", "created_at",
		NULL };
	size_t i;

	if (!query_word(req, "sort", words, &i, rep))
		return (false);
	*sort_r = i == 0 ? STORE_BY_UPDATED : STORE_BY_CREATED;
	return (true);
}

bool
query_include(const struct request *req, bool *has_times_r,
    struct reply *rep)
{
	static const char *const words[] = { "file_search_call.results",
		"web_search_call.results", "web_search_call.action.sources",
		"message.input_image.image_url",
		"computer_call_output.output.image_url",
		"code_interpreter_call.outputs",
		"reasoning.encrypted_content", "message.output_text.logprobs",
		"created_at", NULL };
	const struct pair *q;
	size_t i;

	*has_times_r = false;
	for (i = 0; i < req->nquery; i++) {
		q = &req->query[i];
		if (!is_word(q->name, "include") &&
		    !is_word(q->name, "include[]"))
			continue;
		if (is_word(q->value, "created_at"))
			*has_times_r = true;
		else if (strlen(q->value.p) != q->value.len ||
		    !shape_is_one_of(q->value.p, words))
			return (shape_bad_value(q->value.p, "include", words,
			    rep));
	}
	return (true);
}

/* The key in "metadata[key]", or NULL; in the arena. */
static const char *
metadata_key(const struct request *req, struct span name)
{
	static const char prefix[] = "metadata[";
	const size_t len = sizeof(prefix) - 1;

	if (name.len <= len || memcmp(name.p, prefix, len) != 0 ||
	    name.p[name.len - 1] != ']')
		return (NULL);
	return (arena_copy(req->arena, name.p + len, name.len - len - 1));
}

bool
query_metadata(const struct request *req, struct list_query *q,
    struct reply *rep)
{
	const char *key;
	size_t i, size = req->nquery * sizeof(char *);

	q->nmetadata = 0;
	if (req->nquery == 0)
		return (true);
	q->metadata_keys = arena_alloc(req->arena, size);
	q->metadata_values = arena_alloc(req->arena, size);
	if (q->metadata_keys == NULL || q->metadata_values == NULL)
		return (input_nomem(rep));
	for (i = 0; i < req->nquery; i++) {
		if ((key = metadata_key(req, req->query[i].name)) == NULL)
			continue;
		if (memchr(req->query[i].value.p, '\0',
		    req->query[i].value.len) != NULL) {
			reply_error(rep, 400, "invalid_value", "metadata",
			    "Invalid value: a NUL cannot be asked for.");
			return (false);
		}
		q->metadata_keys[q->nmetadata] = key;
		q->metadata_values[q->nmetadata++] = req->query[i].value.p;
	}
	return (true);
}

/* --- cursors -------------------------------------------------------------- */

bool
query_id(const struct request *req, const char *name, const char **id_r,
    struct reply *rep)
{
	struct span value;

	*id_r = NULL;
	if (!request_query(req, name, &value))
		return (true);
	if (id_is_valid(value.p, value.len)) {
		*id_r = value.p;
		return (true);
	}
	reply_error(rep, 404, NULL, name, "No entry '%.*s' for '%s' in this "
	    "list.", value.len > 100 ? 100 : (int)value.len, value.p, name);
	return (false);
}

/* Everything but the checksum; returns its length. */
static size_t
cursor_front(char *buf, enum store_sort sort, const struct list_cursor *c)
{
	return ((size_t)sprintf(buf, "%c%" PRIx64 ".%" PRIx64
	    ".%s.", sort == STORE_BY_UPDATED ? 'u' : 'c',
	    (uint64_t)c->key, c->tie, c->id));
}

void
query_cursor_write(char *buf, enum store_sort sort,
    const struct list_cursor *c)
{
	size_t len = cursor_front(buf, sort, c);

	(void)sprintf(buf + len, "%016" PRIx64,
	    (uint64_t)XXH3_64bits(buf, len));
}

/* What reads is written again and compared: one form is valid, no other. */
bool
query_cursor_read(struct span text, enum store_sort sort,
    struct list_cursor *c)
{
	char again[QUERY_CURSOR], *end;
	const char *id, *sum;

	if (text.len < 2 || text.len >= QUERY_CURSOR ||
	    strlen(text.p) != text.len)
		return (false);
	c->key = (int64_t)strtoull(text.p + 1, &end, 16);
	if (*end != '.')
		return (false);
	c->tie = strtoull(end + 1, &end, 16);
	if (*end != '.')
		return (false);
	id = end + 1;
	if ((sum = strchr(id, '.')) == NULL ||
	    !id_is_valid(id, (size_t)(sum - id)))
		return (false);
	memcpy(c->id, id, (size_t)(sum - id));
	c->id[sum - id] = '\0';
	query_cursor_write(again, sort, c);
	return (is_word(text, again));
}

/* --- versions ------------------------------------------------------------- */

/*
 * Read one entity tag at *s and move behind it: 1 a version of ours
 * (*version_r), 0 another tag, -1 none at all.  A weak tag counts like the
 * strong one: nginx weakens it when it compresses the reply.
 */
static int
entity_tag(struct span *s, uint64_t *version_r)
{
	struct span digits;
	const char *end;

	if (s->len >= 2 && s->p[0] == 'W' && s->p[1] == '/') {
		s->p += 2;
		s->len -= 2;
	}
	if (s->len < 2 || s->p[0] != '"' ||
	    (end = memchr(s->p + 1, '"', s->len - 1)) == NULL)
		return (-1);
	digits = (struct span){ s->p + 1, (size_t)(end - s->p) - 1 };
	s->len -= digits.len + 2;
	s->p = end + 1;
	/* As we write them: no leading zeros, and they fit. */
	return (digits.len <= 19 && is_digits(digits) &&
	    (digits.p[0] != '0' || digits.len == 1) &&
	    jsonscan_u64(digits, version_r));
}

static void
skip_separators(struct span *s)
{
	while (s->len > 0 && memchr(" \t,", s->p[0], 3) != NULL) {
		s->p++;
		s->len--;
	}
}

bool
query_is_unchanged(const struct request *req, uint64_t version)
{
	struct span s = request_param(req, "HTTP_IF_NONE_MATCH");
	uint64_t tag;
	int found;

	if (s.p == NULL)
		return (false);
	if (is_word(s, "*"))
		return (true);
	for (skip_separators(&s); s.len > 0; skip_separators(&s)) {
		if ((found = entity_tag(&s, &tag)) == -1)
			return (false);
		if (found == 1 && tag == version)
			return (true);
	}
	return (false);
}

bool
query_if_match(const struct request *req, uint64_t *version_r,
    struct reply *rep)
{
	struct span s = request_param(req, "HTTP_IF_MATCH");
	int found = -1;

	*version_r = 0;
	if (s.p == NULL || is_word(s, "*"))
		return (true);
	skip_separators(&s);
	if (s.len > 0)
		found = entity_tag(&s, version_r);
	skip_separators(&s);
	if (found == -1 || s.len > 0) {
		reply_error(rep, 400, "invalid_value", "If-Match",
		    "Invalid value for 'If-Match': expected one version in "
		    "quotes, as the ETag of a reply gives it.");
		return (false);
	}
	/* No conversation has had such a version, nor version 0. */
	if (found == 0 || *version_r == 0)
		*version_r = UINT64_MAX;
	return (true);
}

/* --- retries -------------------------------------------------------------- */

static bool
idempotency_key(const struct request *req, const char **key_r,
    struct reply *rep)
{
	struct span key = request_param(req, "HTTP_IDEMPOTENCY_KEY");
	size_t i;

	*key_r = key.p;
	if (key.p == NULL)
		return (true);
	for (i = 0; i < key.len; i++)
		if (key.p[i] < 0x20 || key.p[i] > 0x7e)
			break;
	if (key.len >= 1 && key.len <= 255 && i == key.len)
		return (true);
	reply_error(rep, 400, "invalid_value", "Idempotency-Key",
	    "Invalid value for 'Idempotency-Key': expected 1 to 255 printable "
	    "ASCII characters.");
	return (false);
}

/* One part more: each is hashed by itself, so that their limits count. */
static uint64_t
add_part(uint64_t hash, const char *p, size_t len)
{
	return (XXH3_64bits_withSeed(p, len, hash));
}

/* Of method and path. */
static uint64_t
hash_target(const struct request *req, uint64_t hash)
{
	hash = add_part(hash, req->method_name, strlen(req->method_name));
	return (add_part(hash, req->path.p, req->path.len));
}

static uint64_t
hash_scope(const struct request *req)
{
	const char *tenant = store_tenant_name(req->caller.tenant);
	/* A tenant's keys are one caller: it may change its key in between. */
	const char *user = req->caller.user != NULL ? req->caller.user : "";
	uint64_t hash;

	hash = add_part(0, tenant, strlen(tenant));
	hash = add_part(hash, user, strlen(user));
	return (hash_target(req, hash));
}

/* Of method, path and body. */
static void
hash_body(const struct request *req, unsigned char hash[BODY_HASH_SIZE])
{
	XXH128_canonical_t canonical;

	_Static_assert(sizeof(canonical.digest) == BODY_HASH_SIZE,
	    "128 bits");
	XXH128_canonicalFromHash(&canonical, XXH3_128bits_withSeed(
	    req->body.p, req->body.len, hash_target(req, 0)));
	memcpy(hash, canonical.digest, BODY_HASH_SIZE);
}

bool
query_once(const struct request *req, struct change_once *once,
    struct reply *rep)
{
	struct span count = request_param(req, "HTTP_X_STAINLESS_RETRY_COUNT");

	memset(once, 0, sizeof(*once));
	if (!idempotency_key(req, &once->key, rep))
		return (false);
	/* What is no number is no retry; only a POST counts them. */
	if (count.p != NULL && count.len <= 9 && is_digits(count) &&
	    req->method == METHOD_POST)
		once->retry_count = (uint32_t)strtoul(count.p, NULL, 10);
	once->credential = req->caller.credential;
	once->scope = hash_scope(req);
	hash_body(req, once->body);
	return (true);
}
