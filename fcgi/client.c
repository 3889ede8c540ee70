#include <fastcgi.h>

#include <sys/socket.h>
#include <sys/un.h>
#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <bsd/string.h>
#include <unistd.h>

#include "client.h"
#include "store/buf.h"
#include "store/sys.h"

/* A reply above this is not read on. */
#define REPLY_MAX	((size_t)256 * 1024 * 1024)
#define REQUEST_ID	1

struct client {
	int	 fd;
	int	 timeout_ms;
};

/* --- bytes -------------------------------------------------------------- */

/* Wait for events until deadline.  Returns 0, or -1 with errno set. */
static int
wait_for(const struct client *c, short events, int64_t deadline)
{
	struct pollfd pfd = { .fd = c->fd, .events = events };
	int64_t left;
	int n;

	for (;;) {
		left = deadline - sys_monotonic_ms();
		n = poll(&pfd, 1, left > 0 ? (int)left : 0);
		if (n > 0)
			return (0);
		if (n == 0) {
			errno = ETIMEDOUT;
			return (-1);
		}
		if (errno != EINTR)
			return (-1);
	}
}

/* Bring a connect that is under way to its end. */
static int
finish_connect(const struct client *c, const struct sockaddr_un *sun)
{
	int64_t deadline = sys_monotonic_ms() + c->timeout_ms;

	/* EAGAIN: the listener's queue is full, of which poll says nothing. */
	while (connect(c->fd, (const struct sockaddr *)sun, sizeof(*sun)) ==
	    -1) {
		if (errno != EAGAIN && errno != EINTR)
			return (-1);
		if (sys_monotonic_ms() >= deadline) {
			errno = ETIMEDOUT;
			return (-1);
		}
		poll(NULL, 0, 5);
	}
	return (0);
}

struct client *
client_open(const char *path, int timeout_ms)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct client *c;

	if (strlcpy(sun.sun_path, path, sizeof(sun.sun_path)) >=
	    sizeof(sun.sun_path)) {
		errno = ENAMETOOLONG;
		return (NULL);
	}
	if ((c = malloc(sizeof(*c))) == NULL)
		return (NULL);
	c->timeout_ms = timeout_ms;
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->fd == -1 || finish_connect(c, &sun) == -1) {
		client_close(c);
		return (NULL);
	}
	return (c);
}

void
client_close(struct client *c)
{
	int saved = errno;

	if (c == NULL)
		return;
	if (c->fd != -1)
		close(c->fd);
	free(c);
	errno = saved;
}

int
client_fd(const struct client *c)
{
	return (c->fd);
}

int
client_send(struct client *c, const void *bytes, size_t len)
{
	int64_t deadline = sys_monotonic_ms() + c->timeout_ms;
	const char *p = bytes;
	ssize_t n;

	while (len > 0) {
		n = send(c->fd, p, len, MSG_NOSIGNAL);
		if (n >= 0) {
			p += n;
			len -= (size_t)n;
		} else if (errno == EAGAIN) {
			if (wait_for(c, POLLOUT, deadline) == -1)
				return (-1);
		} else if (errno != EINTR)
			return (-1);
	}
	return (0);
}

static int
receive(struct client *c, void *bytes, size_t len, int64_t deadline)
{
	char *p = bytes;
	ssize_t n;

	while (len > 0) {
		n = recv(c->fd, p, len, 0);
		if (n > 0) {
			p += n;
			len -= (size_t)n;
		} else if (n == 0) {
			errno = ECONNRESET;
			return (-1);
		} else if (errno == EAGAIN) {
			if (wait_for(c, POLLIN, deadline) == -1)
				return (-1);
		} else if (errno != EINTR)
			return (-1);
	}
	return (0);
}

/* --- records ------------------------------------------------------------ */

static void
add_header(struct buf *out, int type, int id, size_t len)
{
	FCGI_Header h = {
		.version = FCGI_VERSION_1,
		.type = (unsigned char)type,
		.requestIdB1 = (unsigned char)(id >> 8),
		.requestIdB0 = (unsigned char)id,
		.contentLengthB1 = (unsigned char)(len >> 8),
		.contentLengthB0 = (unsigned char)len
	};

	assert(len <= FCGI_MAX_LENGTH);
	buf_add(out, &h, sizeof(h));
}

