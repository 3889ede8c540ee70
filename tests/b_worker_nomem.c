/*
 * fcgi/worker without memory: a pool that cannot start says so, and a request
 * is answered or its connection is closed.
 */

#include <sys/socket.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "nomem.h"
#include "pool.h"

/* A pool that cannot start says so and leaves nothing behind. */
static void
no_memory_to_start(void **state)
{
	bool is_started;
	int n;

	(void)state;
	stop_workers();
	for (n = 1; ; n++) {
		nomem_arm(n);
		is_started = start_workers();
		if (!nomem_fired())
			break;
		assert_false(is_started);
	}
	nomem_disarm();
	assert_true(is_started);
	assert_true(n > 5);
}

/* Read up to the end of a reply.  Returns false if it is closed before. */
static bool
read_end(struct client *c)
{
	static char sink[65536];
	struct pollfd pfd = { .fd = client_fd(c), .events = POLLIN };
	size_t len = 0;
	ssize_t n;

	for (;;) {
		assert_int_equal(poll(&pfd, 1, TIMEOUT_MS), 1);
		n = recv(client_fd(c), sink + len, sizeof(sink) - len, 0);
		if (n <= 0)
			return (false);
		len += (size_t)n;
		if (len >= 16 && sink[len - 15] == FCGI_END_REQUEST &&
		    memcmp(sink + len - 8, "\0\0\0\0\0\0\0\0", 8) == 0)
			return (true);
	}
}

/* A request for which memory is short is answered or its connection is closed;
 * the next is served. */
static void
no_memory_to_serve(void **state)
{
	static const char *const uris[] = { "/echo", "/cold", "/read/1" };
	const char *body = large_body();
	struct buf b = BUF_INITIALIZER;
	struct client *c, *next;
	int i, n, lost;

	(void)state;
	move(1, STORE_OK);
	for (i = 0; i < 6; i++) {
		buf_clear(&b);
		put_request(&b, 1, FCGI_KEEP_CONN, "POST", uris[i % 3],
		    i < 3 ? "3" : "90000", i < 3 ? "abc" : body);
		for (n = 1, lost = 0; n < 60; n++) {
			is_warm = false;
			/* It is taken in before, or while memory is short. */
			c = dial();
			if (n % 2 == 0)
				usleep(1000);
			nomem_arm(n);
			assert_int_equal(client_send(c, b.data, b.len), 0);
			if (i % 3 == 1) {
				usleep(500);
				is_warm = true;
			}
			lost += !read_end(c);
			if (!nomem_fired())
				n = 60;
			nomem_disarm();
			client_close(c);
			next = dial();
			assert_served(next, "x");
			client_close(next);
		}
		assert_true(lost < 10);
	}
	buf_fini(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(no_memory_to_start), TEST(no_memory_to_serve)
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
