#include <string.h>

#include "api_change.h"
#include "input.h"
#include "input_items.h"
#include "output.h"
#include "query.h"

/* The most of items in one reply: a page of large ones is cut short. */
#define PAGE_BYTES	((size_t)64 << 20)

/* --- POST /conversations/{id}/items --------------------------------------- */

/*
 * An item_reference adds nothing to the conversation that holds the item
 * already; one that is unknown is told first.
 */
static enum api_verdict
refuse_references(struct request *req, struct reply *rep, const char *id,
    const struct input_items *in)
{
	uint64_t version, lsn = 0;
	struct item *item;
	const char *name;
	enum store_err err;
	size_t i;

	for (i = 0; i < in->nreferences; i++) {
		name = in->references[i];
		err = store_item(req->caller.tenant, id, req->caller.user,
		    name, &item, &version, &lsn);
		if (err == STORE_NOENT)
			name = id;
		if (err != STORE_OK)
			return (api_refused(req, rep, err,
			    (struct span){ name, strlen(name) }, lsn));
		item_unref(item);
	}
	return (api_refused(req, rep, STORE_CONFLICT, (struct span){ "", 0 },
	    lsn));
}

static enum api_verdict
append(struct request *req, struct reply *rep, struct api_change *c,
    const struct input_items *in)
{
	enum api_verdict verdict;
	bool has_times;

	if (!query_include(req, &has_times, rep))
		return (API_DONE);
	if (in->nreferences > 0)
		return (refuse_references(req, rep, c->change.conversation,
		    in));
	c->change.items = in->items;
	c->change.is_minted = in->is_minted;
	c->change.nitems = in->n;
	verdict = api_change_commit(c, req, rep);
	if (!c->is_made)
		return (verdict);
	reply_start(rep, 200);
	output_items(&rep->body, c->outcome.items, c->outcome.nitems, false,
	    has_times);
	reply_etag(rep, c->outcome.version);
	api_change_done(c, rep);
	return (API_DONE);
}

enum api_verdict
api_items_append(struct request *req, struct reply *rep)
{
	static const char *const members[] = { "items", NULL };
	enum api_verdict verdict = API_DONE;
	struct input_items in;
	struct api_change c;
	json_t *body;

	input_items_init(&in);
	if (!api_change_named(&c, req, CHANGE_ITEMS_APPEND, rep) ||
	    (body = input_body(req, false, rep)) == NULL)
		return (API_DONE);
	if (input_members(body, members, rep) &&
	    input_items(req, body, "items", true, &in, rep))
		verdict = append(req, rep, &c, &in);
	api_change_end(&c);
	input_items_fini(&in);
	json_decref(body);
	return (verdict);
}

/* --- GET /conversations/{id}/items ---------------------------------------- */

struct items_query {
	char			 conversation[ID_SIZE];
	const char		*after;
	size_t			 limit;
	enum store_order	 order;
	bool			 has_times;
};

static bool
take_query(const struct request *req, struct items_query *q,
    struct reply *rep)
{
	return (api_conversation_id(req, q->conversation, rep) &&
	    query_limit(req, &q->limit, rep) &&
	    query_order(req, &q->order, rep) &&
	    query_include(req, &q->has_times, rep) &&
	    query_id(req, "after", &q->after, rep));
}

/*
 * How many items of the page to answer: as many as fit PAGE_BYTES, at least
 * one.  A client follows has_more, whatever limit it asked for.
 */
static size_t
count_fitting(const struct items_page *page)
{
	size_t bytes = 0, i;

	for (i = 0; i < page->nitems; i++)
		if ((bytes += page->items[i]->len) > PAGE_BYTES && i > 0)
			break;
	return (i);
}

enum api_verdict
api_items_list(struct request *req, struct reply *rep)
{
	struct items_page page;
	struct items_query q;
	enum store_err err;
	const char *named;
	size_t n;

	if (!take_query(req, &q, rep))
		return (API_DONE);
	memset(&page, 0, sizeof(page));
	err = store_items(req->caller.tenant, q.conversation,
	    req->caller.user, q.after, q.order, q.limit, &page);
	if (err != STORE_OK) {
		named = err == STORE_NOCURSOR ? q.after : q.conversation;
		return (api_refused(req, rep, err,
		    (struct span){ named, strlen(named) }, page.lsn));
	}
	if (query_is_unchanged(req, page.version))
		reply_start(rep, 304);
	else {
		reply_start(rep, 200);
		n = count_fitting(&page);
		output_items(&rep->body, page.items, n,
		    page.has_more || n < page.nitems, q.has_times);
	}
	reply_etag(rep, page.version);
	reply_wait(rep, page.lsn);
	store_items_fini(&page);
	return (API_DONE);
}

/* --- GET and DELETE /conversations/{id}/items/{item} ---------------------- */

enum api_verdict
api_item_get(struct request *req, struct reply *rep)
{
	char id[ID_SIZE], item_id[ID_SIZE];
	uint64_t version = 0, lsn = 0;
	struct item *item;
	enum store_err err;
	const char *named;
	bool has_times;

	if (!api_conversation_id(req, id, rep) ||
	    !api_item_id(req, item_id, rep) ||
	    !query_include(req, &has_times, rep))
		return (API_DONE);
	err = store_item(req->caller.tenant, id, req->caller.user, item_id,
	    &item, &version, &lsn);
	if (err != STORE_OK) {
		named = err == STORE_NOITEM ? item_id : id;
		return (api_refused(req, rep, err,
		    (struct span){ named, strlen(named) }, lsn));
	}
	reply_start(rep, 200);
	output_item(&rep->body, item, has_times);
	reply_wait(rep, lsn);
	item_unref(item);
	return (API_DONE);
}

enum api_verdict
api_item_delete(struct request *req, struct reply *rep)
{
	enum api_verdict verdict;
	struct api_change c;

	if (!api_change_named(&c, req, CHANGE_ITEM_DELETE, rep) ||
	    !api_item_id(req, c.change.item, rep))
		return (API_DONE);
	verdict = api_change_commit(&c, req, rep);
	if (c.is_made) {
		reply_start(rep, 200);
		output_conversation(&rep->body, &c.outcome.view);
		reply_etag(rep, c.outcome.version);
		api_change_done(&c, rep);
	}
	api_change_end(&c);
	return (verdict);
}
