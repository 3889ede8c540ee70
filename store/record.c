#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "change.h"
#include "key.h"
#include "record.h"

void
record_init(struct record *r, enum change_kind kind)
{

	memset(r, 0, sizeof(*r));
	r->kind = kind;
}

void
record_fini(struct record *r)
{
	size_t i;

	text_replace(&r->user, (struct text){ NULL, 0 });
	text_replace(&r->title, (struct text){ NULL, 0 });
	text_replace(&r->metadata, (struct text){ NULL, 0 });
	text_replace(&r->preview, (struct text){ NULL, 0 });
	for (i = 0; i < r->nitems; i++)
		item_unref(r->items[i]);
	free(r->items);
	r->items = NULL;
	r->nitems = 0;
	once_free(r->once);
	r->once = NULL;
	store_credentials_free(r->credential, 1);
	r->credential = NULL;
}

/* All but the items. */
static void
encode_head(const struct record *r, struct buf *b)
{

	buf_addf(b, "{\"at\":%" PRId64 ",\"op\":\"%s\",\"tenant\":\"%s\"",
	    r->at, change_row(r->kind)->name, r->tenant);
	if (r->conversation[0] != '\0')
		buf_addf(b, ",\"conversation\":\"%s\",\"birth\":\"%s\","
		    "\"version\":%" PRIu64, r->conversation, r->birth,
		    r->version);
	if (r->user.p != NULL)
		text_encode(&r->user, "user", b);
	if (r->has_title)
		text_encode(&r->title, "title", b);
	if (r->metadata.p != NULL) {
		buf_adds(b, ",\"metadata\":");
		buf_add(b, r->metadata.p, r->metadata.len);
	}
	if (r->item[0] != '\0')
		buf_addf(b, ",\"item\":\"%s\"", r->item);
	if (r->once != NULL) {
		buf_adds(b, ",\"once\":");
		once_encode(r->once, b);
	}
	if (r->credential != NULL) {
		buf_adds(b, ",\"credential\":");
		key_encode(r->credential, b);
	}
}

/* An iovec over bytes that nobody writes to. */
static struct iovec
iov_of(const void *p, size_t len)
{

	return ((struct iovec){ (void *)(uintptr_t)p, len });
}

int
record_encode(const struct record *r, struct buf *head, struct iovec **iov_r,
    int *n_r)
{
	struct iovec *iov;
	size_t i;
	int n = 0;

	encode_head(r, head);
	buf_adds(head, r->nitems > 0 ? ",\"items\":[" : "}\n");
	iov = reallocarray(NULL, 1 + 2 * r->nitems, sizeof(*iov));
	if (iov == NULL || !buf_ok(head)) {
		free(iov);
		errno = ENOMEM;
		return (-1);
	}
	iov[n++] = iov_of(head->data, head->len);
	for (i = 0; i < r->nitems; i++) {
		iov[n++] = iov_of(r->items[i]->json, r->items[i]->len);
		iov[n++] = i + 1 < r->nitems ? iov_of(",", 1) :
		    iov_of("]}\n", 3);
	}
	*iov_r = iov;
	*n_r = n;
	return (0);
}

static int
decode_items(struct span array, struct record *r)
{
	struct jsonscan it;
	struct span key, val, id;
	struct item **v;
	char buf[ID_SIZE];

	jsonscan_begin(&it, array);
	while (jsonscan_next(&it, &key, &val)) {
		if (!jsonscan_get(val, "id", &id) ||
		    !jsonscan_cstring(id, buf, sizeof(buf)))
			return (0);
		v = reallocarray(r->items, r->nitems + 1, sizeof(*v));
		if (v == NULL)
			return (-1);
		r->items = v;
		if ((v[r->nitems] = item_new(buf, val.p, val.len)) == NULL)
			return (-1);
		r->nitems++;
	}
	return (1);
}

static int
decode_credential(struct span value, struct record *r)
{

	if (r->credential == NULL &&
	    (r->credential = calloc(1, sizeof(*r->credential))) == NULL)
		return (-1);
	return (key_decode(value, r->credential, NULL) ? 1 : 0);
}

static int
decode_once(struct span value, struct record *r)
{

	once_free(r->once);
	errno = 0;
	if ((r->once = once_decode(value)) != NULL)
		return (1);
	return (errno == ENOMEM ? -1 : 0);
}

/* One member of the line.  1, 0 or -1; unknown ones are 1. */
static int
decode_member(struct span key, struct span val, struct record *r)
{
	const struct change_row *row;

	if (jsonscan_is(key, "at"))
		return (jsonscan_i64(val, &r->at));
	if (jsonscan_is(key, "op")) {
		if ((row = change_row_named(val)) == NULL)
			return (0);
		r->kind = row->kind;
		return (1);
	}
	if (jsonscan_is(key, "tenant"))
		return (jsonscan_cstring(val, r->tenant, sizeof(r->tenant)));
	if (jsonscan_is(key, "conversation"))
		return (jsonscan_cstring(val, r->conversation,
		    sizeof(r->conversation)));
	if (jsonscan_is(key, "birth"))
		return (jsonscan_cstring(val, r->birth, sizeof(r->birth)));
	if (jsonscan_is(key, "version"))
		return (jsonscan_u64(val, &r->version));
	if (jsonscan_is(key, "user"))
		return (text_decode(val, &r->user));
	if (jsonscan_is(key, "title")) {
		r->has_title = true;
		return (text_decode(val, &r->title));
	}
	if (jsonscan_is(key, "metadata")) {
		text_replace(&r->metadata, text_new(val.p, val.len));
		return (r->metadata.p != NULL ? 1 : -1);
	}
	if (jsonscan_is(key, "item"))
		return (jsonscan_cstring(val, r->item, sizeof(r->item)));
	if (jsonscan_is(key, "once"))
		return (decode_once(val, r));
	if (jsonscan_is(key, "credential"))
		return (decode_credential(val, r));
	if (jsonscan_is(key, "items"))
		return (decode_items(val, r));
	return (1);
}

/* Is all there that applying this kind of record needs? */
static bool
is_complete(const struct record *r)
{
	const struct change_row *row;

	if ((row = change_row(r->kind)) == NULL ||
	    !id_is_tenant(r->tenant, strlen(r->tenant)))
		return (false);
	if (row->scope != SCOPE_TENANT &&
	    (!id_is_valid(r->conversation, strlen(r->conversation)) ||
	    r->birth[0] == '\0' || r->version == 0))
		return (false);
	switch (r->kind) {
	case CHANGE_APIKEY_ADD:
	case CHANGE_JWTKEY_ADD:
		return (r->credential != NULL);
	case CHANGE_APIKEY_REVOKE:
	case CHANGE_JWTKEY_REVOKE:
	case CHANGE_ITEM_DELETE:
		return (r->item[0] != '\0');
	default:
		return (true);
	}
}

int
record_decode(struct span line, struct record *r)
{
	struct jsonscan it;
	struct span key, val;
	int rc;

	record_init(r, 0);
	jsonscan_begin(&it, line);
	while (jsonscan_next(&it, &key, &val))
		if ((rc = decode_member(key, val, r)) != 1)
			return (rc);
	if (!is_complete(r))
		return (0);
	r->preview = conversation_preview(r->items, r->nitems);
	return (1);
}
