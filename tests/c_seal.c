/*
 * store/document_seal: a file that a hand edited gets its normal form and its
 * checksum, or a word of what is wrong with it, and stays as it is.
 */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bsd/string.h>

#include <cmocka.h>

#include "store/document.h"
#include "tests/crashed.h"
#include "tests/fault.h"
#include "tests/logged.h"

#define TENANT	"tenants/acme/tenant.json"

static char why[DOCUMENT_WHY];

/* Seal the file of that name in the store. */
static int
seal(const char *name)
{
	char path[512];
	char *slash;
	int fd, rc;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	slash = strrchr(path, '/');
	*slash = '\0';
	assert_true((fd = open(path, O_RDONLY | O_DIRECTORY)) != -1);
	rc = document_seal(fd, slash + 1, strncmp(name, "tenants/", 8) == 0 ?
	    "acme" : NULL, why);
	close(fd);
	return (rc);
}

static char *
read_text(const char *name)
{
	size_t len;
	char *p = state_read(dir, name, &len);

	assert_non_null(p);
	return (p);
}

/* Another word in the file, its checksum left as it was. */
static void
edit(const char *name, const char *was, const char *is)
{
	char *p = read_text(name), *at, *text;

	assert_non_null(at = strstr(p, was));
	assert_true(asprintf(&text, "%.*s%s%s", (int)(at - p), p, is,
	    at + strlen(was)) > 0);
	state_write(dir, name, text, strlen(text));
	free(text);
	free(p);
}

/* What is whole stays the same, byte for byte, of every kind. */
static void
seals_what_is_whole(void **state)
{
	char once[256];
	const char *names[] = { DOC, TENANT, once, "store.json",
	    "tenants/acme/conversations/c.json" };
	char *p, *q;
	size_t i;

	(void)state;
	free(crash(busy_and_flushed));
	assert_true(state_find(dir, "tenants/acme/once", ".json", once));
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		p = read_text(names[i]);
		if (seal(names[i]) == -1)
			fail_msg("%s: %s", names[i], why);
		q = read_text(names[i]);
		assert_string_equal(p, q);
		free(p);
		free(q);
	}
}

/* Edited, sealed, and served without a word. */
static void
seals_what_was_edited(void **state)
{
	struct conversation_view v;
	struct store *s;

	(void)state;
	free(crash(busy_and_flushed));
	drop_journal();
	edit(DOC, "\"title\":\"a title\"", "\n  \"title\" : \"another\"");
	edit(DOC, "\"one\"", "\"uno\"");
	assert_int_equal(seal(DOC), 0);
	logged_start();
	s = state_open(dir);
	assert_int_equal(look(s, "a", &v), STORE_OK);
	logged_has_not("checksum");
	assert_string_equal(v.title, "another");
	assert_int_equal(v.item_count, 2);
	store_view_fini(&v);
	state_close(s);
}

/* The checksum may stand anywhere, or nowhere, but not twice. */
static void
finds_the_checksum(void **state)
{
	char *p;

	(void)state;
	free(crash(busy_and_flushed));
	edit(DOC, "{\"rememberd\"", "{ \"checksum\" : \"xxh3:0\" ,\n"
	    "\"rememberd\"");
	assert_int_equal(seal(DOC), -1);
	assert_string_equal(why, "the checksum is wrong");
	edit(DOC, ",\n\"checksum\":\"xxh3:", ",\n\"x\":\"");
	assert_int_equal(seal(DOC), 0);
	p = read_text(DOC);
	assert_non_null(strstr(p, ",\"x\":\""));
	assert_non_null(strstr(p, ",\n\"checksum\":\"xxh3:"));
	strstr(p, "],\n\"checksum\"")[1] = '}';
	*(strstr(p, "\"checksum\"") - 1) = '\0';
	state_write(dir, DOC, p, strlen(p));
	free(p);
	assert_int_equal(seal(DOC), 0);
	assert_string_equal(why, "");
}

/* What is wrong is said with its line, and the file stays as it is. */
static void
says_what_is_wrong(void **state)
{
	static const struct {
		const char	*name;
		const char	*was;
		const char	*is;
		const char	*why;
	} cases[] = {
		{ DOC, "\"items\":[", "\"items\":[,", "is no JSON" },
		{ DOC, "\"version\":", "\"version\":-", "line 1: \"version\"" },
		{ DOC, "\"id\":\"a\"", "\"id\":\"b\"", "line 1: it is of ano" },
		{ DOC, "\"id\":\"a1\"", "\"id\":\"a3\"", "the id a3 stands" },
		{ DOC, "\"format\":1", "\"format\":2", "newer rememberd" },
		{ DOC, "\"rememberd\":\"conv", "\"rememberd\":\"x",
		    "no document" },
		{ DOC, "\"store\":\"", "\"store\":\"/", "\"store\" is none" },
		{ DOC, "\"acme\"", "\"ACME\"", "\"tenant\" is none" },
		{ DOC, "\"acme\"", "\"acm\"", "of tenant acm, but stands in "
		    "the folder of acme" },
		{ TENANT, "\"acme\"", "\"acme2\"", "tenant acme2, but" },
		{ TENANT, "\"api_keys\":[", "\"api_keys\":[7", "is no key" },
		{ "store.json", "\"epochs\":[", "\"epochs\":{}, \"x\":[",
		    "\"epochs\" is no list" },
	};
	char *p, *q, *r;
	size_t i;

	(void)state;
	free(crash(busy_and_flushed));
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		p = read_text(cases[i].name);
		edit(cases[i].name, cases[i].was, cases[i].is);
		q = read_text(cases[i].name);
		if (seal(cases[i].name) != -1 ||
		    strstr(why, cases[i].why) == NULL)
			fail_msg("%s: %s", cases[i].is, why);
		r = read_text(cases[i].name);
		assert_string_equal(q, r);
		state_write(dir, cases[i].name, p, strlen(p));
		free(p);
		free(q);
		free(r);
	}
	state_write(dir, "tenants/acme/conversations/no name.json", "{}", 2);
	assert_int_equal(seal("tenants/acme/conversations/no name.json"), -1);
	assert_int_equal(seal("nothing"), -1);
	assert_string_equal(why, "No such file or directory");
}

/* Nobody is told of a sealed file that is not on the disk. */
static void
says_what_fails(void **state)
{
	char *was, *is;
	int n;

	(void)state;
	free(crash(busy_and_flushed));
	edit(DOC, "\"one\"", "\"uno\"");
	was = read_text(DOC);
	fault_init();
	for (n = 1; n <= 3; n++) {
		fault_arm_call(FAULT_WRITE | FAULT_FSYNC | FAULT_RENAMEAT, n,
		    EIO);
		assert_int_equal(seal(DOC), -1);
		assert_true(fault_fired());
		fault_disarm();
		assert_string_equal(why, "Input/output error");
		is = read_text(DOC);
		assert_string_equal(is, was);
		free(is);
	}
	free(was);
	/* Of its folder it is told, too. */
	fault_arm_call(FAULT_FSYNC, 2, EIO);
	assert_int_equal(seal(DOC), -1);
	fault_disarm();
	assert_int_equal(seal(DOC), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(seals_what_is_whole),
		TEST(seals_what_was_edited),
		TEST(finds_the_checksum),
		TEST(says_what_is_wrong),
		TEST(says_what_fails),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
