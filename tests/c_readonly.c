/*
 * store/readonly and store/each: a store is read without a byte of it being
 * touched, whoever has it.
 */

#include <sys/stat.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/lock.h"
#include "store/store.h"
#include "tests/fault.h"
#include "tests/reader.h"

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

/* The reader sees what a daemon would show, and leaves no trace. */
static void
sees_all_touches_nothing(void **state)
{
	struct sight mine, daemons;
	char *print, *after;
	size_t i;

	(void)state;
	for (i = 0; i < NWORKS; i++) {
		crash_quietly(works[i]);
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
	crash_quietly(busy_flushed_busy);
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
	crash_quietly(busy);
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
	crash_quietly(busy);
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
	crash_quietly(busy);
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(sees_all_touches_nothing),
		TEST(one_tenant),
		TEST(visit_ends),
		TEST(waits_for_the_disk),
		TEST(takes_no_change),
		TEST(no_store),
	};

	fault_init();
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
