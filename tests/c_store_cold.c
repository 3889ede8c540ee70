/*
 * store.h: tenants and their keys, from the first change to a start that has
 * documents alone: what is cold says so, comes once, and is all there.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "store/lock.h"
#include "store/store.h"
#include "tests/fault.h"
#include "tests/opened.h"

static void
credentials(void **state)
{
	struct credential k = { .id = "key_1", .label = "one",
	    .created_at = 5 }, *v;
	struct change ch = { .kind = CHANGE_APIKEY_ADD, .credential = &k };
	unsigned char hash[KEY_HASH_SIZE];
	char id[ID_SIZE];
	uint64_t lsn;
	size_t n;
	int round;

	(void)state;
	memset(k.hash, 7, sizeof(k.hash));
	memcpy(hash, k.hash, sizeof(hash));
	assert_int_equal(state_commit(s, t, &ch, NULL), 0);
	assert_int_equal(state_commit(s, t, &ch, NULL), STORE_EXISTS);
	ch.kind = CHANGE_JWTKEY_ADD;
	memset(k.secret, 9, 32);
	k.secret_len = 32;
	assert_int_equal(state_commit(s, t, &ch, NULL), 0);
	for (round = 0; round < 3; round++) {
		assert_int_equal(store_apikey_check(t, hash, id, &lsn), 0);
		assert_string_equal(id, "key_1");
		hash[31] ^= 1;
		assert_int_equal(store_apikey_check(t, hash, id, &lsn),
		    STORE_NOENT);
		hash[31] ^= 1;
		assert_int_equal(store_jwtkeys(t, &v, &n, &lsn), 0);
		assert_int_equal(n, 1);
		assert_int_equal(v[0].secret_len, 32);
		assert_memory_equal(v[0].secret, k.secret, 32);
		store_credentials_free(v, n);
		reopen();
	}
	ch.kind = CHANGE_APIKEY_REVOKE;
	assert_int_equal(state_commit(s, t, &ch, NULL), 0);
	assert_int_equal(state_commit(s, t, &ch, NULL), STORE_NOENT);
	assert_int_equal(store_apikey_check(t, hash, id, &lsn), STORE_NOENT);
	assert_int_equal(store_apikeys(t, &v, &n, &lsn), 0);
	assert_int_equal(n, 0);
	assert_null(v);
}

/* Cold at first: one level a call, and no call blocks in between. */
static void
cold(void **state)
{
	struct change ch = change_of(CHANGE_CONVERSATION_CREATE, "c2");
	struct conversation_view v;
	struct list_query q = { .limit = 5 };
	struct list_page l;
	struct outcome o;
	uint64_t lsn;

	(void)state;
	assert_int_equal(state_create(s, t, "c1", NULL, NULL, NULL), 0);
	close_store();
	/* Closed well, the journal is in documents: nothing is replayed. */
	s = state_open(dir);
	state_close(s);
	remove_journal();
	s = state_open(dir);
	assert_int_equal(store_tenant_get(s, "none", 4, &t), STORE_NOENT);
	assert_int_equal(store_tenant_get(s, "../x", 4, &t), STORE_NOENT);
	assert_int_equal(store_warm(s, "none", 4), STORE_NOENT);
	assert_int_equal(store_tenant_get(s, "acme", 4, &t), STORE_COLD);
	assert_int_equal(store_warm(s, "acme", 4), STORE_OK);
	assert_int_equal(store_tenant_get(s, "acme", 4, &t), STORE_OK);
	assert_int_equal(store_conversation(t, "c1", NULL, &v, &lsn),
	    STORE_COLD);
	assert_int_equal(store_commit(s, t, &ch, &o), STORE_COLD);
	ch.kind = CHANGE_CONVERSATION_UPDATE;
	assert_int_equal(store_commit(s, t, &ch, &o), STORE_COLD);
	assert_int_equal(store_list(t, &q, &l), STORE_COLD);
	store_list_fini(&l);
	assert_int_equal(store_warm(s, "acme", 4), STORE_OK);
	assert_int_equal(store_conversation(t, "c1", NULL, &v, &lsn), 0);
	store_view_fini(&v);
	assert_int_equal(store_warm(s, "acme", 4), STORE_OK);
	ch = (struct change){ .kind = CHANGE_TENANT_CREATE,
	    .tenant = "acme" };
	assert_int_equal(store_commit(s, NULL, &ch, &o), STORE_EXISTS);
}

/*
 * A document that a hand put there may be newer than any number the journal
 * knows of: no change gets one that replay would take for older.
 */
static void
numbers_follow_documents(void **state)
{
	struct outcome o;
	uint64_t newest = 0;
	char id[8];
	int i;

	(void)state;
	assert_int_equal(state_create(s, t, "c1", NULL, NULL, NULL), 0);
	for (i = 0; i < 20; i++) {
		(void)snprintf(id, sizeof(id), "m%d", i);
		assert_int_equal(state_append(s, t, "c1", id, "one", NULL,
		    &o), 0);
		newest = o.lsn;
		store_outcome_fini(&o);
	}
	close_store();
	remove_journal();

	open_store(dir);
	assert_int_equal(state_append(s, t, "c1", "last", "two", NULL, &o), 0);
	assert_true(o.lsn > newest);
	store_outcome_fini(&o);
}

static void
warm(void *arg)
{

	(void)arg;
	assert_int_equal(store_warm(s, "acme", 4), STORE_OK);
}

/* Who comes while another loads waits for it, and not longer. */
static void
cold_for_two(void **state)
{
	static const struct timespec nap = { 0, 30000000 };
	struct thread first, second;

	(void)state;
	close_store();
	s = state_open(dir);
	state_close(s);
	remove_journal();
	s = state_open(dir);
	fault_gate_close(FAULT_READ);
	assert_int_equal(thread_start(&first, "first", warm, NULL), 0);
	assert_true(fault_gate_await());
	assert_int_equal(thread_start(&second, "second", warm, NULL), 0);
	/* Time for the second to begin to wait; one that is late passes. */
	(void)nanosleep(&nap, NULL);
	fault_gate_open();
	thread_join(&first);
	thread_join(&second);
	assert_int_equal(store_tenant_get(s, "acme", 4, &t), STORE_OK);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(credentials),
		TEST(cold),
		TEST(numbers_follow_documents),
		TEST(cold_for_two),
	};

	fault_init();
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
