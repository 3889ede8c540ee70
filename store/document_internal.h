#ifndef DOCUMENT_INTERNAL_H
#define DOCUMENT_INTERNAL_H

#include "document.h"
#include "member.h"

/* For document.c, document_read.c, document_seal.c and identity.c alone. */

/* "checksum":"xxh3:<16 hex>"}\n */
#define CHECKSUM_VALUE	"\"xxh3:"
#define CHECKSUM_HEAD	"\"checksum\":" CHECKSUM_VALUE
#define CHECKSUM_LINE	(sizeof(CHECKSUM_HEAD) - 1 + 16 + 3)

/* The last line of a document whose other lines are at p. */
void	 document_checksum(const char *p, size_t len,
	    char line[CHECKSUM_LINE + 1]);
/* Append it, over what is in b from `from` on. */
void	 document_end(struct buf *b, size_t from);

/* The members that every document has, the first of its table. */
#define DOCUMENT_MEMBERS						\
	[M_KIND] = { .name = "rememberd" },				\
	[M_FORMAT] = { .name = "format" },				\
	[M_STORE] = { .name = "store" },				\
	[M_TENANT] = { .name = "tenant" },				\
	[M_CHECKSUM] = { .name = "checksum" }
enum { M_KIND, M_FORMAT, M_STORE, M_TENANT, M_CHECKSUM, M_COMMON };

/* A document that is being read. */
struct reading {
	struct span	 text;
	bool		 is_edited;	/* it has no checksum */
	char		*why;		/* DOCUMENT_WHY bytes */
	struct buf	 rest;		/* of one object */
	struct buf	 work;
};

/*
 * Begin: is it whole, and of this kind and a format that is known here?  The
 * members of v (the common ones first) are filled in, rest with the others.
 * End with reading_fini in any case.
 */
enum document_state	 reading_init(struct reading *, const char *data,
			    size_t len, const char *kind, struct member *v,
			    size_t n, char why[DOCUMENT_WHY]);
void			 reading_fini(struct reading *);
/* Note what is wrong, with the line on which at begins.  DOCUMENT_BAD. */
enum document_state	 reading_bad(struct reading *, struct span at,
			    const char *fmt, ...) __printflike(3, 4);
/* A whole number from least up; false, and noted, if the member of object is
 * none. */
bool			 reading_number(struct reading *, struct span object,
			    const struct member *, uint64_t least,
			    uint64_t *);
bool			 reading_time(struct reading *, struct span object,
			    const struct member *, int64_t *);

#endif /* !DOCUMENT_INTERNAL_H */
