/*
 * tests/vectors: stores that each released format left behind open with all
 * that was in them.  They are made by tests/make_vectors.
 */

#include <sys/stat.h>

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/state.h"

static char root[512];

/* What is said of it where it differs first. */
static void
same(const char *name, const char *is, const char *shall)
{
	size_t i = 0;

	while (is[i] != '\0' && is[i] == shall[i])
		i++;
	if (is[i] != shall[i])
		fail_msg("%s: %.200s\nshall be %.200s", name, is + i,
		    shall + i);
}

static void
make_folder(const char *store, const char *name)
{
	char path[STATE_PATH + 16];

	(void)snprintf(path, sizeof(path), "%s/%s", store, name);
	(void)mkdir(path, 0700);
}

/* A copy of it opens, strictly, too, and holds what it did. */
static void
opens(const char *folder)
{
	struct store_options o;
	char copy[STATE_PATH], from[1100];
	char *shall, *is;
	struct store *s;
	size_t len;
	pid_t holder;
	int strict;

	assert_non_null(shall = state_read(folder, "expected.txt", &len));
	(void)snprintf(from, sizeof(from), "%s/store", folder);
	for (strict = 0; strict < 2; strict++) {
		state_folder(copy);
		state_copy(from, copy);
		/* Folders that are empty are not kept with the sources. */
		make_folder(copy, "journal");
		make_folder(copy, "tenants");
		o = state_options(copy);
		o.strict_recovery = strict;
		assert_int_equal(store_open(&o, &s, &holder), 0);
		is = state_dump(s);
		same(folder, is, shall);
		free(is);
		state_close(s);
		assert_int_equal(state_count(copy, "quarantine", ".why"), 0);
		state_remove(copy);
	}
	free(shall);
}

/* Call visit for each folder in it; returns how many there were. */
static int
each(const char *folder, void (*visit)(const char *))
{
	char path[1024];
	struct dirent *e;
	struct stat st;
	DIR *d;
	int n = 0;

	assert_non_null(d = opendir(folder));
	while ((e = readdir(d)) != NULL) {
		(void)snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
		if (e->d_name[0] == '.' || stat(path, &st) == -1 ||
		    !S_ISDIR(st.st_mode))
			continue;
		visit(path);
		n++;
	}
	closedir(d);
	return (n);
}

static void
visit_format(const char *folder)
{

	assert_true(each(folder, opens) >= 4);
}

static void
every_format_opens(void **state)
{

	(void)state;
	assert_true(each(root, visit_format) >= 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_format_opens),
	};
	const char *srcdir = getenv("srcdir");

	(void)snprintf(root, sizeof(root), "%s/tests/vectors",
	    srcdir != NULL ? srcdir : ".");
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
