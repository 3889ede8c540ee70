/*
 * store/flush: what could not be written stays dirty and holds its part of
 * the journal, and is tried again (promise 8).
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/store_internal.h"
#include "tests/fault.h"
#include "tests/flushed.h"
#include "tests/logged.h"

/* One that cannot be written stays dirty and holds its segment. */
static void
failing_holds_segment(void **state)
{
	int n;

	(void)state;
	open_it(0, 4096);
	assert_int_equal(state_create(s, t, "a", NULL, NULL, NULL), 0);
	assert_int_equal(store_flush(s), 0);
	for (n = 0; n < 5; n++) {
		static const unsigned calls[] = { FAULT_OPENAT, FAULT_WRITE,
		    FAULT_FSYNC, FAULT_RENAMEAT, FAULT_CLOSE };

		fill_segments(n * 10, n * 10 + 10);
		fault_arm_forever(calls[n], 1, n % 2 == 0 ? ENOSPC : EIO);
		assert_int_equal(store_flush(s), -1);
		assert_int_equal(dirty(), 1);
		assert_true(segments() >= 5);
		assert_int_equal(store_flush(s), -1);
		assert_int_equal(dirty(), 1);
		assert_true(segments() >= 5);
		fault_disarm();
		copy_is_whole();
		assert_int_equal(store_flush(s), 0);
		assert_int_equal(dirty(), 0);
		await_segments(1);
		copy_is_whole();
	}
	/* Nothing half written is left. */
	assert_int_equal(state_count(dir, "tenants/acme/conversations",
	    ".tmp-"), 0);
	close_it();
}

/*
 * A folder whose sync failed: what was put into it is written again, though
 * the names are there, for a power cut may take them away.
 */
static void
folder_fails(void **state)
{
	unsigned long renames;
	char id[16];
	int n;

	(void)state;
	open_it(0, 65536);
	assert_int_equal(state_create(s, t, "a", NULL, "a", NULL), 0);
	assert_int_equal(store_flush(s), 0);
	/* The syncs: document, records, their two folders. */
	for (n = 3; n <= 4; n++) {
		(void)snprintf(id, sizeof(id), "c%d", n);
		assert_int_equal(state_create(s, t, id, NULL, id, NULL), 0);
		assert_int_equal(dirty(), 2);
		fault_arm_call(FAULT_FSYNC, n, EIO);
		assert_int_equal(store_flush(s), -1);
		assert_true(fault_fired());
		fault_disarm();
		assert_int_equal(dirty(), 1);
		renames = fault_count(FAULT_RENAMEAT);
		assert_int_equal(store_flush(s), 0);
		assert_int_equal(fault_count(FAULT_RENAMEAT), renames + 1);
		assert_int_equal(dirty(), 0);
		copy_is_whole();
	}
	close_it();
}

/* Both of its folders, and it is told once. */
static void
folders_fail(void **state)
{
	(void)state;
	open_it(0, 65536);
	assert_int_equal(state_create(s, t, "a", NULL, "a", NULL), 0);
	assert_int_equal(store_flush(s), 0);
	assert_int_equal(state_create(s, t, "b", NULL, "b", NULL), 0);
	fault_arm_forever(FAULT_FSYNC, 3, EIO);
	logged_start();
	assert_int_equal(store_flush(s), -1);
	assert_int_equal(logged_times("sync folder of tenant"), 1);
	fault_disarm();
	assert_int_equal(dirty(), 2);
	assert_int_equal(store_flush(s), 0);
	close_it();
}

/*
 * Whatever call fails in a flush, alone or with all that follow, nothing is
 * lost or forgotten, and the next flush has all of it.
 */
static void
any_call_fails(void (*arm)(unsigned, int, int))
{
	char id[16], key[16];
	int n, rc;

	open_it(0, 4096);
	for (n = 1; ; n++) {
		(void)snprintf(id, sizeof(id), "c%d", n);
		create_soon(id, "u", id);
		if (n > 1) {
			(void)snprintf(id, sizeof(id), "c%d", n - 1);
			(void)snprintf(key, sizeof(key), "d%d", n);
			assert_int_equal(state_delete(s, t, id, key), 0);
		}
		await_spare(0);
		arm(FAULT_ANY, n, n % 2 == 0 ? EIO : ENOSPC);
		rc = store_flush(s);
		if (!fault_fired())
			break;
		fault_disarm();
		copy_is_whole();
		assert_int_equal(store_flush(s), 0);
		assert_int_equal(dirty(), 0);
		copy_is_whole();
	}
	fault_disarm();
	assert_int_equal(rc, 0);
	assert_true(n > 15);
	close_it();
}

