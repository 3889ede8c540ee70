/*
 * store/load: documents that are damaged, missing or in the way; what is lost
 * stays small and stays known (promise 7).
 */

#include <sys/stat.h>

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
#include "tests/fault.h"
#include "tests/state.h"

/* The journal reaches back to its creation: it is built anew. */
static void
rebuilt(void **state)
{
	char *text = crash(busy_and_flushed);
	struct store *s;

	(void)state;
	break_file(DOC);
	s = opens_as(text);
	state_close(s);
	assert_int_equal(state_count(dir, "quarantine", ASIDE), 2);
	assert_int_equal(state_count(dir, "quarantine", ".why"), 1);
	s = opens_as(text);
	state_close(s);
	free(text);
}

/* Nothing to build it from: 503 now, and after the next start. */
static void
set_aside(void **state)
{
	struct store *s;
	struct tenant *t;
	struct list_page page;
	struct list_query q = { .limit = 10 };
	char path[256];
	size_t len;
	char *why;
	int i;

	(void)state;
	free(crash(busy_and_flushed));
	remove_journal();
	break_file(DOC);
	for (i = 0; i < 3; i++) {
		s = state_open(dir);
		IS(s, "a", STORE_DAMAGED);
		HAS(s, "b", 1);
		t = state_tenant(s, "acme");
		assert_int_equal(state_append(s, t, "a", "i", "x", NULL, NULL),
		    STORE_DAMAGED);
		assert_int_equal(state_create(s, t, "a", NULL, NULL, NULL),
		    STORE_EXISTS);
		/* A retry of its creation cannot be answered either. */
		assert_int_equal(state_create(s, t, "z", NULL, "key-a", NULL),
		    STORE_DAMAGED);
		assert_int_equal(store_list(t, &q, &page), STORE_OK);
		assert_int_equal(page.nviews, 1);
		store_list_fini(&page);
		store_tenant_put(t);
		state_close(s);
	}
	assert_int_equal(state_count(dir, "quarantine", ASIDE), 2);
	assert_true(state_find(dir, "quarantine", ".why", path));
	assert_non_null(why = state_read(dir, path, &len));
	assert_non_null(strstr(why, "checksum"));
	free(why);
}

static void
append_to_a(struct store *s)
{
	struct tenant *t = state_tenant(s, "acme");

	assert_int_equal(state_append(s, t, "a", "a9", "late", NULL, NULL),
	    0);
	store_tenant_put(t);
}

/* What an operator puts back is served again. */
static void
put_back(void **state)
{
	struct store *s;
	char *text = crash(busy_and_flushed), *p;
	size_t len;

	(void)state;
	assert_non_null(p = state_read(dir, DOC, &len));
	remove_journal();
	break_file(DOC);
	s = state_open(dir);
	IS(s, "a", STORE_DAMAGED);
	state_close(s);
	state_write(dir, DOC, p, len);
	s = opens_as(text);
	state_close(s);
	free(p);
	free(text);
}

/*
 * What the journal held for a document that is set aside is kept with it: put
 * back in time it takes them, and later somebody can.
 */
static void
put_back_with_changes(void **state)
{
	struct store *s;
	char *text = crash(flushed_then_appends), *p;
	size_t len;

	(void)state;
	/* The creation is no longer in the journal. */
	state_close(state_open(dir));
	remove_journal();
	free(text);
	text = crash(append_to_a);
	assert_non_null(p = state_read(dir, DOC, &len));
	break_file(DOC);
	s = state_open(dir);
	IS(s, "a", STORE_DAMAGED);
	state_close(s);
	assert_true(state_count(dir, "quarantine", "0000") > 0);
	state_write(dir, DOC, p, len);
	s = opens_as(text);
	state_close(s);
	free(p);
	free(text);
}

/* A file that is no file, or cannot be read, is one damaged conversation. */
static void
unreadable(void **state)
{
	struct store *s;
	char path[256];

	(void)state;
	free(crash(busy_and_flushed));
	remove_journal();
	(void)snprintf(path, sizeof(path), "%s/%s", dir, DOC);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	s = state_open(dir);
	IS(s, "a", STORE_DAMAGED);
	HAS(s, "b", 1);
	state_close(s);
}

