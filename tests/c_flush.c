/*
 * store/flush and store/sweep: what changed is written and nothing else, what
 * could not be written holds its part of the journal, and what has served its
 * time goes (promises 6, 8 and 10).
 */

#include <sys/stat.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bsd/string.h>

#include <cmocka.h>

#include "store/lock.h"
#include "store/store_internal.h"
#include "store/sys.h"
#include "tests/fault.h"
#include "tests/logged.h"
#include "tests/state.h"

#define KEEP_MS	300

static char dir[STATE_PATH], copy[STATE_PATH];
static struct store *s;
static struct tenant *t;

static void
open_it(int64_t keep_ms, size_t segment)
{
	struct store_options o = state_options(dir);
	pid_t holder;

	o.keep_ms = keep_ms;
	o.journal_segment = segment;
	assert_int_equal(store_open(&o, &s, &holder), 0);
	t = state_tenant(s, "acme");
}

static void
close_it(void)
{

	store_tenant_put(t);
	t = NULL;
	state_close(s);
	s = NULL;
}

static ino_t
inode(const char *name)
{
	struct stat st;
	char path[256];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	return (stat(path, &st) == 0 ? st.st_ino : 0);
}

#define DOC(id)	"tenants/acme/conversations/" id ".json"

static size_t
dirty(void)
{
	struct store_stats st;

	store_stats(s, &st);
	return (st.dirty);
}

/* Segments of the journal, the spare left out. */
static size_t
segments(void)
{
	struct store_stats st;

	store_stats(s, &st);
	return (st.segments);
}

/* What a crash now would leave, opened: the same as in memory. */
static void
copy_is_whole(void)
{
	struct store *two;
	char *here = state_dump(s), *there;

	state_copy(dir, copy);
	two = state_open(copy);
	there = state_dump(two);
	assert_string_equal(here, there);
	state_close(two);
	free(here);
	free(there);
}

/* Only what changed is written; a clean one keeps its file. */
static void
writes_what_changed(void **state)
{
	ino_t a, b, tenant;
	unsigned long renames;

	(void)state;
	open_it(3600000, 65536);
	assert_int_equal(state_create(s, t, "a", NULL, NULL, NULL), 0);
	assert_int_equal(state_create(s, t, "b", NULL, "key", NULL), 0);
	/* a, b, tenant.json, once/ */
	assert_int_equal(dirty(), 4);
	assert_int_equal(inode(DOC("a")), 0);
	assert_int_equal(store_flush(s), 0);
	assert_int_equal(dirty(), 0);
	a = inode(DOC("a"));
	b = inode(DOC("b"));
	tenant = inode("tenants/acme/tenant.json");
	assert_true(a != 0 && b != 0 && tenant != 0);
	assert_int_equal(state_count(dir, "tenants/acme/once", ".json"), 1);

	assert_int_equal(state_append(s, t, "a", "i1", "x", NULL, NULL), 0);
	assert_int_equal(dirty(), 1);
	renames = fault_count(FAULT_RENAMEAT);
	assert_int_equal(store_flush(s), 0);
	assert_int_equal(fault_count(FAULT_RENAMEAT), renames + 1);
	assert_true(inode(DOC("a")) != a);
	assert_true(inode(DOC("b")) == b);
	assert_true(inode("tenants/acme/tenant.json") == tenant);
	/* Nothing at all: not one file, not one sync. */
	renames = fault_count(FAULT_RENAMEAT | FAULT_FSYNC);
	assert_int_equal(store_flush(s), 0);
	assert_int_equal(fault_count(FAULT_RENAMEAT | FAULT_FSYNC), renames);
	copy_is_whole();
	close_it();
}

/* Many more than one round takes, of several tenants. */
static void
many(void **state)
{
	struct tenant *u;
	char id[16], name[64];
	int i, k;

	(void)state;
	open_it(3600000, 1 << 20);
	for (k = 0; k < 3; k++) {
		(void)snprintf(name, sizeof(name), "t%d", k);
		u = state_tenant(s, name);
		for (i = 0; i < 200; i++) {
			(void)snprintf(id, sizeof(id), "c%d", i);
			assert_int_equal(state_create(s, u, id, NULL, NULL,
			    NULL), 0);
		}
		store_tenant_put(u);
	}
	assert_int_equal(store_flush(s), 0);
	assert_int_equal(dirty(), 0);
	for (k = 0; k < 3; k++) {
		(void)snprintf(name, sizeof(name),
		    "tenants/t%d/conversations", k);
		assert_int_equal(state_count(dir, name, ".json"), 200);
	}
	copy_is_whole();
	close_it();
}

