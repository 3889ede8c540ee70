#ifndef CLIENT_H
#define CLIENT_H

#include <stddef.h>
#include <stdint.h>

/*
 * A small blocking FastCGI client: for rememberctl, and for tests, which also
 * send records of their own making.  One connection, one request at a time,
 * one thread at a time.
 *
 * Every call ends within the time-out given to client_open, counted anew for
 * each call: then it returns -1 with errno ETIMEDOUT.  After any -1 the
 * connection is good for client_close only.
 */
struct client;

struct client_reply {
	int		 status;	/* of "Status:"; 200 without one */
	char		*headers;	/* lines ended by \n, without Status */
	char		*body;		/* a NUL stands behind it */
	size_t		 body_len;
};

/* A record as it came. */
struct client_record {
	uint8_t		 type;
	uint16_t	 id;
	size_t		 len;
	unsigned char	 content[65536];	/* a NUL stands behind len */
};

/*
 * Connect to the unix socket path.  Returns it (new), or NULL with errno set
 * (ENOENT and ECONNREFUSED: nobody serves there; ENAMETOOLONG).
 */
struct client	*client_open(const char *path, int timeout_ms);
/* Close and free; NULL is allowed. */
void		 client_close(struct client *);
/* The descriptor, borrowed, for tests. */
int		 client_fd(const struct client *);

/*
 * Send one request and read its reply into *r (free it with
 * client_reply_fini).  uri is sent as REQUEST_URI.  headers is NULL or ends in
 * NULL; each is "Name: value" and becomes HTTP_NAME, but Content-Type.  The
 * connection is kept open for the next request.  Returns 0, or -1 with errno
 * set: EPROTO for what is not FastCGI or no CGI reply, EFBIG for a reply above
 * 256 MiB, ECONNRESET if it was closed before the end, E2BIG if the parameters
 * do not fit into a record, ENOMEM.
 */
int		 client_request(struct client *, const char *method,
		    const char *uri, const char *const *headers,
		    const void *body, size_t len, struct client_reply *r);
/* The two halves of it. */
int		 client_send_request(struct client *, const char *method,
		    const char *uri, const char *const *headers,
		    const void *body, size_t len);
int		 client_read_reply(struct client *, struct client_reply *r);

/* The value of a header of the reply, up to its line's end, into buf of size
 * bytes; NULL if not there or too long. */
const char	*client_header(const struct client_reply *, const char *name,
		    char *buf, size_t size);
void		 client_reply_fini(struct client_reply *);

/* Raw bytes; one record; the next record.  0, or -1 with errno set. */
int		 client_send(struct client *, const void *, size_t len);
int		 client_send_record(struct client *, int type, int id,
		    const void *content, size_t len);
int		 client_read_record(struct client *, struct client_record *);

#endif /* !CLIENT_H */
