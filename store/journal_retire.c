#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bsd/string.h>

#include "log.h"
#include "sys.h"

#include "journal_internal.h"

#define MIB	((uint64_t)1 << 20)

/* The shortage is over when this part of the reserve is free besides. */
#define RELIEF_PART	4

int
journal_adopt(struct journal *j, const char *name,
    const struct segment_report *report)
{
	struct kept *k;

	if ((k = calloc(1, sizeof(*k))) == NULL)
		return (-1);
	strlcpy(k->name, name, sizeof(k->name));
	k->first = report->first_at == 0 ? 0 : report->first;
	k->at = report->first_at;
	k->last = report->last;
	k->bytes = report->used;
	k->size = report->size;
	k->covered_at = -1;
	lock_take(&j->lck);
	assert(j->open != NULL && j->stats.records == 0);
	TAILQ_INSERT_BEFORE(j->open, k, entry);
	lock_give(&j->lck);
	return (0);
}

/* --- one segment -------------------------------------------------------- */

/* The oldest segment, if it may go now: wholly in documents for keep_ms. */
static struct kept *
first_to_go(struct journal *j, int64_t now, int64_t keep_ms)
{
	struct kept *k;

	lock_take(&j->lck);
	k = TAILQ_FIRST(&j->kept);
	if (k == j->open || (k != NULL && (k->covered_at == -1 ||
	    now - k->covered_at < keep_ms)))
		k = NULL;
	lock_give(&j->lck);
	return (k);
}

/*
 * Remove a segment's file.  The folder is synced each time: after a power
 * cut an old segment must not be there while a later one, which may delete
 * what the old one made, is gone.  Then trying again is right even if the
 * file is gone already.
 */
static int
remove_file(struct journal *j, const char *name)
{
	if (sys->unlinkat(j->dirfd, name, 0) == -1 && errno != ENOENT) {
		if (log_begins(&j->told, errno))
			log_warn("remove journal/%s", name);
		return (-1);
	}
	if (sys->fsync(j->dirfd) == -1) {
		if (log_begins(&j->told, errno))
			log_warn("sync journal after removing %s", name);
		return (-1);
	}
	if (log_ends(&j->told))
		log_info("journal/%s and older are removed again", name);
	return (0);
}

/* Nobody else takes a closed segment from the list, or looks at its name. */
static int
remove_segment(struct journal *j, struct kept *k)
{
	if (remove_file(j, k->name) == -1)
		return (-1);
	lock_take(&j->lck);
	TAILQ_REMOVE(&j->kept, k, entry);
	lock_give(&j->lck);
	free(k);
	return (0);
}

/* --- a disk that is nearly full ----------------------------------------- */

/* How much is free, in bytes.  0, or -1 if that is not known. */
static int
count_free(struct journal *j, uint64_t *free_r)
{
	struct statvfs fs;

	if (sys->fstatvfs(j->dirfd, &fs) == -1)
		return (-1);
	*free_r = (uint64_t)fs.f_bavail * fs.f_frsize;
	return (0);
}

static void
keep_at_most(struct journal *j, int64_t ms)
{

	lock_take(&j->lck);
	if (ms < j->keep_ms)
		j->keep_ms = ms;
	lock_give(&j->lck);
}

void
journal_retire_init(struct journal *j)
{
	uint64_t free_bytes;

	j->keep_ms = INT64_MAX;
	if (count_free(j, &free_bytes) == 0 && free_bytes < j->reserve)
		j->keep_ms = 0;
}

/* Note how much is free; one line when the shortage begins, one at its end. */
static void
note_free(struct journal *j, uint64_t free_bytes, int64_t keep_ms)
{
	bool is_short, was_short;

	lock_take(&j->lck);
	was_short = is_short = j->is_short;
	if (free_bytes < j->reserve)
		is_short = true;
	else if (free_bytes - j->reserve >= j->reserve / RELIEF_PART)
		is_short = false;
	if (!is_short)
		j->keep_ms = keep_ms;
	j->is_short = is_short;
	lock_give(&j->lck);
	if (is_short && !was_short)
		log_warnx("the disk has only %llu MiB left: the journal is "
		    "kept for less than journal_keep",
		    (unsigned long long)(free_bytes / MIB));
	else if (was_short && !is_short)
		log_info("the disk has %llu MiB left: the journal is kept for "
		    "journal_keep again",
		    (unsigned long long)(free_bytes / MIB));
}

/*
 * While less is free than the reserve, remove what stands in documents,
 * oldest first.  Returns how many segments went.
 */
static size_t
relieve(struct journal *j, int64_t now, int64_t keep_ms)
{
	struct kept *k;
	uint64_t free_bytes;
	int64_t age;
	size_t n;

	for (n = 0; ; n++) {
		/* What is not known is taken for enough. */
		if (count_free(j, &free_bytes) == -1)
			break;
		if (n == 0)
			note_free(j, free_bytes, keep_ms);
		if (free_bytes >= j->reserve)
			break;
		if ((k = first_to_go(j, now, 0)) == NULL) {
			/* The next goes as soon as it may. */
			keep_at_most(j, 0);
			break;
		}
		age = now - k->covered_at;
		if (remove_segment(j, k) == -1)
			break;
		keep_at_most(j, age);
	}
	return (n);
}

void
journal_retire(struct journal *j, uint64_t lsn, int64_t keep_ms)
{
	int64_t now = sys_monotonic_ms();
	struct kept *k;
	size_t n = 0;

	lock_assert_none();
	lock_take(&j->lck);
	if (!j->is_short)
		j->keep_ms = keep_ms;
	TAILQ_FOREACH(k, &j->kept, entry)
		if (k->last < lsn && k->covered_at == -1)
			k->covered_at = now;
	lock_give(&j->lck);
	while ((k = first_to_go(j, now, keep_ms)) != NULL &&
	    remove_segment(j, k) == 0)
		n++;
	if (j->reserve > 0)
		n += relieve(j, now, keep_ms);
	journal_spare_release(j, n > 0);
}
