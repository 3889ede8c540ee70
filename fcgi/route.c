#include <stdio.h>
#include <string.h>

#include "auth.h"
#include "cors.h"
#include "route.h"
#include "tally.h"

/* One row an endpoint.  "{}" stands for any segment but an empty one; "*" at
 * the end for all that follow. */
struct route {
	unsigned int	 methods;	/* enum method; GET takes HEAD along */
	const char	*pattern;
	api_handler	*handler;
	enum { READ, WRITE, OPERATOR, NOTHING } needs;
};

#define ADMIN_METHODS	(METHOD_GET | METHOD_POST | METHOD_DELETE)

static const struct route routes[] = {
	{ METHOD_POST, "/v1/conversations", api_conversation_create, WRITE },
	{ METHOD_GET, "/v1/conversations", api_conversation_list, READ },
	{ METHOD_GET, "/v1/conversations/{}", api_conversation_get, READ },
	{ METHOD_POST, "/v1/conversations/{}", api_conversation_update, WRITE },
	{ METHOD_PATCH, "/v1/conversations/{}", api_conversation_patch, WRITE },
	{ METHOD_DELETE, "/v1/conversations/{}", api_conversation_delete,
	    WRITE },
	{ METHOD_POST, "/v1/conversations/{}/items", api_items_append, WRITE },
	{ METHOD_GET, "/v1/conversations/{}/items", api_items_list, READ },
	{ METHOD_GET, "/v1/conversations/{}/items/{}", api_item_get, READ },
	{ METHOD_DELETE, "/v1/conversations/{}/items/{}", api_item_delete,
	    WRITE },
	{ METHOD_POST, "/v1/responses", api_response_create, WRITE },
	{ METHOD_GET, "/v1/models", api_models_list, READ },
	{ ADMIN_METHODS, "/admin/v1/*", api_admin, OPERATOR },
	{ METHOD_GET, "/healthz", api_healthz, NOTHING },
	{ METHOD_GET, "/readyz", api_readyz, NOTHING },
	{ METHOD_GET, "/metrics", api_metrics, NOTHING }
};

#define NROUTES	(sizeof(routes) / sizeof(routes[0]))
_Static_assert(NROUTES < TALLY_ROUTES, "a tally has no place for it");

/* Does one segment, at index i of the path, fit this piece of a pattern? */
static bool
fits(const struct request *req, size_t i, const char *piece, size_t len)
{
	if (i >= req->nsegments)
		return (false);
	if (len == 2 && memcmp(piece, "{}", 2) == 0)
		return (req->segments[i].len > 0);
	return (req->segments[i].len == len &&
	    memcmp(req->segments[i].p, piece, len) == 0);
}

static bool
matches(const struct request *req, const char *pattern)
{
	const char *p = pattern;
	size_t i, len;

	for (i = 0; *p == '/'; i++, p += len) {
		p++;
		len = strcspn(p, "/");
		if (len == 1 && *p == '*')
			return (i < req->nsegments);
		if (!fits(req, i, p, len))
			return (false);
	}
	return (i == req->nsegments);
}

/* The operator's rows are on the control socket, and there alone; what needs
 * nothing is on both. */
static bool
is_offered(const struct request *req, const struct route *r)
{
	return ((r->needs == NOTHING ||
	    (r->needs == OPERATOR) == req->is_control) &&
	    matches(req, r->pattern));
}

/* All methods that the path takes; 0: no such path.  *route_r: the row for
 * this request's method, or NULL.  Sets req.route, the same for each. */
static unsigned int
look_up(struct request *req, const struct route **route_r)
{
	unsigned int method, known = 0;
	size_t i;

	*route_r = NULL;
	req->route = 0;
	if (req->is_path_bad)
		return (0);
	method = req->method == METHOD_HEAD ? METHOD_GET : req->method;
	for (i = 0; i < NROUTES; i++) {
		if (!is_offered(req, &routes[i]))
			continue;
		if (known == 0)
			req->route = (unsigned int)i + 1;
		known |= routes[i].methods;
		if ((routes[i].methods & method) != 0)
			*route_r = &routes[i];
	}
	if ((known & METHOD_GET) != 0)
		known |= METHOD_HEAD;
	return (known == 0 ? 0 : known | METHOD_OPTIONS);
}

