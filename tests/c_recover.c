/*
 * store/recover and store/load: whatever a crash, a copier or a bad disk left
 * of a store, it opens with all that was acknowledged, and what is damaged
 * stays small and stays known (promises 3, 4, 6 and 7).
 */

#include <sys/stat.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bsd/string.h>

#include <cmocka.h>

#include "store/segment.h"
#include "store/store.h"
#include "store/sys.h"
#include "tests/fault.h"
#include "tests/state.h"

static char dir[STATE_PATH];	/* the store */
static char side[STATE_PATH];	/* what the test notes beside it */

/* What the document of conversation a is called in quarantine/. */
#define ASIDE	"acme.conversations.a.json"

/* --- crashes ------------------------------------------------------------ */

/*
 * Another process opens the store, does as it is told and ends without
 * closing: what a kill -9 leaves, under the same inodes.  Returns all that it
 * had in memory (new).
 */
static char *
crash(void (*work)(struct store *))
{
	struct store *s;
	char *text;
	size_t len;
	pid_t pid;
	int status;

	assert_true((pid = fork()) != -1);
	if (pid == 0) {
		s = state_open(dir);
		work(s);
		text = state_dump(s);
		state_write(side, "dump", text, strlen(text));
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_non_null(text = state_read(side, "dump", &len));
	return (text);
}

/* Open the store: it must hold just this.  Leaves it open. */
static struct store *
opens_as(const char *text)
{
	struct store *s = state_open(dir);
	char *now = state_dump(s);

	assert_string_equal(now, text);
	free(now);
	return (s);
}

static enum store_err
look(struct store *s, const char *id, struct conversation_view *v)
{
	struct tenant *t = state_tenant(s, "acme");
	enum store_err err;
	uint64_t lsn;

	err = store_conversation(t, id, NULL, v, &lsn);
	store_tenant_put(t);
	return (err);
}

/* What a reader gets of it: an error, or STORE_OK and n items. */
static enum store_err
items_of(struct store *s, const char *id, uint64_t *n)
{
	struct conversation_view v;
	enum store_err err = look(s, id, &v);

	*n = v.item_count;
	store_view_fini(&v);
	return (err);
}

#define HAS(s, id, count)	do {					\
	uint64_t n_;							\
	assert_int_equal(items_of(s, id, &n_), STORE_OK);		\
	assert_int_equal(n_, count);					\
} while (0)
#define IS(s, id, error)	do {					\
	uint64_t n_;							\
	assert_int_equal(items_of(s, id, &n_), error);			\
} while (0)

/* A bit of everything, each change in a batch of its own. */
static void
busy(struct store *s)
{
	struct tenant *t = state_tenant(s, "acme"), *u;

	assert_int_equal(state_create(s, t, "a", "u1", "key-a", NULL), 0);
	assert_int_equal(state_create(s, t, "b", NULL, NULL, NULL), 0);
	assert_int_equal(state_append(s, t, "a", "a1", "one", NULL, NULL), 0);
	assert_int_equal(state_append(s, t, "a", "a2", "two", "k2", NULL), 0);
	assert_int_equal(state_append(s, t, "b", "b1", "x", NULL, NULL), 0);
	assert_int_equal(state_append(s, t, "a", "a3", "three", NULL, NULL),
	    0);
	assert_int_equal(state_delete_item(s, t, "a", "a2"), 0);
	assert_int_equal(state_retitle(s, t, "a", "a title"), 0);
	assert_int_equal(state_create(s, t, "c", NULL, "key-c", NULL), 0);
	assert_int_equal(state_delete(s, t, "c", "del-c"), 0);
	store_tenant_put(t);
	u = state_tenant(s, "other");
	assert_int_equal(state_create(s, u, "a", NULL, NULL, NULL), 0);
	store_tenant_put(u);
}

static void
busy_and_flushed(struct store *s)
{

	busy(s);
	assert_int_equal(store_flush(s), 0);
}

static void
busy_flushed_busy(struct store *s)
{
	struct tenant *t;

	busy_and_flushed(s);
	t = state_tenant(s, "acme");
	assert_int_equal(state_append(s, t, "b", "b2", "y", "k3", NULL), 0);
	assert_int_equal(state_delete(s, t, "a", "del-a"), 0);
	assert_int_equal(state_create(s, t, "d", NULL, "key-d", NULL), 0);
	store_tenant_put(t);
}

static void
nothing(struct store *s)
{

	(void)s;
}

