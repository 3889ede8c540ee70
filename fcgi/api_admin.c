#include <bsd/string.h>
#include <errno.h>
#include <string.h>

#include "api_admin.h"
#include "input.h"
#include "shape.h"

/* --- shared --------------------------------------------------------------- */

/* What a change of credentials or tenants is about. */
static const char *
name_of(const struct change *change)
{
	return (change->tenant != NULL ? change->tenant :
	    change->credential->id);
}

/* The tenant must be read first, elsewhere. */
static enum api_verdict
is_cold(struct admin_call *c, const struct change *change)
{
	const char *name = c->name != NULL ? c->name : change->tenant;

	c->req->cold_tenant.len = strlen(name);
	c->req->cold_tenant.p = arena_copy(c->req->arena, name, strlen(name));
	if (c->req->cold_tenant.p != NULL)
		return (API_COLD);
	(void)input_nomem(c->rep);
	return (API_DONE);
}

enum api_verdict
admin_commit(struct admin_call *c, const struct change *change,
    bool *is_made_r)
{
	struct outcome outcome;
	enum store_err err;

	memset(&outcome, 0, sizeof(outcome));
	err = store_commit(c->req->edge->store, c->tenant, change, &outcome);
	*is_made_r = err == STORE_OK;
	switch (err) {
	case STORE_OK:
		reply_start(c->rep, 200);
		c->rep->is_change = true;
		break;
	case STORE_COLD:
		return (is_cold(c, change));
	case STORE_BUSY:
		return (API_BUSY);
	case STORE_NOENT:
		reply_error(c->rep, 404, NULL, NULL,
		    "Key with id '%s' not found.", name_of(change));
		break;
	default:
		reply_store_error(c->rep, err, (struct span){
		    name_of(change), strlen(name_of(change)) });
		break;
	}
	reply_wait(c->rep, outcome.lsn);
	if (*is_made_r)
		store_outcome_fini(&outcome);
	return (API_DONE);
}

void
admin_list_begin(struct buf *out)
{
	buf_adds(out, "{\"object\":\"list\",\"data\":[");
}

void
admin_list_end(struct buf *out)
{
	buf_adds(out, "],\"has_more\":false}");
}

/* --- tenants -------------------------------------------------------------- */

static int
add_tenant_name(const char *name, void *arg)
{
	struct buf *out = arg;

	if (out->len > 0 && out->data[out->len - 1] == '}')
		buf_addc(out, ',');
	buf_adds(out, "{\"object\":\"tenant\",\"name\":");
	buf_jsons(out, name);
	buf_addc(out, '}');
	return (0);
}

static enum api_verdict
tenants_list(struct admin_call *c)
{
	reply_start(c->rep, 200);
	admin_list_begin(&c->rep->body);
	(void)store_tenants(c->req->edge->store, add_tenant_name,
	    &c->rep->body);
	admin_list_end(&c->rep->body);
	return (API_DONE);
}

static enum api_verdict
tenants_add(struct admin_call *c)
{
	static const struct shape_field fields[] = {
		{ "name", SHAPE_STRING, true, NULL, NULL },
		{ NULL, 0, false, NULL, NULL } };
	static const char *const members[] = { "name", NULL };
	struct change change = { .kind = CHANGE_TENANT_CREATE };
	enum api_verdict verdict;
	const json_t *name;
	bool is_made;

	if (!input_members(c->body, members, c->rep) ||
	    !shape_check(c->body, fields, "", c->rep))
		return (API_DONE);
	name = json_object_get(c->body, "name");
	change.tenant = json_string_value(name);
	if (!id_is_tenant(change.tenant, json_string_length(name))) {
		reply_error(c->rep, 400, "invalid_value", "name",
		    "Invalid value: '%.100s'. Expected a tenant's name: a-z "
		    "or 0-9, then at most %d of a-z, 0-9, _ and -.",
		    change.tenant, TENANT_NAME_MAX - 1);
		return (API_DONE);
	}
	verdict = admin_commit(c, &change, &is_made);
	if (is_made)
		(void)add_tenant_name(change.tenant, &c->rep->body);
	return (verdict);
}

/* --- the daemon ----------------------------------------------------------- */

/* Begun, not ended: a loop does not wait for the disk. */
static enum api_verdict
flush(struct admin_call *c)
{
	store_flush_soon(c->req->edge->store);
	reply_start(c->rep, 202);
	buf_adds(&c->rep->body, "{\"object\":\"flush\","
	    "\"status\":\"started\"}");
	return (API_DONE);
}

/* The one handler that waits for the disk: see route_blocks. */
static enum api_verdict
rotate(struct admin_call *c)
{
	struct store *store = c->req->edge->store;
	struct store_stats s;

	if (store_rotate(store) == -1) {
		reply_store_error(c->rep, errno == ENOSPC ? STORE_FULL :
		    STORE_SICK, (struct span){ "", 0 });
		return (API_DONE);
	}
	store_stats(store, &s);
	reply_start(c->rep, 200);
	buf_addf(&c->rep->body, "{\"object\":\"rotate\",\"store_id\":"
	    "\"%s\",\"open\":\"%s\"}", s.store_id, s.open_segment);
	return (API_DONE);
}

static const char *
errno_name(int error)
{
	const char *name = strerrorname_np(error);

	return (name != NULL ? name : "unknown");
}

