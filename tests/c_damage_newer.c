/*
 * Files of a later rememberd, and documents that a hand edited: neither is
 * damage, nor is either written over unless it is understood (promise 7).
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <bsd/string.h>

#include <cmocka.h>

#include "store/store.h"
#include "tests/damaged.h"
#include "tests/logged.h"
#include "tests/sealed.h"

/* Another word in a document, under a right checksum. */
static void
reseal(const char *name, const char *was, const char *is)
{
	char *p, *end, *text;
	size_t len;

	assert_non_null(p = state_read(dir, name, &len));
	assert_non_null(end = strstr(p, "\"checksum\""));
	*end = '\0';
	text = with(p, was, is);
	free(p);
	p = sealed(text);
	state_write(dir, name, p, strlen(p));
	free(p);
	free(text);
}

/* A document of a later format is left alone, whatever is asked for. */
static void
newer_document(void **state)
{
	struct tenant *t;
	struct store *s;
	char *p, *q;
	size_t len, len2;
	int n;

	(void)state;
	free(crash(busy_and_flushed));
	reseal(DOC, "\"format\":1", "\"format\":2");
	assert_non_null(p = state_read(dir, DOC, &len));
	strict_refuses("format 2, this one reads up to 1");
	for (n = 0; n < 2; n++) {
		/* With a journal that could build it again, and without. */
		s = state_open(dir);
		IS(s, "a", STORE_NEWER);
		HAS(s, "b", 1);
		t = state_tenant(s, "acme");
		assert_int_equal(state_delete(s, t, "a", NULL), STORE_NEWER);
		assert_int_equal(state_append(s, t, "a", "i", "x", NULL, NULL),
		    STORE_NEWER);
		assert_int_equal(state_create(s, t, "a", NULL, NULL, NULL),
		    STORE_EXISTS);
		store_tenant_put(t);
		assert_int_equal(store_flush(s), 0);
		state_close(s);
		drop_journal();
	}
	assert_int_equal(state_count(dir, "quarantine", ASIDE), 0);
	assert_non_null(q = state_read(dir, DOC, &len2));
	assert_string_equal(p, q);
	free(p);
	free(q);
}

static void
newer_of_the_tenant(void **state)
{
	char once[256];
	const char *names[2] = { TENANT, once };
	struct tenant *t;
	struct store *s;
	char *p, *q;
	size_t len;
	int i, n;

	(void)state;
	for (i = 0; i < 2; i++) {
		state_remove(dir);
		free(crash(busy_and_flushed));
		assert_true(state_find(dir, "tenants/acme/once", ".json",
		    once));
		reseal(names[i], "\"format\":1", "\"format\":9");
		assert_non_null(p = state_read(dir, names[i], &len));
		strict_refuses("format 9");
		for (n = 0; n < 2; n++) {
			s = state_open(dir);
			(void)store_warm(s, "acme", 4);
			(void)store_warm(s, "acme", 4);
			assert_int_equal(store_tenant_get(s, "acme", 4, &t),
			    STORE_NEWER);
			rest_is_served(s);
			assert_int_equal(store_flush(s), 0);
			state_close(s);
			drop_journal();
		}
		/* Nor does the journal bring it to be read. */
		strict_refuses("format 9");
		assert_non_null(q = state_read(dir, names[i], &len));
		assert_string_equal(p, q);
		free(p);
		free(q);
	}
}

/* The checksum taken out: served, with a word, and sealed by the next flush. */
static void
edited_by_hand(void **state)
{
	struct tenant *t;
	struct store *s;
	char *text = crash(busy_and_flushed), *p, *end;
	size_t len;

	(void)state;
	drop_journal();
	assert_non_null(p = state_read(dir, DOC, &len));
	assert_non_null(end = strstr(p, ",\n\"checksum\""));
	strlcpy(end, "\n}\n", 8);
	state_write(dir, DOC, p, strlen(p));
	free(p);
	strict_opens(text);
	logged_start();
	s = opens_as(text);
	logged_has("no checksum");
	t = state_tenant(s, "acme");
	assert_int_equal(state_retitle(s, t, "a", "new"), STORE_OK);
	store_tenant_put(t);
	state_close(s);
	logged_start();
	s = state_open(dir);
	HAS(s, "a", 2);
	logged_has_not("no checksum");
	state_close(s);
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(newer_document),
		TEST(newer_of_the_tenant),
		TEST(edited_by_hand),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
