/*
 * What the daemon is to the system that runs it: the signals that it does not
 * mind, and the descriptors that it is given.
 */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon.h"

/* What a write beyond a limit or to nobody would send it. */
static void
signals(void **state)
{
	char id[128];

	(void)state;
	assert_int_equal(kill(daemon_pid, SIGPIPE), 0);
	assert_int_equal(kill(daemon_pid, SIGXFSZ), 0);
	daemon_converse(id, "[]");
}

/*
 * Started without standard streams: no file of the store may get the number
 * to which the log is written.
 */
static void
streams(void **state)
{
	char path[64], to[256], id[128];
	ssize_t n;
	int fd;

	(void)state;
	assert_int_equal(daemon_stop(SIGTERM), 0);
	daemon_start_closed();
	for (fd = 0; fd <= STDERR_FILENO; fd++) {
		(void)snprintf(path, sizeof(path), "/proc/%d/fd/%d",
		    (int)daemon_pid, fd);
		n = readlink(path, to, sizeof(to) - 1);
		assert_true(n > 0);
		to[n] = '\0';
		assert_string_equal(to, "/dev/null");
	}
	daemon_converse(id, "[]");
	assert_int_equal(daemon_stop(SIGTERM), 0);
	daemon_start();
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(signals),
		cmocka_unit_test(streams),
	};

	(void)argc;
	if (daemon_find(argv[0]) == -1) {
		(void)fprintf(stderr, "no rememberd beside %s\n", argv[0]);
		return (77);
	}
	return (cmocka_run_group_tests(tests, daemon_set_up,
	    daemon_tear_down));
}
