/*
 * The edge of a real daemon: what it makes of requests in pieces, in a row, and
 * broken off, and what HTTP says of them.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pieces.h"
#include "store/sys.h"

/* --- requests ----------------------------------------------------------- */

/* An append cut in two at every byte, then byte by byte. */
static void
fragments(void **state)
{
	struct buf b = BUF_INITIALIZER;
	struct client *c = dial();
	char id[128], item[32];
	size_t cut, len = 100;
	json_int_t n = 0;

	(void)state;
	daemon_converse(id, "[]");
	for (cut = 1; cut < len; cut += cut < 40 ? 1 : 7, n++) {
		snprintf(item, sizeof(item), "item_%03zu", cut);
		put_append(&b, id, item);
		len = b.len;
		assert_int_equal(client_send(c, b.data, cut), 0);
		/* Let it be read by itself. */
		usleep(500);
		assert_int_equal(client_send(c, b.data + cut, len - cut), 0);
		assert_reply(c, 200, item);
		buf_fini(&b);
	}
	put_append(&b, id, "bytes");
	for (cut = 0; cut < b.len; cut++)
		assert_int_equal(client_send(c, b.data + cut, 1), 0);
	buf_fini(&b);
	assert_reply(c, 200, "bytes");
	assert_int_equal(count_items(id), n + 1);
	client_close(c);
}

static void
pipelined(void **state)
{
	struct buf b = BUF_INITIALIZER;
	struct client *c = dial();
	char id[128], item[32];
	int i;

	(void)state;
	daemon_converse(id, "[]");
	for (i = 0; i < 50; i++) {
		snprintf(item, sizeof(item), "item_%d", i);
		put_append(&b, id, item);
	}
	send_buf(c, &b);
	for (i = 0; i < 50; i++) {
		snprintf(item, sizeof(item), "\"item_%d\"", i);
		assert_reply(c, 200, item);
	}
	assert_int_equal(count_items(id), 50);
	client_close(c);
}

/* Many at once: each gets its own answer, and all are there. */
static void
in_parallel(void **state)
{
	struct buf b = BUF_INITIALIZER;
	struct client *c[100];
	char id[128], item[32];
	int i, round;

	(void)state;
	daemon_converse(id, "[]");
	for (i = 0; i < 100; i++)
		c[i] = dial();
	for (round = 0; round < 5; round++) {
		for (i = 0; i < 100; i++) {
			snprintf(item, sizeof(item), "item_%d_%d", round, i);
			put_append(&b, id, item);
			send_buf(c[i], &b);
		}
		for (i = 0; i < 100; i++) {
			snprintf(item, sizeof(item), "\"item_%d_%d\"", round,
			    i);
			assert_reply(c[i], 200, item);
		}
	}
	for (i = 0; i < 100; i++)
		client_close(c[i]);
	assert_int_equal(count_items(id), 500);
}

/* What is broken off half way changes nothing. */
static void
broken_off(void **state)
{
	struct buf b = BUF_INITIALIZER;
	struct client *c = dial();
	char id[128];
	size_t cut;

	(void)state;
	daemon_converse(id, "[]");
	put_append(&b, id, "never");
	/* The last eight bytes are the record that ends the body. */
	for (cut = 1; cut <= b.len - 8; cut += 5) {
		assert_int_equal(client_send(c, b.data, cut), 0);
		client_close(c);
		c = dial();
	}
	assert_int_equal(client_send(c, b.data, b.len - 8), 0);
	assert_int_equal(client_send_record(c, FCGI_ABORT_REQUEST, 1, NULL, 0),
	    0);
	assert_ended(c);
	buf_fini(&b);
	put_append(&b, id, "after");
	send_buf(c, &b);
	assert_reply(c, 200, "after");
	assert_int_equal(count_items(id), 1);
	client_close(c);
}

