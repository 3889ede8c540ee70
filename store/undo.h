#ifndef UNDO_H
#define UNDO_H

#include <bsd/sys/queue.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "items.h"
#include "text.h"

/*
 * How a conversation was before its newest changes, as long as these are not
 * durable: what readers are shown who cannot wait for the disk (promise 2).
 *
 *	check  undo_reserve --> apply  undo_begin, undo_text, ... --> durable
 *	reader:  undo_look, undo_items                  undo_trim <------+
 *
 * Each change leaves one record, oldest first.  It holds what the change took
 * away, moved and not copied.  Those that are durable go at the next change,
 * which takes one of them for its own, and when the document is written: so
 * there are about as many as changes wait for the disk, and a send allocates
 * none if the one before it is durable.  A start makes none: what it replays
 * is durable before anybody is served.
 *
 * Nothing here takes a lock: call with the conversation's held.
 */
struct conversation;
struct undo;
TAILQ_HEAD(undo_list, undo);

struct undos {
	struct undo_list list;		/* oldest first */
	struct undo	*spare;		/* reserved for the next change */
};

/* The texts that a change may replace. */
enum undo_what { UNDO_TITLE, UNDO_METADATA, UNDO_PREVIEW, NUNDO_TEXTS };

void	 undo_init(struct undos *);
void	 undo_fini(struct undos *);

/*
 * Drop what is durable and have a record for one more change, so that what
 * follows cannot fail.  Returns false for want of memory.
 */
bool	 undo_reserve(struct undos *, uint64_t durable);
/* Drop what is durable, and give back all that is to spare. */
void	 undo_trim(struct undos *, uint64_t durable);

/*
 * The change of that lsn is applied next: note how the conversation stands.
 * Returns the record (borrowed), or NULL if none was reserved; the calls below
 * take NULL too, and then keep nothing.
 */
struct undo	*undo_begin(struct conversation *, uint64_t lsn);
/* A text becomes next, which is stolen; what it was is kept. */
void	 undo_text(struct undo *, struct conversation *, enum undo_what,
	    struct text next);
/* It adds n items at the end. */
void	 undo_append(struct undo *, size_t n);
/* It takes this item out; before it does. */
void	 undo_remove(struct undo *, const struct items *, struct item *);
/* It deletes the conversation; what that would free is moved away. */
void	 undo_bury(struct undo *, struct conversation *);
/* Another takes its place: its user goes, too. */
void	 undo_replace(struct undo *, struct conversation *);

/* What a reader sees of a conversation; borrowed from it. */
struct sight {
	bool		 is_there;	/* created, and not deleted */
	bool		 is_damaged;
	const char	*user;		/* or NULL */
	int64_t		 created_at;	/* ms */
	int64_t		 updated_at;	/* ms */
	uint64_t	 version;
	uint64_t	 lsn;		/* of the newest change seen */
	const struct text *texts[NUNDO_TEXTS];
	size_t		 item_count;
	uint64_t	 bytes;
};

/*
 * The conversation after its last change that is not above bound; UINT64_MAX:
 * as it is now.  What has no record was there at the start, so that its lsn,
 * too, is told as no higher than bound.
 */
void	 undo_look(const struct conversation *, uint64_t bound,
	    struct sight *);
/*
 * Its items at that time: *own_r, or its own.  The references are borrowed
 * under the lock; undo_items_fini gives back only memory.  Returns NULL for
 * want of memory.  Costs the number of items if there is anything to undo.
 */
const struct items	*undo_items(const struct conversation *,
			    uint64_t bound, struct items *own_r);
void	 undo_items_fini(struct items *own);

#endif /* !UNDO_H */