static enum api_verdict
status(struct admin_call *c)
{
	struct store *store = c->req->edge->store;
	struct buf *out = &c->rep->body;
	static const char *const healths[] = {
		[STATE_READY] = "ok",
		[STATE_FULL] = "full",
		[STATE_BROKEN] = "sick",
		[STATE_HANGS] = "hangs"
	};
	struct store_stats s;

	store_stats(store, &s);
	reply_start(c->rep, 200);
	buf_addf(out, "{\"object\":\"status\",\"health\":\"%s\",\"error\":",
	    healths[store_ready(store)]);
	buf_jsons(out, s.error != 0 ? errno_name(s.error) : NULL);
	buf_addf(out, ",\"store_id\":\"%s\",\"started_at\":%jd,\"lsn\":%ju,"
	    "\"durable\":%ju,\"tenants\":%zu,\"tenants_open\":%zu,"
	    "\"conversations_in_memory\":%zu,\"dirty\":%zu,\"flush_lag\":%jd,"
	    "\"flush_failures\":%ju,\"segments\":%zu,\"kept_bytes\":%zu,"
	    "\"copy_time\":%jd,\"spare\":\"%s\",\"quarantined\":%zu}",
	    s.store_id, (intmax_t)(c->req->edge->started_at / 1000),
	    (uintmax_t)s.lsn, (uintmax_t)s.durable, s.tenants,
	    s.tenants_open, s.conversations, s.dirty,
	    (intmax_t)(s.lag_ms / 1000), (uintmax_t)s.flush_failed,
	    s.segments, s.kept_bytes, (intmax_t)(s.copy_ms / 1000),
	    s.reserve_error == 0 ? "ready" : s.reserve_error == EAGAIN ?
	    "soon" : errno_name(s.reserve_error), s.quarantined);
	return (API_DONE);
}

/* --- the table ------------------------------------------------------------ */

/* Segments behind /admin/v1: [tenants [T [what [ID]]]], import, flush,
 * rotate, status. */
static const struct row {
	enum method	 method;
	size_t		 nsegments;	/* of the whole path */
	const char	*first;		/* segment 2 */
	const char	*what;		/* segment 4, or NULL */
	admin_handler	*handler;
} rows[] = {
	{ METHOD_GET, 3, "tenants", NULL, tenants_list },
	{ METHOD_POST, 3, "tenants", NULL, tenants_add },
	{ METHOD_GET, 5, "tenants", "keys", admin_keys_list },
	{ METHOD_POST, 5, "tenants", "keys", admin_keys_add },
	{ METHOD_DELETE, 6, "tenants", "keys", admin_keys_revoke },
	{ METHOD_GET, 5, "tenants", "jwt-keys", admin_jwt_keys_list },
	{ METHOD_POST, 5, "tenants", "jwt-keys", admin_jwt_keys_add },
	{ METHOD_DELETE, 6, "tenants", "jwt-keys", admin_jwt_keys_revoke },
	{ METHOD_POST, 5, "tenants", "tokens", admin_tokens_add },
	{ METHOD_POST, 3, "import", NULL, admin_import },
	{ METHOD_POST, 3, "flush", NULL, flush },
	{ METHOD_POST, 3, "rotate", NULL, rotate },
	{ METHOD_GET, 3, "status", NULL, status },
};

static bool
is_row(const struct request *req, const struct row *row)
{
	return (req->nsegments == row->nsegments &&
	    request_segment_is(req, 2, row->first) &&
	    (row->what == NULL || request_segment_is(req, 4, row->what)));
}

/* The row of path and method, or NULL after a reply: 404, or 405. */
static const struct row *
find_row(const struct request *req, struct reply *rep)
{
	char allow[32] = "";
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (!is_row(req, &rows[i]))
			continue;
		if (rows[i].method == req->method)
			return (&rows[i]);
		(void)strlcat(allow, allow[0] == '\0' ? "" : ", ",
		    sizeof(allow));
		(void)strlcat(allow, rows[i].method == METHOD_GET ? "GET" :
		    rows[i].method == METHOD_POST ? "POST" : "DELETE",
		    sizeof(allow));
	}
	if (allow[0] == '\0')
		reply_error(rep, 404, NULL, NULL, "Unknown path '%.*s'.",
		    (int)req->path.len, req->path.p);
	else {
		reply_error(rep, 405, "method_not_allowed", NULL,
		    "Method %s is not allowed here.", req->method_name);
		reply_header(rep, "Allow", "%s", allow);
	}
	return (NULL);
}

/* Hold the tenant of segment 3; false with *verdict_r to return. */
static bool
hold_tenant(struct admin_call *c, enum api_verdict *verdict_r)
{
	struct span name = c->req->segments[3];
	enum store_err err = STORE_NOENT;

	*verdict_r = API_DONE;
	if (id_is_tenant(name.p, name.len))
		err = store_tenant_get(c->req->edge->store, name.p, name.len,
		    &c->tenant);
	c->name = name.p;
	if (err == STORE_OK)
		return (true);
	if (err == STORE_COLD) {
		c->req->cold_tenant = name;
		*verdict_r = API_COLD;
	} else if (err == STORE_NOENT)
		reply_error(c->rep, 404, NULL, NULL,
		    "Tenant '%.63s' not found.", name.p);
	else
		reply_store_error(c->rep, err, name);
	return (false);
}

enum api_verdict
api_admin(struct request *req, struct reply *rep)
{
	struct admin_call c = { .req = req, .rep = rep };
	enum api_verdict verdict;
	const struct row *row;
	json_t *body;

	if ((row = find_row(req, rep)) == NULL)
		return (API_DONE);
	if (row->handler != admin_import)
		body = input_body(req, true, rep);
	else if ((body = json_object()) == NULL)
		(void)input_nomem(rep);
	if (body == NULL)
		return (API_DONE);
	c.body = body;
	if (row->nsegments == 6)
		c.id = req->segments[5];
	if (row->what == NULL || hold_tenant(&c, &verdict))
		verdict = row->handler(&c);
	if (c.tenant != NULL)
		store_tenant_put(c.tenant);
	json_decref(body);
	return (verdict);
}
