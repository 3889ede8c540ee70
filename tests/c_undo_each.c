/*
 * What is shown while the disk is sick of each kind of change alone: the
 * durable prefix, of conversations, lists, keys and tenants (promises 2 and 8);
 * and that no more of it is kept than is needed.
 */

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/store.h"
#include "store/store_internal.h"
#include "tests/fault.h"
#include "tests/opened.h"

/* --- one by one --------------------------------------------------------- */

static enum store_err
look_at(const char *id)
{
	struct conversation_view v;
	enum store_err err;
	uint64_t lsn;

	err = store_conversation(t, id, NULL, &v, &lsn);
	assert_true(lsn <= store_durable(s));
	store_view_fini(&v);
	return (err);
}

/* What store_each visits. */
static int
add_name(const char *tenant, const struct conversation_view *v,
    struct item *const *items, size_t n, void *arg)
{

	(void)items;
	assert_string_equal(tenant, "acme");
	buf_addf(arg, "%s %ju %zu,", v->id, (uintmax_t)v->version, n);
	return (0);
}

/* A creation is not there yet, a deletion has not been. */
static void
there_or_not(void **state)
{
	struct list_query q = { .limit = 9, .order = STORE_DESC };
	struct change ch = change_of(CHANGE_CONVERSATION_CREATE, "new");
	struct buf b = BUF_INITIALIZER;
	struct list_page p;

	(void)state;
	assert_int_equal(state_create(s, t, "old", NULL, NULL, NULL), 0);
	usleep(2000);
	assert_int_equal(state_create(s, t, "newer", NULL, NULL, NULL), 0);
	usleep(2000);
	assert_int_equal(state_append(s, t, "newer", "i", "x", NULL, NULL), 0);
	hold_disk();
	(void)change(&ch);
	assert_true(fault_gate_await());
	ch = change_of(CHANGE_CONVERSATION_DELETE, "newer");
	(void)change(&ch);
	/* It would stand first. */
	ch = change_of(CHANGE_CONVERSATION_UPDATE, "old");
	ch.has_title = true;
	(void)change(&ch);
	break_journal();
	assert_int_equal(look_at("new"), STORE_NOENT);
	assert_int_equal(look_at("newer"), STORE_OK);
	assert_int_equal(store_list(t, &q, &p), STORE_OK);
	assert_int_equal(p.nviews, 2);
	assert_string_equal(p.views[0].id, "newer");
	assert_string_equal(p.views[1].id, "old");
	assert_int_equal(p.views[1].version, 1);
	store_list_fini(&p);
	assert_int_equal(state_append(s, t, "old", "i", "x", NULL, NULL),
	    STORE_FULL);
	assert_int_equal(store_each(s, "acme", add_name, &b), 0);
	buf_addc(&b, '\0');
	assert_string_equal(b.data, "newer 2 1,old 1 0,");
	buf_fini(&b);
	q.after_id = "new";
	assert_int_equal(store_list(t, &q, &p), STORE_NOCURSOR);
	store_list_fini(&p);
	q.after_id = "newer";
	assert_int_equal(store_list(t, &q, &p), STORE_OK);
	assert_int_equal(p.nviews, 1);
	store_list_fini(&p);
	mend_journal();
	assert_int_equal(look_at("new"), STORE_OK);
	assert_int_equal(look_at("newer"), STORE_NOENT);
}

/* What the walk below met, and who opens the gate to the disk. */
struct meeting {
	uint64_t	 lsn;		/* of the deletion */
	atomic_bool	 has_met;
	bool		 was_early;	/* the deletion was not durable */
};

static int
meet(const char *tenant, const struct conversation_view *v,
    struct item *const *items, size_t n, void *arg)
{
	struct meeting *m = arg;

	(void)tenant;
	(void)items;
	(void)n;
	assert_string_equal(v->id, "c2");
	m->was_early = store_durable(s) < m->lsn;
	atomic_store(&m->has_met, true);
	return (0);
}

/* Let the disk go on when the walk has come by, or waits, as it seems. */
static void *
open_gate(void *arg)
{
	struct meeting *m = arg;
	int i;

	for (i = 0; i < 100 && !atomic_load(&m->has_met); i++)
		usleep(3000);
	fault_gate_open();
	return (NULL);
}

