#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "helper.h"
#include "process.h"
#include "prom.h"
#include "route.h"
#include "tally.h"

/*
 * Everything that can be watched, as Prometheus reads it.  Made in a worker's
 * loop, of memory and /proc alone: it must be there above all when the disk is
 * not, and when every helper waits for it.
 */

/* Tenants with series of their own, so that their number stays bounded. */
#define TENANTS_MAX	100
/* What the others are summed up under; no tenant can be called so. */
#define OTHERS		"(others)"

/* Bounds that are shown, by their place: 100 us to 50 s, up to 100 s, and up
 * to 10000 changes. */
#define FIRST_US	6
#define LAST_US		23
#define LAST_MS		15
#define LAST_COUNT	12

/* --- requests ----------------------------------------------------------- */

/* As enum method counts from bit 0 on. */
static const char *const methods[TALLY_METHODS] = { "GET", "HEAD", "POST",
	"PUT", "PATCH", "DELETE", "OPTIONS", "other" };

/* Sum up over all workers what stands at this place of the first's tally. */
static uint64_t
total(const struct tallies *all, const uint64_t *first)
{
	const size_t at = (size_t)((const char *)first - (const char *)all->v);
	const void *there;
	uint64_t n = 0;
	unsigned int i;

	for (i = 0; i < all->n; i++) {
		there = (const char *)&all->v[i] + at;
		n += counter_read(there);
	}
	return (n);
}

/* What fits no pattern has a name that is none. */
static const char *
route_name(unsigned int route)
{
	unsigned int takes;
	const char *pattern = route_pattern(route, &takes);

	return (pattern == NULL || pattern[0] != '\0' ? pattern : "(none)");
}

static void
put_requests(struct prom *p, const struct tallies *all)
{
	const struct tally *t = &all->v[0];
	const char *name;
	unsigned int route, method;
	char status[16];
	uint64_t n;
	size_t i;

	prom_family(p, "rememberd_requests_total", PROM_COUNTER,
	    "Requests answered, by the pattern of their path.");
	for (route = 0; (name = route_name(route)) != NULL; route++)
		for (method = 0; method < TALLY_METHODS; method++)
			for (i = 0; reply_status(i) != -1; i++) {
				const struct prom_label labels[] = {
					{ "route", name },
					{ "method", methods[method] },
					{ "status", status }, { NULL, NULL }
				};

				n = total(all,
				    &t->requests[route][method][i]);
				if (n == 0)
					continue;
				(void)snprintf(status, sizeof(status), "%d",
				    reply_status(i));
				prom_sample(p, labels, n, 1);
			}
}

/* Those of the table's methods are there from the start, so that the first
 * request is an increase. */
static void
put_durations(struct prom *p, const struct tallies *all)
{
	struct histogram sum;
	const char *name;
	unsigned int route, method, takes, i;

	prom_family(p, "rememberd_request_duration_seconds", PROM_HISTOGRAM,
	    "Time from a whole request to the last byte of its reply.");
	for (route = 0; (name = route_name(route)) != NULL; route++) {
		(void)route_pattern(route, &takes);
		for (method = 0; method < TALLY_METHODS; method++) {
			const struct prom_label labels[] = {
				{ "route", name },
				{ "method", methods[method] }, { NULL, NULL }
			};

			memset(&sum, 0, sizeof(sum));
			for (i = 0; i < all->n; i++)
				histogram_merge(&sum,
				    &all->v[i].duration_us[route][method]);
			if ((takes & 1U << method) != 0 ||
			    histogram_count(&sum) > 0)
				prom_histogram(p, labels, &sum, 1000000,
				    FIRST_US, LAST_US);
		}
	}
}

/* One family whose samples differ in one label. */
static void
put_each(struct prom *p, const struct tallies *all, const char *label,
    const char *const *values, size_t n, const uint64_t *first)
{
	size_t i;

	for (i = 0; i < n; i++) {
		const struct prom_label labels[] = {
			{ label, values[i] }, { NULL, NULL }
		};

		prom_sample(p, labels, total(all, first + i), 1);
	}
}

