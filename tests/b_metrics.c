/*
 * fcgi/prom and fcgi/metrics: the text is what Prometheus reads, and the
 * numbers are those that were counted.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "fake_request.h"
#include "fcgi/api.h"
#include "fcgi/helper.h"
#include "fcgi/prom.h"
#include "fcgi/tally.h"

/* --- the store ---------------------------------------------------------- */

static struct store_stats stats;
static size_t ntenants;

void
store_stats(struct store *s, struct store_stats *st)
{
	(void)s;
	*st = stats;
}

ssize_t
store_tenant_sizes(struct store *s, struct tenant_size *v, size_t max,
    struct tenant_size *rest_r)
{
	size_t i, n = ntenants < max ? ntenants : max;

	(void)s;
	for (i = 0; i < n; i++) {
		memset(&v[i], 0, sizeof(v[i]));
		(void)snprintf(v[i].name, sizeof(v[i].name), "t%zu", i);
		v[i].conversations = i;
		v[i].items = 10 * i;
		v[i].bytes = 100 * i;
	}
	memset(rest_r, 0, sizeof(*rest_r));
	rest_r->items = ntenants - n;
	return ((ssize_t)n);
}

/* --- the form ----------------------------------------------------------- */

static struct buf out;

/* What was written since the last call. */
static const char *
written(void)
{
	static char text[8192];

	assert_true(buf_ok(&out));
	assert_true(out.len < sizeof(text));
	memcpy(text, out.data, out.len);
	text[out.len] = '\0';
	buf_clear(&out);
	return (text);
}

static void
forms(void **state)
{
	static const struct prom_label labels[] = {
		{ "a", "x\\y\"z\nß" }, { "b", "" }, { NULL, NULL }
	};
	struct prom p = { .out = &out };

	(void)state;
	prom_family(&p, "n_total", PROM_COUNTER, "Help.");
	prom_sample(&p, labels, UINT64_MAX, 1);
	assert_string_equal(written(), "# HELP n_total Help.\n"
	    "# TYPE n_total counter\n"
	    "n_total{a=\"x\\\\y\\\"z\\nß\",b=\"\"} 18446744073709551615\n");
	prom_one(&p, "g", PROM_GAUGE, "G.", 0, 1000);
	assert_string_equal(written(), "# HELP g G.\n# TYPE g gauge\ng 0\n");
	prom_sample(&p, NULL, 1500, 1000);
	prom_sample(&p, NULL, 2000, 1000);
	prom_sample(&p, NULL, 7, 1000);
	prom_sample(&p, NULL, 100, 1000000);
	prom_sample(&p, NULL, 12000001, 1000000);
	assert_string_equal(written(),
	    "g 1.5\ng 2\ng 0.007\ng 0.0001\ng 12.000001\n");
}

static void
histograms(void **state)
{
	static const struct prom_label labels[] = {
		{ "l", "v" }, { NULL, NULL }
	};
	struct prom p = { .out = &out };
	struct histogram h = { 0 };

	(void)state;
	histogram_add(&h, 1);
	histogram_add(&h, 10);
	histogram_add(&h, 15);
	histogram_add(&h, 20);
	histogram_add(&h, 999999999);
	prom_family(&p, "h_seconds", PROM_HISTOGRAM, "H.");
	prom_histogram(&p, labels, &h, 1000, 3, 5);
	assert_string_equal(written(),
	    "# HELP h_seconds H.\n# TYPE h_seconds histogram\n"
	    "h_seconds_bucket{l=\"v\",le=\"0.01\"} 2\n"
	    "h_seconds_bucket{l=\"v\",le=\"0.02\"} 4\n"
	    "h_seconds_bucket{l=\"v\",le=\"0.05\"} 4\n"
	    "h_seconds_bucket{l=\"v\",le=\"+Inf\"} 5\n"
	    "h_seconds_sum{l=\"v\"} 1000000.045\n"
	    "h_seconds_count{l=\"v\"} 5\n");
}

/* --- the figures -------------------------------------------------------- */

static char *page;
static struct tallies *tallies;
static struct helper *helper;

/* Ask for all of it; page is the text. */
static void
scrape(void)
{
	struct fake f;
	size_t len;

	free(page);
	page = NULL;
	fake_begin(&f, "GET", "/metrics", NULL, "", 0);
	f.edge.tallies = tallies;
	f.edge.helper = helper;
	f.edge.started_at = 1234567;
	assert_int_equal(api_metrics(&f.req, &f.rep), API_DONE);
	assert_int_equal(f.rep.status, 200);
	assert_string_equal(f.rep.type,
	    "text/plain; version=0.0.4; charset=utf-8");
	page = buf_take(&f.rep.body, &len);
	assert_non_null(page);
	fake_end(&f);
}

