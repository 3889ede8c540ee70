#include <sys/eventfd.h>
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "conf/conf.h"
#include "route.h"
#include "store/sys.h"
#include "worker_internal.h"

/* Rounds through a helper after which a request is refused: a tenant may have
 * left memory again, but not every time. */
#define ROUNDS_MAX	8
/* How long a request waits for room in the journal. */
#define BUSY_MS		5000
/* How often it is tried without news. */
#define BUSY_AGAIN_MS	100
/* From here on a body is no matter for a loop: reading it as JSON takes about
 * a millisecond, and one of max_body half a second. */
#define LARGE_BODY	((size_t)64 * 1024)
/* What is kept for the next request. */
#define SPARE_MAX	64
#define KEEP_BYTES	((size_t)64 * 1024)

/*
 * A tenant being brought into memory.  It outlives its exchange if the client
 * gives up, so it holds a copy of the name.
 */
struct warm {
	struct helper_job job;		/* first: the helper hands it back */
	struct store	*store;
	char		 name[TENANT_NAME_MAX + 1];
	size_t		 len;
	enum store_err	 err;		/* what store_warm said; else COLD */
	struct exchange	*ex;		/* the loop's; NULL if it was dropped */
};

static void take_back(struct worker *);

/* --- counting ----------------------------------------------------------- */

_Static_assert(WRITING + 1 == TALLY_STATES, "each state has its gauge");

void
exchange_enter(struct exchange *ex, enum exchange_state state)
{
	struct tally *t = ex->conn->worker->tally;

	tally_less(&t->in_hand[ex->state]);
	counter_add(&t->in_hand[state], 1);
	ex->state = state;
}

/* It ends, in whatever state. */
static void
exchange_count(const struct worker *w, const struct exchange *ex)
{
	if (ex->state == WRITING &&
	    ex->sent == wire_frame_size(ex->response.len))
		tally_answered(w->tally, &ex->req, ex->reply.status,
		    ex->reply.code, sys_monotonic_us() - ex->begun_us);
	else
		counter_add(&w->tally->dropped, 1);
}

/* --- memory ------------------------------------------------------------- */

static struct exchange *
exchange_new(struct worker *w)
{
	struct exchange *ex;

	if ((ex = TAILQ_FIRST(&w->spare)) != NULL) {
		TAILQ_REMOVE(&w->spare, ex, entry);
		w->nspare--;
		return (ex);
	}
	if ((ex = calloc(1, sizeof(*ex))) == NULL)
		return (NULL);
	if ((ex->arena = arena_new()) == NULL) {
		free(ex);
		return (NULL);
	}
	reply_init(&ex->reply);
	buf_init(&ex->response);
	return (ex);
}

static void
exchange_free(struct exchange *ex)
{
	reply_fini(&ex->reply);
	buf_fini(&ex->response);
	arena_free(ex->arena);
	free(ex);
}

static void
shrink(struct buf *b)
{
	if (b->size > KEEP_BYTES)
		buf_fini(b);
	else
		buf_clear(b);
}

/* No one needs it any more: keep it for the next request, or free it. */
static void
exchange_recycle(struct worker *w, struct exchange *ex)
{
	tally_less(&w->tally->in_hand[ex->state]);
	request_fini(&ex->req);
	if (w->nspare == SPARE_MAX) {
		exchange_free(ex);
		return;
	}
	arena_reset(ex->arena);
	shrink(&ex->reply.headers);
	shrink(&ex->reply.body);
	shrink(&ex->response);
	TAILQ_INSERT_HEAD(&w->spare, ex, entry);
	w->nspare++;
}

void
exchange_drop(struct exchange *ex)
{
	struct conn *c = ex->conn;
	struct worker *w = c->worker;

	c->ex = NULL;
	exchange_count(w, ex);
	if (ex->state == AWAY) {
		ex->conn = NULL;
		ex->wire = c->wire;
		c->wire = NULL;
		return;
	}
	if (ex->state == PARKED)
		exchange_unpark(ex);
	else if (ex->state == COLD)
		exchange_unwait(ex);
	else if (ex->state == BUSY)
		TAILQ_REMOVE(&w->busy, ex, entry);
	if (ex->warm != NULL)
		ex->warm->ex = NULL;
	ex->warm = NULL;
	ex->conn = NULL;
	exchange_recycle(w, ex);
}

void
exchange_fini(struct worker *w)
{
	struct exchange *ex;

	/* Every connection is closed: what comes back goes to the spare. */
	if (w->box != NULL)
		take_back(w);
	while ((ex = TAILQ_FIRST(&w->spare)) != NULL) {
		TAILQ_REMOVE(&w->spare, ex, entry);
		exchange_free(ex);
	}
}

/* --- the reply ---------------------------------------------------------- */

void
exchange_write(struct exchange *ex)
{
	exchange_enter(ex, WRITING);
	if (!reply_write(&ex->reply, &ex->req, &ex->response))
		ex->conn->is_last = true;
}

