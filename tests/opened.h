#ifndef OPENED_H
#define OPENED_H

#include "store/store.h"
#include "tests/place.h"

/*
 * What the tests of a running store share: an open one, empty but for its
 * tenant acme, and short words for what becomes of it.  Programs that hold its
 * disk call fault_init() first of all.
 */
extern struct store	*s;		/* in dir, see tests/place.h */
extern struct tenant	*t;		/* acme of it */

int	 opened_setup(void **state);
int	 opened_teardown(void **state);
#define TEST(f)								\
	cmocka_unit_test_setup_teardown(f, opened_setup, opened_teardown)

/* Close it; open it, or a copy of it; or both. */
void	 close_store(void);
void	 open_store(const char *path);
void	 reopen(void);
/* Open it so that what is in documents leaves the journal at once. */
void	 open_keeping_nothing(void);

/* A change of that kind of conversation id, and nothing else filled in. */
struct change	 change_of(enum change_kind, const char *id);
/* Commit one that nobody waits for.  Returns its lsn. */
uint64_t	 change(const struct change *);
/* Set, or merge, a conversation's metadata: it must come to this, and then the
 * metadata is `after`. */
void	 set_metadata(const char *id, const char *json, bool merges,
    enum store_err, const char *after);

/* Changes from now on stand at the gate of tests/fault.h. */
void	 hold_disk(void);
/* The sync that stands there fails, and whatever is tried then. */
void	 break_journal(void);
void	 mend_journal(void);

#endif /* !OPENED_H */
