#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "items.h"

/* Below this many items a walk over them beats a table. */
#define ITEMS_TABLE_FROM	16

void
items_init(struct items *is)
{

	memset(is, 0, sizeof(*is));
	is->next_position = 1;
}

void
items_fini(struct items *is)
{
	size_t i;

	for (i = 0; i < is->n; i++)
		item_unref(is->v[i]);
	free(is->v);
	free(is->slots);
	items_init(is);
}

/* What can be said of items.h's invariants without a walk. */
static void
items_assert_state(const struct items *is)
{

	(void)is;		/* for a build without assert */
	assert(is->n <= is->size);
	assert(is->n > 0 || is->bytes == 0);
	assert(is->n == 0 || is->v[is->n - 1]->position < is->next_position);
	assert((is->slots == NULL) == (is->nslots == 0));
	assert((is->nslots & (is->nslots - 1)) == 0);
	assert(is->nslots == 0 || is->n * 2 <= is->nslots);
}

static size_t
slot_of(const char *id, size_t nslots)
{

	return ((size_t)XXH3_64bits(id, strlen(id)) & (nslots - 1));
}

static void
slots_put(struct item **slots, size_t nslots, struct item *it)
{
	size_t i = slot_of(it->id, nslots);

	while (slots[i] != NULL)
		i = (i + 1) & (nslots - 1);
	slots[i] = it;
}

/* Have a table for n items, if so many want one. */
static bool
slots_reserve(struct items *is, size_t n)
{
	struct item **slots;
	size_t i, nslots;

	if (n < ITEMS_TABLE_FROM || n * 2 <= is->nslots)
		return (true);
	for (nslots = 64; nslots < n * 2; nslots *= 2)
		;
	if ((slots = calloc(nslots, sizeof(*slots))) == NULL)
		return (false);
	for (i = 0; i < is->n; i++)
		slots_put(slots, nslots, is->v[i]);
	free(is->slots);
	is->slots = slots;
	is->nslots = nslots;
	return (true);
}

bool
items_reserve(struct items *is, size_t more)
{
	struct item **v;
	size_t size;

	if (more > SIZE_MAX / 32 - is->n)
		return (false);
	if (is->n + more > is->size) {
		size = is->size + is->size / 2;
		if (size < is->n + more)
			size = is->n + more;
		if ((v = reallocarray(is->v, size, sizeof(*v))) == NULL)
			return (false);
		is->v = v;
		is->size = size;
	}
	return (slots_reserve(is, is->n + more));
}

void
items_add(struct items *is, struct item *it, uint64_t position)
{

	assert(is->n < is->size);
	assert(position == 0 || position >= is->next_position);
	assert(is->nslots == 0 || (is->n + 1) * 2 <= is->nslots);

	it->position = position != 0 ? position : is->next_position;
	is->next_position = it->position + 1;
	is->v[is->n++] = it;
	is->bytes += it->len;
	if (is->nslots != 0)
		slots_put(is->slots, is->nslots, it);
	items_assert_state(is);
}

struct item *
items_find(const struct items *is, const char *id)
{
	size_t i;

	if (is->nslots == 0) {
		for (i = 0; i < is->n; i++)
			if (strcmp(is->v[i]->id, id) == 0)
				return (is->v[i]);
		return (NULL);
	}
	for (i = slot_of(id, is->nslots); is->slots[i] != NULL;
	    i = (i + 1) & (is->nslots - 1))
		if (strcmp(is->slots[i]->id, id) == 0)
			return (is->slots[i]);
	return (NULL);
}

size_t
items_index(const struct items *is, const struct item *it)
{
	size_t lo = 0, hi = is->n, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (is->v[mid]->position < it->position)
			lo = mid + 1;
		else
			hi = mid;
	}
	assert(lo < is->n && is->v[lo] == it);
	return (lo);
}

/*
 * Empty the item's slot and move up those behind it that would no longer be
 * found (Knuth, volume 3, 6.4, algorithm R).
 */
static void
slots_remove(struct items *is, const struct item *it)
{
	size_t mask = is->nslots - 1;
	size_t home, i, j;

	for (i = slot_of(it->id, is->nslots); is->slots[i] != it;
	    i = (i + 1) & mask)
		assert(is->slots[i] != NULL);
	for (j = i;;) {
		is->slots[i] = NULL;
		do {
			j = (j + 1) & mask;
			if (is->slots[j] == NULL)
				return;
			home = slot_of(is->slots[j]->id, is->nslots);
		} while (((j - home) & mask) < ((j - i) & mask));
		is->slots[i] = is->slots[j];
		i = j;
	}
}

void
items_remove(struct items *is, struct item *it)
{
	size_t i = items_index(is, it);

	if (is->nslots != 0)
		slots_remove(is, it);
	is->n--;
	memmove(&is->v[i], &is->v[i + 1], (is->n - i) * sizeof(*is->v));
	is->bytes -= it->len;
	item_unref(it);
	items_assert_state(is);
}
