/*
 * store/backup, store/copy: whatever call fails, a backup is whole or says
 * that it is none; what it names is on the disk before it says so; what is
 * written in place is never shared.
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

#include "store/backup.h"
#include "store/log.h"
#include "store/store.h"
#include "store/sys.h"
#include "tests/fault.h"
#include "tests/state.h"

#define PATH_SIZE	256

static char base[STATE_PATH];
static char store[PATH_SIZE], to[PATH_SIZE], earlier[PATH_SIZE],
    again[PATH_SIZE];
static char open_name[32];	/* the store's last segment */
static char store_id[17];

static void
shell(const char *fmt, const char *a, const char *b)
{
	char line[1024];

	(void)snprintf(line, sizeof(line), fmt, a, b);
	if (system(line) != 0)
		fail_msg("%s", line);
}

static bool
exists(const char *dir, const char *name)
{
	char path[PATH_SIZE * 2];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	return (access(path, F_OK) == 0);
}

static struct stat
stat_of(const char *dir, const char *name)
{
	char path[PATH_SIZE * 2];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(lstat(path, &st), 0);
	return (st);
}

static bool
is_shared(const char *a, const char *b, const char *name)
{

	return (stat_of(a, name).st_ino == stat_of(b, name).st_ino);
}

#define C(n)	"tenants/acme/conversations/c" #n ".json"

/* A closed store: three conversations, two segments, and what is odd. */
static void
fill(void)
{
	struct store_stats st;
	struct store *s = state_open(store);
	struct tenant *t = state_tenant(s, "acme");

	assert_int_equal(state_create(s, t, "c1", NULL, "key", NULL), 0);
	assert_int_equal(state_create(s, t, "c2", NULL, NULL, NULL), 0);
	assert_int_equal(state_append(s, t, "c2", "m1", "hello", NULL, NULL),
	    0);
	assert_int_equal(store_flush(s), 0);
	assert_int_equal(store_rotate(s), 0);
	assert_int_equal(state_create(s, t, "c3", NULL, NULL, NULL), 0);
	store_stats(s, &st);
	strlcpy(open_name, st.open_segment, sizeof(open_name));
	store_tenant_put(t);
	state_close(s);
	state_write(store, "quarantine/x.1", "x", 1);
	state_write(store, "tenants/acme/.tmp-0123456789abcdef", "x", 1);
	state_write(store, "stray", "x", 1);
	shell("mkfifo '%s/tenants/acme/fifo'%s", store, "");
}

static const struct backup_options *
options(const char *dir, const char *against)
{
	static struct backup_options o;
	struct backup_report r;

	memset(&o, 0, sizeof(o));
	o.store = store;
	o.dir = dir;
	o.against = against;
	/* Whose it is, a backup without it tells. */
	if (store_id[0] == '\0') {
		o.dir = again;
		o.against = NULL;
		assert_int_equal(backup_make(&o, &r), 0);
		strlcpy(store_id, r.store_id, sizeof(store_id));
		state_remove(again);
		o.dir = dir;
		o.against = against;
	}
	o.open = open_name;
	o.store_id = store_id;
	return (&o);
}

static void
make(const char *dir, const char *against)
{
	struct backup_report r;

	assert_int_equal(backup_make(options(dir, against), &r), 0);
	assert_true(exists(dir, BACKUP_NAME));
}

/* Byte for byte what is in the store. */
static void
check_whole(const char *dir)
{

	shell("diff -r -x lock -x stray -x fifo -x " BACKUP_NAME " -x '.tmp-*' "
	    "'%s' '%s'", store, dir);
}

static void
later_segment(int n, char *name)
{

	(void)snprintf(name, PATH_SIZE, "journal/077777777777777777%02d", n);
}

/* One more, behind the store's last. */
static void
add_segment(int n, const char *p)
{
	char name[PATH_SIZE];

	later_segment(n, name);
	state_write(store, name, p, 1);
}

/* --- what is linked ------------------------------------------------------- */

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

/* --- calls that go another way --------------------------------------------- */

static struct sys table;
static char hook_name[64];	/* what a hook acts on */
static int hook_left;		/* how often */

static bool
is_in(int fd, const char *dir)
{
	char link[64], path[PATH_SIZE];
	ssize_t n;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	assert_true(n > 0);
	path[n] = '\0';
	return (strncmp(path, dir, strlen(dir)) == 0);
}

