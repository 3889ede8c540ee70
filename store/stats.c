#include <bsd/string.h>

#include <stdlib.h>
#include <string.h>

#include "store_internal.h"

/*
 * The tenants as they are now (new), *n_r of them: they stay, so that they are
 * looked at one by one without holding up who looks for another.  NULL: no
 * memory.
 */
static struct tenant **
all_tenants(struct store *s, size_t *n_r)
{
	struct tenant **v, *t;
	size_t n = 0;

	lock_take(&s->tenants_lck);
	if ((v = calloc(s->ntenants + 1, sizeof(struct tenant *))) != NULL)
		RB_FOREACH(t, tenant_names, &s->tenants)
			v[n++] = t;
	lock_give(&s->tenants_lck);
	*n_r = n;
	return (v);
}

static void
count_tenants(struct store *s, struct store_stats *st)
{
	struct tenant **v;
	size_t i, n;

	if ((v = all_tenants(s, &n)) == NULL)
		return;
	for (i = 0; i < n; i++) {
		if (store_knows(s, v[i]))
			st->tenants++;
		if (tenant_is_loaded(v[i]))
			st->tenants_open++;
	}
	free(v);
}

static void
read_journal(struct store *s, struct store_stats *st)
{
	struct journal_stats js;

	journal_stats(s->journal, &js);
	st->lsn = journal_next(s->journal) - 1;
	st->error = journal_error(s->journal);
	st->hangs = st->error == 0 && journal_hangs(s->journal);
	st->segments = js.segments;
	_Static_assert(sizeof(js.open) <= sizeof(st->open_segment),
	    "a name is never cut");
	strlcpy(st->open_segment, js.open, sizeof(st->open_segment));
	st->records = js.records;
	st->batches = js.batches;
	st->bytes = js.bytes;
	st->reserve_error = js.reserve_error;
	st->sync_us = js.sync_us;
	st->batch_records = js.batch_records;
	st->kept_bytes = js.kept_bytes;
	st->kept_ms = js.oldest_ms;
	st->pending_ms = js.pending_ms;
	/* Until the first flush has said how long, it is as configured. */
	st->copy_ms = js.keep_ms < s->o.keep_ms ? js.keep_ms : s->o.keep_ms;
}

static void
read_flush(struct store *s, struct store_stats *st)
{
	struct flush_stats fs;

	flush_stats(s->flush, &fs);
	st->dirty = fs.dirty;
	st->flush_ms = fs.duration_ms;
	st->flush_failed = fs.failed;
	st->failing = fs.failing;
	st->written = fs.written;
	st->lag_ms = fs.lag_ms;
}

void
store_stats(struct store *s, struct store_stats *st)
{

	memset(st, 0, sizeof(*st));
	strlcpy(st->store_id, s->id, sizeof(st->store_id));
	st->lsn = s->read_lsn;
	st->segments = s->read_segments;
	if (!s->o.read_only)
		read_journal(s, st);
	st->durable = store_durable(s);
	read_flush(s, st);
	st->conversations = atomic_load(&s->nconversations);
	st->quarantined = atomic_load(&s->nquarantined);
	count_tenants(s, st);
}

/* --- sizes -------------------------------------------------------------- */

/* Returns false if there is nothing of it in memory. */
static bool
size_of(struct tenant *t, struct tenant_size *size)
{
	bool is_there;

	lock_take(&t->lck);
	is_there = t->exists && t->level == TENANT_LOADED;
	strlcpy(size->name, t->name, sizeof(size->name));
	size->conversations = t->nconversations;
	size->items = t->nitems;
	size->bytes = t->nbytes;
	lock_give(&t->lck);
	return (is_there);
}

static void
add_size(struct tenant_size *to, const struct tenant_size *from)
{

	to->conversations += from->conversations;
	to->items += from->items;
	to->bytes += from->bytes;
}

/* Put size where it belongs among the n of v; what has no place any more, or
 * never had, goes to rest.  Returns how many stand in v now. */
static size_t
rank_size(struct tenant_size *v, size_t n, size_t max,
    const struct tenant_size *size, struct tenant_size *rest)
{
	size_t i;

	if (n == max && (n == 0 || size->bytes <= v[n - 1].bytes)) {
		add_size(rest, size);
		return (n);
	}
	if (n == max)
		add_size(rest, &v[--n]);
	for (i = n; i > 0 && v[i - 1].bytes < size->bytes; i--)
		v[i] = v[i - 1];
	v[i] = *size;
	return (n + 1);
}

ssize_t
store_tenant_sizes(struct store *s, struct tenant_size *v, size_t max,
    struct tenant_size *rest_r)
{
	struct tenant_size size;
	struct tenant **all;
	size_t i, n, nv = 0;

	memset(rest_r, 0, sizeof(*rest_r));
	if ((all = all_tenants(s, &n)) == NULL)
		return (-1);
	for (i = 0; i < n; i++)
		if (size_of(all[i], &size))
			nv = rank_size(v, nv, max, &size, rest_r);
	free(all);
	return ((ssize_t)nv);
}
