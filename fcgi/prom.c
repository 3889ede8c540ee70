#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "prom.h"

void
prom_family(struct prom *p, const char *name, enum prom_type type,
    const char *help)
{
	static const char *const types[] = { "counter", "gauge", "histogram" };

	p->name = name;
	buf_addf(p->out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name,
	    types[type]);
}

/* A label's value: backslash, quote and line feed are escaped. */
static void
add_value(struct buf *out, const char *s)
{
	for (; *s != '\0'; s++) {
		if (*s == '\\' || *s == '"')
			buf_addc(out, '\\');
		if (*s == '\n')
			buf_adds(out, "\\n");
		else
			buf_addc(out, *s);
	}
}

/* before: '{' for the first.  Returns it for the next. */
static char
add_label(struct buf *out, char before, const char *name, const char *value)
{
	buf_addc(out, before);
	buf_adds(out, name);
	buf_adds(out, "=\"");
	add_value(out, value);
	buf_addc(out, '"');
	return (',');
}

/* le: the bound of a bucket, or NULL. */
static void
add_labels(struct buf *out, const struct prom_label *labels, const char *le)
{
	char before = '{';

	for (; labels != NULL && labels->name != NULL; labels++)
		before = add_label(out, before, labels->name, labels->value);
	if (le != NULL)
		before = add_label(out, before, "le", le);
	if (before == ',')
		buf_addc(out, '}');
}

/* value / per without its last zeros, as exact as it was. */
static void
print_value(char text[48], uint64_t value, uint64_t per)
{
	int len, digits = per == 1000000 ? 6 : 3;

	assert(per == 1 || per == 1000 || per == 1000000);
	if (value % per == 0) {
		(void)snprintf(text, 48, "%" PRIu64, value / per);
		return;
	}
	len = snprintf(text, 48, "%" PRIu64 ".%0*" PRIu64, value / per,
	    digits, value % per);
	while (text[len - 1] == '0')
		text[--len] = '\0';
}

static void
add_line(struct prom *p, const char *suffix, const struct prom_label *labels,
    const char *le, uint64_t value, uint64_t per)
{
	char text[48];

	buf_adds(p->out, p->name);
	buf_adds(p->out, suffix);
	add_labels(p->out, labels, le);
	print_value(text, value, per);
	buf_addc(p->out, ' ');
	buf_adds(p->out, text);
	buf_addc(p->out, '\n');
}

void
prom_sample(struct prom *p, const struct prom_label *labels, uint64_t value,
    uint64_t per)
{
	add_line(p, "", labels, NULL, value, per);
}

void
prom_histogram(struct prom *p, const struct prom_label *labels,
    const struct histogram *h, uint64_t per, size_t first, size_t last)
{
	uint64_t n = 0;
	char bound[48];
	size_t i;

	assert(first <= last && last < HISTOGRAM_BOUNDS);
	for (i = 0; i <= last; i++) {
		n += h->counts[i];
		if (i < first)
			continue;
		print_value(bound, histogram_bounds[i], per);
		add_line(p, "_bucket", labels, bound, n, 1);
	}
	n = histogram_count(h);
	add_line(p, "_bucket", labels, "+Inf", n, 1);
	add_line(p, "_sum", labels, NULL, h->sum, per);
	add_line(p, "_count", labels, NULL, n, 1);
}

void
prom_one(struct prom *p, const char *name, enum prom_type type,
    const char *help, uint64_t value, uint64_t per)
{
	prom_family(p, name, type, help);
	prom_sample(p, NULL, value, per);
}
