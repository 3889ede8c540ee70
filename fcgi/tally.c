#include <stdlib.h>
#include <string.h>

#include "reply.h"
#include "tally.h"

/* What changes nothing cannot be a change that is refused. */
#define READING		(METHOD_GET | METHOD_HEAD | METHOD_OPTIONS)

struct tallies *
tallies_new(unsigned int n)
{
	struct tallies *all;

	if ((all = calloc(1, sizeof(*all))) == NULL)
		return (NULL);
	atomic_init(&all->is_stopping, false);
	all->n = n;
	if ((all->v = calloc(n, sizeof(*all->v))) == NULL) {
		free(all);
		return (NULL);
	}
	return (all);
}

void
tallies_free(struct tallies *all)
{
	if (all == NULL)
		return;
	free(all->v);
	free(all);
}

/* A status that says it all; 503 has several causes. */
static const struct {
	int		 status;
	const char	*code;		/* NULL: any */
	enum refusal	 refusal;
} refusals[] = {
	{ 401, NULL, REFUSED_FORBIDDEN },
	{ 403, NULL, REFUSED_FORBIDDEN },
	{ 404, NULL, REFUSED_NOT_FOUND },
	{ 408, NULL, REFUSED_TIMEOUT },
	{ 409, NULL, REFUSED_CONFLICT },
	{ 412, NULL, REFUSED_PRECONDITION },
	{ 413, NULL, REFUSED_TOO_LARGE },
	{ 422, NULL, REFUSED_CONFLICT },
	{ 429, NULL, REFUSED_RATE },
	{ 431, NULL, REFUSED_TOO_LARGE },
	{ 503, "damaged", REFUSED_DAMAGED },
	{ 503, "outcome_unknown", REFUSED_OUTCOME_UNKNOWN },
	{ 503, "out_of_memory", REFUSED_MEMORY },
	{ 503, "storage_unavailable", REFUSED_JOURNAL_BROKEN },
	{ 503, NULL, REFUSED_BUSY },
	{ 507, NULL, REFUSED_DISK_FULL },
	{ 400, "item_already_in_conversation", REFUSED_CONFLICT }
};

static enum refusal
refusal_of(int status, const char *code)
{
	size_t i;

	for (i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
		if (refusals[i].status == status && (refusals[i].code == NULL ||
		    (code != NULL && strcmp(refusals[i].code, code) == 0)))
			return (refusals[i].refusal);
	return (REFUSED_INVALID);
}

void
tally_answered(struct tally *t, const struct request *req, int status,
    const char *code, int64_t us)
{
	const unsigned int method = (unsigned int)__builtin_ctz(req->method);

	counter_add(&t->requests[req->route][method][reply_place(status)], 1);
	histogram_add(&t->duration_us[req->route][method],
	    us > 0 ? (uint64_t)us : 0);
	if (status >= 400 && (req->method & READING) == 0)
		counter_add(&t->refused[refusal_of(status, code)], 1);
}
