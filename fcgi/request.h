#ifndef REQUEST_H
#define REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arena.h"
#include "store/buf.h"
#include "store/id.h"
#include "store/jsonscan.h"
#include "store/store.h"

struct conf;
struct helper;
struct tallies;

/*
 * One request as a bounded, read-only view.  wire.c has read it whole, so the
 * body is as long as CONTENT_LENGTH said.  Strings live in the request's arena,
 * or where the parameters and the body are borrowed from, and end in a NUL that
 * their length does not count; but path has none.
 */
enum method {
	METHOD_GET = 1, METHOD_HEAD = 2, METHOD_POST = 4, METHOD_PUT = 8,
	METHOD_PATCH = 16, METHOD_DELETE = 32, METHOD_OPTIONS = 64,
	METHOD_OTHER = 128
};

#define REQUEST_SEGMENTS	12	/* path segments; more is 404 */

struct pair {
	struct span	 name;		/* decoded */
	struct span	 value;		/* decoded; may hold any byte */
};

/* What all requests share; immutable while workers run. */
struct edge {
	struct store		*store;
	const struct conf	*conf;
	/* The operator's JWT secret, off when the length is 0. */
	unsigned char		 jwt_secret[KEY_SECRET_MAX];
	size_t			 jwt_secret_len;
	int64_t			 started_at;	/* ms since the epoch */
	/* What /metrics tells of; NULL where no worker runs. */
	struct helper		*helper;
	struct tallies		*tallies;
};

/* Who asks; filled by auth_request. */
struct caller {
	struct tenant	*tenant;	/* held until the request ends */
	const char	*user;		/* NULL: the tenant's own key */
	uint64_t	 credential;	/* hash of key or token's identity */
	bool		 can_read;
	bool		 can_write;
	uint64_t	 lsn;		/* of the key: to be durable first */
};

struct request {
	const struct edge *edge;
	struct arena	*arena;
	char		 id[ID_SIZE];	/* X-Request-Id */
	bool		 is_control;	/* came over the control socket */
	enum method	 method;
	const char	*method_name;
	struct span	 path;		/* raw, of REQUEST_URI, without query */
	struct span	 segments[REQUEST_SEGMENTS];	/* decoded */
	size_t		 nsegments;
	bool		 is_path_bad;	/* could not be decoded: 404 */
	unsigned int	 route;		/* see route.h; 0: none yet */
	struct pair	*query;		/* in order */
	size_t		 nquery;
	struct span	 body;
	struct caller	 caller;
	/* For a handler that answered COLD: whom to warm. */
	struct span	 cold_tenant;
	/* FastCGI parameters; see request_param. */
	const struct pair *params;
	size_t		 nparams;
};

/*
 * Fill a request from its FastCGI parameters and body (borrowed until the
 * request ends): method, path, segments, query, id.  Returns 0, or -1 for
 * want of memory.  A missing or odd parameter is no error here: the route
 * answers it.
 */
int	 request_init(struct request *, const struct edge *, struct arena *,
	    const struct pair *params, size_t nparams, struct span body,
	    bool is_control);
/* Nobody knows any more who asks: he is to be known again. */
void	 request_forget_caller(struct request *);
/* Give back what the request holds (the tenant), not the arena. */
void	 request_fini(struct request *);

/* FastCGI parameter name, such as "HTTP_IF_MATCH"; p NULL if not there. */
struct span	 request_param(const struct request *, const char *name);

/*
 * The first value of query parameter name; false if not there.  name also
 * matches when it was sent with "[]" behind it.
 */
bool	 request_query(const struct request *, const char *name,
	    struct span *value_r);

/* Is segment i the plain word? */
bool	 request_segment_is(const struct request *, size_t i, const char *word);

#endif /* !REQUEST_H */
