#ifndef REPLY_H
#define REPLY_H

#include <bsd/sys/cdefs.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "request.h"
#include "store/buf.h"
#include "store/store.h"

/*
 * The only maker of replies.  A handler fills one; the worker sends it when
 * lsn is durable.  If that fails, or takes too long, it replaces a change's by
 * reply_unsure and has any other made again, from what is durable.
 */
struct reply {
	int		 status;
	const char	*code;		/* of an error; static, or NULL */
	const char	*type;		/* of the body; NULL: JSON */
	struct buf	 headers;	/* whole lines, CRLF ended */
	struct buf	 body;		/* may be empty */
	uint64_t	 lsn;		/* to be durable before it is sent */
	bool		 is_change;	/* unsure if that cannot be awaited;
					   else it changed nothing */
};

void	 reply_init(struct reply *);
void	 reply_fini(struct reply *);

/* Begin anew with this status: all else is forgotten. */
void	 reply_start(struct reply *, int status);
/* One more header line; control characters in the value are left out. */
void	 reply_header(struct reply *, const char *name, const char *fmt, ...)
	    __printflike(3, 4);
/* ETag: "<version>" */
void	 reply_etag(struct reply *, uint64_t version);
/* The reply must wait for lsn too: the greatest counts. */
void	 reply_wait(struct reply *, uint64_t lsn);

/*
 * An error object with all four keys (API.md 1.1).  type follows from the
 * status: 401 authentication_error, 403 permission_error, 429
 * rate_limit_error, >= 500 server_error, else invalid_request_error.  code
 * and param may be NULL.  Keeps lsn.  fmt's text must be valid UTF-8; bytes
 * that are not are replaced by U+FFFD.
 */
void	 reply_error(struct reply *, int status, const char *code,
	    const char *param, const char *fmt, ...) __printflike(5, 6);

/*
 * What an enum store_err means in HTTP, in one table: NOENT 404
 * "Conversation with id 'X' not found.", NOITEM 404 "Item with id 'X' not
 * found in conversation.", NOCURSOR 404 param after, CONFLICT 400
 * item_already_in_conversation, PRECONDITION 412, REUSED 422, ONCE_LIMIT
 * 429, FULL 507 with Retry-After and x-should-retry: false, SICK 503 with
 * Retry-After, DAMAGED 503 code damaged, NOMEM 503 with Retry-After.  id is
 * what the message names (conversation, item or cursor); may hold any bytes.
 */
void	 reply_store_error(struct reply *, enum store_err, struct span id);

/* 412 with the present version in message and ETag. */
void	 reply_precondition(struct reply *, uint64_t version);

/* The change's outcome is unknown, as the journal broke or its sync hangs:
 * 503, Retry-After, retry with that key. */
void	 reply_unsure(struct reply *);

/*
 * Append the CGI response (Status:, Content-Type, X-Request-Id,
 * Content-Length, the headers, those of CORS, an empty line, the
 * body unless the method was HEAD) to out.  A reply that ran out of memory
 * becomes a 503.  Returns false if not even that could be appended.
 */
bool	 reply_write(struct reply *, const struct request *, struct buf *out);

/* Statuses that replies have, by a small number from 0 on, for who counts
 * them; the highest stands for any other. */
size_t	 reply_place(int status);
/* And back: 0 for any other, -1 beyond the last. */
int	 reply_status(size_t place);

#endif /* !REPLY_H */
