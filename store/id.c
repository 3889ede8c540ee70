#include <assert.h>
#include <string.h>

#include <bsd/stdlib.h>

#include "hex.h"
#include "sys.h"

#include "id.h"

#define MS_BYTES	6
#define NS_BYTES	3
#define TIME_BYTES	(MS_BYTES + NS_BYTES)
#define RANDOM_BYTES	15
#define NS_PER_MS	1000000
#define PREFIX_MAX	16

void
id_mint(char *buf, const char *prefix)
{
	unsigned char raw[TIME_BYTES + RANDOM_BYTES];
	uint64_t now = (uint64_t)sys_now_ns();
	uint64_t ms = now / NS_PER_MS, ns = now % NS_PER_MS;
	size_t len = strlen(prefix);
	int i;

	assert(len <= PREFIX_MAX);
	for (i = TIME_BYTES - 1; i >= MS_BYTES; i--) {
		raw[i] = (unsigned char)ns;
		ns >>= 8;
	}
	for (; i >= 0; i--) {
		raw[i] = (unsigned char)ms;
		ms >>= 8;
	}
	arc4random_buf(raw + TIME_BYTES, RANDOM_BYTES);
	memcpy(buf, prefix, len);
	hex_encode(buf + len, raw, sizeof(raw));
}

void
id_mint_short(char *buf)
{
	unsigned char raw[8];

	arc4random_buf(raw, sizeof(raw));
	hex_encode(buf, raw, sizeof(raw));
}

static bool
is_lower_or_digit(char c)
{
	return ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'));
}

bool
id_is_valid(const char *s, size_t len)
{
	size_t i;

	if (len == 0 || len > ID_MAX)
		return (false);
	for (i = 0; i < len; i++) {
		if (!is_lower_or_digit(s[i]) && !(s[i] >= 'A' && s[i] <= 'Z') &&
		    s[i] != '_' && s[i] != '-')
			return (false);
	}
	return (true);
}

bool
id_is_tenant(const char *s, size_t len)
{
	size_t i;

	if (len == 0 || len > TENANT_NAME_MAX || !is_lower_or_digit(s[0]))
		return (false);
	for (i = 1; i < len; i++) {
		if (!is_lower_or_digit(s[i]) && s[i] != '_' && s[i] != '-')
			return (false);
	}
	return (true);
}
