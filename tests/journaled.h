#ifndef JOURNALED_H
#define JOURNALED_H

#include <stddef.h>
#include <stdint.h>

#include "store/journal.h"
#include "store/segment.h"

/*
 * What the tests of the journal share: one in a folder of its own, and what
 * stands on the disk.  See the tests named c_journal.
 */
#define STORE		"store_0123456789abcdef"
#define RECORDS_MAX	20000
#define NAMES_MAX	500

extern int	 dir;

/* What stands in the folder: record i, and the names in their order. */
extern struct journal_disk {
	char		*records[RECORDS_MAX];
	size_t		 nrecords;	/* different ones */
	uint64_t	 last;
	char		 names[NAMES_MAX][SEGMENT_NAME];
	size_t		 nnames;
	size_t		 spares;	/* files without a batch: no names */
	size_t		 batches;
	size_t		 bytes;		/* of all batches */
} disk;

int	 setup(void **state);
int	 teardown(void **state);
#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

/* Read the folder as a start does; segments without a batch count apart. */
void	 disk_read(void);
/* How many segments with a batch are there? */
size_t	 count_segments(void);
/* Record lsn of what disk_read found is append's of that thread and n. */
void	 assert_record(uint64_t lsn, int thread, int n);

/* Returns when the spare is there: no call but the committer's comes then. */
struct journal	*open_journal(uint64_t next, size_t segment_size,
		    size_t batch_max);
/* Append {"t":thread,"n":n} in three pieces.  Returns its lsn, 0 if refused. */
uint64_t	 append(struct journal *, int thread, int n);

/* Wait, at most 10 s, until what journal_stats says of the spare is so; */
void	 await_spare(struct journal *, int error);
/* until the journal's error is so; until lsn is durable. */
void	 await_error(struct journal *, int error);
void	 await_durable(struct journal *, uint64_t lsn);

/* How often was it written since the last call? */
uint64_t drain_efd(int efd);
/* The same, but wait for it, at most 10 s. */
uint64_t await_efd(int efd);

#endif /* !JOURNALED_H */
