#include <string.h>

#include "api_change.h"
#include "input.h"
#include "input_items.h"
#include "output.h"
#include "query.h"
#include "shape.h"

/* --- POST /conversations -------------------------------------------------- */

/* A user's token makes conversations of that user; a tenant key of any. */
static bool
take_owner(const struct request *req, const json_t *body,
    struct change *change, struct reply *rep)
{
	const json_t *user = json_object_get(body, "user");

	if (!input_user(user, rep))
		return (false);
	if (user == NULL || json_is_null(user))
		return (true);
	if (req->caller.user != NULL &&
	    strcmp(req->caller.user, json_string_value(user)) != 0) {
		reply_error(rep, 403, "insufficient_scope", "user",
		    "Only a key of the tenant may make a conversation of "
		    "another user.");
		return (false);
	}
	change->user = json_string_value(user);
	return (true);
}

static bool
take_title(const json_t *body, struct change *change, struct reply *rep)
{
	const json_t *title = json_object_get(body, "title");

	if (!input_title(title, rep))
		return (false);
	change->has_title = title != NULL;
	change->title = json_string_value(title);
	change->title_len = json_string_length(title);
	return (true);
}

static bool
take_metadata(const struct request *req, const json_t *body,
    struct change *change, struct reply *rep)
{
	const json_t *metadata = json_object_get(body, "metadata");

	/* A patch that is null clears all, like the null that replaces. */
	if (json_is_null(metadata))
		change->merges = false;
	if (!input_metadata(metadata, change->merges, rep))
		return (false);
	change->has_metadata = metadata != NULL;
	change->metadata = input_metadata_bytes(req, rep);
	return (change->metadata.p != NULL);
}

/* The change as a Conversation, once it was made. */
static void
reply_view(struct api_change *c, struct reply *rep)
{
	reply_start(rep, 200);
	output_conversation(&rep->body, &c->outcome.view);
	reply_etag(rep, c->outcome.version);
	api_change_done(c, rep);
}

static bool
take_create(const struct request *req, const json_t *body,
    struct api_change *c, struct input_items *in, struct reply *rep)
{
	static const char *const members[] = { "items", "metadata", "title",
		"user", NULL };

	if (!input_members(body, members, rep) ||
	    !take_metadata(req, body, &c->change, rep) ||
	    !take_title(body, &c->change, rep) ||
	    !take_owner(req, body, &c->change, rep) ||
	    !input_items(req, body, "items", false, in, rep))
		return (false);
	if (in->nreferences > 0) {
		/* A new conversation holds nothing to refer to. */
		reply_store_error(rep, STORE_NOITEM, (struct span){
		    in->references[0], strlen(in->references[0]) });
		return (false);
	}
	c->change.items = in->items;
	c->change.is_minted = in->is_minted;
	c->change.nitems = in->n;
	return (true);
}

enum api_verdict
api_conversation_create(struct request *req, struct reply *rep)
{
	enum api_verdict verdict = API_DONE;
	struct input_items in;
	struct api_change c;
	json_t *body;

	input_items_init(&in);
	if (!api_change_create(&c, req, rep) ||
	    (body = input_body(req, true, rep)) == NULL)
		return (API_DONE);
	if (take_create(req, body, &c, &in, rep)) {
		verdict = api_change_commit(&c, req, rep);
		if (c.is_made)
			reply_view(&c, rep);
	}
	api_change_end(&c);
	input_items_fini(&in);
	json_decref(body);
	return (verdict);
}

/* --- POST and PATCH /conversations/{id} ----------------------------------- */

typedef bool	 take_body(const struct request *, const json_t *body,
		    struct change *, struct reply *);

static bool
take_update(const struct request *req, const json_t *body,
    struct change *change, struct reply *rep)
{
	static const char *const members[] = { "metadata", NULL };

	if (!input_members(body, members, rep))
		return (false);
	if (json_object_get(body, "metadata") == NULL)
		return (shape_missing("metadata", rep));
	return (take_metadata(req, body, change, rep));
}

static bool
take_patch(const struct request *req, const json_t *body,
    struct change *change, struct reply *rep)
{
	static const char *const members[] = { "title", "metadata", NULL };

	change->merges = true;
	return (input_members(body, members, rep) &&
	    take_title(body, change, rep) &&
	    take_metadata(req, body, change, rep));
}

static enum api_verdict
update(struct request *req, struct reply *rep, take_body *take)
{
	enum api_verdict verdict = API_DONE;
	struct api_change c;
	json_t *body;

	if (!api_change_named(&c, req, CHANGE_CONVERSATION_UPDATE, rep) ||
	    (body = input_body(req, false, rep)) == NULL)
		return (API_DONE);
	if (take(req, body, &c.change, rep)) {
		/* An empty patch changes nothing, not even the version. */
		if (!c.change.has_title && !c.change.has_metadata)
			verdict = api_conversation_get(req, rep);
		else
			verdict = api_change_commit(&c, req, rep);
		if (c.is_made)
			reply_view(&c, rep);
	}
	api_change_end(&c);
	json_decref(body);
	return (verdict);
}

