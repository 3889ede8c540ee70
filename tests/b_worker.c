/*
 * fcgi/worker: what waits is parked and blocks nobody.  The loops are the real
 * ones, over sockets; the store is a number that the test moves, and the
 * handlers do what the address says.
 */

#include <fastcgi.h>

#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf/conf.h"
#include "fcgi/client.h"
#include "fcgi/route.h"
#include "fcgi/tally.h"
#include "fcgi/worker_internal.h"
#include "nomem.h"
#include "store/lock.h"
#include "store/sys.h"
#include "tempdir.h"
#include "wirebytes.h"

#define TIMEOUT_MS	10000

/* --- the store ---------------------------------------------------------- */

struct store_waiter {
	int		 efd;
	uint64_t	 wanted;	/* 0: nothing */
};

/* A body that a loop does not read. */
#define LARGE	((size_t)90000)

static struct lock lck;
static struct store_waiter waiters[4];
static uint64_t durable;
static enum store_err health;
static atomic_uint calls;		/* of route_dispatch */
static atomic_uint warmed;		/* of store_warm */
static atomic_bool is_warm, is_busy, is_shut;
static atomic_uint calls_at_echo;	/* how many there had been */

/* Move what is durable, or break, and wake whom it concerns. */
static void
move(uint64_t lsn, enum store_err err)
{
	size_t i;

	lock_take(&lck);
	for (i = 0; i < 4; i++)
		if (waiters[i].wanted != 0 && (waiters[i].wanted <= lsn ||
		    waiters[i].wanted == UINT64_MAX || err != health)) {
			waiters[i].wanted = 0;
			eventfd_write(waiters[i].efd, 1);
		}
	durable = lsn;
	health = err;
	lock_give(&lck);
}

uint64_t
store_durable(struct store *s)
{
	uint64_t lsn;

	(void)s;
	lock_take(&lck);
	lsn = durable;
	lock_give(&lck);
	return (lsn);
}

enum store_err
store_health(struct store *s)
{
	enum store_err err;

	(void)s;
	lock_take(&lck);
	err = health;
	lock_give(&lck);
	return (err);
}

static uint64_t late_lsn, first_late;

void
store_late(struct store *s, uint64_t lsn)
{
	(void)s;
	lock_take(&lck);
	if (first_late == 0)
		first_late = lsn;
	if (lsn > late_lsn)
		late_lsn = lsn;
	lock_give(&lck);
}

/* What a reader of lsn is shown, as store.h has it. */
static uint64_t
shown(uint64_t lsn)
{
	lock_take(&lck);
	if ((health != STORE_OK || late_lsn > durable) && lsn > durable)
		lsn = durable;
	lock_give(&lck);
	return (lsn);
}

int
store_subscribe(struct store *s, int efd, struct store_waiter **w_r)
{
	size_t i;

	(void)s;
	for (i = 0; i < 4 && waiters[i].efd != 0; i++)
		;
	waiters[i].efd = efd;
	*w_r = &waiters[i];
	return (0);
}

void
store_unsubscribe(struct store *s, struct store_waiter *w)
{
	(void)s;
	lock_take(&lck);
	w->efd = 0;
	w->wanted = 0;
	lock_give(&lck);
}

void
store_want(struct store *s, struct store_waiter *w, uint64_t lsn)
{
	(void)s;
	lock_take(&lck);
	if (lsn <= durable)
		eventfd_write(w->efd, 1);
	else if (w->wanted == 0 || lsn < w->wanted)
		w->wanted = lsn;
	lock_give(&lck);
}

/* In a helper's thread: as slow as the test says. */
enum store_err
store_warm(struct store *s, const char *name, size_t len)
{
	(void)s;
	assert_int_equal(len, 4);
	assert_memory_equal(name, "acme", 4);
	warmed++;
	while (is_shut)
		usleep(1000);
	return (STORE_OK);
}

void
store_tenant_put(struct tenant *t)
{
	(void)t;
}

const char *
store_tenant_name(const struct tenant *t)
{
	(void)t;
	return ("acme");
}

/* Which thread served how many requests. */
static atomic_uint threads_seen;
static struct { atomic_long tid; atomic_uint n; } seen_by[8];

static void
note_thread(void)
{
	long tid = gettid(), none;
	size_t i;

	for (i = 0; i < 8; i++) {
		none = 0;
		if (atomic_compare_exchange_strong(&seen_by[i].tid, &none,
		    tid))
			threads_seen++;
		if (seen_by[i].tid == tid) {
			seen_by[i].n++;
			return;
		}
	}
}

/* --- the handlers ------------------------------------------------------- */

static enum api_verdict
make_cold(struct request *req)
{
	req->cold_tenant = (struct span){ "acme", 4 };
	return (API_COLD);
}

bool
route_blocks(const struct request *req)
{
	return (request_segment_is(req, 0, "blocks"));
}

/* /echo, /away, /blocks, /big/BYTES, /change/LSN, /read/LSN, /slow/LSN (to read
 * what is durable), /cold, /thaw/LSN (cold, then read), /never, /busy */
enum api_verdict
route_dispatch(struct request *req, struct reply *rep)
{
	uint64_t n = 0;

	calls++;
	note_thread();
	if (req->nsegments > 1)
		n = strtoull(req->segments[1].p, NULL, 10);
	if (request_segment_is(req, 0, "echo"))
		calls_at_echo = calls;
	if (request_segment_is(req, 0, "slow") && shown(n) != n)
		usleep(1000);
	if (request_segment_is(req, 0, "away") || route_blocks(req) ||
	    (request_segment_is(req, 0, "slow") && shown(n) != n))
		while (is_shut)
			usleep(1000);
	if (request_segment_is(req, 0, "never"))
		return (make_cold(req));
	if ((request_segment_is(req, 0, "cold") ||
	    request_segment_is(req, 0, "thaw")) && !is_warm)
		return (make_cold(req));
	if (request_segment_is(req, 0, "busy") && is_busy)
		return (API_BUSY);
	reply_start(rep, 200);
	if (request_segment_is(req, 0, "big")) {
		assert_true(buf_reserve(&rep->body, n));
		memset(rep->body.data, 'x', n);
		rep->body.len = n;
		return (API_DONE);
	}
	rep->is_change = request_segment_is(req, 0, "change");
	reply_wait(rep, rep->is_change ? n : shown(n));
	buf_adds(&rep->body, req->is_control ? "control:" : "");
	buf_add(&rep->body, req->body.p, req->body.len);
	return (API_DONE);
}