/* Wait until n or fewer are there, flushing on. */
static void
await_segments(size_t n)
{
	int i;

	for (i = 0; i < 100 && segments() > n; i++) {
		usleep(50 * 1000);
		assert_int_equal(store_flush(s), 0);
	}
	assert_int_equal(segments(), n);
}

/* Small segments, so that there are many. */
static void
fill_segments(int from, int to)
{
	static char text[1500];
	char item[16];
	int i;

	memset(text, 'x', sizeof(text) - 1);
	for (i = from; i < to; i++) {
		(void)snprintf(item, sizeof(item), "i%d", i);
		assert_int_equal(state_append(s, t, "a", item, text, NULL,
		    NULL), 0);
	}
}

/* A segment goes keep_ms after all of it stands in documents, not before. */
static void
retires(void **state)
{
	(void)state;
	open_it(KEEP_MS * 10, 4096);
	assert_int_equal(state_create(s, t, "a", NULL, NULL, NULL), 0);
	fill_segments(0, 10);
	assert_true(segments() >= 5);
	assert_int_equal(store_flush(s), 0);
	/* In documents, but a copier may still be at work. */
	assert_true(segments() >= 5);
	close_it();

	open_it(KEEP_MS, 4096);
	assert_int_equal(store_flush(s), 0);
	await_segments(1);
	copy_is_whole();
	close_it();
}

/* One that cannot be written stays dirty and holds its segment. */
static void
failing_holds_segment(void **state)
{
	int n;

	(void)state;
	open_it(0, 4096);
	assert_int_equal(state_create(s, t, "a", NULL, NULL, NULL), 0);
	assert_int_equal(store_flush(s), 0);
	for (n = 0; n < 5; n++) {
		static const unsigned calls[] = { FAULT_OPENAT, FAULT_WRITE,
		    FAULT_FSYNC, FAULT_RENAMEAT, FAULT_CLOSE };

		fill_segments(n * 10, n * 10 + 10);
		fault_arm_forever(calls[n], 1, n % 2 == 0 ? ENOSPC : EIO);
		assert_int_equal(store_flush(s), -1);
		assert_int_equal(dirty(), 1);
		assert_true(segments() >= 5);
		assert_int_equal(store_flush(s), -1);
		assert_int_equal(dirty(), 1);
		assert_true(segments() >= 5);
		fault_disarm();
		copy_is_whole();
		assert_int_equal(store_flush(s), 0);
		assert_int_equal(dirty(), 0);
		await_segments(1);
		copy_is_whole();
	}
	/* Nothing half written is left. */
	assert_int_equal(state_count(dir, "tenants/acme/conversations",
	    ".tmp-"), 0);
	close_it();
}

/*
 * A folder whose sync failed: what was put into it is written again, though
 * the names are there, for a power cut may take them away.
 */
static void
folder_fails(void **state)
{
	unsigned long renames;
	char id[16];
	int n;

	(void)state;
	open_it(0, 65536);
	assert_int_equal(state_create(s, t, "a", NULL, "a", NULL), 0);
	assert_int_equal(store_flush(s), 0);
	/* The syncs: document, records, their two folders. */
	for (n = 3; n <= 4; n++) {
		(void)snprintf(id, sizeof(id), "c%d", n);
		assert_int_equal(state_create(s, t, id, NULL, id, NULL), 0);
		assert_int_equal(dirty(), 2);
		fault_arm_call(FAULT_FSYNC, n, EIO);
		assert_int_equal(store_flush(s), -1);
		assert_true(fault_fired());
		fault_disarm();
		assert_int_equal(dirty(), 1);
		renames = fault_count(FAULT_RENAMEAT);
		assert_int_equal(store_flush(s), 0);
		assert_int_equal(fault_count(FAULT_RENAMEAT), renames + 1);
		assert_int_equal(dirty(), 0);
		copy_is_whole();
	}
	close_it();
}

/* Wait, at most 20 s, until what the journal says of its spare is so. */
static void
await_spare(int error)
{
	struct journal_stats js;
	int i;

	for (i = 0; i < 2000; i++) {
		journal_stats(s->journal, &js);
		if (js.reserve_error == error)
			return;
		usleep(10 * 1000);
	}
	assert_int_equal(js.reserve_error, error);
}

