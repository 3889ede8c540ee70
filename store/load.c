#include <bsd/string.h>

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "atomicfile.h"
#include "document.h"
#include "load.h"
#include "load_file.h"
#include "load_internal.h"
#include "log.h"
#include "readonly.h"
#include "store_internal.h"
#include "stray.h"
#include "sys.h"

/* Between tenant and file in the label of a conversation's document. */
#define LABEL_CONVERSATIONS	".conversations."

/* Of a store that is kept the log told that when it happened. */
#define ASIDE	"it lies in quarantine"

void
load_unlink_temporary(const struct store *s, int dirfd, const char *name)
{

	if (!s->o.read_only && sys->unlinkat(dirfd, name, 0) == -1)
		log_warn("unlink %s", name);
}

struct clean {
	struct store	*store;
	int		 fd;
};

static int
visit_temporary(const char *name, void *arg)
{
	const struct clean *c = arg;

	if (atomicfile_is_temporary(name))
		load_unlink_temporary(c->store, c->fd, name);
	return (0);
}

void
load_clean(struct store *s, int dirfd)
{
	struct clean c = { s, dirfd };

	if (!s->o.read_only && sys_eachname(dirfd, visit_temporary, &c) == -1)
		log_warn("list what a crash left");
}

/* Errno says why a folder of the tenant's cannot be read: see readonly.h. */
static bool
passes_folder(const struct load *l, const char *sub)
{
	char file[TENANT_NAME_MAX + 32], lost[TENANT_NAME_MAX + 32];

	(void)snprintf(file, sizeof(file), "tenants/%s/%s", l->tenant->name,
	    sub);
	(void)snprintf(lost, sizeof(lost), "all of tenant %s in it",
	    l->tenant->name);
	return (readonly_passes(l->tenant->store, file, lost));
}

int
load_each_name(struct load *l, const char *sub,
    int (*visit)(const char *, void *), void *arg)
{
	int rc;

	rc = readonly_each(l->tenant->store, l->fd, visit, arg);
	return (rc == -1 && passes_folder(l, sub) ? 0 : rc);
}

void
load_stray(const struct load *l, const char *sub, const char *name)
{
	char folder[TENANT_NAME_MAX + 32];

	(void)snprintf(folder, sizeof(folder), "tenants/%s%s", l->tenant->name,
	    sub);
	stray_note(l->tenant->store, folder, name);
}

/* --- conversations ------------------------------------------------------ */

static bool
load_add(struct load *l, struct conversation *c)
{
	struct conversation **v;
	size_t size;

	if (l->n == l->size) {
		size = l->size == 0 ? 64 : l->size * 2;
		if ((v = reallocarray(l->v, size, sizeof(*v))) == NULL)
			return (false);
		l->v = v;
		l->size = size;
	}
	l->v[l->n++] = c;
	if (c->lsn > l->lsn)
		l->lsn = c->lsn;
	return (true);
}

static void
load_fini(struct load *l)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		conversation_free(l->v[i]);
	free(l->v);
}

struct conversation *
load_stand_in(struct tenant *t, const char *id)
{
	struct conversation *c;
	char birth[BIRTH_SIZE];

	id_mint_short(birth);
	if ((c = conversation_new(t, id, birth, NULL, 0, 0)) != NULL)
		c->is_damaged = true;
	return (c);
}

void
load_label(const struct tenant *t, const char *name,
    char label[QUARANTINE_LABEL])
{

	(void)snprintf(label, QUARANTINE_LABEL, "%s" LABEL_CONVERSATIONS "%s",
	    t->name, name);
}

/* A document, on its way into memory. */
struct taking {
	struct load	*load;
	const char	*id;
	struct conversation *c;		/* owned */
};

static enum document_state
take_conversation(void *arg, const char *data, size_t len,
    char why[DOCUMENT_WHY])
{
	struct taking *k = arg;

	return (document_read_conversation(k->load->tenant, k->id, data, len,
	    &k->c, why));
}