static void
put_work(struct prom *p, const struct tallies *all)
{
	static const char *const states[TALLY_STATES] = { "running", "away",
		"cold", "busy", "parked", "writing" };
	static const char *const causes[REFUSALS] = {
		[REFUSED_BUSY] = "busy",
		[REFUSED_CONFLICT] = "conflict",
		[REFUSED_DAMAGED] = "damaged",
		[REFUSED_DISK_FULL] = "disk_full",
		[REFUSED_FORBIDDEN] = "forbidden",
		[REFUSED_INVALID] = "invalid",
		[REFUSED_JOURNAL_BROKEN] = "journal_broken",
		[REFUSED_MEMORY] = "memory",
		[REFUSED_NOT_FOUND] = "not_found",
		[REFUSED_OUTCOME_UNKNOWN] = "outcome_unknown",
		[REFUSED_PRECONDITION] = "precondition",
		[REFUSED_RATE] = "rate",
		[REFUSED_TIMEOUT] = "timeout",
		[REFUSED_TOO_LARGE] = "too_large"
	};
	static const char *const pauses[PAUSES] = {
		[PAUSE_CONNECTIONS] = "connections",
		[PAUSE_DESCRIPTORS] = "descriptors"
	};
	const struct tally *t = &all->v[0];

	prom_family(p, "rememberd_requests_in_flight", PROM_GAUGE,
	    "Requests not answered yet; parked: waiting until they are "
	    "durable.");
	put_each(p, all, "state", states, TALLY_STATES, t->in_hand);
	prom_one(p, "rememberd_requests_dropped_total", PROM_COUNTER,
	    "Requests whose client went away before the reply was written.",
	    total(all, &t->dropped), 1);
	prom_family(p, "rememberd_changes_refused_total", PROM_COUNTER,
	    "Changes that were answered by an error, by cause.");
	put_each(p, all, "cause", causes, REFUSALS, t->refused);
	prom_one(p, "rememberd_connections", PROM_GAUGE,
	    "Connections of web servers and tools.", total(all, &t->open), 1);
	prom_one(p, "rememberd_connections_accepted_total", PROM_COUNTER,
	    "Connections accepted.", total(all, &t->accepted), 1);
	prom_family(p, "rememberd_accept_pauses_total", PROM_COUNTER,
	    "Times that a worker stopped accepting, by what it had too few "
	    "of.");
	put_each(p, all, "cause", pauses, PAUSES, t->pauses);
	prom_one(p, "rememberd_received_bytes_total", PROM_COUNTER,
	    "Bytes read from connections.", total(all, &t->received), 1);
	prom_one(p, "rememberd_sent_bytes_total", PROM_COUNTER,
	    "Bytes written to connections.", total(all, &t->sent), 1);
}

/* --- the store ---------------------------------------------------------- */

/* A clock that was set does not make it negative. */
static uint64_t
age(int64_t ms)
{
	return (ms > 0 ? (uint64_t)ms : 0);
}

static void
put_histogram(struct prom *p, const char *name, const char *help,
    const struct histogram *h, uint64_t per, size_t first, size_t last)
{
	prom_family(p, name, PROM_HISTOGRAM, help);
	prom_histogram(p, NULL, h, per, first, last);
}

