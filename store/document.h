#ifndef DOCUMENT_H
#define DOCUMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "conversation.h"
#include "tenant.h"

/*
 * Documents byte by byte.  Each is one JSON object that ends in a newline,
 * with one entry a line and a checksum in its last line, over all bytes
 * before that line:
 *
 *	{"rememberd":"conversation","format":1,"store":"…","tenant":"acme",
 *	 "id":"conv_…","birth":"…","version":7,"lsn":42,…,"metadata":{…},
 *	"once":[
 *	{"key":"…",…},
 *	…
 *	],
 *	"items":[
 *	{"at":1760000000123,"item":{…}},
 *	…
 *	],
 *	"checksum":"xxh3:0123456789abcdef"}
 *
 * (the first two lines above are one).  An entry whose position is not one
 * above the last entry's says so: {"at":…,"item":{…},"position":9}.
 *
 * A deleted conversation's document is a tombstone of the same name: its
 * first line has "deleted":<ms>, and neither once nor items follow.
 *
 * Members that are not known here survive: of the head, of the entries (beside
 * at, item and position), of idempotency records and the heads of their files,
 * of tenant.json and its keys.
 *
 * A document without a checksum was edited by hand: its members may come in
 * any order and with any white space.  It must be JSON without doubt and say
 * all that a document says; its numbers stay as they are written.
 */
#define DOCUMENT_FORMAT	1
/* Larger ones are taken as damaged. */
#define DOCUMENT_MAX	((size_t)4 << 30)

/* The name of a conversation's document, and the id that a name says; false
 * if it is no such name. */
#define DOCUMENT_NAME	(ID_MAX + sizeof(".json"))
void	 document_name(const char *id, char name[DOCUMENT_NAME]);
bool	 document_id(const char *name, char id[ID_SIZE]);

/*
 * Append the document to b; ask buf_ok.  store_id is 16 hex digits.  The
 * lock of what is written must be held.
 */
void	 document_conversation(const struct conversation *,
	    const char *store_id, struct buf *b);
void	 document_tenant(const struct tenant *, const char *store_id,
	    struct buf *b);

/*
 * The tenant's idempotency records whose time is in [from, until) ms; their
 * number is returned.
 */
size_t	 document_once(const struct tenant *, const char *store_id,
	    int64_t from, int64_t until, struct buf *b);

/* The name of the file in once/ for records of that time, and the time its
 * hour begins at; buf has ONCE_NAME bytes. */
#define ONCE_NAME	sizeof("20260131T10.json")
int64_t	 document_once_name(int64_t at, char *buf);
/* The same time, of the first of these records; false if there is none. */
bool	 document_once_hour(struct span records, int64_t *hour_r);
bool	 document_is_once(const char *name);

/* How a document was found. */
enum document_state {
	DOCUMENT_OK,
	DOCUMENT_BAD,		/* damaged, or edited badly */
	DOCUMENT_NEWER,		/* of a later format: not to be touched */
	DOCUMENT_NOMEM
};

/*
 * What is to be said of a document that was read, with the line where: why it
 * is BAD or NEWER; of an OK one "", or that it has no checksum.
 */
#define DOCUMENT_WHY	256

/*
 * Read a conversation's document into *c_r (new).  id is what its file name
 * says.  It must be of this tenant and id.
 */
enum document_state	 document_read_conversation(struct tenant *,
			    const char *id, const char *data, size_t len,
			    struct conversation **c_r, char why[DOCUMENT_WHY]);
/* Read tenant.json into t, which nobody else uses yet or whose lock is held. */
enum document_state	 document_read_tenant(struct tenant *,
			    const char *data, size_t len,
			    char why[DOCUMENT_WHY]);
/* Add the records of a file of once/ to the tenant's table; lock held. */
enum document_state	 document_read_once(struct tenant *, const char *data,
			    size_t len, char why[DOCUMENT_WHY]);

/*
 * Seal the file name in dirfd, which a hand may have edited: check it as a
 * load would, whatever its checksum says, and replace it by its normal form
 * with the right one.  A conversation's is to be called by its id, and what is
 * of a tenant, of the one in whose folder it stands; tenant NULL: that is not
 * known.  Returns 0, or -1: then why says what is wrong, and the file is as it
 * was.  Blocks.
 */
int	 document_seal(int dirfd, const char *name, const char *tenant,
	    char why[DOCUMENT_WHY]);

#endif /* !DOCUMENT_H */
