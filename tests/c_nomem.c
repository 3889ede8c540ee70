/*
 * The state without memory: whichever allocation fails, a change is made or
 * not, and never half; nothing healthy is taken for damaged; and who was told
 * that the outcome is not known learns it from a retry.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bsd/string.h>

#include <cmocka.h>

#include "store/store.h"
#include "tests/fault.h"
#include "tests/opened.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HAS_OWN_MALLOC	1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HAS_OWN_MALLOC	1
#endif
#endif

#ifdef HAS_OWN_MALLOC
/* A sanitizer stands where this test must: there is nothing to run. */
int
main(void)
{

	return (77);
}
#else

/* --- malloc ------------------------------------------------------------- */

void	*__libc_malloc(size_t);
void	*__libc_calloc(size_t, size_t);
void	*__libc_realloc(void *, size_t);

/* Of this thread alone: how many allocations are left; 0: all of them. */
static _Thread_local int left;
static _Thread_local bool has_failed;

static bool
fails(void)
{

	if (left == 0 || --left > 0)
		return (false);
	has_failed = true;
	errno = ENOMEM;
	return (true);
}

void *
malloc(size_t size)
{

	return (fails() ? NULL : __libc_malloc(size));
}

void *
calloc(size_t n, size_t size)
{

	return (fails() ? NULL : __libc_calloc(n, size));
}

void *
realloc(void *p, size_t size)
{

	return (fails() ? NULL : __libc_realloc(p, size));
}

void *
reallocarray(void *p, size_t n, size_t size)
{
	size_t all;

	if (__builtin_mul_overflow(n, size, &all)) {
		errno = ENOMEM;
		return (NULL);
	}
	return (realloc(p, all));
}

/* The n-th allocation of this thread fails. */
static void
arm(int n)
{

	left = n;
	has_failed = false;
}

static bool
disarm(void)
{

	left = 0;
	return (has_failed);
}

/* --- the tests ---------------------------------------------------------- */

/* One wish of each kind; n makes its ids differ. */
struct wish {
	struct change	 ch;
	struct change_once once;
	struct item	*items[3];
	struct credential credential;
	char		 key[32];
};

static struct wish *
wish_of(enum change_kind kind, int n)
{
	struct wish *w = calloc(1, sizeof(*w));
	char id[32];
	size_t i;

	assert_non_null(w);
	(void)snprintf(w->key, sizeof(w->key), "k%d-%d", (int)kind, n);
	w->once = state_once(w->key, "body");
	w->ch.kind = kind;
	w->ch.once = &w->once;
	w->ch.credential = &w->credential;
	(void)snprintf(w->ch.conversation, sizeof(w->ch.conversation),
	    kind == CHANGE_CONVERSATION_CREATE ? "new%d" : "a", n);
	w->ch.user = "u1";
	w->ch.title = "title";
	w->ch.title_len = 5;
	w->ch.has_title = true;
	w->ch.metadata = (struct span){ "{\"title\":\"t\"}", 13 };
	w->ch.has_metadata = w->ch.merges = true;
	strlcpy(w->ch.item, "i0", sizeof(w->ch.item));
	for (i = 0; i < 3; i++) {
		(void)snprintf(id, sizeof(id), "%d-%zu", n, i);
		w->items[i] = state_item(id, "text");
	}
	w->ch.items = w->items;
	w->ch.nitems = 3;
	(void)snprintf(w->credential.id, sizeof(w->credential.id), "key_%d",
	    n);
	w->credential.secret_len = 1;
	return (w);
}

static void
wish_free(struct wish *w)
{
	size_t i;

	for (i = 0; i < 3; i++)
		item_unref(w->items[i]);
	free(w);
}

/* One change with the n-th allocation failing.  Returns false behind the
 * last. */
static bool
try_change(enum change_kind kind, int n)
{
	struct wish *w = wish_of(kind, n);
	char *before = state_dump(s), *after;
	struct outcome o;
	enum store_err err;
	bool failed;

	arm(n);
	err = store_commit(s, t, &w->ch, &o);
	failed = disarm();
	if (err != STORE_OK && err != STORE_NOMEM && err != STORE_UNSURE)
		fail_msg("kind %d, allocation %d: %d", kind, n, err);
	if (!failed)
		assert_int_equal(err, STORE_OK);
	if (err == STORE_OK)
		assert_int_equal(store_wait(s, o.lsn), STORE_OK);
	if (err == STORE_UNSURE) {
		assert_true(o.lsn > 0);
		assert_int_equal(o.nitems, 0);
		assert_int_equal(store_wait(s, o.lsn), STORE_OK);
	}
	store_outcome_fini(&o);
	if (err == STORE_NOMEM) {
		after = state_dump(s);
		assert_string_equal(before, after);
		free(after);
	}
	/* A retry is told the outcome, first or not. */
	if (err != STORE_OK || kind < CHANGE_TENANT_CREATE) {
		assert_int_equal(state_commit(s, t, &w->ch, &o), STORE_OK);
		assert_int_equal(o.is_repeat, err != STORE_NOMEM);
		store_outcome_fini(&o);
	}
	free(before);
	wish_free(w);
	return (failed);
}

