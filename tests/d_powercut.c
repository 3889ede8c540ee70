/*
 * The power goes, again and again: a store on a simulated disk (tests/simfs.h)
 * is stopped at a random call, at work, at start or at its end, and started
 * from what such a disk may hold then.  What it finds must be what clients may
 * find (tests/witness.h), no less, and not be taken for damage (promises 1 to
 * 5, and "Learnt from fault simulation" of the design).
 *
 *	POWERCUTS=n	how many; default 10000
 *	SEED=n		the line of lives to begin with: one that failed
 *
 * A line of lives begins with an empty disk.  Its threads run as the machine
 * lets them, so that a seed repeats a failure mostly, not always.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/witness.h"

#define CUTS		10000
#define LIFE_CUTS	25	/* in one line of lives */
#define SYNCS		(FAULT_FSYNC | FAULT_FDATASYNC)
#define NAMES		(FAULT_RENAMEAT | FAULT_UNLINKAT | FAULT_MKDIRAT)

static uint64_t		 seed;		/* of the line of lives */
static uint64_t		 random_line;	/* drawn from it */
static unsigned long	 ncuts;
static unsigned long	 nwork, nstart, nstop, nkills;

/* --- lives -------------------------------------------------------------- */

static uint64_t
draw(uint64_t n)
{
	return (witness_draw(&random_line, n));
}

/* Choose the last call. */
static void
plan_stop(bool is_start)
{
	switch (draw(4)) {
	case 0:
		simfs_stop_at(FAULT_ANY, 1 + draw(is_start ? 80 : 300));
		break;
	case 1:
		simfs_stop_at(NAMES, 1 + draw(is_start ? 6 : 25));
		break;
	default:
		simfs_stop_at(SYNCS, 1 + draw(is_start ? 8 : 50));
		break;
	}
}

/* Sometimes a sync fails first. */
static void
plan_fault(void)
{
	static const unsigned masks[] = { FAULT_FDATASYNC, FAULT_FSYNC, SYNCS };

	if (draw(4) == 0)
		simfs_fail(masks[draw(3)], 1 + draw(30), EIO, draw(5) == 0);
	else
		simfs_fail(0, 0, 0, false);
}

static void
work_all(void)
{
	struct client *c;
	bool is_threaded = draw(3) == 0;
	int i;

	for (i = 0; i < WITNESS_TENANTS; i++) {
		c = &witness.clients[i];
		c->steps = 10 + (unsigned)draw(30);
		c->random = draw(UINT32_MAX);
		if (!is_threaded)
			witness_work(c);
		else if (thread_start(&c->thread, "client", witness_work,
		    c) == -1)
			abort();
	}
	for (i = 0; is_threaded && i < WITNESS_TENANTS; i++)
		thread_join(&witness.clients[i].thread);
}

/* Some end in peace, as far as they come. */
static void
close_store(bool is_checked)
{
	if (draw(4) != 0)
		simfs_stop();
	if (simfs_is_stopped())
		nwork++;
	else
		nstop++;
	witness_close(is_checked);
}

static void
cut(void)
{
	simfs_stop();
	if (draw(8) == 0) {
		nkills++;
		simfs_kill();
	} else
		simfs_power_cut(seed << 20 | ncuts);
	ncuts++;
}

/* From a start to the next cut. */
static void
live(void)
{
	bool is_early = draw(3) == 0, is_checked;

	if (is_early)
		plan_stop(true);
	plan_fault();
	if (witness_open()) {
		if (!is_early)
			plan_stop(false);
		is_checked = witness_check();
		if (is_checked && !witness_has_complaint()) {
			witness_retry();
			work_all();
		}
		close_store(is_checked);
	} else
		nstart++;
	cut();
}

static void
begin_line(uint64_t its_seed)
{
	static const size_t segments[] = { 4096, 16384, 65536 };

	seed = random_line = its_seed;
	witness_begin(its_seed);
	witness.options.journal_segment = segments[draw(3)];
	if (draw(3) != 0)
		witness.options.keep_ms = 0;
}

