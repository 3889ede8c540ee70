/*
 * store/histogram: each value counts once, under the right bound, and nothing
 * is lost while another thread reads.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "store/histogram.h"
#include "store/lock.h"

static void
bounds_rise(void **state)
{
	size_t i;

	(void)state;
	assert_int_equal(histogram_bounds[0], 1);
	for (i = 1; i < HISTOGRAM_BOUNDS; i++)
		assert_true(histogram_bounds[i] > histogram_bounds[i - 1]);
	assert_int_equal(histogram_bounds[HISTOGRAM_BOUNDS - 1], 100000000);
}

/* At each bound, just below it and just above, against a plain search. */
static void
values_find_their_place(void **state)
{
	uint64_t sum = 0, value;
	struct histogram h;
	size_t i, k, n;

	(void)state;
	for (i = 0; i < HISTOGRAM_BOUNDS * 3; i++) {
		value = histogram_bounds[i / 3] + i % 3 - 1;
		memset(&h, 0, sizeof(h));
		histogram_add(&h, value);
		for (k = 0; k < HISTOGRAM_BOUNDS; k++)
			if (value <= histogram_bounds[k])
				break;
		for (n = 0; n <= HISTOGRAM_BOUNDS; n++)
			assert_int_equal(h.counts[n], n == k);
		assert_int_equal(h.sum, value);
		assert_int_equal(histogram_count(&h), 1);
	}
	memset(&h, 0, sizeof(h));
	histogram_add(&h, UINT64_MAX);
	assert_int_equal(h.counts[HISTOGRAM_BOUNDS], 1);
	memset(&h, 0, sizeof(h));
	for (value = 0; value < 1000; value++, sum += value - 1)
		histogram_add(&h, value);
	assert_int_equal(h.sum, sum);
	assert_int_equal(histogram_count(&h), 1000);
	assert_int_equal(h.counts[0], 2);
	assert_int_equal(h.counts[9], 499);
}

static void
merging_adds(void **state)
{
	struct histogram a = { 0 }, b = { 0 }, all = { 0 };

	(void)state;
	histogram_add(&a, 3);
	histogram_add(&a, 700);
	histogram_add(&b, 4);
	histogram_merge(&all, &a);
	histogram_merge(&all, &b);
	assert_int_equal(all.counts[2], 2);
	assert_int_equal(all.sum, 707);
	assert_int_equal(histogram_count(&all), 3);
	assert_int_equal(histogram_count(&a), 2);
}

#define ADDED	200000

static struct histogram shared;
static atomic_bool is_over;

static void
read_on(void *arg)
{
	struct histogram seen;
	uint64_t n, last = 0;

	(void)arg;
	while (!atomic_load(&is_over)) {
		memset(&seen, 0, sizeof(seen));
		histogram_merge(&seen, &shared);
		n = histogram_count(&seen);
		/* It only grows, whatever is added meanwhile. */
		assert_true(n >= last && n <= ADDED);
		last = n;
	}
}

static void
others_read_meanwhile(void **state)
{
	struct histogram end = { 0 };
	struct thread reader;
	uint64_t i;

	(void)state;
	assert_int_equal(thread_start(&reader, "reader", read_on, NULL), 0);
	for (i = 0; i < ADDED; i++)
		histogram_add(&shared, i);
	atomic_store(&is_over, true);
	thread_join(&reader);
	histogram_merge(&end, &shared);
	assert_int_equal(histogram_count(&end), ADDED);
	assert_int_equal(end.sum, (uint64_t)ADDED * (ADDED - 1) / 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bounds_rise),
		cmocka_unit_test(values_find_their_place),
		cmocka_unit_test(merging_adds),
		cmocka_unit_test(others_read_meanwhile),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
