#include <sys/stat.h>

#include <bsd/string.h>

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "atomicfile.h"
#include "identity.h"
#include "load.h"
#include "log.h"
#include "quarantine.h"
#include "readonly.h"
#include "recover.h"
#include "store_internal.h"
#include "strict.h"
#include "sys.h"

static int
tenant_cmp(const struct tenant *a, const struct tenant *b)
{

	return (strcmp(a->name, b->name));
}

RB_GENERATE(tenant_names, tenant, node, tenant_cmp)

/* --- the table of tenants ----------------------------------------------- */

struct tenant *
store_find(struct store *s, const char *name, size_t len)
{
	struct tenant want, *t;

	if (len > TENANT_NAME_MAX)
		return (NULL);
	memcpy(want.name, name, len);
	want.name[len] = '\0';
	lock_take(&s->tenants_lck);
	t = RB_FIND(tenant_names, &s->tenants, &want);
	lock_give(&s->tenants_lck);
	return (t);
}

struct tenant *
store_add(struct store *s, const char *name, enum tenant_level level)
{
	struct tenant *t, *there;

	if ((t = tenant_new(s, name, level)) == NULL)
		return (NULL);
	lock_take(&s->tenants_lck);
	if ((there = RB_INSERT(tenant_names, &s->tenants, t)) == NULL)
		s->ntenants++;
	lock_give(&s->tenants_lck);
	if (there == NULL)
		return (t);
	tenant_free(t);
	return (there);
}

enum store_err
store_tenant_get(struct store *s, const char *name, size_t len,
    struct tenant **t_r)
{
	enum store_err err = STORE_OK;
	struct tenant *t;

	*t_r = NULL;
	if (!id_is_tenant(name, len) || (t = store_find(s, name, len)) == NULL)
		return (STORE_NOENT);
	lock_take(&t->lck);
	if (t->is_damaged)
		err = t->is_newer ? STORE_NEWER : STORE_DAMAGED;
	else if (t->level == TENANT_NAMED)
		err = STORE_COLD;
	else if (!t->exists || t->created_lsn > store_bound(s))
		err = STORE_NOENT;
	else
		atomic_fetch_add(&t->refs, 1);
	lock_give(&t->lck);
	if (err == STORE_OK)
		*t_r = t;
	return (err);
}

void
store_tenant_put(struct tenant *t)
{
	unsigned int before;

	if (t == NULL)
		return;
	before = atomic_fetch_sub(&t->refs, 1);
	assert(before > 0);
	(void)before;
}

const char *
store_tenant_name(const struct tenant *t)
{

	return (t->name);
}

enum store_err
store_warm(struct store *s, const char *name, size_t len)
{
	enum tenant_level next;
	struct tenant *t;
	uint64_t lsn;

	lock_assert_none();
	if ((t = store_find(s, name, len)) == NULL)
		return (STORE_NOENT);
	/* One level a call: who may not come in does not get all loaded. */
	lock_take(&t->lck);
	next = t->level == TENANT_NAMED ? TENANT_OPEN : TENANT_LOADED;
	lock_give(&t->lck);
	return (load_tenant(t, next, &lsn));
}

bool
store_knows(struct store *s, struct tenant *t)
{
	bool yes;

	lock_take(&t->lck);
	yes = t->level == TENANT_NAMED || t->is_damaged ||
	    (t->exists && t->created_lsn <= store_durable(s));
	lock_give(&t->lck);
	return (yes);
}

int
store_tenants(struct store *s, int (*visit)(const char *, void *), void *arg)
{
	char (*names)[TENANT_NAME_MAX + 1];
	struct tenant *t;
	size_t i, n = 0;
	int rc = 0;

	/* The names are copied: visit may take its time and any lock. */
	lock_take(&s->tenants_lck);
	names = calloc(s->ntenants + 1, sizeof(*names));
	if (names != NULL)
		RB_FOREACH(t, tenant_names, &s->tenants)
			if (store_knows(s, t))
				strlcpy(names[n++], t->name, sizeof(*names));
	lock_give(&s->tenants_lck);
	if (names == NULL)
		return (-1);
	for (i = 0; rc == 0 && i < n; i++)
		rc = visit(names[i], arg);
	free(names);
	return (rc);
}

/* --- store.json --------------------------------------------------------- */

static int
write_identity(struct store *s, const struct identity *i)
{
	struct buf b = BUF_INITIALIZER;
	int rc = -1;

	identity_encode(i, &b);
	if (!buf_ok(&b))
		errno = ENOMEM;
	else
		rc = atomicfile_write(s->dirfd, IDENTITY_NAME, b.data, b.len);
	if (rc == -1)
		log_err("%s/" IDENTITY_NAME, s->o.dir);
	buf_fini(&b);
	return (rc);
}

static int
visit_any(const char *name, void *arg)
{

	(void)arg;
	return (strcmp(name, "lock") != 0 && strcmp(name, "lost+found") != 0 &&
	    !atomicfile_is_temporary(name));
}

