#ifndef STORE_H
#define STORE_H

#include <sys/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "histogram.h"
#include "id.h"
#include "item.h"
#include "jsonscan.h"

/*
 * The state, and its only door.  What goes in is checked for shape by the
 * caller (that JSON is JSON); what depends on the state is checked here.
 *
 *	change:  store_commit -> lsn ... durable -> the client may know
 *	read:    store_items -> copy and lsn ... durable -> the client may know
 *
 * Nothing here blocks on the disk but store_open, store_close, store_warm,
 * store_flush and store_wait; worker loops call the others only.  Every
 * result carries the lsn that must be durable before anybody is shown it
 * (promises 1 and 2): ask store_durable, or store_want for a notification.
 */
struct store;
struct conversation_view;
struct tenant;			/* a tenant that is open; counted */

enum store_err {
	STORE_OK = 0,
	STORE_COLD,		/* not in memory: store_warm first, elsewhere */
	STORE_NOENT,		/* no such conversation for this caller */
	STORE_NOITEM,		/* no such item in the conversation */
	STORE_NOCURSOR,		/* `after` or `before` names nothing here */
	STORE_EXISTS,		/* the name or id is taken */
	STORE_CONFLICT,		/* an item id is there with other content */
	STORE_PRECONDITION,	/* if_version is not the version */
	STORE_REUSED,		/* idempotency key with another body */
	STORE_ONCE_LIMIT,	/* too many idempotency keys kept: 429 */
	STORE_METADATA_LIMIT,	/* merged, there would be over 16 pairs */
	STORE_BUSY,		/* the batch is full: when durable moves */
	STORE_FULL,		/* no space on the disk; nothing was changed */
	STORE_SICK,		/* the journal is broken; nothing was changed */
	STORE_DAMAGED,		/* what is stored of it cannot be trusted */
	STORE_NEWER,		/* a newer rememberd wrote what is stored */
	STORE_NOMEM,		/* nothing was changed */
	STORE_UNSURE		/* changed, but its outcome cannot be told: a
				   retry with the same key will */
};

/* Something is wrong with a store that is opened to be read only. */
struct store_problem {
	const char	*file;		/* its path in the store */
	const char	*what;
	const char	*lost;		/* what is lost with it; "nothing" */
	/* Whose changes these are that the journal lacks, or NULL: any. */
	const char	*tenant;
	const char	*conversation;
	bool		 is_damage;	/* else it is only odd */
};

struct store_options {
	const char	*dir;		/* STORE/ */
	int64_t		 flush_ms;	/* interval of the flush */
	int64_t		 keep_ms;	/* journal_keep */
	size_t		 journal_limit;	/* bytes; flush at once above */
	size_t		 journal_segment;
	size_t		 disk_reserve;	/* bytes; with less free the journal
					 * is kept for less than keep_ms */
	size_t		 once_limit;	/* idempotency records a conversation */
	bool		 strict_recovery;	/* refuse to open what is
					   damaged; all of it is read first */
	bool		 read_only;	/* see below */
	/* Read only, each in no lock, or NULL: told of each problem, and of
	 * each document that was read. */
	void		(*on_problem)(const struct store_problem *, void *arg);
	void		(*on_document)(void *arg);
	void		*problem_arg;	/* of both */
};

/*
 * Open the store in o->dir, made if missing; take its lock; replay the
 * journal; start committer and flush.  Returns 0 and *s_r (new), or -1 after
 * logging why; then, if another process holds the store, errno is EWOULDBLOCK
 * and *holder_r its pid.  Blocks.
 */
int	 store_open(const struct store_options *o, struct store **s_r,
	    pid_t *holder_r);
/*
 * With read_only nothing is locked, made, written, moved or removed: the
 * store may be in use by a daemon, stand on a medium that takes no writes, or
 * be a copy, also a torn one.  The journal is replayed into memory.  What is
 * damaged or cannot be read goes to on_problem, at once or when its tenant is
 * loaded, and the rest is there; -1 only if the folder is no store or a newer
 * rememberd's, or for want of memory.  What a daemon changes meanwhile is
 * there or not; what was acknowledged before is there.  Of the calls below
 * those that read and store_each are allowed, by one thread; store_commit is
 * STORE_SICK; flush and wait have nothing to do.
 */