/* --- the pool ----------------------------------------------------------- */

static struct conf conf;
static struct edge edge;
static struct helper *helper;
static struct workers *workers;
static struct workers_options options;
static char public_path[108], control_path[108];
static int dirfd_;

static int
listen_at(char path[108], const char *name)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd;

	snprintf(path, 108, "%s/%s", tempdir_path, name);
	strcpy(sun.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	assert_int_equal(listen(fd, 100), 0);
	return (fd);
}

static void
stop_workers(void)
{
	workers_stop(workers);
	helper_free(helper);
	workers_free(workers);
	workers = NULL;
}

static int
start(void **state)
{
	(void)state;
	durable = late_lsn = first_late = 0;
	health = STORE_OK;
	is_warm = is_busy = is_shut = false;
	calls = warmed = 0;
	conf = (struct conf){ .max_body = 100000, .request_timeout = 60000 };
	edge = (struct edge){ .conf = &conf, .tallies = tallies_new(4) };
	assert_non_null(edge.tallies);
	dirfd_ = tempdir_open();
	helper = helper_new(2, 8);
	assert_non_null(helper);
	options = (struct workers_options){ .edge = &edge, .helper = helper,
	    .n = 1, .max_conns = 1000, .stop_ms = 300 };
	options.public_fd = listen_at(public_path, "public");
	options.control_fd = listen_at(control_path, "control");
	workers = workers_start(&options);
	assert_non_null(workers);
	return (0);
}

static int
stop(void **state)
{
	(void)state;
	is_shut = false;
	if (workers != NULL)
		stop_workers();
	close(options.public_fd);
	close(options.control_fd);
	tallies_free(edge.tallies);
	tempdir_close(dirfd_);
	return (0);
}

/* Again with other options. */
static void
restart(void)
{
	stop_workers();
	helper = helper_new(2, 8);
	options.helper = helper;
	workers = workers_start(&options);
	assert_non_null(workers);
}

/* --- clients ------------------------------------------------------------ */

static struct client *
dial(void)
{
	struct client *c = client_open(public_path, TIMEOUT_MS);

	assert_non_null(c);
	return (c);
}

static void
send_to(struct client *c, const char *uri, const char *body)
{
	assert_int_equal(client_send_request(c, "POST", uri, NULL, body,
	    strlen(body)), 0);
}

static void
assert_reply(struct client *c, int status, const char *body)
{
	struct client_reply r;

	assert_int_equal(client_read_reply(c, &r), 0);
	assert_int_equal(r.status, status);
	assert_non_null(strstr(r.body, body));
	client_reply_fini(&r);
}

/* Ask and be answered. */
static void
assert_served(struct client *c, const char *body)
{
	send_to(c, "/echo", body);
	assert_reply(c, 200, body);
}

static bool
is_silent(struct client *c, int ms)
{
	struct pollfd pfd = { .fd = client_fd(c), .events = POLLIN };

	return (poll(&pfd, 1, ms) == 0);
}

/* The daemon has closed it, with nothing more to read. */
static void
assert_closed(struct client *c)
{
	struct client_record *r = malloc(sizeof(*r));

	assert_int_equal(client_read_record(c, r), -1);
	assert_true(errno == ECONNRESET || errno == EPIPE);
	free(r);
	client_close(c);
}

static void
send_buf(struct client *c, struct buf *b)
{
	assert_int_equal(client_send(c, b->data, b->len), 0);
	buf_fini(b);
}

/* Wait until the handlers were called n times in all. */
static void
await(atomic_uint *count, unsigned int n)
{
	int64_t end = sys_monotonic_ms() + TIMEOUT_MS;

	while (*count < n) {
		assert_true(sys_monotonic_ms() < end);
		usleep(1000);
	}
}

/* --- tests -------------------------------------------------------------- */

static void
keep_alive(void **state)
{
	struct client *c = dial(), *op = client_open(control_path, TIMEOUT_MS);
	int i;

	(void)state;
	for (i = 0; i < 50; i++)
		assert_served(c, i % 2 == 0 ? "\"a\"" : "\"bcd\"");
	send_to(op, "/echo", "x");
	assert_reply(op, 200, "control:x");
	client_close(op);
	client_close(c);
}

static void
not_kept(void **state)
{
	struct buf b = BUF_INITIALIZER;
	struct client *c = dial();

	(void)state;
	put_request(&b, 1, 0, "POST", "/echo", "3", "abc");
	send_buf(c, &b);
	assert_reply(c, 200, "abc");
	assert_closed(c);
}

static void
one_byte_writes(void **state)
{
	struct buf b = BUF_INITIALIZER;
	struct client *c = dial();
	size_t i;

	(void)state;
	put_request(&b, 1, FCGI_KEEP_CONN, "POST", "/echo", "5", "hello");
	for (i = 0; i < b.len; i++)
		assert_int_equal(client_send(c, b.data + i, 1), 0);
	assert_reply(c, 200, "hello");
	buf_fini(&b);
	assert_served(c, "again");
	client_close(c);
}

/* Each waits for the one before it, and their order stays. */
static void
pipelined(void **state)
{
	struct buf b = BUF_INITIALIZER;
	struct client *c = dial();
	char digit[2] = "0";
	int i;

	(void)state;
	put_request(&b, 1, FCGI_KEEP_CONN, "POST", "/change/5", "4", "slow");
	for (i = 0; i < 9; i++) {
		digit[0] = (char)('0' + i);
		put_request(&b, 1, FCGI_KEEP_CONN, "POST", "/echo", "1",
		    digit);
	}
	send_buf(c, &b);
	await(&calls, 1);
	assert_true(is_silent(c, 50));
	assert_int_equal(calls, 1);
	move(5, STORE_OK);
	assert_reply(c, 200, "slow");
	for (i = 0; i < 9; i++) {
		digit[0] = (char)('0' + i);
		assert_reply(c, 200, digit);
	}
	assert_served(c, "more");
	client_close(c);
}

static void
parked_blocks_nobody(void **state)
{
	struct client *parked[20], *c = dial();
	int i;

	(void)state;
	for (i = 0; i < 20; i++) {
		parked[i] = dial();
		send_to(parked[i], "/change/10", "parked");
	}
	await(&calls, 20);
	for (i = 0; i < 100; i++)
		assert_served(c, "free");
	for (i = 0; i < 20; i++)
		assert_true(is_silent(parked[i], 0));
	move(10, STORE_OK);
	for (i = 0; i < 20; i++) {
		assert_reply(parked[i], 200, "parked");
		client_close(parked[i]);
	}
	client_close(c);
}

