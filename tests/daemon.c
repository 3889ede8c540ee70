#include <sys/types.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <errno.h>
#include <ftw.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fcgi/client.h"

#include "daemon.h"

int daemon_status;
char daemon_etag[64];
char daemon_key[256], daemon_other_key[256];
char daemon_conf[128];
char daemon_program[PATH_MAX + 32];
pid_t daemon_pid;

static char dir[64];
static char fcgi_socket[128], control_socket[128];
static struct client *edge, *control;

/* --- the daemon ----------------------------------------------------------- */

static struct client *
connect_to(const char *path)
{
	const struct timespec nap = { 0, 10000000 };
	struct client *c = NULL;
	int i;

	for (i = 0; i < 1500 && c == NULL; i++) {
		c = client_open(path, 20000);
		if (c == NULL)
			(void)nanosleep(&nap, NULL);
	}
	assert_non_null(c);
	return (c);
}

/* With the signals as a service manager leaves them. */
static void
start(bool is_closed)
{
	int fd;

	daemon_pid = fork();
	assert_true(daemon_pid != -1);
	if (daemon_pid == 0) {
		(void)signal(SIGPIPE, SIG_DFL);
		for (fd = 0; is_closed && fd <= STDERR_FILENO; fd++)
			(void)close(fd);
		(void)execl(daemon_program, "rememberd", "-c", daemon_conf,
		    (char *)NULL);
		_exit(127);
	}
	edge = connect_to(fcgi_socket);
	control = connect_to(control_socket);
}

void
daemon_start(void)
{
	start(false);
}

void
daemon_start_closed(void)
{
	start(true);
}

/* Returns the exit daemon_status, or -1 if a signal ended it. */
int
daemon_stop(int signal)
{
	int how = 0;

	client_close(edge);
	client_close(control);
	assert_int_equal(kill(daemon_pid, signal), 0);
	assert_int_equal(waitpid(daemon_pid, &how, 0), daemon_pid);
	daemon_pid = 0;
	return (WIFEXITED(how) ? WEXITSTATUS(how) : -1);
}

/* --- calls ---------------------------------------------------------------- */

/* headers as client_request has them.  The reply's body (new). */
static json_t *
call(struct client *c, const char *method, const char *uri,
    const char *const *headers, const char *body, size_t len)
{
	struct client_reply r;
	json_t *json;

	if (client_request(c, method, uri, headers, body, len, &r) == -1)
		fail_msg("%s %s: %s", method, uri, strerror(errno));
	daemon_status = r.status;
	if (client_header(&r, "ETag", daemon_etag, sizeof(daemon_etag)) == NULL)
		daemon_etag[0] = '\0';
	json = json_loadb(r.body, r.body_len, JSON_ALLOW_NUL |
	    JSON_REJECT_DUPLICATES, NULL);
	if (json == NULL && r.body_len > 0)
		fail_msg("%s %s: %s", method, uri, r.body);
	client_reply_fini(&r);
	return (json);
}

/* With a key of a tenant; more is one header, or NULL. */
json_t *
daemon_ask(const char *as, const char *method, const char *uri,
    const char *more,
    const char *body)
{
	char authorization[2048];
	const char *headers[] = { authorization, more, NULL };

	(void)snprintf(authorization, sizeof(authorization),
	    "Authorization: Bearer %s", as);
	return (call(edge, method, uri, headers, body, strlen(body)));
}

json_t *
daemon_good(const char *as, const char *method, const char *uri,
    const char *more,
    const char *body)
{
	json_t *json = daemon_ask(as, method, uri, more, body);

	if (daemon_status != 200)
		fail_msg("%s %s: %d %s", method, uri, daemon_status,
		    json_dumps(json, JSON_ENCODE_ANY));
	return (json);
}

json_t *
daemon_admin(const char *method, const char *uri, const char *body)
{
	return (call(control, method, uri, NULL, body, strlen(body)));
}

