/* fcgi/route and cors: which handler, and who is let in to it. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conf/conf.h"
#include "fcgi/auth.h"
#include "fcgi/route.h"

/* --- what lies behind the route ----------------------------------------- */

static const char *called;		/* the handler */
static enum api_verdict verdict;	/* what it says */
static unsigned int asked;		/* times auth_request was called */
static int tenant_there;		/* its address is a tenant */

#define HANDLER(name)							\
	enum api_verdict						\
	name(struct request *req, struct reply *rep)			\
	{								\
		(void)req;						\
		called = #name;						\
		if (verdict == API_DONE)				\
			reply_start(rep, 200);				\
		return (verdict);					\
	}

HANDLER(api_conversation_create)
HANDLER(api_conversation_list)
HANDLER(api_conversation_get)
HANDLER(api_conversation_update)
HANDLER(api_conversation_patch)
HANDLER(api_conversation_delete)
HANDLER(api_items_append)
HANDLER(api_items_list)
HANDLER(api_item_get)
HANDLER(api_item_delete)
HANDLER(api_response_create)
HANDLER(api_models_list)
HANDLER(api_admin)
HANDLER(api_healthz)
HANDLER(api_readyz)
HANDLER(api_metrics)

/* "Bearer read write", and so on: what it says is allowed. */
enum api_verdict
auth_request(struct request *req, struct reply *rep)
{
	struct span token = request_param(req, "HTTP_AUTHORIZATION");

	asked++;
	if (token.len == 0) {
		reply_error(rep, 401, "invalid_api_key", NULL, "Who?");
		return (API_DONE);
	}
	if (strstr(token.p, "cold") != NULL)
		return (API_COLD);
	req->caller.tenant = (struct tenant *)(void *)&tenant_there;
	req->caller.can_read = strstr(token.p, "read") != NULL;
	req->caller.can_write = strstr(token.p, "write") != NULL;
	req->caller.lsn = 7;
	return (API_DONE);
}

const char *
store_tenant_name(const struct tenant *t)
{
	(void)t;
	return ("acme");
}

void
store_tenant_put(struct tenant *t)
{
	(void)t;
}

/* --- asking ------------------------------------------------------------- */

static char acme[] = "acme", other[] = "other";
static char app[] = "https://app.example", local[] = "http://localhost:1";
static char elsewhere[] = "https://other.example";
static char *acme_origins[] = { app, local };
static char *other_origins[] = { elsewhere };
static struct conf_tenant tenants[] = {
	{ acme, acme_origins, 2 }, { other, other_origins, 1 }
};
static struct conf conf = { .tenants = tenants, .ntenants = 2 };
static struct edge edge = { .conf = &conf };

static struct arena *arena;
static struct pair params[8];
static size_t nparams;
static struct request req;
static struct reply rep;
static struct buf out;
static bool is_control;

static struct span
text(const char *s)
{
	return ((struct span){ s, strlen(s) });
}

static void
with(const char *name, const char *value)
{
	params[nparams++] = (struct pair){ text(name), text(value) };
}

/* Dispatch, and write what comes of it. */
static enum api_verdict
ask(const char *method, const char *uri)
{
	enum api_verdict v;

	with("REQUEST_METHOD", method);
	with("REQUEST_URI", uri);
	arena_reset(arena);
	assert_int_equal(request_init(&req, &edge, arena, params, nparams,
	    text(""), is_control), 0);
	called = NULL;
	asked = 0;
	reply_start(&rep, 0);
	v = route_dispatch(&req, &rep);
	nparams = 0;
	buf_clear(&out);
	if (v == API_DONE) {
		assert_true(reply_write(&rep, &req, &out));
		buf_addc(&out, '\0');
	}
	return (v);
}

static void
assert_status(int status)
{
	assert_int_equal(rep.status, status);
}

static void
assert_has(const char *s)
{
	assert_non_null(strstr(out.data, s));
}

static void
assert_lacks(const char *s)
{
	assert_null(strstr(out.data, s));
}

/* --- tests -------------------------------------------------------------- */