static void
add_record(struct buf *out, int type, int id, const void *content, size_t len)
{
	add_header(out, type, id, len);
	buf_add(out, content, len);
}

/* Send what was collected, and give its memory back. */
static int
send_buf(struct client *c, struct buf *out)
{
	int rc = -1;

	if (buf_ok(out))
		rc = client_send(c, out->data, out->len);
	else
		errno = ENOMEM;
	buf_fini(out);
	return (rc);
}

int
client_send_record(struct client *c, int type, int id, const void *content,
    size_t len)
{
	struct buf out = BUF_INITIALIZER;

	add_record(&out, type, id, content, len);
	return (send_buf(c, &out));
}

static int
read_record(struct client *c, struct client_record *r, int64_t deadline)
{
	unsigned char padding[255];
	FCGI_Header h;

	if (receive(c, &h, sizeof(h), deadline) == -1)
		return (-1);
	if (h.version != FCGI_VERSION_1) {
		errno = EPROTO;
		return (-1);
	}
	r->type = h.type;
	r->id = (uint16_t)(h.requestIdB1 << 8 | h.requestIdB0);
	r->len = (size_t)h.contentLengthB1 << 8 | h.contentLengthB0;
	if (receive(c, r->content, r->len, deadline) == -1)
		return (-1);
	r->content[r->len] = '\0';
	return (receive(c, padding, h.paddingLength, deadline));
}

int
client_read_record(struct client *c, struct client_record *r)
{
	return (read_record(c, r, sys_monotonic_ms() + c->timeout_ms));
}

/* --- requests ----------------------------------------------------------- */

static void
add_length(struct buf *out, size_t len)
{
	if (len > 0x7f) {
		buf_addc(out, (char)(0x80 | (len >> 24 & 0x7f)));
		buf_addc(out, (char)(len >> 16));
		buf_addc(out, (char)(len >> 8));
	}
	buf_addc(out, (char)len);
}

static void
add_param(struct buf *out, const char *name, const char *value)
{
	add_length(out, strlen(name));
	add_length(out, strlen(value));
	buf_adds(out, name);
	buf_adds(out, value);
}

/* "If-Match: x" as the parameter HTTP_IF_MATCH. */
static void
add_http(struct buf *out, const char *header)
{
	const char *value = header + strcspn(header, ":");
	struct buf name = BUF_INITIALIZER;
	const char *p;

	if (strncasecmp(header, "Content-Type:", 13) != 0)
		buf_adds(&name, "HTTP_");
	for (p = header; p != value; p++)
		buf_addc(&name, *p == '-' ? '_' :
		    (char)toupper((unsigned char)*p));
	buf_addc(&name, '\0');
	if (*value == ':')
		value += 1 + strspn(value + 1, " ");
	if (buf_ok(&name))
		add_param(out, name.data, value);
	else
		out->failed = true;
	buf_fini(&name);
}

static void
add_params(struct buf *out, const char *method, const char *uri,
    const char *const *headers, size_t body_len)
{
	char length[24];

	snprintf(length, sizeof(length), "%zu", body_len);
	add_param(out, "REQUEST_METHOD", method);
	add_param(out, "REQUEST_URI", uri);
	add_param(out, "CONTENT_LENGTH", length);
	for (; headers != NULL && *headers != NULL; headers++)
		add_http(out, *headers);
}

static void
add_body(struct buf *out, const char *body, size_t len)
{
	size_t n;

	for (; len > 0; body += n, len -= n) {
		n = len < FCGI_MAX_LENGTH ? len : FCGI_MAX_LENGTH;
		add_record(out, FCGI_STDIN, REQUEST_ID, body, n);
	}
	add_header(out, FCGI_STDIN, REQUEST_ID, 0);
}

int
client_send_request(struct client *c, const char *method, const char *uri,
    const char *const *headers, const void *body, size_t len)
{
	FCGI_BeginRequestBody begin = {
		.roleB0 = FCGI_RESPONDER, .flags = FCGI_KEEP_CONN
	};
	struct buf params = BUF_INITIALIZER, out = BUF_INITIALIZER;

	add_params(&params, method, uri, headers, len);
	if (!buf_ok(&params) || params.len > FCGI_MAX_LENGTH) {
		errno = buf_ok(&params) ? E2BIG : ENOMEM;
		buf_fini(&params);
		return (-1);
	}
	add_record(&out, FCGI_BEGIN_REQUEST, REQUEST_ID, &begin,
	    sizeof(begin));
	add_record(&out, FCGI_PARAMS, REQUEST_ID, params.data, params.len);
	add_header(&out, FCGI_PARAMS, REQUEST_ID, 0);
	add_body(&out, body, len);
	buf_fini(&params);
	return (send_buf(c, &out));
}

