#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "change.h"
#include "import.h"
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
	keyring_fini(&r->apikeys);
	keyring_fini(&r->jwtkeys);
	if (r->import != NULL && !r->import->is_listed)
		import_free(r->import);
	r->import = NULL;
}

static void
encode_keys(const struct keyring *k, const char *name, struct buf *b)
{
	size_t i;

	if (k->n == 0)
		return;
	buf_addf(b, ",\"%s\":[", name);
	for (i = 0; i < k->n; i++) {
		if (i > 0)
			buf_addc(b, ',');
		key_encode(&k->v[i], b);
	}
	buf_addc(b, ']');
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
	if (r->kind == CHANGE_CONVERSATION_IMPORT)
		buf_addf(b, ",\"created_at\":%" PRId64 ",\"updated_at\":%"
		    PRId64 ",\"parts\":%" PRIu64, r->created_at,
		    r->updated_at, r->parts);
	if (r->once != NULL) {
		buf_adds(b, ",\"once\":");
		once_encode(r->once, b);
	}
	if (r->credential != NULL) {
		buf_adds(b, ",\"credential\":");
		key_encode(r->credential, b);
	}
	encode_keys(&r->apikeys, "api_keys", b);
	encode_keys(&r->jwtkeys, "jwt_keys", b);
}

/* An iovec over bytes that nobody writes to. */
static struct iovec
iov_of(const void *p, size_t len)
{

	return ((struct iovec){ (void *)(uintptr_t)p, len });
}

/*
 * Items with what stands beside them, as in documents.  What is not theirs is
 * written into head first, with the places where they come between, as head
 * may move while it grows.
 */
static int
encode_entries(const struct record *r, struct buf *head, struct iovec **iov_r,
    int *n_r)
{
	size_t *cut, i, from = 0;
	uint64_t expected = 0;
	struct iovec *iov;
	int n = 0;

	cut = reallocarray(NULL, r->nitems, sizeof(*cut));
	iov = reallocarray(NULL, 1 + 2 * r->nitems, sizeof(*iov));
	buf_adds(head, ",\"entries\":[");
	for (i = 0; cut != NULL && i < r->nitems; i++) {
		buf_addf(head, "%s{\"at\":%" PRId64 ",\"item\":",
		    i > 0 ? "," : "", r->items[i]->at);
		cut[i] = head->len;
		if (r->items[i]->position != expected)
			buf_addf(head, ",\"position\":%" PRIu64,
			    r->items[i]->position);
		buf_addc(head, '}');
		expected = r->items[i]->position + 1;
	}
	buf_adds(head, "]}\n");
	if (cut == NULL || iov == NULL || !buf_ok(head)) {
		free(cut);
		free(iov);
		errno = ENOMEM;
		return (-1);
	}
	for (i = 0; i < r->nitems; i++) {
		iov[n++] = iov_of(head->data + from, cut[i] - from);
		iov[n++] = iov_of(r->items[i]->json, r->items[i]->len);
		from = cut[i];
	}
	iov[n++] = iov_of(head->data + from, head->len - from);
	free(cut);
	*iov_r = iov;
	*n_r = n;
	return (0);
}

int
record_encode(const struct record *r, struct buf *head, struct iovec **iov_r,
    int *n_r)
{
	struct iovec *iov;
	size_t i;
	int n = 0;

	encode_head(r, head);
	if (change_row(r->kind)->scope == SCOPE_IMPORT && r->nitems > 0)
		return (encode_entries(r, head, iov_r, n_r));
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

/* One more item of the record. */
static int
decode_item(struct span json, struct record *r)
{
	struct span id;
	struct item **v;
	char buf[ID_SIZE];

	if (!jsonscan_get(json, "id", &id) ||
	    !jsonscan_cstring(id, buf, sizeof(buf)))
		return (0);
	v = reallocarray(r->items, r->nitems + 1, sizeof(*v));
	if (v == NULL)
		return (-1);
	r->items = v;
	if ((v[r->nitems] = item_new(buf, json.p, json.len)) == NULL)
		return (-1);
	r->nitems++;
	return (1);
}

static int
decode_items(struct span array, struct record *r)
{
	struct jsonscan it;
	struct span key, val;
	int rc;

	jsonscan_begin(&it, array);
	while (jsonscan_next(&it, &key, &val))
		if ((rc = decode_item(val, r)) != 1)
			return (rc);
	return (1);
}

/* An item with what stands beside it. */
static int
decode_entry(struct span entry, struct record *r)
{
	struct span json, val;
	struct item *it;
	int rc;

	if (!jsonscan_get(entry, "item", &json))
		return (0);
	if ((rc = decode_item(json, r)) != 1)
		return (rc);
	it = r->items[r->nitems - 1];
	if (!jsonscan_get(entry, "at", &val) || !jsonscan_i64(val, &it->at))
		return (0);
	if (jsonscan_get(entry, "position", &val))
		return (jsonscan_u64(val, &it->position));
	if (r->nitems > 1)
		it->position = r->items[r->nitems - 2]->position + 1;
	return (1);
}

static int
decode_entries(struct span array, struct record *r)
{
	struct jsonscan it;
	struct span key, val;
	int rc;

	jsonscan_begin(&it, array);
	while (jsonscan_next(&it, &key, &val))
		if ((rc = decode_entry(val, r)) != 1)
			return (rc);
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
decode_keys(struct span array, struct keyring *k)
{
	struct jsonscan it;
	struct span key, val;
	struct credential c;
	int rc = 1;

	jsonscan_begin(&it, array);
	while (rc == 1 && jsonscan_next(&it, &key, &val)) {
		if (!key_decode(val, &c, NULL))
			rc = 0;
		else if (!keyring_reserve(k))
			rc = -1;
		else
			keyring_add(k, &c);
	}
	explicit_bzero(&c, sizeof(c));
	return (rc);
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
	if (jsonscan_is(key, "api_keys"))
		return (decode_keys(val, &r->apikeys));
	if (jsonscan_is(key, "jwt_keys"))
		return (decode_keys(val, &r->jwtkeys));
	if (jsonscan_is(key, "items"))
		return (decode_items(val, r));
	if (jsonscan_is(key, "entries"))
		return (decode_entries(val, r));
	if (jsonscan_is(key, "created_at"))
		return (jsonscan_i64(val, &r->created_at));
	if (jsonscan_is(key, "updated_at"))
		return (jsonscan_i64(val, &r->updated_at));
	if (jsonscan_is(key, "parts"))
		return (jsonscan_u64(val, &r->parts));
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
	case CHANGE_CONVERSATION_IMPORT:
		return (r->metadata.p != NULL);
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
