/*
 * store/readonly and store/each: a store is read without a byte of it being
 * touched, whoever has it, and says what is wrong with it.
 */

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bsd/string.h>

#include <cmocka.h>

#include "store/lock.h"
#include "store/store.h"
#include "store/sys.h"
#include "tests/fault.h"
#include "tests/nomem.h"
#include "tests/state.h"

static char dir[STATE_PATH];	/* the store */
static char side[STATE_PATH];	/* a copy of it */

/* --- no call that changes a file ---------------------------------------- */

static struct sys guard;
static const struct sys *before;

static void
forbidden(const char *call)
{

	fprintf(stderr, "%s: of a store that is only read\n", call);
	abort();
}

static int
guard_openat(int fd, const char *name, int flags, mode_t mode)
{

	if ((flags & (O_CREAT | O_TRUNC | O_WRONLY | O_RDWR)) != 0)
		forbidden("openat");
	return (before->openat(fd, name, flags, mode));
}

#define FORBID(type, call, ...)						\
static type								\
guard_##call(__VA_ARGS__)						\
{									\
									\
	forbidden(#call);						\
	return (-1);							\
}
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
FORBID(ssize_t, write, int fd, const void *p, size_t len)
FORBID(ssize_t, pwritev, int fd, const struct iovec *v, int n, off_t off)
FORBID(int, fsync, int fd)
FORBID(int, fdatasync, int fd)
FORBID(int, renameat, int a, const char *p, int b, const char *q)
FORBID(int, unlinkat, int fd, const char *name, int flags)
FORBID(int, mkdirat, int fd, const char *name, mode_t mode)
FORBID(int, ftruncate, int fd, off_t len)
FORBID(int, linkat, int a, const char *p, int b, const char *q, int flags)
FORBID(int, flopenat, int fd, const char *name, int flags, mode_t mode)
#pragma GCC diagnostic pop

/* From now on every call of the store that changes a file ends the test. */
static void
guard_begin(void)
{

	before = sys;
	guard = *sys;
	guard.openat = guard_openat;
	guard.write = guard_write;
	guard.pwritev = guard_pwritev;
	guard.fsync = guard_fsync;
	guard.fdatasync = guard_fdatasync;
	guard.renameat = guard_renameat;
	guard.unlinkat = guard_unlinkat;
	guard.mkdirat = guard_mkdirat;
	guard.ftruncate = guard_ftruncate;
	guard.linkat = guard_linkat;
	guard.flopenat = guard_flopenat;
	sys = &guard;
}

static void
guard_end(void)
{

	sys = before;
}

/* --- what a store shows ------------------------------------------------- */

struct sight {
	struct buf	 text;		/* a line a conversation */
	struct buf	 told;		/* a line a problem */
	size_t		 damage;	/* problems that are damage */
	size_t		 odd;		/* others */
	int		 rc;		/* of store_open or store_each */
};

static void
on_problem(const struct store_problem *p, void *arg)
{
	struct sight *v = arg;

	buf_addf(&v->told, "%s: %s: %s\n", p->file, p->what, p->lost);
	if (p->is_damage)
		v->damage++;
	else
		v->odd++;
}

static int
on_conversation(const char *tenant, const struct conversation_view *view,
    struct item *const *items, size_t n, void *arg)
{
	struct sight *v = arg;
	size_t i;

	buf_addf(&v->text, "%s %s %ju %s %s", tenant, view->id,
	    (uintmax_t)view->version, view->user != NULL ? view->user : "-",
	    view->title != NULL ? view->title : "-");
	for (i = 0; i < n; i++) {
		buf_addf(&v->text, " %ju:", (uintmax_t)items[i]->position);
		buf_add(&v->text, items[i]->json, items[i]->len);
	}
	buf_addc(&v->text, '\n');
	return (0);
}

static void
sight_fini(struct sight *v)
{

	buf_fini(&v->text);
	buf_fini(&v->told);
	memset(v, 0, sizeof(*v));
}

static const char *
string(struct buf *b)
{

	buf_addc(b, '\0');
	b->len--;
	assert_true(buf_ok(b));
	return (b->data);
}

static int
open_only(const char *path, struct sight *v, struct store **s_r)
{
	struct store_options o = state_options(path);
	pid_t holder;

	o.read_only = true;
	o.on_problem = on_problem;
	o.problem_arg = v;
	return (store_open(&o, s_r, &holder));
}

/* What a reader sees who touches nothing. */
static struct sight
sight_of(const char *path)
{
	struct sight v = { .rc = -1 };
	struct store *s;

	guard_begin();
	if (open_only(path, &v, &s) == 0) {
		v.rc = store_each(s, NULL, on_conversation, &v);
		assert_int_equal(store_close(s), 0);
	}
	guard_end();
	return (v);
}

/* What a daemon shows that opens it. */
static struct sight
daemon_sight(const char *path)
{
	struct sight v = { .rc = 0 };
	struct store *s = state_open(path);

	v.rc = store_each(s, NULL, on_conversation, &v);
	state_close(s);
	return (v);
}

/* Names, inodes, sizes, modes and times of change, and all bytes. */
static char *
fingerprint(const char *path)
{
	struct buf b = BUF_INITIALIZER;
	char line[1024];
	FILE *f;
	size_t n, len;
	char *text;

	(void)snprintf(line, sizeof(line), "cd '%s' && find . -printf "
	    "'%%p %%i %%s %%m %%T@ %%C@\\n' | sort && "
	    "find . -type f | sort | xargs cat | md5sum", path);
	assert_non_null(f = popen(line, "r"));
	while ((n = fread(line, 1, sizeof(line), f)) > 0)
		buf_add(&b, line, n);
	assert_int_equal(pclose(f), 0);
	assert_non_null(text = buf_take(&b, &len));
	return (text);
}

/* --- stores ------------------------------------------------------------- */

/* Another process does it and ends as by kill -9. */
static void
crash(void (*work)(struct store *))
{
	pid_t pid;
	int status;

	assert_true((pid = fork()) != -1);
	if (pid == 0) {
		work(state_open(dir));
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void
nothing(struct store *s)
{

	(void)s;
}

static void
busy(struct store *s)
{
	struct tenant *t = state_tenant(s, "acme"), *u;

	assert_int_equal(state_create(s, t, "a", "u1", "key-a", NULL), 0);
	assert_int_equal(state_create(s, t, "b", NULL, NULL, NULL), 0);
	assert_int_equal(state_append(s, t, "a", "a1", "one", NULL, NULL), 0);
	assert_int_equal(state_append(s, t, "a", "a2", "two", "k2", NULL), 0);
	assert_int_equal(state_append(s, t, "b", "b1", "x", NULL, NULL), 0);
	assert_int_equal(state_append(s, t, "a", "a3", "three", NULL, NULL),
	    0);
	assert_int_equal(state_delete_item(s, t, "a", "a2"), 0);
	assert_int_equal(state_retitle(s, t, "a", "a title"), 0);
	assert_int_equal(state_create(s, t, "c", NULL, "key-c", NULL), 0);
	assert_int_equal(state_delete(s, t, "c", "del-c"), 0);
	store_tenant_put(t);
	u = state_tenant(s, "other");
	assert_int_equal(state_create(s, u, "a", NULL, NULL, NULL), 0);
	store_tenant_put(u);
}

static void
busy_and_flushed(struct store *s)
{

	busy(s);
	assert_int_equal(store_flush(s), 0);
}

static void
busy_flushed_busy(struct store *s)
{
	struct tenant *t;

	busy_and_flushed(s);
	t = state_tenant(s, "acme");
	assert_int_equal(state_append(s, t, "b", "b2", "y", "k3", NULL), 0);
	assert_int_equal(state_delete(s, t, "a", "del-a"), 0);
	assert_int_equal(state_create(s, t, "d", NULL, "key-d", NULL), 0);
	store_tenant_put(t);
}

static void (*const works[])(struct store *) = {
	nothing, busy, busy_and_flushed, busy_flushed_busy,
};
#define NWORKS	(sizeof(works) / sizeof(works[0]))

/* --- tests -------------------------------------------------------------- */

/* The reader sees what a daemon would show, and leaves no trace. */
static void
sees_all_touches_nothing(void **state)
{
	struct sight mine, daemons;
	char *print, *after;
	size_t i;

	(void)state;
	for (i = 0; i < NWORKS; i++) {
		crash(works[i]);
		state_write(dir, "tenants/.tmp", "", 0);
		print = fingerprint(dir);
		mine = sight_of(dir);
		after = fingerprint(dir);
		assert_string_equal(after, print);
		assert_int_equal(mine.rc, 0);
		assert_int_equal(mine.damage, 0);
		daemons = daemon_sight(dir);
		assert_string_equal(string(&mine.text), string(&daemons.text));
		assert_int_equal(strlen(mine.text.data) > 0, i > 0);
		free(print);
		free(after);
		sight_fini(&mine);
		sight_fini(&daemons);
		state_remove(dir);
	}
}

/* One tenant alone; what was shown is given back. */
static void
one_tenant(void **state)
{
	struct sight v = { .rc = 0 };
	struct store *s;
	struct store_stats st;
	struct tenant *t;

	(void)state;
	crash(busy_flushed_busy);
	guard_begin();
	assert_int_equal(open_only(dir, &v, &s), 0);
	assert_int_equal(store_each(s, "nobody", on_conversation, &v), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(store_each(s, "other", on_conversation, &v), 0);
	assert_non_null(strstr(string(&v.text), "other a 1 - -\n"));
	assert_null(strstr(v.text.data, "acme"));
	assert_int_equal(store_tenant_get(s, "other", 5, &t), STORE_NOENT);
	assert_int_equal(store_tenant_get(s, "acme", 4, &t), STORE_OK);
	store_stats(s, &st);
	assert_int_equal(st.tenants, 1);
	store_tenant_put(t);
	assert_int_equal(store_each(s, NULL, on_conversation, &v), 0);
	assert_non_null(strstr(string(&v.text), "acme b 3 "));
	store_stats(s, &st);
	assert_int_equal(st.tenants, 0);
	assert_int_equal(st.conversations, 0);
	assert_int_equal(st.dirty, 0);
	assert_int_equal(store_close(s), 0);
	guard_end();
	sight_fini(&v);
}

static int
stop_at_second(const char *tenant, const struct conversation_view *view,
    struct item *const *items, size_t n, void *arg)
{

	(void)tenant;
	(void)view;
	(void)items;
	(void)n;
	return (++*(int *)arg == 2 ? 7 : 0);
}

/* A visit that has enough ends the walk, of a store that is kept too. */
static void
visit_ends(void **state)
{
	struct sight v = { .rc = 0 };
	struct store *s;
	int n = 0;

	(void)state;
	crash(busy);
	assert_int_equal(open_only(dir, &v, &s), 0);
	assert_int_equal(store_each(s, NULL, stop_at_second, &n), 7);
	assert_int_equal(store_close(s), 0);
	s = state_open(dir);
	n = 0;
	assert_int_equal(store_each(s, NULL, stop_at_second, &n), 7);
	/* Nothing of it went. */
	assert_int_equal(store_each(s, NULL, on_conversation, &v), 0);
	assert_non_null(strstr(string(&v.text), "acme a "));
	assert_non_null(strstr(v.text.data, "other a "));
	state_close(s);
	sight_fini(&v);
}

struct late {
	struct store	*store;
	atomic_bool	 is_seen;	/* the item of that id */
	int		 rc;
};

static int
look_for_late(const char *tenant, const struct conversation_view *view,
    struct item *const *items, size_t n, void *arg)
{
	struct late *l = arg;
	size_t i;

	(void)tenant;
	(void)view;
	for (i = 0; i < n; i++)
		if (strcmp(items[i]->id, "late") == 0)
			atomic_store(&l->is_seen, true);
	return (0);
}

static void
each_in_thread(void *arg)
{
	struct late *l = arg;

	l->rc = store_each(l->store, NULL, look_for_late, l);
}

/* Of a store that is kept, what is not durable is not shown: it waits. */
static void
waits_for_the_disk(void **state)
{
	struct change ch = { .kind = CHANGE_ITEMS_APPEND,
	    .conversation = "b", .nitems = 1 };
	struct late l = { .rc = -1 };
	struct thread thread;
	struct item *it;
	struct outcome o;
	struct store *s;
	struct tenant *t;

	(void)state;
	crash(busy);
	s = state_open(dir);
	l.store = s;
	t = state_tenant(s, "acme");
	it = state_item("late", "late");
	ch.items = &it;
	fault_gate_close(FAULT_FDATASYNC);
	assert_int_equal(store_commit(s, t, &ch, &o), STORE_OK);
	assert_true(fault_gate_await());
	assert_int_equal(thread_start(&thread, "each", each_in_thread, &l), 0);
	/* It may take its time; what it must not do is show it. */
	(void)usleep(50 * 1000);
	assert_false(atomic_load(&l.is_seen));
	fault_gate_open();
	thread_join(&thread);
	assert_int_equal(l.rc, 0);
	assert_true(atomic_load(&l.is_seen));
	store_outcome_fini(&o);
	item_unref(it);
	store_tenant_put(t);
	state_close(s);
}

/* It takes no change, and says all that is there is durable. */
static void
takes_no_change(void **state)
{
	struct sight v = { .rc = 0 };
	struct change ch = { .kind = CHANGE_TENANT_CREATE, .tenant = "new" };
	struct outcome o;
	struct store_stats st;
	struct store *s;

	(void)state;
	crash(busy);
	guard_begin();
	assert_int_equal(open_only(dir, &v, &s), 0);
	assert_int_equal(store_commit(s, NULL, &ch, &o), STORE_SICK);
	store_stats(s, &st);
	assert_true(st.lsn > 10);
	assert_int_equal(st.lsn, st.durable);
	assert_int_equal(store_wait(s, st.lsn), STORE_OK);
	assert_int_equal(store_health(s), STORE_OK);
	assert_int_equal(store_flush(s), 0);
	assert_int_equal(store_close(s), 0);
	guard_end();
	sight_fini(&v);
}

/* Its journal goes as soon as it may. */
static void
short_of_journal(struct store *s)
{
	struct store_options o = state_options(dir);
	pid_t holder;

	state_close(s);
	o.keep_ms = 0;
	assert_int_equal(store_open(&o, &s, &holder), 0);
	busy(s);
	state_close(s);
	assert_int_equal(store_open(&o, &s, &holder), 0);
	assert_int_equal(store_flush(s), 0);
	assert_int_equal(store_flush(s), 0);
	state_close(s);
}

static void
append_to_both(struct store *s)
{
	struct tenant *t = state_tenant(s, "acme"), *u;

	assert_int_equal(state_append(s, t, "b", "b9", "x", NULL, NULL), 0);
	store_tenant_put(t);
	u = state_tenant(s, "other");
	assert_int_equal(state_append(s, u, "a", "a9", "x", NULL, NULL), 0);
	store_tenant_put(u);
}

/* The journal changes what is not there: that is all that tells of its loss. */
static void
orphans(void **state)
{
	struct sight v;
	char path[STATE_PATH + 64];

	(void)state;
	crash(short_of_journal);
	crash(append_to_both);
	v = sight_of(dir);
	assert_string_equal(string(&v.told), "");
	assert_non_null(strstr(string(&v.text), "b9"));
	sight_fini(&v);

	(void)snprintf(path, sizeof(path),
	    "%s/tenants/acme/conversations/b.json", dir);
	assert_int_equal(unlink(path), 0);
	(void)snprintf(path, sizeof(path), "%s/tenants/other", dir);
	state_remove(path);
	v = sight_of(dir);
	assert_int_equal(v.rc, 0);
	assert_int_equal(v.damage, 2);
	assert_non_null(strstr(string(&v.told), "journal: tenant acme: b has "
	    "neither a document nor a creation"));
	assert_non_null(strstr(v.told.data, "tenant other: the tenant has "));
	assert_non_null(strstr(v.told.data, ": tenant acme, b\n"));
	assert_non_null(strstr(string(&v.text), "acme a "));
	sight_fini(&v);
}

static void
append_and_delete(struct store *s)
{
	struct tenant *t = state_tenant(s, "acme");

	assert_int_equal(state_append(s, t, "b", "b9", "x", NULL, NULL), 0);
	assert_int_equal(state_append(s, t, "a", "a9", "x", NULL, NULL), 0);
	assert_int_equal(state_append(s, t, "a", "a8", "x", NULL, NULL), 0);
	assert_int_equal(state_delete(s, t, "b", NULL), 0);
	store_tenant_put(t);
}

/*
 * One was deleted, and the journal outlived its tombstone, as it does when a
 * start keeps it anew: nothing is lost.  Of another it is told once.
 */
static void
orphans_deleted(void **state)
{
	char path[STATE_PATH + 64];
	const char *told;
	struct sight v;

	(void)state;
	crash(short_of_journal);
	crash(append_and_delete);
	(void)snprintf(path, sizeof(path),
	    "%s/tenants/acme/conversations/b.json", dir);
	assert_int_equal(unlink(path), 0);
	v = sight_of(dir);
	assert_int_equal(v.rc, 0);
	assert_string_equal(string(&v.told), "");
	assert_int_equal(v.damage, 0);
	sight_fini(&v);

	(void)snprintf(path, sizeof(path),
	    "%s/tenants/acme/conversations/a.json", dir);
	assert_int_equal(unlink(path), 0);
	v = sight_of(dir);
	assert_int_equal(v.damage, 1);
	told = strstr(string(&v.told), "a has neither");
	assert_non_null(told);
	assert_null(strstr(told + sizeof("a has neither"), "neither"));
	sight_fini(&v);
}

/* What is no store is none, and stays as it is. */
static void
no_store(void **state)
{
	struct sight v;

	(void)state;
	v = sight_of(dir);
	assert_int_equal(v.rc, -1);
	assert_int_equal(mkdir(dir, 0700), 0);
	v = sight_of(dir);
	assert_int_equal(v.rc, -1);
	assert_int_equal(state_count(dir, ".", ""), 0);
}

/* --- files in motion ---------------------------------------------------- */

/*
 * A table of calls in which a file changes between two readings: the opening
 * of motion.name is counted, and as many as motion.times
 * find it gone, or with a bad byte, moving or not.
 */
static struct {
	const char	*name;
	int		 times;
	bool		 is_gone;
	bool		 is_moving;	/* another batch each time */
	const char	*unlisted;	/* passed over in as many listings */
	int		 opened;
	int		 fd;
} motion;

static int
motion_openat(int fd, const char *name, int flags, mode_t mode)
{
	int rc;

	if (motion.name == NULL || strcmp(name, motion.name) != 0)
		return (guard_openat(fd, name, flags, mode));
	if (++motion.opened <= motion.times && motion.is_gone) {
		errno = ENOENT;
		return (-1);
	}
	rc = guard_openat(fd, name, flags, mode);
	motion.fd = motion.opened <= motion.times ? rc : -1;
	return (rc);
}

static ssize_t
motion_read(int fd, void *p, size_t len)
{
	ssize_t n = before->read(fd, p, len);
	static const char *const places[] = { "key-a", "\"x\"", "key-c" };
	const char *place = places[motion.is_moving ? motion.opened % 3 : 0];
	char *at;

	if (fd == motion.fd && n > 0) {
		at = memmem(p, (size_t)n, place, strlen(place));
		assert_non_null(at);
		*at ^= 1;
		motion.fd = -1;
	}
	return (n);
}

static struct dirent *
motion_readdir(DIR *d)
{
	struct dirent *e = before->readdir(d);

	if (e == NULL || motion.unlisted == NULL || motion.times == 0 ||
	    strstr(e->d_name, motion.unlisted) == NULL)
		return (e);
	motion.times--;
	return (before->readdir(d));
}

/* The segment with the first changes. */
#define FIRST	"00000000000000000001"

static struct sight
sight_in_motion(void)
{
	struct sight v = { .rc = -1 };
	struct store *s;

	guard_begin();
	guard.openat = motion_openat;
	guard.read = motion_read;
	guard.readdir = motion_readdir;
	if (open_only(dir, &v, &s) == 0) {
		v.rc = store_each(s, NULL, on_conversation, &v);
		assert_int_equal(store_close(s), 0);
	}
	guard_end();
	memset(&motion, 0, sizeof(motion));
	return (v);
}

/* What a daemon is about to write is no damage; what stays so is. */
static void
journal_in_motion(void **state)
{
	struct sight still, v;

	(void)state;
	crash(busy);
	still = sight_of(dir);
	assert_int_equal(still.damage + still.odd, 0);

	motion.name = FIRST;
	motion.times = 1;
	v = sight_in_motion();
	assert_string_equal(string(&v.text), string(&still.text));
	assert_int_equal(v.damage + v.odd, 0);
	sight_fini(&v);

	/* At another place each time: the last reading counts. */
	motion.name = FIRST;
	motion.times = 1000;
	motion.is_moving = true;
	v = sight_in_motion();
	assert_int_equal(v.rc, 0);
	assert_int_equal(v.damage + v.odd, 0);
	sight_fini(&v);

	motion.name = FIRST;
	motion.times = 1000;
	v = sight_in_motion();
	assert_int_equal(v.rc, 0);
	assert_true(v.damage >= 1);
	assert_non_null(strstr(string(&v.told), "it has damaged places, the "
	    "first before change 3;"));
	sight_fini(&v);
	sight_fini(&still);
}

/* Segments that go meanwhile are looked for again, but not for ever. */
static void
segment_gone(void **state)
{
	struct sight still, v;

	(void)state;
	crash(busy);
	still = sight_of(dir);
	motion.name = FIRST;
	motion.is_gone = true;
	motion.times = 2;
	v = sight_in_motion();
	assert_string_equal(string(&v.text), string(&still.text));
	assert_int_equal(v.damage + v.odd, 0);
	sight_fini(&v);

	motion.name = FIRST;
	motion.is_gone = true;
	motion.times = 1000;
	v = sight_in_motion();
	assert_int_equal(v.rc, 0);
	assert_true(v.damage >= 1);
	assert_non_null(strstr(string(&v.told), "segments went while"));
	sight_fini(&v);
	sight_fini(&still);
}

/* A name that a listing passes over is there in the next; one that went is
 * no damage. */
static void
names_in_motion(void **state)
{
	char journal[STATE_PATH + 16];
	struct sight still, v;

	(void)state;
	crash(busy_and_flushed);
	/* Without the journal, which knows of it too. */
	(void)snprintf(journal, sizeof(journal), "%s/journal", dir);
	state_remove(journal);
	assert_int_equal(mkdir(journal, 0700), 0);
	still = sight_of(dir);
	motion.unlisted = "a.json";
	motion.times = 1;
	v = sight_in_motion();
	assert_string_equal(string(&v.text), string(&still.text));
	assert_int_equal(v.damage + v.odd, 0);
	sight_fini(&v);

	motion.name = "b.json";
	motion.is_gone = true;
	motion.times = 1;
	v = sight_in_motion();
	assert_int_equal(v.rc, 0);
	assert_int_equal(v.damage + v.odd, 0);
	assert_null(strstr(string(&v.text), "acme b "));
	assert_non_null(strstr(v.text.data, "acme a "));
	sight_fini(&v);
	sight_fini(&still);
}

struct count {
	size_t	 conversations;
	size_t	 items;
	size_t	 problems;
};

static int
count_conversation(const char *tenant, const struct conversation_view *view,
    struct item *const *items, size_t n, void *arg)
{
	struct count *c = arg;

	(void)tenant;
	(void)view;
	(void)items;
	c->conversations++;
	c->items += n;
	return (0);
}

static void
count_problem(const struct store_problem *p, void *arg)
{
	struct count *c = arg;

	(void)p;
	c->problems++;
}

static int
count_all(struct count *c)
{
	struct store_options o = state_options(dir);
	struct store *s;
	pid_t holder;
	int rc;

	memset(c, 0, sizeof(*c));
	o.read_only = true;
	o.on_problem = count_problem;
	o.problem_arg = c;
	guard_begin();
	if ((rc = store_open(&o, &s, &holder)) == 0) {
		rc = store_each(s, NULL, count_conversation, c);
		assert_int_equal(store_close(s), 0);
	}
	guard_end();
	return (rc);
}

static void
no_memory_anywhere(size_t conversations, size_t problems)
{
	struct count all, c;
	int n, rc, failed = 0;

	assert_int_equal(count_all(&all), 0);
	assert_int_equal(all.conversations, conversations);
	assert_int_equal(all.problems, problems);
	for (n = 1; ; n++) {
		nomem_arm(n);
		rc = count_all(&c);
		if (!nomem_fired())
			break;
		nomem_disarm();
		assert_true(c.problems <= problems);
		if (rc == -1)
			failed++;
		else
			assert_memory_equal(&c, &all, sizeof(c));
	}
	nomem_disarm();
	assert_true(failed > 20);
}

/*
 * Without memory it fails: nothing is left out, nor taken for damaged, nor is
 * damage left untold.
 */
static void
no_memory(void **state)
{
	char journal[STATE_PATH + 16];

	(void)state;
	crash(busy_flushed_busy);
	no_memory_anywhere(3, 0);
	state_write(dir, "tenants/acme/conversations/b.json", "{}", 2);
	(void)snprintf(journal, sizeof(journal), "%s/journal", dir);
	state_remove(journal);
	no_memory_anywhere(2, 2);
}

/*
 * Whichever call fails: it says so, or all is there all the same.  ENOENT is
 * left out, for that is an answer.
 */
static void
calls_fail(void **state)
{
	static const int errors[] = { EIO, EMFILE, EACCES };
	struct count all, c;
	size_t i;
	int n, rc, forever;

	(void)state;
	crash(busy_flushed_busy);
	assert_int_equal(count_all(&all), 0);
	for (i = 0; i < 4; i++) {
		forever = i == 3;
		for (n = 1; ; n++) {
			if (forever)
				fault_arm_forever(FAULT_ANY, n, EIO);
			else
				fault_arm(n, errors[i]);
			rc = count_all(&c);
			if (!fault_fired())
				break;
			fault_disarm();
			if (rc == 0 && c.problems == 0)
				assert_memory_equal(&c, &all, sizeof(c));
		}
		fault_disarm();
		assert_true(n > 20);
		assert_memory_equal(&c, &all, sizeof(c));
	}
}

/* --- a store in use ----------------------------------------------------- */

#define WRITERS		4		/* conversations */
#define PACE		1000		/* changes a look, so that a fast disk
					   does not make the store endless */

/* What the daemon acknowledged, how far it may go, whether it shall go on. */
struct shared {
	atomic_int	 acked[WRITERS];
	atomic_int	 granted;
	atomic_bool	 stop;
};

static struct shared *
share(void)
{
	struct shared *sh;

	sh = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(sh != MAP_FAILED);
	memset(sh, 0, sizeof(*sh));
	return (sh);
}

/* Appends in turn, writes documents and drops segments as it goes. */
static void
write_on(struct shared *sh)
{
	struct store_options o = state_options(dir);
	struct store *s;
	struct tenant *t;
	char id[8], item[16];
	pid_t holder;
	int i, k;

	o.flush_ms = 3;
	o.keep_ms = 2000;
	assert_int_equal(store_open(&o, &s, &holder), 0);
	t = state_tenant(s, "acme");
	for (k = 0; k < WRITERS; k++) {
		(void)snprintf(id, sizeof(id), "w%d", k);
		assert_int_equal(state_create(s, t, id, NULL, NULL, NULL), 0);
	}
	for (i = 0; !atomic_load(&sh->stop); i++) {
		while (i >= atomic_load(&sh->granted) &&
		    !atomic_load(&sh->stop))
			(void)usleep(100);
		k = i % WRITERS;
		(void)snprintf(id, sizeof(id), "w%d", k);
		(void)snprintf(item, sizeof(item), "i%d", i / WRITERS);
		assert_int_equal(state_append(s, t, id, item, item, NULL,
		    NULL), 0);
		atomic_store(&sh->acked[k], i / WRITERS + 1);
	}
	_exit(0);
}

static pid_t
daemon_begin(struct shared *sh)
{
	pid_t pid;
	int i;

	atomic_store(&sh->granted, PACE);
	assert_true((pid = fork()) != -1);
	if (pid == 0) {
		/* Whatever becomes of the test. */
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		write_on(sh);
	}
	for (i = 0; i < 20000 &&
	    atomic_load(&sh->acked[WRITERS - 1]) == 0; i++)
		(void)usleep(1000);
	assert_true(i < 20000);
	return (pid);
}

static void
daemon_end(struct shared *sh, pid_t pid)
{
	int status;

	atomic_store(&sh->stop, true);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	(void)munmap(sh, sizeof(*sh));
}

/* All that was acknowledged before, in order, without a hole. */
static void
holds(struct sight *v, const int *acked)
{
	char want[128];
	const char *end, *p;
	int i, k;

	for (k = 0; k < WRITERS; k++) {
		(void)snprintf(want, sizeof(want), "acme w%d ", k);
		assert_non_null(p = strstr(string(&v->text), want));
		assert_non_null(end = strchr(p, '\n'));
		for (i = 0; (p = strstr(p, "\"id\":\"i")) != NULL &&
		    p < end; i++) {
			p += 7;
			assert_int_equal(strtol(p, NULL, 10), i);
		}
		assert_true(i >= acked[k]);
	}
}

/* What a look must show; meanwhile the daemon goes on. */
static void
now_acked(struct shared *sh, int acked[WRITERS])
{
	int k;

	for (k = 0; k < WRITERS; k++)
		acked[k] = atomic_load(&sh->acked[k]);
	(void)atomic_fetch_add(&sh->granted, PACE);
}

/* While a daemon writes: nothing acknowledged is missing, nothing damaged. */
static void
in_use(void **state)
{
	struct shared *sh = share();
	struct sight v;
	int i, whole = 0, acked[WRITERS];
	pid_t pid;

	(void)state;
	pid = daemon_begin(sh);
	for (i = 0; i < 40; i++) {
		now_acked(sh, acked);
		v = sight_of(dir);
		assert_int_equal(v.rc, 0);
		/* A reader that is slow hears that the journal went on. */
		if (strstr(string(&v.told), "segments went") == NULL) {
			assert_string_equal(string(&v.told), "");
			holds(&v, acked);
			whole++;
		}
		sight_fini(&v);
	}
	assert_true(whole > 0);
	daemon_end(sh, pid);
}

/* A copy made meanwhile: the same, and what a daemon makes of it. */
static void
copied(void **state)
{
	struct shared *sh = share();
	struct sight v, daemons;
	int i, acked[WRITERS];
	pid_t pid;

	(void)state;
	pid = daemon_begin(sh);
	for (i = 0; i < 10; i++) {
		now_acked(sh, acked);
		state_copy(dir, side);
		v = sight_of(side);
		assert_int_equal(v.rc, 0);
		assert_int_equal(v.damage, 0);
		holds(&v, acked);
		daemons = daemon_sight(side);
		assert_string_equal(string(&v.text), string(&daemons.text));
		sight_fini(&v);
		sight_fini(&daemons);
	}
	daemon_end(sh, pid);
}

/* --- torn --------------------------------------------------------------- */

/* Each line of text stands in all. */
static void
is_part(const char *text, const char *all)
{
	const char *end;
	char *line;

	for (; *text != '\0'; text = end + 1) {
		end = strchr(text, '\n');
		assert_non_null(line = strndup(text,
		    (size_t)(end + 1 - text)));
		if (strstr(all, line) == NULL)
			fail_msg("%s is not in:\n%s", line, all);
		free(line);
	}
}

/* How many files does a daemon set aside that opens the copy? */
static size_t
daemon_finds(struct sight *v)
{
	struct store *s = state_open(side);
	struct store_stats st;

	v->rc = store_each(s, NULL, on_conversation, v);
	store_stats(s, &st);
	state_close(s);
	return (st.quarantined);
}

/*
 * Cut at every so many bytes: what a daemon would show is shown, and there is
 * damage if it would set something aside.
 */
static void
torn_file(const char *name, size_t step)
{
	struct sight v, daemons = { .rc = 0 };
	char *p;
	size_t len, at, aside;

	assert_non_null(p = state_read(dir, name, &len));
	if (len > 12000)
		len = 12000;
	for (at = 0; at < len; at += step) {
		state_copy(dir, side);
		state_write(side, name, p, at);
		v = sight_of(side);
		assert_int_equal(v.rc, 0);
		aside = daemon_finds(&daemons);
		is_part(string(&daemons.text), string(&v.text));
		if ((v.damage > 0) != (aside > 0))
			fail_msg("%s, %zu bytes: %zu set aside, but:\n%s",
			    name, at, aside, string(&v.told));
		sight_fini(&v);
		sight_fini(&daemons);
	}
	free(p);
}

static void
torn(void **state)
{
	char segment[256], once[256];

	(void)state;
	crash(busy_flushed_busy);
	assert_true(state_find(dir, "journal", "0", segment));
	torn_file(segment, 97);
	torn_file("tenants/acme/tenant.json", 61);
	torn_file("tenants/acme/conversations/a.json", 61);
	torn_file("tenants/other/conversations/a.json", 61);
	assert_true(state_find(dir, "tenants/acme/once", ".json", once));
	torn_file(once, 61);
}

/* Its store.json cut, or away: the other files say which store it is. */
static void
nameless(void **state)
{
	struct sight all, v;
	char path[STATE_PATH + 16];
	char *p;
	size_t len, at;

	(void)state;
	crash(busy_flushed_busy);
	all = sight_of(dir);
	assert_non_null(p = state_read(dir, "store.json", &len));
	for (at = 0; at < len; at += 7) {
		state_write(dir, "store.json", p, at);
		v = sight_of(dir);
		assert_int_equal(v.rc, 0);
		assert_int_equal(v.damage, 1);
		assert_non_null(strstr(string(&v.told), "store.json: "));
		assert_string_equal(string(&v.text), string(&all.text));
		sight_fini(&v);
	}
	(void)snprintf(path, sizeof(path), "%s/store.json", dir);
	assert_int_equal(unlink(path), 0);
	v = sight_of(dir);
	assert_int_equal(v.damage, 1);
	assert_string_equal(string(&v.text), string(&all.text));
	sight_fini(&v);
	sight_fini(&all);
	free(p);
}

static int
setup(void **state)
{

	(void)state;
	state_folder(dir);
	state_folder(side);
	state_remove(dir);
	state_remove(side);
	return (0);
}

static int
teardown(void **state)
{

	(void)state;
	if (sys == &guard)
		guard_end();
	nomem_disarm();
	fault_disarm();
	state_remove(dir);
	state_remove(side);
	return (0);
}

#define TEST(name)	cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(sees_all_touches_nothing),
		TEST(one_tenant),
		TEST(visit_ends),
		TEST(waits_for_the_disk),
		TEST(takes_no_change),
		TEST(orphans),
		TEST(orphans_deleted),
		TEST(no_store),
		TEST(journal_in_motion),
		TEST(segment_gone),
		TEST(names_in_motion),
		TEST(no_memory),
		TEST(calls_fail),
		TEST(in_use),
		TEST(copied),
		TEST(torn),
		TEST(nameless),
	};

	fault_init();
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
