#include <bsd/string.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "atomicfile.h"
#include "backup_internal.h"
#include "buf.h"
#include "copy.h"
#include "id.h"
#include "identity.h"
#include "jsonscan.h"
#include "log.h"
#include "segment.h"
#include "sys.h"

#define BACKUP_FORMAT	1
#define BACKUP_MAX	(1 << 16)

/* A backup that is being made, or a restore. */
struct backup {
	const struct backup_options *o;
	int		 from;		/* -1: not open */
	int		 to;
	int		 earlier;
	int		 lock;
	struct copy	 copy;
	const char	*open;		/* segment of the store, or NULL */
	char		 half[SEGMENT_NAME];	/* open in the earlier one */
};

int
backup_open(int dirfd, const char *name)
{

	return (sys->openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC,
	    0));
}

static void
close_folder(int fd)
{

	if (fd != -1)
		(void)sys->close(fd);
}

static void
backup_init(struct backup *b)
{

	memset(b, 0, sizeof(*b));
	b->from = b->to = b->earlier = b->lock = -1;
}

static void
backup_fini(struct backup *b)
{

	close_folder(b->lock);
	close_folder(b->earlier);
	close_folder(b->to);
	close_folder(b->from);
}

/*
 * Let to belong to the daemon's user, who is the owner of store.json: the
 * folder may be that of who made it.
 */
static void
own(const struct backup *b, int to)
{
	int fd;

	fd = sys->openat(b->from, IDENTITY_NAME, O_RDONLY | O_CLOEXEC |
	    O_NOFOLLOW | O_NONBLOCK, 0);
	if (fd == -1)
		return;
	copy_owner(fd, to);
	(void)sys->close(fd);
}

/* --- what may be linked ------------------------------------------------- */

static bool
always(int fd, const char *name, void *arg)
{

	(void)fd;
	(void)name;
	(void)arg;
	return (true);
}

static void
tell_file(void *arg)
{
	const struct backup_options *o = ((struct backup *)arg)->o;

	if (o->on_file != NULL)
		o->on_file(o->arg);
}

/* Closed for good? */
static bool
is_closed(int fd, const char *name, void *arg)
{
	const struct backup *b = arg;

	(void)fd;
	return (b->open != NULL && strcmp(name, b->open) < 0);
}

static bool
is_segment(const char *name)
{
	uint64_t first;

	return (segment_parse(name, &first));
}

/* --- folders -------------------------------------------------------------- */

/* One folder of the store; one that is not there is none to copy. */
static int
copy_part(struct backup *b, const char *name,
    bool (*may_link)(int, const char *, void *))
{
	int from, to = -1, earlier = -1, rc = -1;

	b->copy.may_link = may_link;
	b->copy.half = may_link == is_closed ? b->half : NULL;
	if ((from = backup_open(b->from, name)) == -1)
		return (errno == ENOENT ? 0 : -1);
	if (b->earlier != -1)
		earlier = backup_open(b->earlier, name);
	if ((to = sys_opendir(b->to, name)) != -1)
		rc = may_link == is_closed ?
		    copy_last_first(&b->copy, from, to, earlier, is_segment) :
		    copy_tree(&b->copy, from, to, earlier);
	if (rc == -1)
		log_err("backup: %s/%s", name, b->copy.failed);
	close_folder(to);
	close_folder(earlier);
	close_folder(from);
	return (rc);
}

/* The store itself, last: without it the rest is none. */
static int
copy_identity(struct backup *b)
{

	b->copy.may_link = NULL;
	switch (copy_file(&b->copy, b->from, b->to, -1, IDENTITY_NAME)) {
	case 1:
		if (sys->fsync(b->to) == 0)
			return (0);
		break;
	case 0:
		errno = ENOENT;
		break;
	}
	log_err("backup: %s", IDENTITY_NAME);
	/* Nobody may take it for whole. */
	(void)sys->unlinkat(b->to, IDENTITY_NAME, 0);
	return (-1);
}

/* --- backup.json ---------------------------------------------------------- */

static bool
get_u64(struct span root, const char *name, uint64_t *v)
{
	struct span s;

	return (jsonscan_get(root, name, &s) && jsonscan_u64(s, v));
}

