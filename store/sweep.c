#include <errno.h>
#include <string.h>

#include "document.h"
#include "load.h"
#include "import.h"
#include "log.h"
#include "store_internal.h"
#include "sweep.h"
#include "sys.h"

/* How often the files of once/ are looked at. */
#define ONCE_SWEEP_MS	(60 * 60 * INT64_C(1000))

/*
 * Take the tenant's oldest tombstone out, if its time has come and nobody
 * holds or still writes it.  Returns it, or NULL.
 */
static struct conversation *
take_tomb(struct tenant *t, int64_t before)
{
	struct conversation *c;
	int64_t deleted_at = INT64_MAX;

	lock_take(&t->lck);
	if ((c = TAILQ_FIRST(&t->tombs)) != NULL) {
		lock_take(&c->lck);
		deleted_at = c->deleted_at;
		lock_give(&c->lck);
	}
	if (deleted_at >= before || atomic_load(&c->refs) > 0 ||
	    flush_is_marked(t->store->flush, &c->dirty))
		c = NULL;
	if (c != NULL)
		tenant_remove(t, c);
	lock_give(&t->lck);
	return (c);
}

static void
sweep_tombs(struct tenant *t, int64_t before)
{
	struct conversation *c;
	char name[DOCUMENT_NAME], label[QUARANTINE_LABEL];
	int fd = -1;

	while ((c = take_tomb(t, before)) != NULL) {
		if (fd == -1)
			fd = load_folder(t, "conversations");
		document_name(c->id, name);
		load_label(t, name, label);
		/* One that stays is loaded as a tombstone and swept then. */
		if (fd == -1 || quarantine_release(t->store, label) == -1 ||
		    (sys->unlinkat(fd, name, 0) == -1 && errno != ENOENT))
			log_warn("sweep: tenant %s: unlink %s", t->name, name);
		conversation_free(c);
	}
	if (fd != -1)
		(void)sys->close(fd);
}

/* The names of the files of once/ order by time. */
struct old_once {
	int	 fd;
	char	 keep_from[ONCE_NAME];
};

static int
unlink_old(const char *name, void *arg)
{
	const struct old_once *o = arg;

	if (document_is_once(name) && strcmp(name, o->keep_from) < 0 &&
	    sys->unlinkat(o->fd, name, 0) == -1)
		log_warn("sweep: unlink once/%s", name);
	return (0);
}

static void
sweep_once(struct tenant *t, int64_t now)
{
	struct old_once o;

	if ((o.fd = load_folder(t, "once")) == -1)
		return;
	(void)document_once_name(now - ONCE_KEEP_MS, o.keep_from);
	if (sys_eachname(o.fd, unlink_old, &o) == -1)
		log_warn("sweep: tenant %s: list once", t->name);
	(void)sys->close(o.fd);
}

/* The tenant behind t in order of name; the first for NULL. */
static struct tenant *
next_tenant(struct store *s, struct tenant *t)
{

	lock_take(&s->tenants_lck);
	t = t == NULL ? RB_MIN(tenant_names, &s->tenants) :
	    RB_NEXT(tenant_names, &s->tenants, t);
	lock_give(&s->tenants_lck);
	return (t);
}

void
sweep(struct store *s)
{
	struct tenant *t = NULL;
	int64_t now = sys_now_ms();
	bool is_due;

	while ((t = next_tenant(s, t)) != NULL) {
		if (!tenant_is_loaded(t))
			continue;
		sweep_tombs(t, now - 2 * s->o.keep_ms);
		import_sweep(t, now - IMPORT_WAIT_MS);
		lock_take(&t->lck);
		is_due = now - t->once_swept > ONCE_SWEEP_MS;
		if (is_due)
			t->once_swept = now;
		lock_give(&t->lck);
		if (is_due)
			sweep_once(t, now);
	}
}