/* The reply is made: may it be seen yet? */
static void
exchange_done(struct exchange *ex)
{
	if (ex->reply.lsn <= store_durable(ex->req.edge->store))
		exchange_write(ex);
	else
		exchange_park(ex);
}

/* --- cold and busy ------------------------------------------------------ */

static void
warm_run(struct helper_job *job)
{
	struct warm *warm = (struct warm *)job;

	warm->err = store_warm(warm->store, warm->name, warm->len);
}

/* Have the tenant brought into memory.  Returns false if that cannot be. */
static bool
warm_start(struct exchange *ex)
{
	struct worker *w = ex->conn->worker;
	struct span name = ex->req.cold_tenant;
	struct warm *warm;

	if (name.p == NULL || name.len > TENANT_NAME_MAX ||
	    ++ex->rounds > ROUNDS_MAX)
		return (false);
	if ((warm = calloc(1, sizeof(*warm))) == NULL)
		return (false);
	warm->job.run = warm_run;
	warm->job.box = w->box;
	warm->store = w->edge->store;
	warm->err = STORE_COLD;
	memcpy(warm->name, name.p, name.len);
	warm->len = name.len;
	warm->ex = ex;
	if (helper_run(w->pool->o.helper, &warm->job) == -1) {
		free(warm);
		return (false);
	}
	ex->warm = warm;
	exchange_enter(ex, COLD);
	exchange_wait(ex);
	return (true);
}

/* A helper is done with it. */
static void
warm_end(struct warm *warm)
{
	struct exchange *ex = warm->ex;
	struct span name = { warm->name, warm->len };

	if (ex != NULL) {
		ex->warm = NULL;
		exchange_unwait(ex);
		/* That nothing is there, the handler says in its own words. */
		if (warm->err == STORE_OK || warm->err == STORE_NOENT)
			exchange_run(ex);
		else {
			reply_store_error(&ex->reply, warm->err, name);
			exchange_done(ex);
		}
		if (ex->state == WRITING)
			conn_reply(ex->conn);
	}
	free(warm);
}

/* Into the list of the busy: a new one last, one that was tried again where it
 * stood. */
static void
busy_insert(struct worker *w, struct exchange *ex)
{
	struct exchange *next = NULL, *before;

	/* Few stand before it: those that helpers gave back in this round. */
	if (ex->busy_until == 0)
		ex->busy_until = w->now + BUSY_MS;
	else
		TAILQ_FOREACH(next, &w->busy, entry)
			if (next->busy_until >= ex->busy_until)
				break;
	if (next != NULL)
		TAILQ_INSERT_BEFORE(next, ex, entry);
	else
		TAILQ_INSERT_TAIL(&w->busy, ex, entry);
	before = TAILQ_PREV(ex, exchanges, entry);
	(void)before;		/* for a build without assert */
	assert(next == NULL || next->busy_until >= ex->busy_until);
	assert(before == NULL || before->busy_until <= ex->busy_until);
}

/* No room in the journal: try again when it moved, but not for ever. */
static void
exchange_busy(struct exchange *ex)
{
	struct worker *w = ex->conn->worker;

	if (ex->busy_until != 0 && w->now >= ex->busy_until) {
		reply_store_error(&ex->reply, STORE_BUSY,
		    (struct span){ "", 0 });
		exchange_done(ex);
		return;
	}
	exchange_enter(ex, BUSY);
	busy_insert(w, ex);
	exchange_want(w, UINT64_MAX);
}

/*
 * Has the journal moved since the busy were tried, or is it time?  That a
 * helper gave one of them back is no news: it would go round and round.
 */
static bool
is_worth_retrying(struct worker *w)
{
	uint64_t durable = store_durable(w->edge->store);

	if (TAILQ_EMPTY(&w->busy) ||
	    (durable == w->busy_durable && w->now < w->busy_again))
		return (false);
	w->busy_durable = durable;
	w->busy_again = w->now + BUSY_AGAIN_MS;
	return (true);
}

/*
 * Try those again that found no room, first come, first served.  When there is
 * none for one, there is none for those behind it.
 */
static void
retry_busy(struct worker *w)
{
	struct exchange *ex;
	int n;

	for (n = 0; n < WAKE_MAX; n++) {
		if ((ex = TAILQ_FIRST(&w->busy)) == NULL)
			return;
		TAILQ_REMOVE(&w->busy, ex, entry);
		exchange_run(ex);
		if (ex->state == BUSY)
			return;
		if (ex->state == WRITING)
			conn_reply(ex->conn);
	}
	/* The rest in the next round. */
	w->busy_again = w->now;
}

/* --- away --------------------------------------------------------------- */

static struct exchange *
exchange_of(struct helper_job *job)
{
	return ((struct exchange *)(void *)((char *)job -
	    offsetof(struct exchange, job)));
}

/* In a helper's thread. */
static void
away_run(struct helper_job *job)
{
	struct exchange *ex = exchange_of(job);

	ex->verdict = route_dispatch(&ex->req, &ex->reply);
}

