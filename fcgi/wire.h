#ifndef WIRE_H
#define WIRE_H

#include <sys/uio.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "request.h"
#include "store/buf.h"

/*
 * FastCGI records of one connection, the responder's side, without a socket:
 * bytes go in as they come, requests come out whole, and what the protocol
 * itself has to answer is appended to a buffer.  One thread at a time; never
 * blocks.
 *
 *	IDLE    --BEGIN_REQUEST--> PARAMS
 *	PARAMS  --empty PARAMS--> STDIN
 *	STDIN   --empty STDIN--> WHOLE		WIRE_REQUEST
 *	any but IDLE --ABORT_REQUEST--> ABORTED	WIRE_ABORT
 *	WHOLE, ABORTED --wire_finish--> IDLE
 *	any     --a byte that makes no sense--> BROKEN	WIRE_BROKEN
 *
 * A request over a limit is read to its end, which is thrown away, and comes
 * out as WIRE_REQUEST with wire_refusal set: a reply that overtook the end of
 * its request would be lost by a peer that is still writing.
 *
 * Connections are not multiplexed: a second request id is answered by
 * FCGI_CANT_MPX_CONN.  The same id once more, behind a whole request, is
 * pipelining, and waits.
 */
struct wire;

struct wire_limits {
	size_t		 params_bytes;	/* all PARAMS of a request */
	size_t		 params_pairs;
	uint64_t	 body;
	unsigned int	 max_conns;	/* told to who asks FCGI_GET_VALUES */
};
#define WIRE_PARAMS_BYTES	((size_t)64 * 1024)
#define WIRE_PARAMS_PAIRS	256
/* The operator's: an item that any max_body once let in can be imported. */
#define WIRE_CONTROL_BODY	((uint64_t)2 << 30)

enum wire_event {
	WIRE_MORE,		/* all bytes were taken; more are needed */
	WIRE_REQUEST,		/* whole, or refused: answer it */
	WIRE_ABORT,		/* the request in hand is not wanted any more */
	WIRE_HOLD,		/* the next request: feed the rest after
				   wire_finish */
	WIRE_BROKEN		/* no FastCGI, no memory, or nothing more is
				   wanted: close */
};

/* limits is borrowed and must outlive it.  Returns it (new), or NULL. */
struct wire	*wire_new(const struct wire_limits *);
void		 wire_free(struct wire *);

/*
 * Take bytes (not NULL) until one of the events happens; *used_r says how many
 * were taken.  Answers of the protocol itself are appended to out, at most 128
 * bytes for each record taken; send them, also before closing.
 */
enum wire_event	 wire_feed(struct wire *, const void *, size_t len,
		    size_t *used_r, struct buf *out);

/* Is nothing begun, not even a record's header? */
bool		 wire_is_idle(const struct wire *);
/* Is a request begun and not whole yet? */
bool		 wire_is_begun(const struct wire *);
/* Does the peer want the connection kept after this request? */
bool		 wire_is_kept(const struct wire *);
/* The request's id. */
uint16_t	 wire_id(const struct wire *);

/*
 * Of the request that is whole: 0, or the status it must be refused with (400
 * CONTENT_LENGTH and body differ or parameters are cut short, 413 body, 431
 * parameters, 503 no memory for the body), after which params may be empty
 * and the body is.
 */
int		 wire_refusal(const struct wire *);
/* Its parameters and body; NULs stand behind all strings.  Borrowed until
 * wire_finish. */
const struct pair *wire_params(const struct wire *, size_t *n_r);
struct span	 wire_body(const struct wire *);

/* The request is answered: give back its memory and take the next. */
void		 wire_finish(struct wire *);

/*
 * The reply on the wire: the CGI response in STDOUT records, an empty one,
 * END_REQUEST.  wire_frame_size says how many bytes that makes;
 * wire_frame fills at most WIRE_IOV members of iov with what stands behind
 * the first `sent` bytes and returns their number; 0 when all is sent.
 * heads holds what iov points to besides the response.
 */
#define WIRE_CHUNK	65528	/* of a record: the most without padding */
#define WIRE_IOV	16
struct wire_heads {
	unsigned char	 head[WIRE_IOV][8];
	unsigned char	 tail[24];
};
size_t		 wire_frame_size(size_t response);
int		 wire_frame(uint16_t id, struct span response, size_t sent,
		    struct wire_heads *, struct iovec iov[WIRE_IOV]);
/* Append END_REQUEST for an aborted request. */
void		 wire_end(uint16_t id, struct buf *out);

/*
 * Take name-value pairs apart in place: names and values get a NUL behind
 * them.  With pairs NULL they are only counted and the bytes stay as they
 * are.  Returns their number, or -1 if the last one is cut short.
 */
int		 wire_pairs(char *bytes, size_t len, struct pair *pairs);

#endif /* !WIRE_H */
