#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "document_internal.h"
#include "extra.h"
#include "key.h"

/*
 * Numbers beyond this are damage.  Editors, and what reads JSON into floating
 * point, round those of an edited document before; and above there must be
 * room to count on.
 */
#define NUMBER_MAX	((uint64_t)INT64_MAX)
#define EDITED_MAX	(UINT64_C(1) << 53)

/* --- what is wrong, and where ------------------------------------------- */

enum document_state
reading_bad(struct reading *r, struct span at, const char *fmt, ...)
{
	const char *p = r->text.p;
	size_t line = 1;
	va_list ap;
	int n;

	while ((p = memchr(p, '\n', (size_t)(at.p - p))) != NULL) {
		line++;
		p++;
	}
	n = snprintf(r->why, DOCUMENT_WHY, "line %zu: ", line);
	va_start(ap, fmt);
	(void)vsnprintf(r->why + n, DOCUMENT_WHY - (size_t)n, fmt, ap);
	va_end(ap);
	return (DOCUMENT_BAD);
}

/* A member of object is missing, or not what it should be. */
static enum document_state
wrong(struct reading *r, struct span object, const struct member *m,
    const char *what)
{

	if (m->value.p == NULL)
		return (reading_bad(r, object, "\"%s\" is missing", m->name));
	return (reading_bad(r, m->value, "\"%s\" %s", m->name, what));
}

bool
reading_number(struct reading *r, struct span object, const struct member *m,
    uint64_t least, uint64_t *n)
{
	const uint64_t most = r->is_edited ? EDITED_MAX : NUMBER_MAX;
	char what[64];

	if (jsonscan_u64(m->value, n) && *n >= least && *n <= most)
		return (true);
	(void)snprintf(what, sizeof(what), "is no whole number from %llu up",
	    (unsigned long long)least);
	(void)wrong(r, object, m, what);
	return (false);
}

bool
reading_time(struct reading *r, struct span object, const struct member *m,
    int64_t *ms)
{

	if (jsonscan_i64(m->value, ms))
		return (true);
	(void)wrong(r, object, m, "is no time in ms");
	return (false);
}

/* An id, a birth: what stands in a document without escapes. */
static bool
read_word(struct reading *r, struct span object, const struct member *m,
    char *dst, size_t size)
{

	if (jsonscan_cstring(m->value, dst, size) &&
	    id_is_valid(dst, strlen(dst)))
		return (true);
	(void)wrong(r, object, m, "is none");
	return (false);
}

/* A string, or null for none. */
static enum document_state
read_text(struct reading *r, const struct member *m, struct text *t)
{

	if (m->value.p != NULL) {
		switch (text_decode(m->value, t)) {
		case 1:
			return (DOCUMENT_OK);
		case -1:
			return (DOCUMENT_NOMEM);
		}
	}
	return (wrong(r, r->text, m, "is neither a string nor null"));
}

/* A list that is there. */
static bool
is_list(struct reading *r, const struct member *m)
{

	if (m->value.len > 0 && m->value.p[0] == '[')
		return (true);
	(void)wrong(r, r->text, m, "is no list");
	return (false);
}

/*
 * The bytes as they are kept, in r->work if white space had to go.  Returns
 * false for want of memory.
 */
static bool
normal(struct reading *r, struct span value, struct span *v_r)
{

	*v_r = value;
	if (!r->is_edited)
		return (true);
	buf_clear(&r->work);
	jsonscan_minify(value, &r->work);
	*v_r = (struct span){ r->work.data, r->work.len };
	return (buf_ok(&r->work));
}

/* --- whole or edited ---------------------------------------------------- */

/* Is the last line there and right? */
static bool
is_sealed(struct span text)
{
	char line[CHECKSUM_LINE + 1];
	size_t before;

	if (text.len < CHECKSUM_LINE)
		return (false);
	before = text.len - CHECKSUM_LINE;
	document_checksum(text.p, before, line);
	return (memcmp(text.p + before, line, CHECKSUM_LINE) == 0);
}

/*
 * Does it claim a checksum?  By name or by value: no single bit takes both
 * away and makes of a damaged document an edited one.
 */
