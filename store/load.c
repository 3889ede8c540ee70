#include <bsd/string.h>

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "atomicfile.h"
#include "document.h"
#include "load.h"
#include "log.h"
#include "store_internal.h"
#include "sys.h"

/* What a load brings together before others may see it. */
struct load {
	struct tenant	*tenant;
	int		 fd;		/* of the folder being read */
	struct conversation **v;	/* owned */
	size_t		 n;
	size_t		 size;
	uint64_t	 lsn;		/* highest found */
	enum store_err	 err;
};

/* --- quarantine --------------------------------------------------------- */

void
load_quarantine(struct store *s, int dirfd, const char *name,
    const char *label, const char *why)
{
	struct buf b = BUF_INITIALIZER;
	char aside[256], whyname[264];

	(void)snprintf(aside, sizeof(aside), "%s.%" PRId64, label,
	    sys_now_ms());
	(void)snprintf(whyname, sizeof(whyname), "%s.why", aside);
	log_errx("%s is set aside as quarantine/%s: %s", label, aside, why);
	buf_addf(&b, "%s: %s\n", label, why);
	if (!buf_ok(&b) || atomicfile_write(s->quarantinefd, whyname, b.data,
	    b.len) == -1)
		log_warn("quarantine/%s", whyname);
	buf_fini(&b);
	if (sys->renameat(dirfd, name, s->quarantinefd, aside) == -1 ||
	    atomicfile_sync(s->quarantinefd) == -1 ||
	    atomicfile_sync(dirfd) == -1)
		log_warn("quarantine/%s", aside);
	atomic_fetch_add(&s->nquarantined, 1);
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

/* One that holds nothing but says that it is damaged. */
static struct conversation *
damaged_new(struct tenant *t, const char *id)
{
	struct conversation *c;
	char birth[BIRTH_SIZE];

	id_mint_short(birth);
	if ((c = conversation_new(t, id, birth, NULL, 0, 0)) != NULL)
		c->is_damaged = true;
	return (c);
}

/* The id in "ID.json"; false for any other name. */
static bool
name_to_id(const char *name, char id[ID_SIZE])
{
	size_t len = strlen(name);

	if (len <= 5 || len - 5 > ID_MAX || strcmp(name + len - 5, ".json") != 0)
		return (false);
	memcpy(id, name, len - 5);
	id[len - 5] = '\0';
	return (id_is_valid(id, len - 5));
}

static enum store_err
load_bad(struct load *l, const char *name, const char *id, const char *why,
    struct conversation **c_r)
{
	char label[TENANT_NAME_MAX + ID_SIZE + 16];

	(void)snprintf(label, sizeof(label), "%s.%s", l->tenant->name, name);
	load_quarantine(l->tenant->store, l->fd, name, label, why);
	*c_r = damaged_new(l->tenant, id);
	return (*c_r != NULL ? STORE_OK : STORE_NOMEM);
}

static enum store_err
load_conversation(struct load *l, const char *name, const char *id)
{
	struct conversation *c = NULL;
	enum document_state state;
	enum store_err err = STORE_OK;
	const char *why;
	char *data;
	size_t len;

	if (sys_readfile(l->fd, name, DOCUMENT_MAX, &data, &len) == -1) {
		log_warn("tenant %s: read %s", l->tenant->name, name);
		return (errno == ENOMEM ? STORE_NOMEM : STORE_SICK);
	}
	state = document_read_conversation(l->tenant, id, data, len, &c, &why);
	free(data);
	if (state == DOCUMENT_NOMEM)
		return (STORE_NOMEM);
	if (state == DOCUMENT_BAD)
		err = load_bad(l, name, id, why, &c);
	if (err == STORE_OK && !load_add(l, c)) {
		conversation_free(c);
		err = STORE_NOMEM;
	}
	return (err);
}

static int
visit_conversation(const char *name, void *arg)
{
	struct load *l = arg;
	char id[ID_SIZE];

	if (atomicfile_is_temporary(name)) {
		/* What a crash left; it was never the truth. */
		if (sys->unlinkat(l->fd, name, 0) == -1)
			log_warn("tenant %s: unlink %s", l->tenant->name, name);
		return (0);
	}
	if (!name_to_id(name, id)) {
		log_warnx("tenant %s: %s is no document and is left alone",
		    l->tenant->name, name);
		return (0);
	}
	l->err = load_conversation(l, name, id);
	return (l->err != STORE_OK);
}

/* --- idempotency records ------------------------------------------------ */

static int
cmp_name(const void *a, const void *b)
{

	return (strcmp(*(char *const *)a, *(char *const *)b));
}

struct names {
	char	**v;
	size_t	  n;
};

static int
visit_name(const char *name, void *arg)
{
	struct names *l = arg;
	char **v;

	if (strlen(name) != ONCE_NAME - 1)
		return (0);
	if ((v = reallocarray(l->v, l->n + 1, sizeof(*v))) == NULL)
		return (1);
	l->v = v;
	if ((l->v[l->n] = strdup(name)) == NULL)
		return (1);
	l->n++;
	return (0);
}

/* One file of once/; its tenant's lock is taken for the table. */
static enum store_err
load_once_file(struct load *l, const char *name)
{
	struct tenant *t = l->tenant;
	enum document_state state;
	const char *why;
	char label[TENANT_NAME_MAX + ONCE_NAME + 16];
	char *data;
	size_t len;

	if (sys_readfile(l->fd, name, DOCUMENT_MAX, &data, &len) == -1) {
		log_warn("tenant %s: read once/%s", t->name, name);
		return (errno == ENOMEM ? STORE_NOMEM : STORE_SICK);
	}
	lock_take(&t->lck);
	state = document_read_once(t, data, len, &why);
	lock_give(&t->lck);
	free(data);
	if (state == DOCUMENT_BAD) {
		(void)snprintf(label, sizeof(label), "%s.once.%s", t->name,
		    name);
		load_quarantine(t->store, l->fd, name, label, why);
	}
	return (state == DOCUMENT_NOMEM ? STORE_NOMEM : STORE_OK);
}

/* In order of time, which is that of the names. */
static enum store_err
load_once(struct load *l)
{
	struct names names = { NULL, 0 };
	enum store_err err = STORE_OK;
	size_t i;

	switch (sys_eachname(l->fd, visit_name, &names)) {
	case 0:
		break;
	case 1:
		err = STORE_NOMEM;
		break;
	default:
		log_warn("tenant %s: list once", l->tenant->name);
		err = STORE_SICK;
	}
	if (names.n > 0)
		qsort(names.v, names.n, sizeof(*names.v), cmp_name);
	for (i = 0; i < names.n; i++) {
		if (err == STORE_OK)
			err = load_once_file(l, names.v[i]);
		free(names.v[i]);
	}
	free(names.v);
	return (err);
}

/* --- the levels --------------------------------------------------------- */

/*
 * Open a folder of the tenant's; "." is its own.  Returns 1, 0 if it is not
 * there, -1 logged.
 */
static int
open_folder(struct load *l, const char *sub)
{
	char path[TENANT_NAME_MAX + 32];

	(void)snprintf(path, sizeof(path), "%s/%s", l->tenant->name, sub);
	l->fd = sys->openat(l->tenant->store->tenantsfd, path,
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (l->fd != -1)
		return (1);
	if (errno == ENOENT)
		return (0);
	log_warn("open tenants/%s", path);
	return (-1);
}

static void
close_folder(struct load *l)
{

	if (l->fd != -1)
		(void)sys->close(l->fd);
	l->fd = -1;
}

/*
 * Read tenant.json.  Without one the tenant does not exist: its creation may
 * still be in the journal, or a crash came before it was durable.
 */
static enum store_err
load_open(struct load *l)
{
	struct tenant *t = l->tenant;
	enum document_state state = DOCUMENT_OK;
	const char *why;
	char label[TENANT_NAME_MAX + 16];
	char *data;
	size_t len;

	if (sys_readfile(l->fd, "tenant.json", DOCUMENT_MAX, &data,
	    &len) == -1) {
		if (errno == ENOENT)
			return (STORE_OK);
		log_warn("tenant %s: read tenant.json", t->name);
		return (errno == ENOMEM ? STORE_NOMEM : STORE_SICK);
	}
	lock_take(&t->lck);
	state = document_read_tenant(t, data, len, &why);
	l->lsn = t->lsn;
	lock_give(&t->lck);
	explicit_bzero(data, len);
	free(data);
	if (state == DOCUMENT_NOMEM)
		return (STORE_NOMEM);
	if (state == DOCUMENT_OK)
		return (STORE_OK);
	(void)snprintf(label, sizeof(label), "%s.tenant.json", t->name);
	load_quarantine(t->store, l->fd, "tenant.json", label, why);
	return (STORE_DAMAGED);
}

static enum store_err
load_all(struct load *l)
{
	enum store_err err = STORE_OK;
	int there;

	if ((there = open_folder(l, "conversations")) == -1)
		return (STORE_SICK);
	if (there == 1) {
		l->err = STORE_OK;
		if (sys_eachname(l->fd, visit_conversation, l) == -1) {
			log_warn("tenant %s: list conversations",
			    l->tenant->name);
			l->err = STORE_SICK;
		}
		close_folder(l);
		err = l->err;
	}
	if (err != STORE_OK)
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

/* Let what was loaded be found; the tenant's lock is held. */
static void
publish(struct load *l)
{
	size_t i;

	/* Tombstones must come oldest first. */
	if (l->n > 0)
		qsort(l->v, l->n, sizeof(*l->v), cmp_deleted);
	for (i = 0; i < l->n; i++)
		tenant_insert(l->tenant, l->v[i]);
	l->n = 0;
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
	err = load_open(l);
	close_folder(l);
	return (err);
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
	while (err == STORE_OK && t->level < want) {
		if (t->is_damaged) {
			err = STORE_DAMAGED;
			break;
		}
		next = t->level + 1;
		lock_give(&t->lck);
		err = load_level(&l, next);
		lock_take(&t->lck);
		if (err == STORE_OK) {
			publish(&l);
			t->level = next;
		} else if (err == STORE_DAMAGED)
			t->is_damaged = true;
	}
	t->is_loading = false;
	cond_broadcast(&t->loaded);
	lock_give(&t->lck);
	load_fini(&l);
	*lsn_r = l.lsn;
	return (err);
}
