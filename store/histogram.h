#ifndef HISTOGRAM_H
#define HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

/*
 * How often a value was how large: one count for each of a few fixed bounds,
 * 1, 2, 5, 10 ... 10^8, and one for all above.  Values are whole numbers in
 * the unit that its owner names (microseconds, records).
 *
 * One thread at a time adds; any thread may read meanwhile, without a lock,
 * and then finds each count whole, but maybe one of two that belong together.
 * Zeroed memory is an empty one, and it may be copied as it is.
 */
#define HISTOGRAM_BOUNDS	25

struct histogram {
	uint64_t	 counts[HISTOGRAM_BOUNDS + 1];	/* not cumulative */
	uint64_t	 sum;
};

/* A value counts under the first of these that is not below it. */
extern const uint64_t histogram_bounds[HISTOGRAM_BOUNDS];

/* Count one value. */
void	 histogram_add(struct histogram *, uint64_t value);
/* Add all that from has counted to into, which nobody else uses. */
void	 histogram_merge(struct histogram *into, const struct histogram *from);
/* How many values were counted in all?  For one that nobody adds to. */
uint64_t histogram_count(const struct histogram *);

/*
 * A counter on the same terms: one writer, any readers.  No lock, no atomic
 * addition: a plain load, add and store.
 */
static inline void
counter_add(uint64_t *counter, uint64_t n)
{
	__atomic_store_n(counter, __atomic_load_n(counter, __ATOMIC_RELAXED) +
	    n, __ATOMIC_RELAXED);
}

static inline uint64_t
counter_read(const uint64_t *counter)
{
	return (__atomic_load_n(counter, __ATOMIC_RELAXED));
}

#endif /* !HISTOGRAM_H */
