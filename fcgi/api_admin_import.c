#include <bsd/string.h>

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api_admin.h"
#include "input.h"

/*
 * POST /admin/v1/import: lines of an export (store/export.h), one change
 * each.  A conversation too long for one request comes in parts (import.h in
 * store/), each a line with a part from 1 up and the birth of this try:
 *
 *	{"part":1,"birth":"…","tenant":"acme","conversation":{"id":…},
 *	 "items":[…]}
 *	{"part":1,"birth":"…","tenant":"acme","conversation":{…},"items":[…]}
 *
 * (without the line breaks): the last one is whole but for its items, and its
 * part tells how many came before.
 *
 *	?replace=true	what is there is replaced, else skipped
 *	?tenant=NAME	into that tenant, whatever the lines say
 *
 * A tenant that is not there is made; with its keys, if a line of them comes
 * first (export_keys) that is its own, and those of one that is there are not
 * touched, so that none that was revoked comes back.  A line that is no such
 * thing is counted as failed, and the first of them is told.  The reply says
 * how many lines it is about: when the store takes no more (its journal is
 * full, a tenant is to be read first) the rest is to be sent again, so that no
 * line is done twice and none is lost; only when that is all of them, the reply
 * is the refusal.
 */
struct import {
	struct admin_call *call;
	struct tenant	*tenant;	/* held, of the last line */
	char		 name[TENANT_NAME_MAX + 1];
	bool		 replaces;
	struct span	 as;		/* ?tenant=, or p NULL */
	size_t		 lines;		/* done */
	size_t		 imported;
	size_t		 replaced;
	size_t		 skipped;
	size_t		 failed;
	size_t		 items;
	size_t		 tenants;	/* made */
	size_t		 error_line;	/* of the first that failed; 0: none */
	char		 error[256];
};

/* One line, taken apart. */
struct line {
	struct change	 change;
	struct buf	 title;
	char		 user[INPUT_USER_MAX + 1];
	struct buf	 metadata;	/* minified */
	size_t		 size;		/* of change.items */
};

/* What became of a line. */
enum fate {
	LINE_DONE,		/* also if it failed */
	LINE_COLD,		/* its tenant is to be read first */
	LINE_STOP		/* the store takes no more: *err_r */
};

static void
line_fini(struct line *l)
{
	size_t i;

	for (i = 0; i < l->change.nitems; i++)
		item_unref(l->change.items[i]);
	free(l->change.items);
	buf_fini(&l->title);
	buf_fini(&l->metadata);
}

/* Count the line as failed, and keep the first reason. */
static enum fate __printflike(2, 3)
fail(struct import *im, const char *fmt, ...)
{
	va_list ap;

	im->failed++;
	if (im->error_line != 0)
		return (LINE_DONE);
	im->error_line = im->lines + 1;
	va_start(ap, fmt);
	(void)vsnprintf(im->error, sizeof(im->error), fmt, ap);
	va_end(ap);
	return (LINE_DONE);
}

/* --- reading a line ------------------------------------------------------- */

/* Is it JSON, and an object?  What follows may walk it then. */
static bool
is_object(struct span line)
{
	json_t *tree;
	bool ok;

	tree = json_loadb(line.p, line.len, JSON_REJECT_DUPLICATES |
	    JSON_ALLOW_NUL, NULL);
	ok = json_is_object(tree);
	json_decref(tree);
	return (ok);
}

static bool
get_i64(struct span object, const char *name, int64_t *v)
{
	struct span s;

	return (jsonscan_get(object, name, &s) && jsonscan_i64(s, v));
}

/* A whole number from 0 up that JSON can hold anywhere; absent is 0. */
static bool
get_count(struct span object, const char *name, uint64_t *v)
{
	struct span s;

	*v = 0;
	return (!jsonscan_get(object, name, &s) ||
	    (jsonscan_u64(s, v) && *v <= INT64_MAX / 2));
}

/* What is no id is empty, and nobody prints it. */
static bool
get_id(struct span object, const char *name, char id[ID_SIZE])
{
	struct span s;

	if (jsonscan_get(object, name, &s) &&
	    jsonscan_cstring(s, id, ID_SIZE) && id_is_valid(id, strlen(id)))
		return (true);
	id[0] = '\0';
	return (false);
}

/* Absent and null are none. */
static bool
is_none(struct span object, const char *name, struct span *s)
{
	return (!jsonscan_get(object, name, s) ||
	    (s->len == 4 && memcmp(s->p, "null", 4) == 0));
}