/* There is no telling which store it is: what could be done about it? */
static int
refuse_identity(struct store *s, const char *why)
{
	char id[17];

	switch (identity_guess(s->dirfd, id)) {
	case 1:
		/* Without what the log escapes, it can be pasted: @ is ". */
		log_errx("%s/" IDENTITY_NAME ": %s.  Put it back from a copy "
		    "of the store; or move away what there is of it, and, as "
		    "the daemon's user, write it anew: "
		    "echo '{@rememberd@:@store@,@format@:%d,@store@:@%s@,"
		    "@epochs@:[]}' | tr '?@' '!-#' >'%s/" IDENTITY_NAME "'",
		    s->o.dir, why, DOCUMENT_FORMAT, id, s->o.dir);
		break;
	case 0:
		log_errx("%s/" IDENTITY_NAME ": %s, and nothing else says "
		    "which store it is", s->o.dir, why);
		break;
	default:
		log_err("%s/" IDENTITY_NAME ": %s", s->o.dir, why);
	}
	return (-1);
}

/* There is no store.json: an empty folder becomes a new store. */
static int
make_identity(struct store *s, struct identity *i)
{

	switch (sys_eachname(s->dirfd, visit_any, NULL)) {
	case 0:
		/* First of all: a store without its name is none. */
		id_mint_short(i->id);
		strlcpy(s->id, i->id, sizeof(s->id));
		return (write_identity(s, i));
	case -1:
		log_err("list %s", s->o.dir);
		return (-1);
	default:
		return (refuse_identity(s, "it is missing in a folder that is "
		    "not empty"));
	}
}

/* Find out which store this is. */
static int
identify(struct store *s, struct identity *i)
{
	char why[DOCUMENT_WHY];

	switch (identity_load(s->dirfd, i, why)) {
	case DOCUMENT_OK:
		strlcpy(s->id, i->id, sizeof(s->id));
		if (why[0] != '\0')
			log_warnx("%s/" IDENTITY_NAME ": %s", s->o.dir, why);
		return (0);
	case DOCUMENT_BAD:
		return (refuse_identity(s, why));
	case DOCUMENT_NEWER:
		log_errx("%s/" IDENTITY_NAME ": %s", s->o.dir, why);
		return (-1);
	case DOCUMENT_NOMEM:
		errno = ENOMEM;
		break;
	default:
		if (errno == ENOENT)
			return (make_identity(s, i));
	}
	log_err("%s/" IDENTITY_NAME, s->o.dir);
	return (-1);
}

/* --- open and close ----------------------------------------------------- */

/*
 * Open and lock STORE/lock.  A process that was killed by force holds its
 * files until its last thread is gone, so whoever starts right behind it
 * looks again for a second.  Returns the descriptor, or -1.
 */
static int
open_lock(const struct store *s, pid_t *holder_r)
{
	static const struct timespec pause = { 0, 10 * 1000 * 1000 };
	int fd, i;

	for (i = 0; i < 100; i++) {
		fd = sys_lockfile(s->dirfd, "lock", holder_r);
		if (fd != -1 || errno != EWOULDBLOCK)
			return (fd);
		(void)nanosleep(&pause, NULL);
	}
	errno = EWOULDBLOCK;
	return (-1);
}

/* Take STORE/lock, with our pid in it.  -1 with EWOULDBLOCK and *holder_r. */
static int
take_lock(struct store *s, pid_t *holder_r)
{
	struct stat st;

	/*
	 * alive_note: who has the store touches the lock now and then, and when
	 * he closes it, so that the next one knows how long nobody had it.
	 */
	if (sys->fstatat(s->dirfd, "lock", &st, 0) == 0)
		s->alive_at = (int64_t)st.st_mtim.tv_sec * 1000 +
		    st.st_mtim.tv_nsec / 1000000;
	s->lockfd = open_lock(s, holder_r);
	if (s->lockfd != -1)
		return (0);
	if (errno == EWOULDBLOCK)
		log_errx("%s is in use by process %d", s->o.dir,
		    (int)*holder_r);
	else
		log_err("%s/lock", s->o.dir);
	return (-1);
}

static int
open_folders(struct store *s)
{
	static const struct {
		const char	*name;
		size_t		 fd;
	} folders[] = {
		{ "journal", offsetof(struct store, journalfd) },
		{ "tenants", offsetof(struct store, tenantsfd) },
		{ "quarantine", offsetof(struct store, quarantinefd) },
	};
	size_t i;
	int fd;

	for (i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		if ((fd = sys_opendir(s->dirfd, folders[i].name)) == -1) {
			log_err("%s/%s", s->o.dir, folders[i].name);
			return (-1);
		}
		memcpy((char *)s + folders[i].fd, &fd, sizeof(fd));
		/* See settle_note in load.c; STORE itself follows at last. */
		if (atomicfile_sync(fd) == -1) {
			log_err("sync %s/%s", s->o.dir, folders[i].name);
			return (-1);
		}
	}
	load_clean(s, s->dirfd);
	load_clean(s, s->quarantinefd);
	return (0);
}

static int
count_quarantine(struct store *s)
{

	if (quarantine_tell(s) == 0)
		return (0);
	log_err("list %s/quarantine", s->o.dir);
	return (-1);
}

