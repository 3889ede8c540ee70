#ifndef CHANGE_H
#define CHANGE_H

#include "conversation.h"
#include "record.h"
#include "store.h"
#include "tenant.h"

/*
 * Every kind of change as one row of a table.
 *
 *	check    state and wish -> record, or a refusal; the only place that
 *	         refuses.  Reserves all that apply will need.
 *	apply    record -> state; cannot fail.  Live and at replay the same.
 */
enum change_scope {
	SCOPE_CONVERSATION,	/* under the conversation's lock */
	SCOPE_SET,		/* creates or deletes one: under the tenant's
				   and the conversation's */
	SCOPE_TENANT,		/* tenant.json: under the tenant's */
	SCOPE_IMPORT		/* import.h: under the tenant's and, if one
				   of that id is there, the conversation's */
};

/*
 * What a check works on.  outcome is filled as far as a repeat needs it.
 */
struct change_ctx {
	struct store		*store;
	struct tenant		*tenant;
	struct conversation	*conversation;	/* NULL where there is none */
	const struct change	*change;
	int64_t			 now;		/* ms */
	struct record		*record;	/* to be filled */
	struct once		*repeat;	/* set: a retry; borrowed */
	bool			 is_known;	/* items: all are there */
	bool			 is_foreign;	/* it is another user's */
	enum store_err		 refusal;	/* what all but a repeat gets
						   now; STORE_OK: none */
	uint64_t		 version_r;	/* with STORE_PRECONDITION */
};

struct change_row {
	enum change_kind	 kind;
	const char		*name;		/* in the journal */
	enum change_scope	 scope;
	enum store_err		 (*check)(struct change_ctx *);
	/* Neither may fail.  Both take what they keep out of the record. */
	void			 (*apply)(struct tenant *,
				    struct conversation *, struct record *);
	bool			 is_essential;	/* makes room or takes a right
						   away: may use the last of a
						   disk */
};

/* The row of a kind, or of a name in the journal; NULL if there is none. */
const struct change_row	*change_row(enum change_kind);
const struct change_row	*change_row_named(struct span name);

/*
 * Reserve in state what applying the record needs, for replay (a live check
 * did it already).  Returns false for want of memory.
 */
bool	 change_reserve(struct tenant *, struct conversation *,
	    struct record *);

/*
 * Replay passes a creation or deletion over because the document is newer:
 * its idempotency record counts all the same, for it stands elsewhere.
 */
void	 change_skip(struct tenant *, struct record *);

#endif /* !CHANGE_H */
