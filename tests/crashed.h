#ifndef CRASHED_H
#define CRASHED_H

#include "store/store.h"
#include "tests/place.h"

/*
 * What the tests of a start share: a store that another process left without
 * closing it, and what is found in it.  See the tests named c_recover.
 */

/* The document of conversation a, and what quarantine/ calls it. */
#define DOC	"tenants/acme/conversations/a.json"
#define ASIDE	"acme.conversations.a.json"

int	 setup(void **state);
int	 teardown(void **state);
#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

/*
 * Another process opens the store, does as it is told and ends without
 * closing: what a kill -9 leaves, under the same inodes.  Returns all that it
 * had in memory (new).
 */
char	*crash(void (*work)(struct store *));
/* The same of work that may close the store itself; nothing is returned. */
void	 crash_quietly(void (*work)(struct store *));
/* Open the store: it must hold just this.  Leaves it open. */
struct store	*opens_as(const char *text);

/* What a reader gets of a conversation of acme; with the number of items. */
enum store_err	 look(struct store *, const char *id,
		    struct conversation_view *);
enum store_err	 items_of(struct store *, const char *id, uint64_t *n);

#define HAS(s, id, count)	do {					\
	uint64_t n_;							\
	assert_int_equal(items_of(s, id, &n_), STORE_OK);		\
	assert_int_equal(n_, count);					\
} while (0)
#define IS(s, id, error)	do {					\
	uint64_t n_;							\
	assert_int_equal(items_of(s, id, &n_), error);			\
} while (0)

/* Work to be done: a bit of everything, each change in a batch of its own;
 * that, in documents; and more behind them. */
void	 busy(struct store *);
void	 busy_and_flushed(struct store *);
void	 busy_flushed_busy(struct store *);
void	 nothing(struct store *);
void	 append_to_b(struct store *);
/* The four of them that a crash at any time may leave. */
#define NWORKS	4
extern void	 (*const works[NWORKS])(struct store *);
/* a has a document with a0, and a1 "alpha" and a2 "beta" in the journal. */
void	 flushed_then_appends(struct store *);

/*
 * Turn a byte of that text in the segment that holds it; in place, for a new
 * inode would be a copy's.
 */
void	 damage_batch(const char *text);
/* Turn a bit in the middle of a file. */
void	 break_file(const char *name);
/* Remove what is in the journal: documents alone are left. */
void	 drop_journal(void);

#endif /* !CRASHED_H */
