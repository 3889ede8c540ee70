/*
 * fcgi/worker: connections that cannot be taken in.  Want of descriptors or of
 * memory pauses the listening, what lasts is told of once, and whoever waits
 * is served in the end.
 */

#include <sys/socket.h>
#include <sys/un.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "logged.h"
#include "nomem.h"
#include "pool.h"

/* --- accept4 ------------------------------------------------------------- */

/* By the linker: what the loops call, and what they meant. */
int	 __real_accept4(int, struct sockaddr *, socklen_t *, int);
int	 __wrap_accept4(int, struct sockaddr *, socklen_t *, int);

static atomic_int failing;		/* the errno it fails with, or 0 */
static atomic_uint failures;

int
__wrap_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
	const int error = atomic_load(&failing);

	if (error == 0)
		return (__real_accept4(fd, addr, len, flags));
	atomic_fetch_add(&failures, 1);
	errno = error;
	return (-1);
}

/* Somebody comes while it fails so often with this error. */
static struct client *
come_while(int error, unsigned int n)
{
	struct client *c;

	failures = 0;
	failing = error;
	c = dial();
	send_to(c, "/echo", "late");
	await(&failures, n);
	return (c);
}

static void
serve_late(struct client *c)
{
	failing = 0;
	assert_reply(c, 200, "late");
	client_close(c);
}

/* --- tests --------------------------------------------------------------- */

static void
want_pauses(void **state)
{
	static const int errors[] = { EMFILE, ENFILE, ENOBUFS, ENOMEM };
	const uint64_t *pauses =
	    &edge.tallies->v[0].pauses[PAUSE_DESCRIPTORS];
	uint64_t before;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		before = counter_read(pauses);
		serve_late(come_while(errors[i], 1));
		assert_true(counter_read(pauses) > before);
	}
}

static void
others_are_told_of_once(void **state)
{
	static const int harmless[] = { EAGAIN, EINTR, ECONNABORTED };
	struct client *c;
	size_t i;

	(void)state;
	logged_start();
	c = come_while(EINVAL, 20);
	serve_late(c);
	assert_int_equal(logged_times("msg=\"accept\""), 1);
	assert_int_equal(logged_times("connections are taken again"), 1);
	logged_start();
	for (i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++)
		serve_late(come_while(harmless[i], 20));
	logged_has_not("accept");
}

/* Nor do those that it had no memory for count as connections. */
static void
no_memory_for_a_connection(void **state)
{
	struct sockaddr_un sun;
	socklen_t len = sizeof(sun);
	struct client *c;
	int i, fd;
	char byte;

	(void)state;
	options.max_conns = 2;
	restart();
	assert_int_equal(getsockname(options.public_fd,
	    (struct sockaddr *)&sun, &len), 0);
	logged_start();
	for (i = 0; i < 4; i++) {
		fd = socket(AF_UNIX, SOCK_STREAM, 0);
		nomem_arm(1);
		assert_int_equal(connect(fd, (struct sockaddr *)&sun, len),
		    0);
		assert_int_equal(recv(fd, &byte, 1, 0), 0);
		assert_true(nomem_fired());
		nomem_disarm();
		close(fd);
	}
	c = dial();
	assert_served(c, "x");
	client_close(c);
	assert_int_equal(logged_times("take a connection"), 1);
	assert_int_equal(logged_times("connections are taken again"), 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(want_pauses), TEST(others_are_told_of_once),
		TEST(no_memory_for_a_connection)
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
