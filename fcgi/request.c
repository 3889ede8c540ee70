#include <string.h>

#include "request.h"

static const struct {
	const char	*name;
	enum method	 method;
} methods[] = {
	{ "GET",	METHOD_GET },
	{ "HEAD",	METHOD_HEAD },
	{ "POST",	METHOD_POST },
	{ "PUT",	METHOD_PUT },
	{ "PATCH",	METHOD_PATCH },
	{ "DELETE",	METHOD_DELETE },
	{ "OPTIONS",	METHOD_OPTIONS }
};

static bool
span_is(struct span s, const char *word)
{
	size_t len = strlen(word);

	return (s.len == len && memcmp(s.p, word, len) == 0);
}

struct span
request_param(const struct request *req, const char *name)
{
	size_t i;

	for (i = 0; i < req->nparams; i++)
		if (span_is(req->params[i].name, name))
			return (req->params[i].value);
	return ((struct span){ NULL, 0 });
}

/* --- percent encoding --------------------------------------------------- */

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return (c - '0');
	if (c >= 'a' && c <= 'f')
		return (c - 'a' + 10);
	if (c >= 'A' && c <= 'F')
		return (c - 'A' + 10);
	return (-1);
}

/* The byte that the escape at p stands for, or -1 if it is none. */
static int
escaped_byte(const char *p, const char *end)
{
	int high, low;

	if (end - p < 3 || p[0] != '%')
		return (-1);
	high = hex_digit(p[1]);
	low = hex_digit(p[2]);
	return (high == -1 || low == -1 ? -1 : high << 4 | low);
}

/*
 * Decode raw into the arena, with a NUL behind it.  A '%' that begins no
 * escape is kept as it is and makes *is_bad_r true.  Returns false for want
 * of memory.
 */
static bool
decode(struct arena *arena, struct span raw, bool plus_is_space,
    struct span *decoded_r, bool *is_bad_r)
{
	const char *p = raw.p, *end = raw.p + raw.len;
	char *to;
	int byte;

	if ((to = arena_alloc(arena, raw.len + 1)) == NULL)
		return (false);
	decoded_r->p = to;
	while (p != end) {
		if ((byte = escaped_byte(p, end)) != -1) {
			*to++ = (char)byte;
			p += 3;
			continue;
		}
		if (*p == '%')
			*is_bad_r = true;
		*to++ = plus_is_space && *p == '+' ? ' ' : *p;
		p++;
	}
	*to = '\0';
	decoded_r->len = (size_t)(to - decoded_r->p);
	return (true);
}

/* Cut what stands before the first c off *rest, and the c with it. */
static struct span
cut(struct span *rest, char c)
{
	const char *at = rest->len > 0 ? memchr(rest->p, c, rest->len) : NULL;
	struct span part = *rest;

	if (at == NULL) {
		rest->p += rest->len;
		rest->len = 0;
		return (part);
	}
	part.len = (size_t)(at - rest->p);
	rest->p += part.len + 1;
	rest->len -= part.len + 1;
	return (part);
}

/* --- the parts ---------------------------------------------------------- */

/* Segments are decoded one by one: an escaped slash separates nothing. */
static bool
split_path(struct request *req)
{
	struct span rest = req->path, raw;
	const char *end = rest.p + rest.len;

	if (rest.len == 0 || rest.p[0] != '/') {
		req->is_path_bad = true;
		return (true);
	}
	rest.p++;
	rest.len--;
	do {
		if (req->nsegments == REQUEST_SEGMENTS) {
			req->is_path_bad = true;
			return (true);
		}
		raw = cut(&rest, '/');
		if (!decode(req->arena, raw, false,
		    &req->segments[req->nsegments++], &req->is_path_bad))
			return (false);
		/* A slash at the very end has an empty segment behind it. */
	} while (raw.p + raw.len != end);
	return (true);
}

static size_t
count_byte(struct span s, char c)
{
	size_t i, n = 0;

	for (i = 0; i < s.len; i++)
		n += s.p[i] == c;
	return (n);
}

/* name=value&name=value; as browsers do, a stray '%' stands for itself. */
static bool
split_query(struct request *req, struct span rest)
{
	struct span raw, name;
	struct pair *pair;
	size_t max;
	bool is_bad = false;

	if (rest.len == 0)
		return (true);
	max = count_byte(rest, '&') + 1;
	req->query = arena_alloc(req->arena, max * sizeof(*req->query));
	if (req->query == NULL)
		return (false);
	while (rest.len > 0) {
		raw = cut(&rest, '&');
		if (raw.len == 0)
			continue;
		name = cut(&raw, '=');
		pair = &req->query[req->nquery++];
		if (!decode(req->arena, name, true, &pair->name, &is_bad) ||
		    !decode(req->arena, raw, true, &pair->value, &is_bad))
			return (false);
	}
	return (true);
}

static bool
is_id_byte(char c)
{
	return ((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
	    (c >= '0' && c <= '9') || c == '_' || c == '-');
}

/* nginx's own id goes on, so that its log and ours tell of the same. */
static void
take_id(struct request *req)
{
	struct span id = request_param(req, "REQUEST_ID");
	size_t i;

	for (i = 0; i < id.len && is_id_byte(id.p[i]); i++)
		;
	if (i == id.len && id.len >= 8 && id.len <= ID_MAX) {
		memcpy(req->id, id.p, id.len);
		req->id[id.len] = '\0';
	} else
		id_mint(req->id, "req_");
}

static void
take_method(struct request *req)
{
	struct span name = request_param(req, "REQUEST_METHOD");
	size_t i;

	req->method_name = name.p != NULL ? name.p : "";
	req->method = METHOD_OTHER;
	for (i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (name.p != NULL && span_is(name, methods[i].name))
			req->method = methods[i].method;
}

int
request_init(struct request *req, const struct edge *edge,
    struct arena *arena, const struct pair *params, size_t nparams,
    struct span body, bool is_control)
{
	struct span query;

	memset(req, 0, sizeof(*req));
	req->edge = edge;
	req->arena = arena;
	req->is_control = is_control;
	req->params = params;
	req->nparams = nparams;
	req->body = body;
	take_id(req);
	take_method(req);

	query = request_param(req, "REQUEST_URI");
	if (query.p == NULL)
		query.p = "";
	req->path = cut(&query, '?');
	if (!split_path(req) || !split_query(req, query))
		return (-1);
	return (0);
}

void
request_forget_caller(struct request *req)
{
	if (req->caller.tenant != NULL)
		store_tenant_put(req->caller.tenant);
	memset(&req->caller, 0, sizeof(req->caller));
}

void
request_fini(struct request *req)
{
	request_forget_caller(req);
}

bool
request_query(const struct request *req, const char *name,
    struct span *value_r)
{
	struct span have;
	size_t i;

	for (i = 0; i < req->nquery; i++) {
		have = req->query[i].name;
		if (have.len >= 2 && memcmp(have.p + have.len - 2, "[]", 2) == 0
		    && strlen(name) == have.len - 2)
			have.len -= 2;
		if (span_is(have, name)) {
			*value_r = req->query[i].value;
			return (true);
		}
	}
	return (false);
}

bool
request_segment_is(const struct request *req, size_t i, const char *word)
{
	return (i < req->nsegments && span_is(req->segments[i], word));
}