static void
table(void **state)
{
	static const struct {
		const char	*method;
		const char	*uri;
		const char	*handler;
	} rows[] = {
		{ "POST", "/v1/conversations", "api_conversation_create" },
		{ "GET", "/v1/conversations?limit=1",
		    "api_conversation_list" },
		{ "HEAD", "/v1/conversations", "api_conversation_list" },
		{ "GET", "/v1/conversations/c", "api_conversation_get" },
		{ "POST", "/v1/conversations/c", "api_conversation_update" },
		{ "PATCH", "/v1/conversations/c", "api_conversation_patch" },
		{ "DELETE", "/v1/conversations/c",
		    "api_conversation_delete" },
		{ "POST", "/v1/conversations/c/items", "api_items_append" },
		{ "GET", "/v1/conversations/c/items", "api_items_list" },
		{ "GET", "/v1/conversations/c/items/i", "api_item_get" },
		{ "DELETE", "/v1/conversations/c/items/i",
		    "api_item_delete" },
		/* Any segment but an empty one may be an id. */
		{ "GET", "/v1/conversations/%00/items/a%2Fb",
		    "api_item_get" },
		{ "GET", "/v1/conversations/items/items/items",
		    "api_item_get" },
		{ "GET", "/%761/conversations", "api_conversation_list" },
		{ "POST", "/v1/responses", "api_response_create" },
		{ "GET", "/v1/models", "api_models_list" }
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		with("HTTP_AUTHORIZATION", "Bearer read write");
		assert_int_equal(ask(rows[i].method, rows[i].uri), API_DONE);
		assert_non_null(called);
		assert_string_equal(called, rows[i].handler);
		assert_status(200);
	}
}

static void
unknown_paths(void **state)
{
	static const char *const uris[] = { "/", "/v1", "/v1/", "/v2/models",
	    "/v1/conversations/", "/v1/conversations/c/", "/v1//items",
	    "/v1/conversations//items", "/v1/conversations/c/items/",
	    "/v1/conversations/c/items/i/", "/v1/conversations/c/items/i/j",
	    "/v1/conversations/c/parts", "/V1/models", "/v1/models/x",
	    "/v1/conversations/%zz", "/v1/conversations/%", "//v1/models",
	    "v1/models", "*", "", "/admin/v1/tenants", "/admin/v1/",
	    "/v1/conversation", "/v1/conversationss",
	    "/1/2/3/4/5/6/7/8/9/10/11/12/13/14" };
	static const char *const verbs[] = { "GET", "POST", "OPTIONS",
	    "BREW" };
	size_t i, k;

	(void)state;
	for (i = 0; i < sizeof(uris) / sizeof(uris[0]); i++) {
		for (k = 0; k < 4; k++) {
			assert_int_equal(ask(verbs[k], uris[i]), API_DONE);
			assert_null(called);
			assert_int_equal(asked, 0);
			assert_status(404);
		}
	}
	ask("GET", "/v1/x%20y?q=1");
	assert_has("Status: 404 Not Found\r\n");
	assert_has("\"message\":\"Invalid URL (GET /v1/x%20y)\"");
	assert_has("\"param\":null,\"code\":null");
}

static void
other_methods(void **state)
{
	(void)state;
	ask("PUT", "/v1/conversations");
	assert_status(405);
	assert_has("Allow: GET, HEAD, POST, OPTIONS\r\n");
	assert_has("\"code\":\"method_not_supported\"");
	ask("PUT", "/v1/conversations/c");
	assert_has("Allow: GET, HEAD, POST, PATCH, DELETE, OPTIONS\r\n");
	ask("BREW", "/v1/conversations/c/items/i");
	assert_status(405);
	assert_has("Allow: GET, HEAD, DELETE, OPTIONS\r\n");
	ask("HEAD", "/v1/responses");
	assert_status(405);
	assert_has("Allow: POST, OPTIONS\r\n");
	assert_lacks("message");
	assert_null(called);
	assert_int_equal(asked, 0);
}

static void
strangers(void **state)
{
	(void)state;
	ask("GET", "/v1/conversations");
	assert_status(401);
	assert_null(called);
	assert_has("\"code\":\"invalid_api_key\"");
	with("HTTP_AUTHORIZATION", "Bearer cold");
	assert_int_equal(ask("GET", "/v1/conversations"), API_COLD);
	assert_null(called);
}

static void
scopes(void **state)
{
	(void)state;
	with("HTTP_AUTHORIZATION", "Bearer read");
	ask("POST", "/v1/conversations");
	assert_status(403);
	assert_null(called);
	assert_has("\"type\":\"permission_error\"");
	assert_has("\"code\":\"insufficient_scope\"");
	assert_int_equal(rep.lsn, 7);
	with("HTTP_AUTHORIZATION", "Bearer read");
	ask("HEAD", "/v1/conversations/c");
	assert_status(200);
	with("HTTP_AUTHORIZATION", "Bearer write");
	ask("GET", "/v1/conversations");
	assert_status(403);
	with("HTTP_AUTHORIZATION", "Bearer write");
	ask("DELETE", "/v1/conversations/c");
	assert_status(200);
	/* The key itself must be safe before it serves. */
	assert_int_equal(rep.lsn, 7);
}

