#include <stdlib.h>
#include <string.h>

#include <bsd/string.h>

#include "tests/simfs_internal.h"

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

void
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

void
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

void
names_copy(struct name_list *to, const struct name_list *from)
{
	struct name *n;

	names_clear(to);
	TAILQ_FOREACH(n, from, entry)
		names_set(to, n->name, n->inode);
}

void
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

void
file_forget(struct inode *n)
{
	struct unsynced *u;

	while ((u = TAILQ_FIRST(&n->unsynced)) != NULL) {
		TAILQ_REMOVE(&n->unsynced, u, entry);
		free(u);
	}
}

void
inode_free(struct inode *n)
{
	TAILQ_REMOVE(&simfs.inodes, n, entry);
	file_forget(n);
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

bool
file_sector(const struct unsynced *u, size_t i, size_t *from_r, size_t *to_r)
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
	file_forget(n);
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
		for (i = 0; file_sector(u, i, &from, &to); i++)
			if (simfs_random(2) == 0)
				bytes_put(&n->disk, u->off + from,
				    u->data + from, to - from);
	file_forget(n);
}