/* The store is on another file system. */
static int
hook_linkat(int from, const char *a, int dest, const char *b, int flags)
{

	if (is_in(from, store)) {
		errno = EXDEV;
		return (-1);
	}
	return (sys_real.linkat(from, a, dest, b, flags));
}

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
hook(const char *name, int times)
{

	table = sys_real;
	strlcpy(hook_name, name, sizeof(hook_name));
	hook_left = times;
	sys = &table;
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
	hook("", 0);
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
	hook("c2.json", 1);
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
	hook("c2.json", 1);
	table.linkat = hook_linkat;
	table.openat = hook_openat;
	make(to, NULL);
	assert_int_equal(hook_left, 0);
	check_whole(to);
	assert_false(exists(to, C(2)));
}

/* --- what is on the disk when ----------------------------------------------- */

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

static ino_t
inode_of(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return (st.st_ino);
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

	hook("", 0);
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

/* --- calls that fail --------------------------------------------------------- */

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

/* --- in whose way ------------------------------------------------------------- */

static void
try_lock(void *arg)
{
	pid_t holder = 0;
	int dir, fd;

	dir = open(again, O_RDONLY | O_DIRECTORY);
	assert_true(dir != -1);
	fd = sys_lockfile(dir, "lock", &holder);
	assert_int_equal(fd, -1);
	assert_int_equal(errno, EWOULDBLOCK);
	close(dir);
	++*(int *)arg;
}

static void
restore_keeps_daemons_out(void **state)
{
	int n = 0;

	(void)state;
	make(to, NULL);
	assert_int_equal(backup_restore(to, again, try_lock, &n), 0);
	assert_true(n > 5);
}

/* --- whose it is -------------------------------------------------------------- */

#define DAEMON	4711

static ino_t owned[4096];	/* by DAEMON */
static size_t nowned;

/* store.json is the daemon's, and all else ours. */
static int
daemon_fstat(int fd, struct stat *st)
{
	char link[64], path[PATH_SIZE];
	int rc = sys_real.fstat(fd, st);
	ssize_t n;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	assert_true(n > 0);
	path[n] = '\0';
	if (strcmp(path + n - strlen("/store.json"), "/store.json") == 0)
		st->st_uid = DAEMON;
	return (rc);
}

static int
daemon_fchown(int fd, uid_t uid, gid_t gid)
{

	(void)gid;
	assert_true(nowned < 4096);
	if (uid == DAEMON)
		owned[nowned++] = inode_of(fd);
	return (0);
}

static bool
is_the_daemons(const char *dir, const char *name)
{
	const ino_t ino = stat_of(dir, name).st_ino;
	size_t i;

	for (i = 0; i < nowned; i++)
		if (owned[i] == ino)
			return (true);
	return (false);
}

/* What root made and brought back the daemon can open. */
static void
belongs_to_the_daemon(void **state)
{

	(void)state;
	(void)options(to, NULL);
	hook("", 0);
	table.fstat = daemon_fstat;
	table.fchown = daemon_fchown;
	nowned = 0;
	make(to, NULL);
	assert_true(is_the_daemons(to, ""));
	assert_true(is_the_daemons(to, BACKUP_NAME));
	assert_true(is_the_daemons(to, "store.json"));
	nowned = 0;
	/* Its folder is root's here, as in what was made by other means. */
	assert_int_equal(backup_restore(to, again, NULL, NULL), 0);
	assert_true(is_the_daemons(again, ""));
	assert_true(is_the_daemons(again, "lock"));
	assert_true(is_the_daemons(again, "store.json"));
}

static void
sets_no_store_in_use_aside(void **state)
{
	char aside[PATH_SIZE + 64];
	struct store *s = state_open(store);

	(void)state;
	assert_int_equal(backup_set_aside(store, aside, sizeof(aside)), -1);
	assert_true(exists(store, "store.json"));
	state_close(s);
	assert_int_equal(backup_set_aside(store, aside, sizeof(aside)), 1);
	assert_false(exists(store, ""));
	assert_true(exists(aside, "store.json"));
	assert_int_equal(backup_set_aside(store, aside, sizeof(aside)), 0);
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

static int
setup(void **state)
{

	(void)state;
	sys = &sys_real;
	store_id[0] = '\0';
	state_folder(base);
	(void)snprintf(store, sizeof(store), "%s/store", base);
	(void)snprintf(to, sizeof(to), "%s/to", base);
	(void)snprintf(earlier, sizeof(earlier), "%s/earlier", base);
	(void)snprintf(again, sizeof(again), "%s/again", base);
	fill();
	return (0);
}

static int
teardown(void **state)
{

	(void)state;
	sys = &sys_real;
	state_remove(base);
	return (0);
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

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
		TEST(syncs_before_it_says_so),
		TEST(copies_the_journal_first),
		TEST(copies_the_newest_segment_first),
		TEST(backup_fails),
		TEST(restore_fails),
		TEST(restore_keeps_daemons_out),
		TEST(belongs_to_the_daemon),
		TEST(sets_no_store_in_use_aside),
		TEST(reads_its_report),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