/* Lower lsns go first, in whatever order they came. */
static void
parked_in_order(void **state)
{
	static const char *const uris[] = { "/change/12", "/read/11",
	    "/change/13", "/change/11", "/read/14", "/change/10" };
	static const int at[] = { 12, 11, 13, 11, 14, 10 };
	struct client *c[6];
	int i, lsn;

	(void)state;
	for (i = 0; i < 6; i++) {
		c[i] = dial();
		send_to(c[i], uris[i], "x");
		await(&calls, (unsigned int)i + 1);
	}
	for (lsn = 10; lsn <= 14; lsn++) {
		move((uint64_t)lsn, STORE_OK);
		for (i = 0; i < 6; i++) {
			if (at[i] == lsn)
				assert_reply(c[i], 200, "x");
			else if (at[i] > lsn)
				assert_true(is_silent(c[i], 5));
		}
	}
	for (i = 0; i < 6; i++)
		client_close(c[i]);
}

/* What was not safe when the journal broke is not claimed; reads go on. */
static void
journal_breaks(void **state)
{
	struct client *safe = dial(), *change = dial(), *read = dial();

	(void)state;
	send_to(safe, "/change/3", "safe");
	send_to(change, "/change/4", "lost");
	send_to(read, "/read/4", "seen");
	await(&calls, 3);
	move(3, STORE_SICK);
	assert_reply(safe, 200, "safe");
	assert_reply(change, 503, "outcome_unknown");
	/* It was run again, and shown what is durable. */
	assert_reply(read, 200, "seen");
	assert_int_equal(calls, 4);
	/* While it lasts nothing waits, and nothing is run twice. */
	send_to(safe, "/read/3", "seen");
	assert_reply(safe, 200, "seen");
	send_to(read, "/read/4", "seen");
	assert_reply(read, 200, "seen");
	assert_int_equal(calls, 6);
	send_to(change, "/change/4", "lost");
	assert_reply(change, 503, "outcome_unknown");
	move(4, STORE_OK);
	send_to(read, "/read/4", "seen");
	assert_reply(read, 200, "seen");
	client_close(safe);
	client_close(change);
	client_close(read);
}

static void
ask_with(struct client *c, const char *method, const char *uri)
{
	assert_int_equal(client_send_request(c, method, uri, NULL, "x", 1),
	    0);
}

/* A disk that hangs: nobody waits longer than a request may. */
static void
sync_hangs(void **state)
{
	struct client *change, *get, *head, *refused, *more;

	(void)state;
	conf.request_timeout = 200;
	restart();
	change = dial();
	get = dial();
	head = dial();
	refused = dial();
	more = dial();
	move(3, STORE_OK);
	ask_with(more, "GET", "/read/3");
	assert_reply(more, 200, "x");
	assert_int_equal(calls, 1);
	ask_with(change, "POST", "/change/4");
	ask_with(get, "GET", "/read/4");
	ask_with(head, "HEAD", "/read/4");
	/* Refused for what is not durable: it is no reader. */
	ask_with(refused, "POST", "/read/4");
	assert_reply(change, 503, "outcome_unknown");
	assert_reply(get, 200, "x");
	assert_reply(head, 200, "");
	assert_reply(refused, 503, "storage_unavailable");
	assert_int_equal(late_lsn, 4);
	assert_int_equal(calls, 7);
	/* From now on reads do not wait at all; changes do. */
	ask_with(get, "GET", "/read/4");
	assert_reply(get, 200, "x");
	assert_int_equal(calls, 8);
	client_close(change);
	client_close(get);
	conf.request_timeout = 60000;
	restart();
	change = dial();
	get = dial();
	ask_with(change, "POST", "/change/5");
	await(&calls, 9);
	move(5, STORE_OK);
	assert_reply(change, 200, "x");
	/* It is as before. */
	ask_with(get, "GET", "/read/6");
	await(&calls, 10);
	assert_true(is_silent(get, 5));
	move(6, STORE_OK);
	assert_reply(get, 200, "x");
	assert_int_equal(calls, 10);
	client_close(change);
	client_close(get);
	client_close(head);
	client_close(refused);
	client_close(more);
}

/* Many that are run again do not keep others from their turn. */
static void
run_again_in_turns(void **state)
{
	struct client *slow[50], *other = dial();
	int i;

	(void)state;
	assert_served(other, "x");
	for (i = 0; i < 50; i++) {
		slow[i] = dial();
		ask_with(slow[i], "GET", "/slow/4");
	}
	await(&calls, 51);
	is_shut = true;
	move(0, STORE_SICK);
	/* One is being run, for longer than a turn. */
	await(&calls, 52);
	send_to(other, "/echo", "x");
	usleep(30000);
	is_shut = false;
	assert_reply(other, 200, "x");
	assert_true(calls_at_echo < 101);
	for (i = 0; i < 50; i++) {
		assert_reply(slow[i], 200, "x");
		client_close(slow[i]);
	}
	assert_int_equal(calls, 102);
	client_close(other);
}

/* Durable, but nobody was woken yet: what is known to be safe is said. */
static void
late_but_durable(void **state)
{
	struct client *c;

	(void)state;
	conf.request_timeout = 200;
	restart();
	c = dial();
	ask_with(c, "POST", "/change/4");
	await(&calls, 1);
	lock_take(&lck);
	durable = 4;
	lock_give(&lck);
	assert_reply(c, 200, "x");
	client_close(c);
}

/* Who began first is late first, whatever he waited for in between. */
static void
late_in_order(void **state)
{
	struct client *one, *two;

	(void)state;
	conf.request_timeout = 2000;
	restart();
	one = dial();
	two = dial();
	is_shut = true;
	ask_with(one, "GET", "/thaw/4");
	await(&warmed, 1);
	usleep(5000);
	ask_with(two, "GET", "/read/5");
	await(&calls, 2);
	is_warm = true;
	is_shut = false;
	assert_reply(one, 200, "x");
	assert_reply(two, 200, "x");
	assert_int_equal(first_late, 4);
	client_close(one);
	client_close(two);
}

/* Nobody waits longer for a helper whose disk hangs, either. */
static void
cold_for_long(void **state)
{
	struct client *c, *gone;

	(void)state;
	conf.request_timeout = 200;
	restart();
	c = dial();
	gone = dial();
	is_shut = true;
	ask_with(c, "GET", "/cold");
	ask_with(gone, "GET", "/cold");
	await(&warmed, 2);
	client_close(gone);
	assert_reply(c, 503, "busy");
	assert_served(c, "x");
	is_warm = true;
	is_shut = false;
	ask_with(c, "GET", "/cold");
	assert_reply(c, 200, "x");
	client_close(c);
}

