#ifndef QUERY_H
#define QUERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "reply.h"
#include "request.h"
#include "store/store.h"

/*
 * What stands behind the question mark, and the headers about versions and
 * retries.  Functions that may refuse make the error reply and return false.
 */
#define QUERY_LIMIT_DEFAULT	20
#define QUERY_LIMIT_MAX		1000

/* limit, 1 to QUERY_LIMIT_MAX. */
bool	 query_limit(const struct request *, size_t *limit_r, struct reply *);
/* order=asc|desc, desc by default. */
bool	 query_order(const struct request *, enum store_order *,
	    struct reply *);
/* sort=updated_at|created_at, updated_at by default. */
bool	 query_sort(const struct request *, enum store_sort *,
	    struct reply *);
/* include[]: may the times be added?  Values of API.md 1.2 are taken and
 * change nothing, for the store returns what it has. */
bool	 query_include(const struct request *, bool *has_times_r,
	    struct reply *);
/* metadata[k]=v into q, from the arena. */
bool	 query_metadata(const struct request *, struct list_query *q,
	    struct reply *);

/*
 * An id in the query: *id_r is its value, NULL if it is not there.  One that
 * no conversation or item can have is 404 like any that is unknown.
 */
bool	 query_id(const struct request *, const char *name,
	    const char **id_r, struct reply *);

/*
 * The opaque place in a list of conversations, `next_after`: sort, key, tie,
 * id and a checksum, from characters that need no escape in a URL.  It holds a
 * dot, which no id does.  buf has QUERY_CURSOR bytes.
 */
#define QUERY_CURSOR	(2 + 16 + 1 + 16 + 1 + ID_MAX + 1 + 16 + 1)
void	 query_cursor_write(char *buf, enum store_sort,
	    const struct list_cursor *);
/* False if it is none of ours, or of another sort. */
bool	 query_cursor_read(struct span, enum store_sort,
	    struct list_cursor *);

/* If-None-Match names this version (or *): answer 304. */
bool	 query_is_unchanged(const struct request *, uint64_t version);
/* If-Match: "<version>"; 0 if there is none, or it is *. */
bool	 query_if_match(const struct request *, uint64_t *version_r,
	    struct reply *);

/*
 * How a retry is known again: fills the record from Idempotency-Key,
 * x-stainless-retry-count, caller, method, path and body.
 */
bool	 query_once(const struct request *, struct change_once *,
	    struct reply *);

#endif /* !QUERY_H */
