/*
 * What clients are told while the disk is sick (promises 2, 3 and 8): the real
 * loops, routes and store, over sockets, and a disk that fails or hangs when
 * the test says so.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bsd/string.h>

#include <cmocka.h>
#include <jansson.h>

#include "caller.h"
#include "conf/conf.h"
#include "fault.h"
#include "fcgi/auth.h"
#include "fcgi/tally.h"
#include "fcgi/worker.h"
#include "logged.h"
#include "state.h"
#include "tempdir.h"

static char dir[STATE_PATH];
static struct store *s;
static struct tenant *t;
static struct conf conf;
static struct edge edge;
static struct helper *helper;
static struct workers *workers;
static struct workers_options options;
static char socket_path[108], control_path[108];
static int dirfd_;
static char key[AUTH_KEY_SIZE];		/* of the tenant */
static struct client *c;

/* --- the daemon's inside ------------------------------------------------ */

/* A key of the tenant's, in the change that adds it. */
static void
mint(struct change *ch, struct credential *k, const char *id,
    char plain[AUTH_KEY_SIZE])
{

	memset(k, 0, sizeof(*k));
	strlcpy(k->id, id, sizeof(k->id));
	auth_key_mint("acme", plain, k->hash);
	*ch = (struct change){ .kind = CHANGE_APIKEY_ADD, .credential = k };
}

static void
start_workers(void)
{

	options.helper = helper = helper_new(2, 8);
	assert_non_null(helper);
	assert_non_null(workers = workers_start(&options));
}

static void
stop_workers(void)
{

	workers_stop(workers);
	helper_free(helper);
	workers_free(workers);
}

static struct client *
dial(void)
{
	return (dial_at(socket_path));
}

/* How long a request may take. */
static void
set_timeout(uint64_t ms)
{

	client_close(c);
	stop_workers();
	atomic_store(&edge.tallies->is_stopping, false);
	conf.request_timeout = ms;
	start_workers();
	c = dial();
}

static int
setup(void **state)
{
	struct credential k;
	struct change ch;

	(void)state;
	state_folder(dir);
	s = state_open(dir);
	t = state_tenant(s, "acme");
	mint(&ch, &k, "key_1", key);
	assert_int_equal(state_commit(s, t, &ch, NULL), STORE_OK);
	conf = (struct conf){ .max_body = 1 << 20, .max_item = 1 << 20,
	    .max_items_per_request = 100, .request_timeout = 60000 };
	edge = (struct edge){ .store = s, .conf = &conf,
	    .tallies = tallies_new(2) };
	assert_non_null(edge.tallies);
	dirfd_ = tempdir_open();
	options = (struct workers_options){ .edge = &edge, .n = 2,
	    .max_conns = 100, .stop_ms = 300 };
	options.public_fd = tempdir_listen("public", socket_path);
	options.control_fd = tempdir_listen("control", control_path);
	start_workers();
	c = dial();
	return (0);
}

static int
teardown(void **state)
{

	(void)state;
	logged_stop();
	fault_disarm();
	client_close(c);
	stop_workers();
	close(options.public_fd);
	close(options.control_fd);
	tallies_free(edge.tallies);
	tempdir_close(dirfd_);
	store_tenant_put(t);
	state_close(s);
	state_remove(dir);
	return (0);
}

/* --- calls -------------------------------------------------------------- */

static void
ask_as(struct client *by, const char *as, const char *method, const char *uri,
    const char *header, const char *body)
{
	char authorization[256];
	const char *headers[] = { authorization, header, NULL };

	snprintf(authorization, sizeof(authorization),
	    "Authorization: Bearer %s", as);
	assert_int_equal(client_send_request(by, method, uri, headers, body,
	    strlen(body)), 0);
}

/* Send a request and do not wait; the connection is new. */
static struct client *
ask(const char *method, const char *uri, const char *header,
    const char *body)
{
	struct client *by = dial();

	ask_as(by, key, method, uri, header, body);
	return (by);
}

