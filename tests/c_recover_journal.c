/*
 * store/replay: journals that are torn, damaged, copied or of another store
 * (promises 4, 6 and 7).
 */

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
#include "store/sys.h"
#include "tests/crashed.h"
#include "tests/fault.h"
#include "tests/state.h"

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

/*
 * The last batch was never acknowledged if it is torn; the rest stands.  The
 * file stays as it is: nothing is cut off or put behind.
 */
static void
torn_tail(void **state)
{
	static const char name[] = "journal/00000000000000000001";
	struct store *s;
	char *before, *after;
	size_t len, now;

	(void)state;
	free(crash(three_appends));
	damage_batch("whole");
	assert_non_null(before = state_read(dir, name, &len));
	s = state_open(dir);
	HAS(s, "a", 3);
	HAS(s, "b", 0);
	assert_int_equal(state_count(dir, "quarantine", ""), 0);
	append_to_b(s);
	state_close(s);
	assert_non_null(after = state_read(dir, name, &now));
	assert_int_equal(now, len);
	assert_memory_equal(after, before, len);
	free(before);
	free(after);
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
		if (i == 1)
			remove_journal();
	}
}

static void
created_and_appended(struct store *s)
{
	struct tenant *t = state_tenant(s, "acme");

	assert_int_equal(state_create(s, t, "b", NULL, NULL, NULL), 0);
	assert_int_equal(state_create(s, t, "a", "creator", NULL, NULL), 0);
	assert_int_equal(state_append(s, t, "a", "a1", "alpha", NULL, NULL),
	    0);
	assert_int_equal(state_append(s, t, "b", "b1", "beta", NULL, NULL), 0);
	store_tenant_put(t);
}

/* Without its creation nothing is known of it, but that it was there. */
static void
creation_is_lost(void **state)
{
	struct tenant *t;
	struct store *s;
	int i;

	(void)state;
	free(crash(created_and_appended));
	damage_batch("creator");
	for (i = 0; i < 3; i++) {
		s = state_open(dir);
		IS(s, "a", STORE_DAMAGED);
		HAS(s, "b", 1);
		state_close(s);
		assert_int_equal(state_count(dir, "quarantine", ASIDE), 2);
		assert_true(state_count(dir, "quarantine", "0000") > 0);
		if (i == 1)
			remove_journal();
	}
	/* The tenant may delete it, for good. */
	s = state_open(dir);
	t = state_tenant(s, "acme");
	assert_int_equal(state_delete(s, t, "a", NULL), STORE_OK);
	store_tenant_put(t);
	state_close(s);
	s = state_open(dir);
	IS(s, "a", STORE_NOENT);
	state_close(s);
}

static void
appended_then_imported(struct store *s)
{
	struct change ch = { .kind = CHANGE_CONVERSATION_IMPORT,
	    .metadata = { "{}", 2 }, .replaces = true };
	struct tenant *t;

	created_and_appended(s);
	t = state_tenant(s, "acme");
	strlcpy(ch.conversation, "a", sizeof(ch.conversation));
	assert_int_equal(state_commit(s, t, &ch, NULL), STORE_OK);
	store_tenant_put(t);
}

