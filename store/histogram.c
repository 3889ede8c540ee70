#include "histogram.h"

#define DECADE(n)	(n), 2 * (n), 5 * (n)

const uint64_t histogram_bounds[HISTOGRAM_BOUNDS] = {
	DECADE(1), DECADE(10), DECADE(100), DECADE(1000), DECADE(10000),
	DECADE(100000), DECADE(1000000), DECADE(10000000), 100000000
};

/* The first bound that is not below value, or HISTOGRAM_BOUNDS. */
static size_t
place_of(uint64_t value)
{
	size_t low = 0, high = HISTOGRAM_BOUNDS, mid;

	while (low < high) {
		mid = (low + high) / 2;
		if (histogram_bounds[mid] < value)
			low = mid + 1;
		else
			high = mid;
	}
	return (low);
}

void
histogram_add(struct histogram *h, uint64_t value)
{
	counter_add(&h->counts[place_of(value)], 1);
	counter_add(&h->sum, value);
}

void
histogram_merge(struct histogram *into, const struct histogram *from)
{
	size_t i;

	for (i = 0; i <= HISTOGRAM_BOUNDS; i++)
		into->counts[i] += counter_read(&from->counts[i]);
	into->sum += counter_read(&from->sum);
}

uint64_t
histogram_count(const struct histogram *h)
{
	uint64_t n = 0;
	size_t i;

	for (i = 0; i <= HISTOGRAM_BOUNDS; i++)
		n += h->counts[i];
	return (n);
}
