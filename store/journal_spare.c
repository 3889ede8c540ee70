#include <assert.h>
#include <errno.h>
#include <string.h>

#include <bsd/string.h>

#include "log.h"
#include "sys.h"

#include "journal_internal.h"

/*
 * The spare: one segment made ahead of need by a thread of its own, so that
 * no sender waits while zeros are written, and a full disk is met before a
 * batch is accepted, not inside one.
 *
 * name_order_note: the order of strcmp is the order of reading, so a segment
 * may get batches only while its name sorts behind all names that ever got
 * any: `newest` is the last of those.
 *
 *	1  One file is made at a time, by the committer or by the spare's
 *	   thread (is_making), and the committer makes none while there is a
 *	   spare: it takes that.
 *	2  Whoever makes one takes a name behind newest, as it is then.
 *	3  newest moves only to the name of what was just made (the committer's)
 *	   or of the spare that is taken.  By 1 nothing was put to use between
 *	   the making of a spare and its taking, so that by 2 its name is still
 *	   behind newest, whatever failed or was raised meanwhile.
 *	4  The spare is named by the lowest lsn that is not durable at its
 *	   making.  All batches that come after that have no lower lsn, those
 *	   too that a failed segment could not hold: segment_read needs that.
 *
 * It would be wrong to make a segment while a spare is there or under way, or
 * to name a spare by the next lsn: batches that are pending have lower ones.
 */

/* How long it waits after a failure, and at most after many. */
#define BACKOFF_MS	1000
#define BACKOFF_MAX_MS	10000

/* How long a start's own segment serves before a large spare is made. */
#define DELAY_MS	1000

/* The segment for a start, or for when there is no spare; it is halved down to
 * the least where the disk has no room for it. */
#define SMALL_SIZE	((size_t)1 << 20)
#define LEAST_SIZE	((size_t)32 << 10)

/* So much of the disk is left for others, store.json among them. */
#define ROOM_LEFT	((uint64_t)16 << 10)

bool
journal_is_space_error(int error)
{
	return (error == ENOSPC || error == EDQUOT || error == EFBIG);
}

/* --- making ------------------------------------------------------------- */

/*
 * Has the disk, as it says itself, room for size bytes?  Else they are not
 * tried: who fills it to find out takes the last blocks from others meanwhile.
 */
static bool
has_room(const struct journal *j, size_t size)
{
	struct statvfs fs;

	/* What is not known is taken for enough. */
	if (sys->fstatvfs(j->dirfd, &fs) == -1 || fs.f_blocks == 0)
		return (true);
	return ((uint64_t)fs.f_bavail * fs.f_frsize >= size + ROOM_LEFT);
}

/*
 * Make a segment for lsns from first on.  Call with lck held and is_making
 * set by the caller; lck is given back meanwhile.  Returns 0, or an errno.
 */
static int
make_segment(struct journal *j, uint64_t first, size_t size,
    struct segment **seg_r)
{
	char behind[SEGMENT_NAME];
	bool is_tried;
	int error = 0;

	lock_assert_held(&j->lck);
	assert(j->spare.is_making && j->spare.segment == NULL);
	strlcpy(behind, j->newest, sizeof(behind));
	lock_give(&j->lck);
	is_tried = has_room(j, size);
	if (!is_tried)
		error = ENOSPC;
	else if (segment_create(j->dirfd, j->store_id, first, behind, size,
	    seg_r) == -1)
		error = errno;
	lock_take(&j->lck);
	assert(strcmp(behind, j->newest) == 0);
	j->spare.is_making = false;
	j->spare.is_tried = is_tried;
	cond_broadcast(&j->spare.made);
	return (error);
}

/* Make one as large as there is room for.  As make_segment. */
static int
make_small(struct journal *j, uint64_t first, struct segment **seg_r)
{
	size_t size = j->segment_size < SMALL_SIZE ? j->segment_size :
	    SMALL_SIZE;
	int error;

	while (journal_is_space_error(error = make_segment(j, first, size,
	    seg_r)) && size / 2 >= LEAST_SIZE) {
		j->spare.is_making = true;
		size /= 2;
	}
	return (error);
}

