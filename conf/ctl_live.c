#include <errno.h>
#include <string.h>

#include <bsd/err.h>

#include "fcgi/client.h"

#include "conf.h"
#include "ctl.h"

/* A flush of much may take this long. */
#define TIMEOUT_MS	(10 * 60 * 1000)

/* Say why the daemon's answer is of no use. */
static int
fail(const struct conf *conf, const char *what)
{
	warnx("%s: %s", conf->control_socket, what);
	errno = 0;
	return (-1);
}

int
ctl_live(const struct conf *conf, const struct ctl_call *call,
    json_t **reply_r)
{
	static const char *const headers[] = {
		"Content-Type: application/json", NULL
	};
	struct client_reply reply;
	struct client *client;
	json_error_t error;
	int status;

	client = client_open(conf->control_socket, TIMEOUT_MS);
	if (client == NULL) {
		if (errno == ENOENT || errno == ECONNREFUSED)
			return (-1);
		return (fail(conf, strerror(errno)));
	}
	if (client_request(client, call->method, call->path,
	    call->body == NULL ? NULL : headers, call->body, call->body_len,
	    &reply) == -1) {
		client_close(client);
		return (fail(conf, strerror(errno)));
	}
	client_close(client);
	*reply_r = json_loadb(reply.body, reply.body_len,
	    JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
	status = reply.status;
	client_reply_fini(&reply);
	if (*reply_r == NULL)
		return (fail(conf, "the daemon's answer is no JSON"));
	return (status);
}