/* What is in memory is what a crash now would leave. */
static void
copy_is_whole(void)
{
	struct store *two;
	char *here = state_dump(s), *there;

	state_copy(dir, side);
	two = state_open(side);
	there = state_dump(two);
	assert_string_equal(here, there);
	state_close(two);
	free(here);
	free(there);
}

static void
changes(void **state)
{
	static const enum change_kind kinds[] = { CHANGE_CONVERSATION_CREATE,
	    CHANGE_CONVERSATION_UPDATE, CHANGE_ITEMS_APPEND,
	    CHANGE_APIKEY_ADD, CHANGE_JWTKEY_ADD };
	size_t i;
	int n;

	(void)state;
	assert_int_equal(state_create(s, t, "a", "u1", NULL, NULL), 0);
	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		for (n = 1; try_change(kinds[i], n); n++)
			;
		assert_true(n > 5);
	}
	copy_is_whole();
	assert_int_equal(store_flush(s), 0);
	copy_is_whole();
}

static void
deletions(void **state)
{
	struct outcome o;
	struct wish *w;
	enum store_err err = STORE_NOMEM;
	int n;

	(void)state;
	assert_int_equal(state_create(s, t, "a", "u1", NULL, NULL), 0);
	assert_int_equal(state_append(s, t, "a", "i0", "x", NULL, NULL), 0);
	for (n = 1; err == STORE_NOMEM; n++) {
		w = wish_of(CHANGE_ITEM_DELETE, 1);
		arm(n);
		err = store_commit(s, t, &w->ch, &o);
		(void)disarm();
		store_outcome_fini(&o);
		assert_int_equal(state_commit(s, t, &w->ch, &o), STORE_OK);
		assert_int_equal(o.is_repeat, err != STORE_NOMEM);
		store_outcome_fini(&o);
		wish_free(w);
		if (err == STORE_NOMEM)
			break;
	}
	for (err = STORE_NOMEM, n = 1; err == STORE_NOMEM; n++) {
		w = wish_of(CHANGE_CONVERSATION_DELETE, 1);
		arm(n);
		err = store_commit(s, t, &w->ch, &o);
		(void)disarm();
		store_outcome_fini(&o);
		wish_free(w);
	}
	assert_true(err == STORE_OK || err == STORE_UNSURE);
	copy_is_whole();
}

/* What a reader is given of the durable prefix, or that there is no memory. */
static bool
read_back(int n)
{
	const unsigned char hash[KEY_HASH_SIZE] = { 0 };
	struct list_query q = { .limit = 9 };
	struct credential *keys = NULL;
	struct conversation_view v;
	struct items_page items;
	struct list_page list;
	struct item *it;
	enum store_err err[6];
	char id[ID_SIZE];
	uint64_t lsn, version;
	size_t i, nkeys;
	bool failed;

	arm(n);
	err[0] = store_conversation(t, "a", NULL, &v, &lsn);
	err[1] = store_items(t, "a", NULL, NULL, STORE_ASC, 9, &items);
	err[2] = store_item(t, "a", NULL, "i0", &it, &version, &lsn);
	err[3] = store_list(t, &q, &list);
	err[4] = store_apikeys(t, &keys, &nkeys, &lsn);
	err[5] = store_apikey_check(t, hash, id, &lsn);
	failed = disarm();
	for (i = 0; i < 6; i++)
		assert_true(err[i] == STORE_OK ||
		    (failed && err[i] == STORE_NOMEM));
	assert_true(err[0] != STORE_OK || v.item_count == 1);
	assert_true(err[1] != STORE_OK || items.nitems == 1);
	assert_true(err[3] != STORE_OK || list.nviews == 1);
	assert_true(err[4] != STORE_OK || nkeys == 1);
	store_view_fini(&v);
	store_items_fini(&items);
	item_unref(it);
	store_list_fini(&list);
	store_credentials_free(keys, err[4] == STORE_OK ? nkeys : 0);
	return (failed);
}

