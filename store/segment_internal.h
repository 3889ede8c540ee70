#ifndef SEGMENT_INTERNAL_H
#define SEGMENT_INTERNAL_H

#include "id.h"
#include "segment.h"

/* For segment.c, which writes, and segment_read.c alone. */

/* "sum":"<16 hex>"} and newline end both kinds of line. */
#define SUM_SIZE	26
#define HEADER_SUM	(SEGMENT_HEADER - SUM_SIZE)
#define BATCH_SUM	(SEGMENT_BATCH - SUM_SIZE)

/* What every batch line begins with; a search looks for it. */
#define BATCH_START	"{\"lsn\":"

/* What the widths of their numbers hold. */
#define COUNT_MAX	UINT64_C(9999999999)
#define LENGTH_MAX	UINT64_C(999999999999)

/* What a segment's first line says. */
struct segment_header {
	char		 store_id[ID_SIZE];
	uint64_t	 format;
	uint64_t	 seed;
	uint64_t	 inode;
	uint64_t	 first;
};

/* Write "sum", the end of a line of size bytes. */
void	 segment_put_sum(char *line, size_t size, uint64_t sum);
/*
 * Fill in a batch's line up to the value of its sum.  Returns the seed for
 * the sum of the records.
 */
uint64_t segment_encode_batch(char line[SEGMENT_BATCH],
	    const struct segment_batch *, uint64_t segment_seed);
uint64_t segment_records_sum(const struct segment_batch *, uint64_t seed);

#endif /* !SEGMENT_INTERNAL_H */
