/*
 * store/items and store/item: order, the way from an id to its item, and
 * references, against a plain array that does the same slowly.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "store/items.h"

static struct item *
make(unsigned n)
{
	char id[32], json[64];
	struct item *it;

	(void)snprintf(id, sizeof(id), "msg_%u", n);
	(void)snprintf(json, sizeof(json), "{\"id\":\"%s\",\"n\":%u}", id, n);
	it = item_new(id, json, strlen(json));
	assert_non_null(it);
	return (it);
}

/* items.h invariants 1 to 3. */
static void
check_state(const struct items *is)
{
	uint64_t below = 0, bytes = 0;
	size_t i, used = 0;

	for (i = 0; i < is->n; i++) {
		assert_true(is->v[i]->position > below);
		below = is->v[i]->position;
		bytes += is->v[i]->len;
		assert_ptr_equal(items_find(is, is->v[i]->id), is->v[i]);
		assert_int_equal(items_index(is, is->v[i]), i);
	}
	assert_true(below < is->next_position);
	assert_int_equal(bytes, is->bytes);
	assert_true(is->n <= is->size);
	for (i = 0; i < is->nslots; i++)
		used += is->slots[i] != NULL;
	if (is->nslots != 0) {
		assert_int_equal(used, is->n);
		assert_true(is->n * 2 <= is->nslots);
		assert_int_equal(is->nslots & (is->nslots - 1), 0);
	}
}

static void
keeps_order(void **state)
{
	struct items is;
	unsigned n;

	(void)state;
	items_init(&is);
	check_state(&is);
	assert_null(items_find(&is, "msg_0"));
	assert_true(items_reserve(&is, 3));
	for (n = 0; n < 3; n++)
		items_add(&is, make(n), 0);
	assert_int_equal(is.v[0]->position, 1);
	assert_int_equal(is.v[2]->position, 3);
	/* A document may leave positions out; the next is behind them. */
	assert_true(items_reserve(&is, 2));
	items_add(&is, make(3), 9);
	items_add(&is, make(4), 0);
	assert_int_equal(is.v[3]->position, 9);
	assert_int_equal(is.v[4]->position, 10);
	check_state(&is);
	/* A position is never given twice. */
	items_remove(&is, items_find(&is, "msg_4"));
	assert_int_equal(is.next_position, 11);
	check_state(&is);
	items_fini(&is);
	assert_int_equal(is.n, 0);
	assert_int_equal(is.next_position, 1);
}

static void
counts_references(void **state)
{
	struct items is;
	struct item *it = make(1), *held;

	(void)state;
	items_init(&is);
	assert_true(items_reserve(&is, 1));
	held = item_ref(it);
	items_add(&is, it, 0);
	items_remove(&is, it);
	assert_string_equal(held->id, "msg_1");
	assert_memory_equal(held->json, "{\"id\":\"msg_1\"", 13);
	item_unref(held);
	item_unref(NULL);
	items_fini(&is);
}

static void
refuses_what_cannot_be(void **state)
{
	struct items is;

	(void)state;
	items_init(&is);
	assert_false(items_reserve(&is, SIZE_MAX));
	assert_false(items_reserve(&is, SIZE_MAX / 16));
	check_state(&is);
	assert_null(item_new("x", "", SIZE_MAX));
	items_fini(&is);
}

/* The same in an array of numbers; ids follow from them. */
struct model {
	unsigned	 v[20000];
	size_t		 n;
};

static void
compare(const struct items *is, const struct model *m)
{
	char id[32];
	size_t i;

	assert_int_equal(is->n, m->n);
	for (i = 0; i < m->n; i++) {
		(void)snprintf(id, sizeof(id), "msg_%u", m->v[i]);
		assert_string_equal(is->v[i]->id, id);
	}
	check_state(is);
}

static void
model_remove(struct model *m, size_t i)
{
	m->n--;
	memmove(&m->v[i], &m->v[i + 1], (m->n - i) * sizeof(m->v[0]));
}

/* Grow to thousands and back to none by random steps. */
static void
agrees_with_a_model(void **state)
{
	static struct model m;
	struct items is;
	unsigned next = 0, step, n;
	char id[32];
	size_t i;

	(void)state;
	srandom(4711);
	m.n = 0;
	items_init(&is);
	for (step = 0; step < 30000; step++) {
		if ((unsigned)random() % 100 < (step < 15000 ? 70 : 20)) {
			n = 1 + (unsigned)random() % 3;
			assert_true(items_reserve(&is, n));
			for (; n > 0; n--) {
				items_add(&is, make(next), 0);
				m.v[m.n++] = next++;
			}
		} else if (m.n > 0) {
			i = (size_t)random() % m.n;
			(void)snprintf(id, sizeof(id), "msg_%u", m.v[i]);
			items_remove(&is, items_find(&is, id));
			assert_null(items_find(&is, id));
			model_remove(&m, i);
		}
		if (step % 3000 == 0)
			compare(&is, &m);
	}
	compare(&is, &m);
	/* It was large enough for the table and its removals. */
	assert_true(is.nslots > 8192);
	items_fini(&is);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_order),
		cmocka_unit_test(counts_references),
		cmocka_unit_test(refuses_what_cannot_be),
		cmocka_unit_test(agrees_with_a_model),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