/* The reply, by its status and what its headers and body hold. */
static void
told(struct client *by, int status, const char *header, const char *body)
{
	struct client_reply r;

	assert_int_equal(client_read_reply(by, &r), 0);
	if (r.status != status || (header != NULL &&
	    strstr(r.headers, header) == NULL) || strstr(r.body, body) == NULL)
		fail_msg("%d\n%s\n%s\ninstead of %d %s %s", r.status,
		    r.headers, r.body, status, header, body);
	client_reply_fini(&r);
}

/* And then the connection is not needed any more. */
static void
answered(struct client *by, int status, const char *header, const char *body)
{

	told(by, status, header, body);
	client_close(by);
}

/* Asked, and answered. */
static void
at_once(const char *method, const char *uri, const char *header,
    const char *body, int status, const char *in_header, const char *in_body)
{

	ask_as(c, key, method, uri, header, body);
	told(c, status, in_header, in_body);
}

/* The text of one of a conversation's items, or NULL behind the last. */
static int
count_items(const char *id)
{
	struct client_reply r;
	char uri[128];
	json_t *json;
	int n;

	snprintf(uri, sizeof(uri), "/v1/conversations/%s/items", id);
	ask_as(c, key, "GET", uri, NULL, "");
	assert_int_equal(client_read_reply(c, &r), 0);
	assert_int_equal(r.status, 200);
	json = json_loads(r.body, 0, NULL);
	n = (int)json_array_size(json_object_get(json, "data"));
	json_decref(json);
	client_reply_fini(&r);
	return (n);
}

#define MESSAGE(text)							\
	"{\"items\":[{\"role\":\"user\",\"content\":\"" text "\"}]}"

/* --- the disk ----------------------------------------------------------- */

static void
hold_disk(void)
{

	fault_gate_close(FAULT_FDATASYNC);
}

static void
await_health(enum store_err err)
{
	int i;

	for (i = 0; i < 400 && store_health(s) != err; i++)
		usleep(25 * 1000);
	assert_int_equal(store_health(s), err);
}

static void
break_disk(int error)
{

	fault_arm_forever(FAULT_FDATASYNC | FAULT_FSYNC | FAULT_PWRITEV |
	    FAULT_OPENAT, 1, error);
	fault_gate_open();
	await_health(error == ENOSPC ? STORE_FULL : STORE_SICK);
}

static void
mend_disk(void)
{

	fault_disarm();
	await_health(STORE_OK);
}

/* --- tests -------------------------------------------------------------- */

/* "c1" with one item, and a change that stands before the disk. */
static struct client *
one_pending(void)
{
	struct client *by;

	assert_int_equal(state_create(s, t, "c1", NULL, NULL, NULL), 0);
	assert_int_equal(state_append(s, t, "c1", "old", "of old", NULL, NULL),
	    0);
	hold_disk();
	by = ask("POST", "/v1/conversations/c1/items", "Idempotency-Key: k",
	    MESSAGE("new"));
	assert_true(fault_gate_await());
	return (by);
}

/* The journal breaks under those that wait. */
static void
breaks(void **state)
{
	struct client *send, *get, *items, *item, *list, *head, *match;

	(void)state;
	send = one_pending();
	get = ask("GET", "/v1/conversations/c1", NULL, "");
	items = ask("GET", "/v1/conversations/c1/items", NULL, "");
	item = ask("GET", "/v1/conversations/c1/items/old", NULL, "");
	list = ask("GET", "/v1/conversations", NULL, "");
	head = ask("HEAD", "/v1/conversations/c1", NULL, "");
	match = ask("POST", "/v1/conversations/c1", "If-Match: \"2\"",
	    "{\"metadata\":{}}");
	assert_true(is_silent(list, 20) && is_silent(match, 20) &&
	    is_silent(send, 20));
	break_disk(ENOSPC);
	answered(send, 503, "Retry-After: 1", "\"outcome_unknown\"");
	answered(get, 200, "ETag: \"2\"", "\"item_count\":1");
	answered(items, 200, "ETag: \"2\"", "of old");
	answered(item, 200, NULL, "of old");
	answered(list, 200, NULL, "\"version\":2");
	answered(head, 200, "ETag: \"2\"", "");
	/* Refused because of what might never be: it is refused anew. */
	answered(match, 507, "Retry-After: 10", "\"storage_full\"");

	/* Whoever comes now waits for nothing. */
	at_once("GET", "/v1/conversations/c1/items", NULL, "", 200,
	    "ETag: \"2\"", "of old");
	at_once("GET", "/v1/conversations/c1", "If-None-Match: \"2\"", "", 304,
	    "ETag: \"2\"", "");
	at_once("GET", "/v1/conversations/c1", "If-None-Match: \"3\"", "", 200,
	    "ETag: \"2\"", "\"version\":2");
	at_once("GET", "/v1/conversations", NULL, "", 200, NULL,
	    "\"preview\":\"of old\"");
	assert_int_equal(count_items("c1"), 1);
	at_once("POST", "/v1/conversations/c1/items", NULL, MESSAGE("more"),
	    507, "x-should-retry: false", "nothing was changed");
	at_once("POST", "/v1/conversations", NULL, "{}", 507, "Retry-After",
	    "\"storage_full\"");
	/* But of what waits that may not be said. */
	at_once("POST", "/v1/conversations/c1/items", "Idempotency-Key: k",
	    MESSAGE("new"), 503, "Retry-After: 1", "\"outcome_unknown\"");
	mend_disk();

	at_once("POST", "/v1/conversations/c1/items", "Idempotency-Key: k",
	    MESSAGE("new"), 200, "ETag: \"3\"", "\"text\":\"new\"");
	assert_int_equal(count_items("c1"), 2);
}

