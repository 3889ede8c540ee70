/*
 * Every kind of damage to every kind of file: it stays small, is set aside or
 * left where it can be mended, is known of afterwards, and the rest is served
 * (promise 7); strict_recovery refuses it and touches nothing.
 */

#include <sys/stat.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "store/store.h"
#include "tests/damaged.h"

/* The last batch is one of b. */
static void
busy_and_late(struct store *s)
{

	busy(s);
	append_to_b(s);
}

/* Strict about what is whole, in every state that a crash leaves; torn, too. */
static void
strict_about_nothing(void **state)
{
	size_t i;
	char *text;

	(void)state;
	for (i = 0; i < NWORKS; i++) {
		text = crash(works[i]);
		strict_opens(text);
		strict_opens(text);
		free(text);
		state_remove(dir);
	}
	free(crash(busy_and_late));
	damage_batch("late");
	text = crash(nothing);
	strict_opens(text);
	free(text);
}

/* --- documents ---------------------------------------------------------- */

/* Damage a file of the store that was saved; strict, it says which. */
static void
damage_again(const char *saved, const char *name, const struct kind *kind)
{

	state_copy(saved, dir);
	fprintf(stderr, "%s: %s\n", name, kind->name);
	kind->damage(name);
	strict_refuses(name);
}

static void
documents(void **state)
{
	char saved[PATH];
	struct store *s;
	char *text;
	size_t i;
	int n;

	(void)state;
	text = flush_and_save(saved);
	for (i = 0; i < NKINDS; i++) {
		damage_again(saved, DOC, &kinds[i]);
		for (n = 0; n < 2; n++) {
			s = state_open(dir);
			IS(s, "a", STORE_DAMAGED);
			HAS(s, "b", 1);
			rest_is_served(s);
			state_close(s);
		}
		assert_int_equal(stands(DOC), kinds[i].stays);
		assert_int_equal(state_count(dir, "quarantine", ASIDE),
		    kinds[i].stays ? 0 : 2);
		disk_is_good();
		/* Mended it is served, and strict about what lies there. */
		if (kinds[i].stays)
			state_close(opens_as(text));
		else {
			s = state_open(dir);
			IS(s, "a", STORE_DAMAGED);
			free(text);
			text = state_dump(s);
			state_close(s);
			strict_opens(text);
			state_copy(saved, dir);
			s = state_open(dir);
			free(text);
			text = state_dump(s);
			state_close(s);
		}
	}
	free(text);
}

static void
tenant_json(void **state)
{
	char saved[PATH];
	struct tenant *t;
	struct store *s;
	char *text;
	size_t i;

	(void)state;
	text = flush_and_save(saved);
	for (i = 0; i < NKINDS; i++) {
		damage_again(saved, TENANT, &kinds[i]);
		s = state_open(dir);
		(void)store_warm(s, "acme", 4);
		assert_int_equal(store_tenant_get(s, "acme", 4, &t),
		    STORE_DAMAGED);
		rest_is_served(s);
		state_close(s);
		assert_int_equal(stands(TENANT), kinds[i].stays);
		assert_int_equal(state_count(dir, "quarantine", "tenant.json"),
		    kinds[i].stays ? 0 : 2);
		disk_is_good();
		if (kinds[i].stays)
			state_close(opens_as(text));
	}
	free(text);
}

/* What a retry would be known by is gone with it; nothing else is. */
static void
once_files(void **state)
{
	char saved[PATH], name[256];
	struct tenant *t;
	struct store *s;
	char *text;
	size_t i;

	(void)state;
	text = flush_and_save(saved);
	assert_true(state_find(dir, "tenants/acme/once", ".json", name));
	for (i = 0; i < NKINDS; i++) {
		damage_again(saved, name, &kinds[i]);
		s = state_open(dir);
		rest_is_served(s);
		if (kinds[i].stays) {
			/* Else what it holds could be done twice. */
			(void)store_warm(s, "acme", 4);
			(void)store_warm(s, "acme", 4);
			assert_int_equal(store_tenant_get(s, "acme", 4, &t),
			    STORE_DAMAGED);
		} else {
			HAS(s, "a", 2);
			HAS(s, "b", 1);
		}
		state_close(s);
		assert_int_equal(stands(name), kinds[i].stays);
		disk_is_good();
		if (kinds[i].stays)
			state_close(opens_as(text));
	}
	free(text);
}