/* As state_create; but on a disk that was full until now, wait for space. */
static void
create_soon(const char *id, const char *user, const char *key)
{
	enum store_err err;
	int i;

	for (i = 0; i < 1000; i++) {
		err = state_create(s, t, id, user, key, NULL);
		if (err != STORE_FULL)
			break;
		usleep(10 * 1000);
	}
	assert_int_equal(err, STORE_OK);
}

/*
 * Whatever call fails in a flush, alone or with all that follow, nothing is
 * lost or forgotten, and the next flush has all of it.
 */
static void
any_call_fails(void (*arm)(unsigned, int, int))
{
	char id[16], key[16];
	int n, rc;

	open_it(0, 4096);
	for (n = 1; ; n++) {
		(void)snprintf(id, sizeof(id), "c%d", n);
		create_soon(id, "u", id);
		if (n > 1) {
			(void)snprintf(id, sizeof(id), "c%d", n - 1);
			(void)snprintf(key, sizeof(key), "d%d", n);
			assert_int_equal(state_delete(s, t, id, key), 0);
		}
		await_spare(0);
		arm(FAULT_ANY, n, n % 2 == 0 ? EIO : ENOSPC);
		rc = store_flush(s);
		if (!fault_fired())
			break;
		fault_disarm();
		copy_is_whole();
		assert_int_equal(store_flush(s), 0);
		assert_int_equal(dirty(), 0);
		copy_is_whole();
	}
	fault_disarm();
	assert_int_equal(rc, 0);
	assert_true(n > 15);
	close_it();
}

static void
any_one_call_fails(void **state)
{
	(void)state;
	any_call_fails(fault_arm_call);
}

static void
all_calls_fail(void **state)
{
	(void)state;
	any_call_fails(fault_arm_forever);
}

/* A tombstone takes the document's name, and is swept after twice keep_ms. */
static void
tombstones(void **state)
{
	struct conversation_view v;
	int64_t deleted_at;
	uint64_t lsn;
	char *p;
	size_t len;
	int i;

	(void)state;
	open_it(KEEP_MS, 4096);
	assert_int_equal(state_create(s, t, "a", NULL, NULL, NULL), 0);
	assert_int_equal(state_create(s, t, "b", NULL, NULL, NULL), 0);
	assert_int_equal(state_append(s, t, "a", "i1", "secret", NULL, NULL),
	    0);
	assert_int_equal(store_flush(s), 0);
	deleted_at = sys_now_ms();
	assert_int_equal(state_delete(s, t, "a", NULL), 0);
	assert_int_equal(store_flush(s), 0);
	assert_non_null(p = state_read(dir, DOC("a"), &len));
	assert_non_null(strstr(p, "\"deleted\":1"));
	assert_null(strstr(p, "secret"));
	free(p);
	copy_is_whole();
	/* Also over a restart. */
	close_it();
	open_it(KEEP_MS, 4096);
	assert_true(inode(DOC("a")) != 0);
	for (i = 0; i < 100 && inode(DOC("a")) != 0; i++) {
		usleep(50 * 1000);
		assert_int_equal(store_flush(s), 0);
	}
	assert_int_equal(inode(DOC("a")), 0);
	assert_true(sys_now_ms() - deleted_at >= 2 * KEEP_MS);
	assert_true(inode(DOC("b")) != 0);
	assert_int_equal(store_conversation(t, "a", NULL, &v, &lsn),
	    STORE_NOENT);
	copy_is_whole();
	close_it();
}

/* One in the way of the sweep: not before it was written, not while held. */
static void
sweeps_what_is_written(void **state)
{
	(void)state;
	open_it(0, 4096);
	assert_int_equal(state_create(s, t, "a", NULL, NULL, NULL), 0);
	assert_int_equal(store_flush(s), 0);
	assert_int_equal(state_delete(s, t, "a", NULL), 0);
	fault_arm_forever(FAULT_RENAMEAT, 1, EIO);
	assert_int_equal(store_flush(s), -1);
	/* Unlinked now, the old document would be gone and the journal's
	 * deletion with nothing to delete: harmless; but it is not done. */
	assert_true(inode(DOC("a")) != 0);
	fault_disarm();
	usleep(2000);
	assert_int_equal(store_flush(s), 0);
	assert_int_equal(store_flush(s), 0);
	assert_int_equal(inode(DOC("a")), 0);
	/* And the id may be used again. */
	assert_int_equal(state_create(s, t, "a", NULL, NULL, NULL), 0);
	copy_is_whole();
	assert_int_equal(store_flush(s), 0);
	copy_is_whole();
	close_it();
}

