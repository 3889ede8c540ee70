#ifndef PIECES_H
#define PIECES_H

#include "caller.h"
#include "daemon.h"
#include "wirebytes.h"

/*
 * Requests to a real daemon as bytes, which a test may send in pieces, in a
 * row, or not to their end: by tenant acme, see daemon.h.
 */

/* For cmocka_run_group_tests, with daemon_tear_down: the daemon with small
 * limits, a short time-out and no flush of its own. */
int	 pieces_set_up(void **state);

/* A file in the daemon's folder; the path is good for three calls more. */
const char	*in_dir(const char *name);
struct client	*dial(void);

/* A request as it goes over the wire, in b; CONTENT_LENGTH as it may be. */
void	 put_announced(struct buf *b, const char *method, const char *uri,
	    const char *body, size_t announced);
/* One as it should be. */
void	 put_api(struct buf *b, const char *method, const char *uri,
	    const char *body);
/* An append of one item with this id. */
void	 put_append(struct buf *b, const char *conversation,
	    const char *item);

/* How many items the conversation has, as the daemon says. */
json_int_t	 count_items(const char *conversation);

#endif /* !PIECES_H */