int
backup_read(const char *dir, struct backup_report *r)
{
	struct span root, s;
	uint64_t format, from, until;
	char *data;
	size_t len;
	int fd, rc;

	memset(r, 0, sizeof(*r));
	if ((fd = backup_open(AT_FDCWD, dir)) == -1)
		return (-1);
	rc = sys_readfile(fd, BACKUP_NAME, BACKUP_MAX, &data, &len);
	(void)sys->close(fd);
	if (rc == -1)
		return (errno == ENOENT ? 0 : -1);
	root = (struct span){ data, len };
	rc = 1;
	if (!get_u64(root, "format", &format) || format != BACKUP_FORMAT ||
	    !jsonscan_get(root, "store", &s) ||
	    !jsonscan_cstring(s, r->store_id, sizeof(r->store_id)) ||
	    !get_u64(root, "started_at", &from) ||
	    !get_u64(root, "ended_at", &until) ||
	    !get_u64(root, "copied", &r->copied) ||
	    !get_u64(root, "linked", &r->linked) ||
	    !get_u64(root, "kept", &r->kept) ||
	    !get_u64(root, "bytes", &r->bytes)) {
		errno = EBADMSG;
		rc = -1;
	} else {
		/* Not known, or made before it was asked: none is closed. */
		if (!jsonscan_get(root, "open", &s) ||
		    !jsonscan_cstring(s, r->open, sizeof(r->open)))
			r->open[0] = '\0';
		r->started_at = (int64_t)from;
		r->ended_at = (int64_t)until;
	}
	free(data);
	return (rc);
}

static int
write_report(const struct backup *b, const struct backup_report *r)
{
	struct buf out = BUF_INITIALIZER;
	int fd, rc = -1;

	buf_addf(&out, "{\"rememberd\":\"backup\",\"format\":%d,\"store\":"
	    "\"%s\",\"started_at\":%" PRId64 ",\"ended_at\":%" PRId64
	    ",\"copied\":%" PRIu64 ",\"linked\":%" PRIu64 ",\"kept\":%" PRIu64
	    ",\"bytes\":%" PRIu64 ",\"open\":\"%s\"}\n", BACKUP_FORMAT,
	    r->store_id, r->started_at, r->ended_at, r->copied, r->linked,
	    r->kept, r->bytes, r->open);
	if (!buf_ok(&out))
		errno = ENOMEM;
	else
		rc = atomicfile_write(b->to, BACKUP_NAME, out.data, out.len);
	if (rc == 0 && (fd = sys->openat(b->to, BACKUP_NAME, O_RDONLY |
	    O_CLOEXEC, 0)) != -1) {
		own(b, fd);
		(void)sys->close(fd);
	}
	if (rc == -1) {
		log_err("backup: %s", BACKUP_NAME);
		(void)sys->unlinkat(b->to, BACKUP_NAME, 0);
	}
	buf_fini(&out);
	return (rc);
}

/* --- where it may stand --------------------------------------------------- */

static bool
is_one(const struct stat *a, const struct stat *b)
{

	return (a->st_dev == b->st_dev && a->st_ino == b->st_ino);
}

int
backup_is_within(const char *path, int dir)
{
	struct stat top, st, up;
	char at[PATH_MAX];

	if (sys->fstat(dir, &top) == -1 ||
	    sys->fstatat(AT_FDCWD, path, &st, 0) == -1)
		return (-1);
	(void)strlcpy(at, path, sizeof(at));
	while (!is_one(&st, &top)) {
		if (strlcat(at, "/..", sizeof(at)) >= sizeof(at)) {
			errno = ENAMETOOLONG;
			return (-1);
		}
		/* To go up takes no right to read what is there. */
		if (sys->fstatat(AT_FDCWD, at, &up, 0) == -1)
			return (-1);
		/* The root is its own parent. */
		if (is_one(&up, &st))
			return (0);
		st = up;
	}
	return (1);
}

int
backup_check_source(int fd, const char *from)
{
	struct identity id;
	char why[DOCUMENT_WHY];
	int rc;

	identity_init(&id);
	rc = identity_load(fd, &id, why);
	identity_fini(&id);
	if (rc == DOCUMENT_OK)
		return (0);
	if (rc != -1)
		log_errx("%s/%s: %s", from, IDENTITY_NAME, why);
	else if (errno == ENOENT)
		log_errx("%s has no %s: it is no store, or a backup that was "
		    "cut off", from, IDENTITY_NAME);
	else
		log_err("%s/%s", from, IDENTITY_NAME);
	return (-1);
}

/*
 * May a copy of the store that is open as dir be made at path, which need not
 * be there?  A copy of it in itself would be copied by the next one, and is
 * lost with it.  0, or -1 after logging why not.
 */
static int
check_target(const char *path, int dir, const char *store)
{
	char parent[PATH_MAX];
	int rc;

	rc = backup_is_within(path, dir);
	if (rc == -1 && errno == ENOENT) {
		(void)strlcpy(parent, path, sizeof(parent));
		rc = backup_is_within(dirname(parent), dir);
	}
	if (rc == 1)
		log_errx("%s is in %s, of which it would be a copy: name a "
		    "folder outside of it", path, store);
	else if (rc == -1)
		log_err("%s", path);
	return (rc == 0 ? 0 : -1);
}

/*
 * Open the folder at path for a copy of what is open as b->from; where it is
 * not empty, advice says what to do.  0, or -1 after logging why not.
 */
static int
open_target(struct backup *b, const char *from, const char *path,
    const char *advice)
{

	if (check_target(path, b->from, from) == -1)
		return (-1);
	if ((b->to = copy_folder(path)) != -1) {
		own(b, b->to);
		return (0);
	}
	if (errno == ENOTEMPTY)
		log_errx("%s is not empty: %s", path, advice);
	else
		log_err("%s", path);
	return (-1);
}

