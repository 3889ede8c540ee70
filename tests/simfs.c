#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <bsd/string.h>

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
