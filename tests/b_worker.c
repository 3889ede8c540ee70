/*
 * fcgi/worker: connections are taken in, kept, shared out among the loops, and
 * closed when the pool stops.
 */

#include <sys/resource.h>
#include <sys/socket.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "pool.h"
#include "store/lock.h"
#include "store/sys.h"

/* --- one connection ----------------------------------------------------- */

static void
keep_alive(void **state)
{
	struct client *c = dial(), *op = dial_control();
	int i;

	(void)state;
	for (i = 0; i < 50; i++)
		assert_served(c, i % 2 == 0 ? "\"a\"" : "\"bcd\"");
	send_to(op, "/echo", "x");
	assert_reply(op, 200, "control:x");
	client_close(op);
	client_close(c);
}

static void
not_kept(void **state)
{
	struct buf b = BUF_INITIALIZER;
	struct client *c = dial();

	(void)state;
	put_request(&b, 1, 0, "POST", "/echo", "3", "abc");
	send_buf(c, &b);
	assert_reply(c, 200, "abc");
	assert_closed(c);
}

static void
one_byte_writes(void **state)
{
	struct buf b = BUF_INITIALIZER;
	struct client *c = dial();
	size_t i;

	(void)state;
	put_request(&b, 1, FCGI_KEEP_CONN, "POST", "/echo", "5", "hello");
	for (i = 0; i < b.len; i++)
		assert_int_equal(client_send(c, b.data + i, 1), 0);
	assert_reply(c, 200, "hello");
	buf_fini(&b);
	assert_served(c, "again");
	client_close(c);
}

/* Each waits for the one before it, and their order stays. */
static void
pipelined(void **state)
{
	struct buf b = BUF_INITIALIZER;
	struct client *c = dial();
	char digit[2] = "0";
	int i;

	(void)state;
	put_request(&b, 1, FCGI_KEEP_CONN, "POST", "/change/5", "4", "slow");
	for (i = 0; i < 9; i++) {
		digit[0] = (char)('0' + i);
		put_request(&b, 1, FCGI_KEEP_CONN, "POST", "/echo", "1",
		    digit);
	}
	send_buf(c, &b);
	await(&calls, 1);
	assert_true(is_silent(c, 50));
	assert_int_equal(calls, 1);
	move(5, STORE_OK);
	assert_reply(c, 200, "slow");
	for (i = 0; i < 9; i++) {
		digit[0] = (char)('0' + i);
		assert_reply(c, 200, digit);
	}
	assert_served(c, "more");
	client_close(c);
}

/* Half closed: what was asked before is still answered. */
static void
half_closed(void **state)
{
	struct client *c = dial();

	(void)state;
	send_to(c, "/change/1", "last words");
	assert_int_equal(shutdown(client_fd(c), SHUT_WR), 0);
	await(&calls, 1);
	assert_true(is_silent(c, 20));
	move(1, STORE_OK);
	assert_reply(c, 200, "last words");
	assert_closed(c);
}

/* --- many --------------------------------------------------------------- */

static void
too_many_connections(void **state)
{
	struct client *c[3];

	(void)state;
	options.max_conns = 2;
	restart();
	c[0] = dial();
	assert_served(c[0], "x");
	c[1] = dial();
	assert_served(c[1], "x");
	c[2] = dial();
	send_to(c[2], "/echo", "third");
	assert_true(is_silent(c[2], 50));
	assert_served(c[0], "x");
	client_close(c[0]);
	assert_reply(c[2], 200, "third");
	client_close(c[1]);
	client_close(c[2]);
}

/* Descriptors that the daemon finds when it has to open a file now. */
static int
spare_descriptors(void)
{
	int64_t end = sys_monotonic_ms() + 200;
	int fd[2] = { -1, -1 };

	while (fd[1] == -1 && sys_monotonic_ms() < end) {
		if (fd[0] == -1)
			fd[0] = dup(0);
		else
			fd[1] = dup(0);
		usleep(1000);
	}
	if (fd[0] != -1)
		close(fd[0]);
	if (fd[1] != -1)
		close(fd[1]);
	return ((fd[0] != -1) + (fd[1] != -1));
}