static void
abort_while_parked(void **state)
{
	struct client *c = dial();
	struct client_record *r = malloc(sizeof(*r));

	(void)state;
	send_to(c, "/change/1", "x");
	await(&calls, 1);
	assert_int_equal(client_send_record(c, FCGI_ABORT_REQUEST, 1, NULL, 0),
	    0);
	assert_int_equal(client_read_record(c, r), 0);
	assert_int_equal(r->type, FCGI_END_REQUEST);
	move(1, STORE_OK);
	assert_true(is_silent(c, 20));
	assert_served(c, "again");
	free(r);
	client_close(c);
}

static void
gone_while_parked(void **state)
{
	struct client *c = dial(), *other = dial();

	(void)state;
	send_to(c, "/change/1", "x");
	await(&calls, 1);
	client_close(c);
	assert_served(other, "x");
	move(1, STORE_OK);
	assert_served(other, "x");
	client_close(other);
}

static void
cold(void **state)
{
	struct client *c = dial(), *other = dial();

	(void)state;
	is_shut = true;
	send_to(c, "/cold", "thaw");
	await(&warmed, 1);
	assert_served(other, "x");
	assert_true(is_silent(c, 20));
	is_warm = true;
	is_shut = false;
	assert_reply(c, 200, "thaw");

	/* One that never gets warm is given up. */
	send_to(c, "/never", "x");
	assert_reply(c, 503, "busy");
	assert_true(warmed > 2 && warmed < 20);
	client_close(other);
	client_close(c);
}

/* A body that takes long to read keeps nobody else of the worker waiting. */
static void
large_bodies_go_away(void **state)
{
	struct client *c = dial(), *other = dial();
	char *body = malloc(LARGE + 1);

	(void)state;
	memset(body, 'x', LARGE);
	body[LARGE] = '\0';
	is_shut = true;
	send_to(c, "/away", body);
	await(&calls, 1);
	assert_served(other, "x");
	assert_true(is_silent(c, 20));
	is_shut = false;
	assert_reply(c, 200, body);
	/* So does what waits for the disk, however small. */
	is_shut = true;
	send_to(c, "/blocks", "y");
	await(&calls, 3);
	assert_served(other, "x");
	assert_true(is_silent(c, 20));
	is_shut = false;
	assert_reply(c, 200, "y");
	calls = 2;

	/* What comes back is parked, cold or busy like any other. */
	is_busy = true;
	send_to(c, "/busy", body);
	await(&calls, 3);
	assert_served(other, "x");
	is_busy = false;
	move(1, STORE_OK);
	assert_reply(c, 200, body);
	is_shut = true;
	send_to(c, "/cold", body);
	await(&warmed, 1);
	is_warm = true;
	is_shut = false;
	assert_reply(c, 200, body);
	send_to(c, "/change/2", body);
	assert_true(is_silent(c, 20));
	move(2, STORE_OK);
	assert_reply(c, 200, body);
	free(body);
	client_close(other);
	client_close(c);
}

/* Many are tried at once, and still stand in the order in which they came. */
static void
large_bodies_wait_in_order(void **state)
{
	struct client *c = dial(), *other = dial();
	char *body = malloc(LARGE + 1);

	(void)state;
	memset(body, 'x', LARGE);
	body[LARGE] = '\0';
	is_busy = true;
	send_to(c, "/busy", body);
	await(&calls, 1);
	usleep(5000);
	send_to(other, "/busy", body);
	/* The loop asserts the order of those that helpers gave back. */
	await(&calls, 6);
	/* Coming back is no news: they are not sent off again for it. */
	usleep(200000);
	assert_in_range(calls, 6, 20);
	is_busy = false;
	move(1, STORE_OK);
	assert_reply(c, 200, body);
	assert_reply(other, 200, body);
	free(body);
	client_close(other);
	client_close(c);
}

/* The client goes, or aborts, or is ended, while a helper reads its body. */
static void
gone_while_away(void **state)
{
	struct client *gone = dial(), *aborting = dial(), *broken = dial();
	struct client_record *r = malloc(sizeof(*r));
	char *body = malloc(LARGE + 1);

	(void)state;
	memset(body, 'x', LARGE);
	body[LARGE] = '\0';
	is_shut = true;
	send_to(gone, "/away", body);
	send_to(aborting, "/away", body);
	await(&calls, 2);
	send_to(broken, "/away", body);
	client_close(gone);
	client_send_record(aborting, FCGI_ABORT_REQUEST, 1, NULL, 0);
	client_send(broken, "\7garbage", 8);
	assert_true(is_silent(aborting, 20));
	is_shut = false;
	await(&calls, 3);
	assert_int_equal(client_read_record(aborting, r), 0);
	assert_int_equal(r->type, FCGI_END_REQUEST);
	assert_served(aborting, "x");
	assert_closed(broken);

	/* A stop waits for none of it for ever. */
	is_shut = true;
	send_to(aborting, "/away", body);
	await(&calls, 5);
	workers_stop(workers);
	is_shut = false;
	helper_free(helper);
	workers_free(workers);
	workers = NULL;
	client_close(aborting);
	free(body);
	free(r);
}

/* The client goes, or aborts, while a helper is at it; another comes late. */
static void
gone_while_cold(void **state)
{
	struct client *gone = dial(), *aborting = dial(), *c[20];
	struct client_record *r = malloc(sizeof(*r));
	int i, busy = 0;
	struct client_reply reply;

	(void)state;
	is_shut = true;
	send_to(gone, "/cold", "x");
	send_to(aborting, "/cold", "x");
	await(&warmed, 2);
	client_close(gone);
	client_send_record(aborting, FCGI_ABORT_REQUEST, 1, NULL, 0);
	assert_int_equal(client_read_record(aborting, r), 0);
	assert_int_equal(r->type, FCGI_END_REQUEST);
	/* The queue holds eight: the rest is told to come again. */
	for (i = 0; i < 20; i++) {
		c[i] = dial();
		send_to(c[i], "/cold", "x");
	}
	await(&calls, 22);
	is_warm = true;
	is_shut = false;
	for (i = 0; i < 20; i++) {
		assert_int_equal(client_read_reply(c[i], &reply), 0);
		busy += reply.status == 503;
		client_reply_fini(&reply);
		client_close(c[i]);
	}
	assert_int_equal(busy, 12);
	assert_served(aborting, "x");
	free(r);
	client_close(aborting);
}

