/*
 * store/identity: store.json says which store it is, and a store whose own is
 * damaged, lost or of a later rememberd is not opened and not touched.
 */

#include <sys/stat.h>

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

#include "store/identity.h"
#include "tests/crashed.h"
#include "tests/logged.h"

#define FILE_NAME	"store.json"

/* The store does not open, nothing in it changes, and the log says what. */
static void
refused(const char *what)
{
	struct store_options o = state_options(dir);
	struct store *s;
	char *before = state_tree(dir), *after;
	pid_t holder;

	logged_start();
	assert_int_equal(store_open(&o, &s, &holder), -1);
	assert_int_equal(holder, 0);
	logged_has(what);
	after = state_tree(dir);
	assert_string_equal(before, after);
	free(before);
	free(after);
}

static char *
whole(size_t *len)
{
	char *p = state_read(dir, FILE_NAME, len);

	assert_non_null(p);
	return (p);
}

/* Every bit, every end; the store is refused and told how to be mended. */
static void
damaged(void **state)
{
	struct identity id;
	char why[DOCUMENT_WHY];
	char *text = crash(busy_and_flushed), *p;
	size_t i, len;
	int bit;

	(void)state;
	p = whole(&len);
	identity_init(&id);
	for (i = 0; i < len; i++) {
		assert_int_equal(identity_read(&id, p, i, why), DOCUMENT_BAD);
		for (bit = 0; bit < 8; bit++) {
			p[i] ^= (char)(1 << bit);
			assert_int_equal(identity_read(&id, p, len, why),
			    DOCUMENT_BAD);
			p[i] ^= (char)(1 << bit);
		}
	}
	identity_fini(&id);
	for (i = 0; i < len; i += 37) {
		state_write(dir, FILE_NAME, p, i);
		refused("Put it back");
		p[i] ^= 1;
		state_write(dir, FILE_NAME, p, len);
		p[i] ^= 1;
		refused("Put it back");
	}
	state_write(dir, FILE_NAME, p, len);
	state_close(opens_as(text));
	free(p);
	free(text);
}

/* Lost: the log has the very command that lets the store open again. */
static void
lost(void **state)
{
	char path[STATE_PATH + 64], line[1024];
	const char *at;
	char *text = crash(busy_flushed_busy);
	int i;

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/" FILE_NAME, dir);
	for (i = 0; i < 2; i++) {
		assert_int_equal(unlink(path), 0);
		refused("write it anew: echo '{");
		assert_non_null(at = strstr(logged_text(), "echo '{"));
		strlcpy(line, at, sizeof(line));
		assert_non_null(strstr(line, FILE_NAME "'"));
		strstr(line, FILE_NAME "'")[sizeof(FILE_NAME)] = '\0';
		/* As it stands in the log, which escapes these. */
		assert_null(strpbrk(line, "\"\\\n"));
		/* Once from the journal, once from documents alone. */
		assert_int_equal(system(line), 0);
		logged_start();
		state_close(opens_as(text));
		logged_has("no checksum");
		drop_journal();
	}
	/* It has one again. */
	logged_start();
	state_close(opens_as(text));
	logged_has_not("no checksum");
	free(text);
}

/* It is no file: refused, and left there. */
static void
no_file(void **state)
{
	char path[STATE_PATH + 64], aside[STATE_PATH + 64];
	char *text = crash(busy_and_flushed);

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/" FILE_NAME, dir);
	(void)snprintf(aside, sizeof(aside), "%s/kept", side);
	assert_int_equal(rename(path, aside), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	refused("Is a directory");
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	refused(FILE_NAME);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink(aside, path), 0);
	refused("symbolic links");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rename(aside, path), 0);
	state_close(opens_as(text));
	free(text);
}

/* A later format is refused in words; what is not known here survives. */
static void
newer(void **state)
{
	static const char newer[] = "{\"rememberd\":\"store\",\"format\":2,"
	    "\"store\":\"0123456789abcdef\",\"epochs\":[]}\n";
	static const char head[] = "{\"rememberd\":\"store\",\"format\":1,"
	    "\"store\":\"0123456789abcdef\",\"flags\":{\"a\": 0.1}, \"epochs\":"
	    " [{\"epoch\":\"e\",\"lsn\":1,\"at\":2,\"host\":\"h\"}]}";
	struct buf b = BUF_INITIALIZER;
	struct identity id;
	char why[DOCUMENT_WHY];
	char *p;
	size_t len, n = 0;
	const char *at;
	int i;

	(void)state;
	assert_int_equal(mkdir(dir, 0700), 0);
	state_write(dir, FILE_NAME, newer, strlen(newer));
	refused("it was written by a newer rememberd: format 2, this one "
	    "reads up to 1");
	state_write(dir, FILE_NAME, head, strlen(head));
	for (i = 0; i < 2; i++)
		state_close(state_open(dir));
	p = whole(&len);
	assert_non_null(strstr(p, "\"store\":\"0123456789abcdef\",\"flags\":"
	    "{\"a\":0.1},\n\"epochs\":[\n{\"epoch\":\"e\",\"lsn\":1,\"at\":2,"
	    "\"host\":\"h\"},\n{\"epoch\":"));
	/* 64 starts are remembered, the newest. */
	identity_init(&id);
	for (i = 0; i < 100; i++) {
		assert_int_equal(identity_read(&id, p, len, why), 0);
		free(p);
		identity_start(&id, 100 + (uint64_t)i, 0);
		identity_encode(&id, &b);
		assert_non_null(p = buf_take(&b, &len));
	}
	identity_fini(&id);
	for (at = p; (at = strstr(at, "\"epoch\"")) != NULL; at++)
		n++;
	assert_int_equal(n, 64);
	assert_non_null(strstr(p, "\"lsn\":199,"));
	assert_null(strstr(p, "\"lsn\":135,"));
	free(p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(damaged),
		TEST(lost),
		TEST(no_file),
		TEST(newer),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
