/*
 * store/import: a conversation comes in as it was exported, whole or not at
 * all, wherever a crash comes, and takes the place of none unless told to.
 */

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

#include "store/import.h"
#include "store/store_internal.h"
#include "tests/state.h"

#define CREATED	INT64_C(1500000000000)

static char dir[STATE_PATH];
static struct store *s;
static struct tenant *t;

/* --- what is imported --------------------------------------------------- */

static struct change
import_of(const char *id)
{
	struct change ch = { .kind = CHANGE_CONVERSATION_IMPORT,
	    .user = "ann", .title = "a\0title", .title_len = 7,
	    .metadata = { "{\"k\":\"v\"}", 9 }, .created_at = CREATED,
	    .updated_at = CREATED + 5000, .version = 7 };

	strlcpy(ch.conversation, id, sizeof(ch.conversation));
	return (ch);
}

/* Commit with n items from number `from` on, times and gaps of their own. */
static enum store_err
import_items(struct change *ch, int from, int n)
{
	struct item *v[8];
	enum store_err err;
	char id[16];
	int i;

	assert_true(n <= 8);
	for (i = 0; i < n; i++) {
		(void)snprintf(id, sizeof(id), "m%d", from + i);
		v[i] = state_item(id, id);
		v[i]->at = CREATED + from + i;
		/* One of three was deleted before it was exported. */
		v[i]->position = (uint64_t)(from + i + (from + i) / 3);
	}
	ch->items = v;
	ch->nitems = (size_t)n;
	err = state_commit(s, t, ch, NULL);
	while (i-- > 0)
		item_unref(v[i]);
	return (err);
}

static enum store_err
part(const char *id, uint64_t number, const char *birth, int from, int n)
{
	struct change ch = { .kind = CHANGE_IMPORT_PART, .part = number };

	strlcpy(ch.conversation, id, sizeof(ch.conversation));
	strlcpy(ch.birth, birth, sizeof(ch.birth));
	return (import_items(&ch, from, n));
}

/* The change that shows what n parts brought, and one item more. */
static enum store_err
end(const char *id, uint64_t n, const char *birth, int from)
{
	struct change ch = import_of(id);

	ch.part = n;
	strlcpy(ch.birth, birth, sizeof(ch.birth));
	return (import_items(&ch, from, 1));
}

static bool
is_there(const char *id)
{
	struct conversation_view v;
	struct list_query q = { .limit = 100 };
	struct list_page p;
	enum store_err err;
	uint64_t lsn;
	bool listed = false;
	size_t i;

	err = store_conversation(t, id, NULL, &v, &lsn);
	assert_int_equal(store_list(t, &q, &p), STORE_OK);
	for (i = 0; i < p.nviews; i++)
		if (strcmp(p.views[i].id, id) == 0)
			listed = true;
	store_list_fini(&p);
	store_view_fini(&v);
	assert_int_equal(listed, err == STORE_OK);
	return (listed);
}

/* It is what import_of said, with items 1 to n. */
static void
check_whole(const char *id, int n)
{
	struct conversation_view v;
	struct items_page p;
	struct item *want;
	char name[16];
	uint64_t lsn;
	int i;

	assert_int_equal(store_conversation(t, id, "ann", &v, &lsn), 0);
	assert_int_equal(v.created_at, CREATED);
	assert_int_equal(v.updated_at, CREATED + 5000);
	assert_int_equal(v.version, 7);
	assert_int_equal(v.title_len, 7);
	assert_memory_equal(v.title, "a\0title", 7);
	assert_string_equal(v.metadata, "{\"k\":\"v\"}");
	(void)snprintf(name, sizeof(name), "m%d", n);
	assert_string_equal(v.preview, name);
	store_view_fini(&v);
	assert_int_equal(store_items(t, id, NULL, NULL, STORE_ASC, 100, &p),
	    0);
	assert_int_equal(p.nitems, n);
	for (i = 1; i <= n; i++) {
		(void)snprintf(name, sizeof(name), "m%d", i);
		want = state_item(name, name);
		assert_string_equal(p.items[i - 1]->id, name);
		assert_int_equal(p.items[i - 1]->len, want->len);
		assert_memory_equal(p.items[i - 1]->json, want->json,
		    want->len);
		assert_int_equal(p.items[i - 1]->at, CREATED + i);
		assert_int_equal(p.items[i - 1]->position, i + i / 3);
		item_unref(want);
	}
	store_items_fini(&p);
	assert_true(is_there(id));
}