/* One entry of the items.  NULL, or what is wrong with it. */
static const char *
read_item(struct line *l, struct span entry)
{
	struct change *ch = &l->change;
	struct buf json = BUF_INITIALIZER;
	struct item **v, *it;
	struct span item;
	char id[ID_SIZE];
	size_t size;
	uint64_t position;
	int64_t at;

	if (!jsonscan_get(entry, "item", &item) || item.p[0] != '{' ||
	    !get_id(item, "id", id))
		return ("an item without an id");
	if (!get_i64(entry, "at", &at) || at < 0 ||
	    !get_count(entry, "position", &position))
		return ("an item whose time or position is none");
	if (ch->nitems == l->size) {
		size = l->size == 0 ? 64 : l->size * 2;
		v = reallocarray(ch->items, size, sizeof(*v));
		if (v == NULL)
			return ("no memory");
		ch->items = v;
		l->size = size;
	}
	jsonscan_minify(item, &json);
	it = buf_ok(&json) ? item_new(id, json.data, json.len) : NULL;
	buf_fini(&json);
	if (it == NULL)
		return ("no memory");
	it->at = at;
	it->position = position;
	ch->items[ch->nitems++] = it;
	return (NULL);
}

static const char *
read_items(struct line *l, struct span line)
{
	struct jsonscan it;
	struct span array, key, entry;
	const char *why;

	if (!jsonscan_get(line, "items", &array) || array.p[0] != '[')
		return ("no items");
	jsonscan_begin(&it, array);
	while (jsonscan_next(&it, &key, &entry))
		if ((why = read_item(l, entry)) != NULL)
			return (why);
	return (NULL);
}

/* User, title and metadata. */
static const char *
read_texts(struct line *l, struct span c)
{
	struct change *ch = &l->change;
	struct span s;

	if (!is_none(c, "user", &s)) {
		if (!jsonscan_cstring(s, l->user, sizeof(l->user)) ||
		    !input_is_user(l->user, strlen(l->user)))
			return ("its user is none");
		ch->user = l->user;
	}
	if (!is_none(c, "title", &s)) {
		if (!jsonscan_string(s, &l->title) || !buf_ok(&l->title))
			return ("its title is none");
		ch->title = l->title.data != NULL ? l->title.data : "";
		ch->title_len = l->title.len;
	}
	if (is_none(c, "metadata", &s))
		buf_adds(&l->metadata, "{}");
	else if (s.p[0] == '{')
		jsonscan_minify(s, &l->metadata);
	else
		return ("its metadata are none");
	if (!buf_ok(&l->metadata))
		return ("no memory");
	ch->metadata = (struct span){ l->metadata.data, l->metadata.len };
	return (NULL);
}

/* The whole line into l.  NULL, or what is wrong with it. */
static const char *
read_line(struct line *l, struct span line)
{
	struct change *ch = &l->change;
	struct span c, s;
	const char *why;

	if (!jsonscan_get(line, "conversation", &c) || c.p[0] != '{' ||
	    !get_id(c, "id", ch->conversation))
		return ("no conversation with an id");
	if (!get_count(line, "part", &ch->part) || (ch->part > 0 &&
	    (!jsonscan_get(line, "birth", &s) ||
	    !jsonscan_cstring(s, ch->birth, sizeof(ch->birth)) ||
	    !id_is_valid(ch->birth, strlen(ch->birth)))))
		return ("a part without the birth of its try");
	if ((why = read_items(l, line)) != NULL)
		return (why);
	ch->kind = CHANGE_CONVERSATION_IMPORT;
	if (ch->part > 0 && !jsonscan_get(c, "created_at", &s)) {
		ch->kind = CHANGE_IMPORT_PART;
		return (NULL);
	}
	if (!get_i64(c, "created_at", &ch->created_at) ||
	    !get_i64(c, "updated_at", &ch->updated_at) ||
	    ch->created_at < 0 || ch->updated_at < 0 ||
	    !get_count(c, "version", &ch->version))
		return ("a time or version of it is none");
	return (read_texts(l, c));
}

/* --- the store ------------------------------------------------------------ */

static enum store_err
commit(struct import *im, struct tenant *t, const struct change *ch)
{
	struct outcome o;
	enum store_err err;

	memset(&o, 0, sizeof(o));
	err = store_commit(im->call->req->edge->store, t, ch, &o);
	/* What is skipped is told of, too. */
	reply_wait(im->call->rep, o.lsn);
	if (err == STORE_OK)
		store_outcome_fini(&o);
	return (err);
}