int
journal_spare_take(struct journal *j, uint64_t first, struct segment **seg_r)
{
	struct spare *s = &j->spare;
	int error = 0;

	lock_take(&j->lck);
	while (s->is_making)
		cond_wait(&s->made, &j->lck);
	if (s->segment != NULL) {
		*seg_r = s->segment;
		s->segment = NULL;
		s->due = 0;
	} else {
		s->is_making = true;
		error = make_small(j, first, seg_r);
	}
	if (error == 0) {
		assert(strcmp(segment_name(*seg_r), j->newest) > 0);
		strlcpy(j->newest, segment_name(*seg_r), sizeof(j->newest));
	}
	cond_signal(&s->wake);
	lock_give(&j->lck);
	errno = error;
	return (error == 0 ? 0 : -1);
}

/* --- the thread --------------------------------------------------------- */

/*
 * Is a spare to be made?  Not while the journal is broken: what is pending
 * comes first, and tries to write it would use up one spare after the other.
 */
static bool
is_wanted(const struct journal *j)
{
	const struct spare *s = &j->spare;

	return (s->segment == NULL && !s->is_making && !s->is_given &&
	    atomic_load(&j->error) == 0);
}

/* Wait until one is to be made.  Returns false when the journal closes. */
static bool
await_want(struct journal *j)
{
	struct spare *s = &j->spare;
	int64_t left;

	while (!j->stop) {
		if (!is_wanted(j))
			cond_wait(&s->wake, &j->lck);
		else if ((left = s->due - sys_monotonic_ms()) > 0)
			cond_wait_ms(&s->wake, &j->lck, left);
		else
			return (true);
	}
	return (false);
}

/* One line when it begins to fail, one when it works again. */
static void
log_change(int before, int error)
{
	if (error != 0 && before == 0)
		log_warnx("journal: no spare segment can be made: %s",
		    strerror(error));
	else if (error == 0 && before != 0)
		log_info("journal: a spare segment could be made again");
}

/* Make the spare; what fails is tried again. */
static void
make_spare(struct journal *j)
{
	struct spare *s = &j->spare;
	const int before = s->error;
	struct segment *seg;
	int error;

	s->is_making = true;
	error = make_segment(j, journal_durable(j) + 1, j->segment_size, &seg);
	s->error = error;
	if (error == 0) {
		s->segment = seg;
		s->backoff = 0;
	} else {
		/* To ask the disk again costs nothing, zeros do. */
		s->backoff = s->backoff == 0 || !s->is_tried ? BACKOFF_MS :
		    2 * s->backoff;
		if (s->backoff > BACKOFF_MAX_MS)
			s->backoff = BACKOFF_MAX_MS;
		s->due = sys_monotonic_ms() + s->backoff;
	}
	lock_give(&j->lck);
	log_change(before, error);
	lock_take(&j->lck);
}

static void
spare_main(void *arg)
{
	struct journal *j = arg;

	lock_take(&j->lck);
	while (await_want(j))
		make_spare(j);
	lock_give(&j->lck);
}

void
journal_spare_init(struct journal *j)
{
	cond_init(&j->spare.wake);
	cond_init(&j->spare.made);
}

void
journal_spare_fini(struct journal *j)
{
	segment_close(j->spare.segment);
	cond_fini(&j->spare.made);
	cond_fini(&j->spare.wake);
}

int
journal_spare_start(struct journal *j)
{
	/* The small ones of a small limit cost nothing. */
	if (j->segment_size > SMALL_SIZE)
		j->spare.due = sys_monotonic_ms() + DELAY_MS;
	return (thread_start(&j->spare.thread, "spare", spare_main, j));
}

void
journal_spare_hurry(struct journal *j)
{
	lock_assert_held(&j->lck);
	j->spare.due = 0;
	cond_signal(&j->spare.wake);
}

bool
journal_give_reserve(struct journal *j)
{
	struct spare *s = &j->spare;
	struct segment *seg;

	lock_assert_none();
	lock_take(&j->lck);
	seg = s->segment;
	s->segment = NULL;
	s->is_given = true;
	if (seg != NULL) {
		s->error = ENOSPC;
		s->due = 0;
	}
	lock_give(&j->lck);
	if (seg == NULL)
		return (false);
	log_warnx("journal: the spare segment makes room for documents on the "
	    "full disk");
	segment_close(seg);
	return (true);
}

void
journal_spare_release(struct journal *j, bool is_freed)
{
	lock_take(&j->lck);
	j->spare.is_given = false;
	if (is_freed)
		j->spare.due = 0;
	cond_signal(&j->spare.wake);
	lock_give(&j->lck);
}

void
journal_spare_stop(struct journal *j)
{
	lock_take(&j->lck);
	assert(j->stop);
	cond_signal(&j->spare.wake);
	lock_give(&j->lck);
	thread_join(&j->spare.thread);
}
