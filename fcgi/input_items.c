#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "conf/conf.h"

#include "input.h"
#include "input_items.h"
#include "item_check.h"
#include "shape.h"

void
input_items_init(struct input_items *in)
{
	memset(in, 0, sizeof(*in));
}

void
input_items_fini(struct input_items *in)
{
	size_t i;

	for (i = 0; i < in->n; i++)
		item_unref(in->items[i]);
	input_items_init(in);
}

/* Room for n items in the arena. */
static bool
reserve(const struct request *req, size_t n, struct input_items *in,
    struct reply *rep)
{
	if (n == 0)
		return (true);
	in->items = arena_alloc(req->arena, n * sizeof(*in->items));
	in->is_minted = arena_alloc(req->arena, n * sizeof(*in->is_minted));
	in->references = arena_alloc(req->arena,
	    n * sizeof(*in->references));
	return ((in->items != NULL && in->is_minted != NULL &&
	    in->references != NULL) || input_nomem(rep));
}

/* --- normal form ---------------------------------------------------------- */

/* What is completed of an item. */
struct completion {
	const char	*id;		/* NULL: it has its own */
	bool		 type;
	bool		 status;
	bool		 is_message;	/* string content becomes parts */
	bool		 is_assistant;
};

static void
add_content(struct span text, bool is_assistant, struct buf *out)
{
	buf_adds(out, is_assistant ? "[{\"type\":\"output_text\",\"text\":" :
	    "[{\"type\":\"input_text\",\"text\":");
	buf_add(out, text.p, text.len);
	buf_adds(out, is_assistant ?
	    ",\"annotations\":[],\"logprobs\":[]}]" : "}]");
}

/* A null in the place of what was completed goes. */
static bool
is_replaced(const struct completion *c, struct span key)
{
	return ((c->id != NULL && jsonscan_is(key, "id")) ||
	    (c->status && jsonscan_is(key, "status")));
}

static void
normal_form(struct span item, const struct completion *c, struct buf *out)
{
	struct jsonscan it;
	struct span key, val;

	buf_addc(out, '{');
	if (c->id != NULL) {
		buf_adds(out, "\"id\":\"");
		buf_adds(out, c->id);
		buf_adds(out, "\",");
	}
	if (c->type)
		buf_adds(out, "\"type\":\"message\",");
	if (c->status)
		buf_adds(out, "\"status\":\"completed\",");
	jsonscan_begin(&it, item);
	while (jsonscan_next(&it, &key, &val)) {
		if (is_replaced(c, key))
			continue;
		buf_addc(out, '"');
		buf_add(out, key.p, key.len);
		buf_adds(out, "\":");
		if (c->is_message && val.p[0] == '"' &&
		    jsonscan_is(key, "content"))
			add_content(val, c->is_assistant, out);
		else
			jsonscan_minify(val, out);
		buf_addc(out, ',');
	}
	/* Every item has a type or got one, so there is a comma. */
	if (buf_ok(out)) {
		assert(out->data[out->len - 1] == ',');
		out->data[out->len - 1] = '}';
	}
}

static bool
is_absent(const json_t *object, const char *name)
{
	const json_t *value = json_object_get(object, name);

	return (value == NULL || json_is_null(value));
}

static bool
take_item(const struct request *req, const json_t *tree, struct span bytes,
    const char *path, struct input_items *in, struct reply *rep)
{
	const struct item_type *type;
	struct completion c = { 0 };
	struct buf out = BUF_INITIALIZER;
	struct item *item = NULL;
	char minted[ID_SIZE];
	const char *role;

	if ((type = item_check(tree, path, rep)) == NULL)
		return (false);
	if (is_absent(tree, "id")) {
		id_mint(minted, type->prefix);
		c.id = minted;
	}
	role = json_string_value(json_object_get(tree, "role"));
	c.type = json_object_get(tree, "type") == NULL;
	c.status = type->has_status && is_absent(tree, "status");
	c.is_message = strcmp(type->name, "message") == 0;
	c.is_assistant = c.is_message && strcmp(role, "assistant") == 0;
	normal_form(bytes, &c, &out);
	if (buf_ok(&out) && out.len > req->edge->conf->max_item) {
		reply_error(rep, 413, "request_too_large", path,
		    "Invalid '%s': item too large. Expected an item of at "
		    "most %ju bytes, but got %zu bytes instead.", path,
		    (uintmax_t)req->edge->conf->max_item, out.len);
		buf_fini(&out);
		return (false);
	}
	if (buf_ok(&out))
		item = item_new(c.id != NULL ? c.id :
		    json_string_value(json_object_get(tree, "id")), out.data,
		    out.len);
	buf_fini(&out);
	if (item == NULL)
		return (input_nomem(rep));
	in->is_minted[in->n] = c.id != NULL;
	in->items[in->n++] = item;
	return (true);
}