/* Not only for want of space; and retries of what is durable are answered. */
static void
fails(void **state)
{
	struct client *send;

	(void)state;
	assert_int_equal(state_create(s, t, "c2", NULL, NULL, NULL), 0);
	at_once("POST", "/v1/conversations/c2/items", "Idempotency-Key: 2",
	    MESSAGE("two"), 200, "ETag: \"2\"", "two");
	at_once("POST", "/v1/responses", "Idempotency-Key: r", "{\"model\":"
	    "\"recall\",\"conversation\":\"c2\",\"input\":\"two?\"}", 200,
	    "ETag: \"3\"", "resp_");
	send = one_pending();
	break_disk(EIO);
	answered(send, 503, "Retry-After: 1", "\"outcome_unknown\"");
	at_once("POST", "/v1/conversations/c2/items", "Idempotency-Key: 3",
	    MESSAGE("more"), 503, "Retry-After: 1", "\"storage_unavailable\"");
	at_once("POST", "/v1/responses", NULL, "{\"model\":\"recall\","
	    "\"conversation\":\"c2\",\"input\":\"more?\"}", 503,
	    "Retry-After: 1", "\"storage_unavailable\"");
	at_once("POST", "/v1/conversations/c2/items", "Idempotency-Key: 2",
	    MESSAGE("two"), 200, "ETag: \"2\"", "two");
	at_once("POST", "/v1/responses", "Idempotency-Key: r", "{\"model\":"
	    "\"recall\",\"conversation\":\"c2\",\"input\":\"two?\"}", 200,
	    "ETag: \"3\"", "resp_");
	assert_int_equal(count_items("c2"), 3);
	mend_disk();
	assert_int_equal(count_items("c2"), 3);
}

/* A key that may be taken back serves nobody; one that may come back does. */
static void
keys(void **state)
{
	struct credential k, gone;
	struct change ch;
	struct outcome o;
	struct client *by_new, *by_old;
	char plain[AUTH_KEY_SIZE], old[AUTH_KEY_SIZE];

	(void)state;
	assert_int_equal(state_create(s, t, "c1", NULL, NULL, NULL), 0);
	mint(&ch, &gone, "key_3", old);
	assert_int_equal(state_commit(s, t, &ch, NULL), STORE_OK);
	hold_disk();
	mint(&ch, &k, "key_2", plain);
	assert_int_equal(store_commit(s, t, &ch, &o), STORE_OK);
	assert_true(fault_gate_await());
	ch = (struct change){ .kind = CHANGE_APIKEY_REVOKE,
	    .credential = &gone };
	assert_int_equal(store_commit(s, t, &ch, &o), STORE_OK);
	by_new = dial();
	ask_as(by_new, plain, "GET", "/v1/conversations/c1", NULL, "");
	by_old = dial();
	ask_as(by_old, old, "GET", "/v1/conversations/c1", NULL, "");
	assert_true(is_silent(by_new, 20) && is_silent(by_old, 20));
	break_disk(EIO);
	/* Both were parked with the other answer. */
	told(by_new, 401, "WWW-Authenticate", "\"invalid_api_key\"");
	told(by_old, 200, NULL, "\"id\":\"c1\"");
	ask_as(by_new, plain, "GET", "/v1/conversations/c1", NULL, "");
	told(by_new, 401, NULL, "\"invalid_api_key\"");
	mend_disk();
	ask_as(by_new, plain, "GET", "/v1/conversations/c1", NULL, "");
	answered(by_new, 200, NULL, "\"id\":\"c1\"");
	ask_as(by_old, old, "GET", "/v1/conversations/c1", NULL, "");
	answered(by_old, 401, NULL, "\"invalid_api_key\"");
}