/* The journal reaches back to the creation: it is built again, whole. */
static void
rebuilt_from_any(void **state)
{
	char saved[256];
	char *text;
	size_t i;

	(void)state;
	(void)snprintf(saved, sizeof(saved), "%s/saved", side);
	for (i = 0; i < NKINDS; i++) {
		if (kinds[i].stays)
			continue;
		/* In place: a copied journal has other rules. */
		state_remove(dir);
		text = crash(busy_and_flushed);
		kinds[i].damage(DOC);
		strict_refuses(DOC);
		state_close(opens_as(text));
		disk_is_good();
		state_close(opens_as(text));
		strict_opens(text);
		free(text);
	}
}

static void
flushed_then_deleted(struct store *s)
{
	struct tenant *t;

	busy_and_flushed(s);
	t = state_tenant(s, "acme");
	assert_int_equal(state_delete(s, t, "a", NULL), STORE_OK);
	store_tenant_put(t);
}

/* A file that stays is not written over, not by a deletion either. */
static void
held_is_not_deleted(void **state)
{
	struct tenant *t;
	struct store *s;
	char *p, *q;
	size_t len;

	(void)state;
	free(crash(flushed_then_deleted));
	assert_non_null(p = state_read(dir, DOC, &len));
	disk_is_bad(DOC, EACCES, 0, 0);
	s = state_open(dir);
	IS(s, "a", STORE_DAMAGED);
	t = state_tenant(s, "acme");
	assert_int_equal(state_delete(s, t, "a", NULL), STORE_DAMAGED);
	store_tenant_put(t);
	state_close(s);
	disk_is_good();
	assert_non_null(q = state_read(dir, DOC, &len));
	assert_string_equal(p, q);
	/* Mended, it takes what the journal has for it. */
	s = state_open(dir);
	IS(s, "a", STORE_NOENT);
	state_close(s);
	free(p);
	free(q);
}

/* --- names -------------------------------------------------------------- */

/* What is none of ours is left alone wherever it is. */
static void
strangers(void **state)
{
	static const char *const files[] = {
		"notes.txt", "tenants/README", "tenants/.hidden",
		"tenants/acme/notes", "tenants/acme/conversations/a.json.bak",
		"tenants/acme/conversations/white space.json",
		"tenants/acme/conversations/..json",
		"tenants/acme/once/00000000.json",
		"tenants/acme/once/0-note.json.x", "quarantine/note",
		"journal/note", "journal/0000000000000000001",
	};
	static const char *const folders[] = {
		"own", "tenants/Upper", "tenants/acme/own", "quarantine/own",
		"tenants/acme/conversations/own", "tenants/acme/once/own",
		"journal/own", ".tmp-own", "tenants/acme/.tmp-own",
		"tenants/acme/conversations/.tmp-own", "journal/.tmp-own",
	};
	struct stat st;
	char path[PATH];
	char *text = crash(busy_flushed_busy);
	size_t i;
	int n;

	(void)state;
	for (i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		state_write(dir, files[i], "kept", 4);
	for (i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		path_of(folders[i], path);
		assert_int_equal(mkdir(path, 0700), 0);
	}
	strict_opens(text);
	for (n = 0; n < 2; n++)
		state_close(opens_as(text));
	for (i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		path_of(files[i], path);
		if (stat(path, &st) == -1 || st.st_size != 4)
			fail_msg("%s", files[i]);
	}
	for (i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		path_of(folders[i], path);
		if (stat(path, &st) == -1)
			fail_msg("%s", folders[i]);
	}
	assert_int_equal(state_count(dir, "quarantine", ".why"), 0);
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(strict_about_nothing),
		TEST(documents),
		TEST(tenant_json),
		TEST(once_files),
		TEST(rebuilt_from_any),
		TEST(held_is_not_deleted),
		TEST(strangers),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
