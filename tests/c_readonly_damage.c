/*
 * store/readonly of a store that is damaged: what a daemon would show is shown,
 * and what is lost is said once.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/store.h"
#include "tests/reader.h"

/* --- the journal alone tells -------------------------------------------- */

/* Its journal goes as soon as it may. */
static void
short_of_journal(struct store *s)
{
	struct store_options o = state_options(dir);
	pid_t holder;

	state_close(s);
	o.keep_ms = 0;
	assert_int_equal(store_open(&o, &s, &holder), 0);
	busy(s);
	state_close(s);
	assert_int_equal(store_open(&o, &s, &holder), 0);
	assert_int_equal(store_flush(s), 0);
	assert_int_equal(store_flush(s), 0);
	state_close(s);
}

static void
append_to_both(struct store *s)
{
	struct tenant *t = state_tenant(s, "acme"), *u;

	assert_int_equal(state_append(s, t, "b", "b9", "x", NULL, NULL), 0);
	store_tenant_put(t);
	u = state_tenant(s, "other");
	assert_int_equal(state_append(s, u, "a", "a9", "x", NULL, NULL), 0);
	store_tenant_put(u);
}

/* The journal changes what is not there: that is all that tells of its loss. */
static void
orphans(void **state)
{
	struct sight v;
	char path[STATE_PATH + 64];

	(void)state;
	crash_quietly(short_of_journal);
	crash_quietly(append_to_both);
	v = sight_of(dir);
	assert_string_equal(string(&v.told), "");
	assert_non_null(strstr(string(&v.text), "b9"));
	sight_fini(&v);

	(void)snprintf(path, sizeof(path),
	    "%s/tenants/acme/conversations/b.json", dir);
	assert_int_equal(unlink(path), 0);
	(void)snprintf(path, sizeof(path), "%s/tenants/other", dir);
	state_remove(path);
	v = sight_of(dir);
	assert_int_equal(v.rc, 0);
	assert_int_equal(v.damage, 2);
	assert_non_null(strstr(string(&v.told), "journal: tenant acme: b has "
	    "neither a document nor a creation"));
	assert_non_null(strstr(v.told.data, "tenant other: the tenant has "));
	assert_non_null(strstr(v.told.data, ": tenant acme, b\n"));
	assert_non_null(strstr(string(&v.text), "acme a "));
	sight_fini(&v);
}

static void
append_and_delete(struct store *s)
{
	struct tenant *t = state_tenant(s, "acme");

	assert_int_equal(state_append(s, t, "b", "b9", "x", NULL, NULL), 0);
	assert_int_equal(state_append(s, t, "a", "a9", "x", NULL, NULL), 0);
	assert_int_equal(state_append(s, t, "a", "a8", "x", NULL, NULL), 0);
	assert_int_equal(state_delete(s, t, "b", NULL), 0);
	store_tenant_put(t);
}

/*
 * One was deleted, and the journal outlived its tombstone, as it does when a
 * start keeps it anew: nothing is lost.  Of another it is told once.
 */
static void
orphans_deleted(void **state)
{
	char path[STATE_PATH + 64];
	const char *told;
	struct sight v;

	(void)state;
	crash_quietly(short_of_journal);
	crash_quietly(append_and_delete);
	(void)snprintf(path, sizeof(path),
	    "%s/tenants/acme/conversations/b.json", dir);
	assert_int_equal(unlink(path), 0);
	v = sight_of(dir);
	assert_int_equal(v.rc, 0);
	assert_string_equal(string(&v.told), "");
	assert_int_equal(v.damage, 0);
	sight_fini(&v);

	(void)snprintf(path, sizeof(path),
	    "%s/tenants/acme/conversations/a.json", dir);
	assert_int_equal(unlink(path), 0);
	v = sight_of(dir);
	assert_int_equal(v.damage, 1);
	told = strstr(string(&v.told), "a has neither");
	assert_non_null(told);
	assert_null(strstr(told + sizeof("a has neither"), "neither"));
	sight_fini(&v);
}

/* --- torn --------------------------------------------------------------- */

/* Each line of text stands in all. */
static void
is_part(const char *text, const char *all)
{
	const char *end;
	char *line;

	for (; *text != '\0'; text = end + 1) {
		end = strchr(text, '\n');
		assert_non_null(line = strndup(text,
		    (size_t)(end + 1 - text)));
		if (strstr(all, line) == NULL)
			fail_msg("%s is not in:\n%s", line, all);
		free(line);
	}
}

/* How many files does a daemon set aside that opens the copy? */
static size_t
daemon_finds(struct sight *v)
{
	struct store *s = state_open(side);
	struct store_stats st;

	v->rc = store_each(s, NULL, on_conversation, v);
	store_stats(s, &st);
	state_close(s);
	return (st.quarantined);
}

/*
 * Cut at every so many bytes: what a daemon would show is shown, and there is
 * damage if it would set something aside.
 */
static void
torn_file(const char *name, size_t step)
{
	struct sight v, daemons = { .rc = 0 };
	char *p;
	size_t len, at, aside;

	assert_non_null(p = state_read(dir, name, &len));
	if (len > 12000)
		len = 12000;
	for (at = 0; at < len; at += step) {
		state_copy(dir, side);
		state_write(side, name, p, at);
		v = sight_of(side);
		assert_int_equal(v.rc, 0);
		aside = daemon_finds(&daemons);
		is_part(string(&daemons.text), string(&v.text));
		if ((v.damage > 0) != (aside > 0))
			fail_msg("%s, %zu bytes: %zu set aside, but:\n%s",
			    name, at, aside, string(&v.told));
		sight_fini(&v);
		sight_fini(&daemons);
	}
	free(p);
}

static void
torn(void **state)
{
	char segment[256], once[256];

	(void)state;
	crash_quietly(busy_flushed_busy);
	assert_true(state_find(dir, "journal", "0", segment));
	torn_file(segment, 97);
	torn_file("tenants/acme/tenant.json", 61);
	torn_file("tenants/acme/conversations/a.json", 61);
	torn_file("tenants/other/conversations/a.json", 61);
	assert_true(state_find(dir, "tenants/acme/once", ".json", once));
	torn_file(once, 61);
}

/* Its store.json cut, or away: the other files say which store it is. */
static void
nameless(void **state)
{
	struct sight all, v;
	char path[STATE_PATH + 16];
	char *p;
	size_t len, at;

	(void)state;
	crash_quietly(busy_flushed_busy);
	all = sight_of(dir);
	assert_non_null(p = state_read(dir, "store.json", &len));
	for (at = 0; at < len; at += 7) {
		state_write(dir, "store.json", p, at);
		v = sight_of(dir);
		assert_int_equal(v.rc, 0);
		assert_int_equal(v.damage, 1);
		assert_non_null(strstr(string(&v.told), "store.json: "));
		assert_string_equal(string(&v.text), string(&all.text));
		sight_fini(&v);
	}
	(void)snprintf(path, sizeof(path), "%s/store.json", dir);
	assert_int_equal(unlink(path), 0);
	v = sight_of(dir);
	assert_int_equal(v.damage, 1);
	assert_string_equal(string(&v.text), string(&all.text));
	sight_fini(&v);
	sight_fini(&all);
	free(p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(orphans),
		TEST(orphans_deleted),
		TEST(torn),
		TEST(nameless),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
