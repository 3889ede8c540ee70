/*
 * fcgi/worker: peers that are slow, wrong, or gone get what they deserve, and
 * who behaves is served.
 */

#include <sys/socket.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "chance.h"
#include "pool.h"
#include "store/sys.h"

static void
slow_reader(void **state)
{
	struct client *slow = dial(), *c = dial();
	struct client_reply r;
	size_t len = 20 * 1000 * 1000;
	int i;

	(void)state;
	send_to(slow, "/big/20000000", "");
	await(&calls, 1);
	for (i = 0; i < 100; i++)
		assert_served(c, "quick");
	assert_int_equal(client_read_reply(slow, &r), 0);
	assert_int_equal(r.body_len, len);
	assert_int_equal(strspn(r.body, "x"), len);
	client_reply_fini(&r);
	assert_served(slow, "x");

	/* Gone in the middle of it. */
	send_to(slow, "/big/20000000", "");
	await(&calls, 103);
	client_close(slow);
	assert_served(c, "quick");
	client_close(c);
}

/* Who takes nothing of a reply is given up in time. */
static void
never_reads(void **state)
{
	const uint64_t *open = &edge.tallies->v[0].open;
	int64_t end = sys_monotonic_ms() + TIMEOUT_MS;
	struct client *c;

	(void)state;
	restart_with_timeout(100);
	c = dial();
	send_to(c, "/big/20000000", "");
	await(&calls, 1);
	while (counter_read(open) > 0) {
		assert_true(sys_monotonic_ms() < end);
		usleep(1000);
	}
	client_close(c);
}

/* Neither an abort nor an answer cuts a record of a reply in two. */
static void
abort_while_writing(void **state)
{
	struct client *c = dial();
	struct client_record *rec = malloc(sizeof(*rec));
	struct client_reply r;

	(void)state;
	send_to(c, "/big/5000000", "");
	await(&calls, 1);
	assert_false(is_silent(c, TIMEOUT_MS));
	client_send_record(c, FCGI_ABORT_REQUEST, 1, NULL, 0);
	client_send_record(c, FCGI_GET_VALUES, 0, NULL, 0);
	usleep(20000);
	assert_int_equal(client_read_reply(c, &r), 0);
	assert_int_equal(r.body_len, 5000000);
	assert_int_equal(strspn(r.body, "x"), r.body_len);
	client_reply_fini(&r);
	assert_int_equal(client_read_record(c, rec), 0);
	assert_int_equal(rec->type, FCGI_GET_VALUES_RESULT);
	free(rec);
	assert_served(c, "x");
	client_close(c);
}