static void
close_fd(int fd)
{

	if (fd != -1)
		(void)sys->close(fd);
}

/*
 * Until there is a store the folder's own name may be in the cache only: who
 * made it may have been killed.  One that somebody else made may stand where
 * we cannot sync; then it is theirs to see to.
 */
static int
settle_dir(const char *path, int fd, bool is_made)
{
	struct stat st;

	if (sys->fstatat(fd, "store.json", &st, 0) == 0)
		return (0);
	if (errno != ENOENT)
		return (-1);
	if (atomicfile_sync_parent(path) == 0 || (!is_made && errno == EACCES))
		return (0);
	return (-1);
}

/* Open the store's folder, made with mode 0700 if it is not there. */
static int
open_dir(const char *path)
{
	bool is_made;
	int fd, e;

	is_made = sys->mkdirat(AT_FDCWD, path, 0700) == 0;
	if (!is_made && errno != EEXIST)
		return (-1);
	fd = sys->openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC,
	    0);
	if (fd != -1 && settle_dir(path, fd, is_made) == 0)
		return (fd);
	e = errno;
	close_fd(fd);
	if (is_made)
		(void)sys->unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
	errno = e;
	return (-1);
}

void
store_free(struct store *s)
{
	struct tenant *t;

	if (s->journal != NULL)
		(void)journal_close(s->journal);
	flush_free(s->flush);
	while ((t = RB_ROOT(&s->tenants)) != NULL) {
		RB_REMOVE(tenant_names, &s->tenants, t);
		tenant_free(t);
	}
	close_fd(s->quarantinefd);
	close_fd(s->tenantsfd);
	close_fd(s->journalfd);
	/* The lock goes last: another daemon may begin now. */
	close_fd(s->lockfd);
	close_fd(s->dirfd);
	problems_fini(&s->problems);
	lock_fini(&s->tenants_lck);
	free((char *)(uintptr_t)s->o.dir);
	free(s);
	sys_release();
}

struct store *
store_new(const struct store_options *o)
{
	struct store *s;

	if ((s = calloc(1, sizeof(*s))) == NULL)
		return (NULL);
	sys_reserve();
	s->dirfd = s->journalfd = s->tenantsfd = s->quarantinefd = -1;
	s->lockfd = -1;
	s->o = *o;
	s->started_at = sys_now_ms();
	lock_init(&s->tenants_lck, LOCK_TABLE);
	RB_INIT(&s->tenants);
	problems_init(&s->problems);
	if ((s->o.dir = strdup(o->dir)) == NULL ||
	    (s->flush = flush_new(s)) == NULL) {
		store_free(s);
		return (NULL);
	}
	return (s);
}

/* If that is asked for, look for damage; a new store has none. */
static int
be_strict(struct store *s)
{
	struct stat st;

	if (!s->o.strict_recovery || (sys->fstatat(s->dirfd, "journal", &st,
	    0) == -1 && sys->fstatat(s->dirfd, "tenants", &st, 0) == -1))
		return (0);
	return (strict_check(&s->o));
}

int
store_open(const struct store_options *o, struct store **s_r, pid_t *holder_r)
{
	struct identity id;
	struct store *s;
	int e;

	*holder_r = 0;
	if (o->read_only)
		return (readonly_open(o, s_r));
	if ((s = store_new(o)) == NULL) {
		log_err("store");
		return (-1);
	}
	identity_init(&id);
	if ((s->dirfd = open_dir(s->o.dir)) == -1) {
		log_err("open %s", s->o.dir);
		goto failed;
	}
	if (take_lock(s, holder_r) == -1 || identify(s, &id) == -1 ||
	    be_strict(s) == -1 || open_folders(s) == -1 ||
	    count_quarantine(s) == -1 || recover(s) == -1)
		goto failed;
	identity_start(&id, journal_next(s->journal), s->started_at);
	if (write_identity(s, &id) == -1)
		goto failed;
	if (flush_start(s->flush, o->flush_ms) == -1) {
		log_err("flush thread");
		goto failed;
	}
	identity_fini(&id);
	*s_r = s;
	return (0);

failed:
	e = errno;
	identity_fini(&id);
	store_free(s);
	errno = e;
	return (-1);
}

int
store_close(struct store *s)
{
	int rc;

	if (s == NULL)
		return (0);
	if (s->o.read_only) {
		store_free(s);
		return (0);
	}
	if ((rc = flush_stop(s->flush)) == -1)
		log_errx("%zu documents could not be written; the journal "
		    "holds their changes", flush_count(s->flush));
	if (journal_close(s->journal) == -1) {
		log_err("journal");
		rc = -1;
	}
	s->journal = NULL;
	/* See alive_note. */
	sys_touch(s->lockfd);
	store_free(s);
	return (rc);
}

/* --- the journal and the flush ------------------------------------------ */

int
store_flush(struct store *s)
{

	lock_assert_none();
	return (s->o.read_only ? 0 : flush_now(s->flush));
}

int
store_rotate(struct store *s)
{

	assert(!s->o.read_only);
	return (journal_rotate(s->journal));
}

void
store_flush_soon(struct store *s)
{

	flush_soon(s->flush);
}
