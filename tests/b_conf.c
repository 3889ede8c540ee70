/*
 * The configuration: defaults, every kind of value, and that every kind of
 * mistake is told with file, line and what was expected.
 */

#include <sys/stat.h>

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf/conf.h"
#include "store/log.h"

#define NITEMS(a)	(sizeof(a) / sizeof((a)[0]))

static char dir[] = "/tmp/b_conf.XXXXXX";
static char said[4096];		/* what the last load wrote to stderr */

static const char *
path_of(const char *name)
{
	static char path[2][512];
	static int turn;

	turn = !turn;
	snprintf(path[turn], sizeof(path[turn]), "%s/%s", dir, name);
	return (path[turn]);
}

static void
write_file(const char *name, const void *bytes, size_t len)
{
	FILE *fp = fopen(path_of(name), "w");

	assert_non_null(fp);
	assert_int_equal(fwrite(bytes, 1, len, fp), len);
	assert_int_equal(fclose(fp), 0);
}

static void
write_text(const char *name, const char *text)
{
	write_file(name, text, strlen(text));
}

/* Call conf_load with stderr going to `said`. */
static int
load_path(const char *path, struct conf **conf_r)
{
	int err = dup(STDERR_FILENO);
	int fd = open(path_of("stderr"), O_RDWR | O_CREAT | O_TRUNC, 0600);
	ssize_t n;
	int rc;

	assert_true(err != -1 && fd != -1);
	fflush(stderr);
	assert_int_equal(dup2(fd, STDERR_FILENO), STDERR_FILENO);
	rc = conf_load(path, conf_r);
	fflush(stderr);
	assert_int_equal(dup2(err, STDERR_FILENO), STDERR_FILENO);
	n = pread(fd, said, sizeof(said) - 1, 0);
	assert_true(n >= 0);
	said[n] = '\0';
	close(fd);
	close(err);
	return (rc);
}

static struct conf *
load(const char *text)
{
	struct conf *conf = NULL;

	write_text("conf", text);
	if (load_path(path_of("conf"), &conf) == -1)
		fail_msg("refused: %s", said);
	assert_string_equal(said, "");
	return (conf);
}

/* What was said begins with FILE:LINE: and holds both texts, in one line. */
static void
assert_said(const char *name, int line, const char *what,
    const char *expected)
{
	char begin[600];

	snprintf(begin, sizeof(begin), "%s:%d: ", path_of(name), line);
	if (strncmp(said, begin, strlen(begin)) != 0)
		fail_msg("not at %s but: %s", begin, said);
	if (strstr(said, what) == NULL)
		fail_msg("no \"%s\" in: %s", what, said);
	if (strstr(said, ": expected ") == NULL ||
	    strstr(said, expected) == NULL)
		fail_msg("no \"%s\" in: %s", expected, said);
	if (strchr(said, '\n') != said + strlen(said) - 1)
		fail_msg("not one line: %s", said);
}

static void
test_defaults(void **state)
{
	struct conf *conf = load("");

	(void)state;
	assert_string_equal(conf->store, "/var/lib/rememberd");
	assert_string_equal(conf->cache, "/var/cache/rememberd");
	assert_string_equal(conf->socket, "/run/rememberd/fcgi.sock");
	assert_string_equal(conf->control_socket,
	    "/run/rememberd/control.sock");
	assert_null(conf->jwt_secret_file);
	assert_int_equal(conf->socket_mode, 0660);
	assert_int_equal(conf->workers, 2);
	assert_int_equal(conf->helpers, 4);
	assert_int_equal(conf->flush_interval, 60 * 1000);
	assert_int_equal(conf->journal_keep, 3600 * 1000);
	assert_int_equal(conf->journal_limit, 64 << 20);
	assert_int_equal(conf->journal_segment, 16 << 20);
	assert_int_equal(conf->disk_reserve, 64 << 20);
	assert_false(conf->strict_recovery);
	assert_int_equal(conf->max_body, 32 << 20);
	assert_int_equal(conf->max_item, 8 << 20);
	assert_int_equal(conf->max_items_per_request, 1000);
	assert_int_equal(conf->once_limit, 4096);
	assert_int_equal(conf->request_timeout, 60 * 1000);
	assert_int_equal(conf->log_level, LOG_LEVEL_INFO);
	assert_int_equal(conf->ntenants, 0);
	assert_null(conf_tenant(conf, "acme"));
	conf_free(conf);
	conf_free(NULL);
}