/* The quarantined file of one that was deleted and swept stays silent. */
static void
sweeps_damaged(void **state)
{
	struct conversation_view v;
	char path[256];
	uint64_t lsn;

	(void)state;
	open_it(3600000, 4096);
	assert_int_equal(state_create(s, t, "a", NULL, NULL, NULL), 0);
	close_it();
	(void)snprintf(path, sizeof(path), "%s/journal", dir);
	state_remove(path);
	state_write(dir, DOC("a"), "{}", 2);
	open_it(0, 4096);
	assert_int_equal(store_conversation(t, "a", NULL, &v, &lsn),
	    STORE_DAMAGED);
	assert_int_equal(state_delete(s, t, "a", NULL), 0);
	usleep(2000);
	assert_int_equal(store_flush(s), 0);
	assert_int_equal(store_flush(s), 0);
	close_it();
	/* Without the journal, in which it is deleted once more. */
	state_remove(path);
	open_it(0, 4096);
	assert_int_equal(store_conversation(t, "a", NULL, &v, &lsn),
	    STORE_NOENT);
	assert_true(state_count(dir, "quarantine",
	    "acme.conversations.a.json") > 0);
	close_it();
}

/* A document is renamed into place only when the journal holds all of it. */
static void
journal_first(void **state)
{
	struct change ch = { .kind = CHANGE_CONVERSATION_UPDATE,
	    .conversation = "a", .has_title = true };
	struct outcome o;
	unsigned long renames;

	(void)state;
	open_it(3600000, 4096);
	assert_int_equal(state_create(s, t, "a", NULL, NULL, NULL), 0);
	assert_int_equal(store_flush(s), 0);
	fault_gate_close(FAULT_FDATASYNC);
	assert_int_equal(store_commit(s, t, &ch, &o), STORE_OK);
	assert_true(fault_gate_await());
	renames = fault_count(FAULT_RENAMEAT);
	store_flush_soon(s);
	/* It is taken off when it is encoded. */
	while (dirty() > 0)
		usleep(1000);
	usleep(200 * 1000);
	assert_int_equal(fault_count(FAULT_RENAMEAT), renames);
	fault_gate_open();
	assert_int_equal(store_flush(s), 0);
	assert_true(fault_count(FAULT_RENAMEAT) > renames);
	store_outcome_fini(&o);
	close_it();
}

/* --- races -------------------------------------------------------------- */

#define THREADS	8
#define APPENDS	60

struct racer {
	struct thread	 thread;
	int		 number;
};

static void
race(void *arg)
{
	struct racer *r = arg;
	char own[16], item[32], brief[32];
	int i;

	(void)snprintf(own, sizeof(own), "own%d", r->number);
	if (state_create(s, t, own, NULL, NULL, NULL) != STORE_OK)
		abort();
	for (i = 0; i < APPENDS; i++) {
		(void)snprintf(item, sizeof(item), "i%d-%d", r->number, i);
		(void)snprintf(brief, sizeof(brief), "b%d-%d", r->number, i);
		if (state_append(s, t, own, item, "x", item, NULL) != 0 ||
		    state_append(s, t, "all", item, "x", NULL, NULL) != 0 ||
		    state_create(s, t, brief, NULL, brief, NULL) != 0 ||
		    state_delete(s, t, brief, NULL) != 0)
			abort();
	}
}

/* Reads meanwhile: lists, pages, conversations that come and go. */
static void
race_reads(void *arg)
{
	struct racer *r = arg;
	struct list_query q = { .limit = 20 };
	struct list_page l;
	struct items_page p;
	struct conversation_view v;
	char brief[32];
	uint64_t lsn;
	int i;

	for (i = 0; i < APPENDS * 4; i++) {
		(void)snprintf(brief, sizeof(brief), "b%d-%d", r->number,
		    i / 4);
		if (store_conversation(t, brief, NULL, &v, &lsn) == STORE_OK)
			store_view_fini(&v);
		if (store_list(t, &q, &l) != STORE_OK ||
		    store_items(t, "all", NULL, NULL, STORE_DESC, 5, &p) !=
		    STORE_OK)
			abort();
		store_list_fini(&l);
		store_items_fini(&p);
	}
}