static void
busy(void **state)
{
	struct client *c = dial(), *gone = dial(), *other = dial();

	(void)state;
	is_busy = true;
	send_to(c, "/busy", "in");
	send_to(gone, "/busy", "in");
	await(&calls, 2);
	client_close(gone);
	assert_served(other, "x");
	is_busy = false;
	move(1, STORE_OK);
	assert_reply(c, 200, "in");

	/* Not for ever. */
	is_busy = true;
	send_to(c, "/busy", "in");
	assert_reply(c, 503, "busy");
	client_close(other);
	client_close(c);
}

static void
slow_reader(void **state)
{
	struct client *slow = dial(), *c = dial();
	struct client_reply r;
	size_t len = 20 * 1000 * 1000;
	int i;

	(void)state;
	send_to(slow, "/big/20000000", "");
	await(&calls, 1);
	for (i = 0; i < 100; i++)
		assert_served(c, "quick");
	assert_int_equal(client_read_reply(slow, &r), 0);
	assert_int_equal(r.body_len, len);
	assert_int_equal(strspn(r.body, "x"), len);
	client_reply_fini(&r);
	assert_served(slow, "x");

	/* Gone in the middle of it. */
	send_to(slow, "/big/20000000", "");
	await(&calls, 103);
	client_close(slow);
	assert_served(c, "quick");
	client_close(c);
}

/* Neither an abort nor an answer cuts a record of a reply in two. */
static void
abort_while_writing(void **state)
{
	struct client *c = dial();
	struct client_record *rec = malloc(sizeof(*rec));
	struct client_reply r;

	(void)state;
	send_to(c, "/big/5000000", "");
	await(&calls, 1);
	assert_false(is_silent(c, TIMEOUT_MS));
	client_send_record(c, FCGI_ABORT_REQUEST, 1, NULL, 0);
	client_send_record(c, FCGI_GET_VALUES, 0, NULL, 0);
	usleep(20000);
	assert_int_equal(client_read_reply(c, &r), 0);
	assert_int_equal(r.body_len, 5000000);
	assert_int_equal(strspn(r.body, "x"), r.body_len);
	client_reply_fini(&r);
	assert_int_equal(client_read_record(c, rec), 0);
	assert_int_equal(rec->type, FCGI_GET_VALUES_RESULT);
	free(rec);
	assert_served(c, "x");
	client_close(c);
}

