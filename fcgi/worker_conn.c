#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/conf.h"
#include "store/log.h"
#include "worker_internal.h"

/* Reads and writes that one event may make before others get their turn. */
#define READS_MAX	4
#define WRITES_MAX	4
/* A peer that asks and asks and reads no answers is not read above this. */
#define OUT_MAX		((size_t)16 * 1024)
/* How long a connection that was ended may take to notice. */
#define LINGER_MS	1000

/* --- timers and interest ------------------------------------------------ */

static int64_t
timer_ms(const struct worker *w, enum timer timer)
{
	if (timer == TIMER_LINGER)
		return (LINGER_MS);
	return ((int64_t)w->edge->conf->request_timeout);
}

/* Start the timer anew, from now on; TIMER_NONE stops it. */
static void
set_timer(struct conn *c, enum timer timer)
{
	struct worker *w = c->worker;

	if (c->timer != TIMER_NONE)
		TAILQ_REMOVE(&w->timers[c->timer], c, timer_entry);
	c->timer = timer;
	if (timer == TIMER_NONE)
		return;
	c->due = w->now + timer_ms(w, timer);
	TAILQ_INSERT_TAIL(&w->timers[timer], c, timer_entry);
}

static bool
has_output(const struct conn *c)
{
	return (c->out.len > 0 ||
	    (c->ex != NULL && c->ex->state == WRITING));
}

/* Is there nothing that the peer is still owed? */
static bool
is_at_rest(const struct conn *c)
{
	return (c->ex == NULL && !has_output(c));
}

/* What is this connection waited for? */
static enum timer
timer_for(const struct conn *c)
{
	if (c->is_lingering)
		return (TIMER_LINGER);
	if (has_output(c))
		return (TIMER_WRITE);
	if (c->ex != NULL || wire_is_idle(c->wire))
		return (TIMER_NONE);
	return (TIMER_READ);
}

/* What holds between events; the drawing is in worker_internal.h. */
static void
conn_assert_state(const struct conn *c)
{
	(void)c;		/* for a build without assert */
	assert(c->source == SOURCE_CONN && c->fd >= 0);
	assert(c->ex == NULL || c->ex->conn == c);
	assert(c->ex == NULL || c->ex->state != RUNNING);
	assert(c->ex == NULL || c->ex->sent == 0 || c->ex->state == WRITING);
	/* Held bytes wait for a reply, or for the end. */
	assert(!c->is_held || c->ex != NULL || c->is_last);
	assert(!c->is_lingering || (c->is_last && is_at_rest(c)));
	assert(c->timer == timer_for(c));
}

/* Tell epoll and the timers what is awaited.  A timer that runs stays. */
static void
conn_settle(struct conn *c)
{
	struct epoll_event ev = { .data.ptr = c };
	enum timer timer;

	if (c->fd == -1)
		return;
	timer = timer_for(c);
	if (c->timer != timer)
		set_timer(c, timer);
	conn_assert_state(c);
	if (c->is_lingering ||
	    !(c->is_eof || c->is_held || c->is_last || c->out.len > OUT_MAX))
		ev.events |= EPOLLIN;
	if (has_output(c))
		ev.events |= EPOLLOUT;
	if (ev.events == c->events)
		return;
	if (epoll_ctl(c->worker->epfd, EPOLL_CTL_MOD, c->fd, &ev) == -1) {
		log_warn("epoll_ctl");
		conn_close(c);
		return;
	}
	c->events = ev.events;
}

/* --- beginning and end -------------------------------------------------- */

void
conn_open(struct worker *w, int fd, bool is_control)
{
	struct epoll_event ev = { .events = EPOLLIN };
	struct conn *c;

	if ((c = calloc(1, sizeof(*c))) == NULL)
		goto fail;
	c->source = SOURCE_CONN;
	c->worker = w;
	c->fd = fd;
	c->is_control = is_control;
	c->events = ev.events;
	buf_init(&c->held);
	buf_init(&c->out);
	c->limits = is_control ? &w->pool->control_limits : &w->pool->limits;
	if ((c->wire = wire_new(c->limits)) == NULL)
		goto fail;
	ev.data.ptr = c;
	if (epoll_ctl(w->epfd, EPOLL_CTL_ADD, fd, &ev) == -1)
		goto fail;
	TAILQ_INSERT_TAIL(&w->conns, c, entry);
	counter_add(&w->tally->open, 1);
	if (log_ends(&w->told))
		log_info("connections are taken again");
	return;

fail:
	if (log_begins(&w->told, errno))
		log_warn("take a connection");
	if (c != NULL)
		wire_free(c->wire);
	free(c);
	close(fd);
	atomic_fetch_sub(&w->nconns, 1);
}