/* A handler that has to wait is called again; who asks is known by then. */
static void
again(void **state)
{
	(void)state;
	verdict = API_COLD;
	with("HTTP_AUTHORIZATION", "Bearer read");
	assert_int_equal(ask("GET", "/v1/models"), API_COLD);
	verdict = API_BUSY;
	assert_int_equal(route_dispatch(&req, &rep), API_BUSY);
	verdict = API_DONE;
	assert_int_equal(route_dispatch(&req, &rep), API_DONE);
	assert_status(200);
	assert_int_equal(asked, 1);
}

static void
control(void **state)
{
	(void)state;
	is_control = true;
	ask("GET", "/admin/v1/status");
	assert_string_equal(called, "api_admin");
	ask("DELETE", "/admin/v1/tenants/acme/keys/key_1");
	assert_string_equal(called, "api_admin");
	assert_int_equal(asked, 0);
	ask("PATCH", "/admin/v1/status");
	assert_status(405);
	ask("GET", "/admin/v2/status");
	assert_status(404);
	with("HTTP_AUTHORIZATION", "Bearer read");
	ask("GET", "/v1/conversations");
	assert_status(404);
	is_control = false;
}

/* Who watches needs no token, on either socket. */
static void
watched(void **state)
{
	(void)state;
	for (is_control = false; ; is_control = true) {
		ask("GET", "/healthz");
		assert_string_equal(called, "api_healthz");
		ask("HEAD", "/readyz");
		assert_string_equal(called, "api_readyz");
		assert_int_equal(asked, 0);
		ask("GET", "/metrics");
		assert_string_equal(called, "api_metrics");
		ask("POST", "/readyz");
		assert_status(405);
		assert_has("Allow: GET, HEAD, OPTIONS\r\n");
		ask("GET", "/v1/healthz");
		assert_status(404);
		if (is_control)
			break;
	}
	is_control = false;
}

/* Paths are counted by their pattern, whatever becomes of the request. */
static void
patterns(void **state)
{
	unsigned int methods, route, n;

	(void)state;
	ask("GET", "/v1/conversations/c");
	route = req.route;
	assert_string_equal(route_pattern(route, &methods),
	    "/v1/conversations/{}");
	assert_int_equal(methods, METHOD_GET | METHOD_POST | METHOD_PATCH |
	    METHOD_DELETE);
	ask("DELETE", "/v1/conversations/d");
	assert_int_equal(req.route, route);
	ask("PUT", "/v1/conversations/d");
	assert_int_equal(req.route, route);
	ask("GET", "/v1/nothing");
	assert_int_equal(req.route, 0);
	assert_string_equal(route_pattern(0, &methods), "");
	/* One number a pattern. */
	assert_string_equal(route_pattern(route + 1, &methods),
	    "/v1/conversations/{}");
	assert_int_equal(methods, 0);
	for (n = 0; route_pattern(n, &methods) != NULL; n++)
		;
	assert_true(n > 10 && route_pattern(n + 1, &methods) == NULL);
}

/* --- pages of other origins --------------------------------------------- */

static void
preflight(const char *origin, const char *uri)
{
	with("HTTP_ORIGIN", origin);
	with("HTTP_ACCESS_CONTROL_REQUEST_METHOD", "POST");
	with("HTTP_ACCESS_CONTROL_REQUEST_HEADERS",
	    "authorization, x-stainless-lang, x-stainless-of-tomorrow, "
	    "OpenAI-New, x-evil, x-stainless-\"bad");
	ask("OPTIONS", uri);
}

