#ifndef WIREBYTES_H
#define WIREBYTES_H

#include <fastcgi.h>

#include <stdint.h>
#include <string.h>

#include "store/buf.h"

/*
 * FastCGI records as a peer sends them, right and wrong, for tests.  All
 * append to a buf and never fail but by buf_ok.
 */

static inline void
put_record_padded(struct buf *b, int type, int id, const void *content,
    size_t len, size_t padding)
{
	static const char zeros[255];
	unsigned char head[8] = { FCGI_VERSION_1, (unsigned char)type,
	    (unsigned char)(id >> 8), (unsigned char)id,
	    (unsigned char)(len >> 8), (unsigned char)len,
	    (unsigned char)padding, 0 };

	buf_add(b, head, sizeof(head));
	buf_add(b, content, len);
	buf_add(b, zeros, padding);
}

static inline void
put_record(struct buf *b, int type, int id, const void *content, size_t len)
{
	put_record_padded(b, type, id, content, len, 0);
}

static inline void
put_begin(struct buf *b, int id, int role, int flags)
{
	unsigned char body[8] = { (unsigned char)(role >> 8),
	    (unsigned char)role, (unsigned char)flags };

	put_record(b, FCGI_BEGIN_REQUEST, id, body, sizeof(body));
}

static inline void
put_length(struct buf *b, size_t len)
{
	if (len > 127) {
		buf_addc(b, (char)(0x80 | len >> 24));
		buf_addc(b, (char)(len >> 16));
		buf_addc(b, (char)(len >> 8));
	}
	buf_addc(b, (char)len);
}

static inline void
put_pair(struct buf *b, const char *name, const char *value)
{
	put_length(b, strlen(name));
	put_length(b, strlen(value));
	buf_adds(b, name);
	buf_adds(b, value);
}

/* A stream (PARAMS or STDIN) in records of at most chunk bytes, with its end. */
static inline void
put_stream(struct buf *b, int type, int id, const char *p, size_t len,
    size_t chunk)
{
	size_t n;

	for (; len > 0; p += n, len -= n) {
		n = len < chunk ? len : chunk;
		put_record(b, type, id, p, n);
	}
	put_record(b, type, id, NULL, 0);
}

/* A whole request.  content_length NULL: there is none. */
static inline void
put_request(struct buf *b, int id, int flags, const char *method,
    const char *uri, const char *content_length, const char *body)
{
	struct buf params = BUF_INITIALIZER;

	put_pair(&params, "REQUEST_METHOD", method);
	put_pair(&params, "REQUEST_URI", uri);
	if (content_length != NULL)
		put_pair(&params, "CONTENT_LENGTH", content_length);
	put_begin(b, id, FCGI_RESPONDER, flags);
	put_stream(b, FCGI_PARAMS, id, params.data, params.len, 65535);
	put_stream(b, FCGI_STDIN, id, body, strlen(body), 65535);
	buf_fini(&params);
}

#endif /* !WIREBYTES_H */