/* A line of lives, each of what the last one left. */
static void
line(uint64_t its_seed)
{
	int i;

	begin_line(its_seed);
	for (i = 0; i < LIFE_CUTS && !witness_has_complaint(); i++)
		live();
	if (witness_has_complaint())
		witness_report("SEED=%ju, cut %d", (uintmax_t)its_seed, i);
}

/* --- stories ------------------------------------------------------------ */

/* Seeds for what a cut leaves, at each place; multiples of four.  MANY where
 * one order of two changes is looked for. */
#define SOME		8
#define MANY		32

static void
start(void)
{
	assert_true(witness_open());
	assert_true(witness_check());
}

/* The process ends where it is; then the power too, or not. */
static void
end_here(bool is_kill, uint64_t cut_seed)
{
	simfs_stop();
	if (is_kill)
		simfs_kill();
	else
		simfs_power_cut(cut_seed);
}

/* Work, without a flush, until all of it is durable. */
static void
work_quietly(unsigned steps)
{
	struct client *c = &witness.clients[0];

	c->random = seed;
	c->is_quiet = true;
	c->steps = steps;
	witness_work(c);
	witness_wait();
}

/* What was acknowledged is there after a cut at this very moment. */
static void
survives(uint64_t k)
{
	simfs_stop();
	witness_close(true);
	end_here(false, k);
	start();
	witness_close(true);
}

/*
 * The first start of all ends at its n-th call; the next one makes the store,
 * works, and loses its power: what it acknowledged is there.
 */
static bool
first_start(unsigned long n, uint64_t k)
{
	bool is_last;

	simfs_stop_at(FAULT_ANY, n);
	if ((is_last = witness_open()))
		witness_close(false);
	end_here(k % 2 == 0, k);
	start();
	work_quietly(5);
	survives(k);
	return (is_last);
}

/*
 * A flush ends at its n-th call, killed behind its renames and before it has
 * synced their folder, say.  The next start finds the new documents, in the
 * cache; it has nothing to write, and its flush lets their part of the journal
 * go.  Then the power is cut.
 */
static bool
flush(unsigned long n, uint64_t k)
{
	bool is_last;

	start();
	work_quietly(12);
	simfs_stop_at(FAULT_ANY, n);
	(void)store_flush(witness.s);
	is_last = !simfs_is_stopped();
	simfs_stop();
	witness_close(true);
	end_here(k % 2 == 0, k);
	start();
	assert_int_equal(store_flush(witness.s), 0);
	survives(k);
	return (is_last);
}

/*
 * A damaged document is set aside, and there the start ends at its n-th call.
 * It lies in its place or in quarantine/: its conversation is damaged, and
 * never one that does not exist.
 */
static bool
set_aside(unsigned long n, uint64_t k)
{
	bool is_last;

	start();
	work_quietly(12);
	witness_close(true);
	(void)witness_spoil(&witness.clients[0]);
	simfs_stop_at(FAULT_ANY, n);
	is_last = witness_open();
	if (is_last) {
		(void)witness_check();
		is_last = !simfs_is_stopped();
		witness_close(false);
	}
	end_here(k % 2 == 0, k);
	start();
	survives(k);
	return (is_last);
}

/*
 * A damaged segment is set aside, by a link or a copy, before its journal
 * goes; then the power does, at the n-th call of all that.  Its bytes are in
 * one place or the other.
 */