static void
any_one_call_fails(void **state)
{
	(void)state;
	any_call_fails(fault_arm_call);
}

static void
all_calls_fail(void **state)
{
	(void)state;
	any_call_fails(fault_arm_forever);
}

/* The others are written in the same pass. */
static void
bad_stops_no_other(void **state)
{
	char id[16];
	int i;

	(void)state;
	open_it(3600000, 65536);
	for (i = 0; i < 10; i++) {
		(void)snprintf(id, sizeof(id), "c%d", i);
		assert_int_equal(state_create(s, t, id, NULL, NULL, NULL), 0);
	}
	logged_start();
	fault_arm_call(FAULT_RENAMEAT, 2, EIO);
	assert_int_equal(store_flush(s), -1);
	assert_true(fault_fired());
	assert_int_equal(dirty(), 1);
	assert_int_equal(figures().failing, 1);
	assert_int_equal(figures().failures, 1);
	assert_int_equal(figures().ok_at, 0);
	assert_int_equal(store_flush(s), 0);
	assert_int_equal(dirty(), 0);
	assert_int_equal(figures().failing, 0);
	assert_int_equal(logged_times("are written again"), 1);
	assert_int_equal(logged_times("stays in the journal"), 1);
	close_it();
}

/*
 * A folder that is none: its documents are tried again and again, but less
 * and less often, with one line each; all others are written meanwhile.
 */
static void
backs_off(void **state)
{
	struct store_options o = state_options(dir);
	struct tenant *bad;
	pid_t holder;
	char path[256];

	(void)state;
	o.flush_ms = 20;
	assert_int_equal(store_open(&o, &s, &holder), 0);
	t = state_tenant(s, "acme");
	bad = state_tenant(s, "bad");
	assert_int_equal(state_create(s, t, "a", NULL, NULL, NULL), 0);
	await_dirty(0);
	logged_start();
	state_write(dir, "tenants/bad/conversations", "", 0);
	assert_int_equal(state_create(s, bad, "x", NULL, NULL, NULL), 0);
	assert_int_equal(state_create(s, bad, "y", NULL, NULL, NULL), 0);
	await_passes(passes() + 60);
	await_failed(2);
	await_dirty(2);
	assert_in_range(figures().failures, 2, 20);
	assert_int_equal(state_append(s, t, "a", "i1", "x", NULL, NULL), 0);
	await_dirty(2);
	/* Who asks gets a try at once. */
	assert_int_equal(store_flush(s), -1);
	(void)snprintf(path, sizeof(path), "%s/tenants/bad/conversations",
	    dir);
	assert_int_equal(unlink(path), 0);
	/* And nobody need ask. */
	await_failed(0);
	assert_int_equal(dirty(), 0);
	assert_int_equal(logged_times("are written again"), 1);
	assert_int_equal(logged_times("stays in the journal"), 1);
	store_tenant_put(bad);
	copy_is_whole();
	close_it();
}

/* However long the interval: what failed alone is tried again soon. */
static void
retries_alone(void **state)
{
	(void)state;
	open_it(3600000, 65536);
	assert_int_equal(state_create(s, t, "a", NULL, NULL, NULL), 0);
	assert_int_equal(store_flush(s), 0);
	assert_int_equal(state_append(s, t, "a", "i1", "x", NULL, NULL), 0);
	fault_arm_call(FAULT_FSYNC, 1, EIO);
	assert_int_equal(store_flush(s), -1);
	fault_disarm();
	assert_int_equal(state_create(s, t, "b", NULL, NULL, NULL), 0);
	await_failed(0);
	assert_int_equal(dirty(), 1);
	assert_int_equal(inode(DOC("b")), 0);
	copy_is_whole();
	close_it();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(failing_holds_segment),
		TEST(folder_fails),
		TEST(folders_fail),
		TEST(any_one_call_fails),
		TEST(all_calls_fail),
		TEST(bad_stops_no_other),
		TEST(backs_off),
		TEST(retries_alone),
	};

	fault_init();
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
