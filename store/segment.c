#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "sys.h"

#include "segment_internal.h"

/* Zeros are written in pieces of PIECE bytes, at most PIECES in one call. */
#define PIECE		(64 * 1024)
#define PIECES		64

#define BLOCK_MIN	4096

#define NAME_DIGITS	20
#define SUFFIX_DIGITS	6
#define SUFFIX_MAX	999999

struct segment {
	int		 dirfd;		/* borrowed */
	int		 fd;
	char		 name[SEGMENT_NAME];
	uint64_t	 seed;		/* the segment's random id */
	uint64_t	 last;		/* lsns must be higher: they rise */
	size_t		 used;		/* up to the end of the last synced
					 * batch */
	size_t		 size;		/* of the file: zeros behind used */
	int64_t		 sync_us;	/* what the last fdatasync took */
	bool		 failed;	/* a write failed: never again */
};

/* Names. */

static bool
is_digits(const char *s, size_t n)
{
	return (strspn(s, "0123456789") >= n);
}

bool
segment_parse(const char *name, uint64_t *first_r)
{
	const char *suffix = name + NAME_DIGITS;

	if (!is_digits(name, NAME_DIGITS))
		return (false);
	if (*suffix != '\0' && (*suffix != '-' ||
	    !is_digits(suffix + 1, SUFFIX_DIGITS) ||
	    suffix[1 + SUFFIX_DIGITS] != '\0'))
		return (false);
	return (jsonscan_u64((struct span){ name, NAME_DIGITS }, first_r));
}

static void
make_name(char *buf, uint64_t first, unsigned suffix)
{
	int n;

	n = snprintf(buf, SEGMENT_NAME, "%020" PRIu64, first);
	if (suffix > 0)
		snprintf(buf + n, SEGMENT_NAME - (size_t)n, "-%06u", suffix);
}

/* Lines. */

/*
 * End the line of size bytes at line, of which n are filled: a comma,
 * spaces, the name of the sum; the caller puts the sum itself.
 */
static void
end_line(char *line, size_t n, size_t size)
{
	assert(n < size - SUM_SIZE);
	line[n++] = ',';
	memset(line + n, ' ', size - SUM_SIZE - n);
}

void
segment_put_sum(char *line, size_t size, uint64_t sum)
{
	char tail[SUM_SIZE + 1];

	snprintf(tail, sizeof(tail), "\"sum\":\"%016" PRIx64 "\"}\n", sum);
	memcpy(line + size - SUM_SIZE, tail, SUM_SIZE);
}

static void
encode_header(char line[SEGMENT_HEADER], const struct segment_header *h)
{
	int n;

	n = snprintf(line, SEGMENT_HEADER,
	    "{\"journal\":\"rememberd\",\"format\":%" PRIu64
	    ",\"store\":\"%s\",\"segment\":\"%016" PRIx64
	    "\",\"inode\":%20" PRIu64 ",\"first\":%20" PRIu64,
	    h->format, h->store_id, h->seed, h->inode, h->first);
	end_line(line, (size_t)n, SEGMENT_HEADER);
	segment_put_sum(line, SEGMENT_HEADER, XXH3_64bits(line, HEADER_SUM));
}

uint64_t
segment_encode_batch(char line[SEGMENT_BATCH], const struct segment_batch *b,
    uint64_t segment_seed)
{
	uint64_t hash;
	int n;

	n = snprintf(line, SEGMENT_BATCH,
	    BATCH_START "%20" PRIu64 ",\"count\":%10" PRIu64
	    ",\"length\":%12zu,\"durable\":%20" PRIu64 ",\"at\":%20" PRId64,
	    b->lsn, b->count, b->records.len, b->durable,
	    b->at < 0 ? 0 : b->at);
	hash = XXH3_64bits_withSeed(line, (size_t)n, segment_seed);
	n += snprintf(line + n, SEGMENT_BATCH - (size_t)n,
	    ",\"line\":\"%08" PRIx32 "\"", (uint32_t)hash);
	end_line(line, (size_t)n, SEGMENT_BATCH);
	return (hash);
}

uint64_t
segment_records_sum(const struct segment_batch *b, uint64_t seed)
{
	return (XXH3_64bits_withSeed(b->records.p, b->records.len, seed));
}

/* Writing. */

/* Write zeros from off up to end. */
static int
write_zeros(int fd, size_t off, size_t end)
{
	static char zeros[PIECE];
	struct iovec iov[PIECES];
	size_t left, len;
	int n;

	while (off < end) {
		left = end - off;
		for (n = 0; n < PIECES && left > 0; n++) {
			len = left < PIECE ? left : PIECE;
			iov[n] = (struct iovec){ zeros, len };
			left -= len;
		}
		if (sys_pwritevall(fd, iov, n, (off_t)off) == -1)
			return (-1);
		off = end - left;
	}
	return (0);
}

static void
segment_assert_state(const struct segment *seg)
{
	(void)seg;		/* for a build without assert */
	assert(seg->fd != -1 && seg->used >= SEGMENT_HEADER);
	assert(seg->used <= seg->size);
}

/*
 * Create a file under the first name for lsn first that is not taken and
 * sorts behind `behind`.
 */
