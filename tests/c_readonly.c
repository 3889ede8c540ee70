/*
 * store/readonly and store/each: a store is read without a byte of it being
 * touched, whoever has it, and says what is wrong with it.
 */

#include <sys/mman.h>
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

/* Without memory it fails: nothing is left out, nor taken for damaged. */
static void
no_memory(void **state)
{
	struct count all, c;
	int n, rc, failed = 0;

	(void)state;
	crash(busy_flushed_busy);
	assert_int_equal(count_all(&all), 0);
	assert_int_equal(all.conversations, 3);
	for (n = 1; ; n++) {
		nomem_arm(n);
		rc = count_all(&c);
		if (!nomem_fired())
			break;
		nomem_disarm();
		assert_int_equal(c.problems, 0);
		if (rc == -1)
			failed++;
		else
			assert_memory_equal(&c, &all, sizeof(c));
	}
	assert_true(failed > 20);
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
		TEST(takes_no_change),
		TEST(no_store),
		TEST(no_memory),
	};

	fault_init();
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
