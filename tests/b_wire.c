/*
 * fcgi/wire: a request comes out whole, in whatever pieces it came, and what
 * is asked and answered beside it is as the protocol has it.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "nomem.h"
#include "wirepeer.h"

/* --- whole requests ----------------------------------------------------- */

static void
assert_example(struct peer *p)
{
	assert_int_equal(wire_refusal(p->wire), 0);
	assert_int_equal(wire_id(p->wire), 258);
	assert_true(wire_is_kept(p->wire));
	assert_string_equal(param(p->wire, "REQUEST_METHOD"), "POST");
	assert_string_equal(param(p->wire, "REQUEST_URI"), "/v1/x?a=b");
	assert_span(wire_body(p->wire), "{\"a\":1}");
	assert_int_equal(p->out.len, 0);
}

/* One request, cut in two at every byte, then byte by byte. */
static void
fragments(void **state)
{
	struct buf b = BUF_INITIALIZER;
	struct peer p;
	size_t cut, used, from;

	(void)state;
	put_request(&b, 258, FCGI_KEEP_CONN, "POST", "/v1/x?a=b", "7",
	    "{\"a\":1}");
	for (cut = 0; cut <= b.len; cut++) {
		peer_setup(&p);
		if (cut < b.len) {
			assert_int_equal(feed(&p, b.data, cut, &used),
			    WIRE_MORE);
			assert_int_equal(used, cut);
			assert_int_equal(wire_is_idle(p.wire), cut == 0);
			assert_int_equal(wire_is_begun(p.wire), cut >= 16);
			assert_int_equal(feed(&p, b.data + cut, b.len - cut,
			    &used), WIRE_REQUEST);
		} else
			assert_int_equal(feed_all(&p, &b), WIRE_REQUEST);
		assert_example(&p);
		wire_finish(p.wire);
		assert_serves(&p);
		peer_teardown(&p);
	}
	for (cut = 1; cut < 12; cut++) {
		peer_setup(&p);
		from = 0;
		assert_int_equal(feed_pieces(&p, &b, &from, cut),
		    WIRE_REQUEST);
		assert_int_equal(from, b.len);
		assert_example(&p);
		peer_teardown(&p);
	}
	buf_fini(&b);
}

/* Streams in many records, with padding, of which the peer makes what it
 * likes. */
static void
records_of_any_size(void **state)
{
	struct buf b = BUF_INITIALIZER, params = BUF_INITIALIZER;
	struct peer p;
	size_t chunk;

	(void)state;
	put_pair(&params, "REQUEST_URI", "/");
	put_pair(&params, "CONTENT_LENGTH", "10");
	for (chunk = 1; chunk < params.len + 2; chunk++) {
		peer_setup(&p);
		put_begin(&b, 1, FCGI_RESPONDER, 0);
		put_stream(&b, FCGI_PARAMS, 1, params.data, params.len, chunk);
		put_record_padded(&b, FCGI_STDIN, 1, "01234", 5, 255);
		put_record_padded(&b, FCGI_STDIN, 1, "56789", 5, 3);
		put_record_padded(&b, FCGI_STDIN, 1, NULL, 0, 7);
		assert_int_equal(feed_all(&p, &b), WIRE_REQUEST);
		assert_int_equal(wire_refusal(p.wire), 0);
		assert_span(wire_body(p.wire), "0123456789");
		assert_false(wire_is_kept(p.wire));
		buf_clear(&b);
		peer_teardown(&p);
	}
	buf_fini(&params);
	buf_fini(&b);
}

/* The next request of the same id waits until the first is answered. */
static void
pipelined(void **state)
{
	struct buf b = BUF_INITIALIZER;
	struct peer p;
	size_t from = 0, used, held;
	int n;

	(void)state;
	for (n = 0; n < 3; n++)
		put_request(&b, 1, FCGI_KEEP_CONN, "POST", "/", "2", "hi");
	peer_setup(&p);
	for (n = 0; n < 3; n++) {
		assert_int_equal(feed_pieces(&p, &b, &from, b.len),
		    WIRE_REQUEST);
		assert_span(wire_body(p.wire), "hi");
		if (n < 2) {
			held = from;
			assert_int_equal(feed_pieces(&p, &b, &from, b.len),
			    WIRE_HOLD);
			assert_int_equal(from, held + 8);
			/* Asking again changes nothing. */
			assert_int_equal(feed(&p, "", 0, &used), WIRE_HOLD);
			assert_span(wire_body(p.wire), "hi");
		}
		wire_finish(p.wire);
	}
	assert_int_equal(from, b.len);
	assert_int_equal(p.out.len, 0);
	peer_teardown(&p);
	buf_fini(&b);
}

