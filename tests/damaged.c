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

#include "store/sys.h"
#include "tests/damaged.h"
#include "tests/logged.h"

/* --- a disk that is bad in one place ------------------------------------ */

/* Files whose path ends so cannot be opened, or not be read from bad_from to
 * bad_to. */
static const char *bad_path;
static int bad_open;			/* errno, or 0 */
static off_t bad_from, bad_to;
static struct sys bad;

static bool
ends(const char *path, const char *end)
{
	size_t n = strlen(path), m = strlen(end);

	return (n >= m && strcmp(path + n - m, end) == 0);
}

/* Is it what fd is open on, or the name in the folder that fd is open on? */
static bool
is_bad(int fd, const char *name)
{
	char link[32], path[512];
	ssize_t n;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	if ((n = readlink(link, path, sizeof(path) - 1)) == -1)
		return (false);
	path[n] = '\0';
	if (name != NULL) {
		strlcat(path, "/", sizeof(path));
		strlcat(path, name, sizeof(path));
	}
	return (ends(path, bad_path));
}

static int
bad_openat(int fd, const char *name, int flags, mode_t mode)
{

	if (bad_open != 0 && is_bad(fd, name)) {
		errno = bad_open;
		return (-1);
	}
	return (sys_real.openat(fd, name, flags, mode));
}

static ssize_t
bad_read(int fd, void *p, size_t len)
{

	if (bad_open == 0 && is_bad(fd, NULL)) {
		errno = EIO;
		return (-1);
	}
	return (sys_real.read(fd, p, len));
}

static ssize_t
bad_pread(int fd, void *p, size_t len, off_t off)
{

	if (off < bad_to && off + (off_t)len > bad_from &&
	    is_bad(fd, NULL)) {
		errno = EIO;
		return (-1);
	}
	return (sys_real.pread(fd, p, len, off));
}

void
disk_is_bad(const char *path, int error, off_t from, off_t to)
{

	bad = sys_real;
	bad.openat = bad_openat;
	bad.read = bad_read;
	bad.pread = bad_pread;
	bad_path = path;
	bad_open = error;
	bad_from = from;
	bad_to = to;
	sys = &bad;
}

void
disk_is_good(void)
{

	sys = &sys_real;
}

/* --- what is done to a file --------------------------------------------- */

void
path_of(const char *name, char path[PATH])
{

	(void)snprintf(path, PATH, "%s/%s", dir, name);
}

static void
cut_to(const char *name, size_t num, size_t of)
{
	size_t len;
	char *p = state_read(dir, name, &len);

	assert_non_null(p);
	state_write(dir, name, p, len * num / of);
	free(p);
}

static void
make_empty(const char *name)
{

	cut_to(name, 0, 1);
}

static void
make_half(const char *name)
{

	cut_to(name, 1, 2);
}

void
remove_file(const char *name)
{
	char path[PATH];

	path_of(name, path);
	assert_int_equal(unlink(path), 0);
}

void
make_folder(const char *name)
{
	char path[PATH];

	remove_file(name);
	path_of(name, path);
	assert_int_equal(mkdir(path, 0700), 0);
	/* Not even an empty one. */
	state_write(path, "x", "x", 1);
}

void
make_fifo(const char *name)
{
	char path[PATH];

	remove_file(name);
	path_of(name, path);
	assert_int_equal(mkfifo(path, 0600), 0);
}

void
make_link(const char *name)
{
	char path[PATH], to[256];

	path_of(name, path);
	(void)snprintf(to, sizeof(to), "%s/elsewhere", side);
	assert_int_equal(rename(path, to), 0);
	assert_int_equal(symlink(to, path), 0);
}

void
make_dangling(const char *name)
{
	char path[PATH];

	remove_file(name);
	path_of(name, path);
	assert_int_equal(symlink("nowhere", path), 0);
}

/* The same file of the other tenant. */
static void
make_foreign(const char *name)
{
	char from[256];
	size_t len;
	char *p;

	(void)snprintf(from, sizeof(from), "tenants/other/%s",
	    strstr(name, "acme/") + 5);
	if ((p = state_read(dir, from, &len)) == NULL)
		p = state_read(dir, "tenants/other/tenant.json", &len);
	state_write(dir, name, p, len);
	free(p);
}

static void
make_b(const char *name)
{
	size_t len;
	char *p = state_read(dir, "tenants/acme/conversations/b.json", &len);

	state_write(dir, name, p, len);
	free(p);
}

static void
make_unreadable(const char *name)
{

	disk_is_bad(name, 0, 0, 1 << 30);
}

static void
make_forbidden(const char *name)
{

	disk_is_bad(name, EACCES, 0, 0);
}

const struct kind kinds[NKINDS] = {
	{ "empty", make_empty, false },
	{ "half", make_half, false },
	{ "a bit", break_file, false },
	{ "a folder", make_folder, false },
	{ "a fifo", make_fifo, false },
	{ "a link", make_link, false },
	{ "a link to nothing", make_dangling, false },
	{ "of another tenant", make_foreign, false },
	{ "of another conversation", make_b, false },
	{ "EIO", make_unreadable, false },
	{ "EACCES", make_forbidden, true },
};

char *
flush_and_save(char saved[PATH])
{
	char *text = crash(busy_and_flushed);

	drop_journal();
	(void)snprintf(saved, PATH, "%s/saved", side);
	state_copy(dir, saved);
	return (text);
}

bool
stands(const char *name)
{
	char path[PATH];
	struct stat st;

	path_of(name, path);
	return (lstat(path, &st) == 0);
}

/* --- what comes of it --------------------------------------------------- */

void
strict_refuses(const char *what)
{
	struct store_options o = state_options(dir);
	struct store *s;
	char *before, *after;
	pid_t holder;

	o.strict_recovery = true;
	before = state_tree(dir);
	logged_start();
	assert_int_equal(store_open(&o, &s, &holder), -1);
	logged_has(what);
	after = state_tree(dir);
	assert_string_equal(before, after);
	free(before);
	free(after);
}

void
strict_opens(const char *text)
{
	struct store_options o = state_options(dir);
	struct store *s;
	char *now;
	pid_t holder;

	o.strict_recovery = true;
	assert_int_equal(store_open(&o, &s, &holder), 0);
	now = state_dump(s);
	assert_string_equal(now, text);
	free(now);
	state_close(s);
}

void
rest_is_served(struct store *s)
{
	struct tenant *t = state_tenant(s, "other");
	struct conversation_view v;
	uint64_t lsn;

	assert_int_equal(store_conversation(t, "a", NULL, &v, &lsn),
	    STORE_OK);
	store_view_fini(&v);
	store_tenant_put(t);
}

int
damaged_teardown(void **state)
{

	disk_is_good();
	return (teardown(state));
}
