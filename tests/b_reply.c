/* fcgi/reply: every reply is one an official client can read. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "conf/conf.h"
#include "fcgi/reply.h"
#include "nomem.h"

/* Nobody here has a tenant. */
void
store_tenant_put(struct tenant *t)
{
	(void)t;
	fail();
}

const char *
store_tenant_name(const struct tenant *t)
{
	(void)t;
	fail();
	return (NULL);
}

static const struct conf no_conf;
static const struct edge edge = { .conf = &no_conf };
static struct request req = { .edge = &edge, .id = "req_test",
	.method = METHOD_GET };

static struct span
text(const char *s)
{
	return ((struct span){ s, strlen(s) });
}

/* The four keys of the error object, and no other. */
static void
assert_error(const struct reply *rep, int status, const char *type,
    const char *param, const char *code, const char *message)
{
	json_t *root, *e;

	assert_int_equal(rep->status, status);
	root = json_loadb(rep->body.data, rep->body.len, JSON_ALLOW_NUL, NULL);
	assert_non_null(root);
	assert_int_equal(json_object_size(root), 1);
	e = json_object_get(root, "error");
	assert_int_equal(json_object_size(e), 4);
	assert_string_equal(json_string_value(json_object_get(e, "type")),
	    type);
	if (param == NULL)
		assert_true(json_is_null(json_object_get(e, "param")));
	else
		assert_string_equal(json_string_value(json_object_get(e,
		    "param")), param);
	if (code == NULL)
		assert_true(json_is_null(json_object_get(e, "code")));
	else
		assert_string_equal(json_string_value(json_object_get(e,
		    "code")), code);
	if (message != NULL)
		assert_string_equal(json_string_value(json_object_get(e,
		    "message")), message);
	else
		assert_true(json_string_length(json_object_get(e,
		    "message")) > 0);
	json_decref(root);
}

static bool
has_header(const struct reply *rep, const char *line)
{
	return (rep->headers.len > 0 && memmem(rep->headers.data,
	    rep->headers.len, line, strlen(line)) != NULL);
}

static void
error_types(void **state)
{
	static const struct {
		int		 status;
		const char	*type;
	} cases[] = {
		{ 400, "invalid_request_error" },
		{ 401, "authentication_error" },
		{ 403, "permission_error" },
		{ 404, "invalid_request_error" },
		{ 429, "rate_limit_error" },
		{ 500, "server_error" },
		{ 507, "server_error" }
	};
	struct reply rep;
	size_t i;

	(void)state;
	reply_init(&rep);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		reply_error(&rep, cases[i].status, "c", "items[0].id",
		    "a \"%s\" %d", "b", 7);
		assert_error(&rep, cases[i].status, cases[i].type,
		    "items[0].id", "c", "a \"b\" 7");
		reply_error(&rep, cases[i].status, NULL, NULL, "x");
		assert_error(&rep, cases[i].status, cases[i].type, NULL, NULL,
		    "x");
	}
	reply_error(&rep, 401, NULL, NULL, "x");
	assert_true(has_header(&rep, "WWW-Authenticate: Bearer\r\n"));
	reply_fini(&rep);
}

static void
store_errors(void **state)
{
	static const struct {
		enum store_err	 err;
		int		 status;
		const char	*type;
		const char	*param;
		const char	*code;
		const char	*message;
	} cases[] = {
		{ STORE_NOENT, 404, "invalid_request_error", NULL, NULL,
		    "Conversation with id 'X' not found." },
		{ STORE_NOITEM, 404, "invalid_request_error", NULL, NULL,
		    "Item with id 'X' not found in conversation." },
		{ STORE_NOCURSOR, 404, "invalid_request_error", "after", NULL,
		    NULL },
		{ STORE_CONFLICT, 400, "invalid_request_error", "items",
		    "item_already_in_conversation",
		    "Item already in conversation" },
		{ STORE_PRECONDITION, 412, "invalid_request_error", NULL,
		    "precondition_failed", NULL },
		{ STORE_REUSED, 422, "invalid_request_error", NULL,
		    "idempotency_key_reused", NULL },
		{ STORE_EXISTS, 409, "invalid_request_error", NULL,
		    "already_exists", NULL },
		{ STORE_ONCE_LIMIT, 429, "rate_limit_error", NULL,
		    "rate_limit_exceeded", NULL },
		{ STORE_FULL, 507, "server_error", NULL, "storage_full",
		    NULL },
		{ STORE_SICK, 503, "server_error", NULL,
		    "storage_unavailable", NULL },
		{ STORE_DAMAGED, 503, "server_error", NULL, "damaged", NULL },
		{ STORE_NEWER, 503, "server_error", NULL, "damaged", NULL },
		{ STORE_NOMEM, 503, "server_error", NULL, "out_of_memory",
		    NULL },
		{ STORE_METADATA_LIMIT, 400, "invalid_request_error",
		    "metadata", "object_above_max_properties", NULL },
		{ STORE_UNSURE, 503, "server_error", NULL, "outcome_unknown",
		    NULL },
		{ STORE_BUSY, 503, "server_error", NULL, "busy", NULL },
		{ STORE_COLD, 503, "server_error", NULL, "busy", NULL }
	};
	struct reply rep;
	size_t i;

	(void)state;
	/* Every member but STORE_OK stands in the table. */
	assert_int_equal(sizeof(cases) / sizeof(cases[0]), STORE_UNSURE);
	reply_init(&rep);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		reply_start(&rep, 200);
		reply_wait(&rep, 5);
		reply_store_error(&rep, cases[i].err, text("X"));
		assert_error(&rep, cases[i].status, cases[i].type,
		    cases[i].param, cases[i].code, cases[i].message);
		/* An absence, too, may have to wait for the disk. */
		assert_int_equal(rep.lsn, 5);
		/* Nothing was changed but in that case. */
		assert_int_equal(rep.is_change, cases[i].err == STORE_UNSURE);
		assert_int_equal(has_header(&rep, "Retry-After: "),
		    cases[i].status == 429 || (cases[i].status >= 500 &&
		    cases[i].err != STORE_DAMAGED &&
		    cases[i].err != STORE_NEWER));
	}
	reply_store_error(&rep, STORE_FULL, text(""));
	assert_true(has_header(&rep, "x-should-retry: false\r\n"));
	reply_fini(&rep);
}

