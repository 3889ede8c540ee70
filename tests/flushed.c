#include <sys/stat.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/store_internal.h"
#include "tests/fault.h"
#include "tests/flushed.h"
#include "tests/logged.h"

struct store *s;
struct tenant *t;

void
open_it(int64_t keep_ms, size_t segment)
{
	struct store_options o = state_options(dir);
	pid_t holder;

	o.keep_ms = keep_ms;
	o.journal_segment = segment;
	assert_int_equal(store_open(&o, &s, &holder), 0);
	t = state_tenant(s, "acme");
}

void
close_it(void)
{

	store_tenant_put(t);
	t = NULL;
	state_close(s);
	s = NULL;
}

ino_t
inode(const char *name)
{
	struct stat st;
	char path[256];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	return (stat(path, &st) == 0 ? st.st_ino : 0);
}

size_t
dirty(void)
{
	struct store_stats st;

	store_stats(s, &st);
	return (st.dirty);
}

size_t
segments(void)
{
	struct store_stats st;

	store_stats(s, &st);
	return (st.segments);
}

void
copy_is_whole(void)
{
	struct store *two;
	char *here = state_dump(s), *there;

	state_copy(dir, side);
	two = state_open(side);
	there = state_dump(two);
	assert_string_equal(here, there);
	state_close(two);
	free(here);
	free(there);
}

void
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

void
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

struct flush_stats
figures(void)
{
	struct flush_stats st;

	flush_stats(s->flush, &st);
	return (st);
}

uint64_t
passes(void)
{
	struct flush_stats st = figures();

	return (histogram_count(&st.duration_ms));
}

void
await_segments(size_t n)
{
	int i;

	for (i = 0; i < 100 && segments() > n; i++) {
		usleep(50 * 1000);
		assert_int_equal(store_flush(s), 0);
	}
	assert_int_equal(segments(), n);
}

void
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

void
await_dirty(size_t n)
{
	int i;

	for (i = 0; i < 2000 && dirty() != n; i++)
		usleep(10 * 1000);
	assert_int_equal(dirty(), n);
}

void
await_failed(size_t n)
{
	int i;

	for (i = 0; i < 2000 && figures().failing != n; i++)
		usleep(10 * 1000);
	assert_int_equal(figures().failing, n);
}

void
await_passes(uint64_t n)
{
	int i;

	for (i = 0; i < 2000 && passes() < n; i++)
		usleep(10 * 1000);
	assert_in_range(passes(), n, UINT64_MAX);
}

int
setup(void **state)
{
	(void)state;
	fault_disarm();
	place_make();
	return (0);
}

int
teardown(void **state)
{
	(void)state;
	logged_stop();
	fault_disarm();
	place_remove();
	return (0);
}