/* A slow disk: what is durable is read, what is pending waits. */
static void
slow(void **state)
{
	struct client *send, *again, *counted, *items, *list;

	(void)state;
	assert_int_equal(state_create(s, t, "c2", NULL, NULL, NULL), 0);
	send = one_pending();
	at_once("GET", "/v1/conversations/c2", NULL, "", 200, NULL, "c2");
	at_once("GET", "/v1/conversations/c2/items", NULL, "", 200, NULL, "[]");
	at_once("GET", "/v1/models", NULL, "", 200, NULL, "recall");
	items = ask("GET", "/v1/conversations/c1/items", NULL, "");
	list = ask("GET", "/v1/conversations", NULL, "");
	/* Retries wait with the first, however they are known. */
	again = ask("POST", "/v1/conversations/c1/items", "Idempotency-Key: k",
	    MESSAGE("new"));
	counted = ask("POST", "/v1/conversations/c1/items",
	    "x-stainless-retry-count: 1", MESSAGE("new"));
	assert_true(is_silent(send, 20) && is_silent(again, 20) &&
	    is_silent(counted, 20) && is_silent(items, 20) &&
	    is_silent(list, 20));
	fault_gate_open();
	answered(send, 200, "ETag: \"3\"", "\"text\":\"new\"");
	answered(again, 200, "ETag: \"3\"", "\"text\":\"new\"");
	answered(counted, 200, "ETag: \"3\"", "\"text\":\"new\"");
	answered(items, 200, "ETag: \"3\"", "\"text\":\"new\"");
	answered(list, 200, NULL, "\"version\":3");
	assert_int_equal(count_items("c1"), 2);
}

/* What is seen of it from outside. */
static void
looks(bool hangs)
{
	struct client *by = client_open(control_path, TIMEOUT_MS);
	struct store_stats stats;

	ask_as(by, key, "GET", "/admin/v1/status", NULL, "");
	answered(by, 200, NULL, hangs ? "\"health\":\"hangs\"" :
	    "\"health\":\"ok\"");
	at_once("GET", "/readyz", NULL, "", hangs ? 503 : 200, NULL,
	    hangs ? "[\"disk_hangs\"]" : "\"ready\"");
	store_stats(s, &stats);
	assert_int_equal(stats.hangs, hangs);
}

