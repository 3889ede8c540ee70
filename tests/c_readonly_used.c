/*
 * store/readonly of a store in use, and of a copy made meanwhile: nothing that
 * was acknowledged is missing, and nothing is taken for damage.
 */

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

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

#include <cmocka.h>

#include "store/store.h"
#include "tests/reader.h"

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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(in_use),
		TEST(copied),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
