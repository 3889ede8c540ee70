#ifndef LIST_H
#define LIST_H

#include <bsd/sys/tree.h>

#include <stdint.h>

/*
 * The orders in which a tenant's conversations are listed: by two times, of
 * all of them and of each user's, so that a page costs what it shows, however
 * many other users there are.  What was updated in the same millisecond goes by
 * the changes' lsn, which the documents keep, too; what was created in the same
 * one by id.  Under the tenant's lock.
 */
struct conversation;
struct tenant;

/* One conversation in one order. */
struct place {
	RB_ENTRY(place)	 node;
	const char	*user;		/* "" in the orders of all */
	int64_t		 key;		/* ms */
	uint64_t	 tie;		/* among those of one ms */
	const char	*id;
	struct conversation *conversation;
};
RB_HEAD(places, place);

/* The sort of list_query, and LIST_OF_USER more for those of one user. */
enum { LIST_UPDATED, LIST_CREATED, LIST_OF_USER, NLISTS = 2 * LIST_OF_USER };

/* Put it into every order, by its times of now; take it out. */
void	 list_insert(struct tenant *, struct conversation *);
void	 list_remove(struct tenant *, struct conversation *);
/* It was updated at that time, by that change: move it. */
void	 list_move(struct tenant *, struct conversation *, int64_t at,
	    uint64_t lsn);

#endif /* !LIST_H */