/*
 * Without memory a request is refused or its connection ends; one that comes
 * out is whole.
 */
static void
no_memory(void **state)
{
	struct buf b = BUF_INITIALIZER;
	struct peer p;
	enum wire_event ev;
	size_t from;
	int n;

	(void)state;
	put_record(&b, FCGI_GET_VALUES, 0, "\15\0FCGI_MAX_REQS", 15);
	put_request(&b, 258, FCGI_KEEP_CONN, "POST", "/v1/x?a=b", "7",
	    "{\"a\":1}");
	for (n = 1; ; n++) {
		memset(&p, 0, sizeof(p));
		from = 0;
		nomem_arm(n);
		if ((p.wire = wire_new(&peer_limits)) == NULL) {
			assert_true(nomem_fired());
			continue;
		}
		ev = feed_pieces(&p, &b, &from, 20);
		if (ev == WIRE_REQUEST && wire_refusal(p.wire) == 0 &&
		    buf_ok(&p.out)) {
			buf_clear(&p.out);
			assert_example(&p);
		} else if (ev == WIRE_REQUEST && buf_ok(&p.out))
			assert_int_equal(wire_refusal(p.wire), 503);
		else
			assert_true(ev == WIRE_BROKEN || !buf_ok(&p.out));
		peer_teardown(&p);
		if (!nomem_fired())
			break;
		assert_true(n < 100);
	}
	nomem_disarm();
	assert_true(n > 4);
	buf_fini(&b);
}

/* --- the protocol's own ------------------------------------------------- */

/* An abort is seen wherever it comes, and the connection goes on. */
static void
aborts(void **state)
{
	struct buf b = BUF_INITIALIZER, abort = BUF_INITIALIZER;
	struct peer p;
	enum wire_event ev;
	size_t cut, used;

	(void)state;
	put_record(&abort, FCGI_ABORT_REQUEST, 1, NULL, 0);
	put_begin(&b, 1, FCGI_RESPONDER, FCGI_KEEP_CONN);
	put_record(&b, FCGI_PARAMS, 1, "\1\1ab", 4);
	put_record(&b, FCGI_PARAMS, 1, NULL, 0);
	put_record(&b, FCGI_STDIN, 1, NULL, 0);
	/* Behind each record: 16, 12, 8, 8 bytes. */
	for (cut = 16; cut <= b.len; cut += cut == 16 ? 12 : 8) {
		peer_setup(&p);
		ev = feed(&p, b.data, cut, &used);
		assert_int_equal(ev, cut == b.len ? WIRE_REQUEST : WIRE_MORE);
		assert_int_equal(feed_all(&p, &abort), WIRE_ABORT);
		assert_int_equal(wire_id(p.wire), 1);
		wire_finish(p.wire);
		/* The rest of it, and a late abort, mean nothing now. */
		if (cut < b.len)
			assert_int_equal(feed(&p, b.data + cut, b.len - cut,
			    &used), WIRE_MORE);
		assert_int_equal(feed_all(&p, &abort), WIRE_MORE);
		assert_int_equal(p.out.len, 0);
		assert_serves(&p);
		peer_teardown(&p);
	}
	buf_fini(&abort);
	buf_fini(&b);
}