static void
test_values(void **state)
{
	struct conf *conf = load(
	    "# a comment = \"not closed\n"
	    "store = \"/srv/a # b // c\"	// and another\n"
	    "cache = '/srv/cache'\n"
	    "socket_mode = \"0600\"\n"
	    "jwt_secret_file = \"/dev/null\"\n"
	    "workers = 7 /* over\n two lines */ helpers = 1\n"
	    "flush_interval = 200ms journal_keep = \"2d\"\n"
	    "request_timeout = 90\n"
	    "journal_limit = \"1G\" max_body = 70000 disk_reserve = 0\n"
	    "strict_recovery = on\n"
	    "log_level = debug\n");

	(void)state;
	assert_string_equal(conf->store, "/srv/a # b // c");
	assert_string_equal(conf->cache, "/srv/cache");
	assert_int_equal(conf->socket_mode, 0600);
	assert_string_equal(conf->jwt_secret_file, "/dev/null");
	assert_int_equal(conf->workers, 7);
	assert_int_equal(conf->helpers, 1);
	assert_int_equal(conf->flush_interval, 200);
	assert_int_equal(conf->journal_keep, 2 * 24 * 3600 * 1000);
	assert_int_equal(conf->request_timeout, 90 * 1000);
	assert_int_equal(conf->journal_limit, 1 << 30);
	assert_int_equal(conf->max_body, 70000);
	assert_int_equal(conf->disk_reserve, 0);
	assert_true(conf->strict_recovery);
	assert_int_equal(conf->log_level, LOG_LEVEL_DEBUG);
	/* An item comes in a body, so it is never larger. */
	assert_int_equal(conf->max_item, 70000);
	conf_free(conf);
}

static void
test_last_wins(void **state)
{
	struct conf *conf;

	(void)state;
	write_text("more", "workers = 9\n");
	conf = load("workers = 3\nhelpers = 3\ninclude(\"more\")\n"
	    "helpers = 5");
	assert_int_equal(conf->workers, 9);
	assert_int_equal(conf->helpers, 5);
	conf_free(conf);
}

static void
test_tenants(void **state)
{
	const struct conf_tenant *t;
	struct conf *conf = load(
	    "tenant \"zoo\" {}\n"
	    "tenant acme-1 {\n"
	    "	allowed_origins = {\n"
	    "		\"https://app.example\",	# ours\n"
	    "		\"http://localhost:8080\"\n"
	    "	}\n"
	    "}\n");

	(void)state;
	assert_int_equal(conf->ntenants, 2);
	assert_string_equal(conf->tenants[0].name, "acme-1");
	assert_string_equal(conf->tenants[1].name, "zoo");
	assert_non_null(t = conf_tenant(conf, "acme-1"));
	assert_int_equal(t->norigins, 2);
	assert_string_equal(t->allowed_origins[0], "https://app.example");
	assert_string_equal(t->allowed_origins[1], "http://localhost:8080");
	assert_non_null(t = conf_tenant(conf, "zoo"));
	assert_int_equal(t->norigins, 0);
	conf_free(conf);
}

