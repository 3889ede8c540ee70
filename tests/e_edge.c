/*
 * The edge of a real daemon: its options and exits, its sockets and signals,
 * and what it makes of requests in pieces, in a row, and broken off.
 */

#include <fastcgi.h>

#include <sys/types.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon.h"
#include "fcgi/client.h"
#include "store/sys.h"
#include "wirebytes.h"

#define TIMEOUT_MS	20000

static char program[PATH_MAX + 32];	/* rememberd */
static char dir[128];			/* of the daemon */

/* --- help --------------------------------------------------------------- */

static const char *
in_dir(const char *name)
{
	static char paths[4][512];
	static unsigned int n;
	char *path = paths[n++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", dir, name);
	return (path);
}

/* The daemon again, with more in its configuration. */
static int
set_up(void **state)
{
	char conf[128];
	FILE *f;

	if (daemon_set_up(state) != 0)
		return (-1);
	strcpy(conf, daemon_conf);
	strcpy(dir, dirname(conf));
	assert_int_equal(daemon_stop(SIGTERM), 0);
	f = fopen(daemon_conf, "a");
	assert_non_null(f);
	fprintf(f, "max_body = 64K\nmax_item = 64K\nflush_interval = 1h\n"
	    "request_timeout = 5s\n"
	    "tenant \"acme\" { allowed_origins = { \"https://a.example\" } }\n");
	assert_int_equal(fclose(f), 0);
	daemon_start();
	return (0);
}

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
		execv(program, (char *const *)(uintptr_t)argv);
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
	fprintf(f, "store = \"%s/%s.store\"\ncache = \"%s/%s.cache\"\n"
	    "socket = \"%s\"\ncontrol_socket = \"%s.control\"\n%s\n", dir,
	    name, dir, name, socket, path, more);
	assert_int_equal(fclose(f), 0);
	return (path);
}

static struct client *
dial(void)
{
	struct client *c = client_open(in_dir("fcgi.sock"), TIMEOUT_MS);

	assert_non_null(c);
	return (c);
}

/* A request as it goes over the wire, in b; CONTENT_LENGTH as it may be. */
static void
put_announced(struct buf *b, const char *method, const char *uri,
    const char *body, size_t announced)
{
	struct buf params = BUF_INITIALIZER;
	char text[300];

	put_pair(&params, "REQUEST_METHOD", method);
	put_pair(&params, "REQUEST_URI", uri);
	snprintf(text, sizeof(text), "Bearer %s", daemon_key);
	put_pair(&params, "HTTP_AUTHORIZATION", text);
	snprintf(text, sizeof(text), "%zu", announced);
	put_pair(&params, "CONTENT_LENGTH", text);
	put_begin(b, 1, FCGI_RESPONDER, FCGI_KEEP_CONN);
	put_stream(b, FCGI_PARAMS, 1, params.data, params.len, 65535);
	put_stream(b, FCGI_STDIN, 1, body, strlen(body), 65535);
	buf_fini(&params);
}

static void
put_api(struct buf *b, const char *method, const char *uri, const char *body)
{
	put_announced(b, method, uri, body, strlen(body));
}

/* An append of one item with this id. */
static void
put_append(struct buf *b, const char *conversation, const char *item)
{
	char uri[256], body[256];

	snprintf(uri, sizeof(uri), "/v1/conversations/%s/items", conversation);
	snprintf(body, sizeof(body), "{\"items\":[{\"type\":\"message\","
	    "\"role\":\"user\",\"id\":\"%s\",\"content\":\"hi\"}]}", item);
	put_api(b, "POST", uri, body);
}

static void
send_buf(struct client *c, struct buf *b)
{
	assert_int_equal(client_send(c, b->data, b->len), 0);
	buf_fini(b);
}

static void
assert_reply(struct client *c, int status, const char *has)
{
	struct client_reply r;

	assert_int_equal(client_read_reply(c, &r), 0);
	if (r.status != status || strstr(r.body, has) == NULL)
		fail_msg("%d %s", r.status, r.body);
	client_reply_fini(&r);
}