static bool
segment_set_aside(unsigned long n, uint64_t k)
{
	struct slot *slot = NULL;
	bool is_last;
	int i;

	start();
	work_quietly(12);
	assert_int_equal(store_flush(witness.s), 0);
	for (i = 0; i < 3; i++)
		slot = witness_append(&witness.clients[0]);
	/* The documents hold all of it: nothing else is set aside. */
	if (k % 4 < 2)
		assert_int_equal(store_flush(witness.s), 0);
	simfs_stop();
	witness_close(true);
	simfs_kill();
	witness_spoil_journal(slot);
	simfs_stop_at(FAULT_ANY, n);
	if ((is_last = witness_open())) {
		(void)witness_check();
		(void)store_flush(witness.s);
		is_last = !simfs_is_stopped();
		simfs_stop();
		witness_close(false);
	}
	end_here(k % 2 == 0, k);
	start();
	/* And the .why beside it. */
	if (simfs_count("/store/quarantine", "00000000000000") < 2)
		witness_complain("the damaged segment is not set aside");
	assert_int_equal(store_flush(witness.s), 0);
	survives(k);
	if (simfs_count("/store/quarantine", "00000000000000") < 2)
		witness_complain("the damaged segment is gone");
	return (is_last);
}

/*
 * What is damaged is deleted; its tombstone is swept, and what lies in
 * quarantine/ speaks for it no more, in that order on the disk too: it must not
 * be damaged again.
 */
static bool
release(unsigned long n, uint64_t k)
{
	struct slot *slot;
	bool is_last;
	int i;

	witness.options.journal_segment = 4096;
	start();
	work_quietly(12);
	witness_close(true);
	slot = witness_spoil(&witness.clients[0]);
	start();
	witness_delete(&witness.clients[0], slot);
	assert_false(slot->is_spoilt);
	/* Into another segment: that of the deletion may go. */
	for (i = 0; i < 10; i++)
		(void)witness_append(&witness.clients[0]);
	/* A tombstone goes once its millisecond is over. */
	(void)usleep(2000);
	simfs_stop_at(FAULT_ANY, n);
	(void)store_flush(witness.s);
	(void)store_flush(witness.s);
	is_last = !simfs_is_stopped();
	simfs_stop();
	witness_close(true);
	end_here(k % 2 == 0, k);
	start();
	survives(k);
	return (is_last);
}

/* Tell the story with its end at each place, some times. */
static void
tell(bool (*story)(unsigned long, uint64_t), uint64_t ncuts_each)
{
	unsigned long n;
	bool is_last = false;
	uint64_t k;

	for (n = 1; !is_last; n++)
		for (k = n * ncuts_each; k < (n + 1) * ncuts_each; k++) {
			begin_line(1);
			witness.options.keep_ms = 0;
			is_last = story(n, k);
			if (!witness_has_complaint())
				continue;
			witness_report("call %lu, cut %ju", n, (uintmax_t)k);
			fail();
		}
	assert_true(n > 20);
}

static void
first_start_ends(void **state)
{
	(void)state;
	tell(first_start, SOME);
}

static void
flush_ends(void **state)
{
	(void)state;
	tell(flush, SOME);
}

static void
set_aside_ends(void **state)
{
	(void)state;
	tell(set_aside, SOME);
}

static void
segment_set_aside_ends(void **state)
{
	(void)state;
	tell(segment_set_aside, SOME);
}

static void
release_ends(void **state)
{
	(void)state;
	tell(release, MANY);
}

/* --- ten thousand ------------------------------------------------------- */

static unsigned long
number_of(const char *name, unsigned long otherwise)
{
	const char *value = getenv(name);

	return (value != NULL ? strtoul(value, NULL, 10) : otherwise);
}

static void
cuts(void **state)
{
	unsigned long n = number_of("POWERCUTS", CUTS), one;

	(void)state;
	one = number_of("SEED", 0);
	for (; ncuts < n && !witness_has_complaint(); one++)
		line(one);
	witness_tell("%lu simulated ends: %lu at work, %lu at start, %lu at a "
	    "stop; %lu kills, the others power cuts", ncuts, nwork, nstart,
	    nstop, nkills);
	assert_false(witness_has_complaint());
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_start_ends),
		cmocka_unit_test(flush_ends),
		cmocka_unit_test(set_aside_ends),
		cmocka_unit_test(segment_set_aside_ends),
		cmocka_unit_test(release_ends),
		cmocka_unit_test(cuts),
	};

	witness_init();
	return (witness_result(cmocka_run_group_tests(tests, NULL, NULL)));
}
