#ifndef ONCE_H
#define ONCE_H

#include <bsd/sys/queue.h>
#include <bsd/sys/tree.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "id.h"
#include "jsonscan.h"
#include "store.h"
#include "text.h"

/*
 * What is remembered of changes, so that a retry gets the first outcome
 * (promise 3).  A record never holds text: the reply is built again from
 * what it names.
 *
 * A record with a key is kept ONCE_KEEP_MS.  Each credential's newest change
 * also answers the retries of clients that send no key (API.md, decisions);
 * a record without key serves only that and goes when the same credential
 * makes another change, or ONCE_RETRY_MS later.
 */
#define ONCE_KEEP_MS	(24 * 60 * 60 * INT64_C(1000))
#define ONCE_RETRY_MS	(90 * INT64_C(1000))

struct once {
	TAILQ_ENTRY(once) link;		/* in its list, in order of commit */
	RB_ENTRY(once)	 node;		/* by scope and key, if it has one */
	char		*key;		/* or NULL */
	uint64_t	 scope;
	uint64_t	 credential;
	unsigned char	 body[BODY_HASH_SIZE];
	uint32_t	 count;		/* x-stainless-retry-count */
	int64_t		 at;		/* ms */
	uint64_t	 lsn;
	uint64_t	 version;	/* of the conversation, after it */
	char		 conversation[ID_SIZE];
	char		*ids;		/* of items, each ended by NUL */
	size_t		 ids_len;
	struct text	 rest;		/* what a later rememberd wrote, see
					   member.h; p NULL: none */
};

TAILQ_HEAD(once_list, once);
RB_HEAD(once_tree, once);

/*
 * The records of one conversation, or of one tenant; under its lock.  Those
 * without key have a list of their own: they are few and looked through at
 * each change, while there may be thousands with one.
 */
struct once_table {
	struct once_list keyed;
	struct once_tree tree;		/* of keyed */
	size_t		 nkeyed;
	struct once_list unkeyed;
};

/* A new record of a change asked for as o says, or NULL. */
struct once	*once_new(const struct change_once *o,
		    const char *conversation);
void		 once_free(struct once *);
/* Note one more item id; false for want of memory. */
bool		 once_add_id(struct once *, const char *id);

void	 once_table_init(struct once_table *);
void	 once_table_fini(struct once_table *);

/*
 * Look for the first outcome of a request.  Returns STORE_OK with *r_r set
 * (borrowed) if this is a retry, STORE_OK with NULL if not, STORE_REUSED if
 * the key came with another body.  now in ms; down is how long of the time
 * since a record was made the daemon was not running.
 */
enum store_err	 once_find(const struct once_table *,
		    const struct change_once *, int64_t now, int64_t down_ms,
		    int64_t started_at, struct once **r_r);

/* Is there no room for one more keyed record, after what is old has gone? */
bool	 once_is_full(struct once_table *, int64_t now, size_t limit);

/*
 * Add a record, steals it; what it makes needless goes: the same scope and
 * key, and the credential's earlier record without key.  Cannot fail.  Costs
 * the same however many keys are kept.
 */
void	 once_add(struct once_table *, struct once *);

/* Append as one JSON object; read back (new; NULL if it is none, or with errno
 * ENOMEM for want of memory).  */
void	 once_encode(const struct once *, struct buf *);
struct once	*once_decode(struct span object);

#endif /* !ONCE_H */