static void
half_sent(void **state)
{
	struct buf b = BUF_INITIALIZER;
	struct client *idle, *half, *body, *header;
	char big[2000];
	int i;

	(void)state;
	conf.request_timeout = 200;
	restart();
	idle = dial();
	assert_served(idle, "x");
	half = dial();
	put_begin(&b, 1, FCGI_RESPONDER, FCGI_KEEP_CONN);
	send_buf(half, &b);
	body = dial();
	memset(big, 'y', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	put_request(&b, 1, FCGI_KEEP_CONN, "POST", "/echo", "99999999", big);
	b.len -= 8;
	send_buf(body, &b);
	header = dial();
	assert_int_equal(client_send(header, "\1\1", 2), 0);

	assert_reply(half, 408, "request_timeout");
	assert_closed(half);
	/* Why it would be refused anyway is said rather than that it is late,
	 * and who is still writing can write on. */
	assert_false(is_silent(body, TIMEOUT_MS));
	for (i = 0; i < 200; i++)
		assert_int_equal(client_send(body, big, sizeof(big)), 0);
	assert_reply(body, 413, "request_too_large");
	assert_closed(body);
	assert_closed(header);
	usleep(300000);
	assert_served(idle, "x");
	client_close(idle);
}

/* Too much, too many, not as announced: told, and the connection goes on. */
static void
refusals(void **state)
{
	static char big[3000001];
	char long_uri[70000];
	struct buf b = BUF_INITIALIZER, params = BUF_INITIALIZER;
	struct client *c = dial();
	int i;

	(void)state;
	memset(big, 'z', sizeof(big) - 1);
	send_to(c, "/echo", big);
	assert_reply(c, 413, "request_too_large");
	assert_served(c, "x");

	memset(long_uri, '/', sizeof(long_uri) - 1);
	long_uri[sizeof(long_uri) - 1] = '\0';
	put_begin(&b, 1, FCGI_RESPONDER, FCGI_KEEP_CONN);
	put_pair(&params, "REQUEST_URI", long_uri);
	put_stream(&b, FCGI_PARAMS, 1, params.data, params.len, 10000);
	put_stream(&b, FCGI_STDIN, 1, big, 200000, 8000);
	send_buf(c, &b);
	assert_reply(c, 431, "request_headers_too_large");
	buf_clear(&params);
	for (i = 0; i < 257; i++)
		put_pair(&params, "A", "");
	put_begin(&b, 1, FCGI_RESPONDER, FCGI_KEEP_CONN);
	put_stream(&b, FCGI_PARAMS, 1, params.data, params.len, 10000);
	put_stream(&b, FCGI_STDIN, 1, "", 0, 1);
	send_buf(c, &b);
	assert_reply(c, 431, "request_headers_too_large");
	buf_fini(&params);

	put_request(&b, 1, FCGI_KEEP_CONN, "POST", "/echo", "4", "abc");
	put_request(&b, 1, FCGI_KEEP_CONN, "POST", "/echo", "2", "abc");
	send_buf(c, &b);
	assert_reply(c, 400, "Content-Length");
	assert_reply(c, 400, "Content-Length");
	assert_served(c, "x");
	assert_int_equal(calls, 2);
	client_close(c);
}

/* Nonsense ends its own connection, with what it did to others: nothing. */
static void
nonsense(void **state)
{
	struct client *good = dial(), *parked = dial(), *bad;
	struct buf b = BUF_INITIALIZER;

	(void)state;
	send_to(parked, "/change/1", "parked");
	await(&calls, 1);
	bad = dial();
	assert_int_equal(client_send(bad, "GET / HTTP/1.1\r\n\r\n", 18), 0);
	assert_closed(bad);
	bad = dial();
	send_to(bad, "/change/2", "x");
	await(&calls, 2);
	client_send(bad, "nonsense", 8);
	assert_closed(bad);
	/* Behind good requests, which are answered first. */
	bad = dial();
	put_request(&b, 1, FCGI_KEEP_CONN, "POST", "/echo", "1", "1");
	buf_adds(&b, "nonsense");
	send_buf(bad, &b);
	assert_reply(bad, 200, "1");
	assert_closed(bad);
	assert_served(good, "x");
	move(2, STORE_OK);
	assert_reply(parked, 200, "parked");
	client_close(parked);
	client_close(good);
}

/* The protocol's own questions, also while a reply is waited for. */
static void
protocol(void **state)
{
	struct client *c = dial();
	struct client_record *r = malloc(sizeof(*r));
	struct buf b = BUF_INITIALIZER;

	(void)state;
	send_to(c, "/change/1", "parked");
	await(&calls, 1);
	put_pair(&b, FCGI_MPXS_CONNS, "");
	client_send_record(c, FCGI_GET_VALUES, 0, b.data, b.len);
	assert_int_equal(client_read_record(c, r), 0);
	assert_int_equal(r->type, FCGI_GET_VALUES_RESULT);
	assert_memory_equal(r->content, "\17\1FCGI_MPXS_CONNS0", 18);
	buf_clear(&b);
	put_request(&b, 2, FCGI_KEEP_CONN, "POST", "/echo", "1", "x");
	send_buf(c, &b);
	assert_int_equal(client_read_record(c, r), 0);
	assert_int_equal(r->type, FCGI_END_REQUEST);
	assert_int_equal(r->id, 2);
	assert_int_equal(r->content[4], FCGI_CANT_MPX_CONN);
	move(1, STORE_OK);
	assert_reply(c, 200, "parked");
	assert_served(c, "x");
	free(r);
	client_close(c);
}

/* One who asks and never reads is not read any more; the rest is served. */
static void
asks_and_never_reads(void **state)
{
	struct client *c = dial(), *other = dial();
	struct buf b = BUF_INITIALIZER;
	ssize_t n, all = 0;
	int i;

	(void)state;
	for (i = 0; i < 1000; i++)
		put_record(&b, 99, 0, NULL, 0);
	for (i = 0; i < 2000; i++) {
		n = send(client_fd(c), b.data, b.len, MSG_DONTWAIT);
		if (n == -1 && i % 100 != 0)
			usleep(100);
		all += n > 0 ? n : 0;
	}
	/* 16 bytes out for 8 in: both sockets are full, and no more. */
	assert_true(all < 4 * 1000 * 1000);
	assert_served(other, "x");
	buf_fini(&b);
	client_close(other);
	client_close(c);
}

/* Half closed: what was asked before is still answered. */
static void
half_closed(void **state)
{
	struct client *c = dial();

	(void)state;
	send_to(c, "/change/1", "last words");
	assert_int_equal(shutdown(client_fd(c), SHUT_WR), 0);
	await(&calls, 1);
	assert_true(is_silent(c, 20));
	move(1, STORE_OK);
	assert_reply(c, 200, "last words");
	assert_closed(c);
}

static void
too_many_connections(void **state)
{
	struct client *c[3];

	(void)state;
	options.max_conns = 2;
	restart();
	c[0] = dial();
	assert_served(c[0], "x");
	c[1] = dial();
	assert_served(c[1], "x");
	c[2] = dial();
	send_to(c[2], "/echo", "third");
	assert_true(is_silent(c[2], 50));
	assert_served(c[0], "x");
	client_close(c[0]);
	assert_reply(c[2], 200, "third");
	client_close(c[1]);
	client_close(c[2]);
}

/* Descriptors that the daemon finds when it has to open a file now. */
static int
spare_descriptors(void)
{
	int64_t end = sys_monotonic_ms() + 200;
	int fd[2] = { -1, -1 };

	while (fd[1] == -1 && sys_monotonic_ms() < end) {
		if (fd[0] == -1)
			fd[0] = dup(0);
		else
			fd[1] = dup(0);
		usleep(1000);
	}
	if (fd[0] != -1)
		close(fd[0]);
	if (fd[1] != -1)
		close(fd[1]);
	return ((fd[0] != -1) + (fd[1] != -1));
}

/*
 * Without descriptors nobody new is taken in; the others are served, and two
 * are there for the journal.
 */
static void
no_descriptors(void **state)
{
	struct client *c = dial(), *late;
	struct rlimit rl, low;
	int fd;

	(void)state;
	assert_served(c, "x");
	/* The lowest that is free is the last one there is. */
	fd = dup(0);
	close(fd);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &rl), 0);
	low = rl;
	low.rlim_cur = (rlim_t)fd + 1;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	late = dial();
	send_to(late, "/echo", "late");
	assert_int_equal(spare_descriptors(), 2);
	assert_true(is_silent(late, 600));
	assert_served(c, "x");
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &rl), 0);
	assert_reply(late, 200, "late");
	client_close(late);
	client_close(c);
}

static void
move_soon(void *arg)
{
	(void)arg;
	usleep(100000);
	move(1, STORE_OK);
}

/* What is parked when it stops is still answered; the idle are closed. */
static void
stop_while_parked(void **state)
{
	struct client *c = dial(), *idle = dial(), *late = dial();
	struct thread t;

	(void)state;
	assert_served(idle, "x");
	assert_served(late, "x");
	send_to(c, "/change/1", "parked");
	await(&calls, 3);
	/* Sent, but most likely not read when the stop comes. */
	send_to(late, "/echo", "late");
	assert_int_equal(thread_start(&t, "mover", move_soon, NULL), 0);
	stop_workers();
	thread_join(&t);
	assert_reply(c, 200, "parked");
	assert_reply(late, 200, "late");
	assert_closed(late);
	assert_closed(c);
	assert_closed(idle);
}

/* But not for ever. */
static void
stop_in_time(void **state)
{
	struct client *parked = dial(), *chilly = dial(), *half = dial();
	int64_t begun;

	(void)state;
	is_shut = true;
	send_to(parked, "/change/1", "parked");
	send_to(chilly, "/cold", "x");
	client_send(half, "\1\1\0\1", 4);
	await(&calls, 2);
	await(&warmed, 1);
	begun = sys_monotonic_ms();
	workers_stop(workers);
	assert_in_range(sys_monotonic_ms() - begun, 250, 5000);
	is_shut = false;
	helper_free(helper);
	workers_free(workers);
	workers = NULL;
	assert_closed(parked);
	assert_closed(chilly);
	assert_closed(half);
}

/* Two workers share the listeners: all are served. */
static void
two_workers(void **state)
{
	struct client *c[40];
	int i, round;

	(void)state;
	options.n = 2;
	restart();
	for (i = 0; i < 40; i++)
		c[i] = dial();
	for (round = 0; round < 10; round++) {
		for (i = 0; i < 40; i++)
			send_to(c[i], round % 2 == 0 ? "/echo" : "/change/1",
			    "x");
		if (round == 1)
			move(1, STORE_OK);
		for (i = 0; i < 40; i++)
			assert_reply(c[i], 200, "x");
	}
	for (i = 0; i < 40; i++)
		client_close(c[i]);
}

