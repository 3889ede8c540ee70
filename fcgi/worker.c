#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "conf/conf.h"
#include "store/log.h"
#include "store/store.h"
#include "store/sys.h"
#include "worker_internal.h"

/* Events of one round, and connections accepted at one event. */
#define EVENTS_MAX	64
#define ACCEPTS_MAX	8
/* After how long accepting is tried again when there were no descriptors. */
#define LISTEN_AGAIN_MS	250
/* A worker that has so many more than another gives it the next. */
#define CONNS_SLACK	4
/* How often the log hears that nobody can be taken in. */
#define COMPLAIN_MS	10000

static void
close_fd(int fd)
{
	if (fd != -1)
		close(fd);
}

/* --- listening ---------------------------------------------------------- */

static void
listen_begin(struct worker *w)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLEXCLUSIVE };
	size_t i;

	for (i = 0; i < 2; i++) {
		ev.data.ptr = &w->listeners[i];
		if (epoll_ctl(w->epfd, EPOLL_CTL_ADD, w->listeners[i].fd,
		    &ev) == -1 && errno != EEXIST)
			log_warn("epoll_ctl listener");
	}
	w->is_listening = true;
}

static void
listen_end(struct worker *w)
{
	size_t i;

	if (!w->is_listening)
		return;
	for (i = 0; i < 2; i++)
		(void)epoll_ctl(w->epfd, EPOLL_CTL_DEL, w->listeners[i].fd,
		    NULL);
	w->is_listening = false;
	w->listen_again = w->now + LISTEN_AGAIN_MS;
}

/*
 * reserve_note: a worker keeps two descriptors that it does not need.  When
 * there are no more, it gives them back, so that the journal and the flush
 * can open their files, and accepts nobody until it has them again.
 */
static void
reserve_give(struct worker *w)
{
	size_t i;

	for (i = 0; i < 2; i++) {
		close_fd(w->reserve[i]);
		w->reserve[i] = -1;
	}
}

/* See reserve_note.  Returns false if there are still none. */
static bool
reserve_take(struct worker *w)
{
	size_t i;

	for (i = 0; i < 2; i++)
		if (w->reserve[i] == -1)
			w->reserve[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return (w->reserve[0] != -1 && w->reserve[1] != -1);
}

static void
listen_try(struct worker *w)
{
	if (w->nconns < w->pool->max_conns && reserve_take(w))
		listen_begin(w);
	else
		w->listen_again = w->now + LISTEN_AGAIN_MS;
}

/* No descriptors, or enough connections: leave the rest in the queue. */
static void
accept_pause(struct worker *w, enum pause pause)
{
	static const char *const why[] = { "too many", "no descriptors" };

	counter_add(&w->tally->pauses[pause], 1);
	if (w->now >= w->complain_again) {
		log_warnx("accept paused: %s, %u connections", why[pause],
		    w->nconns);
		w->complain_again = w->now + COMPLAIN_MS;
	}
	listen_end(w);
}

/*
 * gift_note: connections from a web server last, and the kernel wakes the same
 * worker first each time, so that all of a quiet hour's would stay with one
 * when the load comes.  Who accepts one gives it to whoever has fewest.
 */
static struct worker *
pick_worker(struct worker *w)
{
	struct worker *least = w, *v = w->pool->v;
	unsigned int slack, i;

	if (atomic_load(&w->pool->is_stopping))
		return (w);
	for (i = 0; i < w->pool->n; i++)
		if (v[i].nconns < least->nconns)
			least = &v[i];
	slack = w->nconns < w->pool->max_conns ? CONNS_SLACK : 0;
	return (least->nconns + slack < w->nconns ? least : w);
}

/* See gift_note. */
static void
take_in(struct worker *w, int fd, bool is_control)
{
	struct gift gift = { fd, is_control };
	struct worker *to = pick_worker(w);

	atomic_fetch_add(&to->nconns, 1);
	if (to != w && write(to->give_fd, &gift, sizeof(gift)) ==
	    sizeof(gift))
		return;
	/* Its pipe is full: then it is not idle after all. */
	if (to != w) {
		atomic_fetch_sub(&to->nconns, 1);
		atomic_fetch_add(&w->nconns, 1);
	}
	conn_open(w, fd, is_control);
}

/* Returns false when nothing was given. */
static bool
next_gift(struct worker *w, struct gift *gift_r)
{
	return (read(w->gifts.fd, gift_r, sizeof(*gift_r)) ==
	    sizeof(*gift_r));
}

static void
take_gifts(struct worker *w)
{
	struct gift gift;
	int i;

	for (i = 0; i < ACCEPTS_MAX && next_gift(w, &gift); i++)
		conn_open(w, gift.fd, gift.is_control);
}

/* Told once: it may be the same at every event. */
static void
accept_failed(struct worker *w)
{
	if (log_begins(&w->told, errno))
		log_warn("accept");
}

static void
accept_some(struct worker *w, const struct listener *l)
{
	int fd, i;

	for (i = 0; i < ACCEPTS_MAX; i++) {
		if (pick_worker(w)->nconns >= w->pool->max_conns) {
			accept_pause(w, PAUSE_CONNECTIONS);
			return;
		}
		fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd != -1) {
			counter_add(&w->tally->accepted, 1);
			take_in(w, fd, l->is_control);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
		    errno == ENOMEM) {
			accept_pause(w, PAUSE_DESCRIPTORS);
			reserve_give(w);
		} else if (errno != EAGAIN && errno != EINTR &&
		    errno != ECONNABORTED)
			accept_failed(w);
		return;
	}
}

