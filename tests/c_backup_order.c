/*
 * store/backup, store/copy: what a backup names is on the disk before it says
 * so, and the journal is in it before the documents, its newest segment first.
 */

#include <sys/stat.h>

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <bsd/string.h>

#include <cmocka.h>

#include "tests/backedup.h"

enum what { SYNC, NAME };

static struct event {
	enum what what;
	ino_t	 ino;		/* synced; or of the folder with a new name */
	ino_t	 file;		/* that got the name */
	char	 name[32];
} events[4096];
static size_t nevents;

static void
note(enum what what, ino_t ino, ino_t file, const char *name)
{

	assert_true(nevents < 4096);
	events[nevents].what = what;
	events[nevents].ino = ino;
	events[nevents].file = file;
	strlcpy(events[nevents++].name, name, sizeof(events[0].name));
}

static int
note_fsync(int fd)
{

	note(SYNC, inode_of(fd), 0, "");
	return (sys_real.fsync(fd));
}

static int
note_renameat(int a, const char *from, int b, const char *name)
{
	struct stat st;

	assert_int_equal(fstatat(a, from, &st, 0), 0);
	note(NAME, inode_of(b), st.st_ino, name);
	return (sys_real.renameat(a, from, b, name));
}

static int
note_mkdirat(int fd, const char *name, mode_t mode)
{
	int rc = sys_real.mkdirat(fd, name, mode);
	struct stat st;

	if (rc == -1)
		return (rc);
	if (fd == AT_FDCWD)
		assert_int_equal(stat(base, &st), 0);
	else
		st.st_ino = inode_of(fd);
	note(NAME, st.st_ino, 0, name);
	return (rc);
}

static void
note_all(void)
{

	hook();
	nevents = 0;
	table.linkat = hook_linkat;
	table.fsync = note_fsync;
	table.renameat = note_renameat;
	table.mkdirat = note_mkdirat;
}

/* The place of the last event of that kind about ino, or -1. */
static int
last_event(enum what what, ino_t ino)
{
	size_t i;

	for (i = nevents; i-- > 0;)
		if (events[i].what == what && events[i].ino == ino)
			return ((int)i);
	return (-1);
}

/*
 * Each file was synced before it got its name, each folder after its last
 * one, and all of it before `last` got its.
 */
static void
check_order(const char *last)
{
	size_t i, end = nevents;
	int at;

	for (i = 0; i < nevents; i++)
		if (strcmp(events[i].name, last) == 0)
			end = i;
	assert_true(end < nevents && nevents > 10);
	for (i = 0; i < nevents; i++) {
		if (events[i].what != NAME)
			continue;
		assert_true(i <= end);
		if (events[i].file != 0) {
			at = last_event(SYNC, events[i].file);
			assert_true(at >= 0 && at < (int)i);
		}
		at = last_event(SYNC, events[i].ino);
		if (at < (int)i)
			fail_msg("%s: its folder is not synced",
			    events[i].name);
		/* That of `last` itself comes behind it. */
		if (events[i].ino != events[end].ino)
			assert_true(at < (int)end);
	}
}

static void
syncs_before_it_says_so(void **state)
{

	(void)state;
	(void)options(to, NULL);
	note_all();
	make(to, NULL);
	check_order(BACKUP_NAME);
	sys = &sys_real;

	note_all();
	assert_int_equal(backup_restore(to, again, NULL, NULL), 0);
	check_order("store.json");
	sys = &sys_real;
	check_whole(again);
	assert_false(exists(again, BACKUP_NAME));
}

/* The journal before the documents: see all_is_in_it_note. */
static void
copies_the_journal_first(void **state)
{
	size_t i, segment = 0, document = 0;

	(void)state;
	(void)options(to, NULL);
	note_all();
	make(to, NULL);
	for (i = 0; i < nevents; i++) {
		if (strcmp(events[i].name, open_name) == 0)
			segment = i;
		if (document == 0 && strcmp(events[i].name, "c1.json") == 0)
			document = i;
	}
	assert_true(segment > 0 && segment < document);
}

/* A later segment is in it if an older one is: so are the deletions. */
static void
copies_the_newest_segment_first(void **state)
{
	/* In none of the orders that a listing may have by chance. */
	static const int made[] = { 3, 1, 5, 2, 6, 4 };
	char name[PATH_SIZE];
	size_t i, at, last = 0;
	int n;

	(void)state;
	for (i = 0; i < 6; i++)
		add_segment(made[i], "x");
	(void)options(to, NULL);
	note_all();
	make(to, NULL);
	for (n = 6; n > 0; n--) {
		later_segment(n, name);
		for (at = last; at < nevents && strcmp(events[at].name,
		    name + strlen("journal/")) != 0; at++)
			continue;
		assert_true(at < nevents);
		last = at;
	}
	for (at = last; at < nevents && strcmp(events[at].name, open_name) != 0;
	    at++)
		continue;
	assert_true(at < nevents);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(syncs_before_it_says_so),
		TEST(copies_the_journal_first),
		TEST(copies_the_newest_segment_first),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
