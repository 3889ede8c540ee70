#include <string.h>

#include "wire_internal.h"

/* Take a length of one or four bytes off *p; false if it is cut short. */
static bool
take_length(const unsigned char **p, const unsigned char *end, size_t *len_r)
{
	const unsigned char *q = *p;

	if (q == end)
		return (false);
	if ((q[0] & 0x80) == 0) {
		*len_r = q[0];
		*p += 1;
		return (true);
	}
	if (end - q < 4)
		return (false);
	*len_r = (size_t)(q[0] & 0x7f) << 24 | (size_t)q[1] << 16 |
	    (size_t)q[2] << 8 | q[3];
	*p += 4;
	return (true);
}

/* Each length is compared alone with what is left: no sum can overflow. */
bool
wire_take_pair(const unsigned char **p, const unsigned char *end,
    struct span *name_r, struct span *value_r)
{
	if (!take_length(p, end, &name_r->len) ||
	    !take_length(p, end, &value_r->len))
		return (false);
	if (name_r->len > (size_t)(end - *p) ||
	    value_r->len > (size_t)(end - *p) - name_r->len)
		return (false);
	name_r->p = (const char *)*p;
	value_r->p = name_r->p + name_r->len;
	*p += name_r->len + value_r->len;
	return (true);
}

/*
 * Move s down to *to, put a NUL behind it and *to behind that.  The two
 * lengths before a pair are at least two bytes, which makes the room.
 */
static void
settle(char **to, struct span *s)
{
	memmove(*to, s->p, s->len);
	s->p = *to;
	*to += s->len;
	*(*to)++ = '\0';
}

int
wire_pairs(char *bytes, size_t len, struct pair *pairs)
{
	const unsigned char *p = (const unsigned char *)bytes;
	const unsigned char *end = p + len;
	struct pair pair;
	char *to = bytes;
	int n;

	for (n = 0; p != end; n++) {
		if (!wire_take_pair(&p, end, &pair.name, &pair.value))
			return (-1);
		if (pairs == NULL)
			continue;
		settle(&to, &pair.name);
		settle(&to, &pair.value);
		pairs[n] = pair;
	}
	return (n);
}
