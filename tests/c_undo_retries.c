/*
 * Retries while the disk is sick: each is told its first outcome as the durable
 * prefix has it, or waits for it, and nothing is done twice (promises 2, 3, 8).
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <bsd/string.h>

#include <cmocka.h>

#include "store/store.h"
#include "tests/fault.h"
#include "tests/opened.h"

/* An append with that key, or none, and that count. */
static enum store_err
append(const char *id, const char *item, const char *key, uint32_t count,
    struct outcome *o)
{
	struct change_once once = state_once(key, item);
	struct change ch = change_of(CHANGE_ITEMS_APPEND, id);
	struct item *it = state_item(item, item);
	bool is_minted = true;
	enum store_err err;

	once.retry_count = count;
	ch.items = &it;
	ch.nitems = 1;
	ch.is_minted = &is_minted;
	ch.once = &once;
	err = store_commit(s, t, &ch, o);
	item_unref(it);
	return (err);
}

/* The first outcome is told, as it is in the durable prefix. */
static void
told_again(enum store_err err, struct outcome *o, uint64_t version,
    size_t nitems)
{

	assert_int_equal(err, STORE_OK);
	assert_true(o->is_repeat);
	assert_true(o->lsn <= store_durable(s));
	assert_int_equal(o->version, version);
	assert_int_equal(o->nitems, nitems);
	store_outcome_fini(o);
}

/* It is a retry, but of what nobody may know yet. */
static void
known_but_unsure(enum store_err err, struct outcome *o, uint64_t lsn)
{

	assert_int_equal(err, STORE_OK);
	assert_true(o->is_repeat);
	assert_true(o->lsn >= lsn && o->lsn > store_durable(s));
	store_outcome_fini(o);
}

/* Refused: the same to all, whatever is not durable. */
static void
refused(enum store_err err, const struct outcome *o)
{

	assert_int_equal(err, STORE_FULL);
	assert_int_equal(o->lsn, 0);
	assert_int_equal(o->version, 0);
}

/* Retries, while changes are refused, and after. */
static void
repeats(void **state)
{
	struct change_once once = state_once("d", "delete");
	struct change ch = change_of(CHANGE_ITEM_DELETE, "c1");
	struct outcome o;
	uint64_t lsn, gone;

	(void)state;
	assert_int_equal(state_create(s, t, "c1", "u1", "kc", NULL), 0);
	assert_int_equal(state_create(s, t, "c2", "u1", "kd", NULL), 0);
	assert_int_equal(append("c1", "a", "ka", 0, &o), STORE_OK);
	store_outcome_fini(&o);
	assert_int_equal(state_append(s, t, "c1", "own", "own", NULL, NULL),
	    STORE_OK);
	assert_int_equal(append("c2", "x", NULL, 0, &o), STORE_OK);
	assert_int_equal(store_wait(s, o.lsn), STORE_OK);
	store_outcome_fini(&o);
	hold_disk();
	assert_int_equal(append("c1", "b", "kb", 0, &o), STORE_OK);
	lsn = o.lsn;
	store_outcome_fini(&o);
	assert_true(fault_gate_await());
	/* What the first outcome names is gone, but not durably. */
	strlcpy(ch.item, "a", sizeof(ch.item));
	(void)change(&ch);
	ch = change_of(CHANGE_CONVERSATION_DELETE, "c2");
	ch.once = &once;
	gone = change(&ch);
	/* A retry that comes while the first is pending waits with it. */
	known_but_unsure(append("c1", "b", "kb", 0, &o), &o, lsn);
	break_journal();

	told_again(append("c1", "a", "ka", 0, &o), &o, 2, 1);
	told_again(state_create(s, t, "c1", "u1", "kc", &o), &o, 1, 0);
	told_again(state_create(s, t, "c2", "u1", "kd", &o), &o, 1, 0);
	known_but_unsure(append("c1", "b", "kb", 0, &o), &o, lsn);
	known_but_unsure(store_commit(s, t, &ch, &o), &o, gone);
	/* The items are the client's own: all are there, durably or not. */
	ch = change_of(CHANGE_ITEMS_APPEND, "c1");
	ch.items = (struct item *[]){ state_item("b", "b") };
	ch.nitems = 1;
	known_but_unsure(store_commit(s, t, &ch, &o), &o, lsn);
	item_unref(ch.items[0]);
	ch.items[0] = state_item("own", "own");
	told_again(store_commit(s, t, &ch, &o), &o, 3, 1);
	item_unref(ch.items[0]);
	/* Anything else. */
	refused(append("c1", "new", "kn", 0, &o), &o);
	refused(append("c1", "other", "ka", 0, &o), &o);
	refused(append("c2", "new", NULL, 0, &o), &o);
	ch = change_of(CHANGE_CONVERSATION_UPDATE, "c1");
	ch.if_version = 77;
	refused(store_commit(s, t, &ch, &o), &o);
	ch = change_of(CHANGE_CONVERSATION_IMPORT, "c1");
	ch.metadata = (struct span){ "{}", 2 };
	refused(store_commit(s, t, &ch, &o), &o);
	ch = change_of(CHANGE_CONVERSATION_UPDATE, "c1");
	/* A stranger is told nothing but what he may know. */
	ch.user = "u2";
	assert_int_equal(store_commit(s, t, &ch, &o), STORE_NOENT);
	assert_int_equal(o.lsn, 0);
	ch = change_of(CHANGE_CONVERSATION_UPDATE, "unknown");
	assert_int_equal(store_commit(s, t, &ch, &o), STORE_NOENT);
	assert_int_equal(o.lsn, 0);
	/* Deleted, but not durably: not even that. */
	ch = change_of(CHANGE_CONVERSATION_UPDATE, "c2");
	refused(store_commit(s, t, &ch, &o), &o);
	ch.user = "u2";
	assert_int_equal(store_commit(s, t, &ch, &o), STORE_NOENT);
	mend_journal();

	/* Now each gets its one true outcome, and nothing was added. */
	told_again(append("c1", "b", "kb", 0, &o), &o, 4, 1);
	told_again(append("c1", "a", "ka", 0, &o), &o, 2, 0);
	ch = change_of(CHANGE_CONVERSATION_DELETE, "c2");
	ch.once = &once;
	told_again(store_commit(s, t, &ch, &o), &o, 3, 0);
}

/* A client that only counts its retries, while the first is pending. */
static void
counted(void **state)
{
	struct outcome o;
	uint64_t lsn;

	(void)state;
	assert_int_equal(state_create(s, t, "c1", NULL, NULL, NULL), 0);
	hold_disk();
	assert_int_equal(append("c1", "a", NULL, 0, &o), STORE_OK);
	lsn = o.lsn;
	store_outcome_fini(&o);
	assert_true(fault_gate_await());
	known_but_unsure(append("c1", "a", NULL, 1, &o), &o, lsn);
	known_but_unsure(append("c1", "a", NULL, 2, &o), &o, lsn);
	break_journal();
	known_but_unsure(append("c1", "a", NULL, 1, &o), &o, lsn);
	/* An equal count is another message, and so is another body. */
	refused(append("c1", "a", NULL, 0, &o), &o);
	refused(append("c1", "b", NULL, 1, &o), &o);
	mend_journal();
	told_again(append("c1", "a", NULL, 3, &o), &o, 2, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(repeats),
		TEST(counted),
	};

	fault_init();
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
