/*
 * Every system call of every write path fails in turn: once, and from then on,
 * with EIO, ENOSPC and EMFILE, interrupted, or done by half; and so does every
 * allocation of a flush (c_nomem and c_journal_fails have the others).  Nothing
 * that was acknowledged is lost, neither for the process that goes on nor for
 * the next one behind a power cut; and that one, without faults, writes all of
 * it (promises 1 to 5 and 8).  See tests/witness.h and tests/simfs.h.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/nomem.h"
#include "tests/witness.h"

/* In place of a system call an allocation fails. */
#define NOMEM	(-2)

/* What fails, how. */
static const struct fault {
	const char	*name;
	unsigned	 mask;
	int		 error;
	bool		 forever;
} faults[] = {
	{ "EIO", FAULT_ANY, EIO, false },
	{ "ENOSPC", FAULT_ANY, ENOSPC, false },
	{ "half", FAULT_WRITE | FAULT_PWRITEV | FAULT_READ, SIMFS_SHORT,
	    false },
	{ "half for ever", FAULT_WRITE | FAULT_PWRITEV | FAULT_READ,
	    SIMFS_SHORT, true },
	{ "EINTR", FAULT_WRITE | FAULT_PWRITEV | FAULT_READ | FAULT_CLOSE,
	    EINTR, false },
	{ "EMFILE for ever", FAULT_OPENAT | FAULT_FLOPENAT, EMFILE, true },
	{ "ENOSPC for ever", FAULT_WRITE | FAULT_PWRITEV | FAULT_OPENAT |
	    FAULT_MKDIRAT, ENOSPC, true },
	/* What cannot be read at all is damage: see c_recover. */
	{ "EIO for ever", FAULT_ANY & ~(FAULT_READ | FAULT_OPENAT |
	    FAULT_FSTAT), EIO, true },
	{ "no memory", 0, NOMEM, false },
};
#define NFAULTS	(sizeof(faults) / sizeof(faults[0]))

/* --- what fails --------------------------------------------------------- */

static struct client *const a = &witness.clients[0];
static struct client *const b = &witness.clients[1];

static void
open_checked(void)
{
	if (witness_open() && witness_check())
		return;
	witness_report("start");
	fail();
}

/* Let a client make so many steps, and wait for them. */
static void
steps(struct client *c, unsigned n)
{
	c->is_quiet = true;
	c->steps = n;
	witness_work(c);
	witness_wait();
}

/* A store that has something of all kinds in its documents. */
static void
prepare_flushed(void)
{
	open_checked();
	a->random = 7;
	steps(a, 30);
	steps(b, 5);
	assert_int_equal(store_flush(witness.s), 0);
}

static void
prepare_dirty(void)
{
	prepare_flushed();
	steps(a, 15);
	steps(b, 5);
}

/* One that was killed with a journal's tail behind its documents. */
static void
prepare_killed(void)
{
	int i;

	prepare_flushed();
	for (i = 0; i < 8; i++)
		steps(a, 2);
	steps(b, 5);
	simfs_stop();
	witness_close(true);
	simfs_kill();
}

/* All of it in documents; the journal has gone. */
static void
prepare_closed(void)
{
	prepare_dirty();
	witness_close(true);
}

static void
prepare_empty(void)
{
	open_checked();
}

/* Nothing was ever written. */
static void
prepare_new(void)
{
	open_checked();
	a->random = 3;
	steps(a, 15);
	steps(b, 5);
}

/* A document is damaged. */
static struct slot *spoilt;

static void
prepare_spoilt(void)
{
	prepare_closed();
	spoilt = witness_spoil(a);
}

/*
 * So is the journal, in the middle of what befell a conversation: its document
 * is older, and what stands behind is newer.
 */
static void
prepare_spoilt_journal(void)
{
	int i;

	prepare_flushed();
	for (i = 0; i < 3; i++)
		spoilt = witness_append(a);
	simfs_stop();
	witness_close(true);
	simfs_kill();
	witness_spoil_journal(spoilt);
}

/* Did all clients do what they did in the store that is open? */
static bool is_checked;

static void
act_open(void)
{
	is_checked = witness_open() && witness_check();
}

static void
act_work(void)
{
	witness_work(a);
	witness_work(b);
	witness_wait();
}

static void
act_flush(void)
{
	(void)store_flush(witness.s);
	/* Tombstones go in the next. */
	(void)store_flush(witness.s);
}

static void
act_close(void)
{
	witness_close(true);
}

