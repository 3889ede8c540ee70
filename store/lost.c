#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bsd/string.h>

#include "document.h"
#include "load.h"
#include "log.h"
#include "quarantine.h"
#include "record.h"
#include "recover_internal.h"
#include "store_internal.h"
#include "sys.h"

/* --- what is noted while the journal is read ---------------------------- */

int
lost_gap(struct recovery *v, struct conversation *c, const struct record *r)
{
	struct gap *gaps;

	log_errx("journal: tenant %s: %s: version %" PRIu64 " follows %"
	    PRIu64 ": changes are missing", c->tenant->name, c->id, r->version,
	    c->version);
	gaps = reallocarray(v->gaps, v->ngaps + 1, sizeof(*gaps));
	if (gaps == NULL)
		return (-1);
	v->gaps = gaps;
	v->gaps[v->ngaps++] = (struct gap){ c, r->version };
	v->left_out = true;
	c->is_damaged = true;
	tenant_unlist(c->tenant, c);
	return (0);
}

void
lost_gap_forget(struct recovery *v, const struct conversation *c)
{
	size_t i, n = 0;

	for (i = 0; i < v->ngaps; i++)
		if (v->gaps[i].conversation != c)
			v->gaps[n++] = v->gaps[i];
	v->ngaps = n;
}

void
lost_gap_tell(struct recovery *v, const struct conversation *c)
{
	const bool is_copy = v->report.is_copy;
	char lost[ID_SIZE + TENANT_NAME_MAX + 100];
	char name[DOCUMENT_NAME], label[QUARANTINE_LABEL];

	document_name(c->id, name);
	load_label(c->tenant, name, label);
	if (v->store->o.strict_recovery &&
	    quarantine_has(v->store, label) == 1)
		return;
	(void)snprintf(lost, sizeof(lost), "conversation %s of tenant %s "
	    "behind its version %" PRIu64, c->id, c->tenant->name,
	    c->version);
	problem_note_of(v->store, is_copy ? LOG_LEVEL_WARN :
	    LOG_LEVEL_ERROR, c->tenant->name, c->id, is_copy ? NULL : lost,
	    "tenant %s: %s: what follows version %" PRIu64 " is missing",
	    c->tenant->name, c->id, c->version);
}

static int
orphan_cmp(const struct orphan *a, const struct orphan *b)
{
	int cmp = strcmp(a->tenant, b->tenant);

	return (cmp != 0 ? cmp : strcmp(a->what, b->what));
}
RB_PROTOTYPE(orphans, orphan, node, orphan_cmp)
RB_GENERATE(orphans, orphan, node, orphan_cmp)

static struct orphan
orphan_of(const struct record *r, const char *what)
{
	struct orphan o = { 0 };

	strlcpy(o.tenant, r->tenant, sizeof(o.tenant));
	strlcpy(o.what, what, sizeof(o.what));
	return (o);
}

int
lost_orphan(struct recovery *v, const struct record *r, const char *what)
{
	struct orphan key = orphan_of(r, what), *o;

	if (RB_FIND(orphans, &v->orphans, &key) != NULL)
		return (0);
	if ((o = malloc(sizeof(*o))) == NULL)
		return (-1);
	*o = key;
	o->is_copy = v->report.is_copy;
	o->lsn = r->lsn;
	RB_INSERT(orphans, &v->orphans, o);
	return (0);
}

/*
 * The record deletes it, or makes it anew: nothing is missing.  Its creation
 * may have gone with the journal and its tombstone with time, while a segment
 * that is written still, or was kept anew by a start, holds what lies between.
 */
void
lost_orphan_forget(struct recovery *v, const struct record *r,
    const char *what)
{
	struct orphan key = orphan_of(r, what), *o;

	if ((o = RB_FIND(orphans, &v->orphans, &key)) == NULL)
		return;
	RB_REMOVE(orphans, &v->orphans, o);
	free(o);
}