static int
create_file(struct segment *seg, uint64_t first, const char *behind)
{
	unsigned suffix;

	for (suffix = 0; suffix <= SUFFIX_MAX; suffix++) {
		make_name(seg->name, first, suffix);
		if (strcmp(seg->name, behind) <= 0)
			continue;
		seg->fd = sys->openat(seg->dirfd, seg->name,
		    O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (seg->fd != -1)
			return (0);
		if (errno != EEXIST)
			return (-1);
	}
	errno = EEXIST;
	return (-1);
}

/* Write the header and all the zeros, sync them and the folder. */
static int
fill_file(struct segment *seg, const char *store_id, uint64_t first)
{
	struct segment_header h = { .format = SEGMENT_FORMAT, .first = first };
	char line[SEGMENT_HEADER];
	struct iovec iov = { line, sizeof(line) };
	struct stat st;

	if (sys->fstat(seg->fd, &st) == -1)
		return (-1);
	snprintf(h.store_id, sizeof(h.store_id), "%s", store_id);
	h.seed = seg->seed;
	h.inode = (uint64_t)st.st_ino;
	encode_header(line, &h);
	if (sys_pwritevall(seg->fd, &iov, 1, 0) == -1 ||
	    write_zeros(seg->fd, SEGMENT_HEADER, seg->size) == -1)
		return (-1);

	/* fsync for the size; the folder, else the whole file may vanish. */
	if (sys->fsync(seg->fd) == -1)
		return (-1);
	return (sys->fsync(seg->dirfd));
}

int
segment_create(int dirfd, const char *store_id, uint64_t first,
    const char *behind, size_t size, struct segment **seg_r)
{
	struct segment *seg;
	char seed[17];
	int error;

	assert(id_is_valid(store_id, strlen(store_id)));
	assert(first > 0);
	if ((seg = calloc(1, sizeof(*seg))) == NULL)
		return (-1);
	seg->dirfd = dirfd;
	seg->last = first - 1;
	seg->used = SEGMENT_HEADER;
	seg->size = size > SEGMENT_HEADER ? size : SEGMENT_HEADER;
	id_mint_short(seed);
	seg->seed = strtoull(seed, NULL, 16);
	if (create_file(seg, first, behind) == -1)
		goto fail;
	if (fill_file(seg, store_id, first) == -1)
		goto fail_created;
	segment_assert_state(seg);
	*seg_r = seg;
	return (0);

fail_created:
	error = errno;
	sys->close(seg->fd);
	sys->unlinkat(dirfd, seg->name, 0);
	errno = error;
fail:
	free(seg);
	return (-1);
}

static int
cut_zeros(int fd, struct segment_report *rep)
{
	struct stat st;
	size_t block, end;

	if (sys->fstat(fd, &st) == -1)
		return (-1);
	/* Whole blocks: of one that is cut, what is left is written again. */
	block = st.st_blksize > BLOCK_MIN ? (size_t)st.st_blksize : BLOCK_MIN;
	end = (rep->used + block - 1) / block * block;
	if (end >= rep->size)
		return (0);
	if (sys->ftruncate(fd, (off_t)end) == -1)
		return (-1);
	rep->size = end;
	return (1);
}

int
segment_trim(int dirfd, const char *name, struct segment_report *rep)
{
	int fd, rc, error;

	if (rep->is_torn || rep->damaged > 0 || rep->unreadable > 0)
		return (0);
	fd = sys->openat(dirfd, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0);
	if (fd == -1)
		return (-1);
	rc = cut_zeros(fd, rep);
	error = errno;
	sys->close(fd);
	errno = error;
	return (rc);
}

/* Sync its bytes, and note how long that took. */
static int
sync_batch(struct segment *seg)
{
	const int64_t before = sys_monotonic_us();
	int rc;

	rc = sys->fdatasync(seg->fd);
	seg->sync_us = sys_monotonic_us() - before;
	return (rc);
}

int
segment_write(struct segment *seg, const struct segment_batch *b)
{
	char line[SEGMENT_BATCH];
	struct iovec iov[2];
	uint64_t seed;

	assert(!seg->failed);
	assert(b->lsn > seg->last && b->durable < b->lsn);
	assert(b->count > 0 && b->count <= COUNT_MAX);
	assert(b->records.len >= b->count && b->records.len <= LENGTH_MAX);
	assert(b->records.p[b->records.len - 1] == '\n');

	seed = segment_encode_batch(line, b, seg->seed);
	segment_put_sum(line, SEGMENT_BATCH, segment_records_sum(b, seed));
	iov[0] = (struct iovec){ line, sizeof(line) };
	iov[1] = (struct iovec){ (void *)(uintptr_t)b->records.p,
	    b->records.len };
	if (sys_pwritevall(seg->fd, iov, 2, (off_t)seg->used) == -1 ||
	    sync_batch(seg) == -1) {
		seg->failed = true;
		return (-1);
	}
	seg->used += sizeof(line) + b->records.len;
	if (seg->used > seg->size)
		seg->size = seg->used;
	seg->last = b->lsn + b->count - 1;
	segment_assert_state(seg);
	return (0);
}

int64_t
segment_sync_us(const struct segment *seg)
{
	return (seg->sync_us);
}

const char *
segment_name(const struct segment *seg)
{
	return (seg->name);
}

size_t
segment_used(const struct segment *seg)
{
	return (seg->used);
}

size_t
segment_size(const struct segment *seg)
{
	return (seg->size);
}

void
segment_close(struct segment *seg)
{
	int error = errno;

	if (seg == NULL)
		return;
	/* Its bytes are synced or given up: a failing close changes nothing. */
	sys->close(seg->fd);
	if (seg->used == SEGMENT_HEADER)
		sys->unlinkat(seg->dirfd, seg->name, 0);
	free(seg);
	errno = error;
}
