#ifndef CALLER_H
#define CALLER_H

#include <stdbool.h>

#include "fcgi/client.h"
#include "store/buf.h"

/*
 * One who calls over a socket.  What cannot be sent, or is not answered as it
 * must be, fails the test.
 */
#define TIMEOUT_MS	20000

/* Connect to the socket at path; what it answers is waited for so long. */
struct client	*dial_at(const char *path);
/* Send what b holds and free it. */
void	 send_buf(struct client *, struct buf *b);

/* The next reply has this status, and this in its body. */
void	 assert_reply(struct client *, int status, const char *has);
/* The next record is the end of a request. */
void	 assert_ended(struct client *);
/* The other side has closed it, with nothing more to read.  Closes it too. */
void	 assert_closed(struct client *);
/* Is there nothing to read for so long? */
bool	 is_silent(struct client *, int ms);

#endif /* !CALLER_H */