/* Flush, sync, stop the threads, free.  No call may be running and no tenant
 * be held.  Returns 0, or -1 if something could not be written (logged).
 * Blocks. */
int	 store_close(struct store *);

/* --- tenants ------------------------------------------------------------ */

/*
 * Find tenant name (len bytes).  STORE_OK and *t_r (give it back with
 * store_tenant_put), STORE_COLD, or STORE_NOENT.  A tenant whose creation is
 * not yet durable is found, as its lsn goes with every result, unless readers
 * are shown the durable prefix (see reads).
 */
enum store_err	 store_tenant_get(struct store *, const char *name,
		    size_t len, struct tenant **t_r);
void		 store_tenant_put(struct tenant *);
const char	*store_tenant_name(const struct tenant *);
/*
 * Bring into memory what made a call say STORE_COLD about this tenant.
 * Blocks: for helper threads.  STORE_OK (try again), STORE_NOENT,
 * STORE_DAMAGED, STORE_NEWER, STORE_NOMEM, STORE_SICK (could not be read;
 * logged).
 */
enum store_err	 store_warm(struct store *, const char *name, size_t len);

/* Call visit for each tenant name, in order of name. */
int	 store_tenants(struct store *, int (*visit)(const char *name, void *),
	    void *arg);

/*
 * Call visit for each live conversation of the tenant of that name, NULL for
 * all, in order of tenant and id; view and items are borrowed, and durable.
 * Loads each tenant at its turn.  If the store is read only, the tenant's
 * memory is freed after its turn, and it is no longer there; no reference to
 * it may be held.  Damaged conversations are left out.  Returns 0, the first
 * result of visit that is not 0, or -1 with errno set: ENOENT (no such
 * tenant), ENOMEM, EIO (could not be read, logged).
 * Blocks.
 */
int	 store_each(struct store *, const char *tenant,
	    int (*visit)(const char *tenant, const struct conversation_view *,
	    struct item *const *items, size_t n, void *arg), void *arg);

/* --- credentials -------------------------------------------------------- */

#define KEY_HASH_SIZE	32	/* SHA-256 */
#define KEY_SECRET_MAX	512

/* One API key (hash, no secret) or JWT key (secret).  All of it stands in the
 * struct; who has a copy wipes it. */
struct credential {
	char		 id[ID_SIZE];	/* "key_…", or the kid */
	char		 label[65];	/* may be "" */
	int64_t		 created_at;	/* ms */
	unsigned char	 hash[KEY_HASH_SIZE];	/* API key */
	unsigned char	 secret[KEY_SECRET_MAX];	/* JWT key, HS256 */
	size_t		 secret_len;	/* 0 for an API key */
};

/* Does an API key with this SHA-256 exist?  Constant time over the tenant's
 * keys.  STORE_OK with its id, STORE_NOENT or STORE_NOMEM. */
enum store_err	 store_apikey_check(struct tenant *,
		    const unsigned char hash[KEY_HASH_SIZE], char id_r[ID_SIZE],
		    uint64_t *lsn_r);
/* Copy the tenant's API keys or JWT keys, oldest first, into *v_r (new; wiped
 * and freed by store_credentials_free), their number into *n_r. */
enum store_err	 store_apikeys(struct tenant *, struct credential **v_r,
		    size_t *n_r, uint64_t *lsn_r);
enum store_err	 store_jwtkeys(struct tenant *, struct credential **v_r,
		    size_t *n_r, uint64_t *lsn_r);
void		 store_credentials_free(struct credential *, size_t n);
/* The array that is member name of an object, as tenant.json has it, into
 * *v_r (new); false if it is none, or for want of memory. */
bool		 store_credentials_read(struct span object, const char *name,
		    struct credential **v_r, size_t *n_r);

/* --- changes ------------------------------------------------------------ */

