/*
 * store/backup, store/copy: whatever call fails, a backup is whole or says that
 * it is none, and so is what is restored.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/backedup.h"
#include "tests/fault.h"

/* Every call fails in turn, once or from then on: whole, or no backup. */
static void
fails_anywhere(int error, bool forever)
{
	struct backup_report r;
	int n, rc;
	bool fired;

	/* Linked and copied: each way has its calls. */
	for (n = 1;; n += forever ? 5 : 1) {
		if (forever)
			/* What was written can be taken back. */
			fault_arm_forever(FAULT_ANY & ~FAULT_UNLINKAT, n,
			    error);
		else
			fault_arm(n, error);
		rc = backup_make(options(to, earlier), &r);
		fired = fault_fired();
		fault_disarm();
		if (!fired)
			break;
		if (rc == -1 && exists(to, BACKUP_NAME))
			fail_msg("call %d: failed, but a backup", n);
		if (rc == 0)
			check_whole(to);
		state_remove(to);
	}
	assert_int_equal(rc, 0);
	assert_true(n > 50);
	check_whole(to);
	state_remove(to);
}

static void
backup_fails(void **state)
{

	(void)state;
	make(earlier, NULL);
	(void)options(to, NULL);
	fault_init();
	fails_anywhere(EIO, false);
	fails_anywhere(ENOSPC, true);
}

static void
restore_fails(void **state)
{
	bool fired;
	int n, rc;

	(void)state;
	make(to, NULL);
	fault_init();
	for (n = 1;; n++) {
		fault_arm(n, EIO);
		rc = backup_restore(to, again, NULL, NULL);
		fired = fault_fired();
		fault_disarm();
		if (rc == -1 && exists(again, "store.json"))
			fail_msg("call %d: failed, but a store", n);
		if (rc == 0)
			check_whole(again);
		if (!fired)
			break;
		state_remove(again);
	}
	assert_true(n > 50 && rc == 0);
	/* It opens, and is not empty any more. */
	assert_int_equal(backup_restore(to, again, NULL, NULL), -1);
	state_close(state_open(again));
}

/* Nobody is told of a copy whose bytes or names are in the cache only. */
static void
each_sync_counts(void **state)
{
	struct backup_report r;
	int n, rc, done;
	bool fired;

	(void)state;
	(void)options(to, NULL);
	fault_init();
	for (n = 1, done = 0; done < 2; n++) {
		fault_arm_call(FAULT_FSYNC | FAULT_RENAMEAT, n, EIO);
		if (done == 0)
			rc = backup_make(options(to, NULL), &r);
		else
			rc = backup_restore(to, again, NULL, NULL);
		fired = fault_fired();
		fault_disarm();
		assert_int_equal(rc, fired ? -1 : 0);
		if (fired) {
			state_remove(done == 0 ? to : again);
			continue;
		}
		assert_true(n > 10);
		n = 0;
		done++;
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(backup_fails),
		TEST(restore_fails),
		TEST(each_sync_counts),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
