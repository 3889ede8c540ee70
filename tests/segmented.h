#ifndef SEGMENTED_H
#define SEGMENTED_H

#include <stddef.h>
#include <stdint.h>

#include "store/segment.h"

/*
 * What the tests of a segment share: a folder, a segment NAME of three batches
 * in it, and what is read of it.  See the tests named c_segment.
 */
#define STORE	"store_0123456789abcdef"
#define NAME	"00000000000000000007"

extern int	 dir;

/* Three batches: lsns 7 to 9, 10, and 11 to 12. */
enum { BATCHES = 3 };
extern const char *const records[BATCHES];

/* The lsns that were visited, one bit each, and all their bytes. */
struct seen {
	uint64_t	 lsns;
	struct buf	 bytes;
	uint64_t	 last;
	int		 stop_at;
};

int	 setup(void **state);
int	 teardown(void **state);
#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

/* A visit for segment_read: arg is a struct seen; 5 at the lsn stop_at. */
int	 see(const struct segment_batch *, void *arg);
/* The bits of these lsns, as in seen. */
uint64_t bits(uint64_t first, uint64_t last);
/* Read NAME; returns what segment_read does. */
int	 read_back(struct seen *, struct segment_report *);

struct segment	*create(uint64_t first, size_t fill);
/* The i-th of the three. */
struct segment_batch batch(int i);
/*
 * Make NAME with the three batches and fill bytes.  offset_r[i] is where the
 * batch i begins, offset_r[BATCHES] the end.
 */
void	 write_three(size_t fill, size_t offset_r[BATCHES + 1]);

/* The whole file (new). */
char	*slurp(const char *name, size_t *len_r);
/* Put len bytes at p into NAME as its whole, in place: same inode. */
void	 spill(const char *p, size_t len);

#endif /* !SEGMENTED_H */
