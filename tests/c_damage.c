/*
 * Every kind of damage to every kind of file: it stays small, is set aside or
 * left where it can be mended, is known of afterwards, and the rest is served
 * (promise 7); strict_recovery refuses it and touches nothing.
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
#include <xxhash.h>

#include "store/segment.h"
#include "store/sys.h"
#include "tests/crashed.h"
#include "tests/logged.h"

#define TENANT	"tenants/acme/tenant.json"

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

static void
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

static void
disk_is_good(void)
{

	sys = &sys_real;
}

/* --- what is done to a file --------------------------------------------- */

/* Room for a path in the store, and for what it is saved as. */
#define PATH	(STATE_PATH + 512)

static void
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

static void
remove_file(const char *name)
{
	char path[PATH];

	path_of(name, path);
	assert_int_equal(unlink(path), 0);
}

static void
make_folder(const char *name)
{
	char path[PATH];

	remove_file(name);
	path_of(name, path);
	assert_int_equal(mkdir(path, 0700), 0);
	/* Not even an empty one. */
	state_write(path, "x", "x", 1);
}

static void
make_fifo(const char *name)
{
	char path[PATH];

	remove_file(name);
	path_of(name, path);
	assert_int_equal(mkfifo(path, 0600), 0);
}

/* To the very document, elsewhere: a copy of the store would not have it. */
static void
make_link(const char *name)
{
	char path[PATH], to[256];

	path_of(name, path);
	(void)snprintf(to, sizeof(to), "%s/elsewhere", side);
	assert_int_equal(rename(path, to), 0);
	assert_int_equal(symlink(to, path), 0);
}

static void
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