void
conn_close(struct conn *c)
{
	struct worker *w = c->worker;

	if (c->fd == -1)
		return;
	if (c->ex != NULL)
		exchange_drop(c->ex);
	set_timer(c, TIMER_NONE);
	close(c->fd);
	c->fd = -1;
	TAILQ_REMOVE(&w->conns, c, entry);
	tally_less(&w->tally->open);
	atomic_fetch_sub(&w->nconns, 1);
	/* An event of this round may still point to it. */
	TAILQ_INSERT_TAIL(&w->dead, c, entry);
}

void
conn_bury(struct worker *w)
{
	struct conn *c;

	while ((c = TAILQ_FIRST(&w->dead)) != NULL) {
		TAILQ_REMOVE(&w->dead, c, entry);
		wire_free(c->wire);
		buf_fini(&c->held);
		buf_fini(&c->out);
		free(c);
	}
}

/*
 * All is written and nothing more is wanted.  If the peer may still be
 * writing, closing now would take from it what it has not read yet: so say
 * that it was all, and wait for its end.
 */
static void
conn_end(struct conn *c)
{
	if (c->is_eof || wire_is_idle(c->wire) ||
	    shutdown(c->fd, SHUT_WR) == -1)
		conn_close(c);
	else
		c->is_lingering = true;
}

/* --- writing ------------------------------------------------------------ */

/* Returns true when the protocol's own answers are out. */
static bool
write_out(struct conn *c)
{
	ssize_t n;

	if (c->out.len == 0)
		return (true);
	n = send(c->fd, c->out.data, c->out.len, MSG_NOSIGNAL);
	if (n == -1) {
		if (errno != EAGAIN && errno != EINTR)
			conn_close(c);
		return (false);
	}
	set_timer(c, TIMER_WRITE);
	counter_add(&c->worker->tally->sent, (uint64_t)n);
	c->out.len -= (size_t)n;
	memmove(c->out.data, c->out.data + n, c->out.len);
	if (c->out.len > 0)
		return (false);
	buf_fini(&c->out);
	return (true);
}

/* One step of the reply's records.  Returns true when all are out. */
static bool
write_records(struct conn *c)
{
	struct exchange *ex = c->ex;
	struct span response = { ex->response.data, ex->response.len };
	struct wire_heads heads;
	struct iovec iov[WIRE_IOV];
	struct msghdr msg = { .msg_iov = iov };
	ssize_t n;

	n = wire_frame(wire_id(c->wire), response, ex->sent, &heads, iov);
	msg.msg_iovlen = (size_t)n;
	if ((n = sendmsg(c->fd, &msg, MSG_NOSIGNAL)) == -1) {
		if (errno != EAGAIN && errno != EINTR)
			conn_close(c);
		return (false);
	}
	ex->sent += (size_t)n;
	counter_add(&c->worker->tally->sent, (uint64_t)n);
	if (ex->sent == wire_frame_size(response.len))
		return (true);
	set_timer(c, TIMER_WRITE);
	return (false);
}

/* The request is answered, or not wanted: give back all that it took. */
static void
finish_request(struct conn *c)
{
	if (c->ex != NULL)
		exchange_drop(c->ex);
	set_timer(c, TIMER_NONE);
	/* Refused by the clock: the rest of it may still come. */
	if (wire_is_begun(c->wire)) {
		c->is_last = true;
		return;
	}
	if (!wire_is_kept(c->wire) || c->is_eof || c->worker->is_stopping)
		c->is_last = true;
	wire_finish(c->wire);
}

/* Write what there is, as far as it goes and is fair. */
static void
conn_write(struct conn *c)
{
	int i;

	for (i = 0; i < WRITES_MAX && has_output(c); i++) {
		/* Answers never stand inside a reply: before it or behind. */
		if ((c->ex == NULL || c->ex->sent == 0) && !write_out(c))
			break;
		if (c->ex == NULL || c->ex->state != WRITING)
			break;
		if (write_records(c))
			finish_request(c);
		else if (c->fd == -1)
			return;
	}
	if (c->fd != -1 && c->is_last && !has_output(c) && !c->is_lingering)
		conn_end(c);
}

/* --- reading ------------------------------------------------------------ */

static void
take_request(struct conn *c)
{
	if (!exchange_begin(c, wire_refusal(c->wire)))
		conn_close(c);
	else if (c->ex->state == WRITING)
		conn_write(c);
}

