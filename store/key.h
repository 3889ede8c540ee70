#ifndef KEY_H
#define KEY_H

#include <stdbool.h>
#include <stddef.h>

#include "buf.h"
#include "jsonscan.h"
#include "store.h"

/*
 * The credentials of one tenant, oldest first: its API keys, or its JWT keys.
 * Under the tenant's lock.  Memory that held a secret is wiped.
 *
 * As undo.h has it, a change leaves a record as long as it is not durable.
 * Who cannot wait for the disk is answered by the durable prefix: until then
 * a new key opens nothing and a revoked one still does, for a crash could take
 * back the one as well as the other.
 */
struct key_rest;
struct key_past;

struct keyring {
	struct credential *v;
	size_t		 n;
	size_t		 size;
	struct key_rest	*rests;		/* of the few that have one */
	struct key_past	*past;		/* newest first */
	struct key_past	*spare;		/* reserved for the next change */
};

void	 keyring_fini(struct keyring *);
/* Free what is there and steal what the other has. */
void	 keyring_take(struct keyring *, struct keyring *other);
/* Make room for one more; false for want of memory. */
bool	 keyring_reserve(struct keyring *);
/* Add a copy, room was reserved; one of the same id is replaced. */
void	 keyring_add(struct keyring *, const struct credential *);
/* Make room for all and add copies; false for want of memory. */
bool	 keyring_add_all(struct keyring *, const struct credential *v,
	    size_t n);
/* Take out the one with this id; false if there is none. */
bool	 keyring_remove(struct keyring *, const char *id);
/*
 * Drop the records that are durable and reserve one for the next change; false
 * for want of memory.  Not at replay: what it makes is durable.
 */
bool	 keyring_reserve_past(struct keyring *, uint64_t durable);
/* The change of that lsn adds or removes this id next: note it, if a record
 * was reserved. */
void	 keyring_note(struct keyring *, uint64_t lsn, const char *id);
/* Drop what is durable, and what is to spare. */
void	 keyring_trim(struct keyring *, uint64_t durable);
/*
 * The ring after its last change not above bound: *own_r, to be given to
 * keyring_fini in any case, or itself.  NULL for want of memory.
 */
const struct keyring	*keyring_at(const struct keyring *, uint64_t bound,
			    struct keyring *own_r);
/* Borrowed, or NULL. */
const struct credential	*keyring_find(const struct keyring *, const char *id);
/* The API key with that hash, in constant time over all; or NULL. */
const struct credential	*keyring_match(const struct keyring *,
			    const unsigned char hash[KEY_HASH_SIZE]);
/* A copy of all (new; NULL and *n_r 0 if empty).  False: no memory. */
bool	 keyring_copy(const struct keyring *, struct credential **v_r,
	    size_t *n_r);

/*
 * One credential as a JSON object, and back; what a later rememberd wrote
 * into it is appended to rest (see member.h; NULL: left out).
 */
void	 key_encode(const struct credential *, struct buf *);
bool	 key_decode(struct span object, struct credential *, struct buf *rest);

/* Keep the rest of the credential of that id, as long as it is there; false
 * for want of memory. */
bool	 keyring_keep(struct keyring *, const char *id, const struct buf *rest);
/* The i-th credential as a JSON object, with its rest. */
void	 keyring_encode(const struct keyring *, size_t i, struct buf *);

#endif /* !KEY_H */
