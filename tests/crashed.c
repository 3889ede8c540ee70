#include <sys/stat.h>
#include <sys/wait.h>

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

#include "store/sys.h"
#include "tests/crashed.h"
#include "tests/fault.h"

/* In another process, which notes all that it had if it is to tell. */
static void
run_and_crash(void (*work)(struct store *), bool tells)
{
	struct store *s;
	char *text;
	pid_t pid;
	int status;

	assert_true((pid = fork()) != -1);
	if (pid == 0) {
		s = state_open(dir);
		work(s);
		if (tells) {
			text = state_dump(s);
			state_write(side, "dump", text, strlen(text));
		}
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

char *
crash(void (*work)(struct store *))
{
	char *text;
	size_t len;

	run_and_crash(work, true);
	assert_non_null(text = state_read(side, "dump", &len));
	return (text);
}

void
crash_quietly(void (*work)(struct store *))
{

	run_and_crash(work, false);
}

struct store *
opens_as(const char *text)
{
	struct store *s = state_open(dir);
	char *now = state_dump(s);

	assert_string_equal(now, text);
	free(now);
	return (s);
}

enum store_err
look(struct store *s, const char *id, struct conversation_view *v)
{
	struct tenant *t = state_tenant(s, "acme");
	enum store_err err;
	uint64_t lsn;

	err = store_conversation(t, id, NULL, v, &lsn);
	store_tenant_put(t);
	return (err);
}

enum store_err
items_of(struct store *s, const char *id, uint64_t *n)
{
	struct conversation_view v;
	enum store_err err = look(s, id, &v);

	*n = v.item_count;
	store_view_fini(&v);
	return (err);
}

void
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

void
busy_and_flushed(struct store *s)
{

	busy(s);
	assert_int_equal(store_flush(s), 0);
}

void
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

void
nothing(struct store *s)
{

	(void)s;
}

void (*const works[NWORKS])(struct store *) = {
	nothing, busy, busy_and_flushed, busy_flushed_busy,
};

void
append_to_b(struct store *s)
{
	struct tenant *t = state_tenant(s, "acme");

	assert_int_equal(state_append(s, t, "b", "b7", "late", NULL, NULL),
	    0);
	store_tenant_put(t);
}

void
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

/* Turn a byte of text in that segment; 1 if it holds it. */
static int
damage_segment(const char *name, void *text)
{
	char path[STATE_PATH + 300];
	char *p, *at;
	size_t len;
	int fd;

	(void)snprintf(path, sizeof(path), "journal/%s", name);
	assert_non_null(p = state_read(dir, path, &len));
	at = memmem(p, len, text, strlen(text));
	if (at != NULL) {
		(void)snprintf(path, sizeof(path), "%s/journal/%s", dir, name);
		assert_true((fd = open(path, O_WRONLY)) != -1);
		assert_int_equal(pwrite(fd, "#", 1, at - p), 1);
		close(fd);
	}
	free(p);
	return (at != NULL);
}

void
damage_batch(const char *text)
{
	char path[STATE_PATH + 16], copy[64];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/journal", dir);
	(void)strlcpy(copy, text, sizeof(copy));
	assert_true((fd = open(path, O_RDONLY | O_DIRECTORY)) != -1);
	assert_int_equal(sys_eachname(fd, damage_segment, copy), 1);
	close(fd);
}

void
break_file(const char *name)
{
	size_t len;
	char *p = state_read(dir, name, &len);

	assert_non_null(p);
	p[len / 2] ^= 1;
	state_write(dir, name, p, len);
	free(p);
}

int
setup(void **state)
{
	(void)state;
	fault_disarm();
	place_make();
	state_remove(dir);
	return (0);
}

int
teardown(void **state)
{
	(void)state;
	fault_disarm();
	place_remove();
	return (0);
}

void
drop_journal(void)
{
	char path[STATE_PATH + 16];

	remove_journal();
	(void)snprintf(path, sizeof(path), "%s/journal", dir);
	assert_int_equal(mkdir(path, 0700), 0);
}