static void
append_to_b(struct store *s)
{
	struct tenant *t = state_tenant(s, "acme");

	assert_int_equal(state_append(s, t, "b", "b7", "late", NULL, NULL),
	    0);
	store_tenant_put(t);
}

static void (*const works[])(struct store *) = {
	nothing, busy, busy_and_flushed, busy_flushed_busy,
};

/* Killed once, killed again and again while starting, closed: the same. */
static void
crashes(void **state)
{
	struct store *s;
	char *text, *again;
	size_t i;
	int n;

	(void)state;
	for (i = 0; i < sizeof(works) / sizeof(works[0]); i++) {
		text = crash(works[i]);
		/* Each start repeats the last batch in a fresh segment. */
		for (n = 0; n < 4; n++) {
			again = crash(nothing);
			assert_string_equal(again, text);
			free(again);
		}
		s = opens_as(text);
		state_close(s);
		s = opens_as(text);
		state_close(s);
		free(text);
		state_remove(dir);
	}
}

/* The documents alone hold all of it once they were flushed. */
static void
documents_alone(void **state)
{
	struct outcome o;
	struct tenant *t;
	struct store *s;
	char path[256];
	char *text = crash(busy_and_flushed);

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/journal", dir);
	state_remove(path);
	s = state_open(dir);
	/*
	 * The counter must rise above a document's lsn before anybody can
	 * change it, else the change is passed over at the next start.
	 */
	t = state_tenant(s, "acme");
	assert_int_equal(state_append(s, t, "b", "b9", "new", NULL, &o), 0);
	assert_true(o.lsn > 10);
	store_outcome_fini(&o);
	store_tenant_put(t);
	HAS(s, "a", 2);
	state_close(s);
	free(text);
}

/* What was replayed is written, idempotency records as well. */
static void
replayed_is_flushed(void **state)
{
	struct outcome o;
	struct tenant *t;
	struct store *s;
	char path[256];
	char *text = crash(busy);

	(void)state;
	s = opens_as(text);
	state_close(s);
	(void)snprintf(path, sizeof(path), "%s/journal", dir);
	state_remove(path);
	s = opens_as(text);
	t = state_tenant(s, "acme");
	assert_int_equal(state_create(s, t, "z", NULL, "key-a", &o), 0);
	assert_true(o.is_repeat);
	store_outcome_fini(&o);
	assert_int_equal(state_delete(s, t, "c", "del-c"), STORE_OK);
	store_tenant_put(t);
	state_close(s);
	free(text);
}

/* A journal older than the documents: what comes now is newer than both. */
static void
older_journal(void **state)
{
	struct tenant *t;
	struct store *s;
	char journal[256], older[256];
	char *text = crash(busy_and_flushed);
	int i;

	(void)state;
	(void)snprintf(journal, sizeof(journal), "%s/journal", dir);
	(void)snprintf(older, sizeof(older), "%s/older", side);
	state_copy(journal, older);
	s = opens_as(text);
	free(text);
	t = state_tenant(s, "acme");
	for (i = 0; i < 10; i++)
		assert_int_equal(state_retitle(s, t, "b", i % 2 ? "x" : "y"),
		    STORE_OK);
	store_tenant_put(t);
	state_close(s);
	state_copy(older, journal);
	text = crash(append_to_b);
	s = opens_as(text);
	HAS(s, "b", 2);
	state_close(s);
	free(text);
}

/* --- the journal by hand ------------------------------------------------ */

/*
 * Turn a byte of that text in the only segment that was written to; in place,
 * for a new inode would be a copy's.
 */
static void
damage_batch(const char *text)
{
	char name[256], path[STATE_PATH + 256];
	char *p, *at;
	size_t len;
	int fd;

	assert_true(state_find(dir, "journal", "", name));
	assert_non_null(p = state_read(dir, name, &len));
	at = memmem(p, len, text, strlen(text));
	assert_non_null(at);
	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_true((fd = open(path, O_WRONLY)) != -1);
	assert_int_equal(pwrite(fd, "#", 1, at - p), 1);
	close(fd);
	free(p);
}

static void
three_appends(struct store *s)
{
	struct tenant *t = state_tenant(s, "acme");

	assert_int_equal(state_create(s, t, "a", "u1", NULL, NULL), 0);
	assert_int_equal(state_create(s, t, "b", NULL, NULL, NULL), 0);
	assert_int_equal(state_append(s, t, "a", "a1", "alpha", NULL, NULL),
	    0);
	assert_int_equal(state_append(s, t, "a", "a2", "beta", NULL, NULL),
	    0);
	assert_int_equal(state_append(s, t, "a", "a3", "gamma", NULL, NULL),
	    0);
	assert_int_equal(state_append(s, t, "b", "b1", "whole", NULL, NULL),
	    0);
	store_tenant_put(t);
}

