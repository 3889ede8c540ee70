#include <stdlib.h>
#include <string.h>

#include "tests/simfs_internal.h"

/* --- the power cut ------------------------------------------------------ */

/* How much of what was not synced is kept, of one file or of all names. */
enum mercy { NOTHING, ALL, A_BEGINNING, SOME, MOST, NMERCIES };

/* Does the i-th of n come through?  turn is where the beginning ends. */
static bool
comes_through(enum mercy mercy, size_t i, size_t turn)
{
	switch (mercy) {
	case NOTHING:
		return (false);
	case ALL:
		return (true);
	case A_BEGINNING:
		return (i < turn);
	case SOME:
		return (simfs_random(2) == 0);
	default:
		return (simfs_random(8) != 0);
	}
}

static size_t
count_sectors(const struct inode *n)
{
	struct unsynced *u;
	size_t i, from, to, all = 0;

	TAILQ_FOREACH(u, &n->unsynced, entry)
		for (i = 0; file_sector(u, i, &from, &to); i++)
			all++;
	return (all);
}

/* The sector was being written when the power went. */
static void
garble(struct inode *n, const struct unsynced *u, size_t from, size_t to)
{
	char bad[SIMFS_SECTOR];
	size_t i, len = to - from, half = simfs_random(len + 1);

	memset(bad, 0, sizeof(bad));
	switch (simfs_random(3)) {
	case 0:
		for (i = 0; i < len; i++)
			bad[i] = (char)simfs_random(256);
		break;
	case 1:
		memcpy(bad, u->data + from, half);
		break;
	default:
		break;
	}
	bytes_put(&n->disk, u->off + from, bad, len);
}

/* What the cut left of a file's writes. */
static void
cut_file(struct inode *n)
{
	enum mercy mercy = simfs_random(NMERCIES);
	size_t all = count_sectors(n), turn = simfs_random(all + 1);
	size_t torn = simfs_random(2) == 0 ? simfs_random(all + 1) : SIZE_MAX;
	size_t i, from, to, at = 0, least = n->disk.len, most, len;
	struct unsynced *u;

	if (mercy == A_BEGINNING)
		torn = turn;
	TAILQ_FOREACH(u, &n->unsynced, entry)
		for (i = 0; file_sector(u, i, &from, &to); i++, at++) {
			if (at == torn && mercy != ALL && mercy != NOTHING)
				garble(n, u, from, to);
			else if (comes_through(mercy, at, turn))
				bytes_put(&n->disk, u->off + from,
				    u->data + from, to - from);
		}
	most = n->cache.len > n->disk.len ? n->cache.len : n->disk.len;
	if (n->cache.len < least)
		least = n->cache.len;
	len = mercy == ALL ? n->cache.len : n->disk.len;
	switch (simfs_random(4)) {
	case 0:
		len = most;
		break;
	case 1:
		if (mercy != ALL)
			len = least + simfs_random(most - least + 1);
		break;
	case 2:
		if (mercy == NOTHING)
			len = least;
		break;
	default:
		break;
	}
	bytes_size(&n->disk, len);
	if (all > 0)
		simfs_note("  cut: %s: %zu sectors unsynced, mercy %d, turn "
		    "%zu, torn %zd, %zu of %zu bytes", n->label, all, mercy,
		    turn, (ssize_t)torn, len, n->cache.len);
}

/* Was an earlier change of this name dropped? */
static bool
is_blocked(const struct step_list *dropped, const struct step *s)
{
	struct step *d;

	TAILQ_FOREACH(d, dropped, entry)
		if (d->dir == s->dir && strcmp(d->name, s->name) == 0)
			return (true);
	return (false);
}

