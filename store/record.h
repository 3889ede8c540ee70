#ifndef RECORD_H
#define RECORD_H

#include <sys/uio.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "conversation.h"
#include "jsonscan.h"
#include "key.h"
#include "once.h"
#include "store.h"

/*
 * A change made ready: what the journal holds of it, and all that applying
 * it needs, so that applying cannot fail.  Live requests make one by
 * change_check, replay by record_decode; both go through change_apply.
 */
struct record {
	enum change_kind kind;
	int64_t		 at;		/* ms */
	uint64_t	 lsn;		/* not encoded: its place tells */
	char		 tenant[TENANT_NAME_MAX + 1];
	char		 conversation[ID_SIZE];	/* "" if of the tenant */
	char		 birth[BIRTH_SIZE];
	uint64_t	 version;	/* of the conversation, after it */
	struct text	 user;		/* p NULL: none */
	bool		 has_title;
	struct text	 title;		/* p NULL: none */
	struct text	 metadata;	/* p NULL: not changed */
	struct text	 preview;	/* not encoded: comes from the items */
	struct item	**items;	/* references */
	size_t		 nitems;
	char		 item[ID_SIZE];
	struct once	*once;		/* owned, or NULL */
	struct credential *credential;	/* owned, or NULL */
	struct keyring	 apikeys;	/* that a tenant begins with */
	struct keyring	 jwtkeys;
	/* Import: see import.h; version is the number of a part. */
	int64_t		 created_at;	/* ms */
	int64_t		 updated_at;	/* ms */
	uint64_t	 parts;		/* that came before */
	struct import	*import;	/* not encoded: where the items go;
					   owned unless it is listed */
};

void	 record_init(struct record *, enum change_kind);
/* Free what it still holds. */
void	 record_fini(struct record *);

/*
 * One line of JSON as an iovec over head and the record's own items: *iov_r
 * (new, *n_r entries) borrows from both.  Returns 0, or -1 ENOMEM.
 */
int	 record_encode(const struct record *, struct buf *head,
	    struct iovec **iov_r, int *n_r);

/*
 * Read one line.  Returns 1; 0 if the line is no record of ours (an unknown
 * kind, a missing member); -1 ENOMEM.  The record is initialised in any case.
 */
int	 record_decode(struct span line, struct record *);

#endif /* !RECORD_H */