/* The state before changes that are not durable, built from their records. */
static void
reads(void **state)
{
	static const enum change_kind kinds[] = { CHANGE_CONVERSATION_CREATE,
	    CHANGE_ITEM_DELETE, CHANGE_ITEMS_APPEND, CHANGE_APIKEY_REVOKE,
	    CHANGE_CONVERSATION_DELETE };
	struct outcome o;
	struct wish *w;
	uint64_t lsn = 0;
	size_t i;
	int n;

	(void)state;
	assert_int_equal(state_create(s, t, "a", "u1", NULL, NULL), 0);
	assert_int_equal(state_append(s, t, "a", "i0", "x", NULL, NULL), 0);
	w = wish_of(CHANGE_APIKEY_ADD, 1);
	assert_int_equal(state_commit(s, t, &w->ch, NULL), STORE_OK);
	wish_free(w);
	fault_gate_close(FAULT_FDATASYNC);
	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		w = wish_of(kinds[i], 1);
		assert_int_equal(store_commit(s, t, &w->ch, &o), STORE_OK);
		lsn = o.lsn;
		store_outcome_fini(&o);
		wish_free(w);
	}
	assert_true(fault_gate_await());
	store_late(s, lsn);
	for (n = 1; read_back(n); n++)
		;
	assert_true(n > 5);
	fault_gate_open();
	assert_int_equal(store_wait(s, lsn), STORE_OK);
}

/* A start without memory fails, or it is a whole one. */
static void
starts(void **state)
{
	struct store_options o = state_options(dir);
	struct store *two;
	char *text, *now;
	bool failed;
	pid_t holder;
	int n, rc, i;

	(void)state;
	for (i = 0; i < 5; i++) {
		struct wish *w = wish_of(CHANGE_CONVERSATION_CREATE, i);

		assert_int_equal(state_commit(s, t, &w->ch, NULL), 0);
		wish_free(w);
	}
	text = state_dump(s);
	close_store();
	for (n = 1; ; n += 1 + n / 20) {
		arm(n);
		rc = store_open(&o, &two, &holder);
		failed = disarm();
		if (!failed)
			break;
		if (rc == 0) {
			now = state_dump(two);
			assert_string_equal(now, text);
			free(now);
			state_close(two);
		}
		assert_int_equal(state_count(dir, "quarantine", ""), 0);
	}
	assert_int_equal(rc, 0);
	assert_true(n > 50);
	state_close(two);
	open_store(dir);
	now = state_dump(s);
	assert_string_equal(now, text);
	free(now);
	free(text);
}

/* The same for a tenant that comes into memory later. */
static void
warming(void **state)
{
	char *text, *now;
	struct wish *w;
	enum store_err err;
	bool failed;
	int n, i;

	(void)state;
	for (i = 0; i < 5; i++) {
		w = wish_of(CHANGE_CONVERSATION_CREATE, i);
		assert_int_equal(state_commit(s, t, &w->ch, NULL), 0);
		wish_free(w);
		w = wish_of(CHANGE_APIKEY_ADD, i);
		assert_int_equal(state_commit(s, t, &w->ch, NULL), 0);
		wish_free(w);
	}
	text = state_dump(s);
	close_store();
	remove_journal();
	for (n = 1; ; n++) {
		s = state_open(dir);
		arm(n);
		err = store_warm(s, "acme", 4);
		if (err == STORE_OK)
			err = store_warm(s, "acme", 4);
		failed = disarm();
		assert_true(err == STORE_OK || err == STORE_NOMEM ||
		    err == STORE_SICK);
		now = state_dump(s);
		assert_string_equal(now, text);
		free(now);
		assert_int_equal(state_count(dir, "quarantine", ""), 0);
		if (!failed)
			break;
		state_close(s);
	}
	assert_true(n > 20);
	t = state_tenant(s, "acme");
	free(text);
}

/* What was armed fails nothing that comes behind the test. */
static int
disarmed_teardown(void **state)
{

	(void)disarm();
	return (opened_teardown(state));
}

#undef TEST
#define TEST(f)								\
	cmocka_unit_test_setup_teardown(f, opened_setup, disarmed_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(changes),
		TEST(deletions),
		TEST(reads),
		TEST(starts),
		TEST(warming),
	};

	fault_init();
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
#endif /* !HAS_OWN_MALLOC */
