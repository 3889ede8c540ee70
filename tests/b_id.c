/*
 * store/id and store/hex: ids order by time, never repeat, and nothing else
 * passes.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "store/hex.h"
#include "store/id.h"
#include "store/sys.h"

static void
mints(void **state)
{
	const struct timespec nap = { 0, 20000 };
	char a[ID_SIZE], b[ID_SIZE], c[ID_SIZE], hex[13];
	int64_t before, after, at;

	(void)state;
	before = sys_now_ms();
	id_mint(a, "conv_");
	after = sys_now_ms();
	id_mint(b, "conv_");
	nanosleep(&nap, NULL);
	id_mint(c, "conv_");

	assert_int_equal(strlen(a), 5 + 48);
	assert_int_equal(strspn(a + 5, "0123456789abcdef"), 48);
	assert_true(id_is_valid(a, strlen(a)));
	memcpy(hex, a + 5, 12);
	hex[12] = '\0';
	at = (int64_t)strtoull(hex, NULL, 16);
	assert_true(at >= before && at <= after);
	assert_string_not_equal(a, b);
	assert_true(strcmp(b, c) < 0);

	/* The longest prefix still makes a valid id. */
	id_mint(a, "sixteen_letters_");
	assert_int_equal(strlen(a), ID_MAX);
	assert_true(id_is_valid(a, ID_MAX));
}

static void
mints_short(void **state)
{
	char a[17], b[17];

	(void)state;
	id_mint_short(a);
	id_mint_short(b);
	assert_int_equal(strlen(a), 16);
	assert_int_equal(strspn(a, "0123456789abcdef"), 16);
	assert_string_not_equal(a, b);
}

static void
valid(void **state)
{
	char s[ID_SIZE + 1];
	int c;

	(void)state;
	memset(s, 'a', sizeof(s));
	assert_false(id_is_valid(s, 0));
	assert_true(id_is_valid(s, 1));
	assert_true(id_is_valid(s, ID_MAX));
	assert_false(id_is_valid(s, ID_MAX + 1));
	for (c = 0; c < 256; c++) {
		s[1] = (char)c;
		assert_int_equal(id_is_valid(s, 3), c != 0 && strchr(
		    "abcdefghijklmnopqrstuvwxyz0123456789_-"
		    "ABCDEFGHIJKLMNOPQRSTUVWXYZ", c) != NULL);
	}
	assert_false(id_is_valid("../x", 4));
}

static void
tenant(void **state)
{
	char s[TENANT_NAME_MAX + 1];
	int c;

	(void)state;
	memset(s, 'a', sizeof(s));
	assert_false(id_is_tenant(s, 0));
	assert_true(id_is_tenant(s, TENANT_NAME_MAX));
	assert_false(id_is_tenant(s, TENANT_NAME_MAX + 1));
	for (c = 0; c < 256; c++) {
		s[0] = (char)c;
		assert_int_equal(id_is_tenant(s, 2), c != 0 && strchr(
		    "abcdefghijklmnopqrstuvwxyz0123456789", c) != NULL);
	}
	s[0] = 'a';
	for (c = 0; c < 256; c++) {
		s[1] = (char)c;
		assert_int_equal(id_is_tenant(s, 2), c != 0 && strchr(
		    "abcdefghijklmnopqrstuvwxyz0123456789_-", c) != NULL);
	}
}

/* Every byte there and back; nothing but lower-case digits is taken. */
static void
hex(void **state)
{
	unsigned char all[256], back[256];
	char digits[2 * 256 + 1], odd[3] = "00";
	int c;

	(void)state;
	for (c = 0; c < 256; c++)
		all[c] = (unsigned char)c;
	hex_encode(digits, all, 256);
	assert_int_equal(strlen(digits), 512);
	assert_memory_equal(digits, "000102", 6);
	assert_memory_equal(digits + 506, "fdfeff", 6);
	assert_true(hex_decode(digits, back, 256));
	assert_memory_equal(all, back, 256);
	for (c = 0; c < 512; c++) {
		odd[c & 1] = (char)(c >> 1);
		assert_int_equal(hex_decode(odd, back, 1), c >> 1 != 0 &&
		    strchr("0123456789abcdef", c >> 1) != NULL);
		odd[c & 1] = '0';
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mints),
		cmocka_unit_test(mints_short),
		cmocka_unit_test(valid),
		cmocka_unit_test(tenant),
		cmocka_unit_test(hex),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
