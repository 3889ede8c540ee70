/*
 * Damage to the journal: segments that are none, of a later format, on a bad
 * sector, or missing (promise 7).
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <xxhash.h>

#include "store/segment.h"
#include "store/store.h"
#include "tests/damaged.h"
#include "tests/logged.h"

/* What stands by a segment's name but is none moves aside. */
static void
odd_segments(void **state)
{
	static void (*const odd[])(const char *) = {
		make_folder, make_fifo, make_link, make_dangling,
	};
	const char *name = "journal/00000000000000000700";
	char *text = crash(busy_flushed_busy);
	struct store_stats st;
	struct store *s;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		state_write(dir, name, "x", 1);
		odd[i](name);
		strict_refuses(name);
		s = opens_as(text);
		/* The name was given out, all the same. */
		store_stats(s, &st);
		assert_true(st.lsn >= 699);
		state_close(s);
	}
	assert_int_equal(state_count(dir, "quarantine", ".why"), 4);
	free(text);
}

/* A later format of the journal refuses the start, and so do missing rights. */
static void
refused_segments(void **state)
{
	struct store_options o = state_options(dir);
	char name[256], sum[32];
	struct store *s;
	char *text = crash(busy_flushed_busy), *p, *at, *before, *after;
	size_t len;
	pid_t holder;

	(void)state;
	assert_true(state_find(dir, "journal", "0000", name));
	disk_is_bad(name, EACCES, 0, 0);
	logged_start();
	assert_int_equal(store_open(&o, &s, &holder), -1);
	logged_has(name);
	disk_is_good();
	state_close(opens_as(text));

	state_remove(dir);
	free(text);
	text = crash(busy_flushed_busy);
	assert_true(state_find(dir, "journal", "0000", name));
	assert_non_null(p = state_read(dir, name, &len));
	at = memmem(p, SEGMENT_HEADER, "\"format\":1", 10);
	at[9] = '2';
	(void)snprintf(sum, sizeof(sum), "%016jx",
	    (uintmax_t)XXH3_64bits(p, SEGMENT_HEADER - 26));
	memcpy(p + SEGMENT_HEADER - 26 + 7, sum, 16);
	state_write(dir, name, p, len);
	before = state_tree(dir);
	logged_start();
	assert_int_equal(store_open(&o, &s, &holder), -1);
	logged_has("it was written by a newer rememberd: format 2, this one "
	    "reads up to 1");
	after = state_tree(dir);
	assert_string_equal(before, after);
	strict_refuses("format 2");
	free(before);
	free(after);
	free(text);
	free(p);
}

#define LARGE	6000

static void
large_appends(struct store *s)
{
	struct tenant *t = state_tenant(s, "acme");
	char text[LARGE + 1], id[8];
	int i;

	assert_int_equal(state_create(s, t, "a", NULL, NULL, NULL), 0);
	assert_int_equal(state_create(s, t, "b", NULL, NULL, NULL), 0);
	for (i = 0; i < 4; i++) {
		memset(text, 'k' + i, LARGE);
		text[LARGE] = '\0';
		(void)snprintf(id, sizeof(id), "i%d", i);
		assert_int_equal(state_append(s, t, "a", id, text, NULL, NULL),
		    0);
	}
	assert_int_equal(state_append(s, t, "b", "b1", "x", NULL, NULL), 0);
	store_tenant_put(t);
}

/* A sector is gone: what it cut off is damaged, what can be read is served;
 * and when the disk gives it again all is there. */
static void
sick_sector(void **state)
{
	char name[256], at[8];
	struct store *s;
	char *text = crash(large_appends), *p, *q;
	size_t len;

	(void)state;
	assert_true(state_find(dir, "journal", "0000", name));
	assert_non_null(p = state_read(dir, name, &len));
	memset(at, 'l', sizeof(at));
	assert_non_null(q = memmem(p, len, at, sizeof(at)));
	disk_is_bad(name, 0, q - p + 100, q - p + 101);
	free(p);
	strict_refuses("the disk does not give 4096 bytes");
	s = state_open(dir);
	IS(s, "a", STORE_DAMAGED);
	HAS(s, "b", 1);
	state_close(s);
	assert_int_equal(state_count(dir, "quarantine",
	    strrchr(name, '/') + 1), 2);
	disk_is_good();
	s = opens_as(text);
	HAS(s, "a", 4);
	state_close(s);
	free(text);
}

static void
two_more(struct store *s)
{
	struct tenant *t = state_tenant(s, "acme");
	struct conversation_view v;
	char id[16];
	int i;

	assert_int_equal(look(s, "a", &v), STORE_OK);
	for (i = 0; i < 2; i++) {
		(void)snprintf(id, sizeof(id), "m%d-%d", (int)v.version, i);
		assert_int_equal(state_append(s, t, "a", id, id, NULL, NULL),
		    0);
	}
	store_view_fini(&v);
	store_tenant_put(t);
}

/* A segment is missing: the versions tell, and nothing else is lost. */
static void
missing_segment(void **state)
{
	char first[256], middle[256];
	struct store *s;

	(void)state;
	free(crash(large_appends));
	assert_true(state_find(dir, "journal", "0000", first));
	free(crash(two_more));
	free(crash(two_more));
	/* The one in between, whose last batch stands in the next, too. */
	assert_true(state_find(dir, "journal", "00000000000008", middle) ||
	    state_find(dir, "journal", "00000000000009", middle));
	assert_string_not_equal(first, middle);
	remove_file(middle);
	strict_refuses("acme: a: what follows");
	s = state_open(dir);
	IS(s, "a", STORE_DAMAGED);
	HAS(s, "b", 1);
	state_close(s);
	s = state_open(dir);
	IS(s, "a", STORE_DAMAGED);
	state_close(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(odd_segments),
		TEST(refused_segments),
		TEST(sick_sector),
		TEST(missing_segment),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
