#include <assert.h>
#include <string.h>

#include "api_change.h"
#include "query.h"
#include "shape.h"

bool
api_take_conversation_id(struct span s, const char *param,
    char id_r[ID_SIZE], struct reply *rep)
{
	size_t length = shape_characters(s.p, s.len);

	if (length > ID_MAX)
		return (shape_too_long(length, param, ID_MAX, rep));
	if (!id_is_valid(s.p, s.len)) {
		reply_error(rep, 400, "invalid_value", param,
		    "Invalid value: '%.*s'. Expected an ID of 1 to %d letters, "
		    "digits, underscores, or dashes.", (int)s.len, s.p, ID_MAX);
		return (false);
	}
	memcpy(id_r, s.p, s.len);
	id_r[s.len] = '\0';
	return (true);
}

bool
api_conversation_id(const struct request *req, char id_r[ID_SIZE],
    struct reply *rep)
{
	assert(req->nsegments > 2);
	return (api_take_conversation_id(req->segments[2], "conversation_id",
	    id_r, rep));
}

bool
api_item_id(const struct request *req, char id_r[ID_SIZE],
    struct reply *rep)
{
	struct span s;

	assert(req->nsegments > 4);
	s = req->segments[4];
	if (!id_is_valid(s.p, s.len)) {
		reply_store_error(rep, STORE_NOITEM, s);
		return (false);
	}
	memcpy(id_r, s.p, s.len);
	id_r[s.len] = '\0';
	return (true);
}

enum api_verdict
api_refused(struct request *req, struct reply *rep, enum store_err err,
    struct span id, uint64_t lsn)
{
	const char *name;

	switch (err) {
	case STORE_OK:
		assert(!"refused for a reason");
		break;
	case STORE_COLD:
		name = store_tenant_name(req->caller.tenant);
		req->cold_tenant.len = strlen(name);
		req->cold_tenant.p = arena_copy(req->arena, name,
		    req->cold_tenant.len);
		if (req->cold_tenant.p != NULL)
			return (API_COLD);
		err = STORE_NOMEM;
		break;
	case STORE_BUSY:
		return (API_BUSY);
	default:
		break;
	}
	reply_store_error(rep, err, id);
	reply_wait(rep, lsn);
	return (API_DONE);
}

bool
api_change_create(struct api_change *c, const struct request *req,
    struct reply *rep)
{
	memset(c, 0, sizeof(*c));
	c->change.kind = CHANGE_CONVERSATION_CREATE;
	c->change.user = req->caller.user;
	c->change.metadata = (struct span){ "{}", 2 };
	id_mint(c->change.conversation, "conv_");
	if (!query_once(req, &c->once, rep))
		return (false);
	/* A retry that is only counted never shares a new conversation. */
	c->change.once = c->once.key != NULL ? &c->once : NULL;
	return (true);
}

bool
api_change_of(struct api_change *c, const struct request *req,
    enum change_kind kind, const char *id, struct reply *rep)
{
	memset(c, 0, sizeof(*c));
	c->change.kind = kind;
	c->change.user = req->caller.user;
	c->change.once = &c->once;
	memcpy(c->change.conversation, id, strlen(id) + 1);
	return (query_if_match(req, &c->change.if_version, rep) &&
	    query_once(req, &c->once, rep));
}

bool
api_change_named(struct api_change *c, const struct request *req,
    enum change_kind kind, struct reply *rep)
{
	char id[ID_SIZE];

	memset(c, 0, sizeof(*c));
	return (api_conversation_id(req, id, rep) &&
	    api_change_of(c, req, kind, id, rep));
}

enum api_verdict
api_change_commit(struct api_change *c, struct request *req,
    struct reply *rep)
{
	const char *named = c->change.kind == CHANGE_ITEM_DELETE ?
	    c->change.item : c->change.conversation;
	enum store_err err;

	assert(!c->is_made);
	err = store_commit(req->edge->store, req->caller.tenant, &c->change,
	    &c->outcome);
	if (err == STORE_OK) {
		c->is_made = true;
		return (API_DONE);
	}
	if (err == STORE_PRECONDITION) {
		reply_precondition(rep, c->outcome.version);
		reply_wait(rep, c->outcome.lsn);
		return (API_DONE);
	}
	/* Without the conversation there is no item to speak of. */
	if (err == STORE_NOENT)
		named = c->change.conversation;
	return (api_refused(req, rep, err,
	    (struct span){ named, strlen(named) }, c->outcome.lsn));
}

void
api_change_done(const struct api_change *c, struct reply *rep)
{
	assert(c->is_made);
	reply_wait(rep, c->outcome.lsn);
	rep->is_change = true;
}

void
api_change_end(struct api_change *c)
{
	if (c->is_made)
		store_outcome_fini(&c->outcome);
	c->is_made = false;
}
