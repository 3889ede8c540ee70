/*
 * store/flush: what changed is written and nothing else, behind the journal,
 * when asked for and by itself (promises 6 and 10).
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/store_internal.h"
#include "store/sys.h"
#include "tests/fault.h"
#include "tests/flushed.h"

/* Only what changed is written; a clean one keeps its file. */
static void
writes_what_changed(void **state)
{
	ino_t a, b, tenant;
	unsigned long renames;

	(void)state;
	open_it(3600000, 65536);
	assert_int_equal(state_create(s, t, "a", NULL, NULL, NULL), 0);
	assert_int_equal(state_create(s, t, "b", NULL, "key", NULL), 0);
	/* a, b, tenant.json, once/ */
	assert_int_equal(dirty(), 4);
	assert_int_equal(inode(DOC("a")), 0);
	assert_int_equal(store_flush(s), 0);
	assert_int_equal(dirty(), 0);
	a = inode(DOC("a"));
	b = inode(DOC("b"));
	tenant = inode("tenants/acme/tenant.json");
	assert_true(a != 0 && b != 0 && tenant != 0);
	assert_int_equal(state_count(dir, "tenants/acme/once", ".json"), 1);

	assert_int_equal(state_append(s, t, "a", "i1", "x", NULL, NULL), 0);
	assert_int_equal(dirty(), 1);
	renames = fault_count(FAULT_RENAMEAT);
	assert_int_equal(store_flush(s), 0);
	assert_int_equal(fault_count(FAULT_RENAMEAT), renames + 1);
	assert_true(inode(DOC("a")) != a);
	assert_true(inode(DOC("b")) == b);
	assert_true(inode("tenants/acme/tenant.json") == tenant);
	/* Nothing at all: not one file, not one sync. */
	renames = fault_count(FAULT_RENAMEAT | FAULT_FSYNC);
	assert_int_equal(store_flush(s), 0);
	assert_int_equal(fault_count(FAULT_RENAMEAT | FAULT_FSYNC), renames);
	copy_is_whole();
	close_it();
}

/* Many more than one round takes, of several tenants. */
static void
many(void **state)
{
	struct tenant *u;
	char id[16], name[64];
	int i, k;

	(void)state;
	open_it(3600000, 1 << 20);
	for (k = 0; k < 3; k++) {
		(void)snprintf(name, sizeof(name), "t%d", k);
		u = state_tenant(s, name);
		for (i = 0; i < 200; i++) {
			(void)snprintf(id, sizeof(id), "c%d", i);
			assert_int_equal(state_create(s, u, id, NULL, NULL,
			    NULL), 0);
		}
		store_tenant_put(u);
	}
	assert_int_equal(store_flush(s), 0);
	assert_int_equal(dirty(), 0);
	for (k = 0; k < 3; k++) {
		(void)snprintf(name, sizeof(name),
		    "tenants/t%d/conversations", k);
		assert_int_equal(state_count(dir, name, ".json"), 200);
	}
	copy_is_whole();
	close_it();
}

/* A document is renamed into place only when the journal holds all of it. */
static void
journal_first(void **state)
{
	struct change ch = { .kind = CHANGE_CONVERSATION_UPDATE,
	    .conversation = "a", .has_title = true };
	struct outcome o;
	unsigned long renames;

	(void)state;
	open_it(3600000, 4096);
	assert_int_equal(state_create(s, t, "a", NULL, NULL, NULL), 0);
	assert_int_equal(store_flush(s), 0);
	fault_gate_close(FAULT_FDATASYNC);
	assert_int_equal(store_commit(s, t, &ch, &o), STORE_OK);
	assert_true(fault_gate_await());
	renames = fault_count(FAULT_RENAMEAT);
	store_flush_soon(s);
	/* It is taken off when it is encoded. */
	while (dirty() > 0)
		usleep(1000);
	usleep(200 * 1000);
	assert_int_equal(fault_count(FAULT_RENAMEAT), renames);
	fault_gate_open();
	assert_int_equal(store_flush(s), 0);
	assert_true(fault_count(FAULT_RENAMEAT) > renames);
	store_outcome_fini(&o);
	close_it();
}

/* By itself: after the interval, and when the journal outgrows its limit. */
static void
by_itself(void **state)
{
	struct store_options o = state_options(dir);
	pid_t holder;
	int i;

	(void)state;
	o.flush_ms = 100;
	assert_int_equal(store_open(&o, &s, &holder), 0);
	t = state_tenant(s, "acme");
	assert_int_equal(state_create(s, t, "a", NULL, NULL, NULL), 0);
	for (i = 0; i < 100 && dirty() > 0; i++)
		usleep(50 * 1000);
	assert_int_equal(dirty(), 0);
	close_it();
	o.flush_ms = 3600 * 1000;
	o.journal_limit = 8192;
	assert_int_equal(store_open(&o, &s, &holder), 0);
	t = state_tenant(s, "acme");
	fill_segments(0, 3);
	assert_int_equal(dirty(), 1);
	fill_segments(3, 12);
	for (i = 0; i < 100 && dirty() > 0; i++)
		usleep(50 * 1000);
	assert_int_equal(dirty(), 0);
	close_it();
}

static void
counts(void **state)
{
	struct flush_stats st;

	(void)state;
	open_it(3600000, 65536);
	assert_int_equal(store_flush(s), 0);
	st = figures();
	assert_int_equal(st.lag_ms, 0);
	assert_in_range(sys_now_ms() - st.ok_at, 0, 60000);
	assert_int_equal(histogram_count(&st.duration_ms), 1);
	assert_int_equal(state_create(s, t, "a", NULL, NULL, NULL), 0);
	usleep(20 * 1000);
	assert_int_equal(state_create(s, t, "b", NULL, NULL, NULL), 0);
	assert_in_range(figures().lag_ms, 20, 60000);
	/* The oldest of what stays counts, from its first change on. */
	fault_arm_call(FAULT_FSYNC, 1, EIO);
	assert_int_equal(store_flush(s), -1);
	assert_in_range(figures().lag_ms, 20, 60000);
	assert_int_equal(passes(), 2);
	assert_int_equal(figures().ok_at, st.ok_at);
	assert_int_equal(store_flush(s), 0);
	assert_int_equal(figures().lag_ms, 0);
	close_it();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(writes_what_changed),
		TEST(many),
		TEST(journal_first),
		TEST(by_itself),
		TEST(counts),
	};

	fault_init();
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