static const struct kind {
	const char	*name;
	void		 (*damage)(const char *file);
	bool		 stays;		/* in its place: it can be mended */
} kinds[] = {
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

#define NKINDS	(sizeof(kinds) / sizeof(kinds[0]))

/* Strict, it does not open, says where, and nothing in it changes. */
static void
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

static void
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

/* The last batch is one of b. */
static void
busy_and_late(struct store *s)
{

	busy(s);
	append_to_b(s);
}

/* Strict about what is whole, in every state that a crash leaves; torn, too. */
static void
strict_about_nothing(void **state)
{
	size_t i;
	char *text;

	(void)state;
	for (i = 0; i < NWORKS; i++) {
		text = crash(works[i]);
		strict_opens(text);
		strict_opens(text);
		free(text);
		state_remove(dir);
	}
	free(crash(busy_and_late));
	damage_batch("late");
	text = crash(nothing);
	strict_opens(text);
	free(text);
}

/* The rest of a store whose acme, or its a, is damaged. */
static void
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

/* --- documents ---------------------------------------------------------- */

static void
documents(void **state)
{
	char saved[256], path[PATH];
	struct stat st;
	struct store *s;
	char *text;
	size_t i;
	int n;

	(void)state;
	text = crash(busy_and_flushed);
	drop_journal();
	(void)snprintf(saved, sizeof(saved), "%s/saved", side);
	state_copy(dir, saved);
	path_of(DOC, path);
	for (i = 0; i < NKINDS; i++) {
		state_copy(saved, dir);
		fprintf(stderr, "a document: %s\n", kinds[i].name);
		kinds[i].damage(DOC);
		strict_refuses(DOC);
		for (n = 0; n < 2; n++) {
			s = state_open(dir);
			IS(s, "a", STORE_DAMAGED);
			HAS(s, "b", 1);
			rest_is_served(s);
			state_close(s);
		}
		assert_int_equal(lstat(path, &st) == 0, kinds[i].stays);
		assert_int_equal(state_count(dir, "quarantine", ASIDE),
		    kinds[i].stays ? 0 : 2);
		disk_is_good();
		/* Mended it is served, and strict about what lies there. */
		if (kinds[i].stays)
			state_close(opens_as(text));
		else {
			s = state_open(dir);
			IS(s, "a", STORE_DAMAGED);
			free(text);
			text = state_dump(s);
			state_close(s);
			strict_opens(text);
			state_copy(saved, dir);
			s = state_open(dir);
			free(text);
			text = state_dump(s);
			state_close(s);
		}
	}
	free(text);
}

static void
tenant_json(void **state)
{
	char saved[256], path[PATH];
	struct stat st;
	struct tenant *t;
	struct store *s;
	char *text;
	size_t i;

	(void)state;
	text = crash(busy_and_flushed);
	drop_journal();
	(void)snprintf(saved, sizeof(saved), "%s/saved", side);
	state_copy(dir, saved);
	path_of(TENANT, path);
	for (i = 0; i < NKINDS; i++) {
		state_copy(saved, dir);
		fprintf(stderr, "tenant.json: %s\n", kinds[i].name);
		kinds[i].damage(TENANT);
		strict_refuses(TENANT);
		s = state_open(dir);
		(void)store_warm(s, "acme", 4);
		assert_int_equal(store_tenant_get(s, "acme", 4, &t),
		    STORE_DAMAGED);
		rest_is_served(s);
		state_close(s);
		assert_int_equal(lstat(path, &st) == 0, kinds[i].stays);
		assert_int_equal(state_count(dir, "quarantine", "tenant.json"),
		    kinds[i].stays ? 0 : 2);
		disk_is_good();
		if (kinds[i].stays)
			state_close(opens_as(text));
	}
	free(text);
}

/* What a retry would be known by is gone with it; nothing else is. */
static void
once_files(void **state)
{
	char saved[256], name[256], path[PATH];
	struct stat st;
	struct tenant *t;
	struct store *s;
	char *text;
	size_t i;

	(void)state;
	text = crash(busy_and_flushed);
	drop_journal();
	(void)snprintf(saved, sizeof(saved), "%s/saved", side);
	state_copy(dir, saved);
	assert_true(state_find(dir, "tenants/acme/once", ".json", name));
	path_of(name, path);
	for (i = 0; i < NKINDS; i++) {
		state_copy(saved, dir);
		fprintf(stderr, "once: %s\n", kinds[i].name);
		kinds[i].damage(name);
		strict_refuses(name);
		s = state_open(dir);
		rest_is_served(s);
		if (kinds[i].stays) {
			/* Else what it holds could be done twice. */
			(void)store_warm(s, "acme", 4);
			(void)store_warm(s, "acme", 4);
			assert_int_equal(store_tenant_get(s, "acme", 4, &t),
			    STORE_DAMAGED);
		} else {
			HAS(s, "a", 2);
			HAS(s, "b", 1);
		}
		state_close(s);
		assert_int_equal(lstat(path, &st) == 0, kinds[i].stays);
		disk_is_good();
		if (kinds[i].stays)
			state_close(opens_as(text));
	}
	free(text);
}

/* The journal reaches back to the creation: it is built again, whole. */
static void
rebuilt_from_any(void **state)
{
	char saved[256];
	char *text;
	size_t i;

	(void)state;
	(void)snprintf(saved, sizeof(saved), "%s/saved", side);
	for (i = 0; i < NKINDS; i++) {
		if (kinds[i].stays)
			continue;
		/* In place: a copied journal has other rules. */
		state_remove(dir);
		text = crash(busy_and_flushed);
		kinds[i].damage(DOC);
		strict_refuses(DOC);
		state_close(opens_as(text));
		disk_is_good();
		state_close(opens_as(text));
		strict_opens(text);
		free(text);
	}
}

static void
flushed_then_deleted(struct store *s)
{
	struct tenant *t;

	busy_and_flushed(s);
	t = state_tenant(s, "acme");
	assert_int_equal(state_delete(s, t, "a", NULL), STORE_OK);
	store_tenant_put(t);
}

/* A file that stays is not written over, not by a deletion either. */
static void
held_is_not_deleted(void **state)
{
	struct tenant *t;
	struct store *s;
	char *p, *q;
	size_t len;

	(void)state;
	free(crash(flushed_then_deleted));
	assert_non_null(p = state_read(dir, DOC, &len));
	disk_is_bad(DOC, EACCES, 0, 0);
	s = state_open(dir);
	IS(s, "a", STORE_DAMAGED);
	t = state_tenant(s, "acme");
	assert_int_equal(state_delete(s, t, "a", NULL), STORE_DAMAGED);
	store_tenant_put(t);
	state_close(s);
	disk_is_good();
	assert_non_null(q = state_read(dir, DOC, &len));
	assert_string_equal(p, q);
	/* Mended, it takes what the journal has for it. */
	s = state_open(dir);
	IS(s, "a", STORE_NOENT);
	state_close(s);
	free(p);
	free(q);
}

/* --- names -------------------------------------------------------------- */

/* What is none of ours is left alone wherever it is. */
static void
strangers(void **state)
{
	static const char *const files[] = {
		"notes.txt", "tenants/README", "tenants/.hidden",
		"tenants/acme/notes", "tenants/acme/conversations/a.json.bak",
		"tenants/acme/conversations/white space.json",
		"tenants/acme/conversations/..json",
		"tenants/acme/once/00000000.json",
		"tenants/acme/once/0-note.json.x", "quarantine/note",
		"journal/note", "journal/0000000000000000001",
	};
	static const char *const folders[] = {
		"own", "tenants/Upper", "tenants/acme/own", "quarantine/own",
		"tenants/acme/conversations/own", "tenants/acme/once/own",
		"journal/own", ".tmp-own", "tenants/acme/.tmp-own",
		"tenants/acme/conversations/.tmp-own", "journal/.tmp-own",
	};
	struct stat st;
	char path[PATH];
	char *text = crash(busy_flushed_busy);
	size_t i;
	int n;

	(void)state;
	for (i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		state_write(dir, files[i], "kept", 4);
	for (i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		path_of(folders[i], path);
		assert_int_equal(mkdir(path, 0700), 0);
	}
	strict_opens(text);
	for (n = 0; n < 2; n++)
		state_close(opens_as(text));
	for (i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		path_of(files[i], path);
		if (stat(path, &st) == -1 || st.st_size != 4)
			fail_msg("%s", files[i]);
	}
	for (i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		path_of(folders[i], path);
		if (stat(path, &st) == -1)
			fail_msg("%s", folders[i]);
	}
	assert_int_equal(state_count(dir, "quarantine", ".why"), 0);
	free(text);
}

/* --- edited by hand, or by a later rememberd ---------------------------- */

/* Another word in a document, under a right checksum. */
static void
reseal(const char *name, const char *was, const char *is)
{
	char *p, *at, *end, *text;
	size_t len;

	assert_non_null(p = state_read(dir, name, &len));
	assert_non_null(at = strstr(p, was));
	assert_non_null(end = strstr(p, "\"checksum\""));
	*end = '\0';
	assert_true(asprintf(&text, "%.*s%s%s", (int)(at - p), p, is,
	    at + strlen(was)) > 0);
	free(p);
	assert_true(asprintf(&p, "%s\"checksum\":\"xxh3:%016llx\"}\n", text,
	    (unsigned long long)XXH3_64bits(text, strlen(text))) > 0);
	state_write(dir, name, p, strlen(p));
	free(p);
	free(text);
}

/* A document of a later format is left alone, whatever is asked for. */
static void
newer_document(void **state)
{
	struct tenant *t;
	struct store *s;
	char *p, *q;
	size_t len, len2;
	int n;

	(void)state;
	free(crash(busy_and_flushed));
	reseal(DOC, "\"format\":1", "\"format\":2");
	assert_non_null(p = state_read(dir, DOC, &len));
	strict_refuses("format 2, this one reads up to 1");
	for (n = 0; n < 2; n++) {
		/* With a journal that could build it again, and without. */
		s = state_open(dir);
		IS(s, "a", STORE_NEWER);
		HAS(s, "b", 1);
		t = state_tenant(s, "acme");
		assert_int_equal(state_delete(s, t, "a", NULL), STORE_NEWER);
		assert_int_equal(state_append(s, t, "a", "i", "x", NULL, NULL),
		    STORE_NEWER);
		assert_int_equal(state_create(s, t, "a", NULL, NULL, NULL),
		    STORE_EXISTS);
		store_tenant_put(t);
		assert_int_equal(store_flush(s), 0);
		state_close(s);
		drop_journal();
	}
	assert_int_equal(state_count(dir, "quarantine", ASIDE), 0);
	assert_non_null(q = state_read(dir, DOC, &len2));
	assert_string_equal(p, q);
	free(p);
	free(q);
}

static void
newer_of_the_tenant(void **state)
{
	char once[256];
	const char *names[2] = { TENANT, once };
	struct tenant *t;
	struct store *s;
	char *p, *q;
	size_t len;
	int i, n;

	(void)state;
	for (i = 0; i < 2; i++) {
		state_remove(dir);
		free(crash(busy_and_flushed));
		assert_true(state_find(dir, "tenants/acme/once", ".json",
		    once));
		reseal(names[i], "\"format\":1", "\"format\":9");
		assert_non_null(p = state_read(dir, names[i], &len));
		strict_refuses("format 9");
		for (n = 0; n < 2; n++) {
			s = state_open(dir);
			(void)store_warm(s, "acme", 4);
			(void)store_warm(s, "acme", 4);
			assert_int_equal(store_tenant_get(s, "acme", 4, &t),
			    STORE_NEWER);
			rest_is_served(s);
			assert_int_equal(store_flush(s), 0);
			state_close(s);
			drop_journal();
		}
		/* Nor does the journal bring it to be read. */
		strict_refuses("format 9");
		assert_non_null(q = state_read(dir, names[i], &len));
		assert_string_equal(p, q);
		free(p);
		free(q);
	}
}

/* The checksum taken out: served, with a word, and sealed by the next flush. */
static void
edited_by_hand(void **state)
{
	struct tenant *t;
	struct store *s;
	char *text = crash(busy_and_flushed), *p, *end;
	size_t len;

	(void)state;
	drop_journal();
	assert_non_null(p = state_read(dir, DOC, &len));
	assert_non_null(end = strstr(p, ",\n\"checksum\""));
	strlcpy(end, "\n}\n", 8);
	state_write(dir, DOC, p, strlen(p));
	free(p);
	strict_opens(text);
	logged_start();
	s = opens_as(text);
	logged_has("no checksum");
	t = state_tenant(s, "acme");
	assert_int_equal(state_retitle(s, t, "a", "new"), STORE_OK);
	store_tenant_put(t);
	state_close(s);
	logged_start();
	s = state_open(dir);
	HAS(s, "a", 2);
	logged_has_not("no checksum");
	state_close(s);
	free(text);
}

/* --- the journal -------------------------------------------------------- */

/* What stands by a segment's name but is none moves aside. */
static void
odd_segments(void **state)
{
	static void (*const odd[])(const char *) = {
		make_folder, make_fifo, make_link, make_dangling,
	};
	const char *name = "journal/00000000000000000700";
	char *text = crash(busy_flushed_busy);
	struct store_stats st;
	struct store *s;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		state_write(dir, name, "x", 1);
		odd[i](name);
		strict_refuses(name);
		s = opens_as(text);
		/* The name was given out, all the same. */
		store_stats(s, &st);
		assert_true(st.lsn >= 699);
		state_close(s);
	}
	assert_int_equal(state_count(dir, "quarantine", ".why"), 4);
	free(text);
}

/* A later format of the journal refuses the start, and so do missing rights. */
static void
refused_segments(void **state)
{
	struct store_options o = state_options(dir);
	char name[256], sum[32];
	struct store *s;
	char *text = crash(busy_flushed_busy), *p, *at, *before, *after;
	size_t len;
	pid_t holder;

	(void)state;
	assert_true(state_find(dir, "journal", "0000", name));
	disk_is_bad(name, EACCES, 0, 0);
	logged_start();
	assert_int_equal(store_open(&o, &s, &holder), -1);
	logged_has(name);
	disk_is_good();
	state_close(opens_as(text));

	state_remove(dir);
	free(text);
	text = crash(busy_flushed_busy);
	assert_true(state_find(dir, "journal", "0000", name));
	assert_non_null(p = state_read(dir, name, &len));
	at = memmem(p, SEGMENT_HEADER, "\"format\":1", 10);
	at[9] = '2';
	(void)snprintf(sum, sizeof(sum), "%016jx",
	    (uintmax_t)XXH3_64bits(p, SEGMENT_HEADER - 26));
	memcpy(p + SEGMENT_HEADER - 26 + 7, sum, 16);
	state_write(dir, name, p, len);
	before = state_tree(dir);
	logged_start();
	assert_int_equal(store_open(&o, &s, &holder), -1);
	logged_has("it was written by a newer rememberd: format 2, this one "
	    "reads up to 1");
	after = state_tree(dir);
	assert_string_equal(before, after);
	strict_refuses("format 2");
	free(before);
	free(after);
	free(text);
	free(p);
}

#define LARGE	6000

static void
large_appends(struct store *s)
{
	struct tenant *t = state_tenant(s, "acme");
	char text[LARGE + 1], id[8];
	int i;

	assert_int_equal(state_create(s, t, "a", NULL, NULL, NULL), 0);
	assert_int_equal(state_create(s, t, "b", NULL, NULL, NULL), 0);
	for (i = 0; i < 4; i++) {
		memset(text, 'k' + i, LARGE);
		text[LARGE] = '\0';
		(void)snprintf(id, sizeof(id), "i%d", i);
		assert_int_equal(state_append(s, t, "a", id, text, NULL, NULL),
		    0);
	}
	assert_int_equal(state_append(s, t, "b", "b1", "x", NULL, NULL), 0);
	store_tenant_put(t);
}

/* A sector is gone: what it cut off is damaged, what can be read is served;
 * and when the disk gives it again all is there. */
static void
sick_sector(void **state)
{
	char name[256], at[8];
	struct store *s;
	char *text = crash(large_appends), *p, *q;
	size_t len;

	(void)state;
	assert_true(state_find(dir, "journal", "0000", name));
	assert_non_null(p = state_read(dir, name, &len));
	memset(at, 'l', sizeof(at));
	assert_non_null(q = memmem(p, len, at, sizeof(at)));
	disk_is_bad(name, 0, q - p + 100, q - p + 101);
	free(p);
	strict_refuses("the disk does not give 4096 bytes");
	s = state_open(dir);
	IS(s, "a", STORE_DAMAGED);
	HAS(s, "b", 1);
	state_close(s);
	assert_int_equal(state_count(dir, "quarantine",
	    strrchr(name, '/') + 1), 2);
	disk_is_good();
	s = opens_as(text);
	HAS(s, "a", 4);
	state_close(s);
	free(text);
}

static void
two_more(struct store *s)
{
	struct tenant *t = state_tenant(s, "acme");
	struct conversation_view v;
	char id[16];
	int i;

	assert_int_equal(look(s, "a", &v), STORE_OK);
	for (i = 0; i < 2; i++) {
		(void)snprintf(id, sizeof(id), "m%d-%d", (int)v.version, i);
		assert_int_equal(state_append(s, t, "a", id, id, NULL, NULL),
		    0);
	}
	store_view_fini(&v);
	store_tenant_put(t);
}

/* A segment is missing: the versions tell, and nothing else is lost. */
static void
missing_segment(void **state)
{
	char first[256], middle[256];
	struct store *s;

	(void)state;
	free(crash(large_appends));
	assert_true(state_find(dir, "journal", "0000", first));
	free(crash(two_more));
	free(crash(two_more));
	/* The one in between, whose last batch stands in the next, too. */
	assert_true(state_find(dir, "journal", "00000000000008", middle) ||
	    state_find(dir, "journal", "00000000000009", middle));
	assert_string_not_equal(first, middle);
	remove_file(middle);
	strict_refuses("acme: a: what follows");
	s = state_open(dir);
	IS(s, "a", STORE_DAMAGED);
	HAS(s, "b", 1);
	state_close(s);
	s = state_open(dir);
	IS(s, "a", STORE_DAMAGED);
	state_close(s);
}

static int
good_teardown(void **state)
{

	disk_is_good();
	return (teardown(state));
}

#undef TEST
#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, good_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(strict_about_nothing),
		TEST(documents),
		TEST(tenant_json),
		TEST(once_files),
		TEST(rebuilt_from_any),
		TEST(held_is_not_deleted),
		TEST(strangers),
		TEST(newer_document),
		TEST(newer_of_the_tenant),
		TEST(edited_by_hand),
		TEST(odd_segments),
		TEST(refused_segments),
		TEST(sick_sector),
		TEST(missing_segment),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