/* Flushed, swept and retired all the time while eight write. */
static void
races(void **state)
{
	struct racer w[THREADS], rd[2];
	struct conversation_view v;
	uint64_t lsn;
	char *here;
	int i;

	(void)state;
	open_it(0, 16384);
	assert_int_equal(state_create(s, t, "all", NULL, NULL, NULL), 0);
	for (i = 0; i < THREADS; i++) {
		w[i].number = i;
		assert_int_equal(thread_start(&w[i].thread, "racer", race,
		    &w[i]), 0);
	}
	for (i = 0; i < 2; i++) {
		rd[i].number = i;
		assert_int_equal(thread_start(&rd[i].thread, "reader",
		    race_reads, &rd[i]), 0);
	}
	for (i = 0; i < 30; i++) {
		assert_int_equal(store_flush(s), 0);
		usleep(1000);
	}
	for (i = 0; i < THREADS; i++)
		thread_join(&w[i].thread);
	for (i = 0; i < 2; i++)
		thread_join(&rd[i].thread);
	assert_int_equal(store_conversation(t, "all", NULL, &v, &lsn), 0);
	assert_int_equal(v.item_count, THREADS * APPENDS);
	assert_int_equal(v.version, THREADS * APPENDS + 1);
	store_view_fini(&v);
	copy_is_whole();
	assert_int_equal(store_flush(s), 0);
	copy_is_whole();
	here = state_dump(s);
	free(here);
	close_it();
}

/* By itself: after the interval, and when the journal outgrows its limit. */
static void
by_itself(void **state)
{
	struct store_options o = state_options(dir);
	pid_t holder;
	int i;

	(void)state;
	o.flush_ms = 100;
	assert_int_equal(store_open(&o, &s, &holder), 0);
	t = state_tenant(s, "acme");
	assert_int_equal(state_create(s, t, "a", NULL, NULL, NULL), 0);
	for (i = 0; i < 100 && dirty() > 0; i++)
		usleep(50 * 1000);
	assert_int_equal(dirty(), 0);
	close_it();
	o.flush_ms = 3600 * 1000;
	o.journal_limit = 8192;
	assert_int_equal(store_open(&o, &s, &holder), 0);
	t = state_tenant(s, "acme");
	fill_segments(0, 3);
	assert_int_equal(dirty(), 1);
	fill_segments(3, 12);
	for (i = 0; i < 100 && dirty() > 0; i++)
		usleep(50 * 1000);
	assert_int_equal(dirty(), 0);
	close_it();
}

/* A second append between taking it off the list and the write stays dirty. */
static void
dirty_again(void **state)
{
	(void)state;
	open_it(0, 4096);
	assert_int_equal(state_create(s, t, "a", NULL, NULL, NULL), 0);
	fault_gate_close(FAULT_RENAMEAT);
	store_flush_soon(s);
	assert_true(fault_gate_await());
	assert_int_equal(state_append(s, t, "a", "i1", "x", NULL, NULL), 0);
	assert_true(dirty() >= 1);
	fault_gate_open();
	assert_int_equal(store_flush(s), 0);
	assert_int_equal(dirty(), 0);
	copy_is_whole();
	close_it();
}

/* --- what cannot be written --------------------------------------------- */

static struct flush_stats
figures(void)
{
	struct flush_stats st;

	flush_stats(s->flush, &st);
	return (st);
}

static uint64_t
passes(void)
{
	struct flush_stats st = figures();

	return (histogram_count(&st.duration_ms));
}

/* Wait, at most 20 s, until n are dirty. */
static void
await_dirty(size_t n)
{
	int i;

	for (i = 0; i < 2000 && dirty() != n; i++)
		usleep(10 * 1000);
	assert_int_equal(dirty(), n);
}

/* The same for how many failed. */
static void
await_failed(size_t n)
{
	int i;

	for (i = 0; i < 2000 && figures().failing != n; i++)
		usleep(10 * 1000);
	assert_int_equal(figures().failing, n);
}

/* The same for at least so many passes. */
static void
await_passes(uint64_t n)
{
	int i;

	for (i = 0; i < 2000 && passes() < n; i++)
		usleep(10 * 1000);
	assert_in_range(passes(), n, UINT64_MAX);
}

/* One change of a that is not waited for. */
static void
change_a(void)
{
	struct change ch = { .kind = CHANGE_CONVERSATION_UPDATE,
	    .conversation = "a", .has_title = true };
	struct outcome o;

	assert_int_equal(store_commit(s, t, &ch, &o), STORE_OK);
	store_outcome_fini(&o);
}

