/*
 * store/once: a retry is known by its key, or by the rule for clients that
 * send none (API.md, decisions), and nothing else is.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "store/once.h"

#define NOW	INT64_C(1760000000000)
#define LIMIT	5

static struct once_table table;
static uint64_t next_lsn;

static struct change_once
ask(const char *key, uint64_t credential, const char *body, uint32_t count)
{
	struct change_once o = { .key = key, .scope = 1,
	    .credential = credential, .retry_count = count };

	strncpy((char *)o.body, body, sizeof(o.body));
	return (o);
}

static struct once *
add(const struct change_once *o, int64_t at)
{
	struct once *r = once_new(o, "conv_1");

	assert_non_null(r);
	r->at = at;
	r->lsn = ++next_lsn;
	once_add(&table, r);
	return (r);
}

/* What it is the retry of, if anything; down since NOW for 10 min. */
static struct once *
find(const struct change_once *o, int64_t now)
{
	struct once *r = (void *)1;

	assert_int_equal(once_find(&table, o, now, 0, NOW, &r), STORE_OK);
	return (r);
}

static void
keys(void **state)
{
	struct change_once o = ask("k", 1, "body", 0), other;
	struct once *r, *found;

	(void)state;
	assert_null(find(&o, NOW));
	r = add(&o, NOW);
	assert_ptr_equal(find(&o, NOW), r);
	/* Whatever the count and the credential say. */
	other = ask("k", 2, "body", 3);
	assert_ptr_equal(find(&other, NOW + 1), r);
	/* Another body, key, scope. */
	other = ask("k", 1, "other", 0);
	assert_int_equal(once_find(&table, &other, NOW, 0, NOW, &found),
	    STORE_REUSED);
	assert_null(found);
	other = ask("l", 1, "body", 0);
	assert_null(find(&other, NOW));
	other = o;
	other.scope = 2;
	assert_null(find(&other, NOW));
	/* Kept for a day, to the millisecond. */
	assert_ptr_equal(find(&o, NOW + ONCE_KEEP_MS), r);
	assert_null(find(&o, NOW + ONCE_KEEP_MS + 1));
	/* And then the key is free, for any body. */
	other = ask("k", 1, "other", 0);
	assert_null(find(&other, NOW + ONCE_KEEP_MS + 1));
	r = add(&other, NOW + ONCE_KEEP_MS + 1);
	assert_int_equal(table.nkeyed, 1);
	assert_ptr_equal(find(&other, NOW + ONCE_KEEP_MS + 2), r);
}

static void
counted_retries(void **state)
{
	struct change_once o = ask(NULL, 1, "body", 0), retry, other;
	struct once *r;

	(void)state;
	r = add(&o, NOW);
	/* The same count is a new request: "yes", and "yes" again. */
	assert_null(find(&o, NOW + 1));
	retry = ask(NULL, 1, "body", 1);
	assert_ptr_equal(find(&retry, NOW + 1), r);
	retry.retry_count = 2;
	assert_ptr_equal(find(&retry, NOW + 1), r);
	/* Another credential, body, scope. */
	other = ask(NULL, 2, "body", 1);
	assert_null(find(&other, NOW + 1));
	other = ask(NULL, 1, "other", 1);
	assert_null(find(&other, NOW + 1));
	other = retry;
	other.scope = 2;
	assert_null(find(&other, NOW + 1));
	/* Not after 90 s. */
	assert_ptr_equal(find(&retry, NOW + ONCE_RETRY_MS), r);
	assert_null(find(&retry, NOW + ONCE_RETRY_MS + 1));
}

/* A record that itself came with a count answers higher ones only. */
static void
counts_rise(void **state)
{
	struct change_once o = ask(NULL, 1, "body", 2), retry = o;
	struct once *r = add(&o, NOW);

	(void)state;
	retry.retry_count = 1;
	assert_null(find(&retry, NOW));
	retry.retry_count = 2;
	assert_null(find(&retry, NOW));
	retry.retry_count = 3;
	assert_ptr_equal(find(&retry, NOW), r);
}

/* Time in which the daemon was down does not count. */
static void
downtime(void **state)
{
	struct change_once o = ask(NULL, 1, "body", 0), retry;
	const int64_t down = 600 * 1000, started = NOW + 10000 + down;
	struct once *r = add(&o, NOW), *found;

	(void)state;
	retry = ask(NULL, 1, "body", 1);
	assert_int_equal(once_find(&table, &retry, started + 80000, down,
	    started, &found), STORE_OK);
	assert_ptr_equal(found, r);
	assert_int_equal(once_find(&table, &retry, started + 80001, down,
	    started, &found), STORE_OK);
	assert_null(found);
	/* A record that is younger than the start saw no downtime. */
	r->at = started + 1;
	assert_int_equal(once_find(&table, &retry, started + 90001, down,
	    started, &found), STORE_OK);
	assert_ptr_equal(found, r);
	assert_int_equal(once_find(&table, &retry, started + 90002, down,
	    started, &found), STORE_OK);
	assert_null(found);
}

