#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bsd/err.h>
#include <jansson.h>

#include "fcgi/wire.h"
#include "store/buf.h"
#include "store/id.h"
#include "store/jsonscan.h"

#include "conf.h"
#include "ctl.h"
#include "feed.h"

/* A request is about that long; so is a part. */
#define FEED_BYTES	((size_t)4 << 20)
/* One with a single item may be as long as a daemon takes at all, but for what
 * stands around the item. */
#define FEED_MAX	(WIRE_CONTROL_BODY - ((size_t)1 << 20))

struct feed {
	struct ctl_link	*link;
	char		 path[160];
	size_t		 limit;		/* bytes of a request */
	struct buf	 body;
	size_t		 nlines;	/* of body */
	size_t		 first;		/* number of its first line */
	size_t		 number;	/* of the last line given, from 1 */
	struct feed_counts counts;
	bool		 has_failed;
};

struct feed *
feed_new(const struct conf *conf, const char *tenant, bool replaces)
{
	struct feed *f;

	if (tenant != NULL && !id_is_tenant(tenant, strlen(tenant))) {
		warnx("%s is no tenant's name", tenant);
		return (NULL);
	}
	if ((f = calloc(1, sizeof(*f))) == NULL) {
		warn(NULL);
		return (NULL);
	}
	if ((f->link = ctl_link_new(conf)) == NULL) {
		free(f);
		return (NULL);
	}
	(void)snprintf(f->path, sizeof(f->path), "/admin/v1/import%s%s%s",
	    replaces ? "?replace=true" : "",
	    tenant == NULL ? "" : replaces ? "&tenant=" : "?tenant=",
	    tenant == NULL ? "" : tenant);
	f->limit = conf->max_body / 2 < FEED_BYTES ? conf->max_body / 2 :
	    FEED_BYTES;
	return (f);
}

/* --- one request ---------------------------------------------------------- */

static uint64_t
count(const json_t *reply, const char *name)
{
	const json_t *n = json_object_get(reply, name);

	return (json_is_integer(n) ? (uint64_t)json_integer_value(n) : 0);
}

static void
add_counts(struct feed_counts *c, const json_t *reply)
{

	c->imported += count(reply, "imported");
	c->replaced += count(reply, "replaced");
	c->skipped += count(reply, "skipped");
	c->failed += count(reply, "failed");
	c->items += count(reply, "items");
	c->tenants += count(reply, "tenants");
}

/* Say which line was wrong, of the first of a request. */
static void
tell_error(const struct feed *f, const json_t *reply)
{
	const json_t *error = json_object_get(reply, "error");
	const char *message;

	message = json_string_value(json_object_get(error, "message"));
	if (message != NULL)
		warnx("line %" PRIu64 ": %s", f->first - 1 +
		    count(error, "line"), message);
}

/* Ask once with what stands from *from_r on; move that behind what was done.
 * Returns 0, or -1 after saying why. */
static int
ask(struct feed *f, size_t *from_r, json_t **reply_r)
{
	const struct ctl_call call = {
		.method = "POST",
		.path = f->path,
		.body = f->body.data + *from_r,
		.body_len = f->body.len - *from_r,
	};
	const char *message = NULL, *nl;
	uint64_t done;
	int status;

	*reply_r = NULL;
	if ((status = ctl_link_ask(f->link, &call, reply_r)) == -1)
		return (-1);
	if (status != 200) {
		json_unpack(*reply_r, "{s:{s:s}}", "error", "message",
		    &message);
		warnx("line %zu: %s", f->first,
		    message != NULL ? message : "refused");
		return (-1);
	}
	for (done = count(*reply_r, "lines"); done > 0 && f->nlines > 0;
	    done--) {
		nl = memchr(f->body.data + *from_r, '\n',
		    f->body.len - *from_r);
		*from_r = nl == NULL ? f->body.len :
		    (size_t)(nl + 1 - f->body.data);
		f->nlines--;
	}
	return (0);
}

/* Send all that was gathered; what the daemon leaves over, again. */
static int
send_body(struct feed *f)
{
	struct feed_counts *c = &f->counts;
	size_t from = 0, before;
	json_t *reply;
	int rc = 0;

	if (!buf_ok(&f->body)) {
		warnx("out of memory");
		rc = -1;
	}
	while (rc == 0 && f->nlines > 0) {
		before = f->nlines;
		if ((rc = ask(f, &from, &reply)) == 0) {
			tell_error(f, reply);
			add_counts(c, reply);
			f->first += before - f->nlines;
			if (f->nlines == before) {
				warnx("the daemon takes nothing");
				rc = -1;
			}
		}
		json_decref(reply);
	}
	buf_clear(&f->body);
	f->nlines = 0;
	f->has_failed = f->has_failed || rc == -1;
	return (rc);
}

/* Gather text of the line.  0, or 1 after saying that no request can hold it:
 * then the line has failed, and nothing is gathered. */
static int
gather(struct feed *f, const char *text, size_t len)
{

	if (len <= FEED_MAX) {
		buf_add(&f->body, text, len);
		return (0);
	}
	warnx("line %zu: it, or one item of it, has more than %d GiB, which "
	    "is more than a request can hold", f->number,
	    (int)(WIRE_CONTROL_BODY >> 30));
	f->counts.failed++;
	buf_clear(&f->body);
	return (1);
}

