/*
 * fcgi/wire: whatever bytes come, in whatever pieces, a request comes out
 * whole, is refused, or ends its own connection only.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fcgi/wire.h"
#include "nomem.h"
#include "wirebytes.h"

static const struct wire_limits limits = {
	.params_bytes = 65536, .params_pairs = 256, .body = 1000,
	.max_conns = 77
};

/* A wire, what it answered, and what came out of it. */
struct peer {
	struct wire	*wire;
	struct buf	 out;
};

static void
setup(struct peer *p)
{
	memset(p, 0, sizeof(*p));
	p->wire = wire_new(&limits);
	assert_non_null(p->wire);
}

static void
teardown(struct peer *p)
{
	wire_free(p->wire);
	buf_fini(&p->out);
}

/* Feed bytes until they are used up or an event happens. */
static enum wire_event
feed(struct peer *p, const char *bytes, size_t len, size_t *used_r)
{
	enum wire_event ev;

	ev = wire_feed(p->wire, bytes, len, used_r, &p->out);
	assert_true(*used_r <= len);
	return (ev);
}

/* The same, where all must be used. */
static enum wire_event
feed_all(struct peer *p, const struct buf *b)
{
	enum wire_event ev;
	size_t used;

	ev = feed(p, b->data, b->len, &used);
	assert_int_equal(used, b->len);
	assert_true(buf_ok(&p->out));
	return (ev);
}

/* Feed from `from` on in pieces of at most `piece` bytes, up to an event. */
static enum wire_event
feed_pieces(struct peer *p, const struct buf *b, size_t *from, size_t piece)
{
	enum wire_event ev = WIRE_MORE;
	size_t used, len;

	while (*from < b->len && ev == WIRE_MORE) {
		len = b->len - *from < piece ? b->len - *from : piece;
		ev = feed(p, b->data + *from, len, &used);
		*from += used;
	}
	return (ev);
}

static void
assert_span(struct span s, const char *expect)
{
	assert_int_equal(s.len, strlen(expect));
	assert_memory_equal(s.p, expect, s.len + 1);
}

/* The value of a parameter of the request that is whole. */
static const char *
param(const struct wire *w, const char *name)
{
	const struct pair *v;
	size_t i, n;

	v = wire_params(w, &n);
	for (i = 0; i < n; i++)
		if (strcmp(v[i].name.p, name) == 0)
			return (v[i].value.p);
	return (NULL);
}

static void
assert_answer(struct peer *p, const void *expect, size_t len)
{
	assert_int_equal(p->out.len, len);
	assert_memory_equal(p->out.data, expect, len);
	buf_clear(&p->out);
}

static void
assert_end(struct peer *p, int id, int status)
{
	unsigned char expect[16] = { 1, FCGI_END_REQUEST, 0,
	    (unsigned char)id, 0, 8, 0, 0, 0, 0, 0, 0, (unsigned char)status };

	assert_answer(p, expect, sizeof(expect));
}

/* A fresh connection must do after all that happened before. */
static void
assert_serves(struct peer *p)
{
	struct buf b = BUF_INITIALIZER;

	put_request(&b, 9, FCGI_KEEP_CONN, "GET", "/again", NULL, "");
	assert_int_equal(feed_all(p, &b), WIRE_REQUEST);
	assert_int_equal(wire_refusal(p->wire), 0);
	assert_string_equal(param(p->wire, "REQUEST_URI"), "/again");
	assert_int_equal(p->out.len, 0);
	wire_finish(p->wire);
	assert_true(wire_is_idle(p->wire));
	buf_fini(&b);
}

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
		setup(&p);
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
		teardown(&p);
	}
	for (cut = 1; cut < 12; cut++) {
		setup(&p);
		from = 0;
		assert_int_equal(feed_pieces(&p, &b, &from, cut),
		    WIRE_REQUEST);
		assert_int_equal(from, b.len);
		assert_example(&p);
		teardown(&p);
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
		setup(&p);
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
		teardown(&p);
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
	setup(&p);
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
	teardown(&p);
	buf_fini(&b);
}

/* --- limits ------------------------------------------------------------- */

