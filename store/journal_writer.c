#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bsd/string.h>

#include "log.h"
#include "sys.h"

#include "journal_internal.h"

/* How long a broken journal waits before it tries again. */
#define RETRY_MS	1000

/* A buffer that one giant batch made larger than so many batches is freed. */
#define SPARE_BATCHES	4

/* With this part of a start's segment used, the spare is made at once. */
#define EARLY_PART	4

int
journal_writer_open(struct journal *j, uint64_t first)
{
	struct kept *k;

	assert(j->segment == NULL && j->open == NULL);
	if ((k = calloc(1, sizeof(*k))) == NULL)
		return (-1);
	if (journal_spare_take(j, first, &j->segment) == -1) {
		free(k);
		return (-1);
	}
	strlcpy(k->name, segment_name(j->segment), sizeof(k->name));
	k->covered_at = -1;
	k->bytes = segment_used(j->segment);
	k->size = segment_size(j->segment);
	lock_take(&j->lck);
	TAILQ_INSERT_TAIL(&j->kept, k, entry);
	j->open = k;
	lock_give(&j->lck);
	return (0);
}

void
journal_writer_close(struct journal *j)
{
	struct kept *k = j->open;

	if (j->segment == NULL)
		return;
	lock_take(&j->lck);
	j->open = NULL;
	if (k->last == 0) {
		/* Without a synced batch the file goes with the segment. */
		TAILQ_REMOVE(&j->kept, k, entry);
		free(k);
	}
	lock_give(&j->lck);
	segment_close(j->segment);
	j->segment = NULL;
}

/*
 * See that a segment is open that takes len bytes of records.  An empty one
 * takes any: what no segment holds makes it grow.
 */
static int
ready_segment(struct journal *j, uint64_t first, size_t len)
{
	size_t used;

	if (j->segment != NULL) {
		used = segment_used(j->segment);
		if (used == SEGMENT_HEADER ||
		    used + SEGMENT_BATCH + len <= segment_size(j->segment))
			return (0);

		/* First: a failure must not leave the old one in use. */
		journal_writer_close(j);
	}
	return (journal_writer_open(j, first));
}

/* Let appends go into the batch that is drained, and drain the other. */
static void
swap(struct journal *j)
{
	struct batch *b = j->draining;

	lock_assert_held(&j->lck);
	assert(j->done == b->nruns);
	if (b->bytes.size / SPARE_BATCHES > j->batch_max)
		buf_fini(&b->bytes);
	buf_clear(&b->bytes);
	b->nruns = 0;
	j->draining = j->filling;
	j->filling = b;
	j->done = 0;
}

/* A run of draining is durable: say so, and turn to what came meanwhile. */
static void
finish_run(struct journal *j, const struct segment_batch *sb)
{
	const size_t used = segment_used(j->segment);
	const size_t early = segment_size(j->segment) / EARLY_PART;
	struct kept *k = j->open;
	bool ends;

	lock_take(&j->lck);
	if (used > early && k->bytes <= early && j->spare.error == 0)
		journal_spare_hurry(j);
	j->stats.records += sb->count;
	j->stats.batches++;
	histogram_add(&j->stats.batch_records, sb->count);
	histogram_add(&j->stats.sync_us,
	    (uint64_t)segment_sync_us(j->segment));
	j->stats.bytes += used - k->bytes;
	if (k->first == 0) {
		k->first = sb->lsn;
		k->at = sb->at;
	}
	k->last = sb->lsn + sb->count - 1;
	k->bytes = used;
	k->size = segment_size(j->segment);
	k->covered_at = -1;

	/* Who hears of it and waits for room finds some: swap before. */
	if (++j->done == j->draining->nruns)
		swap(j);
	journal_publish(j);
	ends = journal_hang_ends(j);
	lock_give(&j->lck);
	if (ends)
		journal_tell_end();
}

/*
 * Write and sync the batch that is draining, run by run: one is written only
 * after everything before it is durable.  Returns 0, and draining is what was
 * appended meanwhile; or -1 with errno set, and the segment must be closed.
 */