enum change_kind {
	CHANGE_CONVERSATION_CREATE = 1,	/* id, user, title, metadata, items */
	CHANGE_CONVERSATION_UPDATE,	/* title, metadata: what is set */
	CHANGE_CONVERSATION_DELETE,
	CHANGE_ITEMS_APPEND,		/* items */
	CHANGE_ITEM_DELETE,		/* item */
	CHANGE_TENANT_CREATE,		/* tenant, apikeys, jwtkeys */
	CHANGE_APIKEY_ADD,		/* credential */
	CHANGE_APIKEY_REVOKE,		/* credential.id */
	CHANGE_JWTKEY_ADD,		/* credential */
	CHANGE_JWTKEY_REVOKE,		/* credential.id */
	CHANGE_IMPORT_PART,		/* part, birth, items */
	CHANGE_CONVERSATION_IMPORT	/* as create; part, birth, created_at,
					   updated_at, version, replaces */
};

#define BODY_HASH_SIZE	16	/* XXH3-128 of method, path and body */

/*
 * How a retry of this request would be known again (promise 3).  scope is a
 * hash of who asks (user or tenant key), method and path.  With key NULL only
 * the rule for unmodified clients applies (retry_count), without either
 * pass no once at all.
 */
struct change_once {
	const char	*key;		/* Idempotency-Key, or NULL */
	uint64_t	 scope;		/* hash of caller, method and path */
	uint64_t	 credential;	/* hash of the credential itself */
	unsigned char	 body[BODY_HASH_SIZE];
	uint32_t	 retry_count;	/* x-stainless-retry-count */
};

/*
 * One change.  The caller fills what the kind takes and keeps ownership of
 * all it points to; store_commit copies or references what it keeps.
 */
struct change {
	enum change_kind	 kind;
	char			 conversation[ID_SIZE];
	const char		*user;	/* create: owner, or NULL.  else: only
					   one of this user; NULL any */
	const char		*title;		/* UTF-8, or NULL for none */
	size_t			 title_len;
	bool			 has_title;	/* update: title is set */
	struct span		 metadata;	/* JSON object, minified */
	bool			 has_metadata;	/* update: metadata is set */
	bool			 merges;	/* update: metadata is a patch:
						   null removes a key */
	struct item		**items;	/* each with its id; borrowed */
	const bool		*is_minted;	/* per item: id is from us */
	size_t			 nitems;
	char			 item[ID_SIZE];
	uint64_t		 if_version;	/* 0: none asked for */
	const struct change_once *once;		/* NULL: none */
	const char		*tenant;	/* tenant.create: name */
	/* tenant.create: the keys it begins with; borrowed */
	const struct credential	*apikeys;
	size_t			 napikeys;
	const struct credential	*jwtkeys;
	size_t			 njwtkeys;
	const struct credential	*credential;
	/*
	 * Import (import.h): items keep their at and position, 0 being the
	 * next.  part is the number of this part, from 1, and of a
	 * conversation.import how many came before it; all of one try carry
	 * the birth that its first one did.
	 */
	int64_t			 created_at;	/* ms */
	int64_t			 updated_at;	/* ms */
	uint64_t		 version;	/* 0: the first */
	uint64_t		 part;
	char			 birth[17];	/* if part > 0 */
	bool			 replaces;	/* a live one, too */
};

/* A conversation as it stood at one moment.  Freed by store_view_fini. */
struct conversation_view {
	char		 id[ID_SIZE];
	char		*user;		/* NULL: the tenant's own */
	char		*title;		/* may hold NULs: title_len; or NULL */
	size_t		 title_len;
	bool		 has_title;	/* it was set; else the metadata's */
	char		*metadata;	/* JSON object */
	size_t		 metadata_len;
	char		*preview;	/* of the last message; may hold NULs */
	size_t		 preview_len;
	int64_t		 created_at;	/* ms */
	int64_t		 updated_at;	/* ms */
	uint64_t	 version;
	uint64_t	 lsn;		/* of its newest change */
	uint64_t	 item_count;
	uint64_t	 bytes;		/* of its items' JSON */
};
void	 store_view_fini(struct conversation_view *);