/* Feed one request with these PARAMS bytes; the status it is refused with. */
static int
refusal_of(const struct buf *params, const char *body)
{
	struct buf b = BUF_INITIALIZER;
	struct peer p;
	int status;

	setup(&p);
	put_begin(&b, 1, FCGI_RESPONDER, FCGI_KEEP_CONN);
	put_stream(&b, FCGI_PARAMS, 1, params->data, params->len, 65535);
	put_stream(&b, FCGI_STDIN, 1, body, strlen(body), 100);
	assert_int_equal(feed_all(&p, &b), WIRE_REQUEST);
	status = wire_refusal(p.wire);
	if (status != 0)
		assert_int_equal(wire_body(p.wire).len, 0);
	assert_int_equal(p.out.len, 0);
	wire_finish(p.wire);
	assert_serves(&p);
	teardown(&p);
	buf_fini(&b);
	return (status);
}

static void
params_bytes(void **state)
{
	struct buf params = BUF_INITIALIZER;
	char *value;
	size_t len;

	(void)state;
	/* A name of 1 byte; lengths take 1 and 4. */
	for (len = 65536 - 6; len <= 65536 - 5; len++) {
		value = malloc(len + 1);
		memset(value, 'x', len);
		value[len] = '\0';
		put_pair(&params, "A", value);
		assert_int_equal(params.len, len + 6);
		assert_int_equal(refusal_of(&params, ""),
		    params.len > 65536 ? 431 : 0);
		buf_clear(&params);
		free(value);
	}
	buf_fini(&params);
}

/* A peer that never ends its parameters costs no memory. */
static void
params_endless(void **state)
{
	static char chunk[65535];
	struct buf b = BUF_INITIALIZER;
	struct peer p;
	int i;

	(void)state;
	setup(&p);
	put_begin(&b, 1, FCGI_RESPONDER, FCGI_KEEP_CONN);
	for (i = 0; i < 100; i++)
		put_record(&b, FCGI_PARAMS, 1, chunk, sizeof(chunk));
	assert_int_equal(feed_all(&p, &b), WIRE_MORE);
	assert_int_equal(wire_refusal(p.wire), 431);
	assert_true(wire_is_begun(p.wire));
	teardown(&p);
	buf_fini(&b);
}

static void
params_pairs(void **state)
{
	struct buf params = BUF_INITIALIZER;
	int i;

	(void)state;
	for (i = 0; i < 256; i++)
		put_pair(&params, "N", "v");
	assert_int_equal(refusal_of(&params, ""), 0);
	put_pair(&params, "N", "v");
	assert_int_equal(refusal_of(&params, ""), 431);
	buf_fini(&params);
}

/* libfcgi aborts on the first of these. */
static void
params_absurd_lengths(void **state)
{
	static const struct {
		const char	*bytes;
		size_t		 len;
	} cases[] = {
		{ "\xff\xff\xff\xff\xff\xff\xff\xff", 8 },
		{ "\x80\0\0\1\xff\xff\xff\xff" "a", 9 },
		{ "\xff\xff\xff\xff\0a", 6 },
		{ "\0\xff\xff\xff\xff", 5 },
		{ "\1\1a", 3 },
		{ "\1", 1 },
		{ "\x80\0\0", 3 },
		{ "\1\x80\0\0", 4 },
		{ "\0\0\5", 3 },
		{ "\x80\0\0\x80\x80\0\0\x80", 8 }
	};
	struct buf params = BUF_INITIALIZER;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		buf_clear(&params);
		buf_add(&params, cases[i].bytes, cases[i].len);
		assert_int_equal(refusal_of(&params, ""), 400);
		/* Behind good ones, too. */
		buf_clear(&params);
		put_pair(&params, "REQUEST_METHOD", "GET");
		buf_add(&params, cases[i].bytes, cases[i].len);
		assert_int_equal(refusal_of(&params, ""), 400);
	}
	buf_fini(&params);
}

