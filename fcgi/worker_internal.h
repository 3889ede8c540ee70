#ifndef WORKER_INTERNAL_H
#define WORKER_INTERNAL_H

#include <bsd/sys/queue.h>
#include <sys/types.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api.h"
#include "arena.h"
#include "helper.h"
#include "reply.h"
#include "request.h"
#include "store/lock.h"
#include "store/log.h"
#include "tally.h"
#include "wire.h"
#include "worker.h"

/*
 * For the files of worker alone: worker.c is the loop, worker_conn.c one
 * connection, worker_exchange.c one request and its reply, worker_park.c those
 * that wait.
 *
 * All of it belongs to one worker's thread, but what is said to be shared.
 */

/* What epoll's events point to. */
enum source { SOURCE_LISTENER, SOURCE_WAKE, SOURCE_GIFTS, SOURCE_CONN };

struct listener {
	enum source	 source;	/* SOURCE_LISTENER */
	int		 fd;		/* borrowed */
	bool		 is_control;
};

/* A connection that another worker accepted, on its way through a pipe. */
struct gift {
	int		 fd;
	bool		 is_control;
};

/*
 * What a connection may be waited for, each with one duration, so that its
 * list is always in the order in which it ends.
 */
enum timer { TIMER_NONE, TIMER_READ, TIMER_WRITE, TIMER_LINGER, NTIMERS };

/*
 *	     +-------------- written, kept ---------------+
 *	     v                                            |
 *	reading --WIRE_REQUEST--> exchange (see below) ---+
 *	   |                                              |
 *	   +--timeout, broken--> is_last <--not kept------+
 *	                            |
 *	                        all written --> lingering --> dead
 */
struct conn {
	enum source	 source;	/* SOURCE_CONN */
	struct worker	*worker;
	int		 fd;		/* -1 when dead */
	uint32_t	 events;	/* that epoll waits for */
	bool		 is_control;
	bool		 is_eof;	/* the peer sends no more */
	bool		 is_held;	/* feed held when the reply is out */
	bool		 is_last;	/* close when all is written */
	bool		 is_lingering;	/* only until the peer has closed */
	const struct wire_limits *limits;	/* of its socket */
	struct wire	*wire;
	struct buf	 held;		/* pipelined behind the request */
	struct buf	 out;		/* the protocol's own answers */
	struct exchange	*ex;		/* request in hand, or NULL */
	enum timer	 timer;
	int64_t		 due;		/* of the timer */
	TAILQ_ENTRY(conn) timer_entry;
	TAILQ_ENTRY(conn) entry;	/* worker.conns or worker.dead */
};
TAILQ_HEAD(conns, conn);

/*
 *	(begun) --large body--> AWAY --helper is done--> as from RUNNING
 *	RUNNING --COLD--> COLD --helper is done--> RUNNING
 *	RUNNING --BUSY--> BUSY --journal moved--> RUNNING
 *	RUNNING --DONE, lsn not durable--> PARKED --durable--> WRITING
 *	PARKED --journal breaks, or too late: a change--> WRITING, unsure
 *	                                      a read--> RUNNING, once more
 *	COLD --too late--> WRITING
 *	RUNNING --DONE--> WRITING --all written--> (free)
 *
 * While it is AWAY a helper's thread works on it: the loop touches nothing of
 * req, reply and arena, nor what req points to in the connection's wire.
 */
enum exchange_state { RUNNING, AWAY, COLD, BUSY, PARKED, WRITING };

struct exchange {
	struct conn	*conn;		/* NULL: closed while it was AWAY */
	enum exchange_state state;
	struct helper_job job;		/* AWAY */
	enum api_verdict verdict;	/* of the helper */
	bool		 is_aborted;	/* while it was AWAY */
	struct wire	*wire;		/* of the conn that was closed then */
	struct arena	*arena;
	struct request	 req;
	struct reply	 reply;
	struct buf	 response;	/* WRITING: the CGI response */
	int64_t		 begun_us;	/* monotonic; it had arrived */
	size_t		 sent;		/* of its records */
	unsigned int	 rounds;	/* times it was cold */
	int64_t		 busy_until;	/* BUSY: then 503 */
	struct warm	*warm;		/* COLD: what the helper is at */
	int64_t		 due;		/* PARKED, COLD: it waits no longer */
	TAILQ_ENTRY(exchange) entry;	/* parked, busy or spare */
	TAILQ_ENTRY(exchange) wait;	/* waiting */
};
TAILQ_HEAD(exchanges, exchange);

