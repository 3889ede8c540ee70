/*
 * store.h: nobody is shown what is not durable, and what is acknowledged stays
 * so, on a disk that is sick and in a copy made meanwhile (promises 2, 6, 8).
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bsd/string.h>

#include <cmocka.h>

#include "store/lock.h"
#include "store/store.h"
#include "tests/fault.h"
#include "tests/opened.h"

static int
count_name(const char *name, void *arg)
{

	(void)name;
	++*(int *)arg;
	return (0);
}

/* --- promise 2 ---------------------------------------------------------- */

static void
not_yet(uint64_t lsn)
{

	assert_true(lsn > store_durable(s));
}

/* With a change on its way to the disk, nobody is shown it, errors too. */
static void
observed_is_durable(void **state)
{
	const char *key = "k", *value = "old";
	struct list_query q = { .limit = 5 }, by_user = { .limit = 5,
	    .user = "u1" }, filtered = { .limit = 5, .metadata_keys = &key,
	    .metadata_values = &value, .nmetadata = 1 };
	struct change ch;
	struct conversation_view v;
	struct items_page p;
	struct list_page l;
	struct outcome o;
	struct item *it = state_item("m1", "other"), *found;
	uint64_t lsn, version;
	int n = 0;

	(void)state;
	assert_int_equal(state_create(s, t, "c1", "u1", NULL, NULL), 0);
	assert_int_equal(state_create(s, t, "c2", NULL, NULL, NULL), 0);
	assert_int_equal(state_create(s, t, "c3", NULL, NULL, NULL), 0);
	assert_int_equal(state_append(s, t, "c1", "m1", "x", NULL, NULL), 0);
	set_metadata("c3", "{\"k\":\"old\"}", false, 0, "{\"k\":\"old\"}");
	assert_int_equal(store_list(t, &q, &l), 0);
	assert_true(l.lsn <= store_durable(s));
	store_list_fini(&l);

	fault_gate_close(FAULT_FDATASYNC);
	/* An item goes. */
	ch = change_of(CHANGE_ITEM_DELETE, "c1");
	strlcpy(ch.item, "m1", sizeof(ch.item));
	assert_int_equal(store_commit(s, t, &ch, &o), STORE_OK);
	not_yet(o.lsn);
	store_outcome_fini(&o);
	assert_true(fault_gate_await());
	assert_int_equal(store_conversation(t, "c1", NULL, &v, &lsn), 0);
	not_yet(lsn);
	store_view_fini(&v);
	assert_int_equal(store_item(t, "c1", NULL, "m1", &found, &version,
	    &lsn), STORE_NOITEM);
	not_yet(lsn);
	assert_int_equal(store_items(t, "c1", NULL, NULL, STORE_ASC, 5, &p),
	    0);
	not_yet(p.lsn);
	store_items_fini(&p);
	assert_int_equal(store_items(t, "c1", NULL, "m1", STORE_ASC, 5, &p),
	    STORE_NOCURSOR);
	not_yet(p.lsn);
	store_items_fini(&p);
	assert_int_equal(store_commit(s, t, &ch, &o), STORE_NOITEM);
	not_yet(o.lsn);
	ch.if_version = 1;
	assert_int_equal(store_commit(s, t, &ch, &o), STORE_PRECONDITION);
	not_yet(o.lsn);
	/* Other conversations do not wait, and strangers learn nothing. */
	assert_int_equal(store_conversation(t, "c2", NULL, &v, &lsn), 0);
	assert_true(lsn <= store_durable(s));
	store_view_fini(&v);
	assert_int_equal(store_conversation(t, "c1", "u2", &v, &lsn),
	    STORE_NOENT);
	assert_int_equal(lsn, 0);
	fault_gate_open();
	assert_int_equal(store_wait(s, o.lsn), STORE_OK);

	/* The oldest moves to the end: its old page shows that it is gone. */
	fault_gate_close(FAULT_FDATASYNC);
	ch = change_of(CHANGE_CONVERSATION_UPDATE, "c2");
	ch.has_title = true;
	usleep(2000);
	assert_int_equal(store_commit(s, t, &ch, &o), STORE_OK);
	store_outcome_fini(&o);
	q.limit = 1;
	q.sort = STORE_BY_UPDATED;
	q.order = STORE_ASC;
	assert_int_equal(store_list(t, &q, &l), 0);
	assert_string_not_equal(l.views[0].id, "c2");
	not_yet(l.lsn);
	lsn = l.lsn;
	store_list_fini(&l);
	fault_gate_open();
	assert_int_equal(store_wait(s, lsn), STORE_OK);

	/* What no longer fits the filter is missed, so that waits too. */
	fault_gate_close(FAULT_FDATASYNC);
	ch = change_of(CHANGE_CONVERSATION_UPDATE, "c3");
	ch.metadata = (struct span){ "{}", 2 };
	ch.has_metadata = true;
	assert_int_equal(store_commit(s, t, &ch, &o), STORE_OK);
	assert_int_equal(store_list(t, &filtered, &l), 0);
	assert_int_equal(l.nviews, 0);
	not_yet(l.lsn);
	store_list_fini(&l);
	fault_gate_open();
	assert_int_equal(store_wait(s, o.lsn), STORE_OK);
	store_outcome_fini(&o);

	/* A deletion: NOENT, EXISTS, and the list without it. */
	fault_gate_close(FAULT_FDATASYNC);
	ch = change_of(CHANGE_CONVERSATION_DELETE, "c1");
	assert_int_equal(store_commit(s, t, &ch, &o), STORE_OK);
	lsn = 0;
	assert_int_equal(store_conversation(t, "c1", NULL, &v, &lsn),
	    STORE_NOENT);
	not_yet(lsn);
	assert_int_equal(store_commit(s, t, &ch, &o), STORE_NOENT);
	not_yet(o.lsn);
	ch.kind = CHANGE_ITEMS_APPEND;
	ch.items = &it;
	ch.nitems = 1;
	assert_int_equal(store_commit(s, t, &ch, &o), STORE_NOENT);
	not_yet(o.lsn);
	ch.kind = CHANGE_CONVERSATION_CREATE;
	ch.nitems = 0;
	assert_int_equal(store_commit(s, t, &ch, &o), STORE_EXISTS);
	not_yet(o.lsn);
	assert_int_equal(store_list(t, &by_user, &l), 0);
	assert_int_equal(l.nviews, 0);
	not_yet(l.lsn);
	store_list_fini(&l);
	by_user.after_id = "c1";
	assert_int_equal(store_list(t, &by_user, &l), STORE_NOCURSOR);
	not_yet(l.lsn);
	store_list_fini(&l);
	/* A tenant, too. */
	ch = (struct change){ .kind = CHANGE_TENANT_CREATE, .tenant = "new" };
	assert_int_equal(store_commit(s, NULL, &ch, &o), STORE_OK);
	not_yet(o.lsn);
	lsn = o.lsn;
	store_outcome_fini(&o);
	assert_int_equal(store_commit(s, NULL, &ch, &o), STORE_EXISTS);
	not_yet(o.lsn);
	assert_int_equal(store_tenants(s, count_name, &n), 0);
	assert_int_equal(n, 1);
	fault_gate_open();
	assert_int_equal(store_wait(s, lsn), STORE_OK);
	n = 0;
	assert_int_equal(store_tenants(s, count_name, &n), 0);
	assert_int_equal(n, 2);
	item_unref(it);
}

