/* fcgi/wire: what is too much, too long or not as announced is refused. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wirepeer.h"

/* Feed one request with these PARAMS bytes; the status it is refused with. */
static int
refusal_of(const struct buf *params, const char *body)
{
	struct buf b = BUF_INITIALIZER;
	struct peer p;
	int status;

	peer_setup(&p);
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
	peer_teardown(&p);
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
	peer_setup(&p);
	put_begin(&b, 1, FCGI_RESPONDER, FCGI_KEEP_CONN);
	for (i = 0; i < 100; i++)
		put_record(&b, FCGI_PARAMS, 1, chunk, sizeof(chunk));
	assert_int_equal(feed_all(&p, &b), WIRE_MORE);
	assert_int_equal(wire_refusal(p.wire), 431);
	assert_true(wire_is_begun(p.wire));
	peer_teardown(&p);
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(params_bytes),
		cmocka_unit_test(params_endless),
		cmocka_unit_test(params_pairs),
		cmocka_unit_test(params_absurd_lengths),
		cmocka_unit_test(content_lengths)
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
