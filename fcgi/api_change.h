#ifndef API_CHANGE_H
#define API_CHANGE_H

#include "api.h"
#include "reply.h"
#include "request.h"
#include "store/store.h"

/*
 * What the handlers of changes and reads share: the ids of the path, the
 * headers of a change, and the way from the store's word to a verdict.
 *
 *	api_change_begin --> fill in what the kind takes --> api_change_commit
 *	--> is_made: reply from outcome --> api_change_end
 */
struct api_change {
	struct change		 change;
	struct change_once	 once;
	struct outcome		 outcome;	/* valid while is_made */
	bool			 is_made;
};

/*
 * Begin a change that creates a conversation (with an Idempotency-Key a
 * retry is known again), or that changes the one named by segment 2 (also
 * If-Match, and the rule for clients that only count their retries).
 * Returns false after an error reply.
 */
bool	 api_change_create(struct api_change *, const struct request *,
	    struct reply *);
bool	 api_change_named(struct api_change *, const struct request *,
	    enum change_kind, struct reply *);
/* The same for the conversation of this id, which is well-formed. */
bool	 api_change_of(struct api_change *, const struct request *,
	    enum change_kind, const char *id, struct reply *);
/*
 * Commit.  If is_made the caller makes the reply, then api_change_done;
 * else the verdict is to be returned as it is.
 */
enum api_verdict api_change_commit(struct api_change *, struct request *,
		    struct reply *);
/* The reply waits for the change. */
void	 api_change_done(const struct api_change *, struct reply *);
/* Free the outcome; at any time after begin. */
void	 api_change_end(struct api_change *);

/*
 * A conversation's id, as it was given for param, into id_r.  One that is too
 * long or of another form is refused with 400 (as the original); returns false
 * then.
 */
bool	 api_take_conversation_id(struct span, const char *param,
	    char id_r[ID_SIZE], struct reply *);
/*
 * The conversation's id in segment 2 into id_r, or the item's in segment 4.
 * An item's of another form is answered as any unknown id: 404.
 */
bool	 api_conversation_id(const struct request *, char id_r[ID_SIZE],
	    struct reply *);
bool	 api_item_id(const struct request *, char id_r[ID_SIZE],
	    struct reply *);

/*
 * The store refused: the reply (id is what its message names) that waits for
 * lsn, or COLD or BUSY.
 */
enum api_verdict api_refused(struct request *, struct reply *,
		    enum store_err, struct span id, uint64_t lsn);

#endif /* !API_CHANGE_H */