/* --- crashes ------------------------------------------------------------ */

/*
 * End the store as kill -9 would, and open it again: with its documents as
 * they were, and the very files of the journal.
 */
static void
crash(void)
{
	char was[STATE_PATH + 8], line[256];

	(void)snprintf(was, sizeof(was), "%s-was", dir);
	(void)snprintf(line, sizeof(line), "cp -al '%s' '%s'", dir, was);
	assert_int_equal(system(line), 0);
	store_tenant_put(t);
	state_close(s);
	state_remove(dir);
	(void)snprintf(line, sizeof(line), "mv '%s' '%s'", was, dir);
	assert_int_equal(system(line), 0);
	s = state_open(dir);
	t = state_tenant(s, "acme");
}

static void
reopen(void)
{

	store_tenant_put(t);
	state_close(s);
	s = state_open(dir);
	t = state_tenant(s, "acme");
}

/* The same from memory, from the journal and from a document. */
static void
keeps_all(void **state)
{
	struct change ch = import_of("c1");
	char *one, *two, *three;

	(void)state;
	assert_int_equal(import_items(&ch, 1, 7), STORE_OK);
	check_whole("c1", 7);
	one = state_dump(s);
	crash();
	check_whole("c1", 7);
	two = state_dump(s);
	reopen();
	check_whole("c1", 7);
	three = state_dump(s);
	assert_string_equal(one, two);
	assert_string_equal(one, three);
	free(one);
	free(two);
	free(three);
	/* And goes on from there, also from the journal. */
	assert_int_equal(state_append(s, t, "c1", "new", "x", NULL, NULL), 0);
	one = state_dump(s);
	crash();
	two = state_dump(s);
	assert_string_equal(one, two);
	free(one);
	free(two);
}

static void
comes_bare(void **state)
{
	struct change ch = { .kind = CHANGE_CONVERSATION_IMPORT,
	    .metadata = { "{}", 2 } };
	struct conversation_view v;
	uint64_t lsn;
	int i;

	(void)state;
	strlcpy(ch.conversation, "c1", sizeof(ch.conversation));
	assert_int_equal(state_commit(s, t, &ch, NULL), STORE_OK);
	for (i = 0; i < 3; i++) {
		assert_int_equal(store_conversation(t, "c1", NULL, &v, &lsn),
		    0);
		assert_null(v.user);
		assert_null(v.title);
		assert_int_equal(v.version, 1);
		assert_int_equal(v.created_at, 0);
		assert_int_equal(v.updated_at, 0);
		assert_int_equal(v.item_count, 0);
		store_view_fini(&v);
		if (i == 0)
			crash();
		else
			reopen();
	}
}

/* --- what is there already ---------------------------------------------- */

