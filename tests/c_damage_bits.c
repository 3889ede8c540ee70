/*
 * Any bit that turned and any end that is missing, of documents and of the
 * journal: what is served is what was stored, the beginning of it, or an
 * error, and never anything else (promise 7).
 */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bsd/string.h>

#include <cmocka.h>

#include "tests/crashed.h"

/* The items of a and b, as they were acknowledged. */
static const struct {
	const char	*conversation;
	const char	*id;
	const char	*text;
} said[] = {
	{ "a", "a1", "alpha" }, { "a", "a2", "beta" }, { "b", "b1", "whole" },
	{ "a", "a3", "gamma" },
};

#define NSAID	(sizeof(said) / sizeof(said[0]))

static void
say(struct store *s)
{
	struct tenant *t = state_tenant(s, "acme");
	size_t i;

	assert_int_equal(state_create(s, t, "a", "u1", NULL, NULL), 0);
	assert_int_equal(state_create(s, t, "b", NULL, NULL, NULL), 0);
	for (i = 0; i < NSAID; i++)
		assert_int_equal(state_append(s, t, said[i].conversation,
		    said[i].id, said[i].text, NULL, NULL), 0);
	store_tenant_put(t);
}

static void
say_and_flush(struct store *s)
{

	say(s);
	assert_int_equal(store_flush(s), 0);
}

/* Is what there is of it its beginning?  Returns how much, -1 for an error. */
static int
beginning(struct store *s, struct tenant *t, const char *id)
{
	struct items_page page;
	enum store_err err;
	struct item *want;
	size_t i, n = 0;

	(void)s;
	err = store_items(t, id, NULL, NULL, STORE_ASC, 100, &page);
	if (err != STORE_OK) {
		assert_true(err == STORE_DAMAGED || err == STORE_NOENT);
		return (-1);
	}
	for (i = 0; n < page.nitems && i < NSAID; i++) {
		if (strcmp(said[i].conversation, id) != 0)
			continue;
		want = state_item(said[i].id, said[i].text);
		assert_int_equal(page.items[n]->len, want->len);
		assert_memory_equal(page.items[n]->json, want->json,
		    want->len);
		item_unref(want);
		n++;
	}
	assert_int_equal(n, page.nitems);
	store_items_fini(&page);
	return ((int)n);
}

struct served {
	int	 a;
	int	 b;
};

static struct served
serve(void)
{
	struct store *s = state_open(dir);
	struct served v = { -1, -1 };
	struct tenant *t;
	enum store_err err;

	(void)store_warm(s, "acme", 4);
	(void)store_warm(s, "acme", 4);
	err = store_tenant_get(s, "acme", 4, &t);
	if (err == STORE_OK) {
		v.a = beginning(s, t, "a");
		v.b = beginning(s, t, "b");
		store_tenant_put(t);
	} else
		assert_true(err == STORE_DAMAGED || err == STORE_NOENT);
	state_close(s);
	return (v);
}

/* Write a file in place, cut to len: its inode stays. */
static void
put(const char *name, const char *p, size_t len)
{
	char path[STATE_PATH + 256];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_true((fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600)) !=
	    -1);
	assert_int_equal(write(fd, p, len), len);
	close(fd);
}

/* Only that one segment, as it was, and nothing set aside. */
static void
reset(const char *segment, const char *p, size_t len)
{
	char line[512];

	(void)snprintf(line, sizeof(line), "cd '%s' && find journal -type f "
	    "! -path %s -delete; rm -rf tenants quarantine", dir, segment);
	assert_int_equal(system(line), 0);
	put(segment, p, len);
}

/* The journal alone: each byte, at a bit that moves along. */
static void
segment_bits(void **state)
{
	char name[256];
	struct served v;
	size_t i, len, used;
	char *p;
	int whole = 0, part = 0, none = 0;

	(void)state;
	free(crash(say));
	assert_true(state_find(dir, "journal", "0000", name));
	assert_non_null(p = state_read(dir, name, &len));
	for (used = len; used > 0 && p[used - 1] == '\0'; used--)
		;
	for (i = 0; i < used; i += 9) {
		p[i] ^= (char)(1 << (i / 9 % 8));
		reset(name, p, len);
		p[i] ^= (char)(1 << (i / 9 % 8));
		v = serve();
		if (v.a == 3 && v.b == 1)
			whole++;
		else if (v.a >= 0 || v.b >= 0)
			part++;
		else
			none++;
	}
	/* Every kind of end was met. */
	assert_true(whole > 5 && part > 50 && none > 5);
	free(p);
}

/* The journal alone, cut off: longer never serves less. */
static void
segment_ends(void **state)
{
	char name[256];
	struct served v, last = { -1, -1 };
	size_t i, len, used;
	char *p;

	(void)state;
	free(crash(say));
	assert_true(state_find(dir, "journal", "0000", name));
	assert_non_null(p = state_read(dir, name, &len));
	for (used = len; used > 0 && p[used - 1] == '\0'; used--)
		;
	for (i = 0; i <= used; i += i < 300 ? 50 : 37) {
		reset(name, p, i);
		v = serve();
		assert_true(v.a >= last.a && v.b >= last.b);
		last = v;
	}
	reset(name, p, used);
	v = serve();
	assert_int_equal(v.a, 3);
	assert_int_equal(v.b, 1);
	free(p);
}

/* A document alone: whole, or damaged, and b is served all the while. */
static void
document_bits(void **state)
{
	struct served v;
	size_t i, len;
	char *p;

	(void)state;
	free(crash(say_and_flush));
	drop_journal();
	assert_non_null(p = state_read(dir, DOC, &len));
	for (i = 0; i < len; i += 13) {
		p[i] ^= (char)(1 << (i % 8));
		put(DOC, p, len);
		p[i] ^= (char)(1 << (i % 8));
		v = serve();
		assert_int_equal(v.a, -1);
		assert_int_equal(v.b, 1);
		put(DOC, p, i);
		v = serve();
		assert_int_equal(v.a, -1);
		assert_int_equal(v.b, 1);
	}
	put(DOC, p, len);
	v = serve();
	assert_int_equal(v.a, 3);
	free(p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(segment_bits),
		TEST(segment_ends),
		TEST(document_bits),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
