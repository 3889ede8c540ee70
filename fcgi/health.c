#include "api.h"
#include "tally.h"

/*
 * For who watches from outside, without a token: does the daemon live, and
 * should it be sent requests?  Asked of memory alone, so that a disk that
 * hangs cannot make the answer wait.
 */

enum api_verdict
api_healthz(struct request *req, struct reply *rep)
{
	(void)req;
	reply_start(rep, 200);
	reply_header(rep, "Cache-Control", "no-store");
	buf_adds(&rep->body, "{\"status\":\"ok\"}\n");
	return (API_DONE);
}

static void
add_reason(struct buf *out, const char *reason)
{
	buf_adds(out, out->len > 0 ? "," : "");
	buf_jsons(out, reason);
}

/* Why it is not ready, as JSON strings; none: it is. */
static void
add_reasons(const struct edge *edge, struct buf *out)
{
	if (atomic_load(&edge->tallies->is_stopping))
		add_reason(out, "stopping");
	switch (store_ready(edge->store)) {
	case STATE_READY:
		break;
	case STATE_FULL:
		add_reason(out, "disk_full");
		break;
	case STATE_BROKEN:
		add_reason(out, "journal_broken");
		break;
	case STATE_HANGS:
		add_reason(out, "disk_hangs");
		break;
	}
}

enum api_verdict
api_readyz(struct request *req, struct reply *rep)
{
	struct buf reasons = BUF_INITIALIZER;

	add_reasons(req->edge, &reasons);
	reply_start(rep, reasons.len == 0 && buf_ok(&reasons) ? 200 : 503);
	reply_header(rep, "Cache-Control", "no-store");
	if (rep->status == 200)
		buf_adds(&rep->body, "{\"status\":\"ready\"}\n");
	else {
		buf_adds(&rep->body, "{\"status\":\"unready\",\"reasons\":[");
		buf_add(&rep->body, reasons.data, reasons.len);
		buf_adds(&rep->body, "]}\n");
	}
	buf_fini(&reasons);
	return (API_DONE);
}