static enum store_err
load_conversation(struct load *l, const char *name, const char *id)
{
	char label[QUARANTINE_LABEL];
	struct load_file f = { l->tenant->store, l->fd, name, label,
		&l->tenant->told, 0, 0 };
	struct taking k = { l, id, NULL };
	enum store_err err;

	load_label(l->tenant, name, label);
	err = load_file(&f, take_conversation, &k);
	/* Listed and gone: a store that is only read may be in use. */
	if (err == STORE_NOENT)
		return (l->tenant->store->o.read_only ? STORE_OK : STORE_SICK);
	if (err == STORE_DAMAGED &&
	    (k.c = load_stand_in(l->tenant, id)) != NULL) {
		k.c->is_held = f.is_held;
		k.c->is_newer = f.is_newer;
	} else if (err != STORE_OK)
		return (err == STORE_DAMAGED ? STORE_NOMEM : err);
	if (load_add(l, k.c))
		return (STORE_OK);
	conversation_free(k.c);
	return (STORE_NOMEM);
}

static int
visit_conversation(const char *name, void *arg)
{
	struct load *l = arg;
	char id[ID_SIZE], label[QUARANTINE_LABEL];

	if (atomicfile_is_temporary(name)) {
		load_unlink_temporary(l->tenant->store, l->fd, name);
		return (0);
	}
	if (!document_id(name, id)) {
		load_label(l->tenant, name, label);
		problem_note_label(l->tenant->store, LOG_LEVEL_WARN, label,
		    "it is no document and is left alone");
		return (0);
	}
	l->err = load_conversation(l, name, id);
	return (l->err != STORE_OK);
}

/*
 * A conversation whose document lies in quarantine is damaged, also after a
 * restart, unless something stands in its place.
 */
static int
visit_quarantine(const char *label, void *arg)
{
	struct load *l = arg;
	struct conversation *c;
	const char *rest = label + strlen(l->tenant->name);
	char id[ID_SIZE];

	if (strncmp(label, l->tenant->name, strlen(l->tenant->name)) != 0 ||
	    strncmp(rest, LABEL_CONVERSATIONS,
	    strlen(LABEL_CONVERSATIONS)) != 0 ||
	    !document_id(rest + strlen(LABEL_CONVERSATIONS), id))
		return (0);
	c = load_stand_in(l->tenant, id);
	if (c != NULL && load_add(l, c))
		return (0);
	conversation_free(c);
	l->err = STORE_NOMEM;
	return (1);
}

enum store_err
load_tenant_damaged(struct tenant *t, const struct load_file *f)
{

	lock_take(&t->lck);
	t->is_held = t->is_held || f->is_held;
	t->is_newer = t->is_newer || f->is_newer;
	lock_give(&t->lck);
	return (STORE_DAMAGED);
}

/* --- the levels --------------------------------------------------------- */

