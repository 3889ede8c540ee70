#include <fastcgi.h>

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "wire_internal.h"

/* A management record has no more content than this, nor has BEGIN_REQUEST. */
#define SMALL_MAX	512
/* What an idle connection may keep of its parameters' memory. */
#define KEEP_BYTES	2048

enum wire_state { IDLE, PARAMS, STDIN, WHOLE, ABORTED, BROKEN };

/* Where the content of the record that is being read goes. */
enum content { TO_NOWHERE, TO_SMALL, TO_PARAMS, TO_BODY };

struct wire {
	const struct wire_limits *limits;
	enum wire_state	 state;
	uint16_t	 id;		/* of the request, but in IDLE */
	bool		 is_kept;	/* FCGI_KEEP_CONN */
	int		 refusal;

	/* The record that is being read. */
	FCGI_Header	 header;
	size_t		 header_len;	/* bytes of it so far */
	bool		 in_record;	/* the header was judged */
	enum content	 content;
	size_t		 content_left;
	size_t		 padding_left;
	size_t		 small_len;
	unsigned char	 small[SMALL_MAX];

	/* The request. */
	struct buf	 params;
	struct pair	*pairs;
	size_t		 npairs;
	uint64_t	 expected;	/* CONTENT_LENGTH */
	struct buf	 body;
};

struct wire *
wire_new(const struct wire_limits *limits)
{
	struct wire *w;

	if ((w = calloc(1, sizeof(*w))) == NULL)
		return (NULL);
	w->limits = limits;
	buf_init(&w->params);
	buf_init(&w->body);
	return (w);
}

void
wire_free(struct wire *w)
{
	if (w == NULL)
		return;
	free(w->pairs);
	buf_fini(&w->params);
	buf_fini(&w->body);
	free(w);
}

/* --- the request -------------------------------------------------------- */

/* Read the request to its end, but only to say no.  The first reason counts. */
static void
refuse(struct wire *w, int status)
{
	if (w->refusal == 0)
		w->refusal = status;
	buf_fini(&w->body);
}

static void
drop_params(struct wire *w)
{
	free(w->pairs);
	w->pairs = NULL;
	w->npairs = 0;
	if (w->params.size > KEEP_BYTES)
		buf_fini(&w->params);
	else
		buf_clear(&w->params);
}

static const struct span *
find_param(const struct wire *w, const char *name)
{
	size_t i;

	for (i = 0; i < w->npairs; i++)
		if (w->pairs[i].name.len == strlen(name) &&
		    strcmp(w->pairs[i].name.p, name) == 0)
			return (&w->pairs[i].value);
	return (NULL);
}

/* What CONTENT_LENGTH says; without one there is no body. */
static void
expect_body(struct wire *w)
{
	const struct span *v = find_param(w, "CONTENT_LENGTH");
	unsigned long long n;

	if (v == NULL || v->len == 0)
		return;
	if (strspn(v->p, "0123456789") != v->len) {
		refuse(w, 400);
		return;
	}
	errno = 0;
	n = strtoull(v->p, NULL, 10);
	if (errno == ERANGE || n > w->limits->body)
		refuse(w, 413);
	else
		w->expected = n;
}

/* The empty PARAMS record came.  Returns false for want of memory. */
static bool
end_params(struct wire *w)
{
	int n;

	w->state = STDIN;
	if (w->refusal != 0)
		return (true);
	if (w->params.len == 0)
		return (true);
	n = wire_pairs(w->params.data, w->params.len, NULL);
	if (n == -1 || (size_t)n > w->limits->params_pairs) {
		refuse(w, n == -1 ? 400 : 431);
		drop_params(w);
		return (true);
	}
	w->pairs = calloc((size_t)n, sizeof(*w->pairs));
	if (w->pairs == NULL)
		return (false);
	wire_pairs(w->params.data, w->params.len, w->pairs);
	w->npairs = (size_t)n;
	expect_body(w);
	return (true);
}

/* The empty STDIN record came. */
static void
end_body(struct wire *w)
{
	w->state = WHOLE;
	if (w->refusal != 0)
		return;
	if (w->body.len < w->expected)
		refuse(w, 400);
	else if (w->body.len > 0) {
		buf_addc(&w->body, '\0');
		if (!buf_ok(&w->body))
			refuse(w, 503);
		else
			w->body.len--;
	}
}

static void
add_params(struct wire *w, const void *p, size_t len)
{
	if (w->refusal != 0)
		return;
	if (len > w->limits->params_bytes - w->params.len) {
		refuse(w, 431);
		drop_params(w);
		return;
	}
	buf_add(&w->params, p, len);
}

static void
add_body(struct wire *w, const void *p, size_t len)
{
	if (w->refusal != 0)
		return;
	if (len > w->expected - w->body.len) {
		refuse(w, 400);
		return;
	}
	buf_add(&w->body, p, len);
	if (!buf_ok(&w->body))
		refuse(w, 503);
}

