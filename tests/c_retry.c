/*
 * Retries of clients that send no key and only count (API.md), over the ends
 * of a daemon: one that was killed between the commit and the reply, and one
 * that was down for a while.
 */

#include <sys/stat.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/document_internal.h"
#include "store/once.h"
#include "store/sys.h"
#include "tests/fault.h"
#include "tests/opened.h"

/* An item of that text, sent to c1 for the count-th time; its id is ours. */
static enum store_err
append(const char *text, uint32_t count, struct outcome *o)
{
	static int n;
	struct change_once once = state_once(NULL, text);
	struct change ch = { .kind = CHANGE_ITEMS_APPEND, .nitems = 1,
	    .once = &once, .conversation = "c1" };
	struct item *it;
	bool is_minted = true;
	enum store_err err;
	char id[16];

	snprintf(id, sizeof(id), "m%d", ++n);
	it = state_item(id, text);
	once.retry_count = count;
	ch.items = &it;
	ch.is_minted = &is_minted;
	err = store_commit(s, t, &ch, o);
	item_unref(it);
	return (err);
}

/* The same, which waits; is it known again? */
static bool
is_known(const char *text, uint32_t count)
{
	struct outcome o;
	bool is_repeat;

	assert_int_equal(append(text, count, &o), STORE_OK);
	assert_int_equal(store_wait(s, o.lsn), STORE_OK);
	is_repeat = o.is_repeat;
	store_outcome_fini(&o);
	return (is_repeat);
}

static uint64_t
count_items(void)
{
	struct conversation_view v;
	uint64_t n, lsn;

	assert_int_equal(store_conversation(t, "c1", NULL, &v, &lsn), 0);
	n = v.item_count;
	store_view_fini(&v);
	return (n);
}

/* --- new conversations --------------------------------------------------- */

/* Never for creating one: two people would share it. */
static void
creations(void **state)
{
	struct change_once once = state_once(NULL, "create");
	struct change ch = { .kind = CHANGE_CONVERSATION_CREATE,
	    .once = &once };
	struct outcome o;
	uint32_t i;

	(void)state;
	for (i = 0; i < 3; i++) {
		snprintf(ch.conversation, sizeof(ch.conversation), "c%u", i);
		once.retry_count = i;
		assert_int_equal(store_commit(s, t, &ch, &o), STORE_OK);
		assert_false(o.is_repeat);
		assert_string_equal(o.conversation, ch.conversation);
		store_outcome_fini(&o);
	}
}

/* --- killed ------------------------------------------------------------- */

/*
 * Killed behind the commit, before the reply: whether the change reached the
 * disk or not, with its retry it is there once.
 */
static void
killed(bool is_durable)
{
	struct outcome o;

	assert_int_equal(state_create(s, t, "c1", NULL, NULL, NULL), 0);
	assert_false(is_known("before", 0));
	fault_gate_close(FAULT_PWRITEV);
	assert_int_equal(append("yes", 0, &o), STORE_OK);
	assert_true(fault_gate_await());
	if (is_durable) {
		fault_gate_open();
		assert_int_equal(store_wait(s, o.lsn), STORE_OK);
	}
	/* What the next start would find. */
	state_copy(dir, side);
	fault_gate_open();
	assert_int_equal(store_wait(s, o.lsn), STORE_OK);
	store_outcome_fini(&o);
	close_store();
	open_store(side);
	assert_int_equal(count_items(), is_durable ? 2 : 1);
	assert_int_equal(is_known("yes", 1), is_durable);
	assert_int_equal(count_items(), 2);
	assert_true(is_known("yes", 2));
	/* Said again, it is another. */
	assert_false(is_known("yes", 0));
	assert_int_equal(count_items(), 3);
}

static void
killed_before(void **state)
{

	(void)state;
	killed(false);
}

static void
killed_behind(void **state)
{

	(void)state;
	killed(true);
}

/* --- down --------------------------------------------------------------- */

/* The change of the conversation's only record was made so long ago. */
static void
age_record(int64_t ms)
{
	static const char name[] = "tenants/acme/conversations/c1.json",
	    place[] = "\"count\":0,\"at\":";
	struct buf b = BUF_INITIALIZER;
	char *text, *p, *end, line[CHECKSUM_LINE + 1];
	size_t len;

	assert_non_null(text = state_read(dir, name, &len));
	assert_non_null(p = strstr(text, place));
	p += strlen(place);
	buf_add(&b, text, (size_t)(p - text));
	buf_addi(&b, sys_now_ms() - ms);
	(void)strtoll(p, &end, 10);
	buf_add(&b, end, (size_t)(text + len - CHECKSUM_LINE - end));
	document_checksum(b.data, b.len, line);
	buf_add(&b, line, CHECKSUM_LINE);
	assert_true(buf_ok(&b));
	state_write(dir, name, b.data, b.len);
	free(text);
	buf_fini(&b);
}

static int64_t
lock_touched(void)
{
	char path[128];
	struct stat st;

	snprintf(path, sizeof(path), "%s/lock", dir);
	assert_int_equal(stat(path, &st), 0);
	return ((int64_t)st.st_mtim.tv_sec * 1000 +
	    st.st_mtim.tv_nsec / 1000000);
}

/* A daemon was last seen so long ago. */
static void
age_lock(int64_t ms)
{
	struct timespec times[2];
	int64_t at = sys_now_ms() - ms;
	char path[128];

	snprintf(path, sizeof(path), "%s/lock", dir);
	times[0].tv_sec = at / 1000;
	times[0].tv_nsec = at % 1000 * 1000000;
	times[1] = times[0];
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

/*
 * Ten minutes ago somebody said yes, and says it again now, while the daemon
 * starts, so that only the second try arrives: is that the first yes?  It is if
 * the daemon was down all the time but a moment, and not if it was idle.
 */
static void
down(void **state)
{
	static const struct { int64_t seen; bool is_known; } cases[] = {
		{ 10 * 60 * 1000 - 5000, true },	/* lived for 5 s */
		{ 9 * 60 * 1000, true },		/* for 60 s */
		{ 8 * 60 * 1000, false },		/* for 120 s */
		{ 1000, false },			/* was idle */
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(state_create(s, t, "c1", NULL, NULL, NULL),
		    0);
		assert_false(is_known("yes", 0));
		close_store();
		/* Nothing newer stands in the journal. */
		remove_journal();
		age_record(10 * 60 * 1000);
		age_lock(cases[i].seen);
		open_store(dir);
		assert_int_equal(is_known("yes", 1), cases[i].is_known);
		close_store();
		state_remove(dir);
		open_store(dir);
	}
}

/* Who has the store says so, and when he leaves it. */
static void
seen_alive(void **state)
{
	int64_t before;
	int i;

	(void)state;
	age_lock(60 * 60 * 1000);
	before = sys_now_ms();
	for (i = 0; i < 300 && lock_touched() < before - 1000; i++)
		usleep(100 * 1000);
	assert_true(lock_touched() >= before - 1000);
	age_lock(60 * 60 * 1000);
	close_store();
	assert_true(lock_touched() >= before - 1000);
	open_store(dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(creations),
		TEST(killed_before),
		TEST(killed_behind),
		TEST(down),
		TEST(seen_alive),
	};

	fault_init();
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