/* The others are written in the same pass. */
static void
bad_stops_no_other(void **state)
{
	char id[16];
	int i;

	(void)state;
	open_it(3600000, 65536);
	for (i = 0; i < 10; i++) {
		(void)snprintf(id, sizeof(id), "c%d", i);
		assert_int_equal(state_create(s, t, id, NULL, NULL, NULL), 0);
	}
	logged_start();
	fault_arm_call(FAULT_RENAMEAT, 2, EIO);
	assert_int_equal(store_flush(s), -1);
	assert_true(fault_fired());
	assert_int_equal(dirty(), 1);
	assert_int_equal(figures().failing, 1);
	assert_int_equal(figures().failures, 1);
	assert_int_equal(figures().ok_at, 0);
	assert_int_equal(store_flush(s), 0);
	assert_int_equal(dirty(), 0);
	assert_int_equal(figures().failing, 0);
	assert_int_equal(logged_times("are written again"), 1);
	assert_int_equal(logged_times("stays in the journal"), 1);
	close_it();
}

/*
 * A folder that is none: its documents are tried again and again, but less
 * and less often, with one line each; all others are written meanwhile.
 */
static void
backs_off(void **state)
{
	struct store_options o = state_options(dir);
	struct tenant *bad;
	pid_t holder;
	char path[256];

	(void)state;
	o.flush_ms = 20;
	assert_int_equal(store_open(&o, &s, &holder), 0);
	t = state_tenant(s, "acme");
	bad = state_tenant(s, "bad");
	assert_int_equal(state_create(s, t, "a", NULL, NULL, NULL), 0);
	await_dirty(0);
	logged_start();
	state_write(dir, "tenants/bad/conversations", "", 0);
	assert_int_equal(state_create(s, bad, "x", NULL, NULL, NULL), 0);
	assert_int_equal(state_create(s, bad, "y", NULL, NULL, NULL), 0);
	await_passes(passes() + 60);
	await_failed(2);
	await_dirty(2);
	assert_in_range(figures().failures, 2, 20);
	assert_int_equal(state_append(s, t, "a", "i1", "x", NULL, NULL), 0);
	await_dirty(2);
	/* Who asks gets a try at once. */
	assert_int_equal(store_flush(s), -1);
	(void)snprintf(path, sizeof(path), "%s/tenants/bad/conversations",
	    dir);
	assert_int_equal(unlink(path), 0);
	/* And nobody need ask. */
	await_failed(0);
	assert_int_equal(dirty(), 0);
	assert_int_equal(logged_times("are written again"), 1);
	assert_int_equal(logged_times("stays in the journal"), 1);
	store_tenant_put(bad);
	copy_is_whole();
	close_it();
}

/* However long the interval: what failed alone is tried again soon. */
static void
retries_alone(void **state)
{
	(void)state;
	open_it(3600000, 65536);
	assert_int_equal(state_create(s, t, "a", NULL, NULL, NULL), 0);
	assert_int_equal(store_flush(s), 0);
	assert_int_equal(state_append(s, t, "a", "i1", "x", NULL, NULL), 0);
	fault_arm_call(FAULT_FSYNC, 1, EIO);
	assert_int_equal(store_flush(s), -1);
	fault_disarm();
	assert_int_equal(state_create(s, t, "b", NULL, NULL, NULL), 0);
	await_failed(0);
	assert_int_equal(dirty(), 1);
	assert_int_equal(inode(DOC("b")), 0);
	copy_is_whole();
	close_it();
}

/*
 * The journal is broken: what has a change that is not durable stays dirty,
 * without a word; the others are written.
 */
static void
broken_journal(void **state)
{
	ino_t a;
	int i;

	(void)state;
	open_it(3600000, 65536);
	assert_int_equal(state_create(s, t, "a", NULL, "k", NULL), 0);
	assert_int_equal(store_flush(s), 0);
	a = inode(DOC("a"));
	assert_int_equal(state_create(s, t, "b", NULL, NULL, NULL), 0);
	assert_int_equal(state_append(s, t, "a", "i1", "x", NULL, NULL), 0);
	fault_arm_forever(FAULT_FDATASYNC, 1, EIO);
	change_a();
	for (i = 0; i < 1000 && store_health(s) == STORE_OK; i++)
		usleep(10 * 1000);
	assert_int_equal(store_health(s), STORE_SICK);
	logged_start();
	assert_int_equal(dirty(), 2);
	assert_int_equal(store_flush(s), -1);
	assert_int_equal(dirty(), 1);
	assert_true(inode(DOC("b")) != 0);
	assert_true(inode(DOC("a")) == a);
	assert_int_equal(figures().failing, 0);
	assert_int_equal(figures().failures, 0);
	assert_int_equal(logged_times("flush"), 0);
	fault_disarm();
	for (i = 0; i < 1000 && store_health(s) != STORE_OK; i++)
		usleep(10 * 1000);
	assert_int_equal(store_flush(s), 0);
	assert_true(inode(DOC("a")) != a);
	copy_is_whole();
	close_it();
}