static void
preconditions(void **state)
{
	struct reply rep;

	(void)state;
	reply_init(&rep);
	reply_precondition(&rep, 42);
	assert_error(&rep, 412, "invalid_request_error", NULL,
	    "precondition_failed", NULL);
	assert_non_null(memmem(rep.body.data, rep.body.len, "42", 2));
	assert_true(has_header(&rep, "ETag: \"42\"\r\n"));
	reply_fini(&rep);
}

static void
unsure(void **state)
{
	struct reply rep;

	(void)state;
	reply_init(&rep);
	reply_start(&rep, 200);
	reply_header(&rep, "ETag", "\"1\"");
	reply_wait(&rep, 9);
	reply_unsure(&rep);
	assert_error(&rep, 503, "server_error", NULL, "outcome_unknown", NULL);
	assert_true(has_header(&rep, "Retry-After: 1\r\n"));
	assert_false(has_header(&rep, "ETag"));
	assert_int_equal(rep.lsn, 0);
	reply_fini(&rep);
}

/* Any bytes that a client sends come back as text. */
static void
any_bytes(void **state)
{
	static const struct {
		const char	*bytes;
		size_t		 len;
		const char	*shown;		/* in JSON */
	} cases[] = {
		{ "a\0b", 3, "'a\\u0000b'" },
		{ "\"\\\n", 3, "'\\\"\\\\\\n'" },
		{ "\xff", 1, "'\xef\xbf\xbd'" },
		{ "\xc3", 1, "'\xef\xbf\xbd'" },
		{ "\xc3\xa4", 2, "'\xc3\xa4'" },
		{ "\xc0\x80", 2, "'\xef\xbf\xbd\xef\xbf\xbd'" },
		{ "\xe0\x80\x80", 3, "'\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd'" },
		{ "\xed\xa0\x80", 3, "'\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd'" },
		{ "\xf0\x9f\x98\x80", 4, "'\xf0\x9f\x98\x80'" },
		{ "\xf4\x90\x80\x80", 4, "'\xef\xbf\xbd" },
		{ "\xf0\x9f\x98", 3, "'\xef\xbf\xbd" },
		{ "\xe2\x82", 2, "'\xef\xbf\xbd" }
	};
	struct reply rep;
	json_t *root;
	size_t i;

	(void)state;
	reply_init(&rep);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		reply_store_error(&rep, STORE_NOENT,
		    (struct span){ cases[i].bytes, cases[i].len });
		root = json_loadb(rep.body.data, rep.body.len, JSON_ALLOW_NUL,
		    NULL);
		assert_non_null(root);
		json_decref(root);
		assert_non_null(memmem(rep.body.data, rep.body.len,
		    cases[i].shown, strlen(cases[i].shown)));
		assert_non_null(memmem(rep.body.data, rep.body.len,
		    " not found.", 11));
	}
	reply_error(&rep, 400, "c", "p\xff", "%s", "m\xff");
	assert_error(&rep, 400, "invalid_request_error", "p\xef\xbf\xbd", "c",
	    "m\xef\xbf\xbd");
	reply_fini(&rep);
}

/* However long, a message is short and ends at a whole character. */
static void
long_messages(void **state)
{
	char *s = malloc(100001);
	struct reply rep;
	int i;

	(void)state;
	for (i = 0; i < 100000; i += 2)
		memcpy(s + i, "\xc3\xa4", 2);
	s[100000] = '\0';
	reply_init(&rep);
	for (i = 0; i < 4; i++) {
		reply_error(&rep, 404, NULL, s + 2, "%.*s%s", i, "abc", s);
		assert_true(rep.body.len < 5000);
		reply_store_error(&rep, STORE_NOENT, text(s + 2 * i));
		assert_true(rep.body.len < 5000);
		assert_non_null(memmem(rep.body.data, rep.body.len,
		    "' not found.", 12));
	}
	reply_fini(&rep);
	free(s);
}