bool
wire_is_idle(const struct wire *w)
{
	return (w->state == IDLE && !w->in_record && w->header_len == 0);
}

bool
wire_is_begun(const struct wire *w)
{
	return (w->state == PARAMS || w->state == STDIN);
}

bool
wire_is_kept(const struct wire *w)
{
	return (w->is_kept);
}

uint16_t
wire_id(const struct wire *w)
{
	return (w->id);
}

int
wire_refusal(const struct wire *w)
{
	return (w->refusal);
}

const struct pair *
wire_params(const struct wire *w, size_t *n_r)
{
	*n_r = w->npairs;
	return (w->pairs);
}

struct span
wire_body(const struct wire *w)
{
	if (w->body.len == 0)
		return ((struct span){ "", 0 });
	return ((struct span){ w->body.data, w->body.len });
}

void
wire_finish(struct wire *w)
{
	assert(w->state == WHOLE || w->state == ABORTED);
	w->state = IDLE;
	w->refusal = 0;
	drop_params(w);
	buf_fini(&w->body);
}

/* --- records ------------------------------------------------------------ */

static enum wire_event
broken(struct wire *w)
{
	w->state = BROKEN;
	return (WIRE_BROKEN);
}

/* BEGIN_REQUEST with its body of eight bytes. */
static enum wire_event
begin_request(struct wire *w, uint16_t id, struct buf *out)
{
	FCGI_BeginRequestBody body;

	if (w->small_len != sizeof(body) || id == FCGI_NULL_REQUEST_ID)
		return (broken(w));
	memcpy(&body, w->small, sizeof(body));
	if (w->state != IDLE) {
		wire_put_end(out, id, FCGI_CANT_MPX_CONN);
		return (WIRE_MORE);
	}
	w->is_kept = (body.flags & FCGI_KEEP_CONN) != 0;
	if (body.roleB1 != 0 || body.roleB0 != FCGI_RESPONDER) {
		wire_put_end(out, id, FCGI_UNKNOWN_ROLE);
		return (w->is_kept ? WIRE_MORE : broken(w));
	}
	w->id = id;
	w->expected = 0;
	w->state = PARAMS;
	return (WIRE_MORE);
}

static uint16_t
header_id(const FCGI_Header *h)
{
	return ((uint16_t)(h->requestIdB1 << 8 | h->requestIdB0));
}

/* A record without an id is the peer asking about us. */
static enum wire_event
judge_management(struct wire *w)
{
	switch (w->header.type) {
	case FCGI_BEGIN_REQUEST:
	case FCGI_ABORT_REQUEST:
	case FCGI_PARAMS:
	case FCGI_STDIN:
	case FCGI_DATA:
		return (broken(w));
	case FCGI_GET_VALUES:
		w->content = TO_SMALL;
		return (WIRE_MORE);
	default:
		w->content = TO_NOWHERE;
		return (WIRE_MORE);
	}
}

/* A record of the request in hand. */
static enum wire_event
judge_ours(struct wire *w)
{
	switch (w->header.type) {
	case FCGI_BEGIN_REQUEST:
		return (w->state == WHOLE || w->state == ABORTED ?
		    WIRE_HOLD : broken(w));
	case FCGI_ABORT_REQUEST:
		w->content = TO_NOWHERE;
		return (WIRE_MORE);
	case FCGI_PARAMS:
		w->content = TO_PARAMS;
		return (w->state == PARAMS ? WIRE_MORE : broken(w));
	case FCGI_STDIN:
		w->content = TO_BODY;
		return (w->state == STDIN ? WIRE_MORE : broken(w));
	default:
		return (broken(w));
	}
}

/* A record of another request: begun here, refused, or ended long since. */
static enum wire_event
judge_other(struct wire *w)
{
	switch (w->header.type) {
	case FCGI_BEGIN_REQUEST:
		w->content = TO_SMALL;
		return (WIRE_MORE);
	case FCGI_ABORT_REQUEST:
	case FCGI_PARAMS:
	case FCGI_STDIN:
	case FCGI_DATA:
		w->content = TO_NOWHERE;
		return (WIRE_MORE);
	default:
		return (broken(w));
	}
}

/* The header is there: what is this record, and may it come now? */
static enum wire_event
begin_record(struct wire *w)
{
	uint16_t id = header_id(&w->header);
	enum wire_event event;

	if (w->header.version != FCGI_VERSION_1)
		return (broken(w));
	w->content_left = (size_t)w->header.contentLengthB1 << 8 |
	    w->header.contentLengthB0;
	w->padding_left = w->header.paddingLength;
	w->small_len = 0;

	if (id == FCGI_NULL_REQUEST_ID)
		event = judge_management(w);
	else if (w->state != IDLE && id == w->id)
		event = judge_ours(w);
	else
		event = judge_other(w);
	if (event == WIRE_MORE && w->content == TO_SMALL &&
	    w->content_left > SMALL_MAX)
		event = broken(w);
	return (event);
}

