#ifndef FAKE_REQUEST_H
#define FAKE_REQUEST_H

/*
 * Requests without a wire, for the unit tests of fcgi/: made of a method, a
 * URI, headers and a body, and the error that came of one taken apart.
 *
 * The tenant is a name and nothing else: a test that links no store defines
 * what the modules under test ask of it by FAKE_TENANT.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "conf/conf.h"
#include "fcgi/reply.h"
#include "fcgi/request.h"

struct fake {
	struct conf	 conf;
	struct edge	 edge;
	struct arena	*arena;
	struct pair	 params[8];
	struct request	 req;
	struct reply	 rep;
};

#define NELEMS(a)	(sizeof(a) / sizeof((a)[0]))

/* Calls of the store that request.c and others make, on such a tenant. */
#define FAKE_TENANT							\
	void store_tenant_put(struct tenant *t) { (void)t; }		\
	const char *store_tenant_name(const struct tenant *t)		\
	{ return ((const char *)t); }

static inline struct span
fake_span(const char *s)
{
	return ((struct span){ s, strlen(s) });
}

/* headers: name, value, …, NULL; or NULL. */
static inline void
fake_begin(struct fake *f, const char *method, const char *uri,
    const char *const *headers, const char *body, size_t len)
{
	size_t n = 0;

	memset(f, 0, sizeof(*f));
	f->conf.max_item = 4096;
	f->conf.max_items_per_request = 8;
	f->edge.conf = &f->conf;
	f->arena = arena_new();
	assert_non_null(f->arena);
	f->params[n++] = (struct pair){ fake_span("REQUEST_METHOD"),
		fake_span(method) };
	f->params[n++] = (struct pair){ fake_span("REQUEST_URI"),
		fake_span(uri) };
	for (; headers != NULL && headers[0] != NULL; headers += 2)
		f->params[n++] = (struct pair){ fake_span(headers[0]),
			fake_span(headers[1]) };
	assert_int_equal(request_init(&f->req, &f->edge, f->arena, f->params,
	    n, (struct span){ body, len }, false), 0);
	reply_init(&f->rep);
}

/* A change that carries a body. */
static inline void
fake_post(struct fake *f, const char *body, size_t len)
{
	fake_begin(f, "POST", "/v1/conversations/conv_1/items", NULL, body,
	    len);
}

static inline void
fake_end(struct fake *f)
{
	reply_fini(&f->rep);
	f->req.caller.tenant = NULL;
	request_fini(&f->req);
	arena_free(f->arena);
}

/*
 * The reply is this error, with all four keys; end is what its message ends
 * in.  code and param NULL mean null.
 */
static inline void
fake_assert_error(const struct fake *f, int status, const char *code,
    const char *param, const char *end)
{
	json_t *body, *error, *v;
	const char *message;

	assert_int_equal(f->rep.status, status);
	body = json_loadb(f->rep.body.data, f->rep.body.len, 0, NULL);
	assert_non_null(body);
	error = json_object_get(body, "error");
	assert_int_equal(json_object_size(error), 4);
	assert_true(json_is_string(json_object_get(error, "type")));
	v = json_object_get(error, "code");
	if (code == NULL)
		assert_true(json_is_null(v));
	else
		assert_string_equal(json_string_value(v), code);
	v = json_object_get(error, "param");
	if (param == NULL)
		assert_true(json_is_null(v));
	else
		assert_string_equal(json_string_value(v), param);
	message = json_string_value(json_object_get(error, "message"));
	assert_true(strlen(message) >= strlen(end));
	assert_string_equal(message + strlen(message) - strlen(end), end);
	json_decref(body);
}

#endif /* !FAKE_REQUEST_H */