/* Have a helper run it.  Returns false if they have too much to do. */
static bool
away_start(struct exchange *ex)
{
	struct worker *w = ex->conn->worker;

	ex->job.run = away_run;
	ex->job.box = w->box;
	ex->is_aborted = false;
	exchange_enter(ex, AWAY);
	return (helper_run(w->pool->o.helper, &ex->job) == 0);
}

/* --- running ------------------------------------------------------------ */

static void
exchange_judge(struct exchange *ex, enum api_verdict verdict)
{
	exchange_enter(ex, RUNNING);
	switch (verdict) {
	case API_DONE:
		exchange_done(ex);
		return;
	case API_BUSY:
		exchange_busy(ex);
		return;
	case API_COLD:
		if (warm_start(ex))
			return;
		reply_store_error(&ex->reply, STORE_COLD,
		    (struct span){ "", 0 });
		exchange_done(ex);
		return;
	}
}

void
exchange_run(struct exchange *ex)
{
	const bool blocks = route_blocks(&ex->req);

	reply_start(&ex->reply, 0);
	if ((blocks || ex->req.body.len >= LARGE_BODY) && away_start(ex))
		return;
	exchange_enter(ex, RUNNING);
	if (blocks) {
		reply_store_error(&ex->reply, STORE_BUSY,
		    (struct span){ "", 0 });
		exchange_done(ex);
		return;
	}
	exchange_judge(ex, route_dispatch(&ex->req, &ex->reply));
}

/* The helper is done with it; its connection may be gone. */
static void
away_end(struct worker *w, struct exchange *ex)
{
	struct conn *c = ex->conn;
	struct wire *wire = ex->wire;

	if (c == NULL) {
		/* The request lives in the wire until it is given back. */
		ex->wire = NULL;
		exchange_recycle(w, ex);
		wire_free(wire);
		return;
	}
	if (ex->is_aborted) {
		exchange_enter(ex, RUNNING);
		conn_abort(c);
		return;
	}
	exchange_judge(ex, ex->verdict);
	if (ex->state == WRITING)
		conn_reply(c);
}

/* What wire, or the clock, had against the request. */
static void
refuse(struct exchange *ex, int status)
{
	struct reply *rep = &ex->reply;
	const struct wire_limits *limits = ex->conn->limits;

	switch (status) {
	case 408:
		reply_error(rep, 408, "request_timeout", NULL,
		    "The request did not arrive in time.");
		break;
	case 413:
		reply_error(rep, 413, "request_too_large", NULL,
		    "The request body is larger than %" PRIu64 " bytes.",
		    limits->body);
		break;
	case 431:
		reply_error(rep, 431, "request_headers_too_large", NULL,
		    "The request's address and headers are too large.");
		break;
	case 503:
		reply_store_error(rep, STORE_NOMEM, (struct span){ "", 0 });
		break;
	default:
		reply_error(rep, status, "invalid_request", NULL,
		    "The request body is not as long as Content-Length says.");
		break;
	}
}

bool
exchange_begin(struct conn *conn, int status)
{
	struct exchange *ex;
	const struct pair *params;
	size_t n;

	assert(conn->ex == NULL);
	if ((ex = exchange_new(conn->worker)) == NULL)
		return (false);
	ex->conn = conn;
	conn->ex = ex;
	ex->state = RUNNING;
	counter_add(&conn->worker->tally->in_hand[RUNNING], 1);
	ex->begun_us = conn->worker->now_us;
	ex->due = conn->worker->now +
	    (int64_t)conn->worker->edge->conf->request_timeout;
	ex->sent = 0;
	ex->rounds = 0;
	ex->busy_until = 0;
	reply_start(&ex->reply, 0);
	params = wire_params(conn->wire, &n);
	if (request_init(&ex->req, conn->worker->edge, ex->arena, params, n,
	    wire_body(conn->wire), conn->is_control) == -1)
		status = 503;
	if (status == 0) {
		exchange_run(ex);
		return (true);
	}
	refuse(ex, status);
	exchange_write(ex);
	return (true);
}

/* --- waking ------------------------------------------------------------- */

/* The helper is still at it; what it reads is there for the next one. */
void
exchange_chill(struct exchange *ex)
{
	exchange_unwait(ex);
	ex->warm->ex = NULL;
	ex->warm = NULL;
	reply_store_error(&ex->reply, STORE_COLD, (struct span){ "", 0 });
	exchange_write(ex);
}

/* What the helpers are done with. */
static void
take_back(struct worker *w)
{
	struct helper_jobs jobs = STAILQ_HEAD_INITIALIZER(jobs);
	struct helper_job *job;

	helper_box_take(w->box, &jobs);
	while ((job = STAILQ_FIRST(&jobs)) != NULL) {
		STAILQ_REMOVE_HEAD(&jobs, entry);
		if (job->run == away_run)
			away_end(w, exchange_of(job));
		else
			warm_end((struct warm *)job);
	}
}

void
exchange_wake(struct worker *w)
{
	take_back(w);
	exchange_parked(w);
	if (is_worth_retrying(w))
		retry_busy(w);
}