/* --- the list ------------------------------------------------------------- */

static bool
take_reference(const struct request *req, const json_t *tree,
    const char *path, struct input_items *in, struct reply *rep)
{
	const json_t *id;
	char *copy;

	if (!item_check_reference(tree, path, rep))
		return (false);
	id = json_object_get(tree, "id");
	copy = arena_copy(req->arena, json_string_value(id),
	    json_string_length(id));
	if (copy == NULL)
		return (input_nomem(rep));
	in->references[in->nreferences++] = copy;
	return (true);
}

static int
compare_ids(const void *a, const void *b)
{
	const struct item *const *x = a, *const *y = b;

	return (strcmp((*x)->id, (*y)->id));
}

/* Ids that clients chose must differ within a batch. */
static bool
check_twins(const struct request *req, const struct input_items *in,
    struct reply *rep)
{
	struct item **own;
	size_t i, n = 0;

	if (in->n < 2)
		return (true);
	own = arena_alloc(req->arena, in->n * sizeof(*own));
	if (own == NULL)
		return (input_nomem(rep));
	for (i = 0; i < in->n; i++)
		if (!in->is_minted[i])
			own[n++] = in->items[i];
	qsort(own, n, sizeof(*own), compare_ids);
	for (i = 1; i < n; i++)
		if (strcmp(own[i - 1]->id, own[i]->id) == 0) {
			reply_store_error(rep, STORE_CONFLICT, (struct span){
			    own[i]->id, strlen(own[i]->id) });
			return (false);
		}
	return (true);
}

static bool
check_length(const struct request *req, const char *name, size_t n,
    bool is_required, struct reply *rep)
{
	size_t max = req->edge->conf->max_items_per_request;

	if (n == 0 && is_required)
		reply_error(rep, 400, "empty_array", name, "Invalid '%s': "
		    "empty array. Expected an array with minimum length 1, "
		    "but got an empty array instead.", name);
	else if (n > max)
		reply_error(rep, 400, "array_above_max_length", name,
		    "Invalid '%s': array too long. Expected an array with "
		    "maximum length %zu, but got an array with length %zu "
		    "instead.", name, max, n);
	else
		return (true);
	return (false);
}

/* Each element, the tree's and the bytes' side by side. */
static bool
take_all(const struct request *req, const json_t *array, struct span bytes,
    const char *name, struct input_items *in, struct reply *rep)
{
	char path[SHAPE_PATH];
	struct jsonscan it;
	struct span key, val;
	const json_t *tree;
	size_t i;

	jsonscan_begin(&it, bytes);
	json_array_foreach(array, i, tree) {
		if (!jsonscan_next(&it, &key, &val)) {
			assert(!"jansson and jsonscan count the same");
			return (input_nomem(rep));
		}
		shape_element(path, name, i);
		if (item_is_reference(tree) ?
		    !take_reference(req, tree, path, in, rep) :
		    !take_item(req, tree, val, path, in, rep))
			return (false);
	}
	return (check_twins(req, in, rep));
}

bool
input_items(const struct request *req, const json_t *body, const char *name,
    bool is_required, struct input_items *in, struct reply *rep)
{
	const json_t *array = json_object_get(body, name);
	struct span bytes;

	if (array == NULL && is_required)
		return (shape_missing(name, rep));
	if (array == NULL || (json_is_null(array) && !is_required))
		return (true);
	if (!json_is_array(array))
		return (shape_bad_type(array, name, "an array of objects",
		    rep));
	if (!check_length(req, name, json_array_size(array), is_required,
	    rep) || !reserve(req, json_array_size(array), in, rep))
		return (false);
	if (!jsonscan_get(req->body, name, &bytes)) {
		assert(!"jansson and jsonscan find the same members");
		return (input_nomem(rep));
	}
	if (take_all(req, array, bytes, name, in, rep))
		return (true);
	input_items_fini(in);
	return (false);
}

bool
input_items_text(const struct request *req, struct span text,
    struct input_items *in, struct reply *rep)
{
	struct buf out = BUF_INITIALIZER;
	struct item *item = NULL;
	char id[ID_SIZE];

	if (!reserve(req, 1, in, rep))
		return (false);
	id_mint(id, "msg_");
	buf_addf(&out, "{\"id\":\"%s\",\"type\":\"message\",\"status\":"
	    "\"completed\",\"role\":\"user\",\"content\":", id);
	add_content(text, false, &out);
	buf_addc(&out, '}');
	if (buf_ok(&out))
		item = item_new(id, out.data, out.len);
	buf_fini(&out);
	if (item == NULL)
		return (input_nomem(rep));
	in->is_minted[0] = true;
	in->items[in->n++] = item;
	return (true);
}