void
lost_tell(struct recovery *v)
{
	char lost[ID_SIZE + TENANT_NAME_MAX + 100];
	struct orphan *o;

	while ((o = RB_MIN(orphans, &v->orphans)) != NULL) {
		(void)snprintf(lost, sizeof(lost), "tenant %s, %s", o->tenant,
		    o->what);
		problem_note_of(v->store, o->is_copy ? LOG_LEVEL_WARN :
		    LOG_LEVEL_ERROR, o->tenant, NULL, o->is_copy ? NULL : lost,
		    "tenant %s: %s has neither a document nor a creation: its "
		    "changes are left out", o->tenant, o->what);
		RB_REMOVE(orphans, &v->orphans, o);
		free(o);
	}
}

/* --- what is set aside -------------------------------------------------- */

/*
 * Set aside what there is of a conversation with a gap, so that it stays
 * damaged when the journal has gone: what could be read of it, and its
 * document, which is older.
 */
static int
set_aside(struct store *s, const struct gap *g)
{
	struct conversation *c = g->conversation;
	struct buf b = BUF_INITIALIZER;
	char name[DOCUMENT_NAME], label[QUARANTINE_LABEL], why[128];
	struct stat st;
	int fd;

	(void)snprintf(why, sizeof(why), "the journal lost what is between its "
	    "versions %" PRIu64 " and %" PRIu64, c->version, g->version);
	document_name(c->id, name);
	load_label(c->tenant, name, label);
	/* Each start comes here as long as the journal has the gap. */
	if (flush_is_marked(s->flush, &c->dirty) &&
	    quarantine_has(s, label) == 0) {
		lock_take(&c->lck);
		document_conversation(c, s->id, &b);
		lock_give(&c->lck);
		if (!buf_ok(&b)) {
			buf_fini(&b);
			errno = ENOMEM;
			return (-1);
		}
		quarantine_bytes(s, label, b.data, b.len, why);
		buf_fini(&b);
	}
	if ((fd = load_folder(c->tenant, "conversations")) == -1)
		return (errno == ENOENT ? 0 : -1);
	if (sys->fstatat(fd, name, &st, 0) == 0)
		quarantine_move(s, fd, name, label, why);
	(void)sys->close(fd);
	return (0);
}

/* For the day when somebody looks for it: what the journal has of it. */
static void
keep_segments(struct recovery *v, uint64_t from)
{
	size_t i;

	for (i = 0; i < v->n; i++)
		if (v->v[i].name[0] != '\0' && v->v[i].report.last >= from)
			quarantine_link(v->store, v->store->journalfd,
			    v->v[i].name, v->v[i].name,
			    "it holds changes of what is damaged");
}

/*
 * Its creation is lost, so it is damaged and not unknown.  In a copy the hole
 * is the copying, and what began behind it is left out.  Returns 0, or -1: no
 * memory.
 */
static int
adopt_orphan(struct recovery *v, const struct orphan *o)
{
	static const char why[] = "the journal lost its creation";
	struct store *s = v->store;
	struct tenant *t = store_find(s, o->tenant, strlen(o->tenant));
	char name[DOCUMENT_NAME], label[QUARANTINE_LABEL];
	struct conversation *c;

	if (t == NULL || o->is_copy || !id_is_valid(o->what, strlen(o->what)))
		return (0);
	if ((c = load_stand_in(t, o->what)) == NULL)
		return (-1);
	keep_segments(v, o->lsn);
	document_name(c->id, name);
	load_label(t, name, label);
	if (quarantine_has(s, label) == 0)
		quarantine_bytes(s, label, why, sizeof(why) - 1, why);
	lock_take(&t->lck);
	tenant_insert(t, c);
	lock_give(&t->lck);
	return (0);
}

int
lost_set_aside(struct recovery *v)
{
	struct orphan *o;
	size_t i;

	for (i = 0; i < v->ngaps; i++)
		if (v->gaps[i].conversation->is_damaged &&
		    set_aside(v->store, &v->gaps[i]) == -1) {
			log_err("journal: set aside what has gaps");
			return (-1);
		}
	if (v->store->o.read_only)
		return (0);
	RB_FOREACH(o, orphans, &v->orphans)
		if (adopt_orphan(v, o) == -1) {
			log_err("journal: %s", o->what);
			return (-1);
		}
	return (0);
}
