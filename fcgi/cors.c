#include <ctype.h>
#include <string.h>

#include "conf/conf.h"
#include "cors.h"

/* Request headers that mean something here, and two families that official
 * clients send: of these every member is let in, as new ones come often. */
#define ALLOW_HEADERS							\
	"Authorization, Content-Type, Accept, Idempotency-Key, "	\
	"If-Match, If-None-Match, Last-Event-ID, "			\
	"OpenAI-Organization, OpenAI-Project, x-stainless-arch, "	\
	"x-stainless-helper-method, x-stainless-lang, x-stainless-os, "	\
	"x-stainless-package-version, x-stainless-retry-count, "	\
	"x-stainless-runtime, x-stainless-runtime-version, "		\
	"x-stainless-timeout"
static const char *const families[] = { "x-stainless-", "openai-" };
#define EXPOSE_HEADERS							\
	"ETag, X-Request-Id, Remember-Durability, Retry-After"
/* Seconds: browsers cap it between ten minutes and a day anyway. */
#define MAX_AGE		"7200"

static bool
is_listed(const struct conf_tenant *t, struct span origin)
{
	size_t i;

	for (i = 0; i < t->norigins; i++)
		if (strlen(t->allowed_origins[i]) == origin.len &&
		    memcmp(t->allowed_origins[i], origin.p, origin.len) == 0)
			return (true);
	return (false);
}

static bool
is_listed_anywhere(const struct conf *conf, struct span origin)
{
	size_t i;

	for (i = 0; i < conf->ntenants; i++)
		if (is_listed(&conf->tenants[i], origin))
			return (true);
	return (false);
}

bool
cors_is_preflight(const struct request *req)
{
	return (req->method == METHOD_OPTIONS &&
	    request_param(req, "HTTP_ORIGIN").len > 0 &&
	    request_param(req, "HTTP_ACCESS_CONTROL_REQUEST_METHOD").len > 0);
}

static bool
is_of_family(const char *name, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (!isalnum((unsigned char)name[i]) && name[i] != '-')
			return (false);
	for (i = 0; i < sizeof(families) / sizeof(families[0]); i++)
		if (len > strlen(families[i]) && strncasecmp(name, families[i],
		    strlen(families[i])) == 0)
			return (true);
	return (false);
}

/* Our own list, and what the browser asks for of the families; twice is no
 * harm. */
static void
allow_headers(const struct request *req, struct buf *out)
{
	const char *p =
	    request_param(req, "HTTP_ACCESS_CONTROL_REQUEST_HEADERS").p;
	size_t len;

	buf_adds(out, ALLOW_HEADERS);
	for (; p != NULL && *p != '\0'; p += len) {
		p += strspn(p, ", ");
		len = strcspn(p, ", ");
		if (is_of_family(p, len)) {
			buf_adds(out, ", ");
			buf_add(out, p, len);
		}
	}
	buf_addc(out, '\0');
}

void
cors_preflight(const struct request *req, struct reply *rep,
    const char *allow)
{
	struct span origin = request_param(req, "HTTP_ORIGIN");
	struct buf headers = BUF_INITIALIZER;

	if (!is_listed_anywhere(req->edge->conf, origin))
		return;
	reply_header(rep, "Access-Control-Allow-Methods", "%s", allow);
	allow_headers(req, &headers);
	if (buf_ok(&headers))
		reply_header(rep, "Access-Control-Allow-Headers", "%s",
		    headers.data);
	buf_fini(&headers);
	reply_header(rep, "Access-Control-Max-Age", "%s", MAX_AGE);
}

/*
 * Whose origins count for this reply: the caller's own tenant's, or, where
 * nobody is known (a 401, say), those of any tenant.  Returns whether there
 * are some at all; *listed_r says whether this request's origin is one.
 */
static bool
origins_of(const struct request *req, struct span origin, bool *listed_r)
{
	const struct conf *conf = req->edge->conf;
	const struct conf_tenant *t;

	if (req->caller.tenant == NULL) {
		*listed_r = is_listed_anywhere(conf, origin);
		return (conf->ntenants > 0);
	}
	t = conf_tenant(conf, store_tenant_name(req->caller.tenant));
	*listed_r = t != NULL && is_listed(t, origin);
	return (t != NULL && t->norigins > 0);
}

void
cors_lines(const struct request *req, struct buf *out)
{
	struct span origin = request_param(req, "HTTP_ORIGIN");
	bool listed;

	if (!origins_of(req, origin, &listed))
		return;
	/* Also without an origin: a cache must not give that to a page. */
	buf_adds(out, "Vary: Origin\r\n");
	if (origin.len == 0 || !listed)
		return;
	buf_adds(out, "Access-Control-Allow-Origin: ");
	buf_add(out, origin.p, origin.len);
	buf_adds(out, "\r\nAccess-Control-Expose-Headers: "
	    EXPOSE_HEADERS "\r\n");
}