/* A body over the limit, or not as long as announced, is told so. */
static void
refusals(void **state)
{
	struct buf b = BUF_INITIALIZER, params = BUF_INITIALIZER;
	struct client *c = dial();
	char id[128], uri[256], *body = calloc(1, 300001);

	(void)state;
	daemon_converse(id, "[]");
	snprintf(uri, sizeof(uri), "/v1/conversations/%s/items", id);
	memset(body, ' ', 300000);
	put_api(&b, "POST", uri, body);
	send_buf(c, &b);
	assert_reply(c, 413, "request_too_large");
	body[65536] = '\0';
	put_api(&b, "POST", uri, body);
	send_buf(c, &b);
	assert_reply(c, 400, "invalid_json");

	put_announced(&b, "POST", uri, "{\"items\":[]}", 13);
	put_announced(&b, "POST", uri, "{\"items\":[]}", 11);
	send_buf(c, &b);
	assert_reply(c, 400, "Content-Length");
	assert_reply(c, 400, "Content-Length");

	memset(body, '/', 70000);
	body[70000] = '\0';
	put_pair(&params, "REQUEST_URI", body);
	put_begin(&b, 1, FCGI_RESPONDER, FCGI_KEEP_CONN);
	put_stream(&b, FCGI_PARAMS, 1, params.data, params.len, 65535);
	put_stream(&b, FCGI_STDIN, 1, "", 0, 1);
	send_buf(c, &b);
	assert_reply(c, 431, "request_headers_too_large");
	assert_int_equal(count_items(id), 0);
	buf_fini(&params);
	free(body);
	client_close(c);
}

static void
late(void **state)
{
	struct buf b = BUF_INITIALIZER;
	struct client *c = dial();
	char id[128];
	int64_t begun = sys_monotonic_ms();

	(void)state;
	daemon_converse(id, "[]");
	put_append(&b, id, "never");
	b.len -= 8;
	send_buf(c, &b);
	assert_reply(c, 408, "request_timeout");
	assert_in_range(sys_monotonic_ms() - begun, 4500, 15000);
	client_close(c);
	assert_int_equal(count_items(id), 0);
}

/* --- what HTTP says ----------------------------------------------------- */

static int
ask(const char *method, const char *uri, const char *const *headers,
    struct client_reply *r)
{
	struct client *c = dial();

	assert_int_equal(client_request(c, method, uri, headers, "", 0, r), 0);
	client_close(c);
	return (r->status);
}

static void
methods_and_origins(void **state)
{
	char bearer[300], value[512];
	const char *const preflight[] = { "Origin: https://a.example",
	    "Access-Control-Request-Method: POST", NULL };
	const char *headers[] = { bearer, "Origin: https://a.example",
	    "Request-Id: x", NULL };
	struct client_reply r;

	(void)state;
	snprintf(bearer, sizeof(bearer), "Authorization: Bearer %s",
	    daemon_key);
	assert_int_equal(ask("HEAD", "/v1/conversations", headers, &r), 200);
	assert_int_equal(r.body_len, 0);
	assert_non_null(client_header(&r, "Content-Length", value,
	    sizeof(value)));
	assert_string_not_equal(value, "0");
	assert_non_null(client_header(&r, "X-Request-Id", value,
	    sizeof(value)));
	assert_non_null(client_header(&r, "Access-Control-Allow-Origin", value,
	    sizeof(value)));
	assert_string_equal(value, "https://a.example");
	client_reply_fini(&r);

	assert_int_equal(ask("GET", "/v1/conversations/none", headers, &r),
	    404);
	assert_non_null(client_header(&r, "Access-Control-Allow-Origin", value,
	    sizeof(value)));
	client_reply_fini(&r);
	assert_int_equal(ask("OPTIONS", "/v1/conversations", preflight, &r),
	    204);
	assert_int_equal(r.body_len, 0);
	assert_non_null(client_header(&r, "Access-Control-Allow-Headers",
	    value, sizeof(value)));
	client_reply_fini(&r);
	snprintf(bearer, sizeof(bearer), "Authorization: Bearer %s",
	    daemon_other_key);
	assert_int_equal(ask("GET", "/v1/conversations", headers, &r), 200);
	assert_null(client_header(&r, "Access-Control-Allow-Origin", value,
	    sizeof(value)));
	client_reply_fini(&r);
	assert_int_equal(ask("GET", "/v1/conversations", NULL, &r), 401);
	client_reply_fini(&r);
	assert_int_equal(ask("PUT", "/v1/conversations", NULL, &r), 405);
	assert_non_null(client_header(&r, "Allow", value, sizeof(value)));
	client_reply_fini(&r);
	assert_int_equal(ask("GET", "/admin/v1/status", headers, &r), 404);
	client_reply_fini(&r);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fragments),
		cmocka_unit_test(pipelined),
		cmocka_unit_test(in_parallel),
		cmocka_unit_test(broken_off),
		cmocka_unit_test(refusals),
		cmocka_unit_test(late),
		cmocka_unit_test(methods_and_origins)
	};

	if (argc < 1 || daemon_find(argv[0]) == -1)
		return (77);
	return (cmocka_run_group_tests(tests, pieces_set_up,
	    daemon_tear_down));
}