static void
replaces_if_told(void **state)
{
	struct change ch = import_of("c1");
	struct conversation_view v;
	char *before, *after;
	struct item *it;
	uint64_t lsn, version;

	(void)state;
	assert_int_equal(state_create(s, t, "c1", "bob", "key", NULL), 0);
	assert_int_equal(state_append(s, t, "c1", "m1", "mine", NULL, NULL),
	    0);
	before = state_dump(s);
	assert_int_equal(import_items(&ch, 1, 2), STORE_EXISTS);
	assert_int_equal(part("c1", 1, "b1", 1, 2), STORE_EXISTS);
	after = state_dump(s);
	assert_string_equal(before, after);
	free(before);
	free(after);

	ch.replaces = true;
	assert_int_equal(import_items(&ch, 1, 2), STORE_OK);
	check_whole("c1", 2);
	assert_int_equal(store_conversation(t, "c1", "bob", &v, &lsn),
	    STORE_NOENT);
	/* A version it had before never comes again. */
	ch.version = 1;
	assert_int_equal(import_items(&ch, 2, 3), STORE_OK);
	assert_int_equal(store_item(t, "c1", NULL, "m1", &it, &version, &lsn),
	    STORE_NOITEM);
	assert_int_equal(store_item(t, "c1", NULL, "m4", &it, &version, &lsn),
	    STORE_OK);
	assert_int_equal(version, 8);
	item_unref(it);
	before = state_dump(s);
	crash();
	after = state_dump(s);
	assert_string_equal(before, after);
	free(before);
	free(after);
}

/* In the lists it stands where its own times and user say. */
static void
moves_in_lists(void **state)
{
	struct list_query q = { .limit = 10, .sort = STORE_BY_CREATED };
	struct change ch = import_of("c2");
	struct list_page p;

	(void)state;
	assert_int_equal(state_create(s, t, "c1", "bob", NULL, NULL), 0);
	assert_int_equal(state_create(s, t, "c2", "bob", NULL, NULL), 0);
	ch.replaces = true;
	assert_int_equal(import_items(&ch, 1, 1), STORE_OK);
	assert_int_equal(store_list(t, &q, &p), STORE_OK);
	assert_int_equal(p.nviews, 2);
	assert_string_equal(p.views[0].id, "c2");
	store_list_fini(&p);
	q.sort = STORE_BY_UPDATED;
	assert_int_equal(store_list(t, &q, &p), STORE_OK);
	assert_string_equal(p.views[0].id, "c2");
	store_list_fini(&p);
	q.user = "bob";
	assert_int_equal(store_list(t, &q, &p), STORE_OK);
	assert_int_equal(p.nviews, 1);
	assert_string_equal(p.views[0].id, "c1");
	store_list_fini(&p);
}

/* What was deleted comes back, for good, and can be deleted again. */
static void
brings_back(void **state)
{
	struct change ch = import_of("c1");
	int i;

	(void)state;
	for (i = 0; i < 2; i++) {
		assert_int_equal(state_create(s, t, "c1", NULL, NULL, NULL),
		    i == 0 ? STORE_OK : STORE_EXISTS);
		assert_int_equal(state_delete(s, t, "c1", NULL), 0);
		assert_false(is_there("c1"));
		assert_int_equal(import_items(&ch, 1, 3), STORE_OK);
		assert_true(is_there("c1"));
		crash();
		assert_true(is_there("c1"));
		reopen();
		assert_true(is_there("c1"));
	}
	assert_int_equal(state_delete(s, t, "c1", NULL), 0);
	crash();
	assert_false(is_there("c1"));
	assert_int_equal(state_count(dir, "quarantine", ""), 0);
}

static void
heals(void **state)
{
	struct change ch = import_of("c1");
	struct conversation_view v;
	char journal[STATE_PATH + 16];
	uint64_t lsn;

	(void)state;
	assert_int_equal(import_items(&ch, 1, 3), STORE_OK);
	store_tenant_put(t);
	state_close(s);
	state_write(dir, "tenants/acme/conversations/c1.json", "{}", 2);
	/* Nor may the journal mend it. */
	(void)snprintf(journal, sizeof(journal), "%s/journal", dir);
	state_remove(journal);
	s = state_open(dir);
	t = state_tenant(s, "acme");
	assert_int_equal(store_conversation(t, "c1", NULL, &v, &lsn),
	    STORE_DAMAGED);
	assert_int_equal(import_items(&ch, 1, 3), STORE_OK);
	check_whole("c1", 3);
	crash();
	check_whole("c1", 3);
	reopen();
	check_whole("c1", 3);
	/* What was set aside is left there. */
	assert_true(state_count(dir, "quarantine", "c1") > 0);
}

