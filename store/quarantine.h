#ifndef QUARANTINE_H
#define QUARANTINE_H

#include <stddef.h>

#include "store.h"

/*
 * STORE/quarantine holds what was found damaged, under LABEL.TIME with a
 * LABEL.TIME.why beside it.  The label says where it stood:
 *
 *	acme.tenant.json		tenants/acme/tenant.json
 *	acme.conversations.conv_1.json	tenants/acme/conversations/conv_1.json
 *	acme.once.20260131T10.json	tenants/acme/once/20260131T10.json
 *	00000000000000000042		journal/00000000000000000042
 *
 * Neither tenants nor ids hold dots, so that a label is read back without
 * doubt.  A tenant or conversation whose document lies here and nowhere else
 * is damaged, not unknown, until the document is put back, it is deleted, or
 * the file is taken out by hand.
 *
 * All of these block and log; those without a result do what they can.  Of a
 * store that is read only nothing is moved or copied: it is a problem that is
 * noted (problem.h).
 */
#define QUARANTINE_LABEL	200	/* and its NUL */

/* Move the file name of dirfd there.  Returns 0, or -1: then it stays. */
int	 quarantine_move(struct store *, int dirfd, const char *name,
	    const char *label, const char *why);
/* Let the file have a name there, too, once: a second call finds it.  It is
 * kept when its own name goes; nobody may write to it any more. */
void	 quarantine_link(struct store *, int dirfd, const char *name,
	    const char *label, const char *why);
/* Put len bytes at p there. */
void	 quarantine_bytes(struct store *, const char *label, const void *p,
	    size_t len, const char *why);

/* Call visit with the label of each file; it may come more than once.
 * Returns 0, -1 with errno set, or the first of visit that is not 0. */
int	 quarantine_each(struct store *,
	    int (*visit)(const char *label, void *), void *arg);
/* Count what lies there, at the start; of a store that is read only note each,
 * with why.  Returns 0, or -1 with errno set. */
int	 quarantine_tell(struct store *);
/* Is there a file of that label?  1, 0, or -1 with errno set. */
int	 quarantine_has(struct store *, const char *label);
/*
 * What lies there of this label speaks for nothing any more: it was deleted.
 * It is kept under another label.  Returns 0, or -1 if it could not be.
 */
int	 quarantine_release(struct store *, const char *label);

#endif /* !QUARANTINE_H */
