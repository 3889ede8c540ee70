#include <string.h>

#include "hex.h"

static const char digits_of[] = "0123456789abcdef";

void
hex_encode(char *dst, const unsigned char *p, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		*dst++ = digits_of[p[i] >> 4];
		*dst++ = digits_of[p[i] & 15];
	}
	*dst = '\0';
}

/* The value of a digit, or -1. */
static int
value_of(char c)
{
	const char *p;

	/* Not the NUL that strchr would find behind them. */
	if (c == '\0' || (p = strchr(digits_of, c)) == NULL)
		return (-1);
	return ((int)(p - digits_of));
}

bool
hex_decode(const char *digits, unsigned char *p, size_t n)
{
	int high, low;
	size_t i;

	for (i = 0; i < n; i++) {
		if ((high = value_of(digits[2 * i])) == -1 ||
		    (low = value_of(digits[2 * i + 1])) == -1)
			return (false);
		p[i] = (unsigned char)(high << 4 | low);
	}
	return (true);
}
