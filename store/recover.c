#include <bsd/string.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load.h"
#include "log.h"
#include "quarantine.h"
#include "readonly.h"
#include "recover.h"
#include "recover_internal.h"
#include "store_internal.h"
#include "stray.h"
#include "sys.h"

/* --- batches and segments ----------------------------------------------- */

/* Call visit for each line with its lsn; the first that is not 0 ends it. */
static int
each_line(struct span records, uint64_t lsn,
    int (*visit)(struct recovery *, struct span, uint64_t),
    struct recovery *v)
{
	const char *p = records.p, *end = p + records.len, *nl;
	int rc;

	for (; p < end; p = nl + 1, lsn++) {
		if ((nl = memchr(p, '\n', (size_t)(end - p))) == NULL)
			break;
		if ((rc = visit(v, (struct span){ p, (size_t)(nl - p) },
		    lsn)) != 0)
			return (rc);
	}
	return (0);
}

static int
visit_batch(const struct segment_batch *b, void *arg)
{
	struct recovery *v = arg;
	uint64_t last = b->lsn + b->count - 1;

	if (v->report.damaged > 0 && v->bad_lsn == 0)
		v->bad_lsn = b->lsn;
	if (b->durable > v->durable)
		v->durable = b->durable;
	if (b->at > v->at)
		v->at = b->at;
	if (last > v->max)
		v->max = last;
	if (last >= v->tail_last) {
		buf_clear(&v->tail);
		buf_add(&v->tail, b->records.p, b->records.len);
		v->tail_first = b->lsn;
		v->tail_last = last;
		if (!buf_ok(&v->tail)) {
			v->is_failed = true;
			log_errx("journal: out of memory");
			return (-1);
		}
	}
	v->is_failed = each_line(b->records, b->lsn, replay_record, v) != 0;
	return (v->is_failed ? -1 : 0);
}

/*
 * The start is refused: the changes in it could be had, if somebody saw to
 * that, and without them each conversation would go on from an older state.
 */
static int
refuse_segment(struct recovery *v)
{
	char what[128];

	if (errno == ENOTSUP) {
		(void)snprintf(what, sizeof(what), "it was written by a newer "
		    "rememberd: format %" PRIu64 ", this one reads up to %d",
		    v->report.format, SEGMENT_FORMAT);
		if (!v->store->o.read_only) {
			log_errx("%s: %s", v->file, what);
			return (-1);
		}
		problem_note(v->store, LOG_LEVEL_ERROR, v->file,
		    "changes in it that stand in no document", "%s", what);
		return (0);
	}
	if (readonly_passes(v->store, v->file,
	    "changes in it that stand in no document"))
		return (0);
	log_err("%s", v->file);
	return (-1);
}

/* It could not be read: set aside, passed over (0), or not now (-1). */
static int
unreadable_segment(struct recovery *v, struct found *f)
{
	struct store *s = v->store;
	char why[128];

	if (v->is_failed) {
		log_err("%s", v->file);
		return (-1);
	}
	/* Whatever else is none moves aside. */
	if (errno != EBADMSG && !sys_is_no_file(errno))
		return (refuse_segment(v));
	if (v->report.unreadable > 0)
		(void)snprintf(why, sizeof(why), "the disk does not give its "
		    "header");
	else
		(void)snprintf(why, sizeof(why), "it is no journal segment of "
		    "this store");
	if (quarantine_move(s, s->journalfd, f->name, f->name, why) == -1)
		return (-1);
	f->name[0] = '\0';
	return (0);
}

/* Say what was found in it, and keep what somebody may want to look at. */
static void
explain_segment(struct recovery *v, const struct found *f)
{
	const struct segment_report *report = &v->report;
	struct store *s = v->store;
	char why[128];

	if (report->unreadable > 0) {
		(void)snprintf(why, sizeof(why), "the disk does not give %zu "
		    "bytes of it; what can be read is applied",
		    report->unreadable);
		quarantine_link(s, s->journalfd, f->name, f->name, why);
		return;
	}
	/* A daemon may be writing it: who only reads says nothing. */
	if (report->is_torn && !s->o.read_only)
		log_info("%s: a torn batch at its end, never acknowledged, is "
		    "left out", v->file);
	if (report->damaged > 0 && report->is_copy) {
		/* It is not kept: what repeats it may have to be. */
		v->run_first = v->run_last = 0;
		problem_note(s, LOG_LEVEL_WARN, v->file, NULL, "holes in a "
		    "copied segment: what they cut off is left out");
	} else if (report->damaged > 0) {
		(void)snprintf(why, sizeof(why), "it has damaged places, the "
		    "first before change %" PRIu64 "; what can be read is "
		    "applied", v->bad_lsn);
		quarantine_link(s, s->journalfd, f->name, f->name, why);
	} else if (v->left_out && !s->o.read_only)
		/* For the day when the document is put back. */
		quarantine_link(s, s->journalfd, f->name, f->name,
		    "it holds changes of what is damaged");
}