static json_int_t
count_items(const char *conversation)
{
	char uri[256];
	json_t *json;
	json_int_t n;

	snprintf(uri, sizeof(uri), "/v1/conversations/%s", conversation);
	json = daemon_good(daemon_key, "GET", uri, NULL, "");
	n = daemon_number(json, "item_count");
	json_decref(json);
	return (n);
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
	char long_path[400], more[256];

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
	snprintf(more, sizeof(more), "jwt_secret_file = \"%s/nosuch\"", dir);
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
	struct ucred peer;
	socklen_t len = sizeof(peer);

	(void)state;
	assert_int_equal(getsockopt(client_fd(c), SOL_SOCKET, SO_PEERCRED,
	    &peer, &len), 0);
	assert_int_equal(run((const char *[]){ "-c", daemon_conf, NULL }, text,
	    sizeof(text)), 1);
	snprintf(pid, sizeof(pid), "process %ld", (long)peer.pid);
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

/* --- signals ------------------------------------------------------------ */

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
	struct ucred peer;
	socklen_t len = sizeof(peer);
	struct client *c = dial();
	int i;

	(void)state;
	daemon_converse(id, "[{\"role\":\"user\",\"content\":\"hi\"}]");
	snprintf(name, sizeof(name), "store/tenants/acme/conversations/%s.json",
	    id);
	assert_int_equal(access(in_dir(name), F_OK), -1);
	assert_int_equal(getsockopt(client_fd(c), SOL_SOCKET, SO_PEERCRED,
	    &peer, &len), 0);
	assert_int_equal(kill(peer.pid, SIGUSR1), 0);
	for (i = 0; i < 1000 && access(in_dir(name), F_OK) == -1; i++)
		usleep(10000);
	assert_int_equal(access(in_dir(name), F_OK), 0);
	/* These two it does not mind. */
	assert_int_equal(kill(peer.pid, SIGPIPE), 0);
	assert_int_equal(kill(peer.pid, SIGXFSZ), 0);
	assert_int_equal(count_items(id), 1);
	client_close(c);
}

