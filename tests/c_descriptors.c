/*
 * store/sys's reserve: with every descriptor in use, as connections use them,
 * the journal rotates, documents are written and tenants are loaded all the
 * same (promise 8), and afterwards the reserve is there again.
 */

#include <sys/resource.h>

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/store.h"
#include "store/sys.h"
#include "tests/state.h"

/* As many as there are in all, while they are used up. */
#define FILES	64

static char dir[STATE_PATH];
static struct store *s;
static struct rlimit before;
static int used[FILES];
static int nused;

/* Take every descriptor there is. */
static void
use_up(void)
{
	struct rlimit low = before;
	int fd;

	low.rlim_cur = FILES;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	while ((fd = open("/dev/null", O_RDONLY | O_CLOEXEC)) != -1)
		used[nused++] = fd;
	assert_int_equal(errno, EMFILE);
}

static void
give_back(void)
{
	while (nused > 0)
		close(used[--nused]);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

/* A spare segment made later would keep a descriptor of the reserve. */
static void
open_it(void)
{
	struct store_options o = state_options(dir);
	struct store_stats st;
	pid_t holder;
	int i;

	o.journal_segment = 4096;
	o.keep_ms = 0;
	assert_int_equal(store_open(&o, &s, &holder), 0);
	st.reserve_error = EAGAIN;
	for (i = 0; i < 1000 && st.reserve_error != 0; i++) {
		store_stats(s, &st);
		(void)usleep(1000);
	}
	assert_int_equal(st.reserve_error, 0);
}

/* How many does the reserve give? */
static int
spare(void)
{
	int fd[3], n = 0, i;

	while (n < 3 && (fd[n] = sys_real.openat(AT_FDCWD, "/dev/null",
	    O_RDONLY | O_CLOEXEC, 0)) != -1)
		n++;
	for (i = 0; i < n; i++)
		sys_real.close(fd[i]);
	return (n);
}

static void
reserve(void **state)
{
	int i;

	(void)state;
	sys_reserve();
	sys_reserve();
	use_up();
	for (i = 0; i < 3; i++)
		assert_int_equal(spare(), 2);
	/* As long as one of two wants it. */
	sys_release();
	assert_int_equal(spare(), 2);
	sys_release();
	/* Given back: they are anybody's, and nobody takes them again. */
	use_up();
	assert_int_equal(spare(), 0);
	sys_reserve();
	assert_int_equal(spare(), 0);
	/* The next close gets what could not be had. */
	give_back();
	assert_int_equal(spare(), 3);
	use_up();
	assert_int_equal(spare(), 2);
	sys_release();
}

static int
pass_over(const char *name, void *arg)
{
	(void)name;
	(void)arg;
	return (0);
}

/* What a folder's listing needed is taken back before others can have it. */
static void
lists(void **state)
{
	int fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)state;
	assert_true(fd != -1);
	sys_reserve();
	use_up();
	assert_int_equal(sys_eachname(fd, pass_over, NULL), 0);
	use_up();
	assert_int_equal(spare(), 2);
	sys_release();
	close(fd);
}

/* When the thread that makes the spare segment has what it needs. */
static void
await_spare(int n)
{
	int i;

	for (i = 0; i < 1000 && spare() != n; i++)
		(void)usleep(10 * 1000);
	assert_true(i < 1000);
}

/* That thread may have what is in reserve just now. */
static void
flush_soon_enough(void)
{
	int i;

	for (i = 0; i < 1000 && store_flush(s) == -1; i++)
		(void)usleep(10 * 1000);
	assert_true(i < 1000);
}

static void
rotates_and_flushes(void **state)
{
	struct credential credential = { .id = "key_1" };
	struct change key = { .kind = CHANGE_APIKEY_ADD,
	    .credential = &credential };
	struct tenant *t;
	char id[16];
	int i;

	(void)state;
	open_it();
	t = state_tenant(s, "acme");
	assert_int_equal(state_create(s, t, "a", NULL, NULL, NULL), 0);
	assert_int_equal(store_flush(s), 0);
	use_up();
	/* Three folders in one round. */
	assert_int_equal(state_create(s, t, "b", NULL, "k", NULL), 0);
	assert_int_equal(state_commit(s, t, &key, NULL), 0);
	flush_soon_enough();
	/* Each fills some segments, and they are taken away again. */
	for (i = 0; i < 40; i++) {
		(void)snprintf(id, sizeof(id), "i%d", i);
		assert_int_equal(state_append(s, t, "a", id,
		    "some text that helps to fill a segment", NULL, NULL), 0);
		if (i % 10 == 9)
			flush_soon_enough();
	}
	await_spare(2);
	store_tenant_put(t);
	state_close(s);
}

static void
loads(void **state)
{
	struct tenant *t;

	(void)state;
	open_it();
	t = state_tenant(s, "acme");
	assert_int_equal(state_create(s, t, "a", NULL, "k", NULL), 0);
	assert_int_equal(store_flush(s), 0);
	store_tenant_put(t);
	state_close(s);
	open_it();
	use_up();
	assert_int_equal(store_warm(s, "acme", 4), STORE_OK);
	assert_int_equal(store_warm(s, "acme", 4), STORE_OK);
	assert_int_equal(store_tenant_get(s, "acme", 4, &t), STORE_OK);
	assert_int_equal(state_append(s, t, "a", "i", "x", NULL, NULL), 0);
	await_spare(2);
	store_tenant_put(t);
	state_close(s);
}

static int
setup(void **state)
{
	(void)state;
	state_folder(dir);
	return (getrlimit(RLIMIT_NOFILE, &before));
}

static int
teardown(void **state)
{
	(void)state;
	give_back();
	state_remove(dir);
	return (0);
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(reserve),
		TEST(lists),
		TEST(rotates_and_flushes),
		TEST(loads),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