static void
put_journal(struct prom *p, const struct store_stats *s)
{
	const char *name = s->error != 0 ? strerrorname_np(s->error) : NULL;
	const struct prom_label labels[] = {
		{ "errno", name != NULL ? name : "unknown" }, { NULL, NULL }
	};

	prom_one(p, "rememberd_journal_broken", PROM_GAUGE,
	    "1 while changes are refused because the journal cannot be "
	    "written.", s->error != 0, 1);
	prom_family(p, "rememberd_journal_error", PROM_GAUGE,
	    "While it is broken: by what.");
	if (s->error != 0)
		prom_sample(p, labels, 1, 1);
	prom_one(p, "rememberd_journal_hangs", PROM_GAUGE,
	    "1 while changes are not durable in the time a request may take.",
	    s->hangs, 1);
	prom_one(p, "rememberd_journal_records_total", PROM_COUNTER,
	    "Changes appended to the journal.", s->records, 1);
	prom_one(p, "rememberd_journal_batches_total", PROM_COUNTER,
	    "Batches written and synced.", s->batches, 1);
	prom_one(p, "rememberd_journal_written_bytes_total", PROM_COUNTER,
	    "Bytes of them.", s->bytes, 1);
	prom_one(p, "rememberd_journal_pending_records", PROM_GAUGE,
	    "Changes made in memory that are not durable yet.",
	    s->lsn > s->durable ? s->lsn - s->durable : 0, 1);
	prom_one(p, "rememberd_journal_oldest_pending_seconds", PROM_GAUGE,
	    "Age of the oldest of them.", age(s->pending_ms), 1000);
	put_histogram(p, "rememberd_journal_fsync_duration_seconds",
	    "Time that a batch's fdatasync took.", &s->sync_us, 1000000,
	    FIRST_US, LAST_US);
	put_histogram(p, "rememberd_journal_batch_records",
	    "Changes in one batch.", &s->batch_records, 1, 0, LAST_COUNT);
}

/* What is kept of the journal, for copies and for the next start. */
static void
put_kept(struct prom *p, const struct store_stats *s)
{
	prom_one(p, "rememberd_journal_segments", PROM_GAUGE,
	    "Segment files kept.", s->segments, 1);
	prom_one(p, "rememberd_journal_kept_bytes", PROM_GAUGE,
	    "Bytes of them.", s->kept_bytes, 1);
	prom_one(p, "rememberd_journal_oldest_kept_seconds", PROM_GAUGE,
	    "Age of the oldest change in them.", age(s->kept_ms), 1000);
	prom_one(p, "rememberd_journal_copy_seconds", PROM_GAUGE,
	    "How long a copy of the live store may take now.",
	    age(s->copy_ms), 1000);
	prom_one(p, "rememberd_journal_spare", PROM_GAUGE,
	    "1 if the next segment is there, the reserve on a full disk.",
	    s->reserve_error == 0, 1);
}

static void
put_flush(struct prom *p, const struct store_stats *s)
{
	prom_one(p, "rememberd_dirty_documents", PROM_GAUGE,
	    "Documents that the next flush will write.", s->dirty, 1);
	put_histogram(p, "rememberd_flush_duration_seconds",
	    "Time that a flush took.", &s->flush_ms, 1000, 0, LAST_MS);
	prom_one(p, "rememberd_flush_failures_total", PROM_COUNTER,
	    "Flushes after which a document was still to be written.",
	    s->flush_failed, 1);
	prom_one(p, "rememberd_failing_documents", PROM_GAUGE,
	    "Documents that cannot be written; each is tried again.",
	    s->failing, 1);
	prom_one(p, "rememberd_documents_written_total", PROM_COUNTER,
	    "Documents written by flushes.", s->written, 1);
	prom_one(p, "rememberd_flush_lag_seconds", PROM_GAUGE,
	    "Age of the oldest change that stands in no document.",
	    age(s->lag_ms), 1000);
}

static void
put_state(struct prom *p, const struct store_stats *s)
{
	prom_one(p, "rememberd_tenants", PROM_GAUGE, "Tenants.", s->tenants,
	    1);
	prom_one(p, "rememberd_tenants_open", PROM_GAUGE,
	    "Tenants whose conversations are in memory.", s->tenants_open, 1);
	prom_one(p, "rememberd_conversations_in_memory", PROM_GAUGE,
	    "Conversations in memory, those just deleted too.",
	    s->conversations, 1);
	prom_one(p, "rememberd_quarantined_files", PROM_GAUGE,
	    "Damaged files that lie set aside.", s->quarantined, 1);
}

