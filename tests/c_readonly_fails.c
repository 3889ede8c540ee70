/*
 * store/readonly without memory, and with calls that fail: it says so, or all
 * is there all the same.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "store/store.h"
#include "tests/fault.h"
#include "tests/nomem.h"
#include "tests/reader.h"

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
	(void)state;
	crash_quietly(busy_flushed_busy);
	no_memory_anywhere(3, 0);
	state_write(dir, "tenants/acme/conversations/b.json", "{}", 2);
	remove_journal();
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
	crash_quietly(busy_flushed_busy);
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

static int
armed_teardown(void **state)
{

	nomem_disarm();
	return (reader_teardown(state));
}

#undef TEST
#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, armed_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(no_memory),
		TEST(calls_fail),
	};

	fault_init();
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
