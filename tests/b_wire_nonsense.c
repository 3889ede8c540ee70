/* fcgi/wire: whatever bytes come, they end their own connection at most. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "wirepeer.h"

static void
assert_broken(const struct buf *b)
{
	struct peer p;
	size_t used, from;

	peer_setup(&p);
	assert_int_equal(feed(&p, b->data, b->len, &used), WIRE_BROKEN);
	/* And it stays so. */
	assert_int_equal(feed(&p, "\1", 1, &used), WIRE_BROKEN);
	assert_int_equal(used, 0);
	peer_teardown(&p);

	peer_setup(&p);
	from = 0;
	assert_int_equal(feed_pieces(&p, b, &from, 1), WIRE_BROKEN);
	peer_teardown(&p);
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
	peer_setup(&p);
	assert_int_equal(feed_all(&p, &b), WIRE_REQUEST);
	assert_int_equal(feed(&p, more.data, more.len, &used), WIRE_BROKEN);
	peer_teardown(&p);
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
		peer_setup(&p);
		for (from = 0; from < b.len; from += used) {
			ev = feed(&p, b.data + from, b.len - from, &used);
			if (ev == WIRE_REQUEST || ev == WIRE_ABORT)
				wire_finish(p.wire);
			if (ev == WIRE_BROKEN)
				break;
		}
		assert_true(p.out.len <= 128 * 16);
		peer_teardown(&p);
	}
	buf_fini(&b);
	buf_fini(&good);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nonsense),
		cmocka_unit_test(more_behind_the_end),
		cmocka_unit_test(mutations)
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