/* Of each of the n tenants, one figure. */
static void
put_sizes(struct prom *p, const char *name, const char *help,
    const struct tenant_size *v, size_t n, size_t offset)
{
	uint64_t value;
	size_t i;

	prom_family(p, name, PROM_GAUGE, help);
	for (i = 0; i < n; i++) {
		const struct prom_label labels[] = {
			{ "tenant", v[i].name[0] != '\0' ? v[i].name : OTHERS },
			{ NULL, NULL }
		};

		memcpy(&value, (const char *)&v[i] + offset, sizeof(value));
		prom_sample(p, labels, value, 1);
	}
}

/* Returns false for want of memory. */
static bool
put_tenants(struct prom *p, struct store *store)
{
	struct tenant_size *v, rest;
	ssize_t n = -1;

	if ((v = calloc(TENANTS_MAX + 1, sizeof(*v))) == NULL ||
	    (n = store_tenant_sizes(store, v, TENANTS_MAX, &rest)) == -1) {
		free(v);
		return (false);
	}
	/* No more series while all have their own. */
	if (n == TENANTS_MAX)
		v[n++] = rest;
	put_sizes(p, "rememberd_tenant_conversations",
	    "Conversations, of tenants in memory; the largest by bytes have "
	    "series of their own.", v, (size_t)n,
	    offsetof(struct tenant_size, conversations));
	put_sizes(p, "rememberd_tenant_items",
	    "Items, of tenants in memory.", v, (size_t)n,
	    offsetof(struct tenant_size, items));
	put_sizes(p, "rememberd_tenant_bytes",
	    "Bytes of items, of tenants in memory.", v, (size_t)n,
	    offsetof(struct tenant_size, bytes));
	free(v);
	return (true);
}

/* --- the process -------------------------------------------------------- */

static void
put_process(struct prom *p, const struct edge *edge)
{
	static const struct prom_label version[] = {
		{ "version", PACKAGE_VERSION }, { NULL, NULL }
	};
	struct process proc;

	process_look(&proc);
	prom_one(p, "rememberd_helper_queue_length", PROM_GAUGE,
	    "Jobs that wait for a helper thread.",
	    helper_queued(edge->helper), 1);
	prom_family(p, "rememberd_build_info", PROM_GAUGE,
	    "1, with the version.");
	prom_sample(p, version, 1, 1);
	prom_one(p, "process_resident_memory_bytes", PROM_GAUGE,
	    "Resident memory.", proc.resident, 1);
	prom_one(p, "process_cpu_seconds_total", PROM_COUNTER,
	    "Processor time used.", proc.cpu_us, 1000000);
	prom_one(p, "process_open_fds", PROM_GAUGE, "Open descriptors.",
	    proc.open_fds, 1);
	prom_one(p, "process_max_fds", PROM_GAUGE,
	    "How many there may be.", proc.max_fds, 1);
	prom_one(p, "process_start_time_seconds", PROM_GAUGE,
	    "When it began to serve, since the epoch.",
	    (uint64_t)edge->started_at, 1000);
}

enum api_verdict
api_metrics(struct request *req, struct reply *rep)
{
	struct prom p = { .out = &rep->body };
	const struct edge *edge = req->edge;
	struct store_stats s;

	store_stats(edge->store, &s);
	reply_start(rep, 200);
	rep->type = PROM_TYPE;
	reply_header(rep, "Cache-Control", "no-store");
	put_requests(&p, edge->tallies);
	put_durations(&p, edge->tallies);
	put_work(&p, edge->tallies);
	put_journal(&p, &s);
	put_kept(&p, &s);
	put_flush(&p, &s);
	put_state(&p, &s);
	if (!put_tenants(&p, edge->store))
		rep->body.failed = true;
	put_process(&p, edge);
	return (API_DONE);
}