static bool
has_checksum(struct span text)
{
	const size_t n = sizeof(CHECKSUM_VALUE) - 1;
	struct jsonscan it;
	struct span key, val;

	jsonscan_begin(&it, text);
	while (jsonscan_next(&it, &key, &val))
		if (jsonscan_is(key, "checksum") || (val.len > n &&
		    memcmp(val.p, CHECKSUM_VALUE, n) == 0))
			return (true);
	return (false);
}

/* What jansson says of it, without the text that it found there. */
static enum document_state
not_json(struct reading *r, json_error_t *e)
{
	char *near = strstr(e->text, " near ");

	if (json_error_code(e) == json_error_out_of_memory ||
	    e->text[0] == '\0')
		return (DOCUMENT_NOMEM);
	if (near != NULL)
		*near = '\0';
	(void)snprintf(r->why, DOCUMENT_WHY, "line %d: it has no checksum and "
	    "is no JSON: %s", e->line, e->text);
	return (DOCUMENT_BAD);
}

/* No right checksum: it must be without one, and JSON. */
static enum document_state
check_edited(struct reading *r)
{
	struct span text = r->text;
	json_error_t e = { .line = 0 };
	json_t *tree;

	if (text.len == 0)
		return (reading_bad(r, text, "it is empty"));
	if (has_checksum(text)) {
		(void)snprintf(r->why, DOCUMENT_WHY, "the checksum is wrong");
		return (DOCUMENT_BAD);
	}
	while (text.len > 0 && strchr(" \t\r\n", text.p[text.len - 1]) != NULL)
		text.len--;
	/* What was cut off is known without building a tree of it. */
	if (text.len == 0 || text.p[text.len - 1] != '}')
		return (reading_bad(r, (struct span){ text.p + text.len, 0 },
		    "its end is missing"));
	tree = json_loadb(r->text.p, r->text.len, JSON_REJECT_DUPLICATES |
	    JSON_ALLOW_NUL, &e);
	if (tree == NULL)
		return (not_json(r, &e));
	json_decref(tree);
	(void)snprintf(r->why, DOCUMENT_WHY, "it has no checksum: taken as "
	    "edited by hand (rememberctl seal gives it one)");
	return (DOCUMENT_OK);
}

enum document_state
reading_init(struct reading *r, const char *data, size_t len,
    const char *kind, struct member *v, size_t n, char why[DOCUMENT_WHY])
{
	enum document_state state;
	char word[32];
	uint64_t format;

	memset(r, 0, sizeof(*r));
	r->text = (struct span){ data, len };
	r->why = why;
	why[0] = '\0';
	r->is_edited = !is_sealed(r->text);
	if (r->is_edited && (state = check_edited(r)) != DOCUMENT_OK)
		return (state);
	member_split(r->text, v, n, &r->rest);
	if (!jsonscan_cstring(v[M_KIND].value, word, sizeof(word)) ||
	    strcmp(word, kind) != 0)
		return (reading_bad(r, v[M_KIND].value.p != NULL ?
		    v[M_KIND].value : r->text, "it is no document of the kind "
		    "\"%s\"", kind));
	if (!reading_number(r, r->text, &v[M_FORMAT], 1, &format))
		return (DOCUMENT_BAD);
	if (format > DOCUMENT_FORMAT) {
		(void)snprintf(why, DOCUMENT_WHY, "it was written by a newer "
		    "rememberd: format %llu, this one reads up to %d",
		    (unsigned long long)format, DOCUMENT_FORMAT);
		return (DOCUMENT_NEWER);
	}
	return (DOCUMENT_OK);
}

void
reading_fini(struct reading *r)
{

	/* Keys may have stood in it. */
	if (r->rest.data != NULL)
		explicit_bzero(r->rest.data, r->rest.size);
	buf_fini(&r->rest);
	buf_fini(&r->work);
}

/* Is it of the tenant that its path says? */
static enum document_state
check_tenant(struct reading *r, const struct member *v, const struct tenant *t)
{
	char name[TENANT_NAME_MAX + 1];

	if (jsonscan_cstring(v[M_TENANT].value, name, sizeof(name)) &&
	    strcmp(name, t->name) == 0)
		return (DOCUMENT_OK);
	return (wrong(r, r->text, &v[M_TENANT], "is another than its path "
	    "says"));
}

/* --- conversations ------------------------------------------------------ */