/* A file of a later format is not written over, whoever asks. */
static void
leaves_newer(void **state)
{
	static const char newer[] = "{\"rememberd\":\"conversation\","
	    "\"format\":99,\"tenant\":\"acme\",\"id\":\"c1\"}\n";
	struct change ch = import_of("c1");
	size_t len;
	char *p;
	int i;

	(void)state;
	assert_int_equal(import_items(&ch, 1, 3), STORE_OK);
	for (i = 0; i < 2; i++) {
		store_tenant_put(t);
		state_close(s);
		state_write(dir, "tenants/acme/conversations/c1.json", newer,
		    strlen(newer));
		s = state_open(dir);
		t = state_tenant(s, "acme");
		ch.replaces = i == 1;
		assert_int_equal(import_items(&ch, 1, 3), STORE_NEWER);
	}
	assert_int_equal(store_flush(s), 0);
	assert_non_null(p = state_read(dir,
	    "tenants/acme/conversations/c1.json", &len));
	assert_string_equal(p, newer);
	free(p);
}

/* --- in parts ----------------------------------------------------------- */

static void
shows_parts_at_the_end(void **state)
{

	(void)state;
	assert_int_equal(part("c1", 1, "b1", 1, 3), STORE_OK);
	assert_false(is_there("c1"));
	assert_int_equal(part("c1", 2, "b1", 4, 3), STORE_OK);
	assert_false(is_there("c1"));
	assert_int_equal(end("c1", 2, "b1", 7), STORE_OK);
	check_whole("c1", 7);
	assert_null(TAILQ_FIRST(&t->imports));
	crash();
	check_whole("c1", 7);
	assert_null(TAILQ_FIRST(&t->imports));
	reopen();
	check_whole("c1", 7);
}

/* A crash between any two: nothing is seen, and it can go on or begin anew. */
static void
crashes_between_parts(void **state)
{

	(void)state;
	assert_int_equal(part("c1", 1, "b1", 1, 3), STORE_OK);
	crash();
	assert_false(is_there("c1"));
	assert_int_equal(part("c1", 2, "b1", 4, 3), STORE_OK);
	crash();
	assert_false(is_there("c1"));
	assert_int_equal(end("c1", 2, "b1", 7), STORE_OK);
	crash();
	check_whole("c1", 7);

	assert_int_equal(part("c2", 1, "b1", 5, 3), STORE_OK);
	crash();
	assert_int_equal(part("c2", 1, "b2", 1, 2), STORE_OK);
	assert_int_equal(end("c2", 1, "b2", 3), STORE_OK);
	check_whole("c2", 3);
	crash();
	check_whole("c2", 3);
	assert_null(TAILQ_FIRST(&t->imports));
}

/* Parts of two tries never become one conversation. */
static void
keeps_tries_apart(void **state)
{

	(void)state;
	assert_int_equal(part("c1", 2, "b1", 1, 1), STORE_PRECONDITION);
	assert_int_equal(end("c1", 1, "b1", 1), STORE_PRECONDITION);
	assert_int_equal(part("c1", 1, "b1", 1, 2), STORE_OK);
	assert_int_equal(part("c1", 1, "b2", 1, 3), STORE_OK);
	assert_int_equal(part("c1", 2, "b1", 3, 1), STORE_PRECONDITION);
	assert_int_equal(part("c1", 3, "b2", 4, 1), STORE_PRECONDITION);
	assert_int_equal(end("c1", 1, "b1", 3), STORE_PRECONDITION);
	assert_int_equal(end("c1", 2, "b2", 4), STORE_PRECONDITION);
	assert_false(is_there("c1"));
	assert_int_equal(end("c1", 1, "b2", 4), STORE_OK);
	check_whole("c1", 4);
}

