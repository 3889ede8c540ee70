#include <stdlib.h>

#include "store_internal.h"

/* What is on the disk, and who waits for it. */

/* Of a small message's record. */
#define READY_SIZE	((size_t)4096)

uint64_t
store_durable(struct store *s)
{

	return (s->o.read_only ? s->read_lsn : journal_durable(s->journal));
}

enum store_err
store_health(struct store *s)
{

	return (s->o.read_only ? STORE_OK :
	    store_err_of(journal_error(s->journal)));
}

void
store_late(struct store *s, uint64_t lsn)
{

	journal_late(s->journal, lsn);
}

enum store_state
store_ready(struct store *s)
{

	if (s->o.read_only)
		return (STATE_READY);
	switch (store_err_of(journal_room(s->journal, READY_SIZE, false))) {
	case STORE_OK:
	case STORE_BUSY:
		/* A batch that is full is not for long, if the disk works. */
		if (journal_hangs(s->journal))
			return (STATE_HANGS);
		/* Not only when this size is refused: larger ones are now. */
		return (journal_is_full(s->journal) ? STATE_FULL :
		    STATE_READY);
	case STORE_FULL:
		return (STATE_FULL);
	default:
		return (STATE_BROKEN);
	}
}

enum store_err
store_wait(struct store *s, uint64_t lsn)
{

	return (s->o.read_only || journal_wait(s->journal, lsn) == 0 ?
	    STORE_OK : STORE_SICK);
}

/* The journal's waiter by the name that the store's callers know. */
struct store_waiter {
	struct journal_waiter *waiter;
};

int
store_subscribe(struct store *s, int efd, struct store_waiter **w_r)
{
	struct store_waiter *w;

	if ((w = malloc(sizeof(*w))) == NULL)
		return (-1);
	if (journal_subscribe(s->journal, efd, &w->waiter) == -1) {
		free(w);
		return (-1);
	}
	*w_r = w;
	return (0);
}

void
store_unsubscribe(struct store *s, struct store_waiter *w)
{

	if (w == NULL)
		return;
	journal_unsubscribe(s->journal, w->waiter);
	free(w);
}

void
store_want(struct store *s, struct store_waiter *w, uint64_t lsn)
{

	journal_want(s->journal, w->waiter, lsn);
}