/* --- the loop ----------------------------------------------------------- */

/*
 * No more connections, not even those in the queue but for the ones that stand
 * there now; those that have nothing in hand are closed.
 */
static void
begin_stop(struct worker *w)
{
	struct conn *c, *next;

	if (w->is_listening) {
		accept_some(w, &w->listeners[0]);
		accept_some(w, &w->listeners[1]);
	}
	listen_end(w);
	take_gifts(w);
	w->is_stopping = true;
	w->stop_due = w->now + w->pool->o.stop_ms;
	TAILQ_FOREACH_SAFE(c, &w->conns, entry, next)
		conn_stop(c);
}

static void
wake_up(struct worker *w)
{
	eventfd_t n;

	(void)eventfd_read(w->wake.fd, &n);
	if (w->listen_again == INT64_MAX && atomic_load(&w->pool->is_open))
		w->listen_again = w->now;
	if (!w->is_stopping && atomic_load(&w->pool->is_stopping))
		begin_stop(w);
	exchange_wake(w);
}

/* See to every timer that ran out. */
static void
run_timers(struct worker *w)
{
	struct conn *c;
	int timer;

	for (timer = TIMER_READ; timer < NTIMERS; timer++)
		while ((c = TAILQ_FIRST(&w->timers[timer])) != NULL &&
		    c->due <= w->now)
			conn_timeout(c);
	if (!w->is_listening && !w->is_stopping &&
	    w->listen_again <= w->now)
		listen_try(w);
	if (!TAILQ_EMPTY(&w->busy) && w->busy_again <= w->now)
		exchange_wake(w);
	exchange_late(w);
}

static void
sooner(int64_t *due, int64_t other)
{
	if (other < *due)
		*due = other;
}

/* How long may epoll wait?  -1: until something happens. */
static int
time_left(const struct worker *w)
{
	int64_t due = INT64_MAX;
	const struct exchange *ex;
	const struct conn *c;
	int timer;

	for (timer = TIMER_READ; timer < NTIMERS; timer++)
		if ((c = TAILQ_FIRST(&w->timers[timer])) != NULL)
			sooner(&due, c->due);
	if (w->is_stopping)
		sooner(&due, w->stop_due);
	else if (!w->is_listening)
		sooner(&due, w->listen_again);
	if (!TAILQ_EMPTY(&w->busy))
		sooner(&due, w->busy_again);
	if ((ex = TAILQ_FIRST(&w->waiting)) != NULL)
		sooner(&due, ex->due);
	if (due == INT64_MAX)
		return (-1);
	due -= w->now;
	return (due <= 0 ? 0 : due > 60000 ? 60000 : (int)due);
}

static void
see_to(struct worker *w, const struct epoll_event *ev)
{
	switch (*(enum source *)ev->data.ptr) {
	case SOURCE_LISTENER:
		/* It may have been put off earlier in this round. */
		if (w->is_listening)
			accept_some(w, ev->data.ptr);
		break;
	case SOURCE_WAKE:
		wake_up(w);
		break;
	case SOURCE_GIFTS:
		take_gifts(w);
		break;
	case SOURCE_CONN:
		conn_event(ev->data.ptr, ev->events);
		break;
	}
}

static bool
is_finished(const struct worker *w)
{
	return (w->is_stopping &&
	    (TAILQ_EMPTY(&w->conns) || w->now >= w->stop_due));
}

static void
worker_run(void *arg)
{
	struct epoll_event events[EVENTS_MAX];
	struct worker *w = arg;
	struct conn *c;
	int i, n;

	while (!is_finished(w)) {
		n = epoll_wait(w->epfd, events, EVENTS_MAX, time_left(w));
		if (n == -1 && errno != EINTR) {
			log_err("epoll_wait");
			abort();
		}
		w->now_us = sys_monotonic_us();
		w->now = w->now_us / 1000;
		for (i = 0; i < n; i++)
			see_to(w, &events[i]);
		run_timers(w);
		conn_bury(w);
	}
	while ((c = TAILQ_FIRST(&w->conns)) != NULL)
		conn_close(c);
	conn_bury(w);
}

/* --- the pool ----------------------------------------------------------- */

static void
worker_fini(struct worker *w)
{
	struct gift gift;

	/* Given when it had stopped already. */
	while (w->gifts.fd != -1 && next_gift(w, &gift))
		close(gift.fd);
	exchange_fini(w);
	helper_box_free(w->box);
	reserve_give(w);
	free(w->input);
	close_fd(w->gifts.fd);
	close_fd(w->give_fd);
	close_fd(w->wake.fd);
	close_fd(w->epfd);
}

