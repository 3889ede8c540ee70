/* store/buf: what is appended is what comes out, also without memory. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "store/buf.h"
#include "store/jsonscan.h"
#include "tests/nomem.h"

/* The impossible allocation of no_memory must fail, not end the program. */
const char	*__asan_default_options(void);

const char *
__asan_default_options(void)
{
	return ("allocator_may_return_null=1");
}

static void
assert_buf(struct buf *b, const char *expect)
{
	assert_true(buf_ok(b));
	assert_int_equal(b->len, strlen(expect));
	assert_memory_equal(b->data, expect, b->len);
	buf_clear(b);
}

static void
appends(void **state)
{
	struct buf b = BUF_INITIALIZER;

	(void)state;
	buf_add(&b, NULL, 0);
	assert_int_equal(b.len, 0);
	buf_add(&b, "abcd", 3);
	buf_addc(&b, '-');
	buf_adds(&b, "def");
	buf_adds(&b, "");
	buf_addf(&b, "%s=%d", "n", -5);
	assert_buf(&b, "abc-defn=-5");

	buf_addu(&b, 0);
	buf_addc(&b, ' ');
	buf_addu(&b, UINT64_MAX);
	buf_addc(&b, ' ');
	buf_addi(&b, INT64_MIN);
	buf_addc(&b, ' ');
	buf_addi(&b, -1);
	buf_addc(&b, ' ');
	buf_addi(&b, INT64_MAX);
	assert_buf(&b, "0 18446744073709551615 -9223372036854775808 -1 "
	    "9223372036854775807");
	buf_fini(&b);
}

/* Growth over every boundary of the doubling keeps every byte. */
static void
grows(void **state)
{
	struct buf b;
	size_t i;

	(void)state;
	buf_init(&b);
	for (i = 0; i < 100000; i++)
		buf_addc(&b, (char)(i * 31));
	for (i = 0; i < 3000; i++)
		buf_addf(&b, "%04zu", i);
	assert_true(buf_ok(&b));
	assert_int_equal(b.len, 112000);
	for (i = 0; i < 100000; i++)
		assert_int_equal(b.data[i], (char)(i * 31));
	assert_memory_equal(b.data + 100000 + 4 * 2999, "2999", 4);
	buf_fini(&b);
	assert_null(b.data);
}

static void
json(void **state)
{
	struct buf b = BUF_INITIALIZER;

	(void)state;
	buf_jsons(&b, NULL);
	buf_jsons(&b, "");
	assert_buf(&b, "null\"\"");
	buf_jsons(&b, "a\"b\\c/\b\f\n\r\t\v\x1f\x7f \xc3\xa9\xf0\x9f\x98\x80");
	assert_buf(&b, "\"a\\\"b\\\\c/\\b\\f\\n\\r\\t\\u000b\\u001f\x7f "
	    "\xc3\xa9\xf0\x9f\x98\x80\"");
	buf_json(&b, "\0x\0", 3);
	assert_buf(&b, "\"\\u0000x\\u0000\"");
	buf_fini(&b);
}

/* Every byte below 0x80, alone and in a run, as jansson and we read it. */
static void
json_round_trip(void **state)
{
	struct buf b = BUF_INITIALIZER, back = BUF_INITIALIZER;
	char s[3] = "a?b";
	json_t *value;
	int c;

	(void)state;
	for (c = 0; c < 0x80; c++) {
		s[1] = (char)c;
		buf_clear(&b);
		buf_clear(&back);
		buf_json(&b, s, sizeof(s));
		value = json_loadb(b.data, b.len,
		    JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
		assert_non_null(value);
		assert_int_equal(json_string_length(value), sizeof(s));
		assert_memory_equal(json_string_value(value), s, sizeof(s));
		json_decref(value);
		assert_true(jsonscan_string((struct span){ b.data, b.len },
		    &back));
		assert_int_equal(back.len, sizeof(s));
		assert_memory_equal(back.data, s, sizeof(s));
	}
	buf_fini(&b);
	buf_fini(&back);
}

static void
no_memory(void **state)
{
	struct buf b = BUF_INITIALIZER;
	size_t len = 99;

	(void)state;
	buf_adds(&b, "kept");
	assert_false(buf_reserve(&b, SIZE_MAX - 2));
	assert_false(buf_ok(&b));
	buf_adds(&b, "lost");
	buf_json(&b, "lost", 4);
	buf_addf(&b, "lost");
	assert_int_equal(b.len, 4);
	assert_null(buf_take(&b, &len));
	assert_int_equal(len, 99);

	/* It is usable again after being taken, and after a clear. */
	assert_true(buf_ok(&b));
	assert_false(buf_reserve(&b, SIZE_MAX / 4));
	buf_clear(&b);
	buf_adds(&b, "again");
	assert_buf(&b, "again");
	buf_fini(&b);
}

/* Whatever allocation of a writer fails: known at the end, nothing leaks. */
static void
every_allocation_fails_once(void **state)
{
	struct buf b = BUF_INITIALIZER;
	char *s;
	size_t len, i;
	int n;

	(void)state;
	for (n = 1; ; n++) {
		nomem_arm(n);
		for (i = 0; i < 200; i++) {
			buf_jsons(&b, "a string\n");
			buf_addf(&b, ",%zu,", i);
			buf_addu(&b, i);
		}
		s = buf_take(&b, &len);
		assert_int_equal(s == NULL, nomem_fired());
		if (!nomem_fired())
			break;
		assert_null(b.data);
	}
	nomem_disarm();
	assert_true(n > 3);
	assert_int_equal(strlen(s), len);
	free(s);
}

static void
take(void **state)
{
	struct buf b = BUF_INITIALIZER;
	size_t len;
	char *s;

	(void)state;
	assert_non_null(s = buf_take(&b, &len));
	assert_int_equal(len, 0);
	assert_string_equal(s, "");
	free(s);
	buf_adds(&b, "text");
	assert_non_null(s = buf_take(&b, &len));
	assert_int_equal(len, 4);
	assert_string_equal(s, "text");
	free(s);
	assert_null(b.data);
	assert_int_equal(b.size, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(appends),
		cmocka_unit_test(grows),
		cmocka_unit_test(json),
		cmocka_unit_test(json_round_trip),
		cmocka_unit_test(no_memory),
		cmocka_unit_test(every_allocation_fails_once),
		cmocka_unit_test(take),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