static int
replay_segment(struct recovery *v, struct found *f)
{

	v->left_out = false;
	v->bad_lsn = 0;
	(void)snprintf(v->file, sizeof(v->file), "journal/%s", f->name);
	if (segment_read(v->store->journalfd, f->name, v->store->id,
	    visit_batch, v, &v->report) != 0)
		return (unreadable_segment(v, f));
	explain_segment(v, f);
	f->report = v->report;
	return (0);
}

/*
 * A name was given out, whatever became of the records: no number below it
 * is given again.
 */
static int
visit_label(const char *label, void *arg)
{
	struct recovery *v = arg;
	uint64_t first;

	if (segment_parse(label, &first) && first > v->max + 1)
		v->max = first - 1;
	return (0);
}

static int
visit_segment(const char *name, void *arg)
{
	struct recovery *v = arg;
	struct found *f;
	uint64_t first;

	if (!segment_parse(name, &first)) {
		stray_note(v->store, "journal", name);
		return (0);
	}
	if ((f = reallocarray(v->v, v->n + 1, sizeof(*f))) == NULL)
		return (-1);
	v->v = f;
	memset(&f[v->n], 0, sizeof(*f));
	strlcpy(f[v->n++].name, name, sizeof(f->name));
	return (0);
}

static int
cmp_found(const void *a, const void *b)
{

	return (strcmp(((const struct found *)a)->name,
	    ((const struct found *)b)->name));
}

static int
replay(struct recovery *v)
{
	struct store *s = v->store;
	size_t i;

	load_clean(s, s->journalfd);
	if (readonly_each(s, s->journalfd, visit_segment, v) != 0 &&
	    !readonly_passes(s, "journal", "every change that stands in no "
	    "document")) {
		log_err("list journal");
		return (-1);
	}
	if (quarantine_each(s, visit_label, v) == -1 &&
	    !readonly_passes(s, "quarantine", NULL)) {
		log_err("list quarantine");
		return (-1);
	}
	if (v->n > 0)
		qsort(v->v, v->n, sizeof(*v->v), cmp_found);
	for (i = 0; i < v->n; i++) {
		(void)visit_label(v->v[i].name, v);
		if (replay_segment(v, &v->v[i]) == -1)
			return (-1);
	}
	return (0);
}

/* --- the fresh segment -------------------------------------------------- */

static int
append_line(struct recovery *v, struct span line, uint64_t lsn)
{
	struct iovec iov[2] = {
		{ (void *)(uintptr_t)line.p, line.len },
		{ (void *)(uintptr_t)"\n", 1 },
	};
	uint64_t got;

	if (journal_append(v->store->journal, iov, 2, &got) == -1)
		return (-1);
	if (got != lsn) {
		errno = EINVAL;
		return (-1);
	}
	return (0);
}

/*
 * Take over a segment that was found.  A spare that a crash left behind holds
 * nothing and is removed; what its name says of numbers is known by now.
 */
static int
adopt(struct recovery *v, const struct found *f)
{
	struct store *s = v->store;

	if (f->name[0] == '\0')
		return (0);
	if (f->report.used == SEGMENT_HEADER && !f->report.is_torn &&
	    f->report.unreadable == 0) {
		if (sys->unlinkat(s->journalfd, f->name, 0) == 0)
			return (0);
		log_warn("remove journal/%s", f->name);
	}
	return (journal_adopt(s->journal, f->name, &f->report));
}

/*
 * There is no room for a fresh segment.  None of those that were found is
 * written again: give back what each did not use, of a spare all but its
 * header.  Their names stay, and tell the next start of numbers if this one
 * fails.  Returns whether there was anything to give.  Keeps errno.
 */
