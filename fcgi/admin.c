#include <string.h>
#include <time.h>

#include "admin.h"
#include "api.h"
#include "reply.h"

/* Run the call again until the store is ready for it.  Blocks. */
static void
run(struct request *req, struct reply *rep)
{
	const struct timespec nap = { 0, 1000000 };
	struct span cold;
	enum store_err err;

	for (;;) {
		switch (api_admin(req, rep)) {
		case API_DONE:
			return;
		case API_BUSY:
			(void)nanosleep(&nap, NULL);
			break;
		case API_COLD:
			cold = req->cold_tenant;
			err = store_warm(req->edge->store, cold.p, cold.len);
			if (err == STORE_OK)
				break;
			reply_store_error(rep, err, cold);
			return;
		}
	}
}

/* What the loop of a daemon leaves to others: the disk. */
static void
settle(const struct edge *edge, struct reply *rep)
{
	/* The flush was only begun. */
	if (rep->status == 202) {
		if (store_flush(edge->store) == -1)
			reply_store_error(rep, STORE_SICK,
			    (struct span){ "", 0 });
		return;
	}
	if (rep->lsn != 0 && store_wait(edge->store, rep->lsn) != STORE_OK)
		reply_unsure(rep);
}

int
admin_call(const struct edge *edge, const char *method, const char *path,
    const char *body, size_t len, json_t **reply_r)
{
	const struct pair params[] = {
		{ { "REQUEST_METHOD", 14 }, { method, strlen(method) } },
		{ { "REQUEST_URI", 11 }, { path, strlen(path) } },
	};
	struct arena *arena = arena_new();
	struct request req;
	struct reply rep;
	int status = 503;

	*reply_r = NULL;
	if (arena == NULL)
		return (status);
	reply_init(&rep);
	if (request_init(&req, edge, arena, params, 2,
	    (struct span){ body, len }, true) == 0) {
		run(&req, &rep);
		settle(edge, &rep);
		if (buf_ok(&rep.body) && rep.body.len > 0)
			*reply_r = json_loadb(rep.body.data, rep.body.len,
			    JSON_ALLOW_NUL, NULL);
		if (*reply_r != NULL)
			status = rep.status;
		request_fini(&req);
	}
	reply_fini(&rep);
	arena_free(arena);
	return (status);
}