/* Does nothing go on after this, and can be done about it elsewhere? */
static bool
is_stop(enum store_err err)
{
	return (err == STORE_BUSY || err == STORE_FULL || err == STORE_SICK ||
	    err == STORE_NOMEM || err == STORE_UNSURE || err == STORE_COLD);
}

/* Hold the tenant of im->name, made if it is not there. */
static enum store_err
hold_tenant(struct import *im)
{
	struct store *store = im->call->req->edge->store;
	struct change ch = { .kind = CHANGE_TENANT_CREATE,
	    .tenant = im->name };
	enum store_err err;

	if (im->tenant != NULL &&
	    strcmp(store_tenant_name(im->tenant), im->name) == 0)
		return (STORE_OK);
	store_tenant_put(im->tenant);
	im->tenant = NULL;
	err = store_tenant_get(store, im->name, strlen(im->name), &im->tenant);
	if (err != STORE_NOENT)
		return (err);
	err = commit(im, NULL, &ch);
	if (err == STORE_OK)
		im->tenants++;
	else if (err != STORE_EXISTS)
		return (err);
	return (store_tenant_get(store, im->name, strlen(im->name),
	    &im->tenant));
}

/* Would the API have taken them, too?  API keys have no secret. */
static bool
are_keys(const struct credential *v, size_t n, bool are_jwt)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (!admin_is_label(v[i].label, strlen(v[i].label)) ||
		    (are_jwt ? v[i].secret_len < SECRET_MIN :
		    v[i].secret_len > 0))
			return (false);
	return (true);
}

/* A tenant with its keys, unless it is there. */
static enum fate
take_keys(struct import *im, struct span keys, enum store_err *err_r)
{
	struct change ch = { .kind = CHANGE_TENANT_CREATE,
	    .tenant = im->name };
	struct credential *api = NULL, *jwt = NULL;
	enum store_err err = STORE_EXISTS;
	bool ok;

	ok = store_credentials_read(keys, "api_keys", &api,
	    &ch.napikeys) && are_keys(api, ch.napikeys, false) &&
	    store_credentials_read(keys, "jwt_keys", &jwt,
	    &ch.njwtkeys) && are_keys(jwt, ch.njwtkeys, true);
	ch.apikeys = api;
	ch.jwtkeys = jwt;
	if (ok)
		err = commit(im, NULL, &ch);
	store_credentials_free(api, ch.napikeys);
	store_credentials_free(jwt, ch.njwtkeys);
	if (!ok)
		return (fail(im, "tenant %s: its keys are none", im->name));
	if (is_stop(err)) {
		*err_r = err;
		return (err == STORE_COLD ? LINE_COLD : LINE_STOP);
	}
	im->tenants += err == STORE_OK;
	return (LINE_DONE);
}

/* Commit what was read.  Counts what becomes of it. */
static enum fate
take_change(struct import *im, struct change *ch, enum store_err *err_r)
{
	const bool is_part = ch->kind == CHANGE_IMPORT_PART;
	enum store_err err;

	err = commit(im, im->tenant, ch);
	if (err == STORE_EXISTS && im->replaces) {
		ch->replaces = true;
		err = commit(im, im->tenant, ch);
	}
	if (is_stop(err)) {
		*err_r = err;
		return (err == STORE_COLD ? LINE_COLD : LINE_STOP);
	}
	switch (err) {
	case STORE_OK:
		im->items += ch->nitems;
		im->replaced += !is_part && ch->replaces;
		im->imported += !is_part && !ch->replaces;
		return (LINE_DONE);
	case STORE_EXISTS:
		im->skipped += !is_part;
		return (LINE_DONE);
	case STORE_CONFLICT:
		return (fail(im, "%s: an item's id stands there twice, or its "
		    "position is not behind the one before",
		    ch->conversation));
	case STORE_PRECONDITION:
		return (fail(im, "%s: the parts before this one are not "
		    "there: import it again from its first",
		    ch->conversation));
	default:
		return (fail(im, "%s: what is stored of it cannot be written "
		    "over", ch->conversation));
	}
}

/* Is im->name the line's own tenant?  Keys are nobody else's. */
static bool
is_own(const struct import *im, struct span line)
{
	char name[TENANT_NAME_MAX + 1];
	struct span s;

	return (jsonscan_get(line, "tenant", &s) &&
	    jsonscan_cstring(s, name, sizeof(name)) &&
	    strcmp(name, im->name) == 0);
}

