/*
 * store/stray, store/load: what is none of ours, and files where folders are
 * to be.  It is told, nothing hangs on it, and nothing of it is touched.
 */

#include <sys/stat.h>

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

#include "store/buf.h"
#include "tests/crashed.h"
#include "tests/logged.h"
#include "tests/state.h"

/* --- what is told ------------------------------------------------------- */

struct told {
	struct buf	 text;		/* a line a problem */
	size_t		 damage;	/* problems that are damage */
	size_t		 odd;		/* others */
	size_t		 tenants;
};

static void
on_problem(const struct store_problem *p, void *arg)
{
	struct told *v = arg;

	buf_addf(&v->text, "%s: %s\n", p->file, p->what);
	if (p->is_damage)
		v->damage++;
	else
		v->odd++;
}

static int
on_conversation(const char *tenant, const struct conversation_view *view,
    struct item *const *items, size_t n, void *arg)
{

	(void)tenant;
	(void)view;
	(void)items;
	(void)n;
	(void)arg;
	return (0);
}

/* What a reader is told who touches nothing. */
static struct told
told_of(void)
{
	struct store_options o = state_options(dir);
	struct told v = { .text = BUF_INITIALIZER };
	struct store_stats st;
	struct store *s;
	pid_t holder;

	o.read_only = true;
	o.on_problem = on_problem;
	o.problem_arg = &v;
	assert_int_equal(store_open(&o, &s, &holder), 0);
	store_stats(s, &st);
	v.tenants = st.tenants;
	assert_int_equal(store_each(s, NULL, on_conversation, NULL), 0);
	assert_int_equal(store_close(s), 0);
	buf_addc(&v.text, '\0');
	assert_true(buf_ok(&v.text));
	return (v);
}

/* So much is told, and each of these lines of it. */
static void
tells(size_t odd, size_t damage, const char *const *lines)
{
	struct told v = told_of();

	for (; *lines != NULL; lines++)
		if (strstr(v.text.data, *lines) == NULL)
			fail_msg("%s: not in %s", *lines, v.text.data);
	if (v.odd != odd || v.damage != damage)
		fail_msg("%zu odd, %zu damaged: %s", v.odd, v.damage,
		    v.text.data);
	buf_fini(&v.text);
}

static void
path_of(const char *name, char path[STATE_PATH + 256])
{

	(void)snprintf(path, STATE_PATH + 256, "%s/%s", dir, name);
}

static off_t
size_of(const char *name)
{
	char path[STATE_PATH + 256];
	struct stat st;

	path_of(name, path);
	assert_int_equal(lstat(path, &st), 0);
	return (st.st_size);
}

static void
make_folder(const char *name)
{
	char path[STATE_PATH + 256];

	path_of(name, path);
	assert_int_equal(mkdir(path, 0700), 0);
}

static void
make_fifo(const char *name)
{
	char path[STATE_PATH + 256];

	path_of(name, path);
	assert_int_equal(mkfifo(path, 0600), 0);
}

/* --- tenants/ ----------------------------------------------------------- */

static int
count_name(const char *name, void *arg)
{

	(void)name;
	(*(size_t *)arg)++;
	return (0);
}

static size_t
tenants_of(struct store *s)
{
	struct store_stats st;
	size_t n = 0;

	assert_int_equal(store_tenants(s, count_name, &n), 0);
	store_stats(s, &st);
	assert_int_equal(st.tenants, n);
	return (n);
}

/* The journal alone holds a tenant whose folder was made and no more. */
static void
made_beside(struct store *s)
{

	busy_and_flushed(s);
	store_tenant_put(state_tenant(s, "late"));
}

/* A file, and a folder without anything of a tenant, are none. */
static void
no_tenants(void **state)
{
	static const char *const lines[] = {
		"tenants/file: nothing of rememberd",
		"tenants/fifo: nothing of rememberd",
		"tenants/bare: nothing of rememberd",
		"tenants/notes: nothing of rememberd", NULL
	};
	char *text = crash(made_beside);
	struct told v;
	struct store *s;
	int i;

	(void)state;
	state_write(dir, "tenants/file", "kept", 4);
	make_fifo("tenants/fifo");
	make_folder("tenants/bare");
	make_folder("tenants/notes");
	state_write(dir, "tenants/notes/README", "kept", 4);
	make_folder("tenants/late");
	make_folder("tenants/lost+found");
	tells(4, 0, lines);
	v = told_of();
	assert_int_equal(v.tenants, 3);
	buf_fini(&v.text);
	for (i = 0; i < 2; i++) {
		logged_start();
		s = opens_as(text);
		assert_int_equal(tenants_of(s), 3);
		state_close(s);
		assert_int_equal(logged_times("nothing of rememberd"), 4);
	}
	tells(4, 0, lines);
	free(text);
}

