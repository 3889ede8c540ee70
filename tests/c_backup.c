/*
 * store/backup, store/copy: a backup holds what is in the store; what stays is
 * linked, what is the same is kept, and what is written in place is never
 * shared.
 */

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
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

#include "tests/backedup.h"

/* --- what is linked ----------------------------------------------------- */

static void
links_what_stays(void **state)
{
	char name[PATH_SIZE], segment[PATH_SIZE];

	(void)state;
	make(to, NULL);
	check_whole(to);
	assert_true(is_shared(store, to, C(1)));
	assert_true(is_shared(store, to, "tenants/acme/tenant.json"));
	assert_true(state_find(store, "journal", "0", name));
	assert_true(is_shared(store, to, name));
	(void)snprintf(segment, sizeof(segment), "journal/%s", open_name);
	assert_string_not_equal(name, segment);
	assert_false(is_shared(store, to, segment));
	assert_false(is_shared(store, to, "quarantine/x.1"));
	assert_false(is_shared(store, to, "store.json"));
	assert_false(exists(to, "lock"));
	assert_false(exists(to, "stray"));
	assert_false(exists(to, "tenants/acme/fifo"));
	assert_false(exists(to, "tenants/acme/.tmp-0123456789abcdef"));
}

/* Who does not know which one is open links no segment. */
static void
links_no_segment_unknown(void **state)
{
	struct backup_options o;
	struct backup_report r;
	char name[PATH_SIZE];
	int i;

	(void)state;
	for (i = 0; i < 2; i++) {
		o = *options(to, NULL);
		if (i == 0)
			o.open = NULL;
		else
			o.store_id = "0000000000000000";
		assert_int_equal(backup_make(&o, &r), 0);
		assert_true(state_find(store, "journal", "0", name));
		assert_false(is_shared(store, to, name));
		assert_true(is_shared(store, to, C(1)));
		state_remove(to);
	}
}

/* A tenant on another disk is served through a link, so it is backed up. */
static void
follows_links(void **state)
{
	struct backup_report r;
	char path[PATH_SIZE * 2];

	(void)state;
	shell("mv '%s/tenants/acme' '%s/elsewhere'", store, base);
	shell("ln -s '%s/elsewhere' '%s/tenants/acme'", base, store);
	shell("ln '%s/elsewhere/tenant.json' '%s/real'", base, base);
	shell("ln -s '%s/real' '%s/tenants/acme/linked'", base, store);
	make(to, NULL);
	check_whole(to);
	assert_true(S_ISDIR(stat_of(to, "tenants/acme").st_mode));
	assert_true(S_ISREG(stat_of(to, "tenants/acme/linked").st_mode));
	assert_true(exists(to, C(1)));
	assert_int_equal(backup_restore(to, again, NULL, NULL), 0);
	check_whole(again);
	state_remove(to);

	/* Without an end, and to a disk that is not there. */
	(void)snprintf(path, sizeof(path), "%s/tenants/acme/up", store);
	assert_int_equal(symlink("..", path), 0);
	assert_int_equal(backup_make(options(to, NULL), &r), -1);
	assert_false(exists(to, BACKUP_NAME));
	assert_int_equal(unlink(path), 0);
	state_remove(to);
	(void)snprintf(path, sizeof(path), "%s/tenants/globex", store);
	assert_int_equal(symlink("/nowhere/globex", path), 0);
	assert_int_equal(backup_make(options(to, NULL), &r), -1);
	assert_false(exists(to, BACKUP_NAME));
}

/* --- what moves meanwhile ----------------------------------------------- */

/* What a hook acts on, and how often. */
static char hook_name[64];
static int hook_left;

/* A listing misses a name. */
static struct dirent *
hook_readdir(DIR *d)
{
	struct dirent *e = sys_real.readdir(d);

	if (e != NULL && hook_left > 0 && strcmp(e->d_name, hook_name) == 0) {
		hook_left--;
		e = sys_real.readdir(d);
	}
	return (e);
}

/* A file goes between its name and its opening. */
static int
hook_openat(int dirfd, const char *name, int flags, mode_t mode)
{

	if (hook_left > 0 && strcmp(name, hook_name) == 0) {
		hook_left--;
		assert_int_equal(unlinkat(dirfd, name, 0), 0);
	}
	return (sys_real.openat(dirfd, name, flags, mode));
}