int
load_folder(const struct tenant *t, const char *sub)
{
	char path[TENANT_NAME_MAX + 32];
	struct stat st;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", t->name, sub);
	fd = sys->openat(t->store->tenantsfd, path,
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	/* A link to a disk that is away is no folder that never was. */
	if (fd == -1 && errno == ENOENT && sys->fstatat(t->store->tenantsfd,
	    path, &st, AT_SYMLINK_NOFOLLOW) == 0)
		errno = ENOTDIR;
	return (fd);
}

static void
close_folder(struct load *l)
{

	if (l->fd != -1)
		(void)sys->close(l->fd);
	l->fd = -1;
}

/*
 * settle_note: a process that was killed behind a rename has left a document
 * that stands in the cache, and perhaps not in its folder on the disk.  Replay
 * passes over what the document holds, so nothing writes it again while its
 * part of the journal goes.  Hence at start each folder is synced before what
 * is read of it is believed; later there is no journal of what was not loaded.
 */
static int
settle(const struct store *s, int fd)
{

	if (s->journal != NULL || s->o.read_only)
		return (0);
	return (atomicfile_sync(fd));
}

/* The folder that is read next.  Returns 1, 0 if it is not there, -1 logged. */
static int
open_folder(struct load *l, const char *sub)
{

	if ((l->fd = load_folder(l->tenant, sub)) == -1) {
		if (errno == ENOENT || passes_folder(l, sub))
			return (0);
		if (log_begins(&l->tenant->told, errno))
			log_warn("open tenants/%s/%s", l->tenant->name, sub);
		return (-1);
	}
	if (settle(l->tenant->store, l->fd) == 0)
		return (1);
	if (log_begins(&l->tenant->told, errno))
		log_warn("sync tenants/%s/%s", l->tenant->name, sub);
	close_folder(l);
	return (-1);
}

/* Take back what a bad tenant.json left in t; its lock is held. */
static void
forget_tenant(struct tenant *t)
{

	lock_assert_held(&t->lck);
	keyring_fini(&t->apikeys);
	keyring_fini(&t->jwtkeys);
	text_replace(&t->rest, (struct text){ NULL, 0 });
	t->lsn = 0;
	t->exists = false;
}

/* There is no tenant.json. */
static enum store_err
load_missing(struct load *l, const char *label)
{
	struct store *s = l->tenant->store;

	switch (quarantine_has(s, label)) {
	case 0:
		/* Its creation may still be in the journal. */
		return (STORE_OK);
	case 1:
		if (s->o.read_only)
			problem_note_label(s, LOG_LEVEL_ERROR, label, ASIDE);
		return (STORE_DAMAGED);
	default:
		if (readonly_passes(s, "quarantine", NULL))
			return (STORE_OK);
		if (log_begins(&l->tenant->told, errno))
			log_warn("list quarantine");
		return (STORE_SICK);
	}
}

/* Its lock is taken. */
static enum document_state
take_tenant(void *arg, const char *data, size_t len, char why[DOCUMENT_WHY])
{
	struct load *l = arg;
	struct tenant *t = l->tenant;
	enum document_state state;

	lock_take(&t->lck);
	state = document_read_tenant(t, data, len, why);
	if (state == DOCUMENT_OK)
		l->lsn = t->lsn;
	else
		forget_tenant(t);
	lock_give(&t->lck);
	return (state);
}

/*
 * Read tenant.json.  Without one the tenant does not exist: its creation may
 * still be in the journal, or a crash came before it was durable.
 */
static enum store_err
load_open(struct load *l)
{
	struct tenant *t = l->tenant;
	char label[QUARANTINE_LABEL];
	struct load_file f = { t->store, l->fd, "tenant.json", label,
		&t->told, 0, 0 };
	enum store_err err;

	(void)snprintf(label, sizeof(label), "%s.tenant.json", t->name);
	err = load_file(&f, take_tenant, l);
	if (err == STORE_NOENT)
		err = load_missing(l, label);
	return (err == STORE_DAMAGED ? load_tenant_damaged(t, &f) : err);
}

/* A name in its own folder. */
static int
visit_own(const char *name, void *arg)
{
	const struct load *l = arg;

	if (atomicfile_is_temporary(name))
		load_unlink_temporary(l->tenant->store, l->fd, name);
	else if (strcmp(name, "tenant.json") != 0 &&
	    strcmp(name, "conversations") != 0 && strcmp(name, "once") != 0)
		load_stray(l, "", name);
	return (0);
}

static enum store_err
load_conversations(struct load *l)
{
	int there;

	if ((there = open_folder(l, "conversations")) == -1)
		return (STORE_SICK);
	l->err = STORE_OK;
	if (there == 1 && load_each_name(l, "conversations", visit_conversation,
	    l) == -1) {
		if (log_begins(&l->tenant->told, errno))
			log_warn("tenant %s: list conversations",
			    l->tenant->name);
		l->err = STORE_SICK;
	}
	close_folder(l);
	l->nread = l->n;
	if (l->err == STORE_OK &&
	    quarantine_each(l->tenant->store, visit_quarantine, l) == -1 &&
	    !readonly_passes(l->tenant->store, "quarantine", NULL)) {
		if (log_begins(&l->tenant->told, errno))
			log_warn("list quarantine");
		l->err = STORE_SICK;
	}
	return (l->err);
}

static enum store_err
load_all(struct load *l)
{
	enum store_err err;
	int there;

	if ((err = load_conversations(l)) != STORE_OK)
		return (err);
	if ((there = open_folder(l, "once")) == -1)
		return (STORE_SICK);
	if (there == 1)
		err = load_once(l);
	close_folder(l);
	return (err);
}

static int
cmp_deleted(const void *a, const void *b)
{
	const struct conversation *ca = *(struct conversation *const *)a;
	const struct conversation *cb = *(struct conversation *const *)b;

	if (ca->deleted_at != cb->deleted_at)
		return (ca->deleted_at < cb->deleted_at ? -1 : 1);
	return (strcmp(ca->id, cb->id));
}

/* Its document lies in quarantine. */
static void
note_aside(const struct conversation *c)
{
	char name[DOCUMENT_NAME], label[QUARANTINE_LABEL];

	document_name(c->id, name);
	load_label(c->tenant, name, label);
	if (c->tenant->store->o.read_only &&
	    !c->tenant->store->o.strict_recovery)
		problem_note_label(c->tenant->store, LOG_LEVEL_ERROR, label,
		    ASIDE);
}

/* Let what was loaded be found; the tenant's lock is held. */
static void
publish(struct load *l)
{
	struct conversation *c;
	size_t i;

	lock_assert_held(&l->tenant->lck);
	assert(l->nread <= l->n && l->n <= l->size);
	/* Tombstones must come oldest first. */
	if (l->nread > 0)
		qsort(l->v, l->nread, sizeof(*l->v), cmp_deleted);
	for (i = 0; i < l->n; i++) {
		c = l->v[i];
		if (i >= l->nread && tenant_find(l->tenant, c->id) != NULL) {
			conversation_free(c);
			continue;
		}
		if (i >= l->nread)
			note_aside(c);
		tenant_insert(l->tenant, c);
	}
	l->n = l->nread = 0;
}

/* Raise the level by one; others wait for it in load_tenant. */
static enum store_err
load_level(struct load *l, enum tenant_level level)
{
	enum store_err err;
	int there;

	if (level == TENANT_LOADED)
		return (load_all(l));
	if ((there = open_folder(l, ".")) != 1)
		return (there == 0 ? STORE_OK : STORE_SICK);
	if (load_each_name(l, ".", visit_own, l) == -1)
		log_warn("list tenants/%s", l->tenant->name);
	err = load_open(l);
	close_folder(l);
	return (err);
}

/*
 * Let no change get an lsn that a document holds already: replay would pass
 * it over.  At start there is no journal yet, and recovery sees to it.
 */
static void
raise_lsn(const struct load *l)
{

	if (l->tenant->store->journal != NULL)
		journal_raise(l->tenant->store->journal, l->lsn);
}

enum store_err
load_tenant(struct tenant *t, enum tenant_level want, uint64_t *lsn_r)
{
	struct load l = { .tenant = t, .fd = -1 };
	enum store_err err = STORE_OK;
	enum tenant_level next;

	lock_take(&t->lck);
	while (t->is_loading)
		cond_wait(&t->loaded, &t->lck);
	t->is_loading = true;
	while (t->level < want) {
		next = t->level + 1;
		lock_give(&t->lck);
		err = load_level(&l, next);
		if (err == STORE_OK || err == STORE_DAMAGED)
			raise_lsn(&l);
		lock_take(&t->lck);
		/* Without tenant.json its conversations load all the same. */
		if (err == STORE_DAMAGED)
			t->is_damaged = true;
		else if (err != STORE_OK)
			break;
		publish(&l);
		t->level = next;
	}
	if (t->level >= want && log_ends(&t->told))
		log_info("tenant %s: it can be read again", t->name);
	if (t->level >= want)
		err = !t->is_damaged ? STORE_OK : t->is_newer ? STORE_NEWER :
		    STORE_DAMAGED;
	assert(t->is_loading && (err == STORE_OK || t->is_damaged ||
	    t->level < want));
	assert(t->is_damaged || !t->is_held);
	t->is_loading = false;
	cond_broadcast(&t->loaded);
	lock_give(&t->lck);
	load_fini(&l);
	*lsn_r = l.lsn;
	return (err);
}
