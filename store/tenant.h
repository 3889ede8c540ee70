#ifndef TENANT_H
#define TENANT_H

#include <bsd/sys/queue.h>
#include <bsd/sys/tree.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "conversation.h"
#include "flush.h"
#include "key.h"
#include "lock.h"
#include "log.h"
#include "once.h"
#include "store.h"

TAILQ_HEAD(conversation_tombs, conversation);
TAILQ_HEAD(tenant_imports, import);
RB_HEAD(conversation_ids, conversation);
RB_PROTOTYPE(conversation_ids, conversation, by_id, conversation_cmp_id)

/*
 * How much of a tenant is in memory.
 *
 *	NAMED  --tenant_load--> OPEN    tenant.json: keys and limits
 *	OPEN   --tenant_load--> LOADED  every conversation
 */
enum tenant_level { TENANT_NAMED, TENANT_OPEN, TENANT_LOADED };

/*
 * One tenant.  Locks used to protect struct members:
 *	I	immutable once others can find it
 *	s	store.tenants_lck
 *	t	tenant.lck
 */
struct tenant {
	RB_ENTRY(tenant) node;			/* [s] by name */
	struct store	*store;			/* [I] */
	char		 name[TENANT_NAME_MAX + 1];	/* [I] */
	struct lock	 lck;			/* rank 10 */
	struct cond	 loaded;		/* [t] is_loading fell */
	atomic_uint	 refs;			/* held by callers */
	enum tenant_level level;		/* [t] rises only */
	bool		 is_loading;		/* [t] */
	struct log_told	 told;			/* why it could not be read; of
						   who set is_loading */
	bool		 is_damaged;		/* [t] tenant.json set aside */
	bool		 is_held;		/* [t] damaged, a file of its
						   own is in its place */
	bool		 is_newer;		/* [t] held: a later format */
	bool		 exists;		/* [t] was created, really */
	int64_t		 created_at;		/* [t] ms */
	uint64_t	 created_lsn;		/* [t] of its creation, if
						   since the start */
	uint64_t	 lsn;			/* [t] newest of tenant.json */
	uint64_t	 set_lsn;		/* [t] newest that created or
						   deleted one */
	uint64_t	 list_lsn;		/* [t] newest change of any that
						   the lists show */
	struct text	 rest;			/* [t] of tenant.json, what a
						   later rememberd wrote; p
						   NULL: nothing */
	struct keyring	 apikeys;		/* [t] */
	struct keyring	 jwtkeys;		/* [t] */
	struct extra	*extra;			/* [t] of the files of once/, as
						   rest; NULL: nothing */
	struct once_table once;			/* [t] creations, deletions */
	size_t		 nconversations;	/* [t] live */
	uint64_t	 nitems;		/* [t] theirs, as last counted:
						   tenant_touch does */
	uint64_t	 nbytes;		/* [t] */
	struct conversation_ids ids;		/* [t] tombstones too */
	struct places	 lists[NLISTS];		/* [t] live only; see list.h */
	struct conversation_tombs tombs;	/* [t] oldest first */
	struct tenant_imports imports;		/* [t] see import.h */
	struct dirty	 dirty;			/* tenant.json */
	struct dirty	 dirty_once;		/* once/ */
	int64_t		 once_from;		/* [t] oldest record in no file
						   yet, ms; INT64_MAX: none */
	int64_t		 once_swept;		/* [t] ms, of once/, the last */
};

/*
 * Check that its lists, tombstones and count tell the same, and that what is
 * in memory is of its level.  Call with its lock held.
 */
void		 tenant_assert_state(const struct tenant *);

/* A new tenant that nobody can find yet, of that level, or NULL. */
struct tenant	*tenant_new(struct store *, const char *name,
		    enum tenant_level);
void		 tenant_free(struct tenant *);

/* The conversation of that id, tombstones too; borrowed under the tenant's
 * lock, which the caller holds. */
struct conversation	*tenant_find(struct tenant *, const char *id);

/* Are its conversations in memory?  Takes its lock. */
bool	 tenant_is_loaded(struct tenant *);

/* As tenant_find, with a reference that conversation_put gives back; takes the
 * tenant's lock.  NULL if there is none. */
struct conversation	*tenant_hold(struct tenant *, const char *id);
void		 conversation_put(struct conversation *);

/* Let it be found, and stand in the lists unless it is deleted.  Steals.
 * Tenant's lock held. */
void		 tenant_insert(struct tenant *, struct conversation *);
/* A listed one was deleted: it leaves the lists and becomes a tombstone.
 * Tenant's lock held. */
void		 tenant_bury(struct tenant *, struct conversation *);
/* It leaves the lists and stays to be found.  Tenant's lock held. */
void		 tenant_unlist(struct tenant *, struct conversation *);
/* Take it out of everything.  Tenant's lock held. */
void		 tenant_remove(struct tenant *, struct conversation *);
/* Put it where its updated_at belongs, and count its items.  Takes both
 * locks. */
void		 tenant_touch(struct tenant *, struct conversation *);

#endif /* !TENANT_H */