static void
headers(void **state)
{
	struct reply rep;

	(void)state;
	reply_init(&rep);
	reply_start(&rep, 200);
	reply_header(&rep, "X-A", "%s", "evil\r\nSet-Cookie: x\x7f\t");
	reply_etag(&rep, UINT64_MAX);
	assert_int_equal(rep.headers.len, 24 + 30);
	assert_true(has_header(&rep, "X-A: evilSet-Cookie: x\r\n"));
	assert_true(has_header(&rep, "ETag: \"18446744073709551615\"\r\n"));
	reply_wait(&rep, 3);
	reply_wait(&rep, 2);
	assert_int_equal(rep.lsn, 3);
	reply_start(&rep, 200);
	assert_int_equal(rep.headers.len, 0);
	assert_int_equal(rep.lsn, 0);
	assert_false(rep.is_change);
	reply_fini(&rep);
}

static void
assert_written(struct reply *rep, enum method method, const char *expect)
{
	struct buf out = BUF_INITIALIZER;

	req.method = method;
	assert_true(reply_write(rep, &req, &out));
	assert_int_equal(out.len, strlen(expect));
	assert_memory_equal(out.data, expect, out.len);
	buf_fini(&out);
}

static void
written(void **state)
{
	struct reply rep;

	(void)state;
	reply_init(&rep);
	reply_start(&rep, 200);
	buf_adds(&rep.body, "{}");
	reply_etag(&rep, 3);
	assert_written(&rep, METHOD_GET, "Status: 200 OK\r\n"
	    "Content-Type: application/json\r\nContent-Length: 2\r\n"
	    "X-Request-Id: req_test\r\nETag: \"3\"\r\n\r\n{}");
	assert_written(&rep, METHOD_HEAD, "Status: 200 OK\r\n"
	    "Content-Type: application/json\r\nContent-Length: 2\r\n"
	    "X-Request-Id: req_test\r\nETag: \"3\"\r\n\r\n");
	reply_start(&rep, 304);
	reply_etag(&rep, 3);
	assert_written(&rep, METHOD_GET, "Status: 304 Not Modified\r\n"
	    "X-Request-Id: req_test\r\nETag: \"3\"\r\n\r\n");
	reply_start(&rep, 204);
	assert_written(&rep, METHOD_OPTIONS, "Status: 204 No Content\r\n"
	    "X-Request-Id: req_test\r\n\r\n");
	reply_fini(&rep);
}

/* What did not fit into memory becomes an excuse, not half an object. */
static void
no_memory(void **state)
{
	struct buf out = BUF_INITIALIZER;
	struct reply rep;

	(void)state;
	reply_init(&rep);
	req.method = METHOD_GET;
	reply_start(&rep, 200);
	buf_adds(&rep.body, "{\"half\":");
	rep.body.failed = true;
	assert_true(reply_write(&rep, &req, &out));
	assert_error(&rep, 503, "server_error", NULL, "out_of_memory", NULL);
	assert_null(memmem(out.data, out.len, "half", 4));
	buf_clear(&out);

	reply_start(&rep, 200);
	rep.headers.failed = true;
	assert_true(reply_write(&rep, &req, &out));
	assert_error(&rep, 503, "server_error", NULL, "out_of_memory", NULL);

	buf_clear(&out);
	out.failed = true;
	assert_false(reply_write(&rep, &req, &out));
	assert_int_equal(out.len, 0);
	buf_fini(&out);
	reply_fini(&rep);
}

/* Every allocation fails once: what goes out is whole, or the excuse. */
static void
failing_memory(void **state)
{
	struct buf out = BUF_INITIALIZER;
	struct reply rep;
	bool is_written;
	int n;

	(void)state;
	for (n = 1; ; n++) {
		nomem_arm(n);
		reply_init(&rep);
		reply_store_error(&rep, STORE_NOENT, text("x"));
		reply_header(&rep, "X-Test", "%0300d", 7);
		is_written = reply_write(&rep, &req, &out);
		if (is_written && rep.status == 404)
			assert_error(&rep, 404, "invalid_request_error", NULL,
			    NULL, "Conversation with id 'x' not found.");
		else if (is_written)
			assert_error(&rep, 503, "server_error", NULL,
			    "out_of_memory", NULL);
		else
			assert_true(nomem_fired());
		reply_fini(&rep);
		buf_fini(&out);
		if (!nomem_fired())
			break;
	}
	nomem_disarm();
	assert_true(is_written);
	assert_true(n > 4);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(error_types),
		cmocka_unit_test(store_errors),
		cmocka_unit_test(preconditions),
		cmocka_unit_test(unsure),
		cmocka_unit_test(any_bytes),
		cmocka_unit_test(long_messages),
		cmocka_unit_test(headers),
		cmocka_unit_test(written),
		cmocka_unit_test(no_memory),
		cmocka_unit_test(failing_memory)
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