/* The name of the line's tenant into im->name. */
static bool
name_tenant(struct import *im, struct span line)
{
	struct span s;

	if (im->as.p != NULL) {
		if (!id_is_tenant(im->as.p, im->as.len))
			return (false);
		memcpy(im->name, im->as.p, im->as.len);
		im->name[im->as.len] = '\0';
		return (true);
	}
	return (jsonscan_get(line, "tenant", &s) &&
	    jsonscan_cstring(s, im->name, sizeof(im->name)) &&
	    id_is_tenant(im->name, strlen(im->name)));
}

static enum fate
take_line(struct import *im, struct span text, enum store_err *err_r)
{
	struct line l;
	struct span s;
	enum store_err err;
	enum fate fate;
	const char *why;

	if (!is_object(text))
		return (fail(im, "it is no JSON object"));
	/* The end of an export says how much there should be. */
	if (jsonscan_get(text, "export", &s))
		return (LINE_DONE);
	if (!name_tenant(im, text))
		return (fail(im, "it names no tenant"));
	if (jsonscan_get(text, "keys", &s))
		return (is_own(im, text) ? take_keys(im, s, err_r) :
		    fail(im, "the keys of another tenant are not for %s",
		    im->name));
	memset(&l, 0, sizeof(l));
	if ((why = read_line(&l, text)) != NULL)
		fate = fail(im, "%s%s%s", l.change.conversation,
		    l.change.conversation[0] != '\0' ? ": " : "", why);
	else if ((err = hold_tenant(im)) == STORE_OK)
		fate = take_change(im, &l.change, err_r);
	else if (is_stop(err)) {
		*err_r = err;
		fate = err == STORE_COLD ? LINE_COLD : LINE_STOP;
	} else
		fate = fail(im, "tenant %s: its tenant.json cannot be trusted",
		    im->name);
	line_fini(&l);
	return (fate);
}

/* --- the call ------------------------------------------------------------- */

static void
write_counts(const struct import *im, struct buf *out)
{
	buf_addf(out, "{\"object\":\"import\",\"lines\":%zu,\"imported\":%zu,"
	    "\"replaced\":%zu,\"skipped\":%zu,\"failed\":%zu,\"items\":%zu,"
	    "\"tenants\":%zu,\"error\":", im->lines, im->imported,
	    im->replaced, im->skipped, im->failed, im->items, im->tenants);
	if (im->error_line == 0)
		buf_adds(out, "null}");
	else {
		buf_addf(out, "{\"line\":%zu,\"message\":", im->error_line);
		buf_jsons(out, im->error);
		buf_adds(out, "}}");
	}
}

/* Nothing was done: the reply is why. */
static enum api_verdict
refuse(struct import *im, enum fate fate, enum store_err err)
{
	struct request *req = im->call->req;
	size_t len = strlen(im->name);

	if (err == STORE_BUSY)
		return (API_BUSY);
	if (fate == LINE_COLD) {
		req->cold_tenant.len = len;
		req->cold_tenant.p = arena_copy(req->arena, im->name, len);
		if (req->cold_tenant.p != NULL)
			return (API_COLD);
		err = STORE_NOMEM;
	}
	reply_store_error(im->call->rep, err, (struct span){ im->name, len });
	return (API_DONE);
}

enum api_verdict
admin_import(struct admin_call *c)
{
	struct import im = { .call = c };
	struct span body = c->req->body, value, line;
	const char *p = body.p, *end = body.p + body.len, *nl;
	enum store_err err = STORE_OK;
	enum fate fate = LINE_DONE;

	im.replaces = request_query(c->req, "replace", &value) &&
	    value.len == 4 && memcmp(value.p, "true", 4) == 0;
	if (request_query(c->req, "tenant", &value))
		im.as = value;
	reply_start(c->rep, 200);
	for (; p < end; p = nl + 1) {
		if ((nl = memchr(p, '\n', (size_t)(end - p))) == NULL)
			nl = end;
		line = (struct span){ p, (size_t)(nl - p) };
		if (line.len > 0 &&
		    (fate = take_line(&im, line, &err)) != LINE_DONE)
			break;
		im.lines++;
	}
	store_tenant_put(im.tenant);
	if (fate != LINE_DONE && im.lines == 0)
		return (refuse(&im, fate, err));
	c->rep->is_change = true;
	write_counts(&im, &c->rep->body);
	return (API_DONE);
}
