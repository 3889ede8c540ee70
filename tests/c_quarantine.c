/*
 * What is set aside stays: after the verb has returned no power cut takes it
 * out of quarantine again, loses it, or brings it back to where it stood.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "store/atomicfile.h"
#include "store/log.h"
#include "store/quarantine.h"
#include "store/store_internal.h"
#include "store/sys.h"
#include "tests/fault.h"
#include "tests/logged.h"
#include "tests/simfs.h"

#define CUTS	60
#define LABEL	"acme.once.20260131T10.json"
#define SYNCS	(FAULT_FSYNC | FAULT_FDATASYNC)

/* As much of a store as quarantine needs: no thread of one is in the way. */
static struct store *s;
static int root;

/* An empty disk with one bad file in a folder. */
static void
begin(uint64_t seed)
{

	simfs_reset(seed);
	assert_non_null(s = calloc(1, sizeof(*s)));
	root = sys->openat(AT_FDCWD, "/", O_RDONLY | O_DIRECTORY, 0);
	assert_true((s->tenantsfd = sys_opendir(root, "tenants")) != -1);
	assert_true((s->quarantinefd = sys_opendir(root, "quarantine")) != -1);
	assert_int_equal(atomicfile_write(s->tenantsfd, "bad", "??", 2), 0);
}

/* The power goes, and comes again. */
static void
cut(uint64_t seed)
{

	simfs_stop();
	free(s);
	simfs_power_cut(seed);
}

/* So many files of that name in quarantine, with what says why. */
static void
aside_is(size_t files, size_t whys)
{

	assert_int_equal(simfs_count("/quarantine", ".why"), whys);
	assert_int_equal(simfs_count("/quarantine", LABEL),
	    files + whys);
}

static void
moved_for_good(void **state)
{
	uint64_t seed;

	(void)state;
	for (seed = 1; seed <= CUTS; seed++) {
		begin(seed);
		assert_int_equal(quarantine_move(s, s->tenantsfd, "bad", LABEL,
		    "it is bad"), 0);
		cut(seed);
		aside_is(1, 1);
		assert_int_equal(simfs_count("/tenants", "bad"), 0);
	}
}

/* However many of one name go aside in one moment, none replaces another. */
static void
each_has_a_name(void **state)
{
	int i;

	(void)state;
	begin(1);
	for (i = 1; i <= 50; i++) {
		assert_int_equal(quarantine_move(s, s->tenantsfd, "bad", LABEL,
		    "it is bad"), 0);
		aside_is((size_t)i, (size_t)i);
		assert_int_equal(atomicfile_write(s->tenantsfd, "bad", "??",
		    2), 0);
	}
	cut(1);
}

/* Also if the disk has no room for the reason. */
static void
moved_without_reason(void **state)
{
	uint64_t seed;

	(void)state;
	for (seed = 1; seed <= CUTS; seed++) {
		begin(seed);
		simfs_fail(FAULT_WRITE, 1, ENOSPC, false);
		assert_int_equal(quarantine_move(s, s->tenantsfd, "bad", LABEL,
		    "it is bad"), 0);
		assert_true(simfs_has_failed());
		cut(seed);
		aside_is(1, 0);
	}
}

static void
kept_for_good(void **state)
{
	uint64_t seed;

	(void)state;
	for (seed = 1; seed <= CUTS; seed++) {
		begin(seed);
		quarantine_link(s, s->tenantsfd, "bad", LABEL, "it is bad");
		cut(seed);
		aside_is(1, 1);
		assert_int_equal(simfs_count("/tenants", "bad"), 1);
	}
}

/* That nobody knows whether it is kept for good is told. */
static void
sync_that_fails_is_told(void **state)
{

	(void)state;
	begin(1);
	/* The first two are of the reason and its name. */
	simfs_fail(FAULT_FSYNC, 3, EIO, false);
	logged_start();
	quarantine_link(s, s->tenantsfd, "bad", LABEL, "it is bad");
	assert_true(simfs_has_failed());
	assert_int_equal(logged_times("Input/output error"), 1);
	cut(1);
}

