#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cors.h"
#include "reply.h"
#include "tally.h"

/* An error's message: one with a client's words in it is cut here. */
#define MESSAGE_MAX	2048
/* How much of a name stands in a message. */
#define ID_SHOWN	512

static const struct {
	int		 status;
	const char	*reason;
} reasons[] = {
	{ 200, "OK" },
	{ 201, "Created" },
	{ 204, "No Content" },
	{ 304, "Not Modified" },
	{ 400, "Bad Request" },
	{ 401, "Unauthorized" },
	{ 403, "Forbidden" },
	{ 404, "Not Found" },
	{ 405, "Method Not Allowed" },
	{ 408, "Request Timeout" },
	{ 409, "Conflict" },
	{ 412, "Precondition Failed" },
	{ 413, "Content Too Large" },
	{ 422, "Unprocessable Content" },
	{ 429, "Too Many Requests" },
	{ 431, "Request Header Fields Too Large" },
	{ 500, "Internal Server Error" },
	{ 503, "Service Unavailable" },
	{ 507, "Insufficient Storage" }
};

/*
 * What each outcome of the store means in HTTP.  The message is before, the
 * name that was asked for in quotes, and behind; without behind there is no
 * name in it.
 */
static const struct {
	int		 status;
	const char	*code;
	const char	*param;
	int		 retry_after;	/* seconds; 0 for none */
	bool		 is_final;	/* x-should-retry: false */
	const char	*before;
	const char	*behind;
} outcomes[] = {
	[STORE_COLD] = { 503, "busy", NULL, 1, false,
	    "This is being read from the disk. Please try again.", NULL },
	[STORE_NOENT] = { 404, NULL, NULL, 0, false,
	    "Conversation with id ", " not found." },
	[STORE_NOITEM] = { 404, NULL, NULL, 0, false,
	    "Item with id ", " not found in conversation." },
	[STORE_NOCURSOR] = { 404, NULL, "after", 0, false,
	    "Invalid cursor: ", " is not in this list." },
	[STORE_EXISTS] = { 409, "already_exists", NULL, 0, true,
	    "The name ", " is taken." },
	[STORE_CONFLICT] = { 400, "item_already_in_conversation", "items", 0,
	    false, "Item already in conversation", NULL },
	[STORE_PRECONDITION] = { 412, "precondition_failed", NULL, 0, false,
	    "The version is not the one that If-Match asked for.", NULL },
	[STORE_REUSED] = { 422, "idempotency_key_reused", NULL, 0, false,
	    "This Idempotency-Key was used with another body.", NULL },
	[STORE_ONCE_LIMIT] = { 429, "rate_limit_exceeded", NULL, 60, false,
	    "Too many idempotency keys are kept for this conversation.",
	    NULL },
	[STORE_METADATA_LIMIT] = { 400, "object_above_max_properties",
	    "metadata", 0, false,
	    "Invalid 'metadata': too many properties. Expected an object with "
	    "at most 16 properties after the change.", NULL },
	[STORE_BUSY] = { 503, "busy", NULL, 1, false,
	    "The journal is busy. Please try again.", NULL },
	[STORE_FULL] = { 507, "storage_full", NULL, 10, true,
	    "There is no space left; nothing was changed.", NULL },
	[STORE_SICK] = { 503, "storage_unavailable", NULL, 1, false,
	    "The store cannot be written at present; nothing was changed.",
	    NULL },
	[STORE_DAMAGED] = { 503, "damaged", NULL, 0, true,
	    "What is stored of ", " is damaged; it was kept aside." },
	[STORE_NEWER] = { 503, "damaged", NULL, 0, true,
	    "What is stored of ", " was written by a newer rememberd; it is "
	    "left alone." },
	[STORE_NOMEM] = { 503, "out_of_memory", NULL, 1, false,
	    "There is no memory left; nothing was changed.", NULL },
	[STORE_UNSURE] = { 503, "outcome_unknown", NULL, 1, false,
	    "This was changed, but what came of it cannot be told now. "
	    "Please retry with the same Idempotency-Key.", NULL }
};

#define NELEMS(a)	(sizeof(a) / sizeof((a)[0]))
_Static_assert(NELEMS(reasons) < TALLY_STATUSES,
    "a tally has no place for it");

/* --- text --------------------------------------------------------------- */