static enum document_state
read_once(struct reading *r, const struct member *m, struct once_table *table)
{
	struct jsonscan it;
	struct span key, val;
	struct once *o;

	if (!is_list(r, m))
		return (DOCUMENT_BAD);
	jsonscan_begin(&it, m->value);
	while (jsonscan_next(&it, &key, &val)) {
		errno = 0;
		if ((o = once_decode(val)) == NULL)
			return (errno == ENOMEM ? DOCUMENT_NOMEM :
			    reading_bad(r, val, "it is no idempotency "
			    "record"));
		once_add(table, o);
	}
	return (DOCUMENT_OK);
}

/* One entry of "items"; what it must say was found. */
static enum document_state
add_item(struct reading *r, struct conversation *c, struct span json,
    const char *id, int64_t at, uint64_t position)
{
	struct item *it;

	if (!extra_keep_entry(&c->extra, position != 0 ? position :
	    c->items.next_position, &r->rest))
		return (DOCUMENT_NOMEM);
	if (!normal(r, json, &json) || !items_reserve(&c->items, 1) ||
	    (it = item_new(id, json.p, json.len)) == NULL)
		return (DOCUMENT_NOMEM);
	it->at = at;
	it->lsn = c->lsn;
	items_add(&c->items, it, position);
	return (DOCUMENT_OK);
}

static enum document_state
read_item(struct reading *r, struct conversation *c, struct span entry)
{
	enum { AT, ITEM, POSITION, N };
	struct member v[N] = { { .name = "at" }, { .name = "item" },
	    { .name = "position" } };
	struct span id;
	char word[ID_SIZE];
	uint64_t position = 0;
	int64_t at;

	buf_clear(&r->rest);
	member_split(entry, v, N, &r->rest);
	if (!reading_time(r, entry, &v[AT], &at))
		return (DOCUMENT_BAD);
	if (v[ITEM].value.len == 0 || v[ITEM].value.p[0] != '{' ||
	    !jsonscan_get(v[ITEM].value, "id", &id) ||
	    !jsonscan_cstring(id, word, sizeof(word)) ||
	    !id_is_valid(word, strlen(word)))
		return (reading_bad(r, entry, "\"item\" has no id"));
	if (items_find(&c->items, word) != NULL)
		return (reading_bad(r, id, "the id %s stands there twice",
		    word));
	if (v[POSITION].value.p != NULL &&
	    !reading_number(r, entry, &v[POSITION], c->items.next_position,
	    &position))
		return (DOCUMENT_BAD);
	return (add_item(r, c, v[ITEM].value, word, at, position));
}

static enum document_state
read_items(struct reading *r, struct conversation *c, const struct member *m,
    const struct member *next_position)
{
	enum document_state state;
	struct jsonscan it;
	struct span key, val;

	if (!is_list(r, m))
		return (DOCUMENT_BAD);
	jsonscan_begin(&it, m->value);
	while (jsonscan_next(&it, &key, &val))
		if ((state = read_item(r, c, val)) != DOCUMENT_OK)
			return (state);
	if (!reading_number(r, r->text, next_position, c->items.next_position,
	    &c->items.next_position))
		return (DOCUMENT_BAD);
	c->preview = conversation_preview(c->items.v, c->items.n);
	return (DOCUMENT_OK);
}

enum { C_ID = M_COMMON, C_BIRTH, C_VERSION, C_LSN, C_CREATED_AT, C_UPDATED_AT,
    C_DELETED, C_NEXT_POSITION, C_USER, C_TITLE, C_METADATA, C_ONCE, C_ITEMS,
    C_MEMBERS };

static enum document_state
read_metadata(struct reading *r, struct conversation *c,
    const struct member *m)
{
	struct span value;

	if (m->value.len == 0 || m->value.p[0] != '{')
		return (wrong(r, r->text, m, "is no object"));
	if (!normal(r, m->value, &value))
		return (DOCUMENT_NOMEM);
	text_replace(&c->metadata, text_new(value.p, value.len));
	return (c->metadata.p != NULL ? DOCUMENT_OK : DOCUMENT_NOMEM);
}