/* What is damaged stays one: its file lies in quarantine, or is missing. */
static void
damaged_tenants(void **state)
{
	static const char *const lines[] = {
		"tenants/aside/tenant.json: it lies in quarantine",
		"quarantine/aside.tenant.json.1: set aside",
		"tenants/acme/tenant.json: it is missing", NULL
	};
	char path[STATE_PATH + 256];
	struct store_stats st;
	struct store *s;

	(void)state;
	free(crash(busy_and_flushed));
	drop_journal();
	path_of("tenants/acme/tenant.json", path);
	assert_int_equal(unlink(path), 0);
	make_folder("tenants/aside");
	state_write(dir, "quarantine/aside.tenant.json.1", "kept", 4);
	tells(1, 2, lines);
	/* Also who finds it there counts it. */
	s = state_open(dir);
	store_stats(s, &st);
	assert_int_equal(st.quarantined, 1);
	state_close(s);
}

/* --- everywhere else ---------------------------------------------------- */

/* Each folder has names that belong there, and tells of others. */
static void
odd_names(void **state)
{
	static const char *const files[] = {
		"notes.txt", "store.json~", "quarantine/note",
		"quarantine/note.why", "quarantine/.note.swp",
		"tenants/acme/notes", "tenants/acme/once/0-note.json",
		"tenants/acme/conversations/a.json.bak", NULL
	};
	/* These belong there, or to nobody. */
	static const char *const known[] = {
		"backup.json", "lost+found", ".tmp-0123456789abcdef",
		"quarantine/acme.once.20260131T10.json.5.why",
		"quarantine/acme.once.20260131T10.json.6.deleted",
		"quarantine/.tmp-0123456789abcdef",
		"tenants/acme/.tmp-0123456789abcdef",
		"tenants/acme/once/.tmp-0123456789abcdef",
	};
	struct store *s;
	char *text = crash(busy_and_flushed);
	size_t i;

	(void)state;
	for (i = 0; files[i] != NULL; i++)
		state_write(dir, files[i], "kept", 4);
	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		state_write(dir, known[i], "kept", 4);
	tells(8, 0, files);
	logged_start();
	s = opens_as(text);
	state_close(s);
	/* That of conversations/ says so in its own words. */
	assert_int_equal(logged_times("nothing of rememberd"), 7);
	tells(8, 0, files);
	for (i = 0; files[i] != NULL; i++)
		assert_int_equal(size_of(files[i]), 4);
	free(text);
}

/* --- in place of folders ------------------------------------------------ */

static void
make_file(const char *name)
{

	state_write(dir, name, "kept", 4);
}

static void
make_dangling(const char *name)
{
	char path[STATE_PATH + 256];

	path_of(name, path);
	assert_int_equal(symlink("nowhere", path), 0);
}

static void
move(const char *from, const char *to)
{
	char a[STATE_PATH + 256], b[STATE_PATH + 256];

	path_of(from, a);
	path_of(to, b);
	assert_int_equal(rename(a, b), 0);
}

/* The start is refused while the journal has changes for what is behind it. */
static void
is_refused(void)
{
	struct store_options o = state_options(dir);
	struct store *s;
	pid_t holder;

	logged_start();
	assert_int_equal(store_open(&o, &s, &holder), -1);
	logged_has("Not a directory");
}

/* Without such changes its tenant alone is refused. */
static void
tenant_is_refused(void)
{
	struct store *s = state_open(dir);

	assert_int_equal(store_warm(s, "acme", 4), STORE_OK);
	logged_start();
	assert_int_equal(store_warm(s, "acme", 4), STORE_SICK);
	logged_has("Not a directory");
	assert_int_equal(store_warm(s, "other", 5), STORE_OK);
	assert_int_equal(store_warm(s, "other", 5), STORE_OK);
	state_close(s);
}

/*
 * What is no folder where one is to be hides all in it: that is damage, waits
 * for nothing, and is refused until the folder is back with all that it held.
 */
static void
no_folders(void **state)
{
	static void (*const makes[])(const char *) = {
		make_file, make_fifo, make_dangling,
	};
	static const char *const names[] = {
		"tenants/acme/conversations", "tenants/acme/once",
	};
	char *text = crash(busy_flushed_busy), *now, path[STATE_PATH + 256];
	const char *lines[] = { NULL, NULL };
	char line[100];
	size_t i, j;

	(void)state;
	for (i = 0; i < sizeof(makes) / sizeof(makes[0]); i++)
		for (j = 0; j < sizeof(names) / sizeof(names[0]); j++) {
			move(names[j], "tenants/acme/away");
			makes[i](names[j]);
			is_refused();
			move("journal", "journal.away");
			make_folder("journal");
			(void)snprintf(line, sizeof(line), "%s: it cannot be "
			    "read: Not a directory", names[j]);
			lines[0] = line;
			/* Odd are the two that were moved. */
			tells(2, 1, lines);
			tenant_is_refused();
			drop_journal();
			path_of("journal", path);
			assert_int_equal(rmdir(path), 0);
			move("journal.away", "journal");
			path_of(names[j], path);
			assert_int_equal(unlink(path), 0);
			move("tenants/acme/away", names[j]);
		}
	state_close(opens_as(text));
	/* The same of the folder of all. */
	now = state_tree(dir);
	move("tenants", "away");
	make_fifo("tenants");
	is_refused();
	path_of("tenants", path);
	assert_int_equal(unlink(path), 0);
	move("away", "tenants");
	free(text);
	text = state_tree(dir);
	assert_string_equal(text, now);
	free(text);
	free(now);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(no_tenants),
		TEST(damaged_tenants),
		TEST(odd_names),
		TEST(no_folders),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
