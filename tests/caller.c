#include <errno.h>
#include <fastcgi.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/caller.h"

struct client *
dial_at(const char *path)
{
	struct client *c = client_open(path, TIMEOUT_MS);

	assert_non_null(c);
	return (c);
}

void
send_buf(struct client *c, struct buf *b)
{
	assert_int_equal(client_send(c, b->data, b->len), 0);
	buf_fini(b);
}

void
assert_reply(struct client *c, int status, const char *has)
{
	struct client_reply r;

	if (client_read_reply(c, &r) == -1)
		fail_msg("%s instead of %d", strerror(errno), status);
	if (r.status != status || strstr(r.body, has) == NULL)
		fail_msg("%d %s", r.status, r.body);
	client_reply_fini(&r);
}

void
assert_ended(struct client *c)
{
	struct client_record *r = malloc(sizeof(*r));

	assert_int_equal(client_read_record(c, r), 0);
	assert_int_equal(r->type, FCGI_END_REQUEST);
	free(r);
}

void
assert_closed(struct client *c)
{
	struct client_record *r = malloc(sizeof(*r));

	assert_int_equal(client_read_record(c, r), -1);
	assert_true(errno == ECONNRESET || errno == EPIPE);
	free(r);
	client_close(c);
}

bool
is_silent(struct client *c, int ms)
{
	struct pollfd pfd = { .fd = client_fd(c), .events = POLLIN };

	return (poll(&pfd, 1, ms) == 0);
}
