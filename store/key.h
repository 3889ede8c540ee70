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
 */
struct key_rest;
struct keyring {
	struct credential *v;
	size_t		 n;
	size_t		 size;
	struct key_rest	*rests;		/* of the few that have one */
};

void	 keyring_fini(struct keyring *);
/* Make room for one more; false for want of memory. */
bool	 keyring_reserve(struct keyring *);
/* Add a copy, room was reserved; one of the same id is replaced. */
void	 keyring_add(struct keyring *, const struct credential *);
/* Take out the one with this id; false if there is none. */
bool	 keyring_remove(struct keyring *, const char *id);
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