static void
get_values(void **state)
{
	static const char wanted[] = "\1\12\0\0\0\x35\0\0"
	    "\16\2FCGI_MAX_CONNS77" "\15\2FCGI_MAX_REQS77"
	    "\17\1FCGI_MPXS_CONNS0";
	struct buf b = BUF_INITIALIZER, q = BUF_INITIALIZER;
	struct peer p;
	size_t used;

	(void)state;
	put_pair(&q, FCGI_MPXS_CONNS, "");
	put_pair(&q, "SOMETHING_ELSE", "");
	put_pair(&q, FCGI_MAX_REQS, "");
	put_pair(&q, FCGI_MAX_CONNS, "");
	put_pair(&q, FCGI_MAX_CONNS, "");
	put_record_padded(&b, FCGI_GET_VALUES, 0, q.data, q.len, 5);
	peer_setup(&p);
	assert_int_equal(feed_all(&p, &b), WIRE_MORE);
	assert_answer(&p, wanted, sizeof(wanted) - 1);
	assert_true(wire_is_idle(p.wire));

	/* Nothing asked, cut short, and in the middle of a request. */
	buf_clear(&b);
	put_begin(&b, 1, FCGI_RESPONDER, FCGI_KEEP_CONN);
	put_record(&b, FCGI_GET_VALUES, 0, NULL, 0);
	assert_int_equal(feed_all(&p, &b), WIRE_MORE);
	assert_answer(&p, "\1\12\0\0\0\0\0\0", 8);
	buf_clear(&b);
	put_record(&b, FCGI_GET_VALUES, 0, "\xff\xff", 2);
	assert_int_equal(feed_all(&p, &b), WIRE_MORE);
	assert_answer(&p, "\1\12\0\0\0\0\0\0", 8);
	buf_clear(&b);
	put_record(&b, FCGI_PARAMS, 1, NULL, 0);
	put_record(&b, FCGI_STDIN, 1, NULL, 0);
	assert_int_equal(feed(&p, b.data, b.len, &used), WIRE_REQUEST);
	wire_finish(p.wire);
	assert_serves(&p);
	peer_teardown(&p);
	buf_fini(&q);
	buf_fini(&b);
}

static void
unknown_types(void **state)
{
	static const unsigned char answer[16] = { 1, FCGI_UNKNOWN_TYPE, 0, 0,
	    0, 8, 0, 0, 200 };
	struct buf b = BUF_INITIALIZER;
	struct peer p;

	(void)state;
	peer_setup(&p);
	put_record(&b, 200, 0, "whatever", 8);
	assert_int_equal(feed_all(&p, &b), WIRE_MORE);
	assert_answer(&p, answer, sizeof(answer));
	assert_serves(&p);
	peer_teardown(&p);
	buf_fini(&b);
}

static void
unknown_roles(void **state)
{
	struct buf b = BUF_INITIALIZER;
	struct peer p;
	int role;

	(void)state;
	for (role = 0; role < 300; role += role == 3 ? 254 : 1) {
		if (role == FCGI_RESPONDER)
			continue;
		peer_setup(&p);
		buf_clear(&b);
		put_begin(&b, 5, role, FCGI_KEEP_CONN);
		put_record(&b, FCGI_PARAMS, 5, "\1\1ab", 4);
		put_record(&b, FCGI_PARAMS, 5, NULL, 0);
		put_record(&b, FCGI_STDIN, 5, "x", 1);
		put_record(&b, FCGI_DATA, 5, "x", 1);
		assert_int_equal(feed_all(&p, &b), WIRE_MORE);
		assert_end(&p, 5, FCGI_UNKNOWN_ROLE);
		assert_serves(&p);
		peer_teardown(&p);

		/* Not to be kept: it ends, after the answer. */
		peer_setup(&p);
		buf_clear(&b);
		put_begin(&b, 5, role, 0);
		assert_int_equal(feed_all(&p, &b), WIRE_BROKEN);
		assert_end(&p, 5, FCGI_UNKNOWN_ROLE);
		peer_teardown(&p);
	}
	buf_fini(&b);
}

/* A second request is refused at each stage of the first, which is unhurt. */
static void
multiplexing(void **state)
{
	struct buf one = BUF_INITIALIZER, two = BUF_INITIALIZER;
	struct peer p;
	size_t cut, used;

	(void)state;
	put_begin(&one, 1, FCGI_RESPONDER, FCGI_KEEP_CONN);
	put_record(&one, FCGI_PARAMS, 1, "\16\1CONTENT_LENGTH2", 17);
	put_record(&one, FCGI_PARAMS, 1, NULL, 0);
	put_record(&one, FCGI_STDIN, 1, "hi", 2);
	put_record(&one, FCGI_STDIN, 1, NULL, 0);
	put_request(&two, 2, FCGI_KEEP_CONN, "POST", "/", "3", "two");
	put_record(&two, FCGI_ABORT_REQUEST, 2, NULL, 0);
	for (cut = 16; cut <= one.len; cut++) {
		if (cut != 16 && cut != 41 && cut != 49 && cut != 59 &&
		    cut != 67)
			continue;
		peer_setup(&p);
		assert_int_equal(feed(&p, one.data, cut, &used),
		    cut == one.len ? WIRE_REQUEST : WIRE_MORE);
		assert_int_equal(feed_all(&p, &two), WIRE_MORE);
		assert_end(&p, 2, FCGI_CANT_MPX_CONN);
		if (cut < one.len)
			assert_int_equal(feed(&p, one.data + cut,
			    one.len - cut, &used), WIRE_REQUEST);
		assert_int_equal(wire_id(p.wire), 1);
		assert_int_equal(wire_refusal(p.wire), 0);
		assert_span(wire_body(p.wire), "hi");
		wire_finish(p.wire);
		assert_serves(&p);
		peer_teardown(&p);
	}
	buf_fini(&two);
	buf_fini(&one);
}