/* What a change came to.  Freed by store_outcome_fini. */
struct outcome {
	uint64_t		 lsn;		/* must be durable first */
	uint64_t		 version;	/* after it; the present one
						   for PRECONDITION */
	bool			 is_repeat;	/* nothing was added: the same
						   request's first outcome */
	struct conversation_view view;		/* conversation kinds; empty
						   after a delete */
	struct item		**items;	/* append, create: one for each
						   of the request, in order, but
						   those deleted since */
	size_t			 nitems;
	char			 conversation[ID_SIZE];
};
void	 store_outcome_fini(struct outcome *);

/*
 * Make the change: check, journal, apply.  On STORE_OK *o_r is filled and the
 * caller waits for o_r->lsn before it tells anybody; readers do the same.
 * On any other result but STORE_UNSURE nothing was changed, and o_r holds at
 * most version (STORE_PRECONDITION) and the lsn to wait for before telling
 * (0: none).  t is NULL for tenant.create.  Never blocks on the disk.
 *
 * While changes are refused (STORE_FULL, STORE_SICK) a repeat still gets its
 * first outcome, which is no change: to be told if that is durable, unknown
 * if not.
 */
enum store_err	 store_commit(struct store *, struct tenant *t,
		    const struct change *, struct outcome *o_r);

/* --- reads -------------------------------------------------------------- */

/*
 * While the journal is broken, or after store_late, readers are shown the
 * durable prefix: everything as it was after the last change that is durable,
 * absences, lists and their order, tenants and keys too.  Else they are shown
 * what there is, with the lsn to wait for.
 */

/* user NULL: any conversation of the tenant.  *lsn_r is set also on
 * STORE_NOENT: the absence, too, may not be durable yet. */
enum store_err	 store_conversation(struct tenant *, const char *id,
		    const char *user, struct conversation_view *,
		    uint64_t *lsn_r);

enum store_order { STORE_ASC, STORE_DESC };

struct items_page {
	struct item	**items;	/* references */
	size_t		 nitems;
	bool		 has_more;
	uint64_t	 version;
	uint64_t	 lsn;
};
/* One page of items, limit >= 1, behind item id `after` (NULL: from the
 * start) in the order given.  STORE_OK, NOENT, NOCURSOR, NOMEM, DAMAGED. */
enum store_err	 store_items(struct tenant *, const char *id,
		    const char *user, const char *after, enum store_order,
		    size_t limit, struct items_page *);
void		 store_items_fini(struct items_page *);
/* One item, *item_r a new reference.  STORE_OK, NOENT, NOITEM, DAMAGED. */
enum store_err	 store_item(struct tenant *, const char *id,
		    const char *user, const char *item, struct item **item_r,
		    uint64_t *version_r, uint64_t *lsn_r);

enum store_sort { STORE_BY_UPDATED, STORE_BY_CREATED };

/* One place in a list: sort key, what parts equal ones, then id. */
struct list_cursor {
	int64_t		 key;		/* ms */
	uint64_t	 tie;
	char		 id[ID_SIZE];
};

struct list_query {
	enum store_sort	 sort;
	enum store_order order;
	size_t		 limit;		/* >= 1 */
	const char	*user;		/* NULL: all of the tenant */
	/* Exclusive bounds in the order of the list: by the id of a
	 * conversation, or by a cursor; NULL: none. */
	const char	*after_id;
	const char	*before_id;
	const struct list_cursor *after;
	/* metadata[k]=v, all must match. */
	const char	**metadata_keys;
	const char	**metadata_values;
	size_t		 nmetadata;
};
struct list_page {
	struct conversation_view *views;
	size_t		 nviews;
	bool		 has_more;
	struct list_cursor last;	/* of the last view, for next_after */
	uint64_t	 lsn;
};
/* With before_id the page is the `limit` conversations just before it, in
 * the list's order.  STORE_OK, STORE_NOCURSOR, STORE_NOMEM. */
enum store_err	 store_list(struct tenant *, const struct list_query *,
		    struct list_page *);
void		 store_list_fini(struct list_page *);

/* --- durability --------------------------------------------------------- */

/* Every lsn up to this is on stable storage. */
uint64_t	 store_durable(struct store *);
/*
 * Somebody waited for lsn for as long as anybody may: until it is durable,
 * reads are answered from the durable prefix.  Any thread.
 */
