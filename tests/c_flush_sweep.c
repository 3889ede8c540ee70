/*
 * store/sweep and the journal's end: what has served its time goes, not
 * before (promise 6).
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/store_internal.h"
#include "store/sys.h"
#include "tests/fault.h"
#include "tests/flushed.h"

#define KEEP_MS	300

/* A segment goes keep_ms after all of it stands in documents, not before. */
static void
retires(void **state)
{
	(void)state;
	open_it(3600000, 4096);
	assert_int_equal(state_create(s, t, "a", NULL, NULL, NULL), 0);
	fill_segments(0, 10);
	assert_true(segments() >= 5);
	assert_int_equal(store_flush(s), 0);
	/* In documents, but a copier may still be at work. */
	assert_true(segments() >= 5);
	close_it();

	open_it(KEEP_MS, 4096);
	assert_int_equal(store_flush(s), 0);
	await_segments(1);
	copy_is_whole();
	close_it();
}

/* A tombstone takes the document's name, and is swept after twice keep_ms. */
static void
tombstones(void **state)
{
	struct conversation_view v;
	int64_t deleted_at;
	uint64_t lsn;
	char *p;
	size_t len;
	int i;

	(void)state;
	open_it(3600000, 4096);
	assert_int_equal(state_create(s, t, "a", NULL, NULL, NULL), 0);
	assert_int_equal(state_create(s, t, "b", NULL, NULL, NULL), 0);
	assert_int_equal(state_append(s, t, "a", "i1", "secret", NULL, NULL),
	    0);
	assert_int_equal(store_flush(s), 0);
	deleted_at = sys_now_ms();
	assert_int_equal(state_delete(s, t, "a", NULL), 0);
	assert_int_equal(store_flush(s), 0);
	assert_non_null(p = state_read(dir, DOC("a"), &len));
	assert_non_null(strstr(p, "\"deleted\":1"));
	assert_null(strstr(p, "secret"));
	free(p);
	copy_is_whole();
	/* Also over a restart. */
	close_it();
	open_it(3600000, 4096);
	assert_int_equal(store_flush(s), 0);
	assert_true(inode(DOC("a")) != 0);
	close_it();
	open_it(KEEP_MS, 4096);
	for (i = 0; i < 100 && inode(DOC("a")) != 0; i++) {
		usleep(50 * 1000);
		assert_int_equal(store_flush(s), 0);
	}
	assert_int_equal(inode(DOC("a")), 0);
	assert_true(sys_now_ms() - deleted_at >= 2 * KEEP_MS);
	assert_true(inode(DOC("b")) != 0);
	assert_int_equal(store_conversation(t, "a", NULL, &v, &lsn),
	    STORE_NOENT);
	copy_is_whole();
	close_it();
}

/* One in the way of the sweep: not before it was written, not while held. */
static void
sweeps_what_is_written(void **state)
{
	(void)state;
	open_it(0, 4096);
	assert_int_equal(state_create(s, t, "a", NULL, NULL, NULL), 0);
	assert_int_equal(store_flush(s), 0);
	assert_int_equal(state_delete(s, t, "a", NULL), 0);
	fault_arm_forever(FAULT_RENAMEAT, 1, EIO);
	assert_int_equal(store_flush(s), -1);
	/* Unlinked now, the old document would be gone and the journal's
	 * deletion with nothing to delete: harmless; but it is not done. */
	assert_true(inode(DOC("a")) != 0);
	fault_disarm();
	usleep(2000);
	assert_int_equal(store_flush(s), 0);
	assert_int_equal(store_flush(s), 0);
	assert_int_equal(inode(DOC("a")), 0);
	/* And the id may be used again. */
	assert_int_equal(state_create(s, t, "a", NULL, NULL, NULL), 0);
	copy_is_whole();
	assert_int_equal(store_flush(s), 0);
	copy_is_whole();
	close_it();
}

/* The quarantined file of one that was deleted and swept stays silent. */
static void
sweeps_damaged(void **state)
{
	struct conversation_view v;
	char path[256];
	uint64_t lsn;

	(void)state;
	open_it(3600000, 4096);
	assert_int_equal(state_create(s, t, "a", NULL, NULL, NULL), 0);
	close_it();
	(void)snprintf(path, sizeof(path), "%s/journal", dir);
	state_remove(path);
	state_write(dir, DOC("a"), "{}", 2);
	open_it(0, 4096);
	assert_int_equal(store_conversation(t, "a", NULL, &v, &lsn),
	    STORE_DAMAGED);
	assert_int_equal(state_delete(s, t, "a", NULL), 0);
	usleep(2000);
	assert_int_equal(store_flush(s), 0);
	assert_int_equal(store_flush(s), 0);
	close_it();
	/* Without the journal, in which it is deleted once more. */
	state_remove(path);
	open_it(0, 4096);
	assert_int_equal(store_conversation(t, "a", NULL, &v, &lsn),
	    STORE_NOENT);
	assert_true(state_count(dir, "quarantine",
	    "acme.conversations.a.json") > 0);
	close_it();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(retires),
		TEST(tombstones),
		TEST(sweeps_what_is_written),
		TEST(sweeps_damaged),
	};

	fault_init();
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