const char *
daemon_text(const json_t *object, const char *name)
{
	return (json_string_value(json_object_get(object, name)));
}

json_int_t
daemon_number(const json_t *object, const char *name)
{
	return (json_integer_value(json_object_get(object, name)));
}

/* A new conversation with these items, its id into id. */
void
daemon_converse(char id[128], const char *items)
{
	char body[2048];
	json_t *json;

	(void)snprintf(body, sizeof(body), "{\"items\":%s}", items);
	json = daemon_good(daemon_key, "POST", "/v1/conversations", NULL, body);
	(void)strcpy(id, daemon_text(json, "id"));
	json_decref(json);
}

/* Does the error have this code, param, and end of message? */
void
daemon_assert_error(const json_t *json, int want, const char *code,
    const char *param, const char *end)
{
	const json_t *error = json_object_get(json, "error");
	const char *message = daemon_text(error, "message");

	if (daemon_status != want || json_object_size(error) != 4 ||
	    message == NULL || strlen(message) < strlen(end) ||
	    strcmp(message + strlen(message) - strlen(end), end) != 0)
		fail_msg("%d \"%s\" instead of %d \"…%s\"", daemon_status,
		    message, want, end);
	assert_non_null(json_object_get(error, "code"));
	if (code == NULL)
		assert_null(daemon_text(error, "code"));
	else
		assert_string_equal(daemon_text(error, "code"), code);
	assert_non_null(json_object_get(error, "param"));
	if (param == NULL)
		assert_null(daemon_text(error, "param"));
	else
		assert_string_equal(daemon_text(error, "param"), param);
}

/* --- set-up --------------------------------------------------------------- */

static void
add_tenant(const char *name, char plain[256])
{
	char body[128], uri[128];
	json_t *json;

	(void)sprintf(body, "{\"name\":\"%s\"}", name);
	json = daemon_admin("POST", "/admin/v1/tenants", body);
	assert_string_equal(daemon_text(json, "name"), name);
	json_decref(json);
	(void)sprintf(uri, "/admin/v1/tenants/%s/keys", name);
	json = daemon_admin("POST", uri, "{}");
	(void)strcpy(plain, daemon_text(json, "key"));
	json_decref(json);
}

int
daemon_set_up(void **state)
{
	FILE *conf;

	(void)state;
	(void)signal(SIGPIPE, SIG_IGN);
	(void)strcpy(dir, "/tmp/rememberd-e-api-XXXXXX");
	assert_non_null(mkdtemp(dir));
	(void)sprintf(fcgi_socket, "%s/fcgi.sock", dir);
	(void)sprintf(control_socket, "%s/control.sock", dir);
	(void)sprintf(daemon_conf, "%s/rememberd.conf", dir);
	conf = fopen(daemon_conf, "w");
	assert_non_null(conf);
	(void)fprintf(conf, "store = \"%s/store\"\ncache = \"%s/cache\"\n"
	    "socket = \"%s\"\ncontrol_socket = \"%s\"\nlog_level = \"warn\""
	    "\n", dir, dir, fcgi_socket, control_socket);
	assert_int_equal(fclose(conf), 0);
	daemon_start();
	add_tenant("acme", daemon_key);
	add_tenant("other", daemon_other_key);
	return (0);
}

static int
remove_entry(const char *path, const struct stat *st, int type,
    struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return (remove(path));
}

int
daemon_tear_down(void **state)
{
	(void)state;
	if (daemon_pid != 0)
		assert_int_equal(daemon_stop(SIGTERM), 0);
	return (nftw(dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS));
}

int
daemon_find(const char *argv0)
{
	char self[PATH_MAX];

	if (realpath(argv0, self) == NULL)
		return (-1);
	(void)snprintf(daemon_program, sizeof(daemon_program),
	    "%s/../rememberd", dirname(self));
	return (access(daemon_program, X_OK));
}
