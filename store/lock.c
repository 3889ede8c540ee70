#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lock.h"

#ifdef REMEMBERD_DEBUG
/*
 * One bit a rank that this thread holds.  Ranks rise strictly, so no rank is
 * held twice.  The variable's address is the thread's mark in lock.owner.
 */
static _Thread_local uint32_t ranks;
#endif

/* Abort, saying what failed, unless rc is 0. */
static void
must(int rc, const char *what)
{
	if (rc == 0)
		return;
	fprintf(stderr, "%s: %s\n", what, strerror(rc));
	abort();
}

#ifdef REMEMBERD_DEBUG
static void
refuse(const struct lock *l, const char *what)
{
	fprintf(stderr, "lock of rank %d: %s (ranks held: %#x)\n",
	    (int)l->rank, what, (unsigned)ranks);
	abort();
}
#endif

void
lock_init(struct lock *l, enum lock_rank rank)
{
	memset(l, 0, sizeof(*l));
	l->rank = (uint8_t)rank;
	must(pthread_mutex_init(&l->mutex, NULL), "pthread_mutex_init");
}

void
lock_fini(struct lock *l)
{
	must(pthread_mutex_destroy(&l->mutex), "pthread_mutex_destroy");
}

void
lock_take(struct lock *l)
{
#ifdef REMEMBERD_DEBUG
	if (ranks >> l->rank != 0)
		refuse(l, "taken out of order");
#endif
	must(pthread_mutex_lock(&l->mutex), "pthread_mutex_lock");
#ifdef REMEMBERD_DEBUG
	ranks |= UINT32_C(1) << l->rank;
	l->owner = &ranks;
#endif
}

void
lock_give(struct lock *l)
{
	lock_assert_held(l);
#ifdef REMEMBERD_DEBUG
	l->owner = NULL;
	ranks &= ~(UINT32_C(1) << l->rank);
#endif
	must(pthread_mutex_unlock(&l->mutex), "pthread_mutex_unlock");
}

void
lock_assert_held(const struct lock *l)
{
#ifdef REMEMBERD_DEBUG
	if (l->owner != &ranks)
		refuse(l, "not held by this thread");
#else
	(void)l;
#endif
}

void
lock_assert_none(void)
{
#ifdef REMEMBERD_DEBUG
	if (ranks != 0) {
		fprintf(stderr, "locks held: %#x\n", (unsigned)ranks);
		abort();
	}
#endif
}

void
cond_init(struct cond *c)
{
	pthread_condattr_t attr;

	must(pthread_condattr_init(&attr), "pthread_condattr_init");
	must(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC),
	    "pthread_condattr_setclock");
	must(pthread_cond_init(&c->cond, &attr), "pthread_cond_init");
	must(pthread_condattr_destroy(&attr), "pthread_condattr_destroy");
}

void
cond_fini(struct cond *c)
{
	must(pthread_cond_destroy(&c->cond), "pthread_cond_destroy");
}

void
cond_wait(struct cond *c, struct lock *l)
{
	lock_assert_held(l);
#ifdef REMEMBERD_DEBUG
	l->owner = NULL;
#endif
	must(pthread_cond_wait(&c->cond, &l->mutex), "pthread_cond_wait");
#ifdef REMEMBERD_DEBUG
	l->owner = &ranks;
#endif
}

bool
cond_wait_ms(struct cond *c, struct lock *l, int64_t ms)
{
	struct timespec ts;
	int rc;

	lock_assert_held(l);
	clock_gettime(CLOCK_MONOTONIC, &ts);
	ts.tv_sec += ms / 1000;
	ts.tv_nsec += (long)(ms % 1000) * 1000000;
	if (ts.tv_nsec >= 1000000000) {
		ts.tv_nsec -= 1000000000;
		ts.tv_sec++;
	}
#ifdef REMEMBERD_DEBUG
	l->owner = NULL;
#endif
	rc = pthread_cond_timedwait(&c->cond, &l->mutex, &ts);
#ifdef REMEMBERD_DEBUG
	l->owner = &ranks;
#endif
	if (rc != ETIMEDOUT)
		must(rc, "pthread_cond_timedwait");
	return (rc == 0);
}

void
cond_signal(struct cond *c)
{
	must(pthread_cond_signal(&c->cond), "pthread_cond_signal");
}

void
cond_broadcast(struct cond *c)
{
	must(pthread_cond_broadcast(&c->cond), "pthread_cond_broadcast");
}

static void *
thread_main(void *arg)
{
	struct thread *t = arg;

	t->run(t->arg);
	lock_assert_none();
	return (NULL);
}

/*
 * The signals for the threads to block: all but those that a thread raises
 * by its own fault, which must reach a sanitizer's handler.
 */
static void
fill_blocked(sigset_t *set)
{
	sigfillset(set);
	sigdelset(set, SIGSEGV);
	sigdelset(set, SIGBUS);
	sigdelset(set, SIGFPE);
	sigdelset(set, SIGILL);
	sigdelset(set, SIGABRT);
}

int
thread_start(struct thread *t, const char *name, void (*run)(void *),
    void *arg)
{
	sigset_t all, old;
	int rc;

	assert(strlen(name) <= 15);
	t->run = run;
	t->arg = arg;
	/* The new thread inherits the mask, so it never runs without it. */
	fill_blocked(&all);
	must(pthread_sigmask(SIG_SETMASK, &all, &old), "pthread_sigmask");
	rc = pthread_create(&t->id, NULL, thread_main, t);
	must(pthread_sigmask(SIG_SETMASK, &old, NULL), "pthread_sigmask");
	if (rc != 0) {
		errno = rc;
		return (-1);
	}
	/* A name is for the reader of top; to go without is no failure. */
	(void)pthread_setname_np(t->id, name);
	return (0);
}

void
thread_join(struct thread *t)
{
	must(pthread_join(t->id, NULL), "pthread_join");
}
