#ifndef LOCK_H
#define LOCK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * Locks with a rank, conditions and threads.  A thread takes locks in
 * strictly rising rank only; with --enable-debug each lock knows its owner
 * and rank order and ownership are asserted.  A failure of the thread
 * library is a bug here and aborts, so callers need no error paths (but
 * thread_start may fail for want of memory or threads).
 *
 * This is the only module that names the thread library.
 */
enum lock_rank {
	LOCK_TABLE = 5,		/* the table of tenants */
	LOCK_TENANT = 10,
	LOCK_CONVERSATION = 15,
	LOCK_DIRTY = 17,	/* the list of what must be flushed */
	LOCK_JOURNAL = 20,
	LOCK_WORKER = 22,	/* a worker's list of what came back to it */
	LOCK_HELPER = 23,	/* the queue of the helper threads */
	LOCK_STREAM = 25,
	LOCK_LOG = 30
};

struct lock {
	pthread_mutex_t	 mutex;
	uint8_t		 rank;
#ifdef REMEMBERD_DEBUG
	_Atomic(const void *) owner;	/* mark of the holder, or NULL */
#endif
};

/* For a lock that lives as long as the program, in place of lock_init. */
#define LOCK_INITIALIZER(r)						\
	{ .mutex = PTHREAD_MUTEX_INITIALIZER, .rank = (r) }

struct cond {
	pthread_cond_t	 cond;
};

struct thread {
	pthread_t	 id;
	void		 (*run)(void *);
	void		*arg;
};

/* Make and end a lock.  A lock is ended free. */
void	 lock_init(struct lock *, enum lock_rank);
void	 lock_fini(struct lock *);

/* Take and give back; blocks until it is free. */
void	 lock_take(struct lock *);
void	 lock_give(struct lock *);

/* Abort unless the caller holds the lock (debug builds; else nothing). */
void	 lock_assert_held(const struct lock *);
/* Abort if the caller holds any lock at all (debug builds; else nothing). */
void	 lock_assert_none(void);

void	 cond_init(struct cond *);
void	 cond_fini(struct cond *);
/* Wait; the lock is held at the call and at the return.  Spurious ends. */
void	 cond_wait(struct cond *, struct lock *);
/* As cond_wait, at most ms milliseconds (monotonic).  Returns false then. */
bool	 cond_wait_ms(struct cond *, struct lock *, int64_t ms);
void	 cond_signal(struct cond *);
void	 cond_broadcast(struct cond *);

/*
 * Start a thread that calls run(arg), named name (at most 15 characters),
 * with every signal blocked but those a thread raises by its own fault
 * (SIGSEGV, ...).  The struct must live until thread_join.
 * Returns 0, or -1 with errno set (EAGAIN).
 */
int	 thread_start(struct thread *, const char *name, void (*run)(void *),
	    void *arg);
/* Wait for its end.  Blocks. */
void	 thread_join(struct thread *);

#endif /* !LOCK_H */
