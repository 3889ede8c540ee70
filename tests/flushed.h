#ifndef FLUSHED_H
#define FLUSHED_H

#include <sys/types.h>

#include <stddef.h>
#include <stdint.h>

#include "store/flush.h"
#include "tests/place.h"
#include "tests/state.h"

/*
 * What the tests of the flush share: a store with a tenant, and what is to be
 * seen of its documents and its journal.  See the tests named c_flush.
 */
extern struct store	*s;		/* open in dir, see tests/place.h */
extern struct tenant	*t;		/* acme of it */

#define DOC(id)	"tenants/acme/conversations/" id ".json"

int	 setup(void **state);
int	 teardown(void **state);
#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

/* Retired segments are kept for keep_ms, and are so large. */
void	 open_it(int64_t keep_ms, size_t segment);
void	 close_it(void);

/* The file's inode, or 0 if it is not there. */
ino_t	 inode(const char *name);
/* How many documents are to be written? */
size_t	 dirty(void);
/* Segments of the journal, the spare left out. */
size_t	 segments(void);
/* What flush_stats says, and how many passes it counted. */
struct flush_stats	 figures(void);
uint64_t passes(void);
/* What a crash now would leave, opened: the same as in memory. */
void	 copy_is_whole(void);

/* Items of 1.5 kB for a: small segments become many. */
void	 fill_segments(int from, int to);
/* As state_create; but on a disk that was full until now, wait for space. */
void	 create_soon(const char *id, const char *user, const char *key);

/* Wait until n segments or fewer are there, flushing on. */
void	 await_segments(size_t n);
/* Wait, at most 20 s, until what the journal says of its spare is so; */
void	 await_spare(int error);
/* until n are dirty; n failed; there were at least so many passes. */
void	 await_dirty(size_t n);
void	 await_failed(size_t n);
void	 await_passes(uint64_t n);

#endif /* !FLUSHED_H */
