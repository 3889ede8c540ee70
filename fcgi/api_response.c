#include <string.h>

#include "store/sys.h"

#include "api_change.h"
#include "input.h"
#include "input_items.h"
#include "recall.h"
#include "shape.h"

/* The one agent that is built in. */
#define MODEL		"recall"

/* One request, and what came of it. */
struct ask {
	const json_t		*body;
	char			 conversation[ID_SIZE];	/* "": none */
	struct input_items	 in;
	size_t			 words_in;
	struct item		*output;	/* reference */
	int64_t			 at;		/* ms */
};

/* --- the request ---------------------------------------------------------- */

static const char *const truncations[] = { "auto", "disabled", NULL };

static const struct shape_field fields[] = {
	{ "model", SHAPE_STRING, true, NULL, NULL },
	{ "input", SHAPE_STRING | SHAPE_ARRAY, false, NULL, NULL },
	{ "conversation", SHAPE_STRING | SHAPE_OBJECT, false, NULL, NULL },
	{ "previous_response_id", SHAPE_STRING, false, NULL, NULL },
	{ "instructions", SHAPE_STRING | SHAPE_ARRAY, false, NULL, NULL },
	{ "temperature", SHAPE_NUMBER, false, NULL, NULL },
	{ "top_p", SHAPE_NUMBER, false, NULL, NULL },
	{ "max_output_tokens", SHAPE_INTEGER, false, NULL, NULL },
	{ "tools", SHAPE_ARRAY, false, NULL, shape_objects },
	{ "tool_choice", SHAPE_STRING | SHAPE_OBJECT, false, NULL, NULL },
	{ "parallel_tool_calls", SHAPE_BOOL, false, NULL, NULL },
	{ "text", SHAPE_OBJECT, false, NULL, NULL },
	{ "reasoning", SHAPE_OBJECT, false, NULL, NULL },
	{ "user", SHAPE_STRING, false, NULL, NULL },
	{ "store", SHAPE_BOOL, false, NULL, NULL },
	{ "stream", SHAPE_BOOL, false, NULL, NULL },
	{ "background", SHAPE_BOOL, false, NULL, NULL },
	{ "include", SHAPE_ARRAY, false, NULL, shape_strings },
	{ "truncation", SHAPE_STRING, false, truncations, NULL },
	{ "service_tier", SHAPE_STRING, false, NULL, NULL },
	{ "prompt_cache_key", SHAPE_STRING, false, NULL, NULL },
	{ "safety_identifier", SHAPE_STRING, false, NULL, NULL },
	{ "stream_options", SHAPE_OBJECT, false, NULL, NULL },
	{ "max_tool_calls", SHAPE_INTEGER, false, NULL, NULL },
	{ "top_logprobs", SHAPE_INTEGER, false, NULL, NULL },
	{ "prompt", SHAPE_OBJECT, false, NULL, NULL },
	{ NULL, 0, false, NULL, NULL }
};

static const char *
string_of(const struct ask *a, const char *name)
{
	return (json_string_value(json_object_get(a->body, name)));
}

static bool
is_given(const struct ask *a, const char *name)
{
	const json_t *value = json_object_get(a->body, name);

	return (value != NULL && !json_is_null(value));
}

