/* fcgi/worker: every request counts once, as what became of it. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "fcgi/worker_internal.h"
#include "pool.h"
#include "store/sys.h"

/* Wait until a counter of the one worker, which its thread moves, is n. */
static void
await_count(const uint64_t *counter, uint64_t n)
{
	int64_t end = sys_monotonic_ms() + TIMEOUT_MS;

	while (counter_read(counter) != n) {
		assert_true(sys_monotonic_ms() < end);
		usleep(1000);
	}
}

/* Every request counts once, as answered or as dropped, and is in hand in one
 * state until then. */
static void
requests_are_counted(void **state)
{
	const unsigned int post = (unsigned int)__builtin_ctz(METHOD_POST);
	struct tally *t = &edge.tallies->v[0];
	struct client *c = dial(), *gone = dial();
	struct histogram took = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < 3; i++)
		assert_served(c, "x");
	send_to(c, "/change/5", "later");
	await_count(&t->in_hand[PARKED], 1);
	send_to(gone, "/change/5", "never");
	await_count(&t->in_hand[PARKED], 2);
	assert_int_equal(counter_read(&t->open), 2);
	client_close(gone);
	await_count(&t->in_hand[PARKED], 1);
	await_count(&t->dropped, 1);
	usleep(20000);
	move(5, STORE_OK);
	assert_reply(c, 200, "later");
	await_count(&t->in_hand[WRITING], 0);
	client_close(c);
	await_count(&t->open, 0);

	for (i = 0; i < TALLY_STATES; i++)
		assert_int_equal(counter_read(&t->in_hand[i]), 0);
	assert_int_equal(counter_read(
	    &t->requests[0][post][reply_place(200)]), 4);
	histogram_merge(&took, &t->duration_us[0][post]);
	assert_int_equal(histogram_count(&took), 4);
	/* One of them waited, and the histogram says so. */
	assert_true(took.sum >= 20000);
	assert_int_equal(counter_read(&t->dropped), 1);
	assert_int_equal(counter_read(&t->accepted), 2);
	assert_true(counter_read(&t->received) > 5 * 16);
	assert_true(counter_read(&t->sent) > 4 * 16);
	for (i = 0; i < REFUSALS; i++)
		assert_int_equal(counter_read(&t->refused[i]), 0);
}

/* Dropped in a helper's hands, it is counted once and is in hand until it
 * comes back. */
static void
dropped_while_away(void **state)
{
	struct tally *t = &edge.tallies->v[0];
	struct client *c = dial();
	const char *body = large_body();

	(void)state;
	is_shut = true;
	send_to(c, "/away", body);
	await_count(&t->in_hand[AWAY], 1);
	client_close(c);
	await_count(&t->dropped, 1);
	assert_int_equal(counter_read(&t->in_hand[AWAY]), 1);
	is_shut = false;
	await_count(&t->in_hand[AWAY], 0);
	assert_int_equal(counter_read(&t->dropped), 1);
}

/* Why a change was refused is counted, by status and code. */
static void
refusals_are_counted(void **state)
{
	struct tally *t = &edge.tallies->v[0];
	struct client *c = dial();

	(void)state;
	send_to(c, "/change/4", "lost");
	await_count(&t->in_hand[PARKED], 1);
	move(3, STORE_SICK);
	assert_reply(c, 503, "outcome_unknown");
	await_count(&t->refused[REFUSED_OUTCOME_UNKNOWN], 1);
	move(4, STORE_OK);
	send_to(c, "/never", "x");
	assert_reply(c, 503, "busy");
	await_count(&t->refused[REFUSED_BUSY], 1);
	assert_int_equal(client_send_request(c, "GET", "/never", NULL, "",
	    0), 0);
	assert_reply(c, 503, "busy");
	await_count(&t->requests[0][0][reply_place(503)], 1);
	assert_int_equal(counter_read(&t->refused[REFUSED_BUSY]), 1);
	client_close(c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(requests_are_counted), TEST(dropped_while_away),
		TEST(refusals_are_counted)
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
