#include <assert.h>

#include "export.h"
#include "key.h"

/* Around an item: its time, its position, the names of both. */
#define ENTRY_BYTES	80

static void
add_head(struct buf *b, const char *tenant, const struct conversation_view *v)
{

	buf_adds(b, "{\"tenant\":");
	buf_jsons(b, tenant);
	buf_adds(b, ",\"conversation\":{\"id\":");
	buf_jsons(b, v->id);
	buf_adds(b, ",\"created_at\":");
	buf_addi(b, v->created_at);
	buf_adds(b, ",\"updated_at\":");
	buf_addi(b, v->updated_at);
	buf_adds(b, ",\"version\":");
	buf_addu(b, v->version);
	buf_adds(b, ",\"user\":");
	buf_jsons(b, v->user);
	buf_adds(b, ",\"title\":");
	if (v->has_title)
		buf_json(b, v->title, v->title_len);
	else
		buf_adds(b, "null");
	buf_adds(b, ",\"metadata\":");
	buf_add(b, v->metadata, v->metadata_len);
	buf_addc(b, '}');
}

void
export_line(struct buf *b, const char *tenant,
    const struct conversation_view *v, struct item *const *items, size_t n)
{
	uint64_t expected = 1;
	size_t i;

	assert(n == v->item_count);
	add_head(b, tenant, v);
	(void)buf_reserve(b, v->bytes + n * ENTRY_BYTES);
	buf_adds(b, ",\"items\":[");
	for (i = 0; i < n; i++) {
		buf_adds(b, i == 0 ? "{\"at\":" : ",{\"at\":");
		buf_addi(b, items[i]->at);
		if (items[i]->position != expected) {
			buf_adds(b, ",\"position\":");
			buf_addu(b, items[i]->position);
		}
		buf_adds(b, ",\"item\":");
		buf_add(b, items[i]->json, items[i]->len);
		buf_addc(b, '}');
		expected = items[i]->position + 1;
	}
	buf_adds(b, "]}\n");
}

static void
add_keys(struct buf *b, const char *name, const struct credential *v, size_t n)
{
	size_t i;

	buf_addf(b, "\"%s\":[", name);
	for (i = 0; i < n; i++) {
		if (i > 0)
			buf_addc(b, ',');
		key_encode(&v[i], b);
	}
	buf_addc(b, ']');
}

void
export_keys(struct buf *b, const char *tenant,
    const struct credential *apikeys, size_t napikeys,
    const struct credential *jwtkeys, size_t njwtkeys)
{

	/* At once: a buffer that grows leaves secrets where it was. */
	(void)buf_reserve(b, 1024 + (napikeys + njwtkeys) * (2 *
	    KEY_SECRET_MAX + 1024));
	buf_adds(b, "{\"tenant\":");
	buf_jsons(b, tenant);
	buf_adds(b, ",\"keys\":{");
	add_keys(b, "api_keys", apikeys, napikeys);
	buf_addc(b, ',');
	add_keys(b, "jwt_keys", jwtkeys, njwtkeys);
	buf_adds(b, "}}\n");
}