/* --- backup --------------------------------------------------------------- */

/* Which store it is; an earlier backup must be of the same one, and whole. */
static int
check_stores(struct backup *b, struct backup_report *r)
{
	struct backup_report earlier;
	struct identity id;
	char why[DOCUMENT_WHY];
	int rc;

	identity_init(&id);
	rc = identity_load(b->from, &id, why);
	strlcpy(r->store_id, id.id, sizeof(r->store_id));
	identity_fini(&id);
	if (rc == -1) {
		log_err("%s/%s", b->o->store, IDENTITY_NAME);
		return (-1);
	}
	if (rc != DOCUMENT_OK) {
		log_errx("%s/%s: %s", b->o->store, IDENTITY_NAME, why);
		return (-1);
	}
	/* Of another store it would say nothing. */
	if (b->o->open != NULL && b->o->store_id != NULL &&
	    strcmp(b->o->store_id, r->store_id) == 0)
		b->open = b->o->open;
	if (b->o->against == NULL)
		return (0);
	switch (backup_read(b->o->against, &earlier)) {
	case 1:
		if (strcmp(earlier.store_id, r->store_id) == 0) {
			strlcpy(b->half, earlier.open, sizeof(b->half));
			break;
		}
		log_errx("%s is a backup of another store", b->o->against);
		return (-1);
	case 0:
		log_errx("%s has no %s: it is no finished backup",
		    b->o->against, BACKUP_NAME);
		return (-1);
	default:
		log_err("%s/%s", b->o->against, BACKUP_NAME);
		return (-1);
	}
	return (0);
}

static int
open_all(struct backup *b, struct backup_report *r)
{
	const struct backup_options *o = b->o;

	if ((b->from = backup_open(AT_FDCWD, o->store)) == -1) {
		log_err("%s", o->store);
		return (-1);
	}
	if (check_stores(b, r) == -1)
		return (-1);
	if (o->against != NULL &&
	    (b->earlier = backup_open(AT_FDCWD, o->against)) == -1) {
		log_err("%s", o->against);
		return (-1);
	}
	return (open_target(b, o->store, o->dir, "name a folder that is, or "
	    "that is not there yet"));
}

/* See all_is_in_it_note. */
static int
copy_all(struct backup *b)
{

	if (copy_part(b, "journal", is_closed) == -1 ||
	    copy_part(b, "tenants", always) == -1 ||
	    copy_part(b, "tenants", always) == -1 ||
	    copy_part(b, "quarantine", NULL) == -1)
		return (-1);
	return (copy_identity(b));
}

int
backup_make(const struct backup_options *o, struct backup_report *r)
{
	struct backup b;
	int rc = -1;

	backup_init(&b);
	b.o = o;
	b.copy.on_file = tell_file;
	b.copy.arg = &b;
	memset(r, 0, sizeof(*r));
	r->started_at = sys_now_ms();
	if (open_all(&b, r) == -1)
		goto out;
	if (copy_all(&b) == 0) {
		r->ended_at = sys_now_ms();
		r->copied = b.copy.copied;
		r->linked = b.copy.linked;
		r->kept = b.copy.kept;
		r->bytes = b.copy.bytes;
		if (b.open != NULL)
			strlcpy(r->open, b.open, sizeof(r->open));
		rc = write_report(&b, r);
	}
	if (rc == -1)
		log_errx("%s is not finished, and no backup: remove it",
		    o->dir);
out:
	backup_fini(&b);
	return (rc);
}

/* --- restore -------------------------------------------------------------- */

static int
open_restore(struct backup *b, const char *from, const char *to)
{
	pid_t holder;

	if ((b->from = backup_open(AT_FDCWD, from)) == -1) {
		log_err("%s", from);
		return (-1);
	}
	if (backup_check_source(b->from, from) == -1)
		return (-1);
	if (open_target(b, from, to, "--force moves it aside") == -1)
		return (-1);
	if ((b->lock = sys_lockfile(b->to, "lock", &holder)) == -1) {
		log_err("%s/lock", to);
		return (-1);
	}
	own(b, b->lock);
	return (0);
}

int
backup_restore(const char *from, const char *to, void (*on_file)(void *),
    void *arg)
{
	const struct backup_options o = { .on_file = on_file, .arg = arg };
	struct backup b;
	int rc = -1;

	backup_init(&b);
	b.o = &o;
	b.copy.on_file = tell_file;
	b.copy.arg = &b;
	if (open_restore(&b, from, to) == 0 &&
	    copy_part(&b, "tenants", NULL) == 0 &&
	    copy_part(&b, "journal", NULL) == 0 &&
	    copy_part(&b, "quarantine", NULL) == 0)
		rc = copy_identity(&b);
	backup_fini(&b);
	return (rc);
}