static void
hook_on(const char *name, int times)
{

	hook();
	strlcpy(hook_name, name, sizeof(hook_name));
	hook_left = times;
}

static void
keeps_what_is_the_same(void **state)
{
	struct timespec times[2];
	struct backup_report r;
	char newest[PATH_SIZE], path[PATH_SIZE * 2];
	struct stat st;
	char *p;
	size_t len;

	(void)state;
	/* Made ahead of need, and later than the one that is written. */
	add_segment(7, "\0");
	hook();
	table.linkat = hook_linkat;
	make(earlier, NULL);
	check_whole(earlier);
	assert_false(is_shared(store, earlier, C(1)));

	/* One that was written since, in the same tick of the clock. */
	st = stat_of(store, C(2));
	assert_non_null(p = state_read(store, C(2), &len));
	p[len - 5] ^= 1;
	state_write(store, C(2), p, len);
	free(p);
	(void)snprintf(path, sizeof(path), "%s/%s", store, C(2));
	times[0] = st.st_atim;
	times[1] = st.st_mtim;
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
	/* One of the same size at another time. */
	assert_non_null(p = state_read(store, C(3), &len));
	p[10] ^= 1;
	state_write(store, C(3), p, len);
	free(p);
	/*
	 * The segment that was open then went on being written, and its clock
	 * stood still; now it is closed.
	 */
	(void)snprintf(newest, sizeof(newest), "journal/%s", open_name);
	st = stat_of(store, newest);
	assert_non_null(p = state_read(store, newest, &len));
	p[len / 2] ^= 1;
	state_write(store, newest, p, len);
	free(p);
	(void)snprintf(path, sizeof(path), "%s/%s", store, newest);
	times[1] = st.st_mtim;
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
	strlcpy(open_name, "99999999999999999999", sizeof(open_name));

	assert_int_equal(backup_make(options(to, earlier), &r), 0);
	check_whole(to);
	assert_true(is_shared(earlier, to, C(1)));
	assert_false(is_shared(earlier, to, C(2)));
	assert_false(is_shared(earlier, to, C(3)));
	assert_false(is_shared(earlier, to, newest));
	assert_false(is_shared(earlier, to, "quarantine/x.1"));
	assert_true(state_find(store, "journal", "0", newest));
	assert_true(is_shared(earlier, to, newest));
	later_segment(7, newest);
	assert_false(is_shared(earlier, to, newest));
	assert_int_equal(r.linked, 0);
	assert_true(r.kept >= 3);
	/* Its copies have the store's times, for the next one. */
	assert_int_equal(stat_of(to, C(3)).st_mtim.tv_nsec,
	    stat_of(store, C(3)).st_mtim.tv_nsec);
}

static void
looks_twice(void **state)
{

	(void)state;
	/* Not while it is asked whose store it is. */
	(void)options(to, NULL);
	hook_on("c2.json", 1);
	table.readdir = hook_readdir;
	make(to, NULL);
	assert_int_equal(hook_left, 0);
	check_whole(to);
}

static void
passes_what_vanishes(void **state)
{

	(void)state;
	/* Not while it is asked whose store it is. */
	(void)options(to, NULL);
	hook_on("c2.json", 1);
	table.linkat = hook_linkat;
	table.openat = hook_openat;
	make(to, NULL);
	assert_int_equal(hook_left, 0);
	check_whole(to);
	assert_false(exists(to, C(2)));
}

static void
reads_its_report(void **state)
{
	struct backup_report r;

	(void)state;
	make(to, NULL);
	assert_int_equal(backup_read(to, &r), 1);
	assert_true(r.linked >= 4 && r.copied >= 3 && r.bytes > 0);
	assert_true(r.ended_at >= r.started_at && r.started_at > 0);
	state_write(to, BACKUP_NAME, "{}", 2);
	assert_int_equal(backup_read(to, &r), -1);
	assert_int_equal(errno, EBADMSG);
	assert_int_equal(backup_make(options(again, to), &r), -1);
	assert_int_equal(backup_read(store, &r), 0);
	assert_int_equal(backup_read(again, &r), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(links_what_stays),
		TEST(links_no_segment_unknown),
		TEST(follows_links),
		TEST(keeps_what_is_the_same),
		TEST(looks_twice),
		TEST(passes_what_vanishes),
		TEST(reads_its_report),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
