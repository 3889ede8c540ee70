#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <bsd/string.h>

#include "store/sys.h"

#include "tests/simfs_internal.h"

struct simfs simfs = { .lck = LOCK_INITIALIZER(LOCK_LOG) };

/* A disk has its own memory: an allocation that a test lets fail is not its,
 * and made again. */
void *
simfs_alloc(void *p, size_t size)
{
	void *q = realloc(p, size);

	if (q == NULL && (q = realloc(p, size)) == NULL)
		abort();
	return (q);
}

/* splitmix64: the same numbers everywhere. */
uint64_t
simfs_random(uint64_t n)
{
	uint64_t z = (simfs.random += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return ((z ^ (z >> 31)) % n);
}

static void
note(const char *fmt, va_list ap)
{
	char *line = simfs.trace[simfs.ntrace++ % SIMFS_TRACE];

	(void)vsnprintf(line, SIMFS_LINE, fmt, ap);
}

void
simfs_note(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	note(fmt, ap);
	va_end(ap);
}

void
simfs_say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	lock_take(&simfs.lck);
	note(fmt, ap);
	lock_give(&simfs.lck);
	va_end(ap);
}

/* --- bytes -------------------------------------------------------------- */

void
bytes_size(struct bytes *b, size_t len)
{
	if (len > b->size) {
		b->size = len < 4096 ? 4096 : 2 * len;
		b->p = simfs_alloc(b->p, b->size);
	}
	if (len > b->len)
		memset(b->p + b->len, 0, len - b->len);
	b->len = len;
}

void
bytes_put(struct bytes *b, size_t off, const void *p, size_t len)
{
	if (len == 0)
		return;
	if (off + len > b->len)
		bytes_size(b, off + len);
	memcpy(b->p + off, p, len);
}

static void
bytes_copy(struct bytes *to, const struct bytes *from)
{
	to->len = 0;
	bytes_put(to, 0, from->p, from->len);
	bytes_size(to, from->len);
}

/* --- names -------------------------------------------------------------- */

static struct name *
find_name(const struct name_list *l, const char *name)
{
	struct name *n;

	TAILQ_FOREACH(n, l, entry)
		if (strcmp(n->name, name) == 0)
			return (n);
	return (NULL);
}

struct inode *
names_find(const struct name_list *l, const char *name)
{
	struct name *n = find_name(l, name);

	return (n != NULL ? n->inode : NULL);
}

static void
names_set(struct name_list *l, const char *name, struct inode *inode)
{
	struct name *n = find_name(l, name);

	if (n == NULL && inode != NULL) {
		n = simfs_alloc(NULL, sizeof(*n) + strlen(name) + 1);
		strcpy(n->name, name);
		n->inode = inode;
		TAILQ_INSERT_TAIL(l, n, entry);
	} else if (n != NULL && inode == NULL) {
		TAILQ_REMOVE(l, n, entry);
		free(n);
	} else if (n != NULL)
		n->inode = inode;
}

static void
names_clear(struct name_list *l)
{
	struct name *n;

	while ((n = TAILQ_FIRST(l)) != NULL) {
		TAILQ_REMOVE(l, n, entry);
		free(n);
	}
}

static void
names_copy(struct name_list *to, const struct name_list *from)
{
	struct name *n;

	names_clear(to);
	TAILQ_FOREACH(n, from, entry)
		names_set(to, n->name, n->inode);
}

static void
step_free(struct step *s)
{
	TAILQ_REMOVE(&simfs.steps, s, entry);
	free(s);
}

void
dir_set(struct inode *dir, const char *name, struct inode *inode)
{
	struct inode *there = names_find(&dir->names, name);
	struct step *s;

	if (there != NULL)
		there->nlink--;
	if (inode != NULL)
		inode->nlink++;
	names_set(&dir->names, name, inode);
	s = simfs_alloc(NULL, sizeof(*s) + strlen(name) + 1);
	s->call = simfs.ncalls;
	s->dir = dir;
	s->inode = inode;
	strcpy(s->name, name);
	TAILQ_INSERT_TAIL(&simfs.steps, s, entry);
}

/* --- files and folders -------------------------------------------------- */

struct inode *
inode_new(bool is_dir, const char *label)
{
	struct inode *n = simfs_alloc(NULL, sizeof(*n));

	memset(n, 0, sizeof(*n));
	n->number = ++simfs.next_inode;
	n->is_dir = is_dir;
	n->is_same = true;
	strlcpy(n->label, label, sizeof(n->label));
	TAILQ_INIT(&n->unsynced);
	TAILQ_INIT(&n->names);
	TAILQ_INIT(&n->durable);
	TAILQ_INSERT_TAIL(&simfs.inodes, n, entry);
	return (n);
}

static void
forget_writes(struct inode *n)
{
	struct unsynced *u;

	while ((u = TAILQ_FIRST(&n->unsynced)) != NULL) {
		TAILQ_REMOVE(&n->unsynced, u, entry);
		free(u);
	}
}

static void
inode_free(struct inode *n)
{
	TAILQ_REMOVE(&simfs.inodes, n, entry);
	forget_writes(n);
	names_clear(&n->names);
	names_clear(&n->durable);
	free(n->cache.p);
	free(n->disk.p);
	free(n);
}

void
file_write(struct inode *n, size_t off, const void *p, size_t len)
{
	struct unsynced *u;

	if (len == 0)
		return;
	u = simfs_alloc(NULL, sizeof(*u) + len);
	u->off = off;
	u->len = len;
	memcpy(u->data, p, len);
	TAILQ_INSERT_TAIL(&n->unsynced, u, entry);
	bytes_put(&n->cache, off, p, len);
	n->is_same = false;
}