/*
 * Connections that come one by one, while all are idle, are shared out: they
 * stay, and the load comes later.
 */
static void
connections_are_shared_out(void **state)
{
	struct client *c[40];
	unsigned int most = 0;
	int i;

	(void)state;
	options.n = 4;
	restart();
	for (i = 0; i < 40; i++) {
		c[i] = dial();
		assert_served(c[i], "x");
	}
	memset(seen_by, 0, sizeof(seen_by));
	threads_seen = 0;
	for (i = 0; i < 40; i++)
		assert_served(c[i], "x");
	for (i = 0; i < 8; i++)
		if (seen_by[i].n > most)
			most = seen_by[i].n;
	assert_int_equal(threads_seen, 4);
	assert_in_range(most, 10, 15);
	for (i = 0; i < 40; i++)
		client_close(c[i]);
	/* Those that were closed count no more. */
	for (i = 0; i < 40; i++) {
		c[i] = dial();
		assert_served(c[i], "x");
	}
	for (i = 0; i < 40; i++)
		client_close(c[i]);
}

/* --- everything at once -------------------------------------------------- */

static uint32_t seed = 7;

static uint32_t
chance(uint32_t below)
{
	seed = seed * 1664525 + 1013904223;
	return ((seed >> 8) % below);
}

/* A request for anything, whole or cut off, now and then with a wrong byte. */
static void
put_anything(struct buf *b, uint64_t lsn)
{
	static const char *const uris[] = { "/echo", "/change/", "/read/",
	    "/cold", "/never", "/busy", "/big/300000", "/big/70000",
	    "/away" };
	static char large[LARGE + 1];
	const char *uri = uris[chance(9)], *body = "abc";
	char path[64], length[24];
	size_t from = b->len;

	if (chance(40) == 0 || strcmp(uri, "/away") == 0) {
		memset(large, 'x', LARGE);
		body = large;
	}
	snprintf(length, sizeof(length), "%zu",
	    strlen(body) + (chance(20) == 0));
	snprintf(path, sizeof(path), "%s", uri);
	if (uri[strlen(uri) - 1] == '/')
		snprintf(path, sizeof(path), "%s%u", uri,
		    (unsigned int)lsn + chance(3));
	put_request(b, 1 + (chance(20) == 0), chance(8) != 0, "POST", path,
	    length, body);
	if (chance(5) == 0)
		b->len = from + chance((uint32_t)(b->len - from));
	if (chance(30) == 0 && b->len > from)
		b->data[from + chance((uint32_t)(b->len - from))] ^= 1;
}

/* One step of a peer that does what it likes.  Returns it, or NULL: gone. */
static struct client *
misbehave(struct client *c, uint64_t lsn)
{
	static char sink[65536];
	struct buf b = BUF_INITIALIZER;
	uint32_t i, n;

	if (c == NULL)
		return (dial());
	switch (chance(12)) {
	case 0:
		client_close(c);
		return (NULL);
	case 1:
		(void)shutdown(client_fd(c), SHUT_WR);
		break;
	case 2:
		put_record(&b, FCGI_ABORT_REQUEST, 1, NULL, 0);
		break;
	case 3:
		n = chance(100) == 0 ? 20000 : chance(20);
		for (i = 0; i < n; i++)
			put_record(&b, 77, 0, NULL, 0);
		break;
	case 4:
	case 5:
	case 6:
		(void)!recv(client_fd(c), sink, chance(sizeof(sink)),
		    MSG_DONTWAIT);
		break;
	default:
		n = chance(10) == 0 ? 20 : 1;
		for (i = 0; i < n; i++)
			put_anything(&b, lsn);
		break;
	}
	if (b.len > 0)
		(void)!send(client_fd(c), b.data, b.len,
		    MSG_DONTWAIT | MSG_NOSIGNAL);
	buf_fini(&b);
	return (c);
}

/* Many peers of every kind, over a store that moves, breaks and recovers: the
 * states hold, nothing leaks, and who behaves is served. */
static void
all_at_once(void **state)
{
	struct client *c[30] = { NULL }, *good;
	uint64_t lsn = 1;
	int i, step;

	(void)state;
	conf.request_timeout = 30;
	options.n = 2;
	restart();
	good = dial();
	for (step = 0; step < 12000; step++) {
		i = (int)chance(30);
		c[i] = misbehave(c[i], lsn);
		if (step % 16 == 0)
			move(++lsn, chance(20) == 0 ? STORE_SICK : STORE_OK);
		if (step % 100 == 0) {
			is_warm = chance(2);
			is_busy = chance(2);
			is_shut = chance(4) == 0;
			assert_served(good, "good");
		}
		if (step % 64 == 0)
			usleep(1000);
	}
	is_shut = is_busy = false;
	move(UINT64_MAX - 1, STORE_OK);
	for (i = 0; i < 30; i++)
		client_close(c[i]);
	assert_served(good, "good");
	client_close(good);
}

/* --- without memory ----------------------------------------------------- */

/* A pool that cannot start says so and leaves nothing behind. */
static void
no_memory_to_start(void **state)
{
	int n;

	(void)state;
	stop_workers();
	for (n = 1; ; n++) {
		nomem_arm(n);
		options.helper = helper = helper_new(2, 8);
		workers = helper == NULL ? NULL : workers_start(&options);
		if (!nomem_fired())
			break;
		assert_null(workers);
		helper_free(helper);
	}
	nomem_disarm();
	assert_non_null(workers);
	assert_true(n > 5);
}

/* Read up to the end of a reply.  Returns false if it is closed before. */
static bool
read_end(struct client *c)
{
	static char sink[65536];
	struct pollfd pfd = { .fd = client_fd(c), .events = POLLIN };
	size_t len = 0;
	ssize_t n;

	for (;;) {
		assert_int_equal(poll(&pfd, 1, TIMEOUT_MS), 1);
		n = recv(client_fd(c), sink + len, sizeof(sink) - len, 0);
		if (n <= 0)
			return (false);
		len += (size_t)n;
		if (len >= 16 && sink[len - 15] == FCGI_END_REQUEST &&
		    memcmp(sink + len - 8, "\0\0\0\0\0\0\0\0", 8) == 0)
			return (true);
	}
}