void		 store_late(struct store *, uint64_t lsn);
/* STORE_OK, or why changes are refused now: STORE_FULL, STORE_SICK. */
enum store_err	 store_health(struct store *);
/* And are they made, those too that are not essential? */
enum store_state {
	STATE_READY,
	STATE_FULL,		/* no space for the next segment: refused, or
				   soon, the larger ones first */
	STATE_BROKEN,		/* the journal cannot be written */
	STATE_HANGS		/* taken, but not durable in the time that
				   anybody may wait (store_late) */
};
enum store_state store_ready(struct store *);
/* Block until lsn is durable: STORE_OK or STORE_SICK.  Not for loops. */
enum store_err	 store_wait(struct store *, uint64_t lsn);

/* A loop that wants to hear: efd (an eventfd, borrowed) is written when what
 * it asked for by store_want is durable, or when the journal breaks or
 * recovers (see journal.h). */
struct store_waiter;
int	 store_subscribe(struct store *, int efd, struct store_waiter **w_r);
void	 store_unsubscribe(struct store *, struct store_waiter *);
/* lsn UINT64_MAX: as soon as anything moves (after STORE_BUSY). */
void	 store_want(struct store *, struct store_waiter *, uint64_t lsn);

/* Write every dirty document now and retire what can be.  0, or -1 if
 * something stayed dirty (logged).  Blocks. */
int	 store_flush(struct store *);
/* Close the journal's open segment, so that all that is durable now stands in
 * files that never change (journal_rotate).  0, or -1 with errno set: ENOSPC
 * when a full disk's reserve would go.  Not of a store that is read only.
 * Blocks. */
int	 store_rotate(struct store *);
/* Ask the flush thread to do that soon; for signals and loops. */
void	 store_flush_soon(struct store *);

/* Figures for status. */
struct store_stats {
	char		 store_id[17];
	uint64_t	 lsn;		/* last given */
	uint64_t	 durable;
	size_t		 tenants;
	size_t		 tenants_open;
	size_t		 conversations;	/* in memory */
	size_t		 dirty;		/* documents to be written */
	uint64_t	 records;	/* appended since the start */
	uint64_t	 batches;	/* they made */
	uint64_t	 bytes;		/* of both */
	int		 error;		/* 0, or the errno that broke the
					   journal */
	bool		 hangs;		/* STATE_HANGS */
	int		 reserve_error;	/* 0: the spare segment is there;
					   EAGAIN: soon; else why it is not */
	struct histogram sync_us;	/* fdatasync of the journal */
	struct histogram batch_records;
	size_t		 kept_bytes;	/* of the segments */
	int64_t		 kept_ms;	/* age of the oldest change in them */
	int64_t		 pending_ms;	/* and of the oldest not durable yet */
	int64_t		 copy_ms;	/* how long a copy may take now */
	struct histogram flush_ms;	/* passes */
	uint64_t	 flush_failed;	/* of them: something stayed dirty */
	size_t		 failing;	/* documents that cannot be written */
	uint64_t	 written;	/* documents */
	int64_t		 lag_ms;	/* age of the oldest change that stands
					   in no document */
	size_t		 segments;
	char		 open_segment[32];	/* the journal's that is being
					   written; those before it never
					   change */
	size_t		 quarantined;	/* files that lie there, but for what
					   a hand did since the start */
};
void	 store_stats(struct store *, struct store_stats *);

/* How much of a tenant there is, that is not deleted. */
struct tenant_size {
	char		 name[TENANT_NAME_MAX + 1];
	uint64_t	 conversations;
	uint64_t	 items;
	uint64_t	 bytes;		/* of the items' JSON */
};
/*
 * The tenants whose conversations are in memory: the max of them with most
 * bytes into v, largest first, and all the others together, if any, into
 * *rest_r, whose name is "".  Returns how many stand in v, or -1 for want of
 * memory.  Takes each tenant's lock for a moment; walks no conversations.
 */
ssize_t	 store_tenant_sizes(struct store *, struct tenant_size *v,
	    size_t max, struct tenant_size *rest_r);

#endif /* !STORE_H */
