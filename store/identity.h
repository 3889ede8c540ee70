#ifndef IDENTITY_H
#define IDENTITY_H

#include <stdint.h>

#include "buf.h"
#include "document.h"
#include "id.h"

/*
 * store.json says which store this is, and tells its starts:
 *
 *	{"rememberd":"store","format":1,"store":"0123456789abcdef",
 *	"epochs":[
 *	{"epoch":"…","lsn":42,"at":1760000000123},
 *	…
 *	],
 *	"checksum":"xxh3:0123456789abcdef"}
 *
 * (the checksum and members that are not known here as in document.h).  Two
 * histories that part, because a copy was opened, differ in their epochs.
 *
 * A wrong id would make every segment and document one of another store, so
 * that a store whose store.json is damaged or lost is not opened: what it must
 * say is found in the other files and told to the operator.
 */
#define IDENTITY_NAME	"store.json"

struct identity {
	char		 id[17];
	struct buf	 rest;		/* members not known here */
	struct buf	 epochs;	/* the newest, a comma between */
};

void	 identity_init(struct identity *);
void	 identity_fini(struct identity *);

/* Read what stands in store.json, or in data, which is such a file's.
 * Returns DOCUMENT_OK, BAD, NEWER or NOMEM; -1 with errno set if the file
 * could not be read.  Blocks. */
int	 identity_load(int dirfd, struct identity *, char why[DOCUMENT_WHY]);
enum document_state	 identity_read(struct identity *, const char *data,
			    size_t len, char why[DOCUMENT_WHY]);
/* One more start, whose first lsn is that. */
void	 identity_start(struct identity *, uint64_t lsn, int64_t at);
/* Append the file; ask buf_ok. */
void	 identity_encode(const struct identity *, struct buf *);

/*
 * The id that the store in dirfd must have, by its other files.  Returns 1, 0
 * if they do not say, or -1 with errno set.  Blocks.
 */
int	 identity_guess(int dirfd, char id[17]);

#endif /* !IDENTITY_H */