/* --- replies ------------------------------------------------------------ */

/* The end of the line at p, "\n" or "\r\n"; *next_r stands behind it. */
static char *
line_end(char *p, char **next_r)
{
	char *end = strchr(p, '\n');

	if (end == NULL)
		return (NULL);
	*next_r = end + 1;
	return (end > p && end[-1] == '\r' ? end - 1 : end);
}

/*
 * Take the header lines off the front of text, up to the empty one.  Returns
 * where the body begins, or NULL if there is no empty line.
 */
static char *
split_headers(char *text, struct client_reply *r, struct buf *headers)
{
	char *end, *next;

	r->status = 200;
	for (; (end = line_end(text, &next)) != NULL; text = next) {
		if (end == text)
			return (next);
		if (strncasecmp(text, "Status:", 7) == 0)
			r->status = atoi(text + 7);
		else {
			buf_add(headers, text, (size_t)(end - text));
			buf_addc(headers, '\n');
		}
	}
	return (NULL);
}

/* Turn the CGI response into a reply. */
static int
parse_reply(struct buf *text, struct client_reply *r)
{
	struct buf headers = BUF_INITIALIZER;
	char *body;
	size_t len;

	memset(r, 0, sizeof(*r));
	buf_addc(text, '\0');
	if (!buf_ok(text)) {
		errno = ENOMEM;
		return (-1);
	}
	if ((body = split_headers(text->data, r, &headers)) == NULL) {
		buf_fini(&headers);
		errno = EPROTO;
		return (-1);
	}
	r->body_len = text->len - 1 - (size_t)(body - text->data);
	memmove(text->data, body, r->body_len + 1);
	r->headers = buf_take(&headers, &len);
	if (r->headers == NULL) {
		errno = ENOMEM;
		return (-1);
	}
	r->body = text->data;
	buf_init(text);
	return (0);
}

/* Collect STDOUT up to END_REQUEST. */
static int
read_stdout(struct client *c, struct client_record *rec, struct buf *text)
{
	int64_t deadline = sys_monotonic_ms() + c->timeout_ms;

	for (;;) {
		if (read_record(c, rec, deadline) == -1)
			return (-1);
		if (rec->type == FCGI_END_REQUEST)
			return (0);
		if (rec->type == FCGI_STDOUT)
			buf_add(text, rec->content, rec->len);
		if (!buf_ok(text) || text->len > REPLY_MAX) {
			errno = buf_ok(text) ? EFBIG : ENOMEM;
			return (-1);
		}
	}
}

int
client_read_reply(struct client *c, struct client_reply *r)
{
	struct buf text = BUF_INITIALIZER;
	struct client_record *rec;
	int rc = -1;

	if ((rec = malloc(sizeof(*rec))) == NULL)
		return (-1);
	if (read_stdout(c, rec, &text) == 0)
		rc = parse_reply(&text, r);
	buf_fini(&text);
	free(rec);
	return (rc);
}

int
client_request(struct client *c, const char *method, const char *uri,
    const char *const *headers, const void *body, size_t len,
    struct client_reply *r)
{
	if (client_send_request(c, method, uri, headers, body, len) == -1)
		return (-1);
	return (client_read_reply(c, r));
}

const char *
client_header(const struct client_reply *r, const char *name, char *buf,
    size_t size)
{
	size_t n = strlen(name), len;
	const char *p, *end;

	for (p = r->headers; (end = strchr(p, '\n')) != NULL; p = end + 1) {
		if (strncasecmp(p, name, n) != 0 || p[n] != ':')
			continue;
		p += n + 1;
		p += strspn(p, " ");
		if ((len = (size_t)(end - p)) >= size)
			return (NULL);
		memcpy(buf, p, len);
		buf[len] = '\0';
		return (buf);
	}
	return (NULL);
}

void
client_reply_fini(struct client_reply *r)
{
	free(r->headers);
	free(r->body);
	r->headers = NULL;
	r->body = NULL;
}
