#include <sys/stat.h>

#include <errno.h>
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

#include "store/store.h"
#include "tests/backedup.h"

char base[STATE_PATH];
char store[PATH_SIZE], to[PATH_SIZE], earlier[PATH_SIZE],
    again[PATH_SIZE];
char open_name[32];
static char store_id[17];

void
shell(const char *fmt, const char *a, const char *b)
{
	char line[1024];

	(void)snprintf(line, sizeof(line), fmt, a, b);
	if (system(line) != 0)
		fail_msg("%s", line);
}

bool
exists(const char *dir, const char *name)
{
	char path[PATH_SIZE * 2];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	return (access(path, F_OK) == 0);
}

struct stat
stat_of(const char *dir, const char *name)
{
	char path[PATH_SIZE * 2];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(lstat(path, &st), 0);
	return (st);
}

bool
is_shared(const char *a, const char *b, const char *name)
{

	return (stat_of(a, name).st_ino == stat_of(b, name).st_ino);
}

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

const struct backup_options *
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

void
make(const char *dir, const char *against)
{
	struct backup_report r;

	assert_int_equal(backup_make(options(dir, against), &r), 0);
	assert_true(exists(dir, BACKUP_NAME));
}

void
check_whole(const char *dir)
{

	shell("diff -r -x lock -x stray -x fifo -x " BACKUP_NAME " -x '.tmp-*' "
	    "'%s' '%s'", store, dir);
}

void
later_segment(int n, char *name)
{

	(void)snprintf(name, PATH_SIZE, "journal/077777777777777777%02d", n);
}

void
add_segment(int n, const char *p)
{
	char name[PATH_SIZE];

	later_segment(n, name);
	state_write(store, name, p, 1);
}

/* --- calls that go another way ------------------------------------------- */

struct sys table;

void
hook(void)
{

	table = sys_real;
	sys = &table;
}

ino_t
inode_of(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return (st.st_ino);
}

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

int
hook_linkat(int from, const char *a, int dest, const char *b, int flags)
{

	if (is_in(from, store)) {
		errno = EXDEV;
		return (-1);
	}
	return (sys_real.linkat(from, a, dest, b, flags));
}

/* --- setup -------------------------------------------------------------- */

int
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

int
teardown(void **state)
{

	(void)state;
	sys = &sys_real;
	state_remove(base);
	return (0);
}