/* An id twice, or a position that falls: nothing is taken. */
static void
refuses_odd_items(void **state)
{
	struct change ch = import_of("c1");
	struct item *v[2];
	int i;

	(void)state;
	for (i = 0; i < 2; i++) {
		v[0] = state_item("a", "1");
		v[1] = state_item(i == 0 ? "a" : "b", "2");
		v[0]->position = 2;
		v[1]->position = i == 0 ? 3 : 2;
		ch.items = v;
		ch.nitems = 2;
		assert_int_equal(state_commit(s, t, &ch, NULL),
		    STORE_CONFLICT);
		item_unref(v[0]);
		item_unref(v[1]);
	}
	assert_int_equal(part("c1", 1, "b1", 1, 3), STORE_OK);
	/* At its end, but of an id that came in a part before. */
	ch = import_of("c1");
	ch.part = 1;
	strlcpy(ch.birth, "b1", sizeof(ch.birth));
	v[0] = state_item("m2", "1");
	ch.items = v;
	ch.nitems = 1;
	assert_int_equal(state_commit(s, t, &ch, NULL), STORE_CONFLICT);
	item_unref(v[0]);
	assert_int_equal(part("c1", 2, "b1", 3, 1), STORE_CONFLICT);
	assert_int_equal(end("c1", 1, "b1", 2), STORE_CONFLICT);
	assert_false(is_there("c1"));
	assert_int_equal(end("c1", 1, "b1", 4), STORE_OK);
	check_whole("c1", 4);
}

/* --- the journal is held ------------------------------------------------ */

/* Does a segment that holds this text stand in the journal? */
static bool
journal_has(const char *text)
{
	char line[256];

	(void)snprintf(line, sizeof(line), "grep -qr '%s' '%s/journal'", text,
	    dir);
	return (system(line) == 0);
}

/* Enough other changes that the segment with the parts is closed, and
 * retired unless it is held. */
static void
fill_segments(void)
{
	static char text[9000];
	char id[16];
	int i;

	memset(text, 'x', sizeof(text) - 1);
	assert_int_equal(state_create(s, t, "other", NULL, NULL, NULL), 0);
	for (i = 0; i < 30; i++) {
		(void)snprintf(id, sizeof(id), "o%d", i);
		assert_int_equal(state_append(s, t, "other", id, text, NULL,
		    NULL), 0);
	}
	/* The second pass finds the time of the first one over. */
	assert_int_equal(store_flush(s), 0);
	assert_int_equal(store_flush(s), 0);
	assert_int_equal(state_delete(s, t, "other", NULL), 0);
}

/* Open the store so that what is in documents leaves the journal at once. */
static void
keep_nothing(void)
{
	struct store_options o = state_options(dir);
	pid_t holder;

	store_tenant_put(t);
	state_close(s);
	o.keep_ms = 0;
	assert_int_equal(store_open(&o, &s, &holder), 0);
	t = state_tenant(s, "acme");
}

static void
holds_the_journal(void **state)
{
	struct conversation *c;
	bool is_held;

	(void)state;
	keep_nothing();
	assert_int_equal(part("c1", 1, "b1", 1, 3), STORE_OK);
	fill_segments();
	assert_true(journal_has("import.part"));
	assert_int_equal(end("c1", 1, "b1", 4), STORE_OK);
	/* Its document is not written yet: the parts are needed still. */
	lock_take(&t->lck);
	c = tenant_find(t, "c1");
	is_held = c->dirty.is_listed && c->dirty.first < c->lsn - 1;
	lock_give(&t->lck);
	assert_true(is_held);
	crash();
	check_whole("c1", 4);
}

static void
lets_the_journal_go(void **state)
{

	(void)state;
	keep_nothing();
	assert_int_equal(part("c1", 1, "b1", 1, 3), STORE_OK);
	assert_int_equal(end("c1", 1, "b1", 4), STORE_OK);
	fill_segments();
	assert_false(journal_has("import.part"));
	check_whole("c1", 4);
}

