/*
 * fcgi/wire beside libfcgi: whatever a peer may send, cut into whatever
 * records, both see the same parameters and the same body.
 */

#include <fcgiapp.h>
#include <fastcgi.h>

#include <sys/types.h>
#include <sys/wait.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "chance.h"
#include "fcgi/client.h"
#include "fcgi/wire.h"
#include "tempdir.h"
#include "wirebytes.h"

#define ROUNDS	2000

/* --- libfcgi's side ----------------------------------------------------- */

/* Answer each request with what was seen: lines of parameters, the body. */
static void
serve(int fd)
{
	FCGX_Request r;
	char chunk[4096], **env;
	int n;

	FCGX_Init();
	FCGX_InitRequest(&r, fd, 0);
	while (FCGX_Accept_r(&r) == 0) {
		FCGX_PutS("\n", r.out);
		for (env = r.envp; *env != NULL; env++) {
			/* That one is libfcgi's own. */
			if (strcmp(*env, "FCGI_ROLE=RESPONDER") == 0)
				continue;
			FCGX_PutS(*env, r.out);
			FCGX_PutS("\n", r.out);
		}
		while ((n = FCGX_GetStr(chunk, sizeof(chunk), r.in)) > 0)
			FCGX_PutStr(chunk, n, r.out);
		FCGX_Finish_r(&r);
	}
	_exit(1);
}

static char path[128];
static pid_t server;
static int dir;
static struct client *client;

static int
setup(void **state)
{
	int fd;

	(void)state;
	dir = tempdir_open();
	snprintf(path, sizeof(path), "%s/fcgx", tempdir_path);
	FCGX_Init();
	if ((fd = FCGX_OpenSocket(path, 5)) == -1)
		return (-1);
	if ((server = fork()) == 0)
		serve(fd);
	close(fd);
	client = client_open(path, 10000);
	return (client == NULL);
}

static int
teardown(void **state)
{
	(void)state;
	client_close(client);
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
	tempdir_close(dir);
	return (0);
}

/* --- our side ----------------------------------------------------------- */

/* What serve() would say, by wire. */
static void
see(const struct buf *bytes, struct buf *seen)
{
	static const struct wire_limits limits = {
		.params_bytes = 65536, .params_pairs = 256, .body = 1 << 20
	};
	struct wire *w = wire_new(&limits);
	struct buf out = BUF_INITIALIZER;
	const struct pair *v;
	struct span body;
	size_t i, n, used;

	assert_non_null(w);
	assert_int_equal(wire_feed(w, bytes->data, bytes->len, &used, &out),
	    WIRE_REQUEST);
	assert_int_equal(used, bytes->len);
	assert_int_equal(wire_refusal(w), 0);
	v = wire_params(w, &n);
	for (i = 0; i < n; i++) {
		buf_addf(seen, "%s=%s\n", v[i].name.p, v[i].value.p);
		assert_int_equal(strlen(v[i].name.p), v[i].name.len);
		assert_int_equal(strlen(v[i].value.p), v[i].value.len);
	}
	body = wire_body(w);
	buf_add(seen, body.p, body.len);
	wire_free(w);
	buf_fini(&out);
}

/* --- requests by chance ------------------------------------------------- */

/* A length: mostly short, often at an edge of its encoding, seldom long. */
static size_t
some_length(void)
{
	static const size_t edges[] = { 0, 1, 126, 127, 128, 129, 255, 256 };

	switch (chance(4)) {
	case 0:
		return (edges[chance(8)]);
	case 1:
		return (chance(20) == 0 ? chance(9000) : chance(300));
	default:
		return (chance(30));
	}
}

/* A length on the wire, now and then longer than it need be. */
static void
put_some_length(struct buf *b, size_t len)
{
	if (len > 127 || chance(8) != 0) {
		put_length(b, len);
		return;
	}
	buf_add(b, "\x80\0\0", 3);
	buf_addc(b, (char)len);
}

static void
put_text(struct buf *b, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		buf_addc(b, (char)('A' + chance(26)));
}

static void
put_some_stream(struct buf *b, int type, const struct buf *stream)
{
	size_t at, n;

	for (at = 0; at < stream->len; at += n) {
		n = 1 + chance(chance(4) == 0 ? 60000 : 50);
		if (n > stream->len - at)
			n = stream->len - at;
		put_record_padded(b, type, 1, stream->data + at, n,
		    chance(3) == 0 ? chance(256) : 0);
	}
	/* No padding here: libfcgi takes that of an empty record for the head
	 * of the next. */
	put_record(b, type, 1, NULL, 0);
}

static void
put_some_request(struct buf *b)
{
	struct buf params = BUF_INITIALIZER, body = BUF_INITIALIZER;
	size_t name, value, i, n = chance(40);
	char length[24];

	for (i = 0; i < 20000 * chance(4); i += 1 + chance(3))
		buf_addc(&body, (char)chance(256));
	for (i = 0; i < n && params.len < 40000; i++) {
		name = some_length();
		value = some_length();
		put_some_length(&params, name);
		put_some_length(&params, value);
		put_text(&params, name);
		put_text(&params, value);
	}
	snprintf(length, sizeof(length), "%zu", body.len);
	put_pair(&params, "CONTENT_LENGTH", length);
	put_begin(b, 1, FCGI_RESPONDER, FCGI_KEEP_CONN);
	put_some_stream(b, FCGI_PARAMS, &params);
	put_some_stream(b, FCGI_STDIN, &body);
	buf_fini(&params);
	buf_fini(&body);
}

static void
agree(void **state)
{
	struct buf b = BUF_INITIALIZER, seen = BUF_INITIALIZER;
	struct client_reply r;
	int i;

	(void)state;
	for (i = 0; i < ROUNDS; i++) {
		buf_clear(&b);
		buf_clear(&seen);
		put_some_request(&b);
		see(&b, &seen);
		assert_int_equal(client_send(client, b.data, b.len), 0);
		assert_int_equal(client_read_reply(client, &r), 0);
		assert_int_equal(r.body_len, seen.len);
		assert_memory_equal(r.body, seen.data, seen.len);
		client_reply_fini(&r);
	}
	buf_fini(&b);
	buf_fini(&seen);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(agree) };

	return (cmocka_run_group_tests(tests, setup, teardown));
}
