/*
 * fcgi/worker: what waits for the journal is parked and blocks nobody, and is
 * told the truth when the journal breaks or hangs.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "pool.h"

static void
parked_blocks_nobody(void **state)
{
	struct client *parked[20], *c = dial();
	int i;

	(void)state;
	for (i = 0; i < 20; i++) {
		parked[i] = dial();
		send_to(parked[i], "/change/10", "parked");
	}
	await(&calls, 20);
	for (i = 0; i < 100; i++)
		assert_served(c, "free");
	for (i = 0; i < 20; i++)
		assert_true(is_silent(parked[i], 0));
	move(10, STORE_OK);
	for (i = 0; i < 20; i++) {
		assert_reply(parked[i], 200, "parked");
		client_close(parked[i]);
	}
	client_close(c);
}

/* Lower lsns go first, in whatever order they came. */
static void
parked_in_order(void **state)
{
	static const char *const uris[] = { "/change/12", "/read/11",
	    "/change/13", "/change/11", "/read/14", "/change/10" };
	static const int at[] = { 12, 11, 13, 11, 14, 10 };
	struct client *c[6];
	int i, lsn;

	(void)state;
	for (i = 0; i < 6; i++) {
		c[i] = dial();
		send_to(c[i], uris[i], "x");
		await(&calls, (unsigned int)i + 1);
	}
	for (lsn = 10; lsn <= 14; lsn++) {
		move((uint64_t)lsn, STORE_OK);
		for (i = 0; i < 6; i++) {
			if (at[i] == lsn)
				assert_reply(c[i], 200, "x");
			else if (at[i] > lsn)
				assert_true(is_silent(c[i], 5));
		}
	}
	for (i = 0; i < 6; i++)
		client_close(c[i]);
}

/* What was not safe when the journal broke is not claimed; reads go on. */
static void
journal_breaks(void **state)
{
	struct client *safe = dial(), *change = dial(), *read = dial();

	(void)state;
	send_to(safe, "/change/3", "safe");
	send_to(change, "/change/4", "lost");
	send_to(read, "/read/4", "seen");
	await(&calls, 3);
	move(3, STORE_SICK);
	assert_reply(safe, 200, "safe");
	assert_reply(change, 503, "outcome_unknown");
	/* It was run again, and shown what is durable. */
	assert_reply(read, 200, "seen");
	assert_int_equal(calls, 4);
	/* While it lasts nothing waits, and nothing is run twice. */
	send_to(safe, "/read/3", "seen");
	assert_reply(safe, 200, "seen");
	send_to(read, "/read/4", "seen");
	assert_reply(read, 200, "seen");
	assert_int_equal(calls, 6);
	send_to(change, "/change/4", "lost");
	assert_reply(change, 503, "outcome_unknown");
	move(4, STORE_OK);
	send_to(read, "/read/4", "seen");
	assert_reply(read, 200, "seen");
	client_close(safe);
	client_close(change);
	client_close(read);
}

/* A disk that hangs: nobody waits longer than a request may. */
static void
sync_hangs(void **state)
{
	struct client *change, *get, *head, *refused, *more;

	(void)state;
	restart_with_timeout(200);
	change = dial();
	get = dial();
	head = dial();
	refused = dial();
	more = dial();
	move(3, STORE_OK);
	ask_with(more, "GET", "/read/3");
	assert_reply(more, 200, "x");
	assert_int_equal(calls, 1);
	ask_with(change, "POST", "/change/4");
	ask_with(get, "GET", "/read/4");
	ask_with(head, "HEAD", "/read/4");
	/* Refused for what is not durable: it is no reader. */
	ask_with(refused, "POST", "/read/4");
	assert_reply(change, 503, "outcome_unknown");
	assert_reply(get, 200, "x");
	assert_reply(head, 200, "");
	assert_reply(refused, 503, "storage_unavailable");
	assert_int_equal(late_lsn, 4);
	assert_int_equal(calls, 7);
	/* From now on reads do not wait at all; changes do. */
	ask_with(get, "GET", "/read/4");
	assert_reply(get, 200, "x");
	assert_int_equal(calls, 8);
	client_close(change);
	client_close(get);
	restart_with_timeout(60000);
	change = dial();
	get = dial();
	ask_with(change, "POST", "/change/5");
	await(&calls, 9);
	move(5, STORE_OK);
	assert_reply(change, 200, "x");
	/* It is as before. */
	ask_with(get, "GET", "/read/6");
	await(&calls, 10);
	assert_true(is_silent(get, 5));
	move(6, STORE_OK);
	assert_reply(get, 200, "x");
	assert_int_equal(calls, 10);
	client_close(change);
	client_close(get);
	client_close(head);
	client_close(refused);
	client_close(more);
}

