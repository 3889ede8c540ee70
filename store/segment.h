#ifndef SEGMENT_H
#define SEGMENT_H

#include <sys/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "jsonscan.h"

/*
 * Journal files byte by byte.
 *
 * A segment is named by the first lsn it may hold, 20 decimal digits, and is
 * zero-filled as a whole before its first batch.  No segment file is ever
 * reused, and none is cut but by segment_trim; yet the records of a failed or
 * torn one are written again under the same lsns, and a name that is taken gets
 * a suffix then, "-000001" and so on.  So the order of strcmp is the order in
 * which segments are to be read, and a later one may repeat records of an
 * earlier one, byte for byte.
 *
 * It begins with one line of SEGMENT_HEADER bytes
 *
 *	{"journal":"rememberd","format":1,"store":"...","segment":"<16 hex>",
 *	 "inode":...,"first":...,"sum":"<16 hex>"}	(one line, padded)
 *
 * and then holds batches, each a line of SEGMENT_BATCH bytes
 *
 *	{"lsn":...,"count":...,"length":...,"durable":...,"at":...,
 *	 "line":"<8 hex>","sum":"<16 hex>"}		(one line, padded)
 *
 * followed by `length` bytes: `count` records, each one line of JSON with its
 * newline, with the lsns lsn, lsn+1, ...  Numbers are padded with spaces to
 * a fixed width.  Sums are XXH3-64, of the header over all before "sum".  A
 * batch's line is hashed up to "line", seeded by the segment's random id;
 * "line" is the lower half of that, and it seeds "sum", which is over the
 * records.  So neither zeros nor bytes of another segment validate, and
 * whatever stands in a damaged file, no byte of it is hashed often.
 *
 * A batch is written only after the fdatasync of the one before it.  So bad
 * bytes with no valid batch behind them are a torn tail, never acknowledged;
 * bad bytes with a valid batch behind them are damage.
 */
#define SEGMENT_FORMAT	1
#define SEGMENT_HEADER	256
#define SEGMENT_BATCH	192
#define SEGMENT_NAME	28	/* 20 digits, suffix and NUL */

/* The first lsn in a segment's name; false if it is no segment's name. */
bool	 segment_parse(const char *name, uint64_t *first_r);

struct segment_batch {
	uint64_t	 lsn;		/* of the first record */
	uint64_t	 count;
	uint64_t	 durable;	/* highest lsn durable when written */
	int64_t		 at;		/* ms since the epoch, of its writing */
	struct span	 records;	/* count lines; borrowed */
};

/* Opaque: a segment that is being written.  One thread at a time. */
struct segment;

/*
 * Make a segment for lsns from first on in dirfd (borrowed, must stay open):
 * write its header and zeros up to size bytes, sync it and the folder.  Its
 * name is the first that is not taken and sorts behind the name `behind` (""
 * for any).  store_id is that of the store.  Returns 0 and *seg_r (new), or
 * -1 with errno set and nothing left behind.  Blocks.  Any thread: the first
 * batch may have a higher lsn than first, so that segments can be made ahead
 * of use.
 */
int	 segment_create(int dirfd, const char *store_id, uint64_t first,
	    const char *behind, size_t size, struct segment **seg_r);
/*
 * Write one batch behind the last and sync it; one that is longer than the
 * rest of the zeros makes the file grow.  Returns 0, or -1 with errno set:
 * then the segment must be closed and never be written again, for nobody
 * knows what its tail holds.  Blocks.
 */
int	 segment_write(struct segment *, const struct segment_batch *);
/* How long its last fdatasync took, in microseconds. */
int64_t	 segment_sync_us(const struct segment *);
/* Its file name; borrowed. */
const char *segment_name(const struct segment *);
/* Bytes used so far; SEGMENT_HEADER means that it holds no synced batch. */
size_t	 segment_used(const struct segment *);
/* Bytes of its file. */
size_t	 segment_size(const struct segment *);
/*
 * Close; a file without a synced batch is removed (nothing in it was ever
 * acknowledged).  NULL is allowed.
 */
void	 segment_close(struct segment *);

/* What segment_read saw. */
struct segment_report {
	bool		 is_torn;	/* bad bytes behind the last batch */
	size_t		 damaged;	/* runs of bad bytes before a batch, a
					 * header with a wrong sum */
	size_t		 unreadable;	/* bytes that the disk did not give */
	uint64_t	 format;	/* with ENOTSUP */
	bool		 is_copy;	/* the inode is not the header's */
	uint64_t	 first;		/* of its header, or of its name */
	uint64_t	 last;		/* highest lsn read, or first - 1 */
	uint64_t	 vouched;	/* highest lsn that a batch in it
					 * says was durable, here or in
					 * earlier segments; 0 if none */
	int64_t		 first_at;	/* time of its first batch; 0 if none */
	int64_t		 at;		/* time of its last batch; 0 if none */
	size_t		 used;		/* bytes up to the end of the last */
	size_t		 size;		/* bytes of the file */
};

/*
 * Read the segment called name in dirfd and call visit for every valid batch
 * in order of the file; lsns rise.  Returns 0 with *report_r filled; -1 with
 * errno set if it could not be read (EBADMSG: no valid header of this
 * store_id; ENOTSUP: one of a later format; but a file that a crash left
 * before its header was synced, zeros behind the header's place or one torn
 * sector among them, counts as one without a batch, is_torn); or what visit
 * returned if it was not 0.  What the disk does not give counts as zeros.
 * Blocks.  Linear in the file's size, whatever it holds.
 */
int	 segment_read(int dirfd, const char *name, const char *store_id,
	    int (*visit)(const struct segment_batch *, void *), void *arg,
	    struct segment_report *report_r);

/*
 * Give the disk back the zeros behind the last batch of a segment that nobody
 * will write again, as segment_read reported of it; its size there is set.  Of
 * one in which anything is torn, damaged or unreadable nothing is cut.
 * Returns 1; 0 if there was nothing to give; or -1 with errno set.  Blocks.
 */
int	 segment_trim(int dirfd, const char *name, struct segment_report *);

#endif /* !SEGMENT_H */
