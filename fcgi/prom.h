#ifndef PROM_H
#define PROM_H

#include <stddef.h>
#include <stdint.h>

#include "store/buf.h"
#include "store/histogram.h"

/*
 * The text format of Prometheus, 0.0.4: families one after the other, each
 * with what it means, its type, and all of its samples.
 *
 *	prom_family --> prom_sample, prom_histogram ... --> the next prom_family
 *
 * Values are whole numbers of a unit of which `per` make a second, a byte or
 * whatever the family's name ends in: 1000000 for microseconds, 1 for counts.
 */
#define PROM_TYPE	"text/plain; version=0.0.4; charset=utf-8"

enum prom_type { PROM_COUNTER, PROM_GAUGE, PROM_HISTOGRAM };

struct prom {
	struct buf	*out;		/* borrowed */
	const char	*name;		/* of the family */
};

/* A label of a sample; the last of several has no name. */
struct prom_label {
	const char	*name;
	const char	*value;		/* any bytes of UTF-8 */
};

/* Begin the family of that name (borrowed until the next). */
void	 prom_family(struct prom *, const char *name, enum prom_type,
	    const char *help);
/* A sample; labels NULL for none. */
void	 prom_sample(struct prom *, const struct prom_label *labels,
	    uint64_t value, uint64_t per);
/*
 * The samples of a histogram, with the bounds from first to last and infinity.
 * Nobody adds to h meanwhile.
 */
void	 prom_histogram(struct prom *, const struct prom_label *labels,
	    const struct histogram *h, uint64_t per, size_t first, size_t last);
/* The commonest, a family with one sample and no label. */
void	 prom_one(struct prom *, const char *name, enum prom_type,
	    const char *help, uint64_t value, uint64_t per);

#endif /* !PROM_H */