/* The last batch was never acknowledged if it is torn; the rest stands. */
static void
torn_tail(void **state)
{
	struct store *s;

	(void)state;
	free(crash(three_appends));
	damage_batch("whole");
	s = state_open(dir);
	HAS(s, "a", 3);
	HAS(s, "b", 0);
	assert_int_equal(state_count(dir, "quarantine", ""), 0);
	state_close(s);
}

/*
 * Damage to what was acknowledged: the conversation with the gap answers so,
 * also after the journal is gone, and the rest is served.
 */
static void
gap_in_the_journal(void **state)
{
	struct store *s;
	char path[256];
	int i;

	(void)state;
	free(crash(three_appends));
	damage_batch("beta");
	for (i = 0; i < 3; i++) {
		s = state_open(dir);
		IS(s, "a", STORE_DAMAGED);
		HAS(s, "b", 1);
		state_close(s);
		/* What can be read of both is kept. */
		assert_true(state_find(dir, "quarantine", ASIDE, path));
		assert_true(state_count(dir, "quarantine", "0000") > 0);
		(void)snprintf(path, sizeof(path), "%s/journal", dir);
		if (i == 1)
			state_remove(path);
	}
}

/* The same where a document held the older part. */
static void
flushed_then_appends(struct store *s)
{
	struct tenant *t = state_tenant(s, "acme");

	assert_int_equal(state_create(s, t, "a", "u1", NULL, NULL), 0);
	assert_int_equal(state_append(s, t, "a", "a0", "zero", NULL, NULL),
	    0);
	assert_int_equal(store_flush(s), 0);
	assert_int_equal(state_append(s, t, "a", "a1", "alpha", NULL, NULL),
	    0);
	assert_int_equal(state_append(s, t, "a", "a2", "beta", NULL, NULL),
	    0);
	store_tenant_put(t);
}

static void
gap_behind_a_document(void **state)
{
	struct tenant *t;
	struct store *s;
	char path[256];
	int i;

	(void)state;
	free(crash(flushed_then_appends));
	damage_batch("alpha");
	for (i = 0; i < 3; i++) {
		s = state_open(dir);
		IS(s, "a", STORE_DAMAGED);
		state_close(s);
		assert_false(state_find(dir, "tenants/acme/conversations", "a",
		    path));
		assert_int_equal(state_count(dir, "quarantine", ASIDE), 2);
		(void)snprintf(path, sizeof(path), "%s/journal", dir);
		if (i == 1)
			state_remove(path);
	}
	/* The tenant may delete it, for good. */
	s = state_open(dir);
	t = state_tenant(s, "acme");
	assert_int_equal(state_create(s, t, "a", NULL, NULL, NULL),
	    STORE_EXISTS);
	assert_int_equal(state_delete(s, t, "a", NULL), STORE_OK);
	store_tenant_put(t);
	IS(s, "a", STORE_NOENT);
	state_close(s);
	s = state_open(dir);
	IS(s, "a", STORE_NOENT);
	state_close(s);
}

static void
deletes_damaged(struct store *s)
{
	struct tenant *t = state_tenant(s, "acme");

	assert_int_equal(state_delete(s, t, "a", NULL), STORE_OK);
	store_tenant_put(t);
}

/* And a deletion that was acknowledged before a crash stays. */
static void
deleted_while_damaged(void **state)
{
	struct store *s;

	(void)state;
	free(crash(flushed_then_appends));
	damage_batch("alpha");
	free(crash(deletes_damaged));
	s = state_open(dir);
	IS(s, "a", STORE_NOENT);
	state_close(s);
}

/*
 * In a copied segment a hole is the copying: what follows without a gap is
 * taken, the rest left out, and it is no damage.
 */
static void
gap_in_a_copy(void **state)
{
	char copied[STATE_PATH], was[STATE_PATH];
	struct tenant *t;
	struct store *s;

	(void)state;
	free(crash(three_appends));
	damage_batch("beta");
	state_folder(copied);
	state_copy(dir, copied);
	strlcpy(was, dir, sizeof(was));
	strlcpy(dir, copied, sizeof(dir));
	s = state_open(dir);
	HAS(s, "a", 1);
	HAS(s, "b", 1);
	t = state_tenant(s, "acme");
	assert_int_equal(state_append(s, t, "a", "a7", "new", NULL, NULL), 0);
	store_tenant_put(t);
	state_close(s);
	s = state_open(dir);
	HAS(s, "a", 2);
	state_close(s);
	state_remove(dir);
	strlcpy(dir, was, sizeof(dir));
}

