#include <fastcgi.h>

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "wire_internal.h"

static void
fill_header(unsigned char head[FCGI_HEADER_LEN], int type, uint16_t id,
    size_t len)
{
	assert(len <= FCGI_MAX_LENGTH);
	head[0] = FCGI_VERSION_1;
	head[1] = (unsigned char)type;
	head[2] = (unsigned char)(id >> 8);
	head[3] = (unsigned char)id;
	head[4] = (unsigned char)(len >> 8);
	head[5] = (unsigned char)len;
	head[6] = 0;
	head[7] = 0;
}

static void
add_record(struct buf *out, int type, uint16_t id, const void *content,
    size_t len)
{
	unsigned char head[FCGI_HEADER_LEN];

	fill_header(head, type, id, len);
	buf_add(out, head, sizeof(head));
	buf_add(out, content, len);
}

void
wire_put_end(struct buf *out, uint16_t id, int status)
{
	FCGI_EndRequestBody body = { .protocolStatus = (unsigned char)status };

	add_record(out, FCGI_END_REQUEST, id, &body, sizeof(body));
}

void
wire_end(uint16_t id, struct buf *out)
{
	wire_put_end(out, id, FCGI_REQUEST_COMPLETE);
}

void
wire_put_unknown_type(struct buf *out, unsigned char type)
{
	FCGI_UnknownTypeBody body = { .type = type };

	add_record(out, FCGI_UNKNOWN_TYPE, FCGI_NULL_REQUEST_ID, &body,
	    sizeof(body));
}

/* Does the content ask for this variable? */
static bool
asks_for(const unsigned char *p, size_t len, const char *name)
{
	const unsigned char *end = p + len;
	struct span n, v;

	while (p != end && wire_take_pair(&p, end, &n, &v))
		if (n.len == strlen(name) && memcmp(n.p, name, n.len) == 0)
			return (true);
	return (false);
}

static void
add_value(struct buf *values, const char *name, unsigned int value)
{
	char digits[16];
	int n;

	n = snprintf(digits, sizeof(digits), "%u", value);
	buf_addc(values, (char)strlen(name));
	buf_addc(values, (char)n);
	buf_adds(values, name);
	buf_add(values, digits, (size_t)n);
}

/* No connection has more than one request at a time. */
void
wire_put_values(const unsigned char *content, size_t len,
    unsigned int max_conns, struct buf *out)
{
	struct buf values = BUF_INITIALIZER;

	if (asks_for(content, len, FCGI_MAX_CONNS))
		add_value(&values, FCGI_MAX_CONNS, max_conns);
	if (asks_for(content, len, FCGI_MAX_REQS))
		add_value(&values, FCGI_MAX_REQS, max_conns);
	if (asks_for(content, len, FCGI_MPXS_CONNS))
		add_value(&values, FCGI_MPXS_CONNS, 0);
	if (buf_ok(&values))
		add_record(out, FCGI_GET_VALUES_RESULT, FCGI_NULL_REQUEST_ID,
		    values.data, values.len);
	else
		out->failed = true;
	buf_fini(&values);
}

static size_t
count_chunks(size_t response)
{
	return (response / WIRE_CHUNK + (response % WIRE_CHUNK != 0));
}

size_t
wire_frame_size(size_t response)
{
	return (response + count_chunks(response) * FCGI_HEADER_LEN +
	    sizeof(((struct wire_heads *)0)->tail));
}

static void
fill_tail(unsigned char *tail, uint16_t id)
{
	fill_header(tail, FCGI_STDOUT, id, 0);
	tail += FCGI_HEADER_LEN;
	fill_header(tail, FCGI_END_REQUEST, id, sizeof(FCGI_EndRequestBody));
	memset(tail + FCGI_HEADER_LEN, 0, sizeof(FCGI_EndRequestBody));
}

/* The next member of iov: the run less the *skip bytes that were sent. */
static int
add_iov(struct iovec *iov, const void *run, size_t len, size_t *skip)
{
	if (*skip >= len) {
		*skip -= len;
		return (0);
	}
	iov->iov_base = (char *)run + *skip;
	iov->iov_len = len - *skip;
	*skip = 0;
	return (1);
}

int
wire_frame(uint16_t id, struct span response, size_t sent,
    struct wire_heads *heads, struct iovec iov[WIRE_IOV])
{
	const size_t record = FCGI_HEADER_LEN + WIRE_CHUNK;
	size_t chunks = count_chunks(response.len);
	size_t i = sent / record, len, skip;
	unsigned char *head;
	int n = 0;

	/* The last record may be short: the tail is counted as part of it. */
	if (i >= chunks)
		i = chunks > 0 ? chunks - 1 : 0;
	skip = sent - i * record;
	for (; i < chunks && n + 3 <= WIRE_IOV; i++) {
		len = response.len - i * WIRE_CHUNK;
		if (len > WIRE_CHUNK)
			len = WIRE_CHUNK;
		head = heads->head[n];
		fill_header(head, FCGI_STDOUT, id, len);
		n += add_iov(&iov[n], head, FCGI_HEADER_LEN, &skip);
		n += add_iov(&iov[n], response.p + i * WIRE_CHUNK, len, &skip);
	}
	if (i == chunks) {
		fill_tail(heads->tail, id);
		n += add_iov(&iov[n], heads->tail, sizeof(heads->tail), &skip);
	}
	return (n);
}