/* --- a long conversation ------------------------------------------------- */

/* What a line is cut into. */
struct cut {
	struct span	 line;
	struct span	 items;		/* the array's bytes */
	char		 birth[17];
	uint64_t	 nparts;	/* sent */
	struct span	 tenant;
	struct span	 id;
	bool		 is_over;	/* skipped, or failed */
};

/*
 * Send one part and look what became of it: nothing more of this conversation
 * is worth sending if it failed or is there already.
 */
static int
send_part(struct feed *f, struct cut *cut)
{
	const struct feed_counts was = f->counts;

	f->nlines = 1;
	f->first = f->number;
	if (send_body(f) == -1)
		return (-1);
	cut->nparts++;
	if (f->counts.failed > was.failed)
		cut->is_over = true;
	else if (f->counts.items == was.items) {
		f->counts.skipped++;
		cut->is_over = true;
	}
	return (0);
}

static void
begin_part(struct feed *f, const struct cut *cut)
{
	struct buf *b = &f->body;

	buf_clear(b);
	buf_addf(b, "{\"part\":%" PRIu64 ",\"birth\":\"%s\",\"tenant\":",
	    cut->nparts + 1, cut->birth);
	buf_add(b, cut->tenant.p, cut->tenant.len);
	buf_adds(b, ",\"conversation\":{\"id\":");
	buf_add(b, cut->id.p, cut->id.len);
	buf_adds(b, "},\"items\":[");
}

/* The end: the line itself, but with the last items alone, which begin at
 * rest. */
static int
send_last(struct feed *f, const struct cut *cut, const char *rest)
{
	const char *end = cut->line.p + cut->line.len;
	struct buf *b = &f->body;

	buf_clear(b);
	buf_addf(b, "{\"part\":%" PRIu64 ",\"birth\":\"%s\",", cut->nparts,
	    cut->birth);
	buf_add(b, cut->line.p + 1, (size_t)(cut->items.p - cut->line.p - 1));
	buf_addc(b, '[');
	if (gather(f, rest, (size_t)(end - rest)) == 1)
		return (0);
	f->nlines = 1;
	f->first = f->number;
	return (send_body(f));
}

/*
 * Send the items in parts.  Each byte of the line is sent once, so that what
 * is no JSON is found by the store; between two items there must be a comma
 * alone.  A line that cannot be cut is sent whole.
 */
static int
send_cut(struct feed *f, struct cut *cut)
{
	const char *from = cut->items.p + 1, *last = NULL;
	struct jsonscan it;
	struct span key, entry;

	id_mint_short(cut->birth);
	jsonscan_begin(&it, cut->items);
	while (!cut->is_over && jsonscan_next(&it, &key, &entry)) {
		if (last != NULL && (entry.p != last + 1 || *last != ',')) {
			warnx("line %zu: its items are not in the form of an "
			    "export", f->number);
			f->counts.failed++;
			return (0);
		}
		if (last != NULL &&
		    (size_t)(entry.p + entry.len - from) > f->limit) {
			begin_part(f, cut);
			if (gather(f, from, (size_t)(last - from)) == 1)
				return (0);
			buf_adds(&f->body, "]}");
			if (send_part(f, cut) == -1)
				return (-1);
			from = entry.p;
		}
		last = entry.p + entry.len;
	}
	return (cut->is_over ? 0 : send_last(f, cut, from));
}

/* The items of parts count only if the conversation comes in. */
static int
send_parts(struct feed *f, struct cut *cut)
{
	const struct feed_counts was = f->counts;
	int rc;

	rc = send_cut(f, cut);
	if (f->counts.imported == was.imported &&
	    f->counts.replaced == was.replaced)
		f->counts.items = was.items;
	return (rc);
}

/* Can the line be cut?  Where, into cut. */
static bool
find_cut(struct cut *cut, const char *line, size_t len)
{
	struct span c;

	memset(cut, 0, sizeof(*cut));
	cut->line = (struct span){ line, len };
	return (len > 2 && line[0] == '{' &&
	    jsonscan_get(cut->line, "tenant", &cut->tenant) &&
	    jsonscan_get(cut->line, "conversation", &c) &&
	    jsonscan_get(c, "id", &cut->id) &&
	    jsonscan_get(cut->line, "items", &cut->items) &&
	    cut->items.len > 2 && cut->items.p[0] == '[');
}

/* --- lines --------------------------------------------------------------- */

int
feed_line(struct feed *f, const char *line, size_t len)
{
	struct cut cut;

	if (f->has_failed)
		return (-1);
	f->number++;
	if (f->nlines > 0 && f->body.len + len > f->limit &&
	    send_body(f) == -1)
		return (-1);
	if (len > f->limit && find_cut(&cut, line, len))
		return (send_parts(f, &cut));
	if (gather(f, line, len) == 1)
		return (0);
	if (f->nlines++ == 0)
		f->first = f->number;
	buf_addc(&f->body, '\n');
	return (0);
}

int
feed_end(struct feed *f, struct feed_counts *c)
{
	int rc;

	rc = f->has_failed ? -1 : send_body(f);
	*c = f->counts;
	buf_fini(&f->body);
	ctl_link_free(f->link);
	free(f);
	return (rc);
}