/* The part [*from_r, *to_r) of the write u that lies in its i-th sector. */
static bool
sector(const struct unsynced *u, size_t i, size_t *from_r, size_t *to_r)
{
	size_t at = (u->off / SIMFS_SECTOR + i) * SIMFS_SECTOR;

	*from_r = at > u->off ? at - u->off : 0;
	*to_r = at + SIMFS_SECTOR - u->off;
	if (*to_r > u->len)
		*to_r = u->len;
	return (*from_r < u->len);
}

void
inode_sync(struct inode *n)
{
	struct unsynced *u;
	struct step *s, *next;

	TAILQ_FOREACH(u, &n->unsynced, entry)
		bytes_put(&n->disk, u->off, u->data, u->len);
	/* What a failed sync lost is not among them: is_same stays. */
	forget_writes(n);
	if (!n->is_dir)
		bytes_size(&n->disk, n->cache.len);
	TAILQ_FOREACH_SAFE(s, &simfs.steps, entry, next) {
		if (s->dir != n)
			continue;
		names_set(&n->durable, s->name, s->inode);
		step_free(s);
	}
}

void
inode_sync_failed(struct inode *n)
{
	struct unsynced *u;
	size_t i, from, to;

	TAILQ_FOREACH(u, &n->unsynced, entry)
		for (i = 0; sector(u, i, &from, &to); i++)
			if (simfs_random(2) == 0)
				bytes_put(&n->disk, u->off + from,
				    u->data + from, to - from);
	forget_writes(n);
}

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
		for (i = 0; sector(u, i, &from, &to); i++)
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
		for (i = 0; sector(u, i, &from, &to); i++, at++) {
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
			forget_writes(n);
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

/* --- what is asked of it ------------------------------------------------ */

void
simfs_stop(void)
{
	lock_take(&simfs.lck);
	simfs.is_stopped = true;
	lock_give(&simfs.lck);
}

void
simfs_stop_at(unsigned mask, unsigned long n)
{
	lock_take(&simfs.lck);
	simfs.stop_mask = mask;
	simfs.stop_left = n;
	lock_give(&simfs.lck);
}

bool
simfs_is_stopped(void)
{
	bool is_stopped;

	lock_take(&simfs.lck);
	is_stopped = simfs.is_stopped;
	lock_give(&simfs.lck);
	return (is_stopped);
}

void
simfs_fail(unsigned mask, unsigned long n, int error, bool forever)
{
	lock_take(&simfs.lck);
	simfs.fail_mask = mask;
	simfs.fail_left = n;
	simfs.fail_error = error;
	simfs.fail_forever = forever;
	if (mask != 0)
		simfs.has_failed = false;
	lock_give(&simfs.lck);
}

bool
simfs_has_failed(void)
{
	bool has_failed;

	lock_take(&simfs.lck);
	has_failed = simfs.has_failed;
	lock_give(&simfs.lck);
	return (has_failed);
}

void
simfs_limit(size_t bytes)
{
	lock_take(&simfs.lck);
	simfs.limit = bytes;
	lock_give(&simfs.lck);
}

unsigned long
simfs_calls(unsigned mask)
{
	unsigned long n = 0;
	int i;

	lock_take(&simfs.lck);
	for (i = 0; i < FAULT_CALLS; i++)
		if ((mask & (1U << i)) != 0)
			n += simfs.count[i];
	lock_give(&simfs.lck);
	return (n);
}

/* The folder of that path, or NULL. */
static struct inode *
folder_of(const char *path)
{
	struct inode *dir = simfs.root;
	char copy[SIMFS_NAME], *word, *rest;

	strlcpy(copy, path, sizeof(copy));
	for (word = strtok_r(copy, "/", &rest); word != NULL && dir != NULL;
	    word = strtok_r(NULL, "/", &rest))
		dir = names_find(&dir->names, word);
	return (dir);
}

size_t
simfs_count(const char *path, const char *part)
{
	struct inode *dir;
	struct name *e;
	size_t n = 0;

	lock_take(&simfs.lck);
	if ((dir = folder_of(path)) != NULL)
		TAILQ_FOREACH(e, &dir->names, entry)
			n += strstr(e->name, part) != NULL;
	lock_give(&simfs.lck);
	return (n);
}

/* Spoil the byte behind the n-th such text in b; false if there is none. */
static bool
spoil(struct bytes *b, const char *text, unsigned n)
{
	const size_t len = strlen(text);
	char *p = b->p, *end;

	/* A file without a byte has no memory. */
	if (b->len == 0)
		return (false);
	end = p + b->len;
	do {
		if ((p = memmem(p, (size_t)(end - p), text, len)) == NULL)
			return (false);
		p += len;
	} while (--n > 0);
	if (p == end)
		return (false);
	*p ^= 1;
	return (true);
}

bool
simfs_spoil(const char *path, const char *part, const char *text, unsigned n)
{
	struct inode *dir;
	struct name *e;
	bool is_done = false;

	lock_take(&simfs.lck);
	if ((dir = folder_of(path)) != NULL)
		TAILQ_FOREACH(e, &dir->names, entry)
			if (!is_done && strstr(e->name, part) != NULL)
				is_done = spoil(&e->inode->cache, text, n) &&
				    spoil(&e->inode->disk, text, n);
	lock_give(&simfs.lck);
	return (is_done);
}

void
simfs_trace(FILE *f)
{
	unsigned long i;

	lock_take(&simfs.lck);
	i = simfs.ntrace > SIMFS_TRACE ? simfs.ntrace - SIMFS_TRACE : 0;
	for (; i < simfs.ntrace; i++)
		fprintf(f, "%s\n", simfs.trace[i % SIMFS_TRACE]);
	lock_give(&simfs.lck);
}