/* What the cut left of the names that were not synced. */
static void
cut_names(void)
{
	enum mercy mercy = simfs_random(NMERCIES);
	struct step_list dropped = TAILQ_HEAD_INITIALIZER(dropped);
	struct step *s, *e, *next;
	size_t n = 0, i = 0, turn;
	unsigned long call;
	bool is_kept;

	TAILQ_FOREACH(s, &simfs.steps, entry)
		n++;
	turn = simfs_random(n + 1);
	while ((s = TAILQ_FIRST(&simfs.steps)) != NULL) {
		is_kept = comes_through(mercy, i++, turn);
		call = s->call;
		for (e = s; e != NULL && e->call == call;
		    e = TAILQ_NEXT(e, entry))
			if (is_blocked(&dropped, e))
				is_kept = false;
		for (e = s; e != NULL && e->call == call; e = next) {
			next = TAILQ_NEXT(e, entry);
			TAILQ_REMOVE(&simfs.steps, e, entry);
			simfs_note("  cut: %s %s/%s: %s", e->inode != NULL ?
			    "set" : "remove", e->dir->label, e->name,
			    is_kept ? "kept" : "lost");
			if (is_kept) {
				names_set(&e->dir->durable, e->name, e->inode);
				free(e);
			} else
				TAILQ_INSERT_TAIL(&dropped, e, entry);
		}
	}
	TAILQ_FOREACH_SAFE(s, &dropped, entry, next)
		free(s);
}

/* --- the disk as a whole ------------------------------------------------ */

static void
close_all(void)
{
	struct inode *n;
	size_t i;

	for (i = 0; i < SIMFS_OPEN_MAX; i++)
		simfs.open[i].fd = 0;
	TAILQ_FOREACH(n, &simfs.inodes, entry) {
		n->locked_by = 0;
		n->nopen = 0;
	}
}

static void
mark(struct inode *dir)
{
	const struct name_list *lists[] = { &dir->names, &dir->durable };
	struct name *n;
	size_t i;

	if (dir->is_marked)
		return;
	dir->is_marked = true;
	for (i = 0; i < 2; i++)
		TAILQ_FOREACH(n, lists[i], entry)
			mark(n->inode);
}

/* Free what has no name any more and is not open. */
static void
collect(void)
{
	struct inode *n, *next;
	struct step *s;

	TAILQ_FOREACH(n, &simfs.inodes, entry)
		n->is_marked = false;
	TAILQ_FOREACH(n, &simfs.inodes, entry)
		if (n->nopen > 0)
			mark(n);
	mark(simfs.root);
	TAILQ_FOREACH(s, &simfs.steps, entry) {
		mark(s->dir);
		if (s->inode != NULL)
			mark(s->inode);
	}
	TAILQ_FOREACH_SAFE(n, &simfs.inodes, entry, next)
		if (!n->is_marked)
			inode_free(n);
}

static void
count_links(void)
{
	struct inode *n;
	struct name *e;

	TAILQ_FOREACH(n, &simfs.inodes, entry)
		n->nlink = 0;
	TAILQ_FOREACH(n, &simfs.inodes, entry)
		TAILQ_FOREACH(e, &n->names, entry)
			e->inode->nlink++;
}

static void
go_on(void)
{
	close_all();
	collect();
	simfs.is_stopped = simfs.has_failed = false;
	simfs.stop_mask = simfs.fail_mask = 0;
}

void
simfs_power_cut(uint64_t seed)
{
	struct inode *n;

	lock_take(&simfs.lck);
	simfs.random = seed;
	simfs_note("power cut %llu", (unsigned long long)seed);
	cut_names();
	TAILQ_FOREACH(n, &simfs.inodes, entry) {
		if (n->is_dir)
			names_copy(&n->names, &n->durable);
		else if (!n->is_same) {
			cut_file(n);
			file_forget(n);
			bytes_copy(&n->cache, &n->disk);
			n->is_same = true;
		}
	}
	count_links();
	go_on();
	lock_give(&simfs.lck);
}

void
simfs_kill(void)
{
	lock_take(&simfs.lck);
	simfs_note("kill");
	go_on();
	lock_give(&simfs.lck);
}

/* Everything goes but the descriptors. */
static void
clear(void)
{
	struct inode *n;
	struct step *s;

	while ((s = TAILQ_FIRST(&simfs.steps)) != NULL)
		step_free(s);
	while ((n = TAILQ_FIRST(&simfs.inodes)) != NULL)
		inode_free(n);
	simfs.root = NULL;
}

void
simfs_reset(uint64_t seed)
{
	lock_take(&simfs.lck);
	close_all();
	clear();
	simfs.random = seed;
	simfs.limit = 0;
	simfs.ncalls = simfs.ntrace = 0;
	memset(simfs.count, 0, sizeof(simfs.count));
	simfs.is_stopped = simfs.has_failed = false;
	simfs.stop_mask = simfs.fail_mask = 0;
	simfs.root = inode_new(true, "");
	lock_give(&simfs.lck);
}