/* What this agent does not do. */
static bool
check_modes(const struct ask *a, struct reply *rep)
{
	static const char *const modes[] = { "stream", "background" };
	size_t i;

	for (i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		if (json_is_true(json_object_get(a->body, modes[i]))) {
			reply_error(rep, 400, "unsupported_value", modes[i],
			    "Unsupported value: '%s' does not support true "
			    "with this model.", modes[i]);
			return (false);
		}
	return (true);
}

static bool
check_model(const struct ask *a, struct reply *rep)
{
	if (strcmp(string_of(a, "model"), MODEL) == 0)
		return (true);
	reply_error(rep, 400, "model_not_found", "model", "The requested "
	    "model '%.100s' does not exist. Supported values are: '%s'.",
	    string_of(a, "model"), MODEL);
	return (false);
}

/* No response is kept yet that one could go on from. */
static bool
check_previous(const struct ask *a, struct reply *rep)
{
	if (!is_given(a, "previous_response_id"))
		return (true);
	if (is_given(a, "conversation"))
		reply_error(rep, 400, "mutually_exclusive_parameters", NULL,
		    "Mutually exclusive parameters: ''. Ensure you are only "
		    "providing one of: 'previous_response_id' or "
		    "'conversation'.");
	else
		reply_error(rep, 400, "previous_response_not_found",
		    "previous_response_id", "Previous response with id "
		    "'%.100s' not found.",
		    string_of(a, "previous_response_id"));
	return (false);
}

/* "conv_x" or {"id":"conv_x"}. */
static bool
take_conversation(struct ask *a, struct reply *rep)
{
	static const struct shape_field object[] = {
		{ "id", SHAPE_STRING, true, NULL, NULL },
		{ NULL, 0, false, NULL, NULL } };
	const json_t *v = json_object_get(a->body, "conversation");
	struct span id;

	if (!is_given(a, "conversation"))
		return (true);
	if (json_is_object(v)) {
		if (!shape_check(v, object, "conversation", rep))
			return (false);
		v = json_object_get(v, "id");
	}
	id = (struct span){ json_string_value(v), json_string_length(v) };
	return (api_take_conversation_id(id, "conversation", a->conversation,
	    rep));
}

static bool
take_input(const struct request *req, struct ask *a, struct reply *rep)
{
	const json_t *input = json_object_get(a->body, "input");
	struct span text;
	size_t i;

	if (json_is_string(input)) {
		if (!jsonscan_get(req->body, "input", &text) ||
		    !input_items_text(req, text, &a->in, rep))
			return (false);
	} else if (!input_items(req, a->body, "input", false, &a->in, rep))
		return (false);
	/* An empty list is no input; a conversation may do without. */
	if (a->in.n + a->in.nreferences == 0 && a->conversation[0] == '\0')
		return (shape_missing("input", rep));
	for (i = 0; i < a->in.n; i++)
		a->words_in += recall_item_words((struct span){
		    a->in.items[i]->json, a->in.items[i]->len });
	return (true);
}

/* Everything is checked before anything is stored. */
static bool
take_ask(const struct request *req, struct ask *a, struct reply *rep)
{
	return (shape_check(a->body, fields, "", rep) &&
	    input_metadata(json_object_get(a->body, "metadata"), false, rep) &&
	    check_modes(a, rep) && check_model(a, rep) &&
	    check_previous(a, rep) && take_conversation(a, rep) &&
	    take_input(req, a, rep));
}

/* --- the answer ----------------------------------------------------------- */

/* What was asked now, newest first, then the conversation as it is. */
static enum api_verdict
gather(struct request *req, struct reply *rep, const struct ask *a,
    struct recall *r, bool *is_ok_r)
{
	struct items_page page;
	enum store_err err;
	struct item *item;
	bool is_ok = true;
	size_t i;

	*is_ok_r = false;
	for (i = a->in.n; i > 0 && is_ok; i--) {
		item = a->in.items[i - 1];
		is_ok = recall_add(r, (struct span){ item->json, item->len },
		    a->at);
	}
	if (a->conversation[0] != '\0') {
		memset(&page, 0, sizeof(page));
		err = store_items(req->caller.tenant, a->conversation,
		    req->caller.user, NULL, STORE_DESC, RECALL_ITEMS, &page);
		if (err != STORE_OK)
			return (api_refused(req, rep, err, (struct span){
			    a->conversation, strlen(a->conversation) },
			    page.lsn));
		for (i = 0; i < page.nitems && is_ok; i++)
			is_ok = recall_add(r, (struct span){
			    page.items[i]->json, page.items[i]->len },
			    page.items[i]->at);
		store_items_fini(&page);
	}
	*is_ok_r = is_ok || input_nomem(rep);
	return (API_DONE);
}

/* References must name items of the conversation; nothing is added. */
static enum api_verdict
check_references(struct request *req, struct reply *rep,
    const struct ask *a, bool *is_ok_r)
{
	uint64_t version, lsn = 0;
	struct item *item;
	const char *id;
	enum store_err err;
	size_t i;

	*is_ok_r = true;
	for (i = 0; i < a->in.nreferences; i++) {
		id = a->in.references[i];
		err = a->conversation[0] == '\0' ? STORE_NOITEM :
		    store_item(req->caller.tenant, a->conversation,
		    req->caller.user, id, &item, &version, &lsn);
		if (err == STORE_OK) {
			item_unref(item);
			continue;
		}
		*is_ok_r = false;
		if (err == STORE_NOENT)
			id = a->conversation;
		return (api_refused(req, rep, err,
		    (struct span){ id, strlen(id) }, lsn));
	}
	return (API_DONE);
}

/* The output item; NULL for want of memory. */
static struct item *
answer(const struct ask *a, const struct recall *r)
{
	struct buf text = BUF_INITIALIZER, json = BUF_INITIALIZER;
	struct item *item = NULL;
	char id[ID_SIZE];

	recall_answer(r, a->conversation[0] != '\0', &text);
	id_mint(id, "msg_");
	buf_addf(&json, "{\"id\":\"%s\",\"type\":\"message\",\"status\":"
	    "\"completed\",\"role\":\"assistant\",\"content\":[{\"type\":"
	    "\"output_text\",\"text\":", id);
	if (buf_ok(&text))
		buf_json(&json, text.data, text.len);
	buf_adds(&json, ",\"annotations\":[],\"logprobs\":[]}]}");
	if (buf_ok(&text) && buf_ok(&json))
		item = item_new(id, json.data, json.len);
	buf_fini(&text);
	buf_fini(&json);
	return (item);
}

/* --- the reply ------------------------------------------------------------ */

/* Members that are told as they were sent, or else so. */
static const struct {
	const char	*name;
	const char	*otherwise;	/* NULL: left out */
} echoes[] = {
	{ "instructions", "null" },
	{ "max_output_tokens", "null" },
	{ "max_tool_calls", NULL },
	{ "metadata", "{}" },
	{ "parallel_tool_calls", "true" },
	{ "prompt_cache_key", NULL },
	{ "reasoning", "{\"effort\":null,\"summary\":null}" },
	{ "safety_identifier", NULL },
	{ "service_tier", NULL },
	{ "store", "true" },
	{ "temperature", "1" },
	{ "text", "{\"format\":{\"type\":\"text\"}}" },
	{ "tool_choice", "\"auto\"" },
	{ "tools", "[]" },
	{ "top_logprobs", NULL },
	{ "top_p", "1" },
	{ "truncation", "\"disabled\"" },
	{ "user", "null" },
};

static void
add_echoes(struct buf *out, const struct request *req)
{
	struct span value;
	bool is_sent;
	size_t i;

	for (i = 0; i < sizeof(echoes) / sizeof(echoes[0]); i++) {
		is_sent = jsonscan_get(req->body, echoes[i].name, &value) &&
		    value.p[0] != 'n';
		if (!is_sent && echoes[i].otherwise == NULL)
			continue;
		buf_addf(out, ",\"%s\":", echoes[i].name);
		if (is_sent)
			jsonscan_minify(value, out);
		else
			buf_adds(out, echoes[i].otherwise);
	}
}

/* recall's tokens are words: those of the input, and of what it says. */
static void
add_usage(struct buf *out, size_t in, size_t words)
{
	buf_addf(out, ",\"usage\":{\"input_tokens\":%zu,"
	    "\"input_tokens_details\":{\"cached_tokens\":0,"
	    "\"cache_write_tokens\":0},\"output_tokens\":%zu,"
	    "\"output_tokens_details\":{\"reasoning_tokens\":0},"
	    "\"total_tokens\":%zu}", in, words, in + words);
}

/*
 * The Response.  Its id is made of its output item's, so that a retry, which
 * finds the stored item, answers with the same response.
 */
static void
reply_response(const struct request *req, struct reply *rep,
    const struct ask *a)
{
	struct buf *out = &rep->body;
	const struct item *item = a->output;
	struct span json = { "", 0 };
	char id[ID_SIZE];

	id_mint(id, "resp_");
	if (item != NULL) {
		json = (struct span){ item->json, item->len };
		if (strncmp(item->id, "msg_", 4) == 0 &&
		    strlen(item->id) == strlen(id) - 1)
			memcpy(id + 5, item->id + 4, strlen(item->id) - 4);
	}
	reply_start(rep, 200);
	buf_addf(out, "{\"id\":\"%s\",\"object\":\"response\","
	    "\"created_at\":%jd,\"status\":\"completed\","
	    "\"background\":false,\"completed_at\":%jd,\"error\":null,"
	    "\"incomplete_details\":null,\"model\":\"" MODEL "\","
	    "\"previous_response_id\":null,\"conversation\":", id,
	    (intmax_t)(a->at / 1000), (intmax_t)(a->at / 1000));
	if (a->conversation[0] != '\0')
		buf_addf(out, "{\"id\":\"%s\"}", a->conversation);
	else
		buf_adds(out, "null");
	buf_adds(out, ",\"output\":[");
	buf_add(out, json.p, json.len);
	buf_addc(out, ']');
	add_echoes(out, req);
	add_usage(out, a->words_in,
	    item != NULL ? recall_item_words(json) : 0);
	buf_addc(out, '}');
}

/* Is it an answer, and not an item of the input? */
static bool
is_answer(const struct item *item)
{
	struct span json = { item->json, item->len }, role;

	return (jsonscan_get(json, "role", &role) &&
	    role.len == strlen("\"assistant\"") &&
	    memcmp(role.p, "\"assistant\"", role.len) == 0);
}

/* What is stored is what is answered: of a retry, the first answer. */
static void
take_outcome(struct ask *a, const struct outcome *o)
{
	item_unref(a->output);
	a->output = NULL;
	if (o->nitems > 0 && is_answer(o->items[o->nitems - 1])) {
		a->output = item_ref(o->items[o->nitems - 1]);
		a->at = a->output->at;
	}
}

/* Input and output enter the conversation together. */
static enum api_verdict
keep(struct request *req, struct reply *rep, struct ask *a)
{
	enum api_verdict verdict;
	struct api_change c;
	struct item **items;
	bool *is_minted;
	size_t n = a->in.n + 1;

	if (!api_change_of(&c, req, CHANGE_ITEMS_APPEND, a->conversation,
	    rep))
		return (API_DONE);
	items = arena_alloc(req->arena, n * sizeof(*items));
	is_minted = arena_alloc(req->arena, n * sizeof(*is_minted));
	if (items == NULL || is_minted == NULL) {
		(void)input_nomem(rep);
		return (API_DONE);
	}
	if (a->in.n > 0) {
		memcpy(items, a->in.items, a->in.n * sizeof(*items));
		memcpy(is_minted, a->in.is_minted,
		    a->in.n * sizeof(*is_minted));
	}
	items[n - 1] = a->output;
	is_minted[n - 1] = true;
	c.change.items = items;
	c.change.is_minted = is_minted;
	c.change.nitems = n;
	verdict = api_change_commit(&c, req, rep);
	if (c.is_made) {
		take_outcome(a, &c.outcome);
		reply_response(req, rep, a);
		reply_etag(rep, c.outcome.version);
		api_change_done(&c, rep);
	}
	api_change_end(&c);
	return (verdict);
}

static enum api_verdict
respond(struct request *req, struct reply *rep, struct ask *a)
{
	enum api_verdict verdict;
	struct recall *r;
	bool is_ok;

	verdict = check_references(req, rep, a, &is_ok);
	if (!is_ok)
		return (verdict);
	if ((r = recall_new()) == NULL) {
		(void)input_nomem(rep);
		return (API_DONE);
	}
	verdict = gather(req, rep, a, r, &is_ok);
	if (is_ok)
		a->output = answer(a, r);
	recall_free(r);
	if (!is_ok)
		return (verdict);
	if (a->output == NULL)
		(void)input_nomem(rep);
	else if (a->conversation[0] != '\0')
		verdict = keep(req, rep, a);
	else
		reply_response(req, rep, a);
	return (verdict);
}

enum api_verdict
api_response_create(struct request *req, struct reply *rep)
{
	enum api_verdict verdict = API_DONE;
	struct ask a;
	json_t *body;

	if ((body = input_body(req, false, rep)) == NULL)
		return (API_DONE);
	memset(&a, 0, sizeof(a));
	input_items_init(&a.in);
	a.body = body;
	a.at = sys_now_ms();
	if (take_ask(req, &a, rep))
		verdict = respond(req, rep, &a);
	item_unref(a.output);
	input_items_fini(&a.in);
	json_decref(body);
	return (verdict);
}

enum api_verdict
api_models_list(struct request *req, struct reply *rep)
{
	reply_start(rep, 200);
	buf_addf(&rep->body, "{\"object\":\"list\",\"data\":[{\"id\":\""
	    MODEL "\",\"object\":\"model\",\"created\":%jd,"
	    "\"owned_by\":\"rememberd\"}]}",
	    (intmax_t)(req->edge->started_at / 1000));
	return (API_DONE);
}
