#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/logged.h"

static FILE *kept;		/* what is said, or NULL */
static int really = -1;		/* standard error as it was */
static char *last;		/* of the last logged_has */

void
logged_start(void)
{

	assert_null(kept);
	assert_non_null(kept = tmpfile());
	assert_true((really = dup(STDERR_FILENO)) != -1);
	assert_true(dup2(fileno(kept), STDERR_FILENO) != -1);
}

static char *
take(void)
{
	long len;
	char *text, *from, *to;

	assert_non_null(kept);
	assert_true(dup2(really, STDERR_FILENO) != -1);
	close(really);
	assert_int_equal(fseek(kept, 0, SEEK_END), 0);
	assert_true((len = ftell(kept)) >= 0);
	assert_non_null(text = calloc(1, (size_t)len + 1));
	rewind(kept);
	assert_int_equal(fread(text, 1, (size_t)len, kept), len);
	fclose(kept);
	kept = NULL;
	fputs(text, stderr);
	for (from = to = text; *from != '\0'; from++)
		if (*from != '\\' || from[1] != '"')
			*to++ = *from;
	*to = '\0';
	return (text);
}

const char *
logged_text(void)
{

	return (last);
}

void
logged_has(const char *text)
{

	free(last);
	last = take();
	if (strstr(last, text) == NULL)
		fail_msg("\"%s\" is not in the log", text);
}

void
logged_has_not(const char *text)
{

	free(last);
	last = take();
	if (strstr(last, text) != NULL)
		fail_msg("\"%s\" is in the log", text);
}

size_t
logged_times(const char *text)
{
	const char *p;
	size_t n = 0;

	if (kept != NULL) {
		free(last);
		last = take();
	}
	assert_non_null(last);
	for (p = last; (p = strstr(p, text)) != NULL; p++)
		n++;
	return (n);
}

void
logged_stop(void)
{

	if (kept != NULL)
		free(take());
}