static void
test_mistakes(void **state)
{
	static const struct {
		const char	*text;
		int		 line;
		const char	*what;
		const char	*expected;
	} rows[] = {
		/* Names. */
		{ "\nworker = 2", 2, "'worker'", "one of store, cache, " },
		{ "# c\n# c\nagents \"x\" {}", 3, "'agents'", "tenant" },
		{ "tenant \"a\" {\n  origins = {}\n}", 2, "'origins'",
		    "one of allowed_origins" },
		{ "a|b = 1", 1, "no su", "one of" },

		/* Kinds. */
		{ "workers = two", 1, "workers = \"two\"", "from 1 to 256" },
		{ "workers = \"\"", 1, "workers = \"\"", "a number" },
		{ "workers = 2.5", 1, "\"2.5\"", "a number" },
		{ "workers = -1", 1, "\"-1\"", "a number" },
		{ "workers = 2K", 1, "\"2K\"", "a number" },
		{ "workers = {2}", 1, "'{'", "NAME = VALUE" },
		{ "max_body = 1m", 1, "\"1m\"", "K, M, G, T" },
		{ "max_body = 1MB", 1, "\"1MB\"", "K, M, G, T" },
		{ "flush_interval = 1M", 1, "\"1M\"", "ms, s, m, h, d" },
		{ "flush_interval = \"1 s\"", 1, "\"1 s\"", "10ms to 7d" },
		{ "socket_mode = 0999", 1, "\"0999\"", "octal" },
		{ "socket_mode = 2660", 1, "\"2660\"", "octal" },
		{ "log_level = loud", 1, "\"loud\"", "debug" },
		{ "store = \"\"", 1, "store = \"\"", "a path" },
		{ "\njwt_secret_file = \"/gone\"", 2, "\"/gone\"",
		    "a readable file" },

		/* Ranges. */
		{ "\n\nworkers = 0", 3, "\"0\"", "from 1 to 256" },
		{ "workers = 257", 1, "\"257\"", "from 1 to 256" },
		{ "helpers = 18446744073709551617", 1, "helpers", "number" },
		{ "flush_interval = 9ms", 1, "\"9ms\"", "10ms to 7d" },
		{ "max_body = 2G", 1, "\"2G\"", "from 1K to 1G" },
		{ "max_body = 17179869184G", 1, "max_body", "1K to 1G" },
		{ "socket = \"/123456789/123456789/123456789/123456789"
		    "/123456789/123456789/123456789/123456789/123456789"
		    "/123456789/1234567\"", 1, "socket", "1 to 107 bytes" },

		/* Tenants. */
		{ "tenant \"Acme\" {}", 1, "\"Acme\"", "a-z, 0-9" },
		{ "tenant \"-a\" {}", 1, "\"-a\"", "beginning with" },
		{ "tenant \"a\" {}\ntenant \"a\" {}", 2, "'a'", "once" },
		{ "tenant {}", 1, "title", "tenant \"NAME\" {" },
		{ "tenant \"a\" = 1", 1, "brace", "expected {" },
		{ "tenant \"a\" {\n allowed_origins = {\n\"https://a.b\",\n"
		    "\"https://a.b/c\" } }", 4, "https://a.b/c", "path" },
		{ "tenant \"a\" { allowed_origins = \"*\" }", 1, "\"*\"",
		    "an origin" },

		/* Grammar. */
		{ "workers", 1, "premature end", "the rest" },
		{ "workers 2", 1, "missing equal sign", "NAME = VALUE" },
		{ "workers += 2", 1, "append", "NAME = VALUE" },
		{ "}", 1, "closing brace", "an option" },
		{ "\ntenant \"a\" {\n\n", 2, "{ without end", "}" },
		{ "tenant \"a\" { allowed_origins = {\n}", 1, "without", "}" },
		{ "\nstore = \"/a\nworkers = 2\n", 2, "unterminated string",
		    "\" before" },
		{ "store = '/a", 1, "unterminated string", "' before" },
		{ "store = \"/a\\\nb\"", 1, "unterminated string", "before" },
		{ "\n/* a\n\n", 2, "unterminated comment", "*/" },
		{ "include(\"a\", \"b\")", 1, "2 arguments", "include(" },
		{ "include \"a\"", 1, "parenthesis", "include(" },
		{ "\ninclude(\"gone\")", 2, "gone: No such file",
		    "a readable file" },
	};
	struct conf *conf = NULL;
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(rows); i++) {
		write_text("conf", rows[i].text);
		if (load_path(path_of("conf"), &conf) != -1)
			fail_msg("accepted: %s", rows[i].text);
		assert_null(conf);
		assert_said("conf", rows[i].line, rows[i].what,
		    rows[i].expected);
	}
	/* A mistake leaves nothing behind that spoils the next file. */
	conf_free(load("workers = 3"));
}

static void
test_mistakes_in_includes(void **state)
{
	struct conf *conf = NULL;

	(void)state;
	write_text("more", "# first\nworkers = none\n");
	write_text("conf", "helpers = 2\n\n\ninclude(\"more\")\n");
	assert_int_equal(load_path(path_of("conf"), &conf), -1);
	assert_said("more", 2, "workers = \"none\"", "a number");

	/* Behind an include the line is the includer's again. */
	write_text("more", "workers = 1\n\n\n\n\n");
	write_text("conf", "helpers = 2\ninclude(\"more\")\nhelpers = no\n");
	assert_int_equal(load_path(path_of("conf"), &conf), -1);
	assert_said("conf", 3, "helpers = \"no\"", "a number");

	write_text("conf", "\ninclude(\"conf\")\n");
	assert_int_equal(load_path(path_of("conf"), &conf), -1);
	assert_said("conf", 2, "too deep", "at most 10");
}