/* --- promise 8 ---------------------------------------------------------- */

/* A sick disk: refused at once, reads go on, and it comes back by itself. */
static void
sick(void **state)
{
	struct change ch = change_of(CHANGE_CONVERSATION_UPDATE, "c1");
	struct conversation_view v;
	struct outcome o;
	enum store_err err;
	uint64_t lsn, first;
	int i, n = 0;

	(void)state;
	assert_int_equal(state_create(s, t, "c1", NULL, NULL, NULL), 0);
	assert_int_equal(state_create(s, t, "c2", NULL, NULL, NULL), 0);
	fault_arm_forever(FAULT_PWRITEV, 1, ENOSPC);
	ch.has_title = true;
	assert_int_equal(store_commit(s, t, &ch, &o), STORE_OK);
	first = o.lsn;
	store_outcome_fini(&o);
	assert_int_equal(store_wait(s, first), STORE_SICK);
	assert_int_equal(store_health(s), STORE_FULL);
	assert_int_equal(store_commit(s, t, &ch, &o), STORE_FULL);
	assert_int_equal(o.lsn, 0);
	ch = (struct change){ .kind = CHANGE_TENANT_CREATE, .tenant = "new" };
	assert_int_equal(store_commit(s, NULL, &ch, &o), STORE_FULL);
	/* A tenant that was refused is not there. */
	assert_int_equal(store_tenants(s, count_name, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(store_conversation(t, "c2", NULL, &v, &lsn), 0);
	assert_true(lsn <= store_durable(s));
	store_view_fini(&v);
	assert_int_equal(store_flush(s), -1);
	fault_disarm();
	for (i = 0; i < 100 && (err = store_health(s)) != STORE_OK; i++)
		usleep(50 * 1000);
	assert_int_equal(err, STORE_OK);
	/* What waited is durable now, and nothing got lost. */
	assert_int_equal(store_wait(s, first), STORE_OK);
	assert_int_equal(state_retitle(s, t, "c1", "later"), 0);
	assert_int_equal(store_conversation(t, "c1", NULL, &v, &lsn), 0);
	assert_int_equal(v.version, 3);
	store_view_fini(&v);
	assert_int_equal(store_flush(s), 0);
}

/* --- promise 6 ---------------------------------------------------------- */

#define WRITERS	4

struct writer {
	struct thread	 thread;
	int		 number;
	atomic_int	 acked;		/* items that are durable */
	atomic_bool	*stop;
};

static void
write_items(void *arg)
{
	struct writer *w = arg;
	char id[16], item[32];
	int i;

	(void)snprintf(id, sizeof(id), "w%d", w->number);
	for (i = 0; !atomic_load(w->stop); i++) {
		(void)snprintf(item, sizeof(item), "i%d", i);
		if (state_append(s, t, id, item, "x", NULL, NULL) != STORE_OK)
			abort();
		atomic_store(&w->acked, i + 1);
	}
}

static void
flush_often(void *arg)
{
	atomic_bool *stop = arg;

	while (!atomic_load(stop)) {
		if (store_flush(s) == -1)
			abort();
		usleep(20000);
	}
}

/* Copied while four write and one flushes: all that was acknowledged. */
static void
copies(void **state)
{
	struct writer w[WRITERS];
	struct conversation_view v;
	struct thread flusher;
	struct store *two;
	struct tenant *there;
	char copy[STATE_PATH], id[16];
	int i, round, acked[WRITERS];
	atomic_bool stop;
	uint64_t lsn;

	(void)state;
	atomic_init(&stop, false);
	state_folder(copy);
	for (i = 0; i < WRITERS; i++) {
		(void)snprintf(id, sizeof(id), "w%d", i);
		assert_int_equal(state_create(s, t, id, NULL, NULL, NULL), 0);
		w[i].number = i;
		w[i].stop = &stop;
		atomic_init(&w[i].acked, 0);
		assert_int_equal(thread_start(&w[i].thread, "writer",
		    write_items, &w[i]), 0);
	}
	assert_int_equal(thread_start(&flusher, "flusher", flush_often, &stop),
	    0);
	for (round = 0; round < 6; round++) {
		usleep(20000);
		for (i = 0; i < WRITERS; i++)
			acked[i] = atomic_load(&w[i].acked);
		state_copy(dir, copy);
		two = state_open(copy);
		there = state_tenant(two, "acme");
		for (i = 0; i < WRITERS; i++) {
			(void)snprintf(id, sizeof(id), "w%d", i);
			assert_int_equal(store_conversation(there, id, NULL,
			    &v, &lsn), 0);
			assert_true(v.item_count >= (uint64_t)acked[i]);
			assert_int_equal(v.version, v.item_count + 1);
			store_view_fini(&v);
		}
		store_tenant_put(there);
		state_close(two);
	}
	atomic_store(&stop, true);
	thread_join(&flusher);
	for (i = 0; i < WRITERS; i++)
		thread_join(&w[i].thread);
	state_remove(copy);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(observed_is_durable),
		TEST(sick),
		TEST(copies),
	};

	fault_init();
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