/* There is exactly this line, once. */
static void
assert_line(const char *line)
{
	char with[512];
	const char *at;

	(void)snprintf(with, sizeof(with), "\n%s\n", line);
	at = strstr(page, with);
	if (at == NULL)
		print_error("missing: %s\n", line);
	assert_non_null(at);
	assert_null(strstr(at + 1, with));
}

static void
answer(struct tally *t, enum method method, int status, const char *code,
    int64_t us)
{
	struct request req = { .method = method, .route = 1 };

	tally_answered(t, &req, status, code, us);
}

static void
requests(void **state)
{
	(void)state;
	answer(&tallies->v[0], METHOD_POST, 200, NULL, 150);
	answer(&tallies->v[1], METHOD_POST, 200, NULL, 250);
	answer(&tallies->v[1], METHOD_GET, 404, NULL, 0);
	answer(&tallies->v[1], METHOD_OTHER, 299, NULL, -5);
	counter_add(&tallies->v[0].in_hand[4], 3);
	counter_add(&tallies->v[1].received, 70);
	counter_add(&tallies->v[0].received, 7);
	scrape();
#define ROUTE	"{route=\"/v1/conversations\",method="
	assert_line("rememberd_requests_total" ROUTE
	    "\"POST\",status=\"200\"} 2");
	assert_line("rememberd_requests_total" ROUTE
	    "\"GET\",status=\"404\"} 1");
	/* A status that no reply should have is not lost. */
	assert_line("rememberd_requests_total" ROUTE
	    "\"other\",status=\"0\"} 1");
	assert_line("rememberd_request_duration_seconds_sum" ROUTE
	    "\"POST\"} 0.0004");
	assert_line("rememberd_request_duration_seconds_bucket" ROUTE
	    "\"POST\",le=\"0.0002\"} 1");
	assert_line("rememberd_request_duration_seconds_bucket" ROUTE
	    "\"POST\",le=\"50\"} 2");
	assert_line("rememberd_request_duration_seconds_count" ROUTE
	    "\"POST\"} 2");
	assert_line("rememberd_request_duration_seconds_count" ROUTE
	    "\"other\"} 1");
	assert_null(strstr(page, ROUTE "\"PUT\""));
	/* What is in the table is there before it is asked for. */
	assert_line("rememberd_request_duration_seconds_count"
	    "{route=\"/v1/responses\",method=\"POST\"} 0");
	assert_line("rememberd_requests_in_flight{state=\"parked\"} 3");
	assert_line("rememberd_received_bytes_total 77");
}

/* Each cause has the word that stands for it, and reading is no change. */
static void
refusals(void **state)
{
	static const struct {
		int		 status;
		const char	*code;
		const char	*cause;
	} cases[] = {
		{ 400, "invalid_json", "invalid" },
		{ 400, "item_already_in_conversation", "conflict" },
		{ 401, "invalid_api_key", "forbidden" },
		{ 403, "insufficient_scope", "forbidden" },
		{ 404, NULL, "not_found" },
		{ 408, "request_timeout", "timeout" },
		{ 409, "already_exists", "conflict" },
		{ 412, "precondition_failed", "precondition" },
		{ 413, "request_too_large", "too_large" },
		{ 422, "idempotency_key_reused", "conflict" },
		{ 429, "rate_limit_exceeded", "rate" },
		{ 503, "busy", "busy" },
		{ 503, "damaged", "damaged" },
		{ 503, "outcome_unknown", "outcome_unknown" },
		{ 503, "out_of_memory", "memory" },
		{ 503, "storage_unavailable", "journal_broken" },
		{ 507, "storage_full", "disk_full" },
	};
	char line[128];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		tallies_free(tallies);
		tallies = tallies_new(2);
		answer(&tallies->v[0], METHOD_DELETE, cases[i].status,
		    cases[i].code, 1);
		answer(&tallies->v[0], METHOD_HEAD, cases[i].status,
		    cases[i].code, 1);
		answer(&tallies->v[0], METHOD_GET, cases[i].status,
		    cases[i].code, 1);
		scrape();
		(void)snprintf(line, sizeof(line),
		    "rememberd_changes_refused_total{cause=\"%s\"} 1",
		    cases[i].cause);
		assert_line(line);
	}
}