/* Nor is one tried without end that is due again meanwhile. */
static void
broken_journal_and_documents(void **state)
{
	uint64_t passes;
	int i;

	(void)state;
	open_it(3600000, 65536);
	assert_int_equal(state_create(s, t, "a", NULL, NULL, NULL), 0);
	assert_int_equal(store_flush(s), 0);
	assert_int_equal(state_append(s, t, "a", "i1", "x", NULL, NULL), 0);
	fault_arm_forever(FAULT_WRITE, 1, EIO);
	assert_int_equal(store_flush(s), -1);
	assert_int_equal(figures().failing, 1);
	fault_arm_forever(FAULT_FDATASYNC, 1, EIO);
	change_a();
	for (i = 0; i < 1000 && store_health(s) == STORE_OK; i++)
		usleep(10 * 1000);
	assert_int_equal(store_health(s), STORE_SICK);
	passes = figures().failed;
	sleep(3);
	assert_in_range(figures().failed - passes, 0, 10);
	fault_disarm();
	for (i = 0; i < 1000 && store_health(s) != STORE_OK; i++)
		usleep(10 * 1000);
	for (i = 0; i < 1000 && store_flush(s) == -1; i++)
		usleep(10 * 1000);
	assert_int_equal(dirty(), 0);
	copy_is_whole();
	close_it();
}

/* The journal breaks while a document waits for it: the same. */
static void
breaks_meanwhile(void **state)
{
	(void)state;
	open_it(3600000, 65536);
	assert_int_equal(state_create(s, t, "a", NULL, NULL, NULL), 0);
	assert_int_equal(store_flush(s), 0);
	fault_gate_close(FAULT_FDATASYNC);
	change_a();
	assert_true(fault_gate_await());
	store_flush_soon(s);
	logged_start();
	while (dirty() > 0)
		usleep(1000);
	fault_arm_forever(FAULT_FDATASYNC, 1, EIO);
	fault_gate_open();
	await_dirty(1);
	assert_int_equal(figures().failures, 0);
	assert_int_equal(logged_times("flush"), 0);
	fault_disarm();
	while (store_flush(s) == -1)
		usleep(1000);
	assert_int_equal(dirty(), 0);
	copy_is_whole();
	close_it();
}

/* --- a full disk -------------------------------------------------------- */

/* The spare makes room for a document, once a pass, and is made again. */
static void
uses_the_reserve(void **state)
{
	(void)state;
	open_it(3600000, 65536);
	assert_int_equal(state_create(s, t, "a", NULL, NULL, NULL), 0);
	assert_int_equal(store_flush(s), 0);
	assert_int_equal(state_append(s, t, "a", "i1", "x", NULL, NULL), 0);
	await_spare(0);
	logged_start();
	fault_arm_call(FAULT_WRITE, 1, ENOSPC);
	assert_int_equal(store_flush(s), 0);
	assert_true(fault_fired());
	assert_int_equal(dirty(), 0);
	assert_int_equal(figures().failures, 0);
	await_spare(0);
	assert_int_equal(logged_times("makes room"), 1);

	/* It was not enough: no second one goes, and nothing is lost. */
	assert_int_equal(state_append(s, t, "a", "i2", "x", NULL, NULL), 0);
	assert_int_equal(state_create(s, t, "b", NULL, NULL, NULL), 0);
	logged_start();
	fault_arm_forever(FAULT_WRITE, 1, EDQUOT);
	assert_int_equal(store_flush(s), -1);
	fault_disarm();
	assert_int_equal(dirty(), 2);
	assert_int_equal(logged_times("stays in the journal"), 1);
	assert_int_equal(logged_times("makes room"), 1);
	copy_is_whole();
	assert_int_equal(store_flush(s), 0);
	await_spare(0);

	/* What is not for want of space does not cost the spare. */
	assert_int_equal(state_append(s, t, "a", "i3", "x", NULL, NULL), 0);
	logged_start();
	fault_arm_call(FAULT_WRITE, 1, EIO);
	assert_int_equal(store_flush(s), -1);
	assert_int_equal(logged_times("makes room"), 0);
	await_spare(0);
	close_it();
}

