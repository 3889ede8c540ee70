#ifndef API_H
#define API_H

#include "reply.h"
#include "request.h"

/*
 * The handlers: one function an endpoint, called by route_dispatch after the
 * caller is known, in a worker's loop or, if the body is large, in a helper's
 * thread.  They never block, but those of route_blocks, which have a helper's.
 *
 *	API_DONE	the reply is made; send it when its lsn is durable
 *	API_COLD	store said STORE_COLD: warm request.cold_tenant in a
 *			helper thread, then call route_dispatch again
 *	API_BUSY	store said STORE_BUSY: again when the journal moved
 *
 * A handler that returns other than API_DONE has changed nothing and is
 * called again from the start with the same request.  So is one that answered
 * without a change, if its lsn cannot be waited for.
 */
enum api_verdict { API_DONE, API_COLD, API_BUSY };

typedef enum api_verdict api_handler(struct request *, struct reply *);

/* api_conversation.c: segments[2] is the conversation's id */
api_handler	 api_conversation_create;
api_handler	 api_conversation_list;
api_handler	 api_conversation_get;
api_handler	 api_conversation_update;	/* POST: metadata replaced */
api_handler	 api_conversation_patch;
api_handler	 api_conversation_delete;

/* api_item.c: segments[4] is the item's id */
api_handler	 api_items_append;
api_handler	 api_items_list;
api_handler	 api_item_get;
api_handler	 api_item_delete;

/* api_response.c */
api_handler	 api_response_create;
api_handler	 api_models_list;

/* health.c */
api_handler	 api_healthz;
api_handler	 api_readyz;

/* metrics.c */
api_handler	 api_metrics;

/* api_admin.c: everything under /admin/v1, control socket only */
api_handler	 api_admin;

#endif /* !API_H */