enum api_verdict
api_conversation_update(struct request *req, struct reply *rep)
{
	return (update(req, rep, take_update));
}

enum api_verdict
api_conversation_patch(struct request *req, struct reply *rep)
{
	return (update(req, rep, take_patch));
}

/* --- DELETE /conversations/{id} ------------------------------------------- */

enum api_verdict
api_conversation_delete(struct request *req, struct reply *rep)
{
	enum api_verdict verdict;
	struct api_change c;

	if (!api_change_named(&c, req, CHANGE_CONVERSATION_DELETE, rep))
		return (API_DONE);
	verdict = api_change_commit(&c, req, rep);
	if (c.is_made) {
		reply_start(rep, 200);
		output_conversation_deleted(&rep->body,
		    c.change.conversation);
		api_change_done(&c, rep);
	}
	api_change_end(&c);
	return (verdict);
}

/* --- GET /conversations/{id} ---------------------------------------------- */

enum api_verdict
api_conversation_get(struct request *req, struct reply *rep)
{
	struct conversation_view view;
	enum store_err err;
	char id[ID_SIZE];
	uint64_t lsn = 0;

	if (!api_conversation_id(req, id, rep))
		return (API_DONE);
	err = store_conversation(req->caller.tenant, id, req->caller.user,
	    &view, &lsn);
	if (err != STORE_OK)
		return (api_refused(req, rep, err,
		    (struct span){ id, strlen(id) }, lsn));
	if (query_is_unchanged(req, view.version))
		reply_start(rep, 304);
	else {
		reply_start(rep, 200);
		output_conversation(&rep->body, &view);
	}
	reply_etag(rep, view.version);
	reply_wait(rep, lsn);
	store_view_fini(&view);
	return (API_DONE);
}

/* --- GET /conversations --------------------------------------------------- */

/* A user sees own conversations; a tenant key may ask for one user's. */
static bool
take_user(const struct request *req, struct list_query *q, struct reply *rep)
{
	struct span user;

	q->user = req->caller.user;
	if (q->user != NULL || !request_query(req, "user", &user))
		return (true);
	if (!input_is_user(user.p, user.len)) {
		reply_error(rep, 400, "invalid_value", "user",
		    "Invalid value for 'user': expected 1 to %d bytes without "
		    "control characters.", INPUT_USER_MAX);
		return (false);
	}
	q->user = user.p;
	return (true);
}

/* after: a conversation's id, or next_after, which holds a dot. */
static bool
take_after(const struct request *req, struct list_query *q,
    struct list_cursor *cursor, struct reply *rep)
{
	struct span after;

	if (!request_query(req, "after", &after) ||
	    !query_cursor_read(after, q->sort, cursor))
		return (query_id(req, "after", &q->after_id, rep));
	q->after = cursor;
	return (true);
}

static bool
take_query(const struct request *req, struct list_query *q,
    struct list_cursor *cursor, struct reply *rep)
{
	memset(q, 0, sizeof(*q));
	return (query_limit(req, &q->limit, rep) &&
	    query_order(req, &q->order, rep) &&
	    query_sort(req, &q->sort, rep) &&
	    query_metadata(req, q, rep) &&
	    take_user(req, q, rep) &&
	    take_after(req, q, cursor, rep) &&
	    query_id(req, "before", &q->before_id, rep));
}

/* Which of the two bounds names nothing?  Without `after` it is `before`. */
static void
refuse_cursor(struct request *req, struct reply *rep,
    const struct list_query *q)
{
	struct conversation_view view;
	uint64_t lsn = 0;
	bool is_after = q->after_id != NULL;

	if (is_after && q->before_id != NULL &&
	    store_conversation(req->caller.tenant, q->after_id, q->user,
	    &view, &lsn) == STORE_OK) {
		store_view_fini(&view);
		is_after = false;
	}
	reply_error(rep, 404, NULL, is_after ? "after" : "before",
	    "No entry '%s' for '%s' in this list.",
	    is_after ? q->after_id : q->before_id,
	    is_after ? "after" : "before");
	reply_wait(rep, lsn);
}

enum api_verdict
api_conversation_list(struct request *req, struct reply *rep)
{
	struct list_cursor cursor;
	struct list_query q;
	struct list_page page;
	enum store_err err;

	if (!take_query(req, &q, &cursor, rep))
		return (API_DONE);
	memset(&page, 0, sizeof(page));
	err = store_list(req->caller.tenant, &q, &page);
	if (err == STORE_NOCURSOR) {
		refuse_cursor(req, rep, &q);
		reply_wait(rep, page.lsn);
		return (API_DONE);
	}
	if (err != STORE_OK)
		return (api_refused(req, rep, err, (struct span){ "", 0 },
		    page.lsn));
	reply_start(rep, 200);
	output_conversations(&rep->body, &page, q.sort);
	reply_wait(rep, page.lsn);
	store_list_fini(&page);
	return (API_DONE);
}
