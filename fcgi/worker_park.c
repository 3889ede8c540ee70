#include <sys/eventfd.h>

#include "store/sys.h"
#include "worker_internal.h"

/*
 * Who waits: for the journal (PARKED) until what he is to be told is durable,
 * or for a helper (COLD), and either no longer than request_timeout.
 */

/* How long those that are answered together keep others from their turn: a
 * list of the durable prefix may take its time, see list.c. */
#define TURN_MS	10

/* --- the lists ---------------------------------------------------------- */

void
exchange_want(struct worker *w, uint64_t lsn)
{
	store_want(w->edge->store, w->waiter, lsn);
	/* It may have broken just before, and then nobody writes. */
	if (store_health(w->edge->store) != STORE_OK)
		(void)eventfd_write(w->wake.fd, 1);
}

/* Who began later mostly goes to the end. */
void
exchange_wait(struct exchange *ex)
{
	struct worker *w = ex->conn->worker;
	struct exchange *before;

	TAILQ_FOREACH_REVERSE(before, &w->waiting, exchanges, wait)
		if (before->due <= ex->due)
			break;
	if (before != NULL)
		TAILQ_INSERT_AFTER(&w->waiting, before, ex, wait);
	else
		TAILQ_INSERT_HEAD(&w->waiting, ex, wait);
}

void
exchange_unwait(struct exchange *ex)
{
	TAILQ_REMOVE(&ex->conn->worker->waiting, ex, wait);
}

/* Keep the list in order: a later lsn mostly goes to the end. */
void
exchange_park(struct exchange *ex)
{
	struct worker *w = ex->conn->worker;
	struct exchange *before;

	exchange_enter(ex, PARKED);
	exchange_wait(ex);
	TAILQ_FOREACH_REVERSE(before, &w->parked, exchanges, entry)
		if (before->reply.lsn <= ex->reply.lsn)
			break;
	if (before != NULL)
		TAILQ_INSERT_AFTER(&w->parked, before, ex, entry);
	else {
		TAILQ_INSERT_HEAD(&w->parked, ex, entry);
		exchange_want(w, ex->reply.lsn);
	}
}

void
exchange_unpark(struct exchange *ex)
{
	TAILQ_REMOVE(&ex->conn->worker->parked, ex, entry);
	exchange_unwait(ex);
}

/* --- the end of waiting ------------------------------------------------- */

/*
 * What a parked one is told whose lsn cannot be waited for any longer.  A
 * change may yet become durable or not.  Anything else changed nothing and is
 * run again: the store shows the durable prefix now (see reads in store.h), of
 * keys, too, so that who asks is found out again.
 */
static void
give_up(struct exchange *ex)
{
	if (ex->reply.is_change) {
		reply_unsure(&ex->reply);
		exchange_write(ex);
		return;
	}
	request_forget_caller(&ex->req);
	exchange_run(ex);
}

/* Is it the connections' turn, after n of those that waited? */
static bool
is_over(const struct worker *w, int n)
{
	return (n == WAKE_MAX || sys_monotonic_ms() - w->now > TURN_MS);
}

void
exchange_parked(struct worker *w)
{
	bool is_well = store_health(w->edge->store) == STORE_OK;
	uint64_t durable = store_durable(w->edge->store);
	struct exchange *ex;
	int n;

	for (n = 0; (ex = TAILQ_FIRST(&w->parked)) != NULL; n++) {
		if (ex->reply.lsn > durable && is_well) {
			exchange_want(w, ex->reply.lsn);
			return;
		}
		if (n > 0 && is_over(w, n)) {
			(void)eventfd_write(w->wake.fd, 1);
			return;
		}
		exchange_unpark(ex);
		if (ex->reply.lsn > durable)
			give_up(ex);
		else
			exchange_write(ex);
		if (ex->state == WRITING)
			conn_reply(ex->conn);
	}
}

/*
 * It waited as long as a request may, and nothing is broken: the disk hangs.
 * Readers are shown what is durable, from now on at once.  A refusal of a
 * change that rests on what is not durable is not told; run again it might
 * become a change, that would wait as long.
 */
static void
late(struct exchange *ex)
{
	struct store *store = ex->conn->worker->edge->store;
	const enum method method = ex->req.method;

	if (ex->reply.lsn <= store_durable(store))
		exchange_write(ex);
	else if (ex->reply.is_change || method == METHOD_GET ||
	    method == METHOD_HEAD) {
		store_late(store, ex->reply.lsn);
		give_up(ex);
	} else {
		reply_store_error(&ex->reply, STORE_SICK,
		    (struct span){ "", 0 });
		exchange_write(ex);
	}
}

void
exchange_late(struct worker *w)
{
	struct exchange *ex;
	int n;

	for (n = 0; n == 0 || !is_over(w, n); n++) {
		if ((ex = TAILQ_FIRST(&w->waiting)) == NULL ||
		    ex->due > w->now)
			return;
		if (ex->state == PARKED) {
			exchange_unpark(ex);
			late(ex);
		} else
			exchange_chill(ex);
		if (ex->state == WRITING)
			conn_reply(ex->conn);
	}
}
