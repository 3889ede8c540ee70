#ifndef WIREPEER_H
#define WIREPEER_H

#include "fcgi/wire.h"
#include "tests/wirebytes.h"

/*
 * A wire without a socket, and what it answered, for the tests named b_wire:
 *
 *	peer_setup --> feed, assert --> peer_teardown
 */
struct peer {
	struct wire	*wire;
	struct buf	 out;
};

extern const struct wire_limits	 peer_limits;

void	 peer_setup(struct peer *);
void	 peer_teardown(struct peer *);

/* Feed bytes until they are used up or an event happens. */
enum wire_event	 feed(struct peer *, const char *bytes, size_t len,
		    size_t *used_r);
/* The same, where all must be used. */
enum wire_event	 feed_all(struct peer *, const struct buf *);
/* Feed from `from` on in pieces of at most `piece` bytes, up to an event. */
enum wire_event	 feed_pieces(struct peer *, const struct buf *, size_t *from,
		    size_t piece);

/* The value of a parameter of the request that is whole, or NULL. */
const char	*param(const struct wire *, const char *name);

/* It is this, with a NUL behind it. */
void	 assert_span(struct span, const char *expect);
/* It answered this, or that a request has ended so, and nothing more. */
void	 assert_answer(struct peer *, const void *expect, size_t len);
void	 assert_end(struct peer *, int id, int status);
/* A fresh connection must do after all that happened before. */
void	 assert_serves(struct peer *);

#endif /* !WIREPEER_H */
