#ifndef CONVERSATION_H
#define CONVERSATION_H

#include <bsd/sys/tree.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "flush.h"
#include "id.h"
#include "items.h"
#include "list.h"
#include "lock.h"
#include "once.h"
#include "store.h"
#include "text.h"
#include "undo.h"

#define BIRTH_SIZE	17	/* 16 hex digits and NUL */

/* A preview is the first 200 characters of the last message. */
#define PREVIEW_CHARS	200

/*
 * One conversation in memory.
 *
 *	live    --delete-->  deleted   a tombstone, until the sweep
 *	damaged                        its document could not be trusted
 *
 * Locks used to protect struct members:
 *	I	immutable once others can find it
 *	t	tenant.lck
 *	c	conversation.lck
 *	tc	written under both, read under either
 *	d	see flush.h
 *
 * Invariants, whenever lck is free:
 *	1. lsn is that of the newest change applied, version its count.
 *	2. A deleted conversation has no items and no text; as long as that is
 *	   not durable, undos has them.
 *	3. It stands in the tenant's by_id always, in its lists as long as
 *	   it is live.
 */
struct conversation {
	RB_ENTRY(conversation) by_id;		/* [t] */
	struct place	 places[NLISTS];	/* [t] if it is listed */
	TAILQ_ENTRY(conversation) tomb;		/* [t] if it is a tombstone */
	struct dirty	 dirty;
	struct tenant	*tenant;		/* [I] */
	struct lock	 lck;			/* rank 15 */
	atomic_uint	 refs;			/* taken under [t] */
	char		 id[ID_SIZE];		/* [I] */
	char		 birth[BIRTH_SIZE];	/* [tc] */
	char		*user;			/* [tc] or NULL */
	int64_t		 created_at;		/* [tc] ms */
	bool		 is_listed;		/* [t] in the lists */
	uint64_t	 counted_items;		/* [t] of it, in the tenant's */
	uint64_t	 counted_bytes;		/* [t] */
	bool		 is_deleted;		/* [c] */
	bool		 is_damaged;		/* [c] */
	bool		 is_held;		/* [I] damaged, its file in its
						   place still and not to be
						   written over */
	bool		 is_newer;		/* [I] held: its file is of a
						   later format */
	int64_t		 deleted_at;		/* [c] ms */
	int64_t		 updated_at;		/* [c] ms */
	uint64_t	 version;		/* [c] */
	uint64_t	 lsn;			/* [c] */
	struct text	 title;			/* [c] */
	struct text	 metadata;		/* [c] a JSON object */
	struct text	 preview;		/* [c] */
	struct items	 items;			/* [c] */
	struct once_table once;			/* [c] */
	struct extra	*extra;			/* [c] or NULL; see extra.h */
	struct undos	 undos;			/* [c] */
};

/* What a caller is told of a damaged one. */
enum store_err	 conversation_damage(const struct conversation *);

/* A new, empty conversation that nobody can find yet, or NULL. */
struct conversation	*conversation_new(struct tenant *, const char *id,
			    const char *birth, const char *user, size_t userlen,
			    int64_t created_at);
/* Free one that nobody can find any more. */
void	 conversation_free(struct conversation *);

/* Check the invariants.  Call with its lock held. */
void	 conversation_assert_state(const struct conversation *);

/* Free its items, texts and idempotency records, for others to come.  Call
 * with its lock held. */
void	 conversation_clear(struct conversation *);

/*
 * Is one of this owner (NULL: the tenant) another's than this user's (NULL:
 * any)?  Where nobody knows whose a damaged one was, its id is enough of a
 * secret.
 */
bool	 conversation_is_foreign(const char *owner, bool is_damaged,
	    const char *user);

/*
 * Take what it holds away: it becomes a tombstone.  Cannot fail.  Call with
 * its lock held.
 */
void	 conversation_bury(struct conversation *, int64_t at);

/*
 * Copy what a reader may see into *v, as of bound (see undo.h).  Returns false
 * for want of memory.  Call with its lock held.
 */
bool	 conversation_view(const struct conversation *, uint64_t bound,
	    struct conversation_view *v);

/* The preview that the newest message among the n items at v gives; p NULL
 * for none, or for want of memory: a preview may be left out. */
struct text	 conversation_preview(struct item *const *v, size_t n);

#endif /* !CONVERSATION_H */
