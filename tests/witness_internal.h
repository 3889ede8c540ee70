#ifndef WITNESS_INTERNAL_H
#define WITNESS_INTERNAL_H

#include "tests/witness.h"

/* For witness.c, the clients and their changes, and witness_check.c. */

/* What a slot is after some of its events, or what was read of it. */
struct facts {
	bool		 exists;
	bool		 is_damaged;
	uint64_t	 version;
	unsigned	 title;
	unsigned	 nitems;
	unsigned	 items[WITNESS_ITEMS];
};

/* What the slot is once everything up to lsn has happened. */
void	 witness_facts(const struct slot *, uint64_t lsn, struct facts *);
/* The item of that number, its text made from it (new). */
struct item *witness_item(unsigned item);
/* May the store refuse?  Its disk has gone, or a planted fault has come. */
bool	 witness_may_fail(void);
/* The lsn of the last event of all, or 0. */
uint64_t witness_last(void);
/* Have all of the client's tenant in memory, if there is one: c->t. */
enum store_err witness_find(struct client *);
/* The line that is not as it should be, on the report. */
void	 witness_show(const char *fmt, ...) __printflike(1, 2);

/* A change as the store wants it, made of an event. */
struct wish {
	struct change	 ch;
	struct change_once once;
	struct credential credential;
	struct item	*items[4];
	char		 key[24];
	char		 title[24];
};
void	 wish_init(struct wish *, const struct client *, const struct slot *,
	    const struct event *);
void	 wish_fini(struct wish *);

#endif /* !WITNESS_INTERNAL_H */
