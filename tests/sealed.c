#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <xxhash.h>

#include "tests/sealed.h"

char *
sealed(const char *text)
{
	char *p;

	assert_true(asprintf(&p, "%s\"checksum\":\"xxh3:%016llx\"}\n", text,
	    (unsigned long long)XXH3_64bits(text, strlen(text))) > 0);
	return (p);
}

char *
with(const char *text, const char *was, const char *is)
{
	const char *at = strstr(text, was);
	char *p;

	assert_non_null(at);
	assert_true(asprintf(&p, "%.*s%s%s", (int)(at - text), text, is,
	    at + strlen(was)) > 0);
	return (p);
}