/*
 * Without descriptors nobody new is taken in; the others are served, and two
 * are there for the journal.
 */
static void
no_descriptors(void **state)
{
	struct client *c = dial(), *late;
	struct rlimit rl, low;
	int fd;

	(void)state;
	assert_served(c, "x");
	/* The lowest that is free is the last one there is. */
	fd = dup(0);
	close(fd);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &rl), 0);
	low = rl;
	low.rlim_cur = (rlim_t)fd + 1;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	late = dial();
	send_to(late, "/echo", "late");
	assert_int_equal(spare_descriptors(), 2);
	assert_true(is_silent(late, 600));
	assert_served(c, "x");
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &rl), 0);
	assert_reply(late, 200, "late");
	client_close(late);
	client_close(c);
}

/* Two workers share the listeners: all are served. */
static void
two_workers(void **state)
{
	struct client *c[40];
	int i, round;

	(void)state;
	options.n = 2;
	restart();
	for (i = 0; i < 40; i++)
		c[i] = dial();
	for (round = 0; round < 10; round++) {
		for (i = 0; i < 40; i++)
			send_to(c[i], round % 2 == 0 ? "/echo" : "/change/1",
			    "x");
		if (round == 1)
			move(1, STORE_OK);
		for (i = 0; i < 40; i++)
			assert_reply(c[i], 200, "x");
	}
	for (i = 0; i < 40; i++)
		client_close(c[i]);
}

/*
 * Connections that come one by one, while all are idle, are shared out: they
 * stay, and the load comes later.
 */
static void
connections_are_shared_out(void **state)
{
	struct client *c[40];
	unsigned int most;
	int i;

	(void)state;
	options.n = 4;
	restart();
	for (i = 0; i < 40; i++) {
		c[i] = dial();
		assert_served(c[i], "x");
	}
	forget_threads();
	for (i = 0; i < 40; i++)
		assert_served(c[i], "x");
	assert_int_equal(threads_seen(&most), 4);
	assert_in_range(most, 10, 15);
	for (i = 0; i < 40; i++)
		client_close(c[i]);
	/* Those that were closed count no more. */
	for (i = 0; i < 40; i++) {
		c[i] = dial();
		assert_served(c[i], "x");
	}
	for (i = 0; i < 40; i++)
		client_close(c[i]);
}

/* --- stops -------------------------------------------------------------- */

static void
move_soon(void *arg)
{
	(void)arg;
	usleep(100000);
	move(1, STORE_OK);
}

/* What is parked when it stops is still answered; the idle are closed. */
static void
stop_while_parked(void **state)
{
	struct client *c = dial(), *idle = dial(), *late = dial();
	struct thread t;

	(void)state;
	assert_served(idle, "x");
	assert_served(late, "x");
	send_to(c, "/change/1", "parked");
	await(&calls, 3);
	/* Sent, but most likely not read when the stop comes. */
	send_to(late, "/echo", "late");
	assert_int_equal(thread_start(&t, "mover", move_soon, NULL), 0);
	stop_workers();
	thread_join(&t);
	assert_reply(c, 200, "parked");
	assert_reply(late, 200, "late");
	assert_closed(late);
	assert_closed(c);
	assert_closed(idle);
}

/* But not for ever. */
static void
stop_in_time(void **state)
{
	struct client *parked = dial(), *chilly = dial(), *half = dial();
	int64_t begun;

	(void)state;
	is_shut = true;
	send_to(parked, "/change/1", "parked");
	send_to(chilly, "/cold", "x");
	client_send(half, "\1\1\0\1", 4);
	await(&calls, 2);
	await(&warmed, 1);
	begun = sys_monotonic_ms();
	stop_workers();
	assert_true(sys_monotonic_ms() - begun >= 250);
	assert_closed(parked);
	assert_closed(chilly);
	assert_closed(half);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(keep_alive), TEST(not_kept), TEST(one_byte_writes),
		TEST(pipelined), TEST(half_closed), TEST(too_many_connections),
		TEST(no_descriptors), TEST(two_workers),
		TEST(connections_are_shared_out), TEST(stop_while_parked),
		TEST(stop_in_time)
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