static void
half_sent(void **state)
{
	struct buf b = BUF_INITIALIZER;
	struct client *idle, *half, *body, *header;
	char big[2000];
	int i;

	(void)state;
	restart_with_timeout(200);
	idle = dial();
	assert_served(idle, "x");
	half = dial();
	put_begin(&b, 1, FCGI_RESPONDER, FCGI_KEEP_CONN);
	send_buf(half, &b);
	body = dial();
	memset(big, 'y', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	put_request(&b, 1, FCGI_KEEP_CONN, "POST", "/echo", "99999999", big);
	b.len -= 8;
	send_buf(body, &b);
	header = dial();
	assert_int_equal(client_send(header, "\1\1", 2), 0);

	assert_reply(half, 408, "request_timeout");
	assert_closed(half);
	/* Why it would be refused anyway is said rather than that it is late,
	 * and who is still writing can write on. */
	assert_false(is_silent(body, TIMEOUT_MS));
	for (i = 0; i < 200; i++)
		assert_int_equal(client_send(body, big, sizeof(big)), 0);
	assert_reply(body, 413, "request_too_large");
	assert_closed(body);
	assert_closed(header);
	usleep(300000);
	assert_served(idle, "x");
	client_close(idle);
}

/* Too much, too many, not as announced: told, and the connection goes on. */
static void
refusals(void **state)
{
	static char big[3000001];
	char long_uri[70000];
	struct buf b = BUF_INITIALIZER, params = BUF_INITIALIZER;
	struct client *c = dial();
	int i;

	(void)state;
	memset(big, 'z', sizeof(big) - 1);
	send_to(c, "/echo", big);
	assert_reply(c, 413, "request_too_large");
	assert_served(c, "x");

	memset(long_uri, '/', sizeof(long_uri) - 1);
	long_uri[sizeof(long_uri) - 1] = '\0';
	put_begin(&b, 1, FCGI_RESPONDER, FCGI_KEEP_CONN);
	put_pair(&params, "REQUEST_URI", long_uri);
	put_stream(&b, FCGI_PARAMS, 1, params.data, params.len, 10000);
	put_stream(&b, FCGI_STDIN, 1, big, 200000, 8000);
	send_buf(c, &b);
	assert_reply(c, 431, "request_headers_too_large");
	buf_clear(&params);
	for (i = 0; i < 257; i++)
		put_pair(&params, "A", "");
	put_begin(&b, 1, FCGI_RESPONDER, FCGI_KEEP_CONN);
	put_stream(&b, FCGI_PARAMS, 1, params.data, params.len, 10000);
	put_stream(&b, FCGI_STDIN, 1, "", 0, 1);
	send_buf(c, &b);
	assert_reply(c, 431, "request_headers_too_large");
	buf_fini(&params);

	put_request(&b, 1, FCGI_KEEP_CONN, "POST", "/echo", "4", "abc");
	put_request(&b, 1, FCGI_KEEP_CONN, "POST", "/echo", "2", "abc");
	send_buf(c, &b);
	assert_reply(c, 400, "Content-Length");
	assert_reply(c, 400, "Content-Length");
	assert_served(c, "x");
	assert_int_equal(calls, 2);
	client_close(c);
}

/* Nonsense ends its own connection, with what it did to others: nothing. */
static void
nonsense(void **state)
{
	struct client *good = dial(), *parked = dial(), *bad;
	struct buf b = BUF_INITIALIZER;

	(void)state;
	send_to(parked, "/change/1", "parked");
	await(&calls, 1);
	bad = dial();
	assert_int_equal(client_send(bad, "GET / HTTP/1.1\r\n\r\n", 18), 0);
	assert_closed(bad);
	bad = dial();
	send_to(bad, "/change/2", "x");
	await(&calls, 2);
	client_send(bad, "nonsense", 8);
	assert_closed(bad);
	/* Behind good requests, which are answered first. */
	bad = dial();
	put_request(&b, 1, FCGI_KEEP_CONN, "POST", "/echo", "1", "1");
	buf_adds(&b, "nonsense");
	send_buf(bad, &b);
	assert_reply(bad, 200, "1");
	assert_closed(bad);
	assert_served(good, "x");
	move(2, STORE_OK);
	assert_reply(parked, 200, "parked");
	client_close(parked);
	client_close(good);
}

/* The protocol's own questions, also while a reply is waited for. */
static void
protocol(void **state)
{
	struct client *c = dial();
	struct client_record *r = malloc(sizeof(*r));
	struct buf b = BUF_INITIALIZER;

	(void)state;
	send_to(c, "/change/1", "parked");
	await(&calls, 1);
	put_pair(&b, FCGI_MPXS_CONNS, "");
	client_send_record(c, FCGI_GET_VALUES, 0, b.data, b.len);
	assert_int_equal(client_read_record(c, r), 0);
	assert_int_equal(r->type, FCGI_GET_VALUES_RESULT);
	assert_memory_equal(r->content, "\17\1FCGI_MPXS_CONNS0", 18);
	buf_clear(&b);
	put_request(&b, 2, FCGI_KEEP_CONN, "POST", "/echo", "1", "x");
	send_buf(c, &b);
	assert_int_equal(client_read_record(c, r), 0);
	assert_int_equal(r->type, FCGI_END_REQUEST);
	assert_int_equal(r->id, 2);
	assert_int_equal(r->content[4], FCGI_CANT_MPX_CONN);
	move(1, STORE_OK);
	assert_reply(c, 200, "parked");
	assert_served(c, "x");
	free(r);
	client_close(c);
}

/* One who asks and never reads is not read any more; the rest is served. */
static void
asks_and_never_reads(void **state)
{
	struct client *c = dial(), *other = dial();
	struct buf b = BUF_INITIALIZER;
	ssize_t n, all = 0;
	int i;

	(void)state;
	for (i = 0; i < 1000; i++)
		put_record(&b, 99, 0, NULL, 0);
	for (i = 0; i < 2000; i++) {
		n = send(client_fd(c), b.data, b.len, MSG_DONTWAIT);
		if (n == -1 && i % 100 != 0)
			usleep(100);
		all += n > 0 ? n : 0;
	}
	/* 16 bytes out for 8 in: both sockets are full, and no more. */
	assert_true(all < 4 * 1000 * 1000);
	assert_served(other, "x");
	buf_fini(&b);
	client_close(other);
	client_close(c);
}

/* --- everything at once -------------------------------------------------- */

/* A request for anything, whole or cut off, now and then with a wrong byte. */
static void
put_anything(struct buf *b, uint64_t lsn)
{
	static const char *const uris[] = { "/echo", "/change/", "/read/",
	    "/cold", "/never", "/busy", "/big/300000", "/big/70000",
	    "/away" };
	const char *uri = uris[chance(9)], *body = "abc";
	char path[64], length[24];
	size_t from = b->len;

	if (chance(40) == 0 || strcmp(uri, "/away") == 0)
		body = large_body();
	snprintf(length, sizeof(length), "%zu",
	    strlen(body) + (chance(20) == 0));
	snprintf(path, sizeof(path), "%s", uri);
	if (uri[strlen(uri) - 1] == '/')
		snprintf(path, sizeof(path), "%s%u", uri,
		    (unsigned int)lsn + chance(3));
	put_request(b, 1 + (chance(20) == 0), chance(8) != 0, "POST", path,
	    length, body);
	if (chance(5) == 0)
		b->len = from + chance((uint32_t)(b->len - from));
	if (chance(30) == 0 && b->len > from)
		b->data[from + chance((uint32_t)(b->len - from))] ^= 1;
}

/* One step of a peer that does what it likes.  Returns it, or NULL: gone. */
static struct client *
misbehave(struct client *c, uint64_t lsn)
{
	static char sink[65536];
	struct buf b = BUF_INITIALIZER;
	uint32_t i, n;

	if (c == NULL)
		return (dial());
	switch (chance(12)) {
	case 0:
		client_close(c);
		return (NULL);
	case 1:
		(void)shutdown(client_fd(c), SHUT_WR);
		break;
	case 2:
		put_record(&b, FCGI_ABORT_REQUEST, 1, NULL, 0);
		break;
	case 3:
		n = chance(100) == 0 ? 20000 : chance(20);
		for (i = 0; i < n; i++)
			put_record(&b, 77, 0, NULL, 0);
		break;
	case 4:
	case 5:
	case 6:
		(void)!recv(client_fd(c), sink, chance(sizeof(sink)),
		    MSG_DONTWAIT);
		break;
	default:
		n = chance(10) == 0 ? 20 : 1;
		for (i = 0; i < n; i++)
			put_anything(&b, lsn);
		break;
	}
	if (b.len > 0)
		(void)!send(client_fd(c), b.data, b.len,
		    MSG_DONTWAIT | MSG_NOSIGNAL);
	buf_fini(&b);
	return (c);
}

/* Many peers of every kind, over a store that moves, breaks and recovers: the
 * states hold, nothing leaks, and who behaves is served. */
static void
all_at_once(void **state)
{
	struct client *c[30] = { NULL }, *good;
	uint64_t lsn = 1;
	int i, step;

	(void)state;
	options.n = 2;
	restart_with_timeout(30);
	good = dial();
	for (step = 0; step < 12000; step++) {
		i = (int)chance(30);
		c[i] = misbehave(c[i], lsn);
		if (step % 16 == 0)
			move(++lsn, chance(20) == 0 ? STORE_SICK : STORE_OK);
		if (step % 100 == 0) {
			is_warm = chance(2);
			is_busy = chance(2);
			is_shut = chance(4) == 0;
			assert_served(good, "good");
		}
		if (step % 64 == 0)
			usleep(1000);
	}
	is_shut = is_busy = false;
	move(UINT64_MAX - 1, STORE_OK);
	for (i = 0; i < 30; i++)
		client_close(c[i]);
	assert_served(good, "good");
	client_close(good);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(slow_reader), TEST(never_reads),
		TEST(abort_while_writing), TEST(half_sent),
		TEST(refusals), TEST(nonsense), TEST(protocol),
		TEST(asks_and_never_reads), TEST(all_at_once)
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