static void
preflights(void **state)
{
	(void)state;
	preflight("https://app.example", "/v1/conversations/c/items");
	assert_status(204);
	assert_int_equal(asked, 0);
	assert_has("Access-Control-Allow-Origin: https://app.example\r\n");
	assert_has("Access-Control-Allow-Methods: GET, HEAD, POST, OPTIONS\r\n");
	assert_has("Authorization, Content-Type");
	assert_has("Idempotency-Key");
	assert_has("If-None-Match");
	assert_has("Last-Event-ID");
	assert_has("x-stainless-retry-count");
	assert_has(", x-stainless-of-tomorrow, OpenAI-New\r\n");
	assert_lacks("evil");
	assert_lacks("bad");
	assert_has("Access-Control-Max-Age: ");
	assert_has("Vary: Origin\r\n");
	assert_lacks("Content-Length");
	/* Any tenant's: whose it is, is not known without a token. */
	preflight("https://other.example", "/v1/conversations");
	assert_has("Access-Control-Allow-Origin: https://other.example\r\n");
	/* Nobody's. */
	preflight("https://app.example.evil", "/v1/conversations");
	assert_status(204);
	assert_lacks("Access-Control");
	assert_has("Allow: GET, HEAD, POST, OPTIONS\r\n");
	assert_has("Vary: Origin\r\n");
	preflight("null", "/v1/conversations");
	assert_lacks("Access-Control");
	preflight("https://app.example", "/v1/nowhere");
	assert_status(404);
	assert_lacks("Access-Control-Allow-Methods");
	/* OPTIONS of no browser. */
	ask("OPTIONS", "/v1/conversations");
	assert_status(204);
	assert_has("Allow: GET, HEAD, POST, OPTIONS\r\n");
	assert_lacks("Access-Control");
	with("HTTP_ORIGIN", "https://app.example");
	ask("OPTIONS", "/v1/conversations");
	assert_lacks("Access-Control-Allow-Methods");
}

static void
replies_to_pages(void **state)
{
	static const char expose[] = "Access-Control-Expose-Headers: ETag, "
	    "X-Request-Id, Remember-Durability, Retry-After\r\n";

	(void)state;
	with("HTTP_ORIGIN", "https://app.example");
	with("HTTP_AUTHORIZATION", "Bearer read");
	ask("GET", "/v1/models");
	assert_has("Access-Control-Allow-Origin: https://app.example\r\n");
	assert_has(expose);
	assert_has("Vary: Origin\r\n");
	/* Errors, too, can be read by the page, those made late as well. */
	with("HTTP_ORIGIN", "http://localhost:1");
	with("HTTP_AUTHORIZATION", "Bearer read");
	ask("POST", "/v1/conversations");
	assert_status(403);
	assert_has("Access-Control-Allow-Origin: http://localhost:1\r\n");
	reply_unsure(&rep);
	buf_clear(&out);
	assert_true(reply_write(&rep, &req, &out));
	buf_addc(&out, '\0');
	assert_has("Access-Control-Allow-Origin: http://localhost:1\r\n");

	/* A page must see that its token is no good, whosever page it is. */
	with("HTTP_ORIGIN", "https://other.example");
	ask("GET", "/v1/models");
	assert_status(401);
	assert_has("Access-Control-Allow-Origin: https://other.example\r\n");
	assert_has("Vary: Origin\r\n");
	with("HTTP_ORIGIN", "https://app.example.evil");
	ask("GET", "/v1/models");
	assert_status(401);
	assert_lacks("Access-Control");

	/* Another tenant's page is none of this tenant's. */
	with("HTTP_ORIGIN", "https://other.example");
	with("HTTP_AUTHORIZATION", "Bearer read");
	ask("GET", "/v1/models");
	assert_status(200);
	assert_lacks("Access-Control");
	assert_has("Vary: Origin\r\n");
	with("HTTP_AUTHORIZATION", "Bearer read");
	ask("GET", "/v1/models");
	assert_lacks("Access-Control");
	assert_has("Vary: Origin\r\n");
	/* Off where nothing is configured. */
	tenants[0].norigins = 0;
	with("HTTP_ORIGIN", "https://app.example");
	with("HTTP_AUTHORIZATION", "Bearer read");
	ask("GET", "/v1/models");
	assert_lacks("Access-Control");
	assert_lacks("Vary");
	tenants[0].norigins = 2;
}

static int
setup(void **state)
{
	(void)state;
	reply_init(&rep);
	buf_init(&out);
	return ((arena = arena_new()) == NULL);
}

static int
teardown(void **state)
{
	(void)state;
	reply_fini(&rep);
	buf_fini(&out);
	arena_free(arena);
	return (0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table),
		cmocka_unit_test(unknown_paths),
		cmocka_unit_test(other_methods),
		cmocka_unit_test(strangers),
		cmocka_unit_test(scopes),
		cmocka_unit_test(again),
		cmocka_unit_test(control),
		cmocka_unit_test(watched),
		cmocka_unit_test(patterns),
		cmocka_unit_test(preflights),
		cmocka_unit_test(replies_to_pages)
	};

	return (cmocka_run_group_tests(tests, setup, teardown));
}