struct worker {
	struct workers	*pool;		/* shared, immutable but its atomics */
	const struct edge *edge;
	struct thread	 thread;
	int		 epfd;
	struct wake { enum source source; int fd; } wake; /* SOURCE_WAKE */
	struct store_waiter *waiter;	/* writes to wake.fd */
	struct helper_box *box;		/* so does this one; shared */
	struct tally	*tally;		/* what it counts; others read it */
	int64_t		 now;		/* ms, monotonic, of this round */
	int64_t		 now_us;	/* the same */

	struct listener	 listeners[2];
	bool		 is_listening;
	int64_t		 listen_again;	/* when not listening; INT64_MAX:
					   not before the pool is open */
	int64_t		 complain_again; /* that it is not */
	struct log_told	 told;		/* why connections are not taken */
	int		 reserve[2];	/* descriptors to live on when there
					   are no more; -1: given back */

	struct conns	 conns;
	struct conns	 dead;		/* freed at the end of the round */
	atomic_uint	 nconns;	/* and gifts; others compare it */
	struct { enum source source; int fd; } gifts;	/* SOURCE_GIFTS */
	int		 give_fd;	/* the other end, shared */
	struct conns	 timers[NTIMERS];
	struct exchanges parked;	/* in order of lsn */
	struct exchanges waiting;	/* parked and cold, in order of due */
	struct exchanges busy;		/* in order of busy_until */
	int64_t		 busy_again;	/* try them without news */
	uint64_t	 busy_durable;	/* of the store when they were tried */
	struct exchanges spare;		/* for the next requests */
	unsigned int	 nspare;
	bool		 is_stopping;
	int64_t		 stop_due;
	char		*input;		/* WORKER_INPUT bytes, of all conns */
};
#define WORKER_INPUT	((size_t)64 * 1024)
/* Requests that one wake-up sees to before connections get their turn. */
#define WAKE_MAX	256

struct workers {
	struct workers_options o;
	struct wire_limits limits;	/* of the public socket */
	struct wire_limits control_limits;
	unsigned int	 max_conns;	/* of one worker */
	atomic_bool	 is_open;	/* all run: begin to listen */
	atomic_bool	 is_stopping;
	unsigned int	 n;		/* in v */
	unsigned int	 nstarted;	/* of them, from the first on */
	struct worker	*v;
};

/* worker_conn.c */

/* Take over fd, which is counted, also on failure: then it is closed. */
void	 conn_open(struct worker *, int fd, bool is_control);
/* What epoll saw.  The conn may be dead after each of these calls. */
void	 conn_event(struct conn *, uint32_t events);
/* Read what is there; then close it unless something is in hand. */
void	 conn_stop(struct conn *);
/* The reply was put into the exchange: write it, and go on. */
void	 conn_reply(struct conn *);
/* It is not wanted any more: say so, and go on. */
void	 conn_abort(struct conn *);
/* Its timer ran out. */
void	 conn_timeout(struct conn *);
void	 conn_close(struct conn *);
/* Free those that were closed in this round. */
void	 conn_bury(struct worker *);

/* worker_exchange.c */

/*
 * Take the request that conn's wire has, and run it: conn.ex is set.  status 0
 * or what it is refused with.  Returns false for want of memory.  When the
 * reply is there at once its state is WRITING.
 */
bool	 exchange_begin(struct conn *, int status);
/*
 * Give it back, wherever it stands; conn.ex is NULL then.  From AWAY only when
 * conn is being closed: its wire goes along.
 */
void	 exchange_drop(struct exchange *);
/* The journal moved, a helper is done, or time has passed. */
void	 exchange_wake(struct worker *);
/* Pass into that state. */
void	 exchange_enter(struct exchange *, enum exchange_state);
/* Dispatch it, from the start. */
void	 exchange_run(struct exchange *);
/* Make the response that goes out; the reply itself is not needed longer. */
void	 exchange_write(struct exchange *);
/* It was COLD for too long. */
void	 exchange_chill(struct exchange *);
/* Free what is spare, and what came back from helpers too late. */
void	 exchange_fini(struct worker *);

/* worker_park.c */

/* Ask to be woken when lsn is durable, or when that has become impossible;
 * UINT64_MAX: when anything moves. */
void	 exchange_want(struct worker *, uint64_t lsn);
/* Begin to wait until the exchange is due, and end it. */
void	 exchange_wait(struct exchange *);
void	 exchange_unwait(struct exchange *);
/* Wait until its reply's lsn is durable, and end it. */
void	 exchange_park(struct exchange *);
void	 exchange_unpark(struct exchange *);
/* Let go those whose change, or what they saw, is safe now, or never. */
void	 exchange_parked(struct worker *);
/* Answer those that have waited long enough. */
void	 exchange_late(struct worker *);

#endif /* !WORKER_INTERNAL_H */
