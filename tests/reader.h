#ifndef READER_H
#define READER_H

#include "store/buf.h"
#include "store/sys.h"
#include "tests/crashed.h"

/*
 * What the tests of a store that is only read share: what a reader sees, and
 * no call that changes a file.  See the tests named c_readonly.
 */

/* --- no call that changes a file ---------------------------------------- */

/* From now on every call of the store that changes a file ends the test. */
void	 guard_begin(void);
void	 guard_end(void);

/* The table that is in force in between, of which rows may be replaced, and
 * the one that it came before. */
extern struct sys	 guard;
extern const struct sys	*unguarded;
int	 guard_openat(int fd, const char *name, int flags, mode_t mode);

/* --- what a store shows ------------------------------------------------- */

struct sight {
	struct buf	 text;		/* a line a conversation */
	struct buf	 told;		/* a line a problem */
	size_t		 damage;	/* problems that are damage */
	size_t		 odd;		/* others */
	int		 rc;		/* of store_open or store_each */
};

/* What a reader sees who touches nothing. */
struct sight	 sight_of(const char *path);
/* What a daemon shows that opens it. */
struct sight	 daemon_sight(const char *path);
void		 sight_fini(struct sight *);
/* One of its texts; borrowed. */
const char	*string(struct buf *);

/* Open to read only: problems go to the sight. */
int	 open_only(const char *path, struct sight *, struct store **s_r);
/* For store_each, with a sight as its argument. */
int	 on_conversation(const char *tenant, const struct conversation_view *,
	    struct item *const *items, size_t n, void *sight);

/* Ends the guard, too. */
int	 reader_teardown(void **state);
#undef TEST
#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, reader_teardown)

#endif /* !READER_H */