/* A tombstone has no more to say. */
static enum document_state
read_tombstone(struct reading *r, struct conversation *c,
    const struct member *m)
{

	if (!reading_time(r, r->text, m, &c->deleted_at))
		return (DOCUMENT_BAD);
	lock_take(&c->lck);
	conversation_bury(c, c->deleted_at);
	lock_give(&c->lck);
	return (extra_keep_head(&c->extra, &r->rest) ? DOCUMENT_OK :
	    DOCUMENT_NOMEM);
}

/* All but what conversation_new takes. */
static enum document_state
read_body(struct reading *r, struct conversation *c, const struct member *v)
{
	enum document_state state;

	if (!reading_number(r, r->text, &v[C_VERSION], 1, &c->version) ||
	    !reading_number(r, r->text, &v[C_LSN], 1, &c->lsn) ||
	    !reading_time(r, r->text, &v[C_UPDATED_AT], &c->updated_at))
		return (DOCUMENT_BAD);
	if (member_is_set(&v[C_DELETED]))
		return (read_tombstone(r, c, &v[C_DELETED]));
	if (!extra_keep_head(&c->extra, &r->rest))
		return (DOCUMENT_NOMEM);
	if ((state = read_text(r, &v[C_TITLE], &c->title)) != DOCUMENT_OK ||
	    (state = read_metadata(r, c, &v[C_METADATA])) != DOCUMENT_OK ||
	    (state = read_once(r, &v[C_ONCE], &c->once)) != DOCUMENT_OK)
		return (state);
	return (read_items(r, c, &v[C_ITEMS], &v[C_NEXT_POSITION]));
}

/* The conversation with what cannot change, or why there is none. */
static enum document_state
read_head(struct reading *r, struct tenant *t, const char *id,
    const struct member *v, struct conversation **c_r)
{
	struct text user = { NULL, 0 };
	enum document_state state;
	char name[ID_SIZE], birth[BIRTH_SIZE];
	int64_t created;

	if (!read_word(r, r->text, &v[C_ID], name, sizeof(name)))
		return (DOCUMENT_BAD);
	if (strcmp(name, id) != 0)
		return (reading_bad(r, v[C_ID].value, "it is of another "
		    "conversation than its name says"));
	if (!read_word(r, r->text, &v[C_BIRTH], birth, sizeof(birth)) ||
	    !reading_time(r, r->text, &v[C_CREATED_AT], &created))
		return (DOCUMENT_BAD);
	/* Whose a live one is must be known, or it would be anybody's. */
	if (!member_is_set(&v[C_DELETED]) &&
	    (state = read_text(r, &v[C_USER], &user)) != DOCUMENT_OK)
		return (state);
	*c_r = conversation_new(t, id, birth, user.p, user.len, created);
	free(user.p);
	return (*c_r != NULL ? DOCUMENT_OK : DOCUMENT_NOMEM);
}

enum document_state
document_read_conversation(struct tenant *t, const char *id, const char *data,
    size_t len, struct conversation **c_r, char why[DOCUMENT_WHY])
{
	struct member v[C_MEMBERS] = {
		DOCUMENT_MEMBERS,
		[C_ID] = { .name = "id" },
		[C_BIRTH] = { .name = "birth" },
		[C_VERSION] = { .name = "version" },
		[C_LSN] = { .name = "lsn" },
		[C_CREATED_AT] = { .name = "created_at" },
		[C_UPDATED_AT] = { .name = "updated_at" },
		[C_DELETED] = { .name = "deleted" },
		[C_NEXT_POSITION] = { .name = "next_position" },
		[C_USER] = { .name = "user" },
		[C_TITLE] = { .name = "title" },
		[C_METADATA] = { .name = "metadata" },
		[C_ONCE] = { .name = "once" },
		[C_ITEMS] = { .name = "items" },
	};
	struct conversation *c = NULL;
	struct reading r;
	enum document_state state;

	state = reading_init(&r, data, len, "conversation", v, C_MEMBERS, why);
	if (state == DOCUMENT_OK)
		state = check_tenant(&r, v, t);
	if (state == DOCUMENT_OK)
		state = read_head(&r, t, id, v, &c);
	if (state == DOCUMENT_OK)
		state = read_body(&r, c, v);
	if (state == DOCUMENT_OK)
		*c_r = c;
	else
		conversation_free(c);
	reading_fini(&r);
	return (state);
}

