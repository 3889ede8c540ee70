#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "sys.h"

#include "segment_internal.h"

/* What a disk writes as one, at most. */
#define SECTOR_MAX	4096

static bool
get_hex(struct span object, const char *name, uint64_t *n_r)
{
	struct span v;
	char hex[17];

	if (!jsonscan_get(object, name, &v) ||
	    !jsonscan_cstring(v, hex, sizeof(hex)) ||
	    strspn(hex, "0123456789abcdef") != 16)
		return (false);
	*n_r = strtoull(hex, NULL, 16);
	return (true);
}

static bool
get_number(struct span object, const char *name, uint64_t *n_r)
{
	struct span v;

	return (jsonscan_get(object, name, &v) && jsonscan_u64(v, n_r));
}

/*
 * Has the line at p a right sum?  That is asked first, so that what is scanned
 * is our own; a later format may then hold other members.
 */
static bool
is_header(const char *p, size_t len)
{
	char same[SEGMENT_HEADER];

	if (len < SEGMENT_HEADER)
		return (false);
	memcpy(same, p, SEGMENT_HEADER);
	segment_put_sum(same, SEGMENT_HEADER, XXH3_64bits(p, HEADER_SUM));
	return (memcmp(same, p, SEGMENT_HEADER) == 0);
}

static bool
decode_header(const char *p, size_t len, struct segment_header *h)
{
	struct span line = { p, SEGMENT_HEADER }, v;

	return (len >= SEGMENT_HEADER &&
	    get_number(line, "format", &h->format) &&
	    jsonscan_get(line, "store", &v) &&
	    jsonscan_cstring(v, h->store_id, sizeof(h->store_id)) &&
	    get_hex(line, "segment", &h->seed) &&
	    get_number(line, "inode", &h->inode) &&
	    get_number(line, "first", &h->first));
}

/*
 * Is there a valid batch at p, of which len bytes are left in the file?
 * The numbers are read, and the line made of them must be the line that is
 * there; only then the records are hashed.
 */
static bool
decode_batch(const char *p, size_t len, uint64_t segment_seed,
    struct segment_batch *b)
{
	char line[SEGMENT_BATCH];
	struct span object = { p, SEGMENT_BATCH };
	uint64_t length, at, seed;

	if (len < SEGMENT_BATCH ||
	    memcmp(p, BATCH_START, sizeof(BATCH_START) - 1) != 0 ||
	    !get_number(object, "lsn", &b->lsn) ||
	    !get_number(object, "count", &b->count) ||
	    !get_number(object, "length", &length) ||
	    !get_number(object, "durable", &b->durable) ||
	    !get_number(object, "at", &at))
		return (false);
	if (b->count == 0 || b->count > COUNT_MAX || length < b->count ||
	    length > LENGTH_MAX || length > len - SEGMENT_BATCH ||
	    at > INT64_MAX || b->lsn > UINT64_MAX - b->count)
		return (false);
	b->at = (int64_t)at;
	b->records = (struct span){ p + SEGMENT_BATCH, (size_t)length };
	seed = segment_encode_batch(line, b, segment_seed);
	if (memcmp(line, p, BATCH_SUM) != 0)
		return (false);
	segment_put_sum(line, SEGMENT_BATCH, segment_records_sum(b, seed));
	return (memcmp(line, p, SEGMENT_BATCH) == 0);
}

/* The place of a segment that is being read. */
struct reader {
	const char	*p;		/* what was not read yet */
	const char	*end;
	uint64_t	 seed;
	uint64_t	 above;		/* lsns must be higher: they rise */
};

static bool
is_zero(const char *p, const char *end)
{
	size_t len = (size_t)(end - p);

	return (len == 0 || (*p == 0 && memcmp(p, p + 1, len - 1) == 0));
}

/*
 * Is this all that a power cut left of a segment that was being made?  Batches
 * are written only after the header was synced; so there is none, and nothing
 * but zeros, or one sector of anything where the disk was writing.
 */
static bool
is_unborn(const char *p, const char *end)
{
	while (p < end && *p == 0)
		p++;
	while (p < end && end[-1] == 0)
		end--;
	return (end - p <= SECTOR_MAX && memmem(p, (size_t)(end - p),
	    BATCH_START, sizeof(BATCH_START) - 1) == NULL);
}

/*
 * Find the next valid batch.  Returns it at the place of the reader or
 * anywhere behind; false if there is none.
 */
