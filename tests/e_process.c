/*
 * What a real daemon is to the system that runs it: its options and exits, its
 * sockets and descriptors, the signals, and how it stops.
 */

#include <sys/types.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "pieces.h"
#include "store/sys.h"

/* --- help --------------------------------------------------------------- */

/*
 * Run rememberd with these arguments to its end, what it prints into text of
 * size bytes.  Returns its exit status.
 */
static int
run(const char *const *args, char *text, size_t size)
{
	const char *argv[8] = { "rememberd" };
	int i, how, pipefd[2];
	ssize_t n, len = 0;
	pid_t pid;

	for (i = 0; args[i] != NULL; i++)
		argv[i + 1] = args[i];
	assert_int_equal(pipe2(pipefd, O_CLOEXEC), 0);
	if ((pid = fork()) == 0) {
		dup2(pipefd[1], 1);
		dup2(pipefd[1], 2);
		execv(daemon_program, (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	close(pipefd[1]);
	while ((n = read(pipefd[0], text + len, size - 1 - (size_t)len)) > 0)
		len += n;
	text[len] = '\0';
	close(pipefd[0]);
	assert_int_equal(waitpid(pid, &how, 0), pid);
	assert_true(WIFEXITED(how));
	return (WEXITSTATUS(how));
}

/* Write a configuration called name for a store of its own. */
static const char *
write_conf(const char *name, const char *socket, const char *more)
{
	const char *path = in_dir(name);
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fprintf(f, "store = \"%s.store\"\ncache = \"%s.cache\"\n"
	    "socket = \"%s\"\ncontrol_socket = \"%s.control\"\n%s\n", path,
	    path, socket, path, more);
	assert_int_equal(fclose(f), 0);
	return (path);
}

static bool
has_item(const char *conversation, const char *item)
{
	char uri[256];

	snprintf(uri, sizeof(uri), "/v1/conversations/%s/items/%s",
	    conversation, item);
	json_decref(daemon_ask(daemon_key, "GET", uri, NULL, ""));
	return (daemon_status == 200);
}

/* --- options and exits -------------------------------------------------- */

static void
options(void **state)
{
	char text[4096];
	const char *conf = write_conf("plain.conf", in_dir("plain.sock"), "");
	char long_path[400], more[600];

	(void)state;
	assert_int_equal(run((const char *[]){ "-V", NULL }, text,
	    sizeof(text)), 0);
	assert_memory_equal(text, "rememberd ", 10);
	assert_int_equal(run((const char *[]){ "-x", NULL }, text,
	    sizeof(text)), 2);
	assert_non_null(strstr(text, "usage: rememberd"));
	assert_int_equal(run((const char *[]){ "extra", NULL }, text,
	    sizeof(text)), 2);
	assert_int_equal(run((const char *[]){ "-n", "-c", conf, NULL }, text,
	    sizeof(text)), 0);
	assert_string_equal(text, "");
	/* It looked, and touched nothing. */
	assert_int_equal(access(in_dir("plain.conf.store"), F_OK), -1);
	assert_int_equal(access(in_dir("plain.sock"), F_OK), -1);

	assert_int_equal(run((const char *[]){ "-c", in_dir("none"), NULL },
	    text, sizeof(text)), 2);
	conf = write_conf("bad.conf", in_dir("bad.sock"), "workers = many");
	assert_int_equal(run((const char *[]){ "-n", "-c", conf, NULL }, text,
	    sizeof(text)), 2);
	assert_non_null(strstr(text, "bad.conf:5: "));
	snprintf(more, sizeof(more), "jwt_secret_file = \"%s\"",
	    in_dir("nosuch"));
	conf = write_conf("bad.conf", in_dir("bad.sock"), more);
	assert_int_equal(run((const char *[]){ "-n", "-c", conf, NULL }, text,
	    sizeof(text)), 2);
	assert_non_null(strstr(text, "nosuch"));
	memset(long_path, 'a', sizeof(long_path) - 1);
	long_path[0] = '/';
	long_path[sizeof(long_path) - 1] = '\0';
	conf = write_conf("bad.conf", long_path, "");
	assert_int_equal(run((const char *[]){ "-n", "-c", conf, NULL }, text,
	    sizeof(text)), 2);
	assert_non_null(strstr(text, "socket"));
}

/* A second daemon on the store ends, says whose it is, and breaks nothing. */
static void
second_daemon(void **state)
{
	char text[4096], pid[32];
	struct client *c = dial();
	struct buf b = BUF_INITIALIZER;

	(void)state;
	assert_int_equal(run((const char *[]){ "-c", daemon_conf, NULL }, text,
	    sizeof(text)), 1);
	snprintf(pid, sizeof(pid), "process %ld", (long)daemon_pid);
	assert_non_null(strstr(text, pid));
	put_api(&b, "GET", "/v1/conversations", "");
	send_buf(c, &b);
	assert_reply(c, 200, "\"list\"");
	client_close(c);
	client_close(dial());
}

/* What is no stale socket of ours is not taken away. */
static void
other_files(void **state)
{
	char text[4096], path[108];
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct stat sb;
	const char *conf;
	int fd;

	(void)state;
	strcpy(path, in_dir("other"));
	conf = write_conf("other.conf", path, "");
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	close(fd);
	assert_int_equal(run((const char *[]){ "-c", conf, NULL }, text,
	    sizeof(text)), 1);
	assert_non_null(strstr(text, "no socket"));
	assert_int_equal(stat(path, &sb), 0);
	assert_true(S_ISREG(sb.st_mode));
	assert_int_equal(unlink(path), 0);

	strcpy(sun.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(run((const char *[]){ "-c", conf, NULL }, text,
	    sizeof(text)), 1);
	assert_non_null(strstr(text, "answers there"));
	assert_int_equal(stat(path, &sb), 0);
	close(fd);
}

static void
sockets(void **state)
{
	struct stat sb;

	(void)state;
	assert_int_equal(lstat(in_dir("fcgi.sock"), &sb), 0);
	assert_int_equal(sb.st_mode, S_IFSOCK | 0660);
	assert_int_equal(lstat(in_dir("control.sock"), &sb), 0);
	assert_int_equal(sb.st_mode, S_IFSOCK | 0600);
	assert_int_equal(daemon_stop(SIGINT), 0);
	assert_int_equal(lstat(in_dir("fcgi.sock"), &sb), -1);
	assert_int_equal(lstat(in_dir("control.sock"), &sb), -1);
	daemon_start();
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

/* --- signals ------------------------------------------------------------ */

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

/* Killed, it starts over its own stale sockets, and nothing is lost. */
static void
killed(void **state)
{
	char id[128];

	(void)state;
	daemon_converse(id, "[{\"role\":\"user\",\"content\":\"hi\"}]");
	assert_int_equal(daemon_stop(SIGKILL), -1);
	assert_int_equal(access(in_dir("fcgi.sock"), F_OK), 0);
	daemon_start();
	assert_int_equal(count_items(id), 1);
}

static void
flush_on_signal(void **state)
{
	char id[128], name[256];
	int i;

	(void)state;
	daemon_converse(id, "[{\"role\":\"user\",\"content\":\"hi\"}]");
	snprintf(name, sizeof(name), "store/tenants/acme/conversations/%s.json",
	    id);
	assert_int_equal(access(in_dir(name), F_OK), -1);
	assert_int_equal(kill(daemon_pid, SIGUSR1), 0);
	for (i = 0; i < 1000 && access(in_dir(name), F_OK) == -1; i++)
		usleep(10000);
	assert_int_equal(access(in_dir(name), F_OK), 0);
	/* These two it does not mind. */
	assert_int_equal(kill(daemon_pid, SIGPIPE), 0);
	assert_int_equal(kill(daemon_pid, SIGXFSZ), 0);
	assert_int_equal(count_items(id), 1);
}

/* While it stops, nobody new waits in vain: the name is gone at once. */
static void
stop_is_told(void **state)
{
	struct buf b = BUF_INITIALIZER;
	struct client *c = dial();
	int i;

	(void)state;
	/* A request that is half sent holds the stop up. */
	put_api(&b, "GET", "/v1/conversations", "");
	assert_int_equal(client_send(c, b.data, b.len - 1), 0);
	usleep(20000);
	assert_int_equal(kill(daemon_pid, SIGTERM), 0);
	for (i = 0; i < 400 && access(in_dir("fcgi.sock"), F_OK) == 0; i++)
		usleep(5000);
	assert_null(client_open(in_dir("fcgi.sock"), 100));
	assert_int_equal(errno, ENOENT);
	assert_int_equal(client_send(c, b.data + b.len - 1, 1), 0);
	assert_reply(c, 200, "\"list\"");
	buf_fini(&b);
	client_close(c);
	assert_int_equal(daemon_stop(0), 0);
	daemon_start();
}

/*
 * A stop with sends under way: each is answered or its connection is closed,
 * and what was answered is there afterwards.
 */
static void
stop_under_way(void **state)
{
	struct buf b = BUF_INITIALIZER;
	struct client *c[40];
	struct client_reply r;
	bool is_acked[40] = { false };
	char id[128], item[32];
	int i, round, acked = 0;
	int64_t begun;

	(void)state;
	for (round = 0; round < 5; round++) {
		daemon_converse(id, "[]");
		for (i = 0; i < 40; i++)
			c[i] = dial();
		for (i = 0; i < 40; i++) {
			snprintf(item, sizeof(item), "item_%d", i);
			put_append(&b, id, item);
			send_buf(c[i], &b);
		}
		begun = sys_monotonic_ms();
		assert_int_equal(daemon_stop(SIGTERM), 0);
		assert_true(sys_monotonic_ms() - begun < 15000);
		for (i = 0; i < 40; i++) {
			is_acked[i] = client_read_reply(c[i], &r) == 0;
			client_close(c[i]);
			if (!is_acked[i])
				continue;
			assert_int_equal(r.status, 200);
			client_reply_fini(&r);
			acked++;
		}
		daemon_start();
		for (i = 0; i < 40; i++) {
			snprintf(item, sizeof(item), "item_%d", i);
			if (is_acked[i])
				assert_true(has_item(id, item));
		}
	}
	/* It does answer, not only close. */
	assert_true(acked > 100);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options),
		cmocka_unit_test(second_daemon),
		cmocka_unit_test(other_files),
		cmocka_unit_test(sockets),
		cmocka_unit_test(streams),
		cmocka_unit_test(signals),
		cmocka_unit_test(killed),
		cmocka_unit_test(flush_on_signal),
		cmocka_unit_test(stop_is_told),
		cmocka_unit_test(stop_under_way)
	};

	if (argc < 1 || daemon_find(argv[0]) == -1)
		return (77);
	return (cmocka_run_group_tests(tests, pieces_set_up,
	    daemon_tear_down));
}
