#include <assert.h>
#include <string.h>

#include "output.h"

static void
add_name(struct buf *out, const char *name)
{
	buf_adds(out, ",\"");
	buf_adds(out, name);
	buf_adds(out, "\":");
}

static void
add_seconds(struct buf *out, const char *name, int64_t ms)
{
	add_name(out, name);
	buf_addi(out, ms / 1000);
}

static void
add_number(struct buf *out, const char *name, uint64_t n)
{
	add_name(out, name);
	buf_addu(out, n);
}

/* A string that may hold NULs, or null. */
static void
add_text(struct buf *out, const char *name, const char *p, size_t len)
{
	add_name(out, name);
	if (p == NULL)
		buf_adds(out, "null");
	else
		buf_json(out, p, len);
}

/* metadata.title stands in while there is no title. */
static void
add_title(struct buf *out, const struct conversation_view *v)
{
	struct span metadata = { v->metadata, v->metadata_len }, title;

	if (v->title == NULL && jsonscan_get(metadata, "title", &title)) {
		buf_adds(out, ",\"title\":");
		buf_add(out, title.p, title.len);
	} else
		add_text(out, "title", v->title, v->title_len);
}

void
output_conversation(struct buf *out, const struct conversation_view *v)
{
	assert(v->metadata != NULL && v->metadata[0] == '{');
	buf_adds(out, "{\"id\":");
	buf_jsons(out, v->id);
	buf_adds(out, ",\"object\":\"conversation\"");
	add_seconds(out, "created_at", v->created_at);
	buf_adds(out, ",\"metadata\":");
	buf_add(out, v->metadata, v->metadata_len);
	add_seconds(out, "updated_at", v->updated_at);
	add_number(out, "version", v->version);
	add_title(out, v);
	buf_adds(out, ",\"user\":");
	buf_jsons(out, v->user);
	add_number(out, "item_count", v->item_count);
	add_number(out, "bytes", v->bytes);
	/* No conversation is any of these: nothing sets them. */
	buf_adds(out, ",\"pinned\":false,\"archived\":false,"
	    "\"expires_at\":null,\"forked_from\":null");
	add_text(out, "preview", v->preview, v->preview_len);
	buf_addc(out, '}');
}

void
output_conversation_deleted(struct buf *out, const char *id)
{
	buf_adds(out, "{\"id\":");
	buf_jsons(out, id);
	buf_adds(out, ",\"object\":\"conversation.deleted\","
	    "\"deleted\":true}");
}

void
output_item(struct buf *out, const struct item *item, bool has_times)
{
	struct span json = { item->json, item->len }, own;

	assert(item->len > 2 && item->json[item->len - 1] == '}');
	if (!has_times) {
		buf_add(out, item->json, item->len);
		return;
	}
	buf_add(out, item->json, item->len - 1);
	if (!jsonscan_get(json, "created_at", &own))
		add_seconds(out, "created_at", item->at);
	if (!jsonscan_get(json, "created_at_ms", &own))
		add_number(out, "created_at_ms", (uint64_t)item->at);
	if (!jsonscan_get(json, "position", &own))
		add_number(out, "position", item->position);
	buf_addc(out, '}');
}

/* What stands behind the data of every list. */
static void
add_list_end(struct buf *out, const char *first, const char *last,
    bool has_more)
{
	buf_adds(out, "],\"first_id\":");
	buf_jsons(out, first);
	buf_adds(out, ",\"last_id\":");
	buf_jsons(out, last);
	buf_adds(out, has_more ? ",\"has_more\":true" :
	    ",\"has_more\":false");
}

void
output_items(struct buf *out, struct item *const *items, size_t n,
    bool has_more, bool has_times)
{
	size_t i;

	assert(n > 0 || !has_more);
	buf_adds(out, "{\"object\":\"list\",\"data\":[");
	for (i = 0; i < n; i++) {
		if (i > 0)
			buf_addc(out, ',');
		output_item(out, items[i], has_times);
	}
	add_list_end(out, n > 0 ? items[0]->id : "",
	    n > 0 ? items[n - 1]->id : "", has_more);
	buf_addc(out, '}');
}

void
output_conversations(struct buf *out, const struct list_page *page,
    enum store_sort sort)
{
	char cursor[QUERY_CURSOR];
	size_t i, n = page->nviews;

	assert(n > 0 || !page->has_more);
	buf_adds(out, "{\"object\":\"list\",\"data\":[");
	for (i = 0; i < n; i++) {
		if (i > 0)
			buf_addc(out, ',');
		output_conversation(out, &page->views[i]);
	}
	add_list_end(out, n > 0 ? page->views[0].id : "",
	    n > 0 ? page->views[n - 1].id : "", page->has_more);
	if (page->has_more) {
		query_cursor_write(cursor, sort, &page->last);
		buf_addf(out, ",\"next_after\":\"%s\"}", cursor);
	} else
		buf_adds(out, ",\"next_after\":null}");
}
