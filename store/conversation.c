#include <bsd/string.h>

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "conversation.h"
#include "extra.h"
#include "jsonscan.h"

enum store_err
conversation_damage(const struct conversation *c)
{

	return (c->is_newer ? STORE_NEWER : STORE_DAMAGED);
}

struct conversation *
conversation_new(struct tenant *t, const char *id, const char *birth,
    const char *user, size_t userlen, int64_t created_at)
{
	struct conversation *c;

	if ((c = calloc(1, sizeof(*c))) == NULL)
		return (NULL);
	c->metadata = text_new("{}", 2);
	if (user != NULL)
		c->user = text_new(user, userlen).p;
	if (c->metadata.p == NULL || (user != NULL && c->user == NULL)) {
		free(c->metadata.p);
		free(c->user);
		free(c);
		return (NULL);
	}
	c->tenant = t;
	c->dirty.kind = DIRTY_CONVERSATION;
	c->created_at = c->updated_at = created_at;
	strlcpy(c->id, id, sizeof(c->id));
	strlcpy(c->birth, birth, sizeof(c->birth));
	lock_init(&c->lck, LOCK_CONVERSATION);
	atomic_init(&c->refs, 0);
	items_init(&c->items);
	once_table_init(&c->once);
	undo_init(&c->undos);
	return (c);
}

void
conversation_clear(struct conversation *c)
{

	items_fini(&c->items);
	once_table_fini(&c->once);
	extra_free(c->extra);
	c->extra = NULL;
	text_replace(&c->title, (struct text){ NULL, 0 });
	text_replace(&c->metadata, (struct text){ NULL, 0 });
	text_replace(&c->preview, (struct text){ NULL, 0 });
}

void
conversation_free(struct conversation *c)
{

	if (c == NULL)
		return;
	assert(atomic_load(&c->refs) == 0);
	conversation_clear(c);
	undo_fini(&c->undos);
	free(c->user);
	lock_fini(&c->lck);
	free(c);
}

void
conversation_assert_state(const struct conversation *c)
{

	lock_assert_held(&c->lck);
	assert(c->version > 0 && c->lsn > 0);
	assert(!(c->is_deleted && c->is_damaged));
	assert(c->is_damaged || !c->is_held);
	assert(c->is_held || !c->is_newer);
	if (!c->is_deleted) {
		assert(c->metadata.p != NULL);
		return;
	}
	assert(c->items.n == 0);
	assert(c->once.nkeyed == 0 && TAILQ_EMPTY(&c->once.unkeyed));
	assert(c->title.p == NULL && c->metadata.p == NULL &&
	    c->preview.p == NULL);
}

bool
conversation_is_foreign(const char *owner, bool is_damaged, const char *user)
{

	if (user == NULL)
		return (false);
	return (owner == NULL ? !is_damaged : strcmp(user, owner) != 0);
}

void
conversation_bury(struct conversation *c, int64_t at)
{

	lock_assert_held(&c->lck);
	assert(!c->is_deleted);
	conversation_clear(c);
	c->is_deleted = true;
	c->is_damaged = false;
	c->deleted_at = c->updated_at = at;
}

/* How many bytes of a raw JSON string does its next character take? */
static size_t
raw_char(const char *p, size_t len)
{
	unsigned char c = (unsigned char)*p;
	size_t n;

	if (c == '\\' && len > 1 && p[1] == 'u') {
		/* A high surrogate takes its low one along. */
		n = len >= 6 && (p[2] == 'd' || p[2] == 'D') &&
		    strchr("89abAB", p[3]) != NULL ? 12 : 6;
	} else if (c == '\\')
		n = 2;
	else
		n = c < 0xc0 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
	return (n < len ? n : len);
}