static void
content_lengths(void **state)
{
	static char thousand[1002];
	static const struct {
		const char	*length;	/* NULL: none is sent */
		const char	*body;
		int		 status;
	} cases[] = {
		{ NULL, "", 0 }, { "", "", 0 }, { "0", "", 0 },
		{ "3", "abc", 0 }, { "0003", "abc", 0 },
		{ NULL, "a", 400 }, { "", "a", 400 }, { "0", "a", 400 },
		{ "3", "ab", 400 }, { "3", "abcd", 400 }, { "3", "", 400 },
		{ "-1", "", 400 }, { "+3", "abc", 400 }, { "3 ", "abc", 400 },
		{ "0x3", "abc", 400 }, { "abc", "abc", 400 },
		{ "1000", thousand, 400 },	/* it has 1001 */
		{ "1001", thousand, 413 }, { "1001", "", 413 },
		{ "18446744073709551616", "abc", 413 },
		{ "99999999999999999999999", "abc", 413 }
	};
	struct buf params = BUF_INITIALIZER;
	size_t i;

	(void)state;
	memset(thousand, 'x', 1001);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		buf_clear(&params);
		put_pair(&params, "REQUEST_URI", "/");
		if (cases[i].length != NULL)
			put_pair(&params, "CONTENT_LENGTH", cases[i].length);
		assert_int_equal(refusal_of(&params, cases[i].body),
		    cases[i].status);
	}
	/* As large as may be. */
	thousand[1000] = '\0';
	buf_clear(&params);
	put_pair(&params, "CONTENT_LENGTH", "1000");
	assert_int_equal(refusal_of(&params, thousand), 0);
	buf_fini(&params);
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
		setup(&p);
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
		teardown(&p);
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
	setup(&p);
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
	teardown(&p);
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
	setup(&p);
	put_record(&b, 200, 0, "whatever", 8);
	assert_int_equal(feed_all(&p, &b), WIRE_MORE);
	assert_answer(&p, answer, sizeof(answer));
	assert_serves(&p);
	teardown(&p);
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
		setup(&p);
		buf_clear(&b);
		put_begin(&b, 5, role, FCGI_KEEP_CONN);
		put_record(&b, FCGI_PARAMS, 5, "\1\1ab", 4);
		put_record(&b, FCGI_PARAMS, 5, NULL, 0);
		put_record(&b, FCGI_STDIN, 5, "x", 1);
		put_record(&b, FCGI_DATA, 5, "x", 1);
		assert_int_equal(feed_all(&p, &b), WIRE_MORE);
		assert_end(&p, 5, FCGI_UNKNOWN_ROLE);
		assert_serves(&p);
		teardown(&p);

		/* Not to be kept: it ends, after the answer. */
		setup(&p);
		buf_clear(&b);
		put_begin(&b, 5, role, 0);
		assert_int_equal(feed_all(&p, &b), WIRE_BROKEN);
		assert_end(&p, 5, FCGI_UNKNOWN_ROLE);
		teardown(&p);
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
		setup(&p);
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
		teardown(&p);
	}
	buf_fini(&two);
	buf_fini(&one);
}

/* --- nonsense ----------------------------------------------------------- */

static void
assert_broken(const struct buf *b)
{
	struct peer p;
	size_t used, from;

	setup(&p);
	assert_int_equal(feed(&p, b->data, b->len, &used), WIRE_BROKEN);
	/* And it stays so. */
	assert_int_equal(feed(&p, "\1", 1, &used), WIRE_BROKEN);
	assert_int_equal(used, 0);
	teardown(&p);

	setup(&p);
	from = 0;
	assert_int_equal(feed_pieces(&p, b, &from, 1), WIRE_BROKEN);
	teardown(&p);
}

static void
nonsense(void **state)
{
	static char large[600];
	struct buf b = BUF_INITIALIZER;
	int type;

	(void)state;
	buf_adds(&b, "GET / HTTP/1.1\r\n\r\n");
	assert_broken(&b);
	buf_clear(&b);
	buf_add(&b, "\0\0\0\0\0\0\0\0", 8);
	assert_broken(&b);
	/* A begin of another size, or without an id. */
	buf_clear(&b);
	put_record(&b, FCGI_BEGIN_REQUEST, 1, "\0\1\0\0\0\0\0", 7);
	assert_broken(&b);
	buf_clear(&b);
	put_record(&b, FCGI_BEGIN_REQUEST, 1, "\0\1\0\0\0\0\0\0\0", 9);
	assert_broken(&b);
	buf_clear(&b);
	put_record(&b, FCGI_BEGIN_REQUEST, 1, large, sizeof(large));
	assert_broken(&b);
	buf_clear(&b);
	put_begin(&b, 0, FCGI_RESPONDER, 0);
	assert_broken(&b);
	buf_clear(&b);
	put_record(&b, FCGI_GET_VALUES, 0, large, sizeof(large));
	assert_broken(&b);

	/* The same id begun twice; streams in the wrong order. */
	buf_clear(&b);
	put_begin(&b, 1, FCGI_RESPONDER, 0);
	put_begin(&b, 1, FCGI_RESPONDER, 0);
	assert_broken(&b);
	buf_clear(&b);
	put_begin(&b, 1, FCGI_RESPONDER, 0);
	put_record(&b, FCGI_STDIN, 1, "x", 1);
	assert_broken(&b);
	buf_clear(&b);
	put_begin(&b, 1, FCGI_RESPONDER, 0);
	put_record(&b, FCGI_PARAMS, 1, NULL, 0);
	put_record(&b, FCGI_PARAMS, 1, NULL, 0);
	assert_broken(&b);
	buf_clear(&b);
	put_begin(&b, 1, FCGI_RESPONDER, 0);
	put_record(&b, FCGI_DATA, 1, "x", 1);
	assert_broken(&b);

	/* What only we may send, or nobody. */
	for (type = 0; type < 256; type++) {
		if (type >= FCGI_BEGIN_REQUEST && type <= FCGI_DATA &&
		    type != FCGI_END_REQUEST && type != FCGI_STDOUT &&
		    type != FCGI_STDERR)
			continue;
		buf_clear(&b);
		put_record(&b, type, 1, NULL, 0);
		assert_broken(&b);
		buf_clear(&b);
		put_begin(&b, 1, FCGI_RESPONDER, 0);
		put_record(&b, type, 1, NULL, 0);
		assert_broken(&b);
	}
	buf_fini(&b);
}