/* The request is not wanted any more; a change it made stays. */
static void
take_abort(struct conn *c)
{
	uint16_t id = wire_id(c->wire);

	/* A reply that is half out goes on: its records must stay whole. */
	if (c->ex != NULL && c->ex->sent > 0)
		return;
	if (c->ex != NULL && c->ex->state == AWAY) {
		c->ex->is_aborted = true;
		return;
	}
	finish_request(c);
	wire_end(id, &c->out);
}

/* Only the protocol's answers so far go out, then the connection ends. */
static void
take_broken(struct conn *c)
{
	if (c->ex != NULL && (c->ex->sent > 0 || c->ex->state == AWAY)) {
		conn_close(c);
		return;
	}
	if (c->ex != NULL)
		exchange_drop(c->ex);
	c->is_last = true;
}

/* Give bytes to the protocol, and do what comes out of it. */
static void
conn_feed(struct conn *c, const char *p, size_t len)
{
	size_t used;

	do {
		switch (wire_feed(c->wire, p, len, &used, &c->out)) {
		case WIRE_MORE:
			break;
		case WIRE_REQUEST:
			take_request(c);
			break;
		case WIRE_ABORT:
			take_abort(c);
			break;
		case WIRE_HOLD:
			c->is_held = true;
			buf_add(&c->held, p + used, len - used);
			used = len;
			break;
		case WIRE_BROKEN:
			take_broken(c);
			break;
		}
		p += used;
		len -= used;
		if (!buf_ok(&c->out) || !buf_ok(&c->held))
			conn_close(c);
	} while (len > 0 && c->fd != -1 && !c->is_last);
	if (c->fd != -1)
		conn_write(c);
}

/* The reply is out: go on with what was sent behind its request. */
static void
conn_resume(struct conn *c)
{
	struct buf held;

	while (c->fd != -1 && c->is_held && c->ex == NULL && !c->is_last) {
		held = c->held;
		buf_init(&c->held);
		c->is_held = false;
		conn_feed(c, held.data != NULL ? held.data : "", held.len);
		buf_fini(&held);
	}
}

/* The peer sends no more; it may still be reading. */
static void
take_eof(struct conn *c)
{
	c->is_eof = true;
	if (c->is_lingering || is_at_rest(c))
		conn_close(c);
	else if (c->ex == NULL)
		c->is_last = true;
}

static void
conn_read(struct conn *c)
{
	char *input = c->worker->input;
	ssize_t n;
	int i;

	for (i = 0; i < READS_MAX; i++) {
		n = recv(c->fd, input, WORKER_INPUT, 0);
		if (n > 0)
			counter_add(&c->worker->tally->received,
			    (uint64_t)n);
		if (n == 0)
			take_eof(c);
		else if (n == -1 && errno != EAGAIN && errno != EINTR)
			conn_close(c);
		else if (n > 0 && !c->is_lingering)
			conn_feed(c, input, (size_t)n);
		/* Less than asked for: the next call would find nothing. */
		if (c->fd == -1 || n < (ssize_t)WORKER_INPUT || c->is_held ||
		    (c->is_last && !c->is_lingering))
			return;
	}
}

/* --- what the loop calls ------------------------------------------------ */

void
conn_event(struct conn *c, uint32_t events)
{
	if (c->fd != -1 && (events & EPOLLIN) != 0)
		conn_read(c);
	/* It is gone, not only done with sending: nobody reads a reply. */
	if (c->fd != -1 && (events & (EPOLLHUP | EPOLLERR)) != 0)
		conn_close(c);
	if (c->fd != -1 && (events & EPOLLOUT) != 0)
		conn_write(c);
	conn_resume(c);
	conn_settle(c);
}

void
conn_reply(struct conn *c)
{
	conn_write(c);
	conn_resume(c);
	conn_settle(c);
}

void
conn_abort(struct conn *c)
{
	take_abort(c);
	conn_reply(c);
}

void
conn_stop(struct conn *c)
{
	/* A request may have been sent before we said that we stop. */
	if (c->events & EPOLLIN)
		conn_read(c);
	if (c->fd != -1 && is_at_rest(c) && wire_is_idle(c->wire))
		conn_close(c);
	conn_settle(c);
}

void
conn_timeout(struct conn *c)
{
	int status;

	if (c->timer != TIMER_READ || !wire_is_begun(c->wire)) {
		conn_close(c);
		return;
	}
	if ((status = wire_refusal(c->wire)) == 0)
		status = 408;
	/* What still comes of it is not fed: its exchange is this one. */
	c->is_last = true;
	if (!exchange_begin(c, status)) {
		conn_close(c);
		return;
	}
	conn_write(c);
	conn_settle(c);
}