/* --- tenants ------------------------------------------------------------ */

/* One key into the ring; c is wiped by the caller. */
static enum document_state
read_key(struct reading *r, struct span entry, struct keyring *k,
    struct credential *c)
{

	buf_clear(&r->rest);
	if (!key_decode(entry, c, &r->rest))
		return (reading_bad(r, entry, "it is no key"));
	if (keyring_find(k, c->id) != NULL)
		return (reading_bad(r, entry, "the id %s stands there twice",
		    c->id));
	if (!keyring_reserve(k))
		return (DOCUMENT_NOMEM);
	keyring_add(k, c);
	return (keyring_keep(k, c->id, &r->rest) ? DOCUMENT_OK :
	    DOCUMENT_NOMEM);
}

static enum document_state
read_keys(struct reading *r, const struct member *m, struct keyring *k)
{
	enum document_state state = DOCUMENT_OK;
	struct jsonscan it;
	struct span key, val;
	struct credential c;

	if (!is_list(r, m))
		return (DOCUMENT_BAD);
	memset(&c, 0, sizeof(c));
	jsonscan_begin(&it, m->value);
	while (state == DOCUMENT_OK && jsonscan_next(&it, &key, &val))
		state = read_key(r, val, k, &c);
	explicit_bzero(&c, sizeof(c));
	return (state);
}

enum { T_LSN = M_COMMON, T_CREATED_AT, T_API_KEYS, T_JWT_KEYS, T_MEMBERS };

static enum document_state
read_tenant(struct reading *r, struct tenant *t, const struct member *v)
{
	enum document_state state;

	if ((state = check_tenant(r, v, t)) != DOCUMENT_OK)
		return (state);
	if (!reading_number(r, r->text, &v[T_LSN], 1, &t->lsn) ||
	    !reading_time(r, r->text, &v[T_CREATED_AT], &t->created_at))
		return (DOCUMENT_BAD);
	if (!buf_ok(&r->rest))
		return (DOCUMENT_NOMEM);
	text_replace(&t->rest, (struct text){ NULL, 0 });
	if (r->rest.len > 0 &&
	    (t->rest = text_new(r->rest.data, r->rest.len)).p == NULL)
		return (DOCUMENT_NOMEM);
	state = read_keys(r, &v[T_API_KEYS], &t->apikeys);
	if (state == DOCUMENT_OK)
		state = read_keys(r, &v[T_JWT_KEYS], &t->jwtkeys);
	t->exists = state == DOCUMENT_OK;
	return (state);
}

enum document_state
document_read_tenant(struct tenant *t, const char *data, size_t len,
    char why[DOCUMENT_WHY])
{
	struct member v[T_MEMBERS] = {
		DOCUMENT_MEMBERS,
		[T_LSN] = { .name = "lsn" },
		[T_CREATED_AT] = { .name = "created_at" },
		[T_API_KEYS] = { .name = "api_keys" },
		[T_JWT_KEYS] = { .name = "jwt_keys" },
	};
	enum document_state state;
	struct reading r;

	state = reading_init(&r, data, len, "tenant", v, T_MEMBERS, why);
	if (state == DOCUMENT_OK)
		state = read_tenant(&r, t, v);
	reading_fini(&r);
	return (state);
}

enum { O_ONCE = M_COMMON, O_MEMBERS };

enum document_state
document_read_once(struct tenant *t, const char *data, size_t len,
    char why[DOCUMENT_WHY])
{
	struct member v[O_MEMBERS] = {
		DOCUMENT_MEMBERS,
		[O_ONCE] = { .name = "once" },
	};
	enum document_state state;
	struct reading r;
	int64_t hour;

	state = reading_init(&r, data, len, "once", v, O_MEMBERS, why);
	if (state == DOCUMENT_OK)
		state = check_tenant(&r, v, t);
	if (state == DOCUMENT_OK)
		state = read_once(&r, &v[O_ONCE], &t->once);
	/* A file without a record is not written again. */
	if (state == DOCUMENT_OK && document_once_hour(v[O_ONCE].value,
	    &hour) && !extra_keep_hour(&t->extra, hour, &r.rest))
		state = DOCUMENT_NOMEM;
	reading_fini(&r);
	return (state);
}