/* Delete what is damaged; its tombstone, and then nothing, is left of it. */
static void
act_release(void)
{
	act_open();
	if (is_checked && a->t != NULL)
		witness_delete(a, spoilt);
	if (witness.s != NULL)
		act_flush();
}

static const struct path {
	const char	*name;
	void		 (*prepare)(void);
	void		 (*act)(void);
	size_t		 segment;
	int64_t		 keep_ms;
} paths[] = {
	{ "first start", NULL, act_open, 65536, 0 },
	{ "start with a tail", prepare_killed, act_open, 65536, 0 },
	{ "start and load", prepare_closed, act_open, 4096, 0 },
	{ "first changes", prepare_empty, act_work, 65536, 0 },
	{ "changes and rotations", prepare_flushed, act_work, 4096, 3600000 },
	{ "first flush", prepare_new, act_flush, 65536, 0 },
	{ "flush, retire and sweep", prepare_dirty, act_flush, 4096, 0 },
	{ "flush with a long keep", prepare_dirty, act_flush, 4096, 3600000 },
	{ "close", prepare_dirty, act_close, 65536, 0 },
	{ "quarantine of a document", prepare_spoilt, act_open, 65536, 0 },
	{ "release of a document", prepare_spoilt, act_release, 65536, 0 },
	{ "quarantine of a segment", prepare_spoilt_journal, act_open, 65536,
	    3600000 },
};
#define NPATHS	(sizeof(paths) / sizeof(paths[0]))

/* --- and what is left --------------------------------------------------- */

static void
let_work(unsigned n, unsigned each)
{
	a->random = b->random = n;
	a->steps = b->steps = each;
	a->is_quiet = b->is_quiet = true;
}

/*
 * The store is open, perhaps: it goes on or says that it does not.  Then the
 * power is cut, and a start without faults must find all, work and write.
 */
static void
aftermath(unsigned long n)
{
	if (witness.s != NULL) {
		let_work((unsigned)n, 4);
		if (is_checked)
			act_work();
		/* Every second time it is closed in order. */
		if (n % 2 == 0)
			simfs_stop();
		witness_close(is_checked);
	}
	simfs_stop();
	simfs_power_cut(n);
	/* From now on there is no excuse. */
	open_checked();
	witness_retry();
	let_work((unsigned)n + 1, 4);
	act_work();
	if (store_flush(witness.s) != 0)
		witness_complain("a flush without faults fails");
	witness_close(true);
	open_checked();
	witness_close(true);
}

/* Returns false if there are fewer than n allocations. */
static bool
act_without_memory(const struct path *p, int n)
{
	/* Other threads write, so that who calls here allocates nothing. */
	if (p->act != act_flush)
		return (false);
	witness.is_excused = true;
	nomem_arm(n);
	p->act();
	nomem_disarm();
	witness.is_excused = false;
	return (nomem_fired());
}

/* The n-th call of the path fails.  Returns false if it has fewer. */
static bool
fail_one(const struct path *p, const struct fault *f, unsigned long n)
{
	bool has_failed;

	witness_begin(n);
	witness.options.journal_segment = p->segment;
	witness.options.keep_ms = p->keep_ms;
	if (p->prepare != NULL)
		p->prepare();
	let_work((unsigned)n, 12);
	is_checked = true;
	if (f->error == NOMEM)
		has_failed = act_without_memory(p, (int)n);
	else {
		simfs_fail(f->mask, n, f->error, f->forever);
		p->act();
		has_failed = simfs_has_failed();
		simfs_fail(0, 0, 0, false);
	}
	aftermath(n);
	if (witness_has_complaint()) {
		witness_report("%s, call %lu: %s", p->name, n, f->name);
		fail();
	}
	return (has_failed);
}

static void
every_call(void **state)
{
	const struct path *p = *state;
	unsigned long n, all = 0;
	size_t i;

	for (i = 0; i < NFAULTS; i++)
		for (n = 1; fail_one(p, &faults[i], n); n++)
			all++;
	witness_tell("%s: %lu calls failed", p->name, all);
	assert_true(all > 50);
}

int
main(void)
{
	struct CMUnitTest tests[NPATHS];
	size_t i;

	for (i = 0; i < NPATHS; i++)
		tests[i] = (struct CMUnitTest){ paths[i].name, every_call,
		    NULL, NULL, (void *)(uintptr_t)&paths[i] };
	witness_init();
	return (witness_result(cmocka_run_group_tests(tests, NULL, NULL)));
}