/* Only the newest change of a credential, with or without key. */
static void
newest_only(void **state)
{
	struct change_once a = ask(NULL, 1, "a", 0), b = ask(NULL, 1, "b", 0);
	struct change_once k = ask("k", 1, "k", 0), x = ask(NULL, 2, "x", 0);
	struct change_once retry;
	struct once *r;

	(void)state;
	add(&a, NOW);
	r = add(&b, NOW);
	add(&x, NOW);
	retry = ask(NULL, 1, "a", 1);
	assert_null(find(&retry, NOW));
	retry = ask(NULL, 1, "b", 1);
	assert_ptr_equal(find(&retry, NOW), r);
	/* A change with a key is newer: what came before is no retry now. */
	r = add(&k, NOW);
	assert_null(find(&retry, NOW));
	retry = ask(NULL, 1, "k", 1);
	assert_ptr_equal(find(&retry, NOW), r);
	/* And the other way round; the key itself still answers. */
	add(&b, NOW);
	assert_null(find(&retry, NOW));
	assert_ptr_equal(find(&k, NOW), r);
	/* The other credential was not touched by any of it. */
	retry = ask(NULL, 2, "x", 1);
	assert_non_null(find(&retry, NOW));
}

static void
limits(void **state)
{
	struct change_once o;
	struct once *r;
	char key[16];
	int i;

	(void)state;
	for (i = 0; i < LIMIT; i++) {
		assert_false(once_is_full(&table, NOW, LIMIT));
		(void)snprintf(key, sizeof(key), "k%d", i);
		o = ask(key, 1, "body", 0);
		add(&o, NOW + i);
	}
	assert_true(once_is_full(&table, NOW + ONCE_KEEP_MS, LIMIT));
	/* One grows old, and makes room for one. */
	assert_false(once_is_full(&table, NOW + ONCE_KEEP_MS + 1, LIMIT));
	assert_int_equal(table.nkeyed, LIMIT - 1);
	o = ask("k0", 1, "body", 0);
	assert_null(find(&o, NOW));
	/* What has no key does not count, and does not pile up. */
	for (i = 0; i < 1000; i++) {
		o = ask(NULL, (uint64_t)i, "body", 0);
		add(&o, NOW);
	}
	assert_int_equal(table.nkeyed, LIMIT - 1);
	i = 0;
	TAILQ_FOREACH(r, &table.unkeyed, link)
		i++;
	assert_in_range(i, 10, 100);
	/* The newest stay. */
	o = ask(NULL, 999, "body", 1);
	assert_non_null(find(&o, NOW));
	o = ask(NULL, 0, "body", 1);
	assert_null(find(&o, NOW));
}

static void
same(const struct once *a, const struct once *b)
{
	if (a->key == NULL)
		assert_null(b->key);
	else
		assert_string_equal(a->key, b->key);
	assert_int_equal(a->scope, b->scope);
	assert_int_equal(a->credential, b->credential);
	assert_memory_equal(a->body, b->body, sizeof(a->body));
	assert_int_equal(a->count, b->count);
	assert_int_equal(a->at, b->at);
	assert_int_equal(a->lsn, b->lsn);
	assert_int_equal(a->version, b->version);
	assert_string_equal(a->conversation, b->conversation);
	assert_int_equal(a->ids_len, b->ids_len);
	if (a->ids_len > 0)
		assert_memory_equal(a->ids, b->ids, a->ids_len);
}

static void
round_trip(void **state)
{
	struct change_once o = ask("key \"with\\ all\n", UINT64_MAX, "b", 7);
	struct buf b = BUF_INITIALIZER;
	struct once *r, *back;
	size_t i;

	(void)state;
	o.scope = UINT64_C(0x8000000000000001);
	for (i = 0; i < sizeof(o.body); i++)
		o.body[i] = (unsigned char)(i * 17);
	for (i = 0; i < 2; i++) {
		r = once_new(&o, "conv_abc");
		assert_non_null(r);
		r->at = NOW;
		r->lsn = UINT64_MAX;
		r->version = 3;
		if (i == 0) {
			assert_true(once_add_id(r, "msg_1"));
			assert_true(once_add_id(r, "msg_2"));
		}
		once_encode(r, &b);
		assert_true(buf_ok(&b));
		back = once_decode((struct span){ b.data, b.len });
		assert_non_null(back);
		same(r, back);
		once_free(r);
		once_free(back);
		buf_clear(&b);
		o.key = NULL;
	}
	buf_fini(&b);
}

/* No text cut short or changed in one place breaks the reader. */
static void
decodes_anything(void **state)
{
	static const char bytes[] = "\"{}[],:x0-\\";
	struct change_once o = ask("key", 1, "body", 1);
	struct once *r = once_new(&o, "conv_1");
	struct buf b = BUF_INITIALIZER;
	char *copy;
	size_t i, j;

	(void)state;
	assert_true(once_add_id(r, "msg_1"));
	once_encode(r, &b);
	once_free(r);
	for (i = 0; i < b.len; i++) {
		/* In memory of its own, so that a byte too far is seen. */
		copy = malloc(i > 0 ? i : 1);
		memcpy(copy, b.data, i);
		once_free(once_decode((struct span){ copy, i }));
		free(copy);
		for (j = 0; j < sizeof(bytes) - 1; j++) {
			copy = malloc(b.len);
			memcpy(copy, b.data, b.len);
			copy[i] = bytes[j];
			once_free(once_decode((struct span){ copy, b.len }));
			free(copy);
		}
	}
	buf_fini(&b);
}

static int
setup(void **state)
{
	(void)state;
	next_lsn = 0;
	once_table_init(&table);
	return (0);
}

static int
teardown(void **state)
{
	(void)state;
	once_table_fini(&table);
	return (0);
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(keys),
		TEST(counted_retries),
		TEST(counts_rise),
		TEST(downtime),
		TEST(newest_only),
		TEST(limits),
		TEST(round_trip),
		TEST(decodes_anything),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