/* A disk that hangs: nobody waits longer than a request may. */
static void
hangs(void **state)
{
	struct client *send, *items, *list, *match, *again;

	(void)state;
	set_timeout(300);
	logged_start();
	send = one_pending();
	looks(false);
	items = ask("GET", "/v1/conversations/c1/items", NULL, "");
	list = ask("GET", "/v1/conversations", NULL, "");
	match = ask("POST", "/v1/conversations/c1", "If-Match: \"2\"",
	    "{\"metadata\":{}}");
	answered(send, 503, "Retry-After: 1", "\"outcome_unknown\"");
	answered(items, 200, "ETag: \"2\"", "of old");
	answered(list, 200, NULL, "\"version\":2");
	answered(match, 503, "Retry-After: 1", "\"storage_unavailable\"");
	assert_int_equal(count_items("c1"), 1);
	/* It hangs on, and so does who sends. */
	again = ask("POST", "/v1/conversations/c1/items", "Idempotency-Key: k",
	    MESSAGE("new"));
	answered(again, 503, NULL, "\"outcome_unknown\"");
	looks(true);
	assert_int_equal(logged_times("the disk hangs, no change became"), 1);
	assert_int_equal(logged_times("the disk hangs"), 1);
	logged_start();
	set_timeout(60000);
	again = ask("POST", "/v1/conversations/c1/items", "Idempotency-Key: k",
	    MESSAGE("new"));
	assert_true(is_silent(again, 20));
	fault_gate_open();
	answered(again, 200, "ETag: \"3\"", "\"text\":\"new\"");
	assert_int_equal(count_items("c1"), 2);
	looks(false);
	/* What is pending is waited for again. */
	hold_disk();
	send = ask("DELETE", "/v1/conversations/c1/items/old", NULL, "");
	assert_true(fault_gate_await());
	looks(false);
	assert_int_equal(logged_times("the disk hangs no more"), 1);
	assert_int_equal(logged_times("the disk hangs"), 1);
	items = ask("GET", "/v1/conversations/c1/items", NULL, "");
	assert_true(is_silent(items, 20));
	fault_gate_open();
	answered(send, 200, NULL, "\"item_count\":1");
	answered(items, 200, "ETag: \"4\"", "\"new\"");
}

/* A client that only counts: what it repeats while the first is pending. */
static void
only_counted(void **state)
{
	static const char *const count[] = { "x-stainless-retry-count: 0",
	    "x-stainless-retry-count: 1" };
	static const char create[] = "{\"metadata\":{\"a\":\"b\"}}",
	    answer[] = "{\"model\":\"recall\",\"conversation\":\"c1\","
	    "\"input\":\"of old?\"}", alone[] = "{\"model\":\"recall\","
	    "\"input\":\"of old?\"}";
	struct client *one, *two, *other, *made[2];
	struct client_reply r[2];
	int i;

	(void)state;
	assert_int_equal(state_create(s, t, "c1", NULL, NULL, NULL), 0);
	assert_int_equal(state_create(s, t, "c2", NULL, NULL, NULL), 0);
	assert_int_equal(state_append(s, t, "c1", "old", "of old", NULL, NULL),
	    0);
	hold_disk();
	one = ask("POST", "/v1/responses", count[0], answer);
	assert_true(fault_gate_await());
	two = ask("POST", "/v1/responses", count[1], answer);
	/* Never without a conversation, nor for a new one. */
	for (i = 0; i < 2; i++)
		made[i] = ask("POST", "/v1/conversations", count[i], create);
	/* Of another path, or method: no POST counts. */
	other = ask("POST", "/v1/conversations/c2/items", count[1],
	    MESSAGE("other"));
	assert_true(is_silent(one, 20) && is_silent(two, 20) &&
	    is_silent(made[0], 20) && is_silent(made[1], 20) &&
	    is_silent(other, 20));
	fault_gate_open();
	assert_int_equal(client_read_reply(one, &r[0]), 0);
	assert_int_equal(client_read_reply(two, &r[1]), 0);
	assert_int_equal(r[0].status, 200);
	assert_string_equal(r[0].body, r[1].body);
	for (i = 0; i < 2; i++)
		client_reply_fini(&r[i]);
	client_close(one);
	client_close(two);
	answered(other, 200, NULL, "other");
	assert_int_equal(count_items("c1"), 3);
	assert_int_equal(count_items("c2"), 1);
	for (i = 0; i < 2; i++) {
		assert_int_equal(client_read_reply(made[i], &r[i]), 0);
		assert_int_equal(r[i].status, 200);
	}
	assert_string_not_equal(r[0].body, r[1].body);
	for (i = 0; i < 2; i++) {
		client_reply_fini(&r[i]);
		client_close(made[i]);
	}
	/* Two answers of the agent: it keeps none. */
	for (i = 0; i < 2; i++) {
		ask_as(c, key, "POST", "/v1/responses", count[i], alone);
		assert_int_equal(client_read_reply(c, &r[i]), 0);
	}
	assert_string_not_equal(r[0].body, r[1].body);
	client_reply_fini(&r[0]);
	client_reply_fini(&r[1]);
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(breaks),
		TEST(fails),
		TEST(keys),
		TEST(slow),
		TEST(hangs),
		TEST(only_counted),
	};

	fault_init();
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