static void
test_unreadable(void **state)
{
	static char big[(1 << 20) + 1];
	struct conf *conf = NULL;

	(void)state;
	assert_int_equal(load_path(path_of("gone"), &conf), -1);
	assert_said("gone", 1, "No such file", "a readable file");
	/* Its name is not said twice. */
	assert_null(strstr(strstr(said, "gone") + 1, "gone"));

	assert_int_equal(mkdir(path_of("folder"), 0700), 0);
	assert_int_equal(load_path(path_of("folder"), &conf), -1);
	assert_said("folder", 1, "directory", "a readable file");
	assert_null(strstr(strstr(said, "folder") + 1, "folder"));
	assert_int_equal(rmdir(path_of("folder")), 0);

	write_file("conf", "workers = 2\n\0\n", 14);
	assert_int_equal(load_path(path_of("conf"), &conf), -1);
	assert_said("conf", 2, "NUL byte", "text");

	memset(big, '\n', sizeof(big));
	write_file("conf", big, sizeof(big));
	assert_int_equal(load_path(path_of("conf"), &conf), -1);
	assert_said("conf", 1, "too large", "at most 1048576 bytes");
}

static void
test_secret(void **state)
{
	char big[514];
	char *secret = NULL;
	size_t len = 0;

	(void)state;
	write_file("secret", "a\0b\n\n", 5);
	assert_int_equal(conf_secret(path_of("secret"), &secret, &len), 0);
	assert_int_equal(len, 4);
	assert_memory_equal(secret, "a\0b\n", 5);
	free(secret);

	memset(big, 'x', sizeof(big));
	write_file("secret", big, 512);
	assert_int_equal(conf_secret(path_of("secret"), &secret, &len), 0);
	assert_int_equal(len, 512);
	free(secret);
	/* The newline is not of it. */
	big[512] = '\n';
	write_file("secret", big, 513);
	assert_int_equal(conf_secret(path_of("secret"), &secret, &len), 0);
	assert_int_equal(len, 512);
	free(secret);
	write_file("secret", big, 514);
	assert_int_equal(conf_secret(path_of("secret"), &secret, &len), -1);
	big[512] = 'x';
	big[513] = '\n';
	write_file("secret", big, 514);
	assert_int_equal(conf_secret(path_of("secret"), &secret, &len), -1);
	write_file("secret", big, 513);
	assert_int_equal(conf_secret(path_of("secret"), &secret, &len), -1);
	write_text("secret", "\n");
	assert_int_equal(conf_secret(path_of("secret"), &secret, &len), -1);
	assert_int_equal(conf_secret(path_of("gone"), &secret, &len), -1);
}

/* What is printed reads back as the same. */
static void
test_print(void **state)
{
	struct conf *conf = load(
	    "store = \"/a \\\"b\\\" \\\\ \\${c}\" max_body = 70000\n"
	    "flush_interval = 90s log_level = warn socket_mode = 0600\n"
	    "tenant \"a\" { allowed_origins = { \"https://a.b\","
	    " \"http://c:1\" } }\ntenant \"b\" {}");
	char *first = NULL, *second = NULL;
	size_t len;
	FILE *fp;

	(void)state;
	assert_non_null(fp = open_memstream(&first, &len));
	conf_print(conf, fp);
	fclose(fp);
	conf_free(conf);
	assert_non_null(strstr(first, "max_body = \"70000\"\n"));
	assert_non_null(strstr(first, "flush_interval = \"90s\"\n"));
	assert_non_null(strstr(first, "journal_limit = \"64M\"\n"));
	assert_non_null(strstr(first, "socket_mode = \"0600\"\n"));

	conf = load(first);
	assert_string_equal(conf->store, "/a \"b\" \\ ${c}");
	assert_int_equal(conf->ntenants, 2);
	assert_int_equal(conf->tenants[0].norigins, 2);
	assert_non_null(fp = open_memstream(&second, &len));
	conf_print(conf, fp);
	fclose(fp);
	conf_free(conf);
	assert_string_equal(first, second);
	free(first);
	free(second);
}

static int
setup(void **state)
{
	(void)state;
	return (mkdtemp(dir) == NULL ? -1 : 0);
}

static int
teardown(void **state)
{
	static const char *const names[] = { "conf", "more", "secret",
	    "stderr" };
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(names); i++)
		unlink(path_of(names[i]));
	return (rmdir(dir));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_last_wins),
		cmocka_unit_test(test_tenants),
		cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_mistakes_in_includes),
		cmocka_unit_test(test_unreadable),
		cmocka_unit_test(test_secret),
		cmocka_unit_test(test_print),
	};

	return (cmocka_run_group_tests_name("conf", tests, setup,
	    teardown));
}