/* How many bytes at s make one character of UTF-8?  0: they make none. */
static size_t
utf8_length(const unsigned char *s, size_t len)
{
	uint32_t c;
	size_t i, n;

	if (s[0] < 0x80)
		return (1);
	n = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
	if (s[0] < 0xc2 || s[0] > 0xf4 || n > len)
		return (0);
	c = s[0] & (0x7fU >> n);
	for (i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return (0);
		c = c << 6 | (s[i] & 0x3f);
	}
	/* Written too long, a surrogate, or beyond Unicode. */
	if ((n == 3 && c < 0x800) || (n == 4 && c < 0x10000) ||
	    (c >= 0xd800 && c <= 0xdfff) || c > 0x10ffff)
		return (0);
	return (n);
}

/* Append s with U+FFFD for each byte that is no UTF-8, at most max bytes. */
static void
add_utf8(struct buf *out, const char *s, size_t len, size_t max)
{
	size_t n;

	for (; len > 0; s += n, len -= n) {
		n = utf8_length((const unsigned char *)s, len);
		if (out->len + 4 > max) {
			buf_adds(out, "…");
			return;
		}
		if (n == 0) {
			buf_adds(out, "\xef\xbf\xbd");
			n = 1;
		} else
			buf_add(out, s, n);
	}
}

/* --- making ------------------------------------------------------------- */

void
reply_init(struct reply *rep)
{
	memset(rep, 0, sizeof(*rep));
	buf_init(&rep->headers);
	buf_init(&rep->body);
}

void
reply_fini(struct reply *rep)
{
	buf_fini(&rep->headers);
	buf_fini(&rep->body);
}

void
reply_start(struct reply *rep, int status)
{
	rep->status = status;
	rep->code = NULL;
	rep->type = NULL;
	buf_clear(&rep->headers);
	buf_clear(&rep->body);
	rep->lsn = 0;
	rep->is_change = false;
}

/* Leave out of the line, from byte `from` on, what would end it early. */
static void
drop_controls(struct buf *line, size_t from)
{
	size_t i, to = from;

	for (i = from; i < line->len; i++)
		if ((unsigned char)line->data[i] >= ' ' &&
		    line->data[i] != 0x7f)
			line->data[to++] = line->data[i];
	line->len = to;
}

void
reply_header(struct reply *rep, const char *name, const char *fmt, ...)
{
	struct buf *out = &rep->headers;
	size_t from;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	buf_adds(out, name);
	buf_adds(out, ": ");
	/* vsnprintf wants room for its NUL. */
	if (n < 0 || !buf_reserve(out, (size_t)n + 1)) {
		out->failed = true;
		return;
	}
	from = out->len;
	va_start(ap, fmt);
	vsnprintf(out->data + from, (size_t)n + 1, fmt, ap);
	va_end(ap);
	out->len += (size_t)n;
	drop_controls(out, from);
	buf_adds(out, "\r\n");
}

void
reply_etag(struct reply *rep, uint64_t version)
{
	reply_header(rep, "ETag", "\"%" PRIu64 "\"", version);
}

void
reply_wait(struct reply *rep, uint64_t lsn)
{
	if (lsn > rep->lsn)
		rep->lsn = lsn;
}

static const char *
error_type(int status)
{
	switch (status) {
	case 401:
		return ("authentication_error");
	case 403:
		return ("permission_error");
	case 429:
		return ("rate_limit_error");
	default:
		return (status >= 500 ? "server_error" :
		    "invalid_request_error");
	}
}

/* Begin anew with the error object.  message and param: any bytes. */
static void
put_error(struct reply *rep, int status, const char *code, const char *param,
    const char *message, size_t len)
{
	struct buf text = BUF_INITIALIZER;
	struct buf *out = &rep->body;
	uint64_t lsn = rep->lsn;

	reply_start(rep, status);
	rep->lsn = lsn;
	rep->code = code;
	buf_adds(out, "{\"error\":{\"message\":");
	add_utf8(&text, message, len, MESSAGE_MAX);
	buf_json(out, text.data, text.len);
	buf_adds(out, ",\"type\":");
	buf_jsons(out, error_type(status));
	buf_adds(out, ",\"param\":");
	if (param == NULL)
		buf_adds(out, "null");
	else {
		buf_clear(&text);
		add_utf8(&text, param, strlen(param), MESSAGE_MAX);
		buf_json(out, text.data, text.len);
	}
	buf_adds(out, ",\"code\":");
	buf_jsons(out, code);
	buf_adds(out, "}}");
	if (!buf_ok(&text))
		out->failed = true;
	buf_fini(&text);
	if (status == 401)
		reply_header(rep, "WWW-Authenticate", "Bearer");
}