/* Many that are run again do not keep others from their turn. */
static void
run_again_in_turns(void **state)
{
	struct client *slow[50], *other = dial();
	int i;

	(void)state;
	assert_served(other, "x");
	for (i = 0; i < 50; i++) {
		slow[i] = dial();
		ask_with(slow[i], "GET", "/slow/4");
	}
	await(&calls, 51);
	is_shut = true;
	move(0, STORE_SICK);
	/* One is being run, for longer than a turn. */
	await(&calls, 52);
	send_to(other, "/echo", "x");
	usleep(30000);
	is_shut = false;
	assert_reply(other, 200, "x");
	assert_true(calls_at_echo < 101);
	for (i = 0; i < 50; i++) {
		assert_reply(slow[i], 200, "x");
		client_close(slow[i]);
	}
	assert_int_equal(calls, 102);
	client_close(other);
}

/* Durable, but nobody was woken yet: what is known to be safe is said. */
static void
late_but_durable(void **state)
{
	struct client *c;

	(void)state;
	restart_with_timeout(200);
	c = dial();
	ask_with(c, "POST", "/change/4");
	await(&calls, 1);
	move_untold(4);
	assert_reply(c, 200, "x");
	client_close(c);
}

/* Who began first is late first, whatever he waited for in between. */
static void
late_in_order(void **state)
{
	struct client *one, *two;

	(void)state;
	restart_with_timeout(2000);
	one = dial();
	two = dial();
	is_shut = true;
	ask_with(one, "GET", "/thaw/4");
	await(&warmed, 1);
	usleep(5000);
	ask_with(two, "GET", "/read/5");
	await(&calls, 2);
	is_warm = true;
	is_shut = false;
	assert_reply(one, 200, "x");
	assert_reply(two, 200, "x");
	assert_int_equal(first_late, 4);
	client_close(one);
	client_close(two);
}

static void
abort_while_parked(void **state)
{
	struct client *c = dial();

	(void)state;
	send_to(c, "/change/1", "x");
	await(&calls, 1);
	assert_int_equal(client_send_record(c, FCGI_ABORT_REQUEST, 1, NULL, 0),
	    0);
	assert_ended(c);
	move(1, STORE_OK);
	assert_true(is_silent(c, 20));
	assert_served(c, "again");
	client_close(c);
}

static void
gone_while_parked(void **state)
{
	struct client *c = dial(), *other = dial();

	(void)state;
	send_to(c, "/change/1", "x");
	await(&calls, 1);
	client_close(c);
	assert_served(other, "x");
	move(1, STORE_OK);
	assert_served(other, "x");
	client_close(other);
}

static void
busy(void **state)
{
	struct client *c = dial(), *gone = dial(), *other = dial();

	(void)state;
	is_busy = true;
	send_to(c, "/busy", "in");
	send_to(gone, "/busy", "in");
	await(&calls, 2);
	client_close(gone);
	assert_served(other, "x");
	is_busy = false;
	move(1, STORE_OK);
	assert_reply(c, 200, "in");

	/* Not for ever. */
	is_busy = true;
	send_to(c, "/busy", "in");
	assert_reply(c, 503, "busy");
	client_close(other);
	client_close(c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(parked_blocks_nobody), TEST(parked_in_order),
		TEST(journal_breaks), TEST(sync_hangs),
		TEST(run_again_in_turns), TEST(late_but_durable),
		TEST(late_in_order), TEST(abort_while_parked),
		TEST(gone_while_parked), TEST(busy)
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