/*
 * A copy whose last batch is cut off by a hole: when the copied segments have
 * been retired, it must not look like damage.
 */
static void
hole_before_the_tail(void **state)
{
	char copied[STATE_PATH], was[STATE_PATH];
	struct store_options o;
	struct store *s;
	pid_t holder, pid;
	int i, status;

	(void)state;
	free(crash(flushed_then_appends));
	damage_batch("alpha");
	state_folder(copied);
	state_copy(dir, copied);
	strlcpy(was, dir, sizeof(was));
	strlcpy(dir, copied, sizeof(dir));
	assert_true((pid = fork()) != -1);
	if (pid == 0) {
		o = state_options(dir);
		o.keep_ms = 0;
		if (store_open(&o, &s, &holder) != 0)
			_exit(1);
		for (i = 0; i < 3; i++)
			if (store_flush(s) != 0)
				_exit(1);
		_exit(state_count(dir, "journal", "0000") == 1 ? 0 : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	s = state_open(dir);
	HAS(s, "a", 1);
	state_close(s);
	state_remove(dir);
	strlcpy(dir, was, sizeof(dir));
}

/* Write these lines as a segment that begins at lsn first. */
static void
write_segment(const char *store_id, uint64_t first, const char *const *lines,
    size_t n)
{
	struct segment *seg;
	struct segment_batch b = { .durable = 0, .at = 1 };
	char path[256];
	char *line;
	size_t i;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/journal", dir);
	assert_true((fd = open(path, O_RDONLY | O_DIRECTORY)) != -1);
	assert_int_equal(segment_create(fd, store_id, first, 4096, &seg), 0);
	for (i = 0; i < n; i++) {
		assert_true(asprintf(&line, "%s\n", lines[i]) > 0);
		b.lsn = first + i;
		b.count = 1;
		b.durable = b.lsn - 1;
		b.records = (struct span){ line, strlen(line) };
		assert_int_equal(segment_write(seg, &b), 0);
		free(line);
	}
	segment_close(seg);
	close(fd);
}

/* A store that was opened and closed, nothing else; its id. */
static void
empty_store(char id[17])
{
	struct store_stats st;
	struct store *s = state_open(dir);

	store_stats(s, &st);
	strlcpy(id, st.store_id, 17);
	state_close(s);
}

#define C(id, birth, version)	"\"conversation\":\"" id "\",\"birth\":\""	\
	birth "\",\"version\":" version

/* Records that belong nowhere are left out, the others are taken. */
static void
odd_records(void **state)
{
	static const char *const lines[] = {
		"{\"at\":1,\"op\":\"tenant.create\",\"tenant\":\"acme\"}",
		"{\"at\":1,\"op\":\"tenant.burn\",\"tenant\":\"acme\"}",
		"{\"at\":1,\"op\":\"conversation.create\",\"tenant\":\"no\","
		    C("x", "1", "1") "}",
		"{\"at\":2,\"op\":\"conversation.create\",\"tenant\":\"acme\","
		    C("x", "1", "1") "}",
		/* of a conversation that is not there */
		"{\"at\":2,\"op\":\"items.append\",\"tenant\":\"acme\","
		    C("y", "1", "2") ",\"items\":[{\"id\":\"i\"}]}",
		/* of another birth */
		"{\"at\":2,\"op\":\"items.append\",\"tenant\":\"acme\","
		    C("x", "2", "2") ",\"items\":[{\"id\":\"i\"}]}",
		/* a tenant's kind that names a conversation */
		"{\"at\":2,\"op\":\"apikey.revoke\",\"tenant\":\"acme\","
		    C("x", "1", "2") ",\"item\":\"key_1\"}",
		"no JSON at all",
		"{\"at\":3,\"op\":\"items.append\",\"tenant\":\"acme\","
		    C("x", "1", "2") ",\"items\":[{\"id\":\"j\"}]}",
	};
	struct store *s;
	char id[17];

	(void)state;
	empty_store(id);
	write_segment(id, 10, lines, sizeof(lines) / sizeof(lines[0]));
	s = state_open(dir);
	HAS(s, "x", 1);
	IS(s, "y", STORE_NOENT);
	assert_true(store_durable(s) >= 18);
	state_close(s);
}

/*
 * An id that was deleted, swept and used again: its second life counts, with
 * the first still in the journal.
 */
static void
second_birth(void **state)
{
	static const char *const lines[] = {
		"{\"at\":1,\"op\":\"tenant.create\",\"tenant\":\"acme\"}",
		"{\"at\":1,\"op\":\"conversation.create\",\"tenant\":\"acme\","
		    C("x", "1", "1") "}",
		"{\"at\":2,\"op\":\"conversation.delete\",\"tenant\":\"acme\","
		    C("x", "1", "2") "}",
		"{\"at\":3,\"op\":\"conversation.create\",\"tenant\":\"acme\","
		    C("x", "2", "1") "}",
		"{\"at\":4,\"op\":\"items.append\",\"tenant\":\"acme\","
		    C("x", "2", "2") ",\"items\":[{\"id\":\"j\"}]}",
	};
	struct store *s;
	char id[17];
	int i;

	(void)state;
	empty_store(id);
	write_segment(id, 10, lines, sizeof(lines) / sizeof(lines[0]));
	for (i = 0; i < 2; i++) {
		s = state_open(dir);
		HAS(s, "x", 1);
		state_close(s);
	}
}

/* A clock that was ahead: its idempotency record is written all the same. */
static void
future_once(void **state)
{
	static const char *const lines[] = {
		"{\"at\":1,\"op\":\"tenant.create\",\"tenant\":\"acme\"}",
		"{\"at\":4102444800000,\"op\":\"conversation.create\","
		    "\"tenant\":\"acme\"," C("x", "1", "1") ",\"once\":{"
		    "\"key\":\"k\",\"scope\":\"0000000000000007\","
		    "\"credential\":\"0000000000000009\",\"body\":"
		    "\"63726561746500000000000000000000\",\"count\":0,"
		    "\"at\":0,\"lsn\":0,\"version\":1,\"conversation\":"
		    "\"x\",\"items\":[]}}",
	};
	struct outcome o;
	struct tenant *t;
	struct store *s;
	char id[17], path[256];
	int i;

	(void)state;
	empty_store(id);
	write_segment(id, 10, lines, sizeof(lines) / sizeof(lines[0]));
	(void)snprintf(path, sizeof(path), "%s/journal", dir);
	for (i = 0; i < 2; i++) {
		s = state_open(dir);
		t = state_tenant(s, "acme");
		assert_int_equal(state_create(s, t, "y", NULL, "k", &o),
		    STORE_OK);
		assert_true(o.is_repeat);
		assert_string_equal(o.conversation, "x");
		store_outcome_fini(&o);
		/* And those of today beside it. */
		assert_int_equal(state_create(s, t, "z", NULL, "now", &o),
		    STORE_OK);
		assert_int_equal(o.is_repeat, i == 1);
		store_outcome_fini(&o);
		store_tenant_put(t);
		state_close(s);
		state_remove(path);
	}
}

/* Another store's segment, and one that is no segment at all. */
static void
foreign_segments(void **state)
{
	static const char *const lines[] = {
		"{\"at\":1,\"op\":\"tenant.create\",\"tenant\":\"acme\"}",
	};
	struct store_stats st;
	struct store *s;
	char id[17], path[256];
	char zeros[1000];

	(void)state;
	empty_store(id);
	write_segment("fedcba9876543210", 500, lines, 1);
	memset(zeros, 'x', sizeof(zeros));
	state_write(dir, "journal/00000000000000000700", zeros, 1000);
	state_write(dir, "journal/note.txt", "kept", 4);
	s = state_open(dir);
	store_stats(s, &st);
	assert_int_equal(st.quarantined, 2);
	assert_int_equal(st.tenants, 0);
	/* Numbers never go back: such a name was given out once. */
	assert_true(st.lsn >= 699);
	state_close(s);
	assert_true(state_find(dir, "quarantine", "00000000000000000700.",
	    path));
	assert_int_equal(state_count(dir, "quarantine", ".why"), 2);
	assert_int_equal(state_count(dir, "journal", "note.txt"), 1);
	/* Nor do they when it only lies in quarantine. */
	(void)snprintf(path, sizeof(path), "%s/journal", dir);
	state_remove(path);
	s = state_open(dir);
	store_stats(s, &st);
	assert_true(st.lsn >= 699);
	state_close(s);
}

/* --- bad documents ------------------------------------------------------ */

#define DOC	"tenants/acme/conversations/a.json"

static void
break_file(const char *name)
{
	size_t len;
	char *p = state_read(dir, name, &len);

	assert_non_null(p);
	p[len / 2] ^= 1;
	state_write(dir, name, p, len);
	free(p);
}

/* The journal reaches back to its creation: it is built anew. */
static void
rebuilt(void **state)
{
	char *text = crash(busy_and_flushed);
	struct store *s;

	(void)state;
	break_file(DOC);
	s = opens_as(text);
	state_close(s);
	assert_int_equal(state_count(dir, "quarantine", ASIDE), 2);
	assert_int_equal(state_count(dir, "quarantine", ".why"), 1);
	s = opens_as(text);
	state_close(s);
	free(text);
}

/* Nothing to build it from: 503 now, and after the next start. */
static void
set_aside(void **state)
{
	struct store *s;
	struct tenant *t;
	struct list_page page;
	struct list_query q = { .limit = 10 };
	char path[256];
	size_t len;
	char *why;
	int i;

	(void)state;
	free(crash(busy_and_flushed));
	(void)snprintf(path, sizeof(path), "%s/journal", dir);
	state_remove(path);
	break_file(DOC);
	for (i = 0; i < 3; i++) {
		s = state_open(dir);
		IS(s, "a", STORE_DAMAGED);
		HAS(s, "b", 1);
		t = state_tenant(s, "acme");
		assert_int_equal(state_append(s, t, "a", "i", "x", NULL, NULL),
		    STORE_DAMAGED);
		assert_int_equal(state_create(s, t, "a", NULL, NULL, NULL),
		    STORE_EXISTS);
		/* A retry of its creation cannot be answered either. */
		assert_int_equal(state_create(s, t, "z", NULL, "key-a", NULL),
		    STORE_DAMAGED);
		assert_int_equal(store_list(t, &q, &page), STORE_OK);
		assert_int_equal(page.nviews, 1);
		store_list_fini(&page);
		store_tenant_put(t);
		state_close(s);
	}
	assert_int_equal(state_count(dir, "quarantine", ASIDE), 2);
	assert_true(state_find(dir, "quarantine", ".why", path));
	assert_non_null(why = state_read(dir, path, &len));
	assert_non_null(strstr(why, "checksum"));
	free(why);
}

static void
append_to_a(struct store *s)
{
	struct tenant *t = state_tenant(s, "acme");

	assert_int_equal(state_append(s, t, "a", "a9", "late", NULL, NULL),
	    0);
	store_tenant_put(t);
}

/* What an operator puts back is served again. */
static void
put_back(void **state)
{
	struct store *s;
	char path[256];
	char *text = crash(busy_and_flushed), *p;
	size_t len;

	(void)state;
	assert_non_null(p = state_read(dir, DOC, &len));
	(void)snprintf(path, sizeof(path), "%s/journal", dir);
	state_remove(path);
	break_file(DOC);
	s = state_open(dir);
	IS(s, "a", STORE_DAMAGED);
	state_close(s);
	state_write(dir, DOC, p, len);
	s = opens_as(text);
	state_close(s);
	free(p);
	free(text);
}

/*
 * What the journal held for a document that is set aside is kept with it: put
 * back in time it takes them, and later somebody can.
 */
static void
put_back_with_changes(void **state)
{
	struct store *s;
	char *text = crash(flushed_then_appends), *p;
	char path[256];
	size_t len;

	(void)state;
	/* The creation is no longer in the journal. */
	state_close(state_open(dir));
	(void)snprintf(path, sizeof(path), "%s/journal", dir);
	state_remove(path);
	free(text);
	text = crash(append_to_a);
	assert_non_null(p = state_read(dir, DOC, &len));
	break_file(DOC);
	s = state_open(dir);
	IS(s, "a", STORE_DAMAGED);
	state_close(s);
	assert_true(state_count(dir, "quarantine", "0000") > 0);
	state_write(dir, DOC, p, len);
	s = opens_as(text);
	state_close(s);
	free(p);
	free(text);
}

/* A file that is no file, or cannot be read, is one damaged conversation. */
static void
unreadable(void **state)
{
	struct store *s;
	char path[256];

	(void)state;
	free(crash(busy_and_flushed));
	(void)snprintf(path, sizeof(path), "%s/journal", dir);
	state_remove(path);
	(void)snprintf(path, sizeof(path), "%s/%s", dir, DOC);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	s = state_open(dir);
	IS(s, "a", STORE_DAMAGED);
	HAS(s, "b", 1);
	state_close(s);
}

/* tenant.json is bad, but the journal holds all of its changes. */
static void
tenant_rebuilt(void **state)
{
	char *text = crash(busy_and_flushed);
	struct store *s;

	(void)state;
	break_file("tenants/acme/tenant.json");
	s = opens_as(text);
	state_close(s);
	s = opens_as(text);
	state_close(s);
	free(text);
}

/*
 * tenant.json is lost: the tenant answers so, also later, but its
 * conversations take what the journal has for them, for the day when it is
 * put back.
 */
static void
tenant_lost(void **state)
{
	struct change ch = { .kind = CHANGE_TENANT_CREATE,
	    .tenant = "acme" };
	struct outcome o;
	struct tenant *t;
	struct store *s;
	char path[256];
	char *text, *p;
	size_t len;
	int i;

	(void)state;
	free(crash(busy_and_flushed));
	(void)snprintf(path, sizeof(path), "%s/journal", dir);
	state_remove(path);
	assert_non_null(p = state_read(dir, "tenants/acme/tenant.json", &len));
	text = crash(append_to_b);
	break_file("tenants/acme/tenant.json");
	for (i = 0; i < 3; i++) {
		s = state_open(dir);
		if (i > 0)
			(void)store_warm(s, "acme", 4);
		assert_int_equal(store_tenant_get(s, "acme", 4, &t),
		    STORE_DAMAGED);
		assert_int_equal(store_commit(s, NULL, &ch, &o),
		    STORE_DAMAGED);
		t = state_tenant(s, "other");
		assert_non_null(t);
		store_tenant_put(t);
		state_close(s);
		if (i == 1)
			state_remove(path);
	}
	state_write(dir, "tenants/acme/tenant.json", p, len);
	s = opens_as(text);
	state_close(s);
	free(text);
	free(p);
}

/* What a crash left half written is nobody's and goes. */
static void
left_overs(void **state)
{
	static const char *const folders[] = { ".", "tenants/acme",
	    "tenants/acme/conversations", "tenants/acme/once", "quarantine",
	    "journal" };
	struct store *s;
	char name[256];
	char *text = crash(busy_and_flushed);
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		(void)snprintf(name, sizeof(name),
		    "%s/.tmp-0123456789abcdef", folders[i]);
		state_write(dir, name, "{", 1);
	}
	state_write(dir, "tenants/acme/conversations/README", "kept", 4);
	s = opens_as(text);
	state_close(s);
	for (i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
		if (state_count(dir, folders[i], ".tmp-") != 0)
			fail_msg("%s", folders[i]);
	assert_int_equal(state_count(dir, "tenants/acme/conversations",
	    "README"), 1);
	free(text);
}

/* --- the first start ---------------------------------------------------- */

/* Whatever call fails in the first start, the second one succeeds. */
static void
first_start_fails(void **state)
{
	struct store_options o;
	struct store *s;
	pid_t holder;
	int n, rc;

	(void)state;
	for (n = 1; ; n++) {
		state_remove(dir);
		o = state_options(dir);
		fault_arm(n, n % 2 == 0 ? EIO : ENOSPC);
		rc = store_open(&o, &s, &holder);
		if (!fault_fired())
			break;
		fault_disarm();
		if (rc == 0)
			state_close(s);
		assert_int_equal(store_open(&o, &s, &holder), 0);
		busy(s);
		HAS(s, "a", 2);
		state_close(s);
	}
	fault_disarm();
	assert_int_equal(rc, 0);
	assert_true(n > 20);
	state_close(s);
}

/* The store's own name is synced into the folder above it. */
static void
first_start_syncs(void **state)
{
	unsigned long before, made, found;

	(void)state;
	before = fault_count(FAULT_FSYNC);
	state_close(state_open(dir));
	made = fault_count(FAULT_FSYNC) - before;
	state_remove(dir);
	assert_int_equal(mkdir(dir, 0700), 0);
	before = fault_count(FAULT_FSYNC);
	state_close(state_open(dir));
	found = fault_count(FAULT_FSYNC) - before;
	assert_int_equal(made, found + 1);
}

/* As above, but killed at that very call. */
static void
first_start_killed(void **state)
{
	struct store_options o;
	struct store *s;
	pid_t holder, pid;
	int n, status;

	(void)state;
	for (n = 1; ; n++) {
		state_remove(dir);
		o = state_options(dir);
		assert_true((pid = fork()) != -1);
		if (pid == 0) {
			fault_kill(n);
			if (store_open(&o, &s, &holder) != 0)
				_exit(1);
			_exit(0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		assert_int_not_equal(WEXITSTATUS(status), 1);
		assert_int_equal(store_open(&o, &s, &holder), 0);
		busy(s);
		state_close(s);
		if (WEXITSTATUS(status) == 0)
			break;
	}
	assert_true(n > 20);
}

/* The same over a store that has something to replay. */
static void
start_fails(void **state)
{
	struct store_options o = state_options(dir);
	char saved[STATE_PATH];
	struct store *s;
	pid_t holder;
	char *text = crash(busy_flushed_busy);
	int n, rc;

	(void)state;
	state_folder(saved);
	state_copy(dir, saved);
	for (n = 1; ; n++) {
		state_copy(saved, dir);
		/* A failing read would be damage: not of this test. */
		fault_arm_call(FAULT_ANY & ~FAULT_READ & ~FAULT_OPENAT &
		    ~FAULT_FSTAT, n, EIO);
		rc = store_open(&o, &s, &holder);
		if (!fault_fired())
			break;
		fault_disarm();
		if (rc == 0)
			state_close(s);
		s = opens_as(text);
		state_close(s);
	}
	fault_disarm();
	assert_int_equal(rc, 0);
	state_close(s);
	assert_true(n > 10);
	/* Out of descriptors nothing is taken for damaged. */
	for (n = 1; ; n++) {
		state_copy(saved, dir);
		fault_arm_call(FAULT_OPENAT, n, EMFILE);
		rc = store_open(&o, &s, &holder);
		if (!fault_fired())
			break;
		fault_disarm();
		if (rc == 0)
			state_close(s);
		assert_int_equal(state_count(dir, "quarantine", ""), 0);
		s = opens_as(text);
		state_close(s);
	}
	fault_disarm();
	state_close(s);
	/* A read that fails once is no damage either. */
	for (n = 1; ; n++) {
		state_copy(saved, dir);
		fault_arm_call(FAULT_READ, n, EIO);
		rc = store_open(&o, &s, &holder);
		if (!fault_fired())
			break;
		fault_disarm();
		if (rc == 0)
			state_close(s);
		assert_int_equal(state_count(dir, "quarantine", ""), 0);
		s = opens_as(text);
		state_close(s);
	}
	fault_disarm();
	state_close(s);
	state_remove(saved);
	free(text);
}

/* A folder with other things in it is not made a store. */
static void
not_a_store(void **state)
{
	struct store_options o = state_options(dir);
	struct store *s;
	pid_t holder;
	size_t len;
	char *p;

	(void)state;
	assert_int_equal(mkdir(dir, 0700) == 0 || errno == EEXIST, 1);
	state_write(dir, "thesis.txt", "precious", 8);
	assert_int_equal(store_open(&o, &s, &holder), -1);
	assert_int_equal(holder, 0);
	assert_non_null(p = state_read(dir, "thesis.txt", &len));
	free(p);
	assert_int_equal(state_count(dir, ".", "store.json"), 0);
	state_remove(dir);
	assert_int_equal(mkdir(dir, 0700), 0);
	state_write(dir, "store.json", "{\"format\":2}", 12);
	assert_int_equal(store_open(&o, &s, &holder), -1);
	state_write(dir, "store.json", "{\"format\":1,\"store\":"
	    "\"../../../../etc/\",\"epochs\":[]}", 50);
	assert_int_equal(store_open(&o, &s, &holder), -1);
}

static int
setup(void **state)
{
	(void)state;
	fault_disarm();
	state_folder(dir);
	state_remove(dir);
	state_folder(side);
	return (0);
}

static int
teardown(void **state)
{
	(void)state;
	fault_disarm();
	state_remove(dir);
	state_remove(side);
	return (0);
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(crashes),
		TEST(documents_alone),
		TEST(replayed_is_flushed),
		TEST(older_journal),
		TEST(torn_tail),
		TEST(gap_in_the_journal),
		TEST(gap_behind_a_document),
		TEST(deleted_while_damaged),
		TEST(gap_in_a_copy),
		TEST(hole_before_the_tail),
		TEST(odd_records),
		TEST(second_birth),
		TEST(future_once),
		TEST(foreign_segments),
		TEST(rebuilt),
		TEST(set_aside),
		TEST(put_back),
		TEST(put_back_with_changes),
		TEST(unreadable),
		TEST(tenant_rebuilt),
		TEST(tenant_lost),
		TEST(left_overs),
		TEST(first_start_fails),
		TEST(first_start_syncs),
		TEST(first_start_killed),
		TEST(start_fails),
		TEST(not_a_store),
	};

	fault_init();
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