/* Append the first characters of a JSON string, *left at most. */
static void
preview_string(struct span string, struct buf *out, size_t *left)
{
	struct buf head = BUF_INITIALIZER;
	size_t i, end = string.len - 1;

	/* Cut the raw text first: it may be megabytes. */
	for (i = 1; *left > 0 && i < end; (*left)--)
		i += raw_char(string.p + i, end - i);
	buf_add(&head, string.p, i);
	buf_addc(&head, '"');
	if (buf_ok(&head))
		(void)jsonscan_string((struct span){ head.data, head.len },
		    out);
	buf_fini(&head);
}

/* The text of a message's parts. */
static struct text
preview_message(struct span content)
{
	struct buf out = BUF_INITIALIZER;
	struct jsonscan it;
	struct span key, part, text;
	struct text t = { NULL, 0 };
	size_t left = PREVIEW_CHARS;

	jsonscan_begin(&it, content);
	while (left > 0 && jsonscan_next(&it, &key, &part))
		if (part.len > 0 && part.p[0] == '{' &&
		    (jsonscan_get(part, "text", &text) ||
		    jsonscan_get(part, "refusal", &text)) &&
		    text.len >= 2 && text.p[0] == '"')
			preview_string(text, &out, &left);
	if (out.len > 0)
		t.p = buf_take(&out, &t.len);
	buf_fini(&out);
	return (t);
}

struct text
conversation_preview(struct item *const *v, size_t n)
{
	struct span object, type, content;
	struct text t;

	while (n-- > 0) {
		object = (struct span){ v[n]->json, v[n]->len };
		if (!jsonscan_get(object, "type", &type) ||
		    type.len != 9 || memcmp(type.p, "\"message\"", 9) != 0 ||
		    !jsonscan_get(object, "content", &content) ||
		    content.len == 0 || content.p[0] != '[')
			continue;
		if ((t = preview_message(content)).p != NULL)
			return (t);
	}
	return ((struct text){ NULL, 0 });
}

/* The title, or metadata.title where none was set. */
static bool
view_title(const struct sight *s, struct conversation_view *v)
{
	const struct text *title = s->texts[UNDO_TITLE];
	const struct text *metadata = s->texts[UNDO_METADATA];
	struct buf out = BUF_INITIALIZER;
	struct span value;
	bool ok;

	if (title->p != NULL) {
		v->title = text_new(title->p, title->len).p;
		v->title_len = title->len;
		v->has_title = true;
		return (v->title != NULL);
	}
	if (!jsonscan_get((struct span){ metadata->p, metadata->len },
	    "title", &value) || !jsonscan_string(value, &out))
		return (true);
	ok = buf_ok(&out);
	v->title = buf_take(&out, &v->title_len);
	buf_fini(&out);
	return (ok && v->title != NULL);
}

bool
conversation_view(const struct conversation *c, uint64_t bound,
    struct conversation_view *v)
{
	const struct text *metadata, *preview;
	struct sight s;

	undo_look(c, bound, &s);
	memset(v, 0, sizeof(*v));
	strlcpy(v->id, c->id, sizeof(v->id));
	v->created_at = s.created_at;
	v->updated_at = s.updated_at;
	v->version = s.version;
	v->lsn = s.lsn;
	v->item_count = s.item_count;
	v->bytes = s.bytes;
	if (!s.is_there)
		return (true);

	metadata = s.texts[UNDO_METADATA];
	preview = s.texts[UNDO_PREVIEW];
	v->metadata = text_new(metadata->p, metadata->len).p;
	v->metadata_len = metadata->len;
	v->preview = text_new(preview->p, preview->len).p;
	v->preview_len = preview->len;
	if (s.user != NULL)
		v->user = strdup(s.user);
	if (v->metadata != NULL && v->preview != NULL &&
	    (s.user == NULL || v->user != NULL) && view_title(&s, v))
		return (true);
	store_view_fini(v);
	return (false);
}

void
store_view_fini(struct conversation_view *v)
{

	free(v->user);
	free(v->title);
	free(v->metadata);
	free(v->preview);
	memset(v, 0, sizeof(*v));
}
