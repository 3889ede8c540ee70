/* conf/progress: silent for a second, then a bar, or lines where no one sees. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conf/progress.h"

static int64_t now;
static char *text;
static size_t len;
static FILE *out;

static int64_t
fake_clock(void)
{

	return (now);
}

static struct progress *
begin(bool is_terminal, uint64_t total)
{
	struct progress *p;

	now = 5000;
	assert_non_null(out = open_memstream(&text, &len));
	p = progress_open(out, is_terminal, fake_clock, "reading", total);
	assert_non_null(p);
	return (p);
}

static void
ends_as(struct progress *p, const char *want)
{

	progress_end(p);
	assert_int_equal(fclose(out), 0);
	assert_string_equal(text, want);
	free(text);
}

static void
short_job(void **state)
{
	struct progress *p;
	int is_terminal;

	(void)state;
	for (is_terminal = 0; is_terminal < 2; is_terminal++) {
		p = begin(is_terminal == 1, 10);
		now += 999;
		progress_at(p, 10);
		progress_hide(p);
		ends_as(p, "");
	}
}

static void
lines(void **state)
{
	struct progress *p = begin(false, 200);

	(void)state;
	now += 1000;
	progress_at(p, 50);
	now += 4999;
	progress_at(p, 60);
	progress_hide(p);
	now++;
	progress_at(p, 199);
	progress_at(p, 250);
	ends_as(p, "reading: 50 of 200 (25%)\n"
	    "reading: 199 of 200 (99%)\n"
	    "reading: 250 of 250 (100%)\n");
}

static void
unknown_total(void **state)
{
	struct progress *p = begin(false, 0);

	(void)state;
	now += 1000;
	progress_at(p, 7);
	ends_as(p, "reading: 7\nreading: 7\n");
}

static void
bar(void **state)
{
	struct progress *p = begin(true, 4);

	(void)state;
	now += 1000;
	progress_at(p, 1);
	now += 99;
	progress_at(p, 2);
	progress_hide(p);
	progress_hide(p);
	now++;
	progress_at(p, 4);
	ends_as(p, "\r\033[Kreading [##########                              ]"
	    "  25% 1\r\033[K"
	    "\r\033[Kreading [########################################]"
	    " 100% 4\r\033[K");
}

static void
none(void **state)
{

	(void)state;
	progress_at(NULL, 1);
	progress_hide(NULL);
	progress_end(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(short_job),
		cmocka_unit_test(lines),
		cmocka_unit_test(unknown_total),
		cmocka_unit_test(bar),
		cmocka_unit_test(none),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