/* --- the reply ---------------------------------------------------------- */

/* Read records back: STDOUT content joined, and a right end. */
static void
assert_frames(const struct buf *wire, const char *response, size_t len)
{
	const unsigned char *h = (const unsigned char *)wire->data;
	const unsigned char *end = h + wire->len;
	size_t have = 0, n;

	for (;; h += 8 + n) {
		assert_true(end - h >= 8);
		n = (size_t)h[4] << 8 | h[5];
		assert_int_equal(h[0], FCGI_VERSION_1);
		assert_int_equal(h[2] << 8 | h[3], 0x1234);
		assert_int_equal(h[6], 0);
		assert_int_equal(h[1], FCGI_STDOUT);
		if (n == 0)
			break;
		assert_true(have + n <= len);
		assert_memory_equal(h + 8, response + have, n);
		have += n;
	}
	assert_int_equal(have, len);
	assert_int_equal(end - h, 8 + 16);
	assert_int_equal(h[8 + 1], FCGI_END_REQUEST);
	assert_int_equal(h[8 + 2] << 8 | h[8 + 3], 0x1234);
	assert_memory_equal(h + 16, "\0\0\0\0\0\0\0\0", 8);
}

/* Whatever a socket takes at a time, the records come out right. */
static void
frames(void **state)
{
	static const size_t sizes[] = { 0, 1, 100, WIRE_CHUNK - 25,
	    WIRE_CHUNK - 1, WIRE_CHUNK, WIRE_CHUNK + 1, 3 * WIRE_CHUNK - 7,
	    3 * WIRE_CHUNK, 20 * WIRE_CHUNK + 5 };
	static const size_t steps[] = { 7, 8, 1000, 65535, 65536, 1 << 22 };
	struct wire_heads heads;
	struct iovec iov[WIRE_IOV];
	struct buf out = BUF_INITIALIZER;
	char *response;
	size_t i, k, sent, left, len;
	int j, n;

	(void)state;
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		response = malloc(sizes[i] + 1);
		for (k = 0; k < sizes[i]; k++)
			response[k] = (char)(k * 7 + k / 251);
		for (k = 0; k < sizeof(steps) / sizeof(steps[0]); k++) {
			if (steps[k] < 1000 && sizes[i] > 4 * WIRE_CHUNK)
				continue;
			buf_clear(&out);
			sent = 0;
			while ((n = wire_frame(0x1234,
			    (struct span){ response, sizes[i] }, sent, &heads,
			    iov)) > 0) {
				assert_true(n <= WIRE_IOV);
				left = steps[k];
				for (j = 0; j < n && left > 0; j++) {
					assert_true(iov[j].iov_len > 0);
					len = iov[j].iov_len < left ?
					    iov[j].iov_len : left;
					buf_add(&out, iov[j].iov_base, len);
					left -= len;
					sent += len;
				}
			}
			assert_int_equal(sent, wire_frame_size(sizes[i]));
			assert_frames(&out, response, sizes[i]);
		}
		free(response);
	}
	buf_fini(&out);
}

static void
end_record(void **state)
{
	struct peer p;

	(void)state;
	peer_setup(&p);
	wire_end(7, &p.out);
	assert_end(&p, 7, FCGI_REQUEST_COMPLETE);
	peer_teardown(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fragments),
		cmocka_unit_test(records_of_any_size),
		cmocka_unit_test(pipelined),
		cmocka_unit_test(aborts),
		cmocka_unit_test(get_values),
		cmocka_unit_test(unknown_types),
		cmocka_unit_test(unknown_roles),
		cmocka_unit_test(multiplexing),
		cmocka_unit_test(no_memory),
		cmocka_unit_test(frames),
		cmocka_unit_test(end_record)
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