/* Bytes of a request behind its end are nonsense, not a second body. */
static void
more_behind_the_end(void **state)
{
	struct buf b = BUF_INITIALIZER, more = BUF_INITIALIZER;
	struct peer p;
	size_t used;

	(void)state;
	put_request(&b, 1, FCGI_KEEP_CONN, "GET", "/", NULL, "");
	put_record(&more, FCGI_STDIN, 1, "x", 1);
	setup(&p);
	assert_int_equal(feed_all(&p, &b), WIRE_REQUEST);
	assert_int_equal(feed(&p, more.data, more.len, &used), WIRE_BROKEN);
	teardown(&p);
	buf_fini(&more);
	buf_fini(&b);
}

/* Mutations of good bytes: no crash, no endless loop, no wild answer. */
static void
mutations(void **state)
{
	struct buf good = BUF_INITIALIZER, b = BUF_INITIALIZER;
	uint32_t seed = 1, i, n;
	enum wire_event ev;
	size_t used, from;
	struct peer p;

	(void)state;
	for (i = 0; i < 3; i++)
		put_request(&good, 1, FCGI_KEEP_CONN, "POST", "/", "2", "hi");
	put_record(&good, FCGI_GET_VALUES, 0, "\15\0FCGI_MAX_REQS", 15);
	for (n = 0; n < 20000; n++) {
		buf_clear(&b);
		buf_add(&b, good.data, good.len);
		for (i = 0; i <= n % 4; i++) {
			seed = seed * 1664525 + 1013904223;
			b.data[(seed >> 8) % b.len] = (char)(seed >> 24);
		}
		setup(&p);
		for (from = 0; from < b.len; from += used) {
			ev = feed(&p, b.data + from, b.len - from, &used);
			if (ev == WIRE_REQUEST || ev == WIRE_ABORT)
				wire_finish(p.wire);
			if (ev == WIRE_BROKEN)
				break;
		}
		assert_true(p.out.len <= 128 * 16);
		teardown(&p);
	}
	buf_fini(&b);
	buf_fini(&good);
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
		if ((p.wire = wire_new(&limits)) == NULL) {
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
		teardown(&p);
		if (!nomem_fired())
			break;
		assert_true(n < 100);
	}
	nomem_disarm();
	assert_true(n > 4);
	buf_fini(&b);
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
	setup(&p);
	wire_end(7, &p.out);
	assert_end(&p, 7, FCGI_REQUEST_COMPLETE);
	teardown(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fragments),
		cmocka_unit_test(records_of_any_size),
		cmocka_unit_test(pipelined),
		cmocka_unit_test(params_bytes),
		cmocka_unit_test(params_endless),
		cmocka_unit_test(params_pairs),
		cmocka_unit_test(params_absurd_lengths),
		cmocka_unit_test(content_lengths),
		cmocka_unit_test(aborts),
		cmocka_unit_test(get_values),
		cmocka_unit_test(unknown_types),
		cmocka_unit_test(unknown_roles),
		cmocka_unit_test(multiplexing),
		cmocka_unit_test(nonsense),
		cmocka_unit_test(more_behind_the_end),
		cmocka_unit_test(mutations),
		cmocka_unit_test(no_memory),
		cmocka_unit_test(frames),
		cmocka_unit_test(end_record)
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
