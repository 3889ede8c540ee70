#ifndef STORE_INTERNAL_H
#define STORE_INTERNAL_H

#include <bsd/sys/tree.h>

#include <stdatomic.h>

#include "flush.h"
#include "identity.h"
#include "journal.h"
#include "lock.h"
#include "problem.h"
#include "store.h"
#include "tenant.h"

/* Bytes of appends that one batch takes before senders are held back. */
#define STORE_BATCH_MAX	((size_t)64 << 20)

RB_HEAD(tenant_names, tenant);
RB_PROTOTYPE(tenant_names, tenant, node, tenant_cmp)

/*
 * The store.  Locks used to protect struct members:
 *	I	immutable once store_open returned
 *	s	tenants_lck
 */
struct store {
	struct store_options o;			/* [I] dir is a copy */
	char		 id[17];		/* [I] */
	int		 dirfd;			/* [I] */
	int		 journalfd;		/* [I] */
	int		 tenantsfd;		/* [I] */
	int		 quarantinefd;		/* [I] */
	int		 lockfd;		/* [I] held by flopen */
	int64_t		 started_at;		/* [I] ms */
	int64_t		 down_ms;		/* [I] how long it was down */
	int64_t		 alive_at;		/* [I] ms, when a daemon was
						   last seen here; 0: never */
	struct lock	 tenants_lck;		/* rank 5 */
	struct tenant_names tenants;		/* [s] never shrinks */
	size_t		 ntenants;		/* [s] */
	struct journal	*journal;		/* [I] */
	struct flush	*flush;			/* [I] */
	atomic_size_t	 nconversations;	/* in memory */
	atomic_size_t	 nquarantined;		/* files set aside there */
	/* If it is read only, else unused: */
	uint64_t	 read_lsn;		/* [I] highest found */
	size_t		 read_segments;		/* [I] */
	bool		 has_moved;		/* a file vanished before it
						   was read */
	struct problems	 problems;
};

/* A store in memory, no file of it touched; NULL: no memory.  Free it while
 * the flush's thread does not run. */
struct store	*store_new(const struct store_options *);
void		 store_free(struct store *);

/* The tenant of that name (borrowed; tenants stay), or NULL. */
struct tenant	*store_find(struct store *, const char *name, size_t len);
/* The same; a new one of that level is added if there is none.  NULL: no
 * memory. */
struct tenant	*store_add(struct store *, const char *name,
		    enum tenant_level);
/* May anybody know of it?  One whose folder alone is known was created; else
 * its creation must be durable.  It may also have been refused.  Takes its
 * lock. */
bool		 store_knows(struct store *, struct tenant *);
/*
 * Up to which lsn readers are shown the state: UINT64_MAX, and then they wait
 * for what they saw, or what is durable, because the journal is broken or they
 * waited long enough (store_late).
 */
uint64_t	 store_bound(struct store *);
/* What a failed append or a broken journal means to a caller. */
enum store_err	 store_err_of(int error);

#endif /* !STORE_INTERNAL_H */
