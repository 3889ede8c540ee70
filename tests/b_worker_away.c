/*
 * fcgi/worker: what may block, or takes long to read, is done by a helper, and
 * the loop serves others meanwhile.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "pool.h"

static void
cold(void **state)
{
	struct client *c = dial(), *other = dial();

	(void)state;
	is_shut = true;
	send_to(c, "/cold", "thaw");
	await(&warmed, 1);
	assert_served(other, "x");
	assert_true(is_silent(c, 20));
	is_warm = true;
	is_shut = false;
	assert_reply(c, 200, "thaw");

	/* One that never gets warm is given up. */
	send_to(c, "/never", "x");
	assert_reply(c, 503, "busy");
	assert_true(warmed > 2 && warmed < 20);
	client_close(other);
	client_close(c);
}

/* Nobody waits longer for a helper whose disk hangs, either. */
static void
cold_for_long(void **state)
{
	struct client *c, *gone;

	(void)state;
	restart_with_timeout(200);
	c = dial();
	gone = dial();
	is_shut = true;
	ask_with(c, "GET", "/cold");
	ask_with(gone, "GET", "/cold");
	await(&warmed, 2);
	client_close(gone);
	assert_reply(c, 503, "busy");
	assert_served(c, "x");
	is_warm = true;
	is_shut = false;
	ask_with(c, "GET", "/cold");
	assert_reply(c, 200, "x");
	client_close(c);
}

/* The client goes, or aborts, while a helper is at it; another comes late. */
static void
gone_while_cold(void **state)
{
	struct client *gone = dial(), *aborting = dial(), *c[20];
	int i, busy = 0;
	struct client_reply reply;

	(void)state;
	is_shut = true;
	send_to(gone, "/cold", "x");
	send_to(aborting, "/cold", "x");
	await(&warmed, 2);
	client_close(gone);
	client_send_record(aborting, FCGI_ABORT_REQUEST, 1, NULL, 0);
	assert_ended(aborting);
	/* The queue holds eight: the rest is told to come again. */
	for (i = 0; i < 20; i++) {
		c[i] = dial();
		send_to(c[i], "/cold", "x");
	}
	await(&calls, 22);
	is_warm = true;
	is_shut = false;
	for (i = 0; i < 20; i++) {
		assert_int_equal(client_read_reply(c[i], &reply), 0);
		busy += reply.status == 503;
		client_reply_fini(&reply);
		client_close(c[i]);
	}
	assert_int_equal(busy, 12);
	assert_served(aborting, "x");
	client_close(aborting);
}

/* A body that takes long to read keeps nobody else of the worker waiting. */
static void
large_bodies_go_away(void **state)
{
	struct client *c = dial(), *other = dial();
	const char *body = large_body();

	(void)state;
	is_shut = true;
	send_to(c, "/away", body);
	await(&calls, 1);
	assert_served(other, "x");
	assert_true(is_silent(c, 20));
	is_shut = false;
	assert_reply(c, 200, body);
	/* So does what waits for the disk, however small. */
	is_shut = true;
	send_to(c, "/blocks", "y");
	await(&calls, 3);
	assert_served(other, "x");
	assert_true(is_silent(c, 20));
	is_shut = false;
	assert_reply(c, 200, "y");
	calls = 2;

	/* What comes back is parked, cold or busy like any other. */
	is_busy = true;
	send_to(c, "/busy", body);
	await(&calls, 3);
	assert_served(other, "x");
	is_busy = false;
	move(1, STORE_OK);
	assert_reply(c, 200, body);
	is_shut = true;
	send_to(c, "/cold", body);
	await(&warmed, 1);
	is_warm = true;
	is_shut = false;
	assert_reply(c, 200, body);
	send_to(c, "/change/2", body);
	assert_true(is_silent(c, 20));
	move(2, STORE_OK);
	assert_reply(c, 200, body);
	client_close(other);
	client_close(c);
}

/* Many are tried at once, and still stand in the order in which they came. */
static void
large_bodies_wait_in_order(void **state)
{
	struct client *c = dial(), *other = dial();
	const char *body = large_body();

	(void)state;
	is_busy = true;
	send_to(c, "/busy", body);
	await(&calls, 1);
	usleep(5000);
	send_to(other, "/busy", body);
	/* The loop asserts the order of those that helpers gave back. */
	await(&calls, 6);
	/* Coming back is no news: they are not sent off again for it. */
	usleep(200000);
	assert_in_range(calls, 6, 20);
	is_busy = false;
	move(1, STORE_OK);
	assert_reply(c, 200, body);
	assert_reply(other, 200, body);
	client_close(other);
	client_close(c);
}

/* The client goes, or aborts, or is ended, while a helper reads its body. */
static void
gone_while_away(void **state)
{
	struct client *gone = dial(), *aborting = dial(), *broken = dial();
	const char *body = large_body();

	(void)state;
	is_shut = true;
	send_to(gone, "/away", body);
	send_to(aborting, "/away", body);
	await(&calls, 2);
	send_to(broken, "/away", body);
	client_close(gone);
	client_send_record(aborting, FCGI_ABORT_REQUEST, 1, NULL, 0);
	client_send(broken, "\7garbage", 8);
	assert_true(is_silent(aborting, 20));
	is_shut = false;
	await(&calls, 3);
	assert_ended(aborting);
	assert_served(aborting, "x");
	assert_closed(broken);

	/* A stop waits for none of it for ever. */
	is_shut = true;
	send_to(aborting, "/away", body);
	await(&calls, 5);
	stop_workers();
	client_close(aborting);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(cold), TEST(cold_for_long), TEST(gone_while_cold),
		TEST(large_bodies_go_away), TEST(large_bodies_wait_in_order),
		TEST(gone_while_away)
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