/*
 * No file can be made any more: sends are refused before anything breaks,
 * deletions go on, a pass comes without being asked, and all is well again
 * when there is space.
 */
static void
deletes_on_a_full_disk(void **state)
{
	static char text[3000];
	enum store_err err = STORE_OK;
	char id[16];
	uint64_t before;
	int i, n;

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	open_it(3600000, 16384);
	for (n = 0; n < 40; n++) {
		(void)snprintf(id, sizeof(id), "c%d", n);
		assert_int_equal(state_create(s, t, id, NULL, NULL, NULL), 0);
	}
	await_spare(0);
	fault_arm_forever(FAULT_OPENAT, 1, ENOSPC);
	before = passes();
	assert_int_equal(store_rotate(s), 0);
	await_spare(ENOSPC);
	await_passes(before + 1);
	for (i = 0; i < 10 && err == STORE_OK; i++) {
		(void)snprintf(id, sizeof(id), "i%d", i);
		err = state_append(s, t, "c0", id, text, NULL, NULL);
	}
	assert_int_equal(err, STORE_FULL);
	assert_true(i > 1);
	err = STORE_OK;
	for (i = 0; i < 50 && err == STORE_OK; i++) {
		(void)snprintf(id, sizeof(id), "d%d", i);
		err = state_create(s, t, id, NULL, NULL, NULL);
	}
	assert_int_equal(err, STORE_FULL);
	assert_int_equal(store_rotate(s), -1);
	assert_int_equal(errno, ENOSPC);
	for (n = 1; n <= 5; n++) {
		(void)snprintf(id, sizeof(id), "c%d", n);
		assert_int_equal(state_delete(s, t, id, NULL), STORE_OK);
	}
	assert_int_equal(store_health(s), STORE_OK);
	assert_int_equal(store_flush(s), -1);
	fault_disarm();
	copy_is_whole();
	create_soon("new", NULL, NULL);
	assert_int_equal(store_flush(s), 0);
	copy_is_whole();
	close_it();
}

static void
counts(void **state)
{
	struct flush_stats st;

	(void)state;
	open_it(3600000, 65536);
	assert_int_equal(store_flush(s), 0);
	st = figures();
	assert_int_equal(st.lag_ms, 0);
	assert_in_range(sys_now_ms() - st.ok_at, 0, 60000);
	assert_int_equal(histogram_count(&st.duration_ms), 1);
	assert_int_equal(state_create(s, t, "a", NULL, NULL, NULL), 0);
	usleep(20 * 1000);
	assert_int_equal(state_create(s, t, "b", NULL, NULL, NULL), 0);
	assert_in_range(figures().lag_ms, 20, 60000);
	/* The oldest of what stays counts, from its first change on. */
	fault_arm_call(FAULT_FSYNC, 1, EIO);
	assert_int_equal(store_flush(s), -1);
	assert_in_range(figures().lag_ms, 20, 60000);
	assert_int_equal(passes(), 2);
	assert_int_equal(figures().ok_at, st.ok_at);
	assert_int_equal(store_flush(s), 0);
	assert_int_equal(figures().lag_ms, 0);
	close_it();
}

static int
setup(void **state)
{
	(void)state;
	fault_disarm();
	state_folder(dir);
	state_folder(copy);
	return (0);
}

static int
teardown(void **state)
{
	(void)state;
	logged_stop();
	fault_disarm();
	state_remove(dir);
	state_remove(copy);
	return (0);
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(writes_what_changed),
		TEST(many),
		TEST(retires),
		TEST(failing_holds_segment),
		TEST(folder_fails),
		TEST(any_one_call_fails),
		TEST(all_calls_fail),
		TEST(tombstones),
		TEST(sweeps_what_is_written),
		TEST(sweeps_damaged),
		TEST(journal_first),
		TEST(races),
		TEST(by_itself),
		TEST(dirty_again),
		TEST(bad_stops_no_other),
		TEST(backs_off),
		TEST(retries_alone),
		TEST(broken_journal),
		TEST(broken_journal_and_documents),
		TEST(breaks_meanwhile),
		TEST(uses_the_reserve),
		TEST(deletes_on_a_full_disk),
		TEST(counts),
	};

	fault_init();
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