/* What was lost does not matter once it is there anew. */
static void
lost_and_imported(void **state)
{
	struct store *s;
	int i;

	(void)state;
	free(crash(appended_then_imported));
	damage_batch("creator");
	for (i = 0; i < 2; i++) {
		s = state_open(dir);
		HAS(s, "a", 0);
		HAS(s, "b", 1);
		state_close(s);
		assert_int_equal(state_count(dir, "quarantine", ASIDE), 0);
	}
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
		if (i == 1)
			remove_journal();
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
	struct store_stats st;
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
		store_stats(s, &st);
		_exit(st.segments == 1 ? 0 : 2);
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
	assert_int_equal(segment_create(fd, store_id, first, "", 4096,
	    &seg), 0);
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

/*
 * A spare that a crash left behind goes at the next start, and no number
 * below its name is given again.
 */
static void
left_spare(void **state)
{
	static const char name[] = "journal/00000000000000000700-000003";
	struct segment *seg;
	struct store_stats st;
	struct store *s;
	char id[17], path[256], *p;
	size_t len;
	int fd;

	(void)state;
	empty_store(id);
	(void)snprintf(path, sizeof(path), "%s/journal", dir);
	assert_true((fd = open(path, O_RDONLY | O_DIRECTORY)) != -1);
	assert_int_equal(segment_create(fd, id, 700,
	    "00000000000000000700-000002", 4096, &seg), 0);
	p = state_read(dir, name, &len);
	assert_non_null(p);
	segment_close(seg);
	close(fd);
	/* One that is torn may have been more, and waits for its time. */
	state_write(dir, name, p, len);
	state_write(dir, "journal/00000000000000000600", p, 17);
	free(p);
	s = state_open(dir);
	assert_int_equal(state_count(dir, "journal", "700-000003"), 0);
	assert_int_equal(state_count(dir, "journal", "0600"), 1);
	assert_int_equal(state_count(dir, "quarantine", "0700"), 0);
	store_stats(s, &st);
	assert_int_equal(st.lsn, 699);
	state_close(s);
}

/* A store that was new but for these lines in its journal, opened. */
static struct store *
opens_with(const char *const *lines, size_t n)
{
	char id[17];

	empty_store(id);
	write_segment(id, 10, lines, n);
	return (state_open(dir));
}

/* The same; x has one item, also at the next start. */
static void
has_one_item(const char *const *lines, size_t n)
{
	struct store *s = opens_with(lines, n);

	HAS(s, "x", 1);
	state_close(s);
	s = state_open(dir);
	HAS(s, "x", 1);
	state_close(s);
}

#define NELEMS(a)	(sizeof(a) / sizeof((a)[0]))

/* Lines of acme. */
#define OP(at, op)	"{\"at\":" at ",\"op\":\"" op "\",\"tenant\":\"acme\""
#define C(id, birth, version)	",\"conversation\":\"" id "\",\"birth\":\""	\
	birth "\",\"version\":" version
#define ACME			OP("1", "tenant.create") "}"
#define CREATE(at, id, birth)						\
	OP(at, "conversation.create") C(id, birth, "1") "}"
#define DELETE(at, id, birth, version)					\
	OP(at, "conversation.delete") C(id, birth, version) "}"
#define APPEND(at, id, birth, version, item)				\
	OP(at, "items.append") C(id, birth, version)			\
	",\"items\":[{\"id\":\"" item "\"}]}"

/* Records that cannot be applied are left out, the others are taken. */
static void
odd_records(void **state)
{
	static const char *const lines[] = {
		ACME,
		OP("1", "tenant.burn") "}",
		"{\"at\":1,\"op\":\"conversation.create\",\"tenant\":\"no\""
		    C("x", "1", "1") "}",
		CREATE("2", "x", "1"),
		/* of a conversation that is not there */
		APPEND("2", "y", "1", "2", "i"),
		/* of another birth */
		APPEND("2", "x", "2", "2", "i"),
		/* a tenant's kind that names a conversation */
		OP("2", "apikey.revoke") C("x", "1", "2")
		    ",\"item\":\"key_1\"}",
		"no JSON at all",
		APPEND("3", "x", "1", "2", "j"),
	};
	struct store *s = opens_with(lines, NELEMS(lines));

	(void)state;
	HAS(s, "x", 1);
	/* It was there once: only its creation is lost. */
	IS(s, "y", STORE_DAMAGED);
	assert_true(store_durable(s) >= 18);
	state_close(s);
}

/* A gap does not outlive its conversation, whose id another may have. */
static void
gap_of_a_former_life(void **state)
{
	static const char *const lines[] = {
		ACME, CREATE("2", "x", "1"), APPEND("3", "x", "1", "3", "i"),
		DELETE("4", "x", "1", "4"), CREATE("5", "x", "2"),
		APPEND("6", "x", "2", "2", "j"),
	};

	(void)state;
	has_one_item(lines, NELEMS(lines));
}

/*
 * An id that was deleted, swept and used again: its second life counts, with
 * the first still in the journal.
 */
static void
second_birth(void **state)
{
	static const char *const lines[] = {
		ACME, CREATE("1", "x", "1"), DELETE("2", "x", "1", "2"),
		CREATE("3", "x", "2"), APPEND("4", "x", "2", "2", "j"),
	};

	(void)state;
	has_one_item(lines, NELEMS(lines));
}

/* A clock that was ahead: its idempotency record is written all the same. */
static void
future_once(void **state)
{
	static const char *const lines[] = {
		ACME,
		OP("4102444800000", "conversation.create") C("x", "1", "1")
		    ",\"once\":{\"key\":\"k\",\"scope\":\"0000000000000007\","
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
	write_segment(id, 10, lines, NELEMS(lines));
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
		ACME,
	};
	struct store_stats st;
	struct store *s;
	char id[17], path[256];
	char foreign[10000];

	(void)state;
	empty_store(id);
	write_segment("fedcba9876543210", 500, lines, 1);
	memset(foreign, 'x', sizeof(foreign));
	state_write(dir, "journal/00000000000000000700", foreign,
	    sizeof(foreign));
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
	remove_journal();
	s = state_open(dir);
	store_stats(s, &st);
	assert_true(st.lsn >= 699);
	state_close(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(torn_tail),
		TEST(gap_in_the_journal),
		TEST(creation_is_lost),
		TEST(lost_and_imported),
		TEST(gap_behind_a_document),
		TEST(deleted_while_damaged),
		TEST(gap_in_a_copy),
		TEST(hole_before_the_tail),
		TEST(odd_records),
		TEST(gap_of_a_former_life),
		TEST(second_birth),
		TEST(future_once),
		TEST(left_spare),
		TEST(foreign_segments),
	};

	fault_init();
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