static void
released_for_good(void **state)
{
	uint64_t seed;

	(void)state;
	for (seed = 1; seed <= CUTS; seed++) {
		begin(seed);
		quarantine_bytes(s, LABEL, "??", 2, "it is bad");
		assert_int_equal(quarantine_has(s, LABEL), 1);
		assert_int_equal(quarantine_release(s, LABEL), 0);
		assert_int_equal(quarantine_has(s, LABEL), 0);
		cut(seed);
		assert_int_equal(simfs_count("/quarantine", ".deleted"),
		    1);
	}
}

/*
 * What may be lost by a sync that failed is said; what was not moved stands
 * where it stood.
 */
static void
says_what_failed(void **state)
{
	unsigned long n;
	int rc;

	(void)state;
	for (n = 1; ; n++) {
		begin(n);
		logged_start();
		simfs_fail(SYNCS | FAULT_RENAMEAT | FAULT_WRITE, n, EIO, false);
		rc = quarantine_move(s, s->tenantsfd, "bad", LABEL,
		    "it is bad");
		if (!simfs_has_failed())
			break;
		simfs_fail(0, 0, 0, false);
		logged_has("level=warn");
		assert_int_equal(simfs_count("/tenants", "bad"),
		    rc == -1 ? 1 : 0);
		cut(n);
	}
	logged_has_not("level=warn");
	assert_true(n > 5);
	cut(n);

	for (n = 1; ; n++) {
		begin(n);
		logged_start();
		simfs_fail(SYNCS | FAULT_RENAMEAT | FAULT_WRITE, n, EIO, false);
		quarantine_bytes(s, LABEL, "??", 2, "it is bad");
		if (!simfs_has_failed())
			break;
		simfs_fail(0, 0, 0, false);
		logged_has("level=warn");
		cut(n);
	}
	logged_has_not("level=warn");
	assert_true(n > 6);
	cut(n);
}

/* A label that could not be changed for good is not taken as changed. */
static void
release_fails(void **state)
{
	unsigned long n;

	(void)state;
	for (n = 1; ; n++) {
		begin(n);
		quarantine_bytes(s, LABEL, "??", 2, "it is bad");
		simfs_fail(SYNCS | FAULT_RENAMEAT, n, EIO, false);
		if (quarantine_release(s, LABEL) == 0)
			break;
		assert_true(simfs_has_failed());
		cut(n);
	}
	assert_false(simfs_has_failed());
	assert_int_equal(n, 3);
	cut(n);
}

/* What lies there is counted, with what lay there at the start. */
static void
counts(void **state)
{

	(void)state;
	begin(1);
	quarantine_bytes(s, LABEL, "??", 2, "it is bad");
	quarantine_link(s, s->tenantsfd, "bad", "42", "it is bad");
	assert_int_equal(s->nquarantined, 2);
	/* A second call finds it. */
	quarantine_link(s, s->tenantsfd, "bad", "42", "it is bad");
	assert_int_equal(s->nquarantined, 2);
	assert_int_equal(quarantine_move(s, s->tenantsfd, "bad", "43",
	    "it is bad"), 0);
	assert_int_equal(s->nquarantined, 3);
	/* There is nothing to be put there. */
	assert_int_equal(quarantine_move(s, s->tenantsfd, "bad", "44",
	    "it is bad"), -1);
	quarantine_link(s, s->tenantsfd, "bad", "44", "it is bad");
	assert_int_equal(s->nquarantined, 3);
	assert_int_equal(quarantine_release(s, LABEL), 0);
	assert_int_equal(s->nquarantined, 2);

	s->nquarantined = 0;
	assert_int_equal(quarantine_tell(s), 0);
	assert_int_equal(s->nquarantined, 2);
	/* What was put there by hand was not counted. */
	s->nquarantined = 0;
	assert_int_equal(quarantine_release(s, "42"), 0);
	assert_int_equal(s->nquarantined, 0);
	cut(1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(moved_for_good),
		cmocka_unit_test(each_has_a_name),
		cmocka_unit_test(moved_without_reason),
		cmocka_unit_test(kept_for_good),
		cmocka_unit_test(sync_that_fails_is_told),
		cmocka_unit_test(released_for_good),
		cmocka_unit_test(says_what_failed),
		cmocka_unit_test(release_fails),
		cmocka_unit_test(counts)
	};

	simfs_init();
	log_set_level(LOG_LEVEL_WARN);
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