static bool
make_room(struct recovery *v)
{
	struct store *s = v->store;
	bool is_made = false;
	int error = errno;
	struct found *f;
	size_t i;

	for (i = 0; i < v->n; i++) {
		f = &v->v[i];
		if (f->name[0] == '\0')
			continue;
		switch (segment_trim(s->journalfd, f->name, &f->report)) {
		case 1:
			is_made = true;
			break;
		case -1:
			log_warn("trim journal/%s", f->name);
			break;
		}
	}
	if (is_made)
		log_warnx("journal: no room for a fresh segment: what earlier "
		    "ones did not use is given back");
	errno = error;
	return (is_made);
}

/* A full disk keeps it from starting: what can be done about it? */
static void
log_failure(const struct store *s)
{
	if (store_err_of(errno) == STORE_FULL)
		log_err("journal: no room for a fresh segment; make some on "
		    "the disk of %s, outside of it", s->o.dir);
	else
		log_err("journal");
}

static int
open_journal(struct recovery *v)
{
	struct store *s = v->store;
	/* What a copy's hole cut off must not stand behind the hole's end. */
	const bool has_tail = v->tail.len > 0 && v->tail_last > v->durable &&
	    !v->has_hole;
	struct journal_options o = {
		.store_id = s->id,
		.next = has_tail ? v->tail_first : v->max + 1,
		.segment_size = s->o.journal_segment,
		.batch_max = STORE_BATCH_MAX,
		.reserve = s->o.disk_reserve,
	};
	size_t i;
	int rc;

	if (s->o.read_only) {
		s->read_lsn = v->max;
		s->read_segments = v->n;
		return (0);
	}
	rc = journal_open(s->journalfd, &o, &s->journal);
	if (rc == -1 && store_err_of(errno) == STORE_FULL && make_room(v))
		rc = journal_open(s->journalfd, &o, &s->journal);
	if (rc == -1)
		goto failed;
	for (i = 0; i < v->n; i++)
		if (adopt(v, &v->v[i]) == -1)
			goto failed;
	if (has_tail) {
		struct span tail = { v->tail.data, v->tail.len };

		if (each_line(tail, v->tail_first, append_line, v) == -1 ||
		    journal_wait(s->journal, v->tail_last) == -1)
			goto failed;
	}
	journal_raise(s->journal, v->max);
	return (0);

failed:
	log_failure(s);
	return (-1);
}

/* --- tenants ------------------------------------------------------------ */

static int
visit_tenant(const char *name, void *arg)
{
	struct recovery *v = arg;
	struct stray *stray;

	if (!id_is_tenant(name, strlen(name)))
		stray_note(v->store, "tenants", name);
	else if (stray_is_tenant(v->store, name))
		return (store_add(v->store, name, TENANT_NAMED) != NULL ? 0 :
		    1);
	else if ((stray = calloc(1, sizeof(*stray))) == NULL)
		return (1);
	else {
		strlcpy(stray->name, name, sizeof(stray->name));
		SLIST_INSERT_HEAD(&v->strays, stray, link);
	}
	return (0);
}

/* If the journal does not know them, either, they are none; and free them. */
static void
end_strays(struct recovery *v, bool is_read)
{
	struct stray *stray;

	while ((stray = SLIST_FIRST(&v->strays)) != NULL) {
		if (is_read && store_find(v->store, stray->name,
		    strlen(stray->name)) == NULL)
			stray_note(v->store, "tenants", stray->name);
		SLIST_REMOVE_HEAD(&v->strays, link);
		free(stray);
	}
}

int
recover(struct store *s)
{
	struct recovery v = { .store = s, .orphans = RB_INITIALIZER(NULL),
		.strays = SLIST_HEAD_INITIALIZER(v.strays) };
	int rc = -1;

	if (readonly_each(s, s->tenantsfd, visit_tenant, &v) != 0 &&
	    !readonly_passes(s, "tenants", "every document")) {
		log_err("list tenants");
		end_strays(&v, false);
		return (-1);
	}
	stray_tell(s);
	if (replay(&v) == 0 && lost_set_aside(&v) == 0 &&
	    open_journal(&v) == 0) {
		/* One that was idle changed nothing, but it was there. */
		if (s->alive_at > v.at)
			v.at = s->alive_at;
		if (v.at != 0 && v.at < s->started_at)
			s->down_ms = s->started_at - v.at;
		if (v.applied > 0)
			log_info("replayed %" PRIu64 " changes of %zu "
			    "segments up to %" PRIu64, v.applied, v.n, v.max);
		rc = 0;
	}
	lost_tell(&v);
	end_strays(&v, rc == 0);
	buf_fini(&v.tail);
	free(v.gaps);
	free(v.v);
	return (rc);
}