static int
watch(struct worker *w, int fd, void *source)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = source };

	return (epoll_ctl(w->epfd, EPOLL_CTL_ADD, fd, &ev));
}

/* What the loop waits on besides connections. */
static int
open_sources(struct worker *w)
{
	int ends[2];

	w->epfd = epoll_create1(EPOLL_CLOEXEC);
	w->wake.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (w->epfd == -1 || w->wake.fd == -1 ||
	    pipe2(ends, O_NONBLOCK | O_CLOEXEC) == -1)
		return (-1);
	w->gifts.fd = ends[0];
	w->give_fd = ends[1];
	w->wake.source = SOURCE_WAKE;
	w->gifts.source = SOURCE_GIFTS;
	if (watch(w, w->wake.fd, &w->wake) == -1)
		return (-1);
	return (watch(w, w->gifts.fd, &w->gifts));
}

/* Everything but the thread.  Returns -1 with errno set, for worker_fini. */
static int
worker_init(struct worker *w, struct workers *pool)
{
	int timer;

	w->pool = pool;
	w->edge = pool->o.edge;
	w->tally = &w->edge->tallies->v[w - pool->v];
	w->now_us = sys_monotonic_us();
	w->now = w->now_us / 1000;
	w->listen_again = INT64_MAX;	/* until the pool is open */
	w->reserve[0] = w->reserve[1] = -1;
	w->epfd = w->wake.fd = w->gifts.fd = w->give_fd = -1;
	TAILQ_INIT(&w->conns);
	TAILQ_INIT(&w->dead);
	TAILQ_INIT(&w->parked);
	TAILQ_INIT(&w->waiting);
	TAILQ_INIT(&w->busy);
	TAILQ_INIT(&w->spare);
	for (timer = 0; timer < NTIMERS; timer++)
		TAILQ_INIT(&w->timers[timer]);
	w->listeners[0] = (struct listener){ SOURCE_LISTENER,
	    pool->o.public_fd, false };
	w->listeners[1] = (struct listener){ SOURCE_LISTENER,
	    pool->o.control_fd, true };

	if (open_sources(w) == -1 || !reserve_take(w) ||
	    (w->input = malloc(WORKER_INPUT)) == NULL ||
	    (w->box = helper_box_new(w->wake.fd)) == NULL)
		return (-1);
	return (0);
}

static int
worker_start(struct worker *w)
{
	if (store_subscribe(w->edge->store, w->wake.fd, &w->waiter) == -1)
		return (-1);
	if (thread_start(&w->thread, "worker", worker_run, w) == -1) {
		store_unsubscribe(w->edge->store, w->waiter);
		return (-1);
	}
	return (0);
}

static void
wake_all(struct workers *pool)
{
	unsigned int i;

	for (i = 0; i < pool->nstarted; i++)
		(void)eventfd_write(pool->v[i].wake.fd, 1);
}

struct workers *
workers_start(const struct workers_options *o)
{
	struct workers *pool;

	if ((pool = calloc(1, sizeof(*pool))) == NULL ||
	    (pool->v = calloc(o->n, sizeof(*pool->v))) == NULL) {
		log_err("start the workers");
		free(pool);
		return (NULL);
	}
	pool->o = *o;
	pool->limits = (struct wire_limits){
		.params_bytes = WIRE_PARAMS_BYTES,
		.params_pairs = WIRE_PARAMS_PAIRS,
		.body = o->edge->conf->max_body,
		.max_conns = o->max_conns
	};
	pool->control_limits = pool->limits;
	pool->control_limits.body = WIRE_CONTROL_BODY;
	pool->max_conns = o->max_conns / o->n;
	atomic_init(&pool->is_open, false);
	atomic_init(&pool->is_stopping, false);

	while (pool->n < o->n)
		if (worker_init(&pool->v[pool->n++], pool) == -1)
			goto fail;
	for (; pool->nstarted < o->n; pool->nstarted++)
		if (worker_start(&pool->v[pool->nstarted]) == -1)
			goto fail;
	/*
	 * Nobody is taken in before all run: one may give to another, and who
	 * fails to start has nothing that a helper is still at.
	 */
	atomic_store(&pool->is_open, true);
	wake_all(pool);
	return (pool);

fail:
	log_err("start a worker");
	workers_stop(pool);
	workers_free(pool);
	return (NULL);
}

void
workers_stop(struct workers *pool)
{
	unsigned int i;

	atomic_store(&pool->o.edge->tallies->is_stopping, true);
	atomic_store(&pool->is_stopping, true);
	wake_all(pool);
	for (i = 0; i < pool->nstarted; i++) {
		thread_join(&pool->v[i].thread);
		store_unsubscribe(pool->o.edge->store, pool->v[i].waiter);
	}
}

void
workers_free(struct workers *pool)
{
	unsigned int i;

	for (i = 0; i < pool->n; i++)
		worker_fini(&pool->v[i]);
	free(pool->v);
	free(pool);
}