static bool
find_batch(const struct reader *r, struct segment_batch *b, const char **at_r)
{
	const char *p = r->p;

	while ((p = memmem(p, (size_t)(r->end - p), BATCH_START,
	    sizeof(BATCH_START) - 1)) != NULL) {
		if (decode_batch(p, (size_t)(r->end - p), r->seed, b) &&
		    b->lsn > r->above) {
			*at_r = p;
			return (true);
		}
		p++;
	}
	return (false);
}

static int
read_batches(struct reader *r, const char *base,
    int (*visit)(const struct segment_batch *, void *), void *arg,
    struct segment_report *rep)
{
	struct segment_batch b;
	const char *at;
	int rc;

	while (find_batch(r, &b, &at)) {
		if (at > r->p)
			rep->damaged++;
		r->p = b.records.p + b.records.len;
		r->above = b.lsn + b.count - 1;
		rep->last = r->above;
		if (rep->first_at == 0)
			rep->first_at = b.at;
		rep->at = b.at;
		rep->used = (size_t)(r->p - base);
		if (b.durable > rep->vouched)
			rep->vouched = b.durable;
		if ((rc = visit(&b, arg)) != 0)
			return (rc);
	}
	rep->is_torn = !is_zero(r->p, r->end);
	return (0);
}

/*
 * Read the header at p.  Returns 1; 0 if the segment never got a batch; -1
 * with errno set.  One whose sum is wrong may still tell the id that the
 * batches' sums are seeded by; then they say whether it does.
 */
static int
read_header(const char *p, size_t len, const char *store_id, uint64_t inode,
    struct segment_header *h, struct segment_report *rep)
{
	const bool is_whole = is_header(p, len);

	/* Batches are written only after the header was synced. */
	if (!is_whole && rep->unreadable == 0 && (len <= SEGMENT_HEADER ||
	    is_unborn(p + SEGMENT_HEADER, p + len))) {
		rep->is_torn = true;
		return (0);
	}
	errno = EBADMSG;
	if (!decode_header(p, len, h))
		return (-1);
	if (is_whole && h->format > SEGMENT_FORMAT) {
		rep->format = h->format;
		errno = ENOTSUP;
		return (-1);
	}
	if (h->format != SEGMENT_FORMAT || strcmp(h->store_id, store_id) != 0)
		return (-1);
	if (is_whole) {
		rep->is_copy = h->inode != inode;
		rep->first = h->first;
	} else
		rep->damaged++;
	return (1);
}

/* Read the batches behind the header, if that is one of ours. */
static int
read_segment(const char *p, size_t len, const char *store_id,
    int (*visit)(const struct segment_batch *, void *), void *arg,
    uint64_t inode, struct segment_report *rep)
{
	struct segment_header h;
	struct reader r;
	int rc;

	if ((rc = read_header(p, len, store_id, inode, &h, rep)) != 1)
		return (rc);
	rep->last = rep->first - 1;
	rep->used = SEGMENT_HEADER;
	r = (struct reader){ p + SEGMENT_HEADER, p + len, h.seed, rep->last };
	rc = read_batches(&r, p, visit, arg, rep);
	if (rc == 0 && rep->damaged > 0 && rep->used == SEGMENT_HEADER) {
		errno = EBADMSG;
		rc = -1;
	}
	return (rc);
}

/* Read the file whole, or what can be read of it. */
static int
read_file(int dirfd, const char *name, char **p_r, size_t *len_r,
    struct segment_report *rep)
{
	int tries = 2;

	while (tries-- > 0) {
		if (sys_readfile(dirfd, name, SIZE_MAX / 4, p_r, len_r) == 0)
			return (0);
		/* Once more: a disk may say so of a sector and mend it. */
		if (errno != EIO)
			return (-1);
	}
	return (sys_readparts(dirfd, name, SIZE_MAX / 4, p_r, len_r,
	    &rep->unreadable));
}

int
segment_read(int dirfd, const char *name, const char *store_id,
    int (*visit)(const struct segment_batch *, void *), void *arg,
    struct segment_report *rep)
{
	struct stat st;
	size_t len;
	char *p;
	int rc, error;

	memset(rep, 0, sizeof(*rep));
	if (!segment_parse(name, &rep->first) || rep->first == 0) {
		errno = EINVAL;
		return (-1);
	}
	rep->last = rep->first - 1;
	if (read_file(dirfd, name, &p, &len, rep) == -1)
		return (-1);
	rep->size = len;
	if ((rc = sys->fstatat(dirfd, name, &st, 0)) == 0)
		rc = read_segment(p, len, store_id, visit, arg,
		    (uint64_t)st.st_ino, rep);
	error = errno;
	free(p);
	errno = error;
	return (rc);
}