static void
the_store(void **state)
{
	(void)state;
	stats = (struct store_stats){ .lsn = 50, .durable = 47, .dirty = 6,
		.segments = 2, .records = 40, .batches = 9, .bytes = 12345,
		.tenants = 3, .tenants_open = 1, .conversations = 8,
		.quarantined = 4, .reserve_error = EAGAIN, .kept_bytes = 99,
		.kept_ms = 7001, .pending_ms = 2, .copy_ms = 3600000,
		.flush_failed = 5, .failing = 7, .written = 66, .lag_ms = -1 };
	histogram_add(&stats.sync_us, 1234);
	histogram_add(&stats.batch_records, 3);
	histogram_add(&stats.flush_ms, 1500);
	scrape();
	assert_line("rememberd_journal_spare 0");
	assert_line("rememberd_journal_kept_bytes 99");
	assert_line("rememberd_journal_oldest_kept_seconds 7.001");
	assert_line("rememberd_journal_oldest_pending_seconds 0.002");
	assert_line("rememberd_journal_copy_seconds 3600");
	assert_line("rememberd_journal_fsync_duration_seconds_sum 0.001234");
	assert_line("rememberd_journal_fsync_duration_seconds_bucket"
	    "{le=\"0.0001\"} 0");
	assert_line("rememberd_journal_fsync_duration_seconds_bucket"
	    "{le=\"50\"} 1");
	assert_line("rememberd_journal_batch_records_bucket{le=\"1\"} 0");
	assert_line("rememberd_journal_batch_records_bucket{le=\"5\"} 1");
	assert_line("rememberd_journal_batch_records_bucket{le=\"10000\"} 1");
	assert_line("rememberd_flush_duration_seconds_bucket{le=\"1\"} 0");
	assert_line("rememberd_flush_duration_seconds_bucket{le=\"100\"} 1");
	assert_line("rememberd_flush_failures_total 5");
	assert_line("rememberd_documents_written_total 66");
	assert_line("rememberd_failing_documents 7");
	assert_line("rememberd_flush_lag_seconds 0");
	stats.reserve_error = 0;
	scrape();
	assert_line("rememberd_journal_spare 1");
	assert_line("rememberd_journal_pending_records 3");
	assert_line("rememberd_journal_records_total 40");
	assert_line("rememberd_journal_batches_total 9");
	assert_line("rememberd_journal_written_bytes_total 12345");
	assert_line("rememberd_journal_segments 2");
	assert_line("rememberd_journal_broken 0");
	assert_null(strstr(page, "rememberd_journal_error{"));
	assert_line("rememberd_dirty_documents 6");
	assert_line("rememberd_tenants 3");
	assert_line("rememberd_tenants_open 1");
	assert_line("rememberd_conversations_in_memory 8");
	assert_line("rememberd_quarantined_files 4");
	assert_line("process_start_time_seconds 1234.567");
	assert_line("rememberd_journal_hangs 0");
	stats.hangs = true;
	scrape();
	assert_line("rememberd_journal_hangs 1");
	stats.error = ENOSPC;
	scrape();
	assert_line("rememberd_journal_broken 1");
	assert_line("rememberd_journal_error{errno=\"ENOSPC\"} 1");
	stats.error = 9999;
	scrape();
	assert_line("rememberd_journal_error{errno=\"unknown\"} 1");
}

/* However many tenants there are, their series stay few. */
static void
tenants(void **state)
{
	(void)state;
	ntenants = 2;
	scrape();
	assert_line("rememberd_tenant_conversations{tenant=\"t1\"} 1");
	assert_line("rememberd_tenant_items{tenant=\"t1\"} 10");
	assert_line("rememberd_tenant_bytes{tenant=\"t1\"} 100");
	assert_null(strstr(page, "(others)"));
	ntenants = 5000;
	scrape();
	assert_line("rememberd_tenant_bytes{tenant=\"t99\"} 9900");
	assert_null(strstr(page, "\"t100\""));
	assert_line("rememberd_tenant_items{tenant=\"(others)\"} 4900");
	assert_line("rememberd_tenant_bytes{tenant=\"(others)\"} 0");
	ntenants = 0;
}

static int
setup(void **state)
{
	(void)state;
	buf_init(&out);
	tallies = tallies_new(2);
	helper = helper_new(1, 8);
	return (tallies == NULL || helper == NULL);
}

static int
teardown(void **state)
{
	(void)state;
	buf_fini(&out);
	tallies_free(tallies);
	helper_free(helper);
	free(page);
	return (0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forms),
		cmocka_unit_test(histograms),
		cmocka_unit_test(requests),
		cmocka_unit_test(refusals),
		cmocka_unit_test(the_store),
		cmocka_unit_test(tenants),
	};

	return (cmocka_run_group_tests(tests, setup, teardown));
}