/* While it stops, nobody new waits in vain: the name is gone at once. */
static void
stop_is_told(void **state)
{
	struct buf b = BUF_INITIALIZER;
	struct client *c = dial();
	struct ucred peer;
	socklen_t len = sizeof(peer);
	int i;

	(void)state;
	assert_int_equal(getsockopt(client_fd(c), SOL_SOCKET, SO_PEERCRED,
	    &peer, &len), 0);
	/* A request that is half sent holds the stop up. */
	put_api(&b, "GET", "/v1/conversations", "");
	assert_int_equal(client_send(c, b.data, b.len - 1), 0);
	usleep(20000);
	assert_int_equal(kill(peer.pid, SIGTERM), 0);
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

/* --- requests ----------------------------------------------------------- */

/* An append cut in two at every byte, then byte by byte. */
static void
fragments(void **state)
{
	struct buf b = BUF_INITIALIZER;
	struct client *c = dial();
	char id[128], item[32];
	size_t cut, len = 100;
	json_int_t n = 0;

	(void)state;
	daemon_converse(id, "[]");
	for (cut = 1; cut < len; cut += cut < 40 ? 1 : 7, n++) {
		snprintf(item, sizeof(item), "item_%03zu", cut);
		put_append(&b, id, item);
		len = b.len;
		assert_int_equal(client_send(c, b.data, cut), 0);
		/* Let it be read by itself. */
		usleep(500);
		assert_int_equal(client_send(c, b.data + cut, len - cut), 0);
		assert_reply(c, 200, item);
		buf_fini(&b);
	}
	put_append(&b, id, "bytes");
	for (cut = 0; cut < b.len; cut++)
		assert_int_equal(client_send(c, b.data + cut, 1), 0);
	buf_fini(&b);
	assert_reply(c, 200, "bytes");
	assert_int_equal(count_items(id), n + 1);
	client_close(c);
}

static void
pipelined(void **state)
{
	struct buf b = BUF_INITIALIZER;
	struct client *c = dial();
	char id[128], item[32];
	int i;

	(void)state;
	daemon_converse(id, "[]");
	for (i = 0; i < 50; i++) {
		snprintf(item, sizeof(item), "item_%d", i);
		put_append(&b, id, item);
	}
	send_buf(c, &b);
	for (i = 0; i < 50; i++) {
		snprintf(item, sizeof(item), "\"item_%d\"", i);
		assert_reply(c, 200, item);
	}
	assert_int_equal(count_items(id), 50);
	client_close(c);
}

/* Many at once: each gets its own answer, and all are there. */
static void
in_parallel(void **state)
{
	struct buf b = BUF_INITIALIZER;
	struct client *c[100];
	char id[128], item[32];
	int i, round;

	(void)state;
	daemon_converse(id, "[]");
	for (i = 0; i < 100; i++)
		c[i] = dial();
	for (round = 0; round < 5; round++) {
		for (i = 0; i < 100; i++) {
			snprintf(item, sizeof(item), "item_%d_%d", round, i);
			put_append(&b, id, item);
			send_buf(c[i], &b);
		}
		for (i = 0; i < 100; i++) {
			snprintf(item, sizeof(item), "\"item_%d_%d\"", round,
			    i);
			assert_reply(c[i], 200, item);
		}
	}
	for (i = 0; i < 100; i++)
		client_close(c[i]);
	assert_int_equal(count_items(id), 500);
}

/* What is broken off half way changes nothing. */
static void
broken_off(void **state)
{
	struct buf b = BUF_INITIALIZER;
	struct client *c = dial();
	struct client_record *r = malloc(sizeof(*r));
	char id[128];
	size_t cut;

	(void)state;
	daemon_converse(id, "[]");
	put_append(&b, id, "never");
	/* The last eight bytes are the record that ends the body. */
	for (cut = 1; cut <= b.len - 8; cut += 5) {
		assert_int_equal(client_send(c, b.data, cut), 0);
		client_close(c);
		c = dial();
	}
	assert_int_equal(client_send(c, b.data, b.len - 8), 0);
	assert_int_equal(client_send_record(c, FCGI_ABORT_REQUEST, 1, NULL, 0),
	    0);
	assert_int_equal(client_read_record(c, r), 0);
	assert_int_equal(r->type, FCGI_END_REQUEST);
	buf_fini(&b);
	put_append(&b, id, "after");
	send_buf(c, &b);
	assert_reply(c, 200, "after");
	assert_int_equal(count_items(id), 1);
	free(r);
	client_close(c);
}

/* A body over the limit, or not as long as announced, is told so. */
static void
refusals(void **state)
{
	struct buf b = BUF_INITIALIZER, params = BUF_INITIALIZER;
	struct client *c = dial();
	char id[128], uri[256], *body = calloc(1, 300001);

	(void)state;
	daemon_converse(id, "[]");
	snprintf(uri, sizeof(uri), "/v1/conversations/%s/items", id);
	memset(body, ' ', 300000);
	put_api(&b, "POST", uri, body);
	send_buf(c, &b);
	assert_reply(c, 413, "request_too_large");
	body[65536] = '\0';
	put_api(&b, "POST", uri, body);
	send_buf(c, &b);
	assert_reply(c, 400, "invalid_json");

	put_announced(&b, "POST", uri, "{\"items\":[]}", 13);
	put_announced(&b, "POST", uri, "{\"items\":[]}", 11);
	send_buf(c, &b);
	assert_reply(c, 400, "Content-Length");
	assert_reply(c, 400, "Content-Length");

	memset(body, '/', 70000);
	body[70000] = '\0';
	put_pair(&params, "REQUEST_URI", body);
	put_begin(&b, 1, FCGI_RESPONDER, FCGI_KEEP_CONN);
	put_stream(&b, FCGI_PARAMS, 1, params.data, params.len, 65535);
	put_stream(&b, FCGI_STDIN, 1, "", 0, 1);
	send_buf(c, &b);
	assert_reply(c, 431, "request_headers_too_large");
	assert_int_equal(count_items(id), 0);
	buf_fini(&params);
	free(body);
	client_close(c);
}

static void
late(void **state)
{
	struct buf b = BUF_INITIALIZER;
	struct client *c = dial();
	char id[128];
	int64_t begun = sys_monotonic_ms();

	(void)state;
	daemon_converse(id, "[]");
	put_append(&b, id, "never");
	b.len -= 8;
	send_buf(c, &b);
	assert_reply(c, 408, "request_timeout");
	assert_in_range(sys_monotonic_ms() - begun, 4500, 15000);
	client_close(c);
	assert_int_equal(count_items(id), 0);
}

/* --- what HTTP says ----------------------------------------------------- */

static int
ask(const char *method, const char *uri, const char *const *headers,
    struct client_reply *r)
{
	struct client *c = dial();

	assert_int_equal(client_request(c, method, uri, headers, "", 0, r), 0);
	client_close(c);
	return (r->status);
}

static void
methods_and_origins(void **state)
{
	char bearer[300], value[512];
	const char *const preflight[] = { "Origin: https://a.example",
	    "Access-Control-Request-Method: POST", NULL };
	const char *headers[] = { bearer, "Origin: https://a.example",
	    "Request-Id: x", NULL };
	struct client_reply r;

	(void)state;
	snprintf(bearer, sizeof(bearer), "Authorization: Bearer %s",
	    daemon_key);
	assert_int_equal(ask("HEAD", "/v1/conversations", headers, &r), 200);
	assert_int_equal(r.body_len, 0);
	assert_non_null(client_header(&r, "Content-Length", value,
	    sizeof(value)));
	assert_string_not_equal(value, "0");
	assert_non_null(client_header(&r, "X-Request-Id", value,
	    sizeof(value)));
	assert_non_null(client_header(&r, "Access-Control-Allow-Origin", value,
	    sizeof(value)));
	assert_string_equal(value, "https://a.example");
	client_reply_fini(&r);

	assert_int_equal(ask("GET", "/v1/conversations/none", headers, &r),
	    404);
	assert_non_null(client_header(&r, "Access-Control-Allow-Origin", value,
	    sizeof(value)));
	client_reply_fini(&r);
	assert_int_equal(ask("OPTIONS", "/v1/conversations", preflight, &r),
	    204);
	assert_int_equal(r.body_len, 0);
	assert_non_null(client_header(&r, "Access-Control-Allow-Headers",
	    value, sizeof(value)));
	client_reply_fini(&r);
	snprintf(bearer, sizeof(bearer), "Authorization: Bearer %s",
	    daemon_other_key);
	assert_int_equal(ask("GET", "/v1/conversations", headers, &r), 200);
	assert_null(client_header(&r, "Access-Control-Allow-Origin", value,
	    sizeof(value)));
	client_reply_fini(&r);
	assert_int_equal(ask("GET", "/v1/conversations", NULL, &r), 401);
	client_reply_fini(&r);
	assert_int_equal(ask("PUT", "/v1/conversations", NULL, &r), 405);
	assert_non_null(client_header(&r, "Allow", value, sizeof(value)));
	client_reply_fini(&r);
	assert_int_equal(ask("GET", "/admin/v1/status", headers, &r), 404);
	client_reply_fini(&r);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options),
		cmocka_unit_test(second_daemon),
		cmocka_unit_test(other_files),
		cmocka_unit_test(sockets),
		cmocka_unit_test(killed),
		cmocka_unit_test(flush_on_signal),
		cmocka_unit_test(stop_is_told),
		cmocka_unit_test(stop_under_way),
		cmocka_unit_test(fragments),
		cmocka_unit_test(pipelined),
		cmocka_unit_test(in_parallel),
		cmocka_unit_test(broken_off),
		cmocka_unit_test(refusals),
		cmocka_unit_test(late),
		cmocka_unit_test(methods_and_origins)
	};
	char self[PATH_MAX];

	if (argc < 1 || daemon_find(argv[0]) == -1 ||
	    realpath(argv[0], self) == NULL)
		return (77);
	snprintf(program, sizeof(program), "%s/../rememberd", dirname(self));
	return (cmocka_run_group_tests(tests, set_up, daemon_tear_down));
}
