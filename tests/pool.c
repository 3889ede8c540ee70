#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf/conf.h"
#include "fcgi/route.h"
#include "store/lock.h"
#include "store/sys.h"
#include "tests/pool.h"
#include "tests/tempdir.h"

/* --- the store ---------------------------------------------------------- */

struct store_waiter {
	int		 efd;
	uint64_t	 wanted;	/* 0: nothing */
};

uint64_t late_lsn, first_late;
atomic_uint calls, calls_at_echo, warmed;
atomic_bool is_warm, is_busy, is_shut;

static struct lock lck = LOCK_INITIALIZER(LOCK_JOURNAL);
static struct store_waiter waiters[4];
static uint64_t durable;
static enum store_err health;

void
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

void
move_untold(uint64_t lsn)
{
	lock_take(&lck);
	durable = lsn;
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

/* --- who serves --------------------------------------------------------- */

static atomic_uint nthreads;
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
			nthreads++;
		if (seen_by[i].tid == tid) {
			seen_by[i].n++;
			return;
		}
	}
}

void
forget_threads(void)
{
	memset(seen_by, 0, sizeof(seen_by));
	nthreads = 0;
}

unsigned int
threads_seen(unsigned int *most_r)
{
	size_t i;

	*most_r = 0;
	for (i = 0; i < 8; i++)
		if (seen_by[i].n > *most_r)
			*most_r = seen_by[i].n;
	return (nthreads);
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

/* A loop runs what the helpers have no room for, and must not hang. */
static bool
is_helper(void)
{
	char name[16];

	prctl(PR_GET_NAME, name);
	return (strcmp(name, "helper") == 0);
}

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
	if (((request_segment_is(req, 0, "away") || route_blocks(req)) &&
	    is_helper()) ||
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

struct edge edge;
struct workers_options options;

static struct conf conf;
static struct helper *helper;
static struct workers *workers;
static char public_path[108], control_path[108];
static int dirfd_;

bool
start_workers(void)
{
	if ((options.helper = helper = helper_new(2, 8)) == NULL)
		return (false);
	if ((workers = workers_start(&options)) != NULL)
		return (true);
	helper_free(helper);
	return (false);
}

void
stop_workers(void)
{
	workers_stop(workers);
	/* What helpers still have in hand ends now. */
	is_shut = false;
	helper_free(helper);
	workers_free(workers);
	workers = NULL;
}

void
restart(void)
{
	stop_workers();
	assert_true(start_workers());
}

void
restart_with_timeout(uint64_t ms)
{
	conf.request_timeout = ms;
	restart();
}

int
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
	options = (struct workers_options){ .edge = &edge, .n = 1,
	    .max_conns = 1000, .stop_ms = 300 };
	options.public_fd = tempdir_listen("public", public_path);
	options.control_fd = tempdir_listen("control", control_path);
	assert_true(start_workers());
	return (0);
}

int
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

/* --- clients ------------------------------------------------------------ */

struct client *
dial(void)
{
	return (dial_at(public_path));
}

struct client *
dial_control(void)
{
	return (dial_at(control_path));
}

void
send_to(struct client *c, const char *uri, const char *body)
{
	assert_int_equal(client_send_request(c, "POST", uri, NULL, body,
	    strlen(body)), 0);
}

void
ask_with(struct client *c, const char *method, const char *uri)
{
	assert_int_equal(client_send_request(c, method, uri, NULL, "x", 1),
	    0);
}

void
assert_served(struct client *c, const char *body)
{
	send_to(c, "/echo", body);
	assert_reply(c, 200, body);
}

void
await(atomic_uint *count, unsigned int n)
{
	int64_t end = sys_monotonic_ms() + TIMEOUT_MS;

	while (*count < n) {
		assert_true(sys_monotonic_ms() < end);
		usleep(1000);
	}
}

const char *
large_body(void)
{
	static char body[LARGE + 1];

	memset(body, 'x', LARGE);
	return (body);
}
