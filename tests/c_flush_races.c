/*
 * store/flush and store/sweep while others write and read: nothing that
 * changes meanwhile is forgotten.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/lock.h"
#include "store/store_internal.h"
#include "tests/fault.h"
#include "tests/flushed.h"

#define THREADS	8
#define APPENDS	60

struct racer {
	struct thread	 thread;
	int		 number;
};

static void
race(void *arg)
{
	struct racer *r = arg;
	char own[16], item[32], brief[32];
	int i;

	(void)snprintf(own, sizeof(own), "own%d", r->number);
	if (state_create(s, t, own, NULL, NULL, NULL) != STORE_OK)
		abort();
	for (i = 0; i < APPENDS; i++) {
		(void)snprintf(item, sizeof(item), "i%d-%d", r->number, i);
		(void)snprintf(brief, sizeof(brief), "b%d-%d", r->number, i);
		if (state_append(s, t, own, item, "x", item, NULL) != 0 ||
		    state_append(s, t, "all", item, "x", NULL, NULL) != 0 ||
		    state_create(s, t, brief, NULL, brief, NULL) != 0 ||
		    state_delete(s, t, brief, NULL) != 0)
			abort();
	}
}

/* Reads meanwhile: lists, pages, conversations that come and go. */
static void
race_reads(void *arg)
{
	struct racer *r = arg;
	struct list_query q = { .limit = 20 };
	struct list_page l;
	struct items_page p;
	struct conversation_view v;
	char brief[32];
	uint64_t lsn;
	int i;

	for (i = 0; i < APPENDS * 4; i++) {
		(void)snprintf(brief, sizeof(brief), "b%d-%d", r->number,
		    i / 4);
		if (store_conversation(t, brief, NULL, &v, &lsn) == STORE_OK)
			store_view_fini(&v);
		if (store_list(t, &q, &l) != STORE_OK ||
		    store_items(t, "all", NULL, NULL, STORE_DESC, 5, &p) !=
		    STORE_OK)
			abort();
		store_list_fini(&l);
		store_items_fini(&p);
	}
}

/* Flushed, swept and retired all the time while eight write. */
static void
races(void **state)
{
	struct racer w[THREADS], rd[2];
	struct conversation_view v;
	uint64_t lsn;
	char *here;
	int i;

	(void)state;
	open_it(0, 16384);
	assert_int_equal(state_create(s, t, "all", NULL, NULL, NULL), 0);
	for (i = 0; i < THREADS; i++) {
		w[i].number = i;
		assert_int_equal(thread_start(&w[i].thread, "racer", race,
		    &w[i]), 0);
	}
	for (i = 0; i < 2; i++) {
		rd[i].number = i;
		assert_int_equal(thread_start(&rd[i].thread, "reader",
		    race_reads, &rd[i]), 0);
	}
	for (i = 0; i < 30; i++) {
		assert_int_equal(store_flush(s), 0);
		usleep(1000);
	}
	for (i = 0; i < THREADS; i++)
		thread_join(&w[i].thread);
	for (i = 0; i < 2; i++)
		thread_join(&rd[i].thread);
	assert_int_equal(store_conversation(t, "all", NULL, &v, &lsn), 0);
	assert_int_equal(v.item_count, THREADS * APPENDS);
	assert_int_equal(v.version, THREADS * APPENDS + 1);
	store_view_fini(&v);
	copy_is_whole();
	assert_int_equal(store_flush(s), 0);
	copy_is_whole();
	here = state_dump(s);
	free(here);
	close_it();
}

/* A second append between taking it off the list and the write stays dirty. */
static void
dirty_again(void **state)
{
	(void)state;
	open_it(0, 4096);
	assert_int_equal(state_create(s, t, "a", NULL, NULL, NULL), 0);
	fault_gate_close(FAULT_RENAMEAT);
	store_flush_soon(s);
	assert_true(fault_gate_await());
	assert_int_equal(state_append(s, t, "a", "i1", "x", NULL, NULL), 0);
	assert_true(dirty() >= 1);
	fault_gate_open();
	assert_int_equal(store_flush(s), 0);
	assert_int_equal(dirty(), 0);
	copy_is_whole();
	close_it();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(races),
		TEST(dirty_again),
	};

	fault_init();
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
