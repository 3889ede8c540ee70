#include <bsd/string.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "document_internal.h"
#include "identity.h"
#include "segment.h"
#include "sys.h"

#define SIZE_MAX_JSON	((size_t)1 << 20)
/* Starts that are remembered. */
#define EPOCHS		64

void
identity_init(struct identity *i)
{

	memset(i, 0, sizeof(*i));
}

void
identity_fini(struct identity *i)
{

	buf_fini(&i->rest);
	buf_fini(&i->epochs);
}

/* --- reading and writing ------------------------------------------------ */

static void
add_epoch(struct identity *i, struct span epoch)
{

	buf_adds(&i->epochs, i->epochs.len == 0 ? "\n" : ",\n");
	jsonscan_minify(epoch, &i->epochs);
}

/* The newest, so that there is room for one more. */
static void
read_epochs(struct identity *i, struct span list)
{
	struct jsonscan it;
	struct span key, val;
	size_t n = 0;

	jsonscan_begin(&it, list);
	while (jsonscan_next(&it, &key, &val))
		n++;
	jsonscan_begin(&it, list);
	for (; jsonscan_next(&it, &key, &val); n--)
		if (n < EPOCHS)
			add_epoch(i, val);
}

enum { S_EPOCHS = M_COMMON, S_MEMBERS };

static enum document_state
read_identity(struct reading *r, struct identity *i, const struct member *v)
{

	if (!jsonscan_cstring(v[M_STORE].value, i->id, sizeof(i->id)) ||
	    !id_is_valid(i->id, strlen(i->id)))
		return (reading_bad(r, r->text, "\"store\" is no id"));
	if (v[S_EPOCHS].value.len == 0 || v[S_EPOCHS].value.p[0] != '[')
		return (reading_bad(r, r->text, "\"epochs\" is no list"));
	read_epochs(i, v[S_EPOCHS].value);
	buf_add(&i->rest, r->rest.data, r->rest.len);
	return (buf_ok(&i->rest) && buf_ok(&r->rest) && buf_ok(&i->epochs) ?
	    DOCUMENT_OK : DOCUMENT_NOMEM);
}

enum document_state
identity_read(struct identity *i, const char *data, size_t len,
    char why[DOCUMENT_WHY])
{
	struct member v[S_MEMBERS] = {
		DOCUMENT_MEMBERS,
		[S_EPOCHS] = { .name = "epochs" },
	};
	enum document_state state;
	struct reading r;

	buf_clear(&i->rest);
	buf_clear(&i->epochs);
	state = reading_init(&r, data, len, "store", v, S_MEMBERS, why);
	if (state == DOCUMENT_OK)
		state = read_identity(&r, i, v);
	reading_fini(&r);
	return (state);
}

int
identity_load(int dirfd, struct identity *i, char why[DOCUMENT_WHY])
{
	enum document_state state;
	char *data;
	size_t len;

	if (sys_readfile(dirfd, IDENTITY_NAME, SIZE_MAX_JSON, &data,
	    &len) == -1)
		return (-1);
	state = identity_read(i, data, len, why);
	free(data);
	return ((int)state);
}

void
identity_start(struct identity *i, uint64_t lsn, int64_t at)
{
	char epoch[17], line[128];
	int n;

	id_mint_short(epoch);
	n = snprintf(line, sizeof(line), "{\"epoch\":\"%s\",\"lsn\":%" PRIu64
	    ",\"at\":%" PRId64 "}", epoch, lsn, at);
	add_epoch(i, (struct span){ line, (size_t)n });
}

void
identity_encode(const struct identity *i, struct buf *b)
{
	size_t from = b->len;

	if (!buf_ok(&i->rest) || !buf_ok(&i->epochs))
		b->failed = true;
	buf_addf(b, "{\"rememberd\":\"store\",\"format\":%d,\"store\":\"%s\"",
	    DOCUMENT_FORMAT, i->id);
	buf_add(b, i->rest.data, i->rest.len);
	buf_adds(b, ",\n\"epochs\":[");
	buf_add(b, i->epochs.data, i->epochs.len);
	buf_adds(b, "\n],\n");
	document_end(b, from);
}

/* --- by the other files ------------------------------------------------- */

struct guess {
	int	 fd;		/* of the folder walked */
	char	*id;
};

/* The "store" of the first line of a file that begins with head. */
static bool
store_of(const struct guess *g, const char *name, size_t max,
    const char *head, char id[17])
{
	struct span line, val;
	char *data, *nl;
	size_t len;
	bool ok;

	if (sys_readfile(g->fd, name, max, &data, &len) == -1)
		return (false);
	nl = memchr(data, '\n', len);
	line = (struct span){ data, nl == NULL ? len : (size_t)(nl - data) };
	ok = line.len > strlen(head) &&
	    memcmp(data, head, strlen(head)) == 0 &&
	    jsonscan_get(line, "store", &val) &&
	    jsonscan_cstring(val, id, 17) && id_is_valid(id, strlen(id));
	free(data);
	return (ok);
}

static int
visit_batch(const struct segment_batch *b, void *arg)
{

	(void)b;
	(void)arg;
	return (1);
}

/* A segment's header has a checksum: it must be right for the id it says. */
static int
visit_segment(const char *name, void *arg)
{
	struct guess *g = arg;
	struct segment_report report;
	uint64_t first;
	char id[17];

	if (!segment_parse(name, &first) || !store_of(g, name, SIZE_MAX / 4,
	    "{\"journal\":\"rememberd\"", id) || segment_read(g->fd, name, id,
	    visit_batch, NULL, &report) == -1)
		return (0);
	strlcpy(g->id, id, sizeof(id));
	return (1);
}

static int
visit_tenant(const char *name, void *arg)
{
	struct guess *g = arg;
	char path[TENANT_NAME_MAX + 32];

	if (!id_is_tenant(name, strlen(name)))
		return (0);
	(void)snprintf(path, sizeof(path), "%s/tenant.json", name);
	return (store_of(g, path, SIZE_MAX_JSON, "{\"rememberd\":\"tenant\"",
	    g->id));
}

static int
walk(int dirfd, const char *folder, int (*visit)(const char *, void *),
    char id[17])
{
	struct guess g = { -1, id };
	int rc, error;

	g.fd = sys->openat(dirfd, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC,
	    0);
	if (g.fd == -1)
		return (errno == ENOENT || errno == ENOTDIR ? 0 : -1);
	rc = sys_eachname(g.fd, visit, &g);
	error = errno;
	(void)sys->close(g.fd);
	errno = error;
	return (rc);
}

int
identity_guess(int dirfd, char id[17])
{
	int rc;

	if ((rc = walk(dirfd, "journal", visit_segment, id)) != 0)
		return (rc);
	return (walk(dirfd, "tenants", visit_tenant, id));
}