/* A request for which memory is short is answered or its connection is closed;
 * the next is served. */
static void
no_memory_to_serve(void **state)
{
	static const char *const uris[] = { "/echo", "/cold", "/read/1" };
	static char body[LARGE + 1];
	struct buf b = BUF_INITIALIZER;
	struct client *c, *next;
	int i, n, lost;

	(void)state;
	memset(body, 'x', LARGE);
	move(1, STORE_OK);
	for (i = 0; i < 6; i++) {
		buf_clear(&b);
		put_request(&b, 1, FCGI_KEEP_CONN, "POST", uris[i % 3],
		    i < 3 ? "3" : "90000", i < 3 ? "abc" : body);
		for (n = 1, lost = 0; n < 60; n++) {
			is_warm = false;
			/* It is taken in before, or while memory is short. */
			c = dial();
			if (n % 2 == 0)
				usleep(1000);
			nomem_arm(n);
			assert_int_equal(client_send(c, b.data, b.len), 0);
			if (i % 3 == 1) {
				usleep(500);
				is_warm = true;
			}
			lost += !read_end(c);
			if (!nomem_fired())
				n = 60;
			nomem_disarm();
			client_close(c);
			next = dial();
			assert_served(next, "x");
			client_close(next);
		}
		assert_true(lost < 10);
	}
	buf_fini(&b);
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, start, stop)

/* --- what is counted ------------------------------------------------------ */

/* Wait until a counter of the one worker, which its thread moves, is n. */
static void
await_count(const uint64_t *counter, uint64_t n)
{
	int64_t end = sys_monotonic_ms() + TIMEOUT_MS;

	while (counter_read(counter) != n) {
		assert_true(sys_monotonic_ms() < end);
		usleep(1000);
	}
}

/* Every request counts once, as answered or as dropped, and is in hand in one
 * state until then. */
static void
requests_are_counted(void **state)
{
	const unsigned int post = (unsigned int)__builtin_ctz(METHOD_POST);
	struct tally *t = &edge.tallies->v[0];
	struct client *c = dial(), *gone = dial();
	struct histogram took = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < 3; i++)
		assert_served(c, "x");
	send_to(c, "/change/5", "later");
	await_count(&t->in_hand[PARKED], 1);
	send_to(gone, "/change/5", "never");
	await_count(&t->in_hand[PARKED], 2);
	assert_int_equal(counter_read(&t->open), 2);
	client_close(gone);
	await_count(&t->in_hand[PARKED], 1);
	await_count(&t->dropped, 1);
	usleep(20000);
	move(5, STORE_OK);
	assert_reply(c, 200, "later");
	await_count(&t->in_hand[WRITING], 0);
	client_close(c);
	await_count(&t->open, 0);

	for (i = 0; i < TALLY_STATES; i++)
		assert_int_equal(counter_read(&t->in_hand[i]), 0);
	assert_int_equal(counter_read(
	    &t->requests[0][post][reply_place(200)]), 4);
	histogram_merge(&took, &t->duration_us[0][post]);
	assert_int_equal(histogram_count(&took), 4);
	/* One of them waited, and the histogram says so. */
	assert_true(took.sum >= 20000);
	assert_int_equal(counter_read(&t->dropped), 1);
	assert_int_equal(counter_read(&t->accepted), 2);
	assert_true(counter_read(&t->received) > 5 * 16);
	assert_true(counter_read(&t->sent) > 4 * 16);
	for (i = 0; i < REFUSALS; i++)
		assert_int_equal(counter_read(&t->refused[i]), 0);
}

/* Dropped in a helper's hands, it is counted once and is in hand until it
 * comes back. */
static void
dropped_while_away(void **state)
{
	struct tally *t = &edge.tallies->v[0];
	struct client *c = dial();
	char *body = malloc(LARGE + 1);

	(void)state;
	memset(body, 'x', LARGE);
	body[LARGE] = '\0';
	is_shut = true;
	send_to(c, "/away", body);
	await_count(&t->in_hand[AWAY], 1);
	client_close(c);
	await_count(&t->dropped, 1);
	assert_int_equal(counter_read(&t->in_hand[AWAY]), 1);
	is_shut = false;
	await_count(&t->in_hand[AWAY], 0);
	assert_int_equal(counter_read(&t->dropped), 1);
	free(body);
}

/* Why a change was refused is counted, by status and code. */
static void
refusals_are_counted(void **state)
{
	struct tally *t = &edge.tallies->v[0];
	struct client *c = dial();

	(void)state;
	send_to(c, "/change/4", "lost");
	await_count(&t->in_hand[PARKED], 1);
	move(3, STORE_SICK);
	assert_reply(c, 503, "outcome_unknown");
	await_count(&t->refused[REFUSED_OUTCOME_UNKNOWN], 1);
	move(4, STORE_OK);
	send_to(c, "/never", "x");
	assert_reply(c, 503, "busy");
	await_count(&t->refused[REFUSED_BUSY], 1);
	assert_int_equal(client_send_request(c, "GET", "/never", NULL, "",
	    0), 0);
	assert_reply(c, 503, "busy");
	await_count(&t->requests[0][0][reply_place(503)], 1);
	assert_int_equal(counter_read(&t->refused[REFUSED_BUSY]), 1);
	client_close(c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(keep_alive), TEST(not_kept), TEST(one_byte_writes),
		TEST(pipelined), TEST(parked_blocks_nobody),
		TEST(parked_in_order), TEST(journal_breaks),
		TEST(sync_hangs), TEST(run_again_in_turns),
		TEST(late_but_durable),
		TEST(late_in_order), TEST(cold_for_long),
		TEST(abort_while_parked), TEST(gone_while_parked),
		TEST(large_bodies_go_away),
		TEST(large_bodies_wait_in_order), TEST(gone_while_away),
		TEST(cold), TEST(gone_while_cold), TEST(busy),
		TEST(slow_reader), TEST(abort_while_writing),
		TEST(half_sent), TEST(refusals), TEST(nonsense),
		TEST(protocol), TEST(asks_and_never_reads),
		TEST(half_closed), TEST(too_many_connections),
		TEST(no_descriptors), TEST(stop_while_parked),
		TEST(stop_in_time), TEST(two_workers),
		TEST(connections_are_shared_out), TEST(all_at_once),
		TEST(requests_are_counted), TEST(dropped_while_away),
		TEST(refusals_are_counted), TEST(no_memory_to_start),
		TEST(no_memory_to_serve)
	};

	lock_init(&lck, LOCK_JOURNAL);
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