static int
drain(struct journal *j)
{
	const struct batch *b = j->draining;
	const struct run *run;
	struct segment_batch sb;
	size_t begin;

	do {
		run = &b->runs[j->done];
		begin = j->done == 0 ? 0 : run[-1].end;
		sb.lsn = run->first;
		sb.count = run->count;
		sb.durable = run->first - 1;
		sb.at = sys_now_ms();
		sb.records = (struct span){ b->bytes.data + begin,
		    run->end - begin };
		assert(journal_durable(j) == sb.durable);
		if (ready_segment(j, sb.lsn, sb.records.len) == -1 ||
		    segment_write(j->segment, &sb) == -1)
			return (-1);
		finish_run(j, &sb);
	} while (j->done > 0);
	return (0);
}

static void
set_error(struct journal *j, int error)
{
	lock_assert_held(&j->lck);
	atomic_store_explicit(&j->error, error, memory_order_release);
	cond_broadcast(&j->moved);
	journal_notify(j, true);
}

/*
 * BROKEN: write all that is pending, which does not grow, and be OPEN again.
 * Returns 0, or -1 with errno set.
 */
static int
recover(struct journal *j)
{
	while (j->draining->nruns > 0) {
		if (drain(j) == -1)
			return (-1);
	}
	lock_take(&j->lck);
	set_error(j, 0);
	journal_spare_hurry(j);
	lock_give(&j->lck);
	return (0);
}

/* BROKEN: try every second, until it is mended or the journal is closed. */
static void
mend(struct journal *j)
{
	bool stop;

	do {
		journal_writer_close(j);
		lock_take(&j->lck);
		stop = j->stop;
		if (!stop)
			cond_wait_ms(&j->more, &j->lck, RETRY_MS);
		lock_give(&j->lck);
		if (recover(j) == 0) {
			log_warnx("journal works again, in %s",
			    segment_name(j->segment));
			return;
		}
	} while (!stop);
	journal_writer_close(j);
	log_errx("journal closed, changes that were not acknowledged are lost");
}

/* Make draining durable; what fails is tried elsewhere. */
static void
commit(struct journal *j)
{
	char name[SEGMENT_NAME] = "new segment";
	int error;

	if (drain(j) == 0)
		return;
	error = errno;
	if (j->segment != NULL)
		strlcpy(name, segment_name(j->segment), sizeof(name));

	/* Nobody knows what its tail holds: never written or synced again. */
	journal_writer_close(j);
	if (drain(j) == 0) {
		log_warnx("journal: %s failed (%s), its batch is now in %s",
		    name, strerror(error), segment_name(j->segment));
		return;
	}
	error = errno;
	assert(error != 0);
	lock_take(&j->lck);
	set_error(j, error);
	lock_give(&j->lck);
	log_errx("journal is broken, changes are refused: %s",
	    strerror(error));
	mend(j);
}

/*
 * Begin a fresh segment between two batches, unless the open one is fresh.
 * What fails half way has closed the old one too; the next batch tries again.
 */
static void
rotate(struct journal *j)
{
	uint64_t goal, first;
	int error = 0;

	lock_take(&j->lck);
	goal = j->rotate;
	first = journal_first_pending(j);
	lock_give(&j->lck);
	if (j->segment == NULL || segment_used(j->segment) > SEGMENT_HEADER) {
		journal_writer_close(j);
		if (journal_writer_open(j, first) == -1)
			error = errno;
	}
	lock_take(&j->lck);
	j->rotated = goal;
	j->rotate_error = error;
	cond_broadcast(&j->moved);
	lock_give(&j->lck);
}

/*
 * Wait until there is something to drain, or to rotate.  Returns false when
 * there is nothing more to do.  Call with lck held.
 */
static bool
await_work(struct journal *j)
{
	while (j->draining->nruns == 0 && j->rotated == j->rotate) {
		if (j->filling->nruns > 0)
			swap(j);
		else if (j->stop)
			return (false);
		else
			cond_wait(&j->more, &j->lck);
		journal_assert_state(j);
	}
	/* It is broken here only if it was stopped while so. */
	return (journal_error(j) == 0);
}

void
journal_writer_main(void *arg)
{
	struct journal *j = arg;
	bool is_asked;

	lock_take(&j->lck);
	while (await_work(j)) {
		is_asked = j->rotated < j->rotate;
		lock_give(&j->lck);
		if (is_asked)
			rotate(j);
		else
			commit(j);
		lock_take(&j->lck);
	}
	lock_give(&j->lck);
}