void
reply_error(struct reply *rep, int status, const char *code,
    const char *param, const char *fmt, ...)
{
	char text[MESSAGE_MAX + 1];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n < 0)
		n = 0;
	if ((size_t)n >= sizeof(text))
		n = (int)sizeof(text) - 1;
	put_error(rep, status, code, param, text, (size_t)n);
}

/* Headers that tell official clients when, and whether, to try again. */
static void
put_retry(struct reply *rep, int seconds, bool is_final)
{
	if (seconds > 0)
		reply_header(rep, "Retry-After", "%d", seconds);
	if (is_final)
		reply_header(rep, "x-should-retry", "false");
}

void
reply_store_error(struct reply *rep, enum store_err err, struct span id)
{
	struct buf text = BUF_INITIALIZER;
	bool is_lost;

	assert(err > STORE_OK && (size_t)err < NELEMS(outcomes));
	buf_adds(&text, outcomes[err].before);
	if (outcomes[err].behind != NULL) {
		buf_addc(&text, '\'');
		/* Quoted whole or cut, the rest of the words still follow. */
		buf_add(&text, id.p, id.len < ID_SHOWN ? id.len : ID_SHOWN);
		buf_addc(&text, '\'');
		buf_adds(&text, outcomes[err].behind);
	}
	is_lost = !buf_ok(&text);
	put_error(rep, outcomes[err].status, outcomes[err].code,
	    outcomes[err].param, text.data, text.len);
	if (is_lost)
		rep->body.failed = true;
	buf_fini(&text);
	put_retry(rep, outcomes[err].retry_after, outcomes[err].is_final);
	/* Run again, it might be refused, and say that nothing was changed. */
	rep->is_change = err == STORE_UNSURE;
}

void
reply_precondition(struct reply *rep, uint64_t version)
{
	reply_error(rep, 412, "precondition_failed", NULL,
	    "The version is %" PRIu64 " now, not the one that was asked for.",
	    version);
	reply_etag(rep, version);
}

void
reply_unsure(struct reply *rep)
{
	reply_error(rep, 503, "outcome_unknown", NULL,
	    "The disk did not take this in time: its outcome is unknown. "
	    "Please retry with the same Idempotency-Key.");
	reply_header(rep, "Retry-After", "1");
	rep->lsn = 0;
}

/* --- writing ------------------------------------------------------------ */

size_t
reply_place(int status)
{
	size_t i;

	for (i = 0; i < NELEMS(reasons); i++)
		if (reasons[i].status == status)
			break;
	return (i);
}

int
reply_status(size_t place)
{
	if (place > NELEMS(reasons))
		return (-1);
	return (place < NELEMS(reasons) ? reasons[place].status : 0);
}

static const char *
reason_of(int status)
{
	size_t place = reply_place(status);

	return (place < NELEMS(reasons) ? reasons[place].reason : "Status");
}

static bool
has_body(int status)
{
	return (status != 204 && status != 304);
}

static void
write_head(const struct reply *rep, const struct request *req,
    struct buf *out)
{
	buf_adds(out, "Status: ");
	buf_addu(out, (uint64_t)rep->status);
	buf_addc(out, ' ');
	buf_adds(out, reason_of(rep->status));
	if (has_body(rep->status)) {
		buf_adds(out, "\r\nContent-Type: ");
		buf_adds(out, rep->type != NULL ? rep->type :
		    "application/json");
		buf_adds(out, "\r\nContent-Length: ");
		buf_addu(out, rep->body.len);
	}
	buf_adds(out, "\r\nX-Request-Id: ");
	buf_adds(out, req->id);
	buf_adds(out, "\r\n");
	buf_add(out, rep->headers.data, rep->headers.len);
	cors_lines(req, out);
	buf_adds(out, "\r\n");
}

bool
reply_write(struct reply *rep, const struct request *req, struct buf *out)
{
	size_t before = out->len;

	if (!buf_ok(&rep->headers) || !buf_ok(&rep->body)) {
		/* Give back first what there is: the excuse needs little. */
		reply_fini(rep);
		reply_store_error(rep, STORE_NOMEM, (struct span){ "", 0 });
	}
	write_head(rep, req, out);
	if (has_body(rep->status) && req->method != METHOD_HEAD)
		buf_add(out, rep->body.data, rep->body.len);
	if (!buf_ok(out)) {
		out->len = before;
		return (false);
	}
	return (true);
}