#define ALLOW_SIZE	64

/* The methods as an Allow header has them. */
static void
name_methods(unsigned int methods, char allow[ALLOW_SIZE])
{
	static const struct {
		enum method	 method;
		const char	*name;
	} names[] = {
		{ METHOD_GET, "GET" }, { METHOD_HEAD, "HEAD" },
		{ METHOD_POST, "POST" }, { METHOD_PUT, "PUT" },
		{ METHOD_PATCH, "PATCH" }, { METHOD_DELETE, "DELETE" },
		{ METHOD_OPTIONS, "OPTIONS" }
	};
	size_t i, len = 0;

	allow[0] = '\0';
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if ((methods & names[i].method) != 0)
			len += (size_t)snprintf(allow + len, ALLOW_SIZE - len,
			    "%s%s", len > 0 ? ", " : "", names[i].name);
}

static enum api_verdict
answer_unknown(const struct request *req, struct reply *rep)
{
	reply_error(rep, 404, NULL, NULL, "Invalid URL (%s %.*s)",
	    req->method_name, (int)req->path.len, req->path.p);
	return (API_DONE);
}

/* OPTIONS, or a method that the path does not take. */
static enum api_verdict
answer_methods(const struct request *req, struct reply *rep,
    unsigned int known)
{
	char allow[ALLOW_SIZE];

	name_methods(known, allow);
	if (req->method == METHOD_OPTIONS) {
		reply_start(rep, 204);
		if (cors_is_preflight(req))
			cors_preflight(req, rep, allow);
	} else
		reply_error(rep, 405, "method_not_supported", NULL,
		    "Not allowed to %s on %.*s.", req->method_name,
		    (int)req->path.len, req->path.p);
	reply_header(rep, "Allow", "%s", allow);
	return (API_DONE);
}

/*
 * Who asks, and may they?  API_DONE with *goes_on_r false when the reply says
 * no.  A request that comes here again is known already.
 */
static enum api_verdict
admit(struct request *req, struct reply *rep, const struct route *r,
    bool *goes_on_r)
{
	enum api_verdict verdict;

	*goes_on_r = true;
	if (r->needs == OPERATOR || r->needs == NOTHING)
		return (API_DONE);
	if (req->caller.tenant == NULL &&
	    (verdict = auth_request(req, rep)) != API_DONE)
		return (verdict);
	if (req->caller.tenant == NULL)
		*goes_on_r = false;
	else if (!(r->needs == WRITE ? req->caller.can_write :
	    req->caller.can_read)) {
		reply_error(rep, 403, "insufficient_scope", NULL,
		    "This token does not have the scope '%s'.",
		    r->needs == WRITE ? "write" : "read");
		*goes_on_r = false;
	}
	return (API_DONE);
}

const char *
route_pattern(unsigned int route, unsigned int *methods_r)
{
	size_t i;

	*methods_r = 0;
	if (route > NROUTES)
		return (NULL);
	if (route == 0)
		return ("");
	for (i = 0; i < NROUTES; i++) {
		if (strcmp(routes[i].pattern, routes[route - 1].pattern) != 0)
			continue;
		if (i < route - 1)
			break;
		*methods_r |= routes[i].methods;
	}
	return (routes[route - 1].pattern);
}

bool
route_blocks(const struct request *req)
{
	return (req->is_control && req->method == METHOD_POST &&
	    req->nsegments == 3 && request_segment_is(req, 0, "admin") &&
	    request_segment_is(req, 2, "rotate"));
}

enum api_verdict
route_dispatch(struct request *req, struct reply *rep)
{
	const struct route *r;
	enum api_verdict verdict;
	unsigned int known;
	bool goes_on;

	if ((known = look_up(req, &r)) == 0)
		return (answer_unknown(req, rep));
	if (r == NULL)
		return (answer_methods(req, rep, known));
	if ((verdict = admit(req, rep, r, &goes_on)) != API_DONE)
		return (verdict);
	if (goes_on && (verdict = r->handler(req, rep)) != API_DONE)
		return (verdict);
	/* Nor may anybody be served by a key that a crash could take back. */
	reply_wait(rep, req->caller.lsn);
	return (API_DONE);
}