/* tenant.json is bad, but the journal holds all of its changes. */
static void
tenant_rebuilt(void **state)
{
	char *text = crash(busy_and_flushed);
	struct store *s;

	(void)state;
	break_file("tenants/acme/tenant.json");
	s = opens_as(text);
	state_close(s);
	s = opens_as(text);
	state_close(s);
	free(text);
}

/*
 * tenant.json is lost: the tenant answers so, also later, but its
 * conversations take what the journal has for them, for the day when it is
 * put back.
 */
static void
tenant_lost(void **state)
{
	struct change ch = { .kind = CHANGE_TENANT_CREATE,
	    .tenant = "acme" };
	struct outcome o;
	struct tenant *t;
	struct store *s;
	char path[256];
	char *text, *p;
	size_t len;
	int i;

	(void)state;
	free(crash(busy_and_flushed));
	remove_journal();
	assert_non_null(p = state_read(dir, "tenants/acme/tenant.json", &len));
	text = crash(append_to_b);
	break_file("tenants/acme/tenant.json");
	for (i = 0; i < 3; i++) {
		s = state_open(dir);
		if (i > 0)
			(void)store_warm(s, "acme", 4);
		assert_int_equal(store_tenant_get(s, "acme", 4, &t),
		    STORE_DAMAGED);
		assert_int_equal(store_commit(s, NULL, &ch, &o),
		    STORE_DAMAGED);
		t = state_tenant(s, "other");
		assert_non_null(t);
		store_tenant_put(t);
		state_close(s);
		if (i == 1)
			state_remove(path);
	}
	state_write(dir, "tenants/acme/tenant.json", p, len);
	s = opens_as(text);
	state_close(s);
	free(text);
	free(p);
}

/* What a crash left half written is nobody's and goes. */
static void
left_overs(void **state)
{
	static const char *const folders[] = { ".", "tenants/acme",
	    "tenants/acme/conversations", "tenants/acme/once", "quarantine",
	    "journal" };
	struct store *s;
	char name[256];
	char *text = crash(busy_and_flushed);
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		(void)snprintf(name, sizeof(name),
		    "%s/.tmp-0123456789abcdef", folders[i]);
		state_write(dir, name, "{", 1);
	}
	state_write(dir, "tenants/acme/conversations/README", "kept", 4);
	s = opens_as(text);
	state_close(s);
	for (i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
		if (state_count(dir, folders[i], ".tmp-") != 0)
			fail_msg("%s", folders[i]);
	assert_int_equal(state_count(dir, "tenants/acme/conversations",
	    "README"), 1);
	free(text);
}

/* A change to a, whose creation no segment has any more. */
static void
append_late(struct store *s)
{
	struct tenant *t = state_tenant(s, "acme");

	assert_int_equal(state_append(s, t, "a", "a9", "late", NULL, NULL),
	    0);
	store_tenant_put(t);
}

/*
 * The last batch is written again at each start; what it holds of a damaged
 * conversation is kept once.
 */
static void
kept_once(void **state)
{
	int i, n = 0;

	(void)state;
	free(crash(flushed_then_appends));
	state_close(state_open(dir));
	drop_journal();
	free(crash(append_late));
	break_file(DOC);
	for (i = 0; i < 4; i++) {
		state_close(state_open(dir));
		if (i == 0)
			n = state_count(dir, "quarantine", "0000000");
		assert_int_equal(state_count(dir, "quarantine", "0000000"), n);
	}
	/* The segment, and why. */
	assert_int_equal(n, 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(rebuilt),
		TEST(set_aside),
		TEST(kept_once),
		TEST(put_back),
		TEST(put_back_with_changes),
		TEST(unreadable),
		TEST(tenant_rebuilt),
		TEST(tenant_lost),
		TEST(left_overs),
	};

	fault_init();
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
