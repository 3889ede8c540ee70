#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "pieces.h"

static char dir[128];			/* of the daemon */

const char *
in_dir(const char *name)
{
	static char paths[4][512];
	static unsigned int n;
	char *path = paths[n++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", dir, name);
	return (path);
}

int
pieces_set_up(void **state)
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
	    "tenant \"acme\" { allowed_origins = "
	    "{ \"https://a.example\" } }\n");
	assert_int_equal(fclose(f), 0);
	daemon_start();
	return (0);
}

struct client *
dial(void)
{
	return (dial_at(in_dir("fcgi.sock")));
}

void
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

void
put_api(struct buf *b, const char *method, const char *uri, const char *body)
{
	put_announced(b, method, uri, body, strlen(body));
}

void
put_append(struct buf *b, const char *conversation, const char *item)
{
	char uri[256], body[256];

	snprintf(uri, sizeof(uri), "/v1/conversations/%s/items", conversation);
	snprintf(body, sizeof(body), "{\"items\":[{\"type\":\"message\","
	    "\"role\":\"user\",\"id\":\"%s\",\"content\":\"hi\"}]}", item);
	put_api(b, "POST", uri, body);
}

json_int_t
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