/* Whoever walks past one that is deleted has seen that it is. */
static void
deletion_waits(void **state)
{
	struct change ch = change_of(CHANGE_CONVERSATION_DELETE, "c1");
	struct meeting m = { 0 };
	pthread_t thread;

	(void)state;
	assert_int_equal(state_create(s, t, "c1", NULL, NULL, NULL), 0);
	assert_int_equal(state_create(s, t, "c2", NULL, NULL, NULL), 0);
	fault_gate_close(FAULT_FDATASYNC);
	m.lsn = change(&ch);
	assert_true(fault_gate_await());
	assert_int_equal(pthread_create(&thread, NULL, open_gate, &m), 0);
	assert_int_equal(store_each(s, "acme", meet, &m), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_true(m.has_met);
	assert_false(m.was_early);
}

/* A damaged one that is deleted is still damaged. */
static void
damaged(void **state)
{
	struct change ch = change_of(CHANGE_CONVERSATION_DELETE, "c1");
	struct list_query q = { .limit = 9 };
	struct list_page p;

	(void)state;
	assert_int_equal(state_create(s, t, "c1", NULL, NULL, NULL), 0);
	assert_int_equal(store_flush(s), 0);
	close_store();
	state_write(dir, "tenants/acme/conversations/c1.json", "", 0);
	/* Nor does the journal reach back to it. */
	remove_journal();
	open_store(dir);
	assert_int_equal(look_at("c1"), STORE_DAMAGED);
	hold_disk();
	(void)change(&ch);
	assert_true(fault_gate_await());
	break_journal();
	assert_int_equal(look_at("c1"), STORE_DAMAGED);
	assert_int_equal(store_list(t, &q, &p), STORE_OK);
	assert_int_equal(p.nviews, 0);
	store_list_fini(&p);
	mend_journal();
	assert_int_equal(look_at("c1"), STORE_NOENT);
}

/* A new key opens nothing yet, a revoked one still does. */
static void
keys_and_tenants(void **state)
{
	struct credential one = { .id = "key_1", .hash = { 1 } }, two = {
	    .id = "key_2", .hash = { 2 } };
	struct change ch = { .kind = CHANGE_APIKEY_ADD, .credential = &one };
	struct tenant *other;
	struct outcome o;
	char id[ID_SIZE];
	uint64_t lsn;

	(void)state;
	assert_int_equal(state_commit(s, t, &ch, NULL), STORE_OK);
	hold_disk();
	ch.credential = &two;
	(void)change(&ch);
	assert_true(fault_gate_await());
	ch.kind = CHANGE_APIKEY_REVOKE;
	ch.credential = &one;
	(void)change(&ch);
	ch = (struct change){ .kind = CHANGE_TENANT_CREATE, .tenant = "b" };
	assert_int_equal(store_commit(s, NULL, &ch, &o), STORE_OK);
	break_journal();
	assert_int_equal(store_apikey_check(t, one.hash, id, &lsn), STORE_OK);
	assert_true(lsn <= store_durable(s));
	assert_int_equal(store_apikey_check(t, two.hash, id, &lsn),
	    STORE_NOENT);
	assert_int_equal(store_tenant_get(s, "b", 1, &other), STORE_NOENT);
	/* Nor is anything of tenants changed now, in any way. */
	assert_int_equal(store_commit(s, NULL, &ch, &o), STORE_FULL);
	assert_int_equal(o.lsn, 0);
	mend_journal();
	assert_int_equal(store_apikey_check(t, one.hash, id, &lsn),
	    STORE_NOENT);
	assert_int_equal(store_apikey_check(t, two.hash, id, &lsn), STORE_OK);
	assert_int_equal(store_tenant_get(s, "b", 1, &other), STORE_OK);
	store_tenant_put(other);
}

static size_t
count_keys(enum store_err (*keys)(struct tenant *, struct credential **,
    size_t *, uint64_t *), struct tenant *of)
{
	struct credential *v;
	uint64_t lsn;
	size_t n;

	assert_int_equal(keys(of, &v, &n, &lsn), STORE_OK);
	store_credentials_free(v, n);
	return (n);
}

/* Nor do those that a tenant comes with, to who had found it before. */
static void
keys_of_new_tenants(void **state)
{
	struct credential k = { .id = "key_1", .hash = { 1 } };
	struct change ch = { .kind = CHANGE_TENANT_CREATE, .tenant = "b",
	    .apikeys = &k, .napikeys = 1, .jwtkeys = &k, .njwtkeys = 1 };
	struct tenant *b;
	struct outcome o;
	char id[ID_SIZE];
	uint64_t lsn;

	(void)state;
	hold_disk();
	assert_int_equal(store_commit(s, NULL, &ch, &o), STORE_OK);
	assert_true(fault_gate_await());
	assert_int_equal(store_tenant_get(s, "b", 1, &b), STORE_OK);
	assert_int_equal(store_apikey_check(b, k.hash, id, &lsn), STORE_OK);
	assert_int_equal(lsn, o.lsn);
	break_journal();
	assert_int_equal(store_apikey_check(b, k.hash, id, &lsn),
	    STORE_NOENT);
	assert_true(lsn <= store_durable(s));
	assert_int_equal(count_keys(store_apikeys, b), 0);
	assert_int_equal(count_keys(store_jwtkeys, b), 0);
	mend_journal();
	assert_int_equal(store_apikey_check(b, k.hash, id, &lsn), STORE_OK);
	assert_int_equal(count_keys(store_apikeys, b), 1);
	assert_int_equal(count_keys(store_jwtkeys, b), 1);
	store_tenant_put(b);
}

/*
 * What was loaded is durable, whatever lsn it brought along: of a store whose
 * journal is gone the numbers begin low, and rise when a tenant comes in.
 */
static void
loaded_meanwhile(void **state)
{
	struct credential k = { .id = "key_1", .hash = { 1 } };
	struct change ch = { .kind = CHANGE_APIKEY_ADD, .credential = &k };
	struct list_query q = { .limit = 9 };
	struct tenant *other;
	struct list_page p;
	char id[ID_SIZE];
	uint64_t lsn;
	int i;

	(void)state;
	for (i = 0; i < 50; i++)
		assert_int_equal(state_create(s, t, i == 0 ? "c1" : "c2",
		    NULL, NULL, NULL), i < 2 ? STORE_OK : STORE_EXISTS);
	for (i = 0; i < 50; i++)
		assert_int_equal(state_retitle(s, t, "c1", "t"), 0);
	assert_int_equal(state_commit(s, t, &ch, NULL), STORE_OK);
	close_store();
	remove_journal();
	s = state_open(dir);
	other = state_tenant(s, "other");
	hold_disk();
	ch = (struct change){ .kind = CHANGE_TENANT_CREATE, .tenant = "b" };
	(void)change(&ch);
	assert_true(fault_gate_await());
	break_journal();
	/* It stays so, but files can be read. */
	fault_arm_forever(FAULT_PWRITEV | FAULT_FDATASYNC, 1, ENOSPC);
	assert_true(store_durable(s) < 50);
	t = state_tenant(s, "acme");
	assert_int_equal(look_at("c1"), STORE_OK);
	assert_int_equal(store_list(t, &q, &p), STORE_OK);
	assert_int_equal(p.nviews, 2);
	assert_true(p.lsn <= store_durable(s));
	store_list_fini(&p);
	assert_int_equal(store_apikey_check(t, k.hash, id, &lsn), STORE_OK);
	assert_true(lsn <= store_durable(s));
	mend_journal();
	store_tenant_put(other);
}

/* --- bounds ------------------------------------------------------------- */

/* What is kept is what waits for the disk, and one more. */
static void
no_more_than_needed(void **state)
{
	struct change ch = change_of(CHANGE_CONVERSATION_DELETE, "c1");
	struct credential k = { .id = "key_1" };
	struct change add = { .kind = CHANGE_APIKEY_ADD, .credential = &k };
	struct undo *one, *before = NULL;
	struct conversation *c;
	char item[16];
	int i;

	(void)state;
	assert_int_equal(state_create(s, t, "c1", NULL, NULL, NULL), 0);
	assert_non_null(c = tenant_hold(t, "c1"));
	for (i = 0; i < 50; i++) {
		snprintf(item, sizeof(item), "i%d", i);
		assert_int_equal(state_append(s, t, "c1", item, "x", NULL,
		    NULL), 0);
		assert_non_null(one = TAILQ_FIRST(&c->undos.list));
		/* The same again: none was made. */
		assert_true(i < 2 || one == before);
		before = one;
		assert_ptr_equal(TAILQ_FIRST(&c->undos.list),
		    TAILQ_LAST(&c->undos.list, undo_list));
		/* There is one to take, not one more. */
		assert_null(c->undos.spare);
	}
	assert_int_equal(store_flush(s), 0);
	assert_null(TAILQ_FIRST(&c->undos.list));
	assert_null(c->undos.spare);
	(void)store_wait(s, change(&ch));
	assert_int_equal(store_flush(s), 0);
	assert_null(TAILQ_FIRST(&c->undos.list));
	conversation_put(c);
	for (i = 0; i < 2; i++) {
		assert_int_equal(state_commit(s, t, &add, NULL), STORE_OK);
		assert_non_null(t->apikeys.past);
		assert_int_equal(store_flush(s), 0);
		assert_null(t->apikeys.past);
		add.kind = CHANGE_APIKEY_REVOKE;
	}
}

/* A start leaves none. */
static void
replay_makes_none(void **state)
{
	struct conversation *c;

	(void)state;
	assert_int_equal(state_create(s, t, "c1", NULL, NULL, NULL), 0);
	assert_int_equal(state_append(s, t, "c1", "a", "x", NULL, NULL), 0);
	state_copy(dir, side);
	close_store();
	open_store(side);
	assert_non_null(c = tenant_hold(t, "c1"));
	assert_int_equal(c->version, 2);
	assert_null(TAILQ_FIRST(&c->undos.list));
	assert_null(c->undos.spare);
	conversation_put(c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(there_or_not),
		TEST(deletion_waits),
		TEST(damaged),
		TEST(keys_and_tenants),
		TEST(keys_of_new_tenants),
		TEST(loaded_meanwhile),
		TEST(no_more_than_needed),
		TEST(replay_makes_none),
	};

	fault_init();
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