static void
take_content(struct wire *w, const void *p, size_t len)
{
	switch (w->content) {
	case TO_NOWHERE:
		break;
	case TO_SMALL:
		memcpy(w->small + w->small_len, p, len);
		w->small_len += len;
		break;
	case TO_PARAMS:
		add_params(w, p, len);
		break;
	case TO_BODY:
		add_body(w, p, len);
		break;
	}
	w->content_left -= len;
}

/* The whole record was read.  An empty one ends its stream. */
static enum wire_event
end_ours(struct wire *w)
{
	bool is_empty = w->header.contentLengthB1 == 0 &&
	    w->header.contentLengthB0 == 0;

	switch (w->header.type) {
	case FCGI_ABORT_REQUEST:
		w->state = ABORTED;
		return (WIRE_ABORT);
	case FCGI_PARAMS:
		if (!buf_ok(&w->params) || (is_empty && !end_params(w)))
			return (broken(w));
		return (WIRE_MORE);
	case FCGI_STDIN:
		if (!is_empty)
			return (WIRE_MORE);
		end_body(w);
		return (WIRE_REQUEST);
	default:
		return (WIRE_MORE);
	}
}

static enum wire_event
end_record(struct wire *w, struct buf *out)
{
	uint16_t id = header_id(&w->header);

	if (id == FCGI_NULL_REQUEST_ID) {
		if (w->header.type == FCGI_GET_VALUES)
			wire_put_values(w->small, w->small_len,
			    w->limits->max_conns, out);
		else
			wire_put_unknown_type(out, w->header.type);
		return (WIRE_MORE);
	}
	if (w->state != IDLE && id == w->id)
		return (end_ours(w));
	if (w->header.type == FCGI_BEGIN_REQUEST)
		return (begin_request(w, id, out));
	return (WIRE_MORE);
}

/* At most `want` bytes of what is left, and step over them. */
static size_t
take(const char **p, const char *end, size_t want)
{
	size_t n = (size_t)(end - *p);

	if (n > want)
		n = want;
	*p += n;
	return (n);
}

/*
 * One record, or as much of it as there is.  WIRE_MORE with bytes left over
 * means that the record has ended.
 */
static enum wire_event
feed_record(struct wire *w, const char **p, const char *end, struct buf *out)
{
	enum wire_event event;
	size_t n;

	if (!w->in_record) {
		n = take(p, end, FCGI_HEADER_LEN - w->header_len);
		memcpy((char *)&w->header + w->header_len, *p - n, n);
		w->header_len += n;
		if (w->header_len < FCGI_HEADER_LEN)
			return (WIRE_MORE);
		if ((event = begin_record(w)) != WIRE_MORE)
			return (event);
		w->in_record = true;
	}
	n = take(p, end, w->content_left);
	take_content(w, *p - n, n);
	w->padding_left -= take(p, end, w->padding_left);
	if (w->content_left > 0 || w->padding_left > 0)
		return (WIRE_MORE);
	w->in_record = false;
	w->header_len = 0;
	return (end_record(w, out));
}

/* The facts of the drawing in wire.h, and the limits. */
static void
wire_assert_state(const struct wire *w)
{
	bool is_begun = w->state == PARAMS || w->state == STDIN;

	assert(w->header_len <= FCGI_HEADER_LEN);
	assert(!w->in_record || w->header_len == FCGI_HEADER_LEN);
	assert(w->small_len <= SMALL_MAX);
	assert(w->npairs <= w->limits->params_pairs);
	assert(w->params.len <= w->limits->params_bytes);
	assert(w->body.len <= w->expected);
	assert(w->expected <= w->limits->body);
	assert(w->refusal == 0 || w->body.len == 0);
	if (w->state == IDLE)
		assert(w->refusal == 0 && w->pairs == NULL &&
		    w->params.len == 0 && w->body.data == NULL);
	if (w->state == PARAMS)
		assert(w->pairs == NULL && w->body.len == 0);
	if (w->state == WHOLE && w->refusal == 0)
		assert(w->body.len == w->expected);
	if (is_begun || w->state == WHOLE || w->state == ABORTED)
		assert(w->id != FCGI_NULL_REQUEST_ID);
}

enum wire_event
wire_feed(struct wire *w, const void *bytes, size_t len, size_t *used_r,
    struct buf *out)
{
	const char *p = bytes;
	const char *end = p + len;
	enum wire_event event;

	if (w->state == BROKEN) {
		*used_r = 0;
		return (WIRE_BROKEN);
	}
	/* At least once: a header may have been held back. */
	do
		event = feed_record(w, &p, end, out);
	while (event == WIRE_MORE && p != end);
	*used_r = (size_t)(p - (const char *)bytes);
	wire_assert_state(w);
	return (event);
}