/* Parts whose end never comes do not hold it for ever. */
static void
drops_what_is_given_up(void **state)
{
	struct import *im;

	(void)state;
	keep_nothing();
	assert_int_equal(part("c1", 1, "b1", 1, 3), STORE_OK);
	assert_int_equal(store_flush(s), 0);
	lock_take(&t->lck);
	if ((im = TAILQ_FIRST(&t->imports)) != NULL)
		im->at -= IMPORT_WAIT_MS + 1;
	lock_give(&t->lck);
	assert_non_null(im);
	assert_int_equal(store_flush(s), 0);
	assert_null(TAILQ_FIRST(&t->imports));
	assert_int_equal(end("c1", 1, "b1", 4), STORE_PRECONDITION);
	fill_segments();
	assert_false(journal_has("import.part"));
	assert_false(is_there("c1"));
}

/* --- damage ------------------------------------------------------------- */

/*
 * The journal lets the parts go before the change that showed them, which is
 * in a segment that is used still; deleted meanwhile, it is missed by nobody.
 */
static void
deleted_behind_its_parts(void **state)
{
	struct store_options o = state_options(dir);
	pid_t holder;
	int i;

	(void)state;
	store_tenant_put(t);
	state_close(s);
	o.keep_ms = 0;
	assert_int_equal(store_open(&o, &s, &holder), 0);
	t = state_tenant(s, "acme");
	assert_int_equal(part("c1", 1, "b1", 1, 3), STORE_OK);
	assert_int_equal(store_rotate(s), 0);
	assert_int_equal(end("c1", 1, "b1", 4), STORE_OK);
	assert_int_equal(store_flush(s), 0);
	assert_int_equal(state_delete(s, t, "c1", NULL), STORE_OK);
	/* The tombstone goes a moment behind its document. */
	for (i = 0; i < 1000 && (i == 0 || state_count(dir,
	    "tenants/acme/conversations", "c1") > 0); i++) {
		(void)usleep(1000);
		assert_int_equal(store_flush(s), 0);
	}
	assert_int_equal(state_count(dir, "tenants/acme/conversations", "c1"),
	    0);
	store_tenant_put(t);
	state_close(s);
	o.strict_recovery = true;
	assert_int_equal(store_open(&o, &s, &holder), 0);
	t = state_tenant(s, "acme");
	assert_false(is_there("c1"));
	assert_int_equal(state_count(dir, "quarantine", ""), 0);
}

/*
 * The journal lost a part of what was imported: the conversation is damaged
 * and says so, and is not shown without it.
 */
static void
misses_a_part(void **state)
{
	struct conversation_view v;
	char name[256];
	uint64_t lsn;
	char *p, *at;
	size_t len;

	(void)state;
	assert_int_equal(part("c1", 1, "b1", 1, 3), STORE_OK);
	assert_int_equal(end("c1", 1, "b1", 4), STORE_OK);
	assert_true(state_find(dir, "journal", "0", name));
	assert_non_null(p = state_read(dir, name, &len));
	assert_non_null(at = memmem(p, len, "import.part", 11));
	*at = 'I';
	/* In place: another file would be taken for a copy. */
	state_write(dir, name, p, len);
	free(p);
	crash();
	assert_int_equal(store_conversation(t, "c1", NULL, &v, &lsn),
	    STORE_DAMAGED);
}

static int
setup(void **state)
{

	(void)state;
	state_folder(dir);
	s = state_open(dir);
	t = state_tenant(s, "acme");
	return (0);
}

static int
teardown(void **state)
{

	(void)state;
	store_tenant_put(t);
	state_close(s);
	state_remove(dir);
	return (0);
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(keeps_all),
		TEST(comes_bare),
		TEST(replaces_if_told),
		TEST(moves_in_lists),
		TEST(brings_back),
		TEST(heals),
		TEST(leaves_newer),
		TEST(shows_parts_at_the_end),
		TEST(crashes_between_parts),
		TEST(keeps_tries_apart),
		TEST(refuses_odd_items),
		TEST(holds_the_journal),
		TEST(lets_the_journal_go),
		TEST(drops_what_is_given_up),
		TEST(deleted_behind_its_parts),
		TEST(misses_a_part),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
