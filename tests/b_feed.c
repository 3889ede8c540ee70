/*
 * conf/feed: how lines become requests, with an admin side that only replies:
 * what was counted of a conversation that does not come in is taken back, and
 * what no request can hold is told with its line, and passed over.
 */

#include <sys/mman.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conf/conf.h"
#include "conf/ctl.h"
#include "conf/feed.h"
#include "tests/logged.h"

/* --- the admin side ------------------------------------------------------- */

struct ctl_link {
	const char	*const *replies;	/* the last is NULL */
};

static struct ctl_link admin;
static char asked[4096];	/* all bodies */

struct ctl_link *
ctl_link_new(const struct conf *conf)
{

	(void)conf;
	asked[0] = '\0';
	return (&admin);
}

int
ctl_link_ask(struct ctl_link *l, const struct ctl_call *call, json_t **reply_r)
{
	size_t len = strlen(asked);

	assert_non_null(*l->replies);
	assert_true(len + call->body_len < sizeof(asked));
	memcpy(asked + len, call->body, call->body_len);
	asked[len + call->body_len] = '\0';
	*reply_r = json_loads(*l->replies++, 0, NULL);
	assert_non_null(*reply_r);
	return (200);
}

void
ctl_link_free(struct ctl_link *l)
{

	assert_null(*l->replies);
}

/* --- tests ------------------------------------------------------------------ */

#define ITEM(id)	"{\"at\":1,\"item\":{\"id\":\"" id "\"}}"
#define LINE(id)							\
    "{\"tenant\":\"acme\",\"conversation\":{\"id\":\"" id "\","	\
    "\"created_at\":1,\"updated_at\":2},\"items\":["			\
    ITEM("a") "," ITEM("b") "," ITEM("c") "," ITEM("d") "]}"
#define REPLY(rest)	"{\"lines\":1," rest "}"

/* Two items a part. */
static const struct conf conf = { .max_body = 128 };

static void
feeds(const char *const *replies, struct feed_counts *counts)
{
	struct feed *f;

	admin.replies = replies;
	assert_non_null(f = feed_new(&conf, NULL, false));
	assert_int_equal(feed_line(f, LINE("long"), strlen(LINE("long"))), 0);
	assert_int_equal(feed_line(f, "x", 1), 0);
	assert_int_equal(feed_end(f, counts), 0);
}

static void
counts_the_items_of_parts(void **state)
{
	static const char *const replies[] = { REPLY("\"items\":2"),
		REPLY("\"imported\":1,\"items\":2"),
		REPLY("\"imported\":1,\"items\":7"), NULL };
	struct feed_counts c;

	(void)state;
	feeds(replies, &c);
	assert_int_equal(c.imported, 2);
	assert_int_equal(c.items, 11);
	assert_non_null(strstr(asked, "{\"part\":1,"));
}

/* Its first part went in, its last did not: nobody sees any of it. */
static void
takes_back_the_items_of_what_failed(void **state)
{
	static const char *const replies[] = { REPLY("\"items\":2"),
		REPLY("\"failed\":1,\"error\":{\"line\":1,\"message\":\"no\"}"),
		REPLY("\"imported\":1,\"items\":7"), NULL };
	struct feed_counts c;

	(void)state;
	logged_start();
	feeds(replies, &c);
	logged_has("line 1: no");
	assert_int_equal(c.imported, 1);
	assert_int_equal(c.failed, 1);
	assert_int_equal(c.items, 7);
}

/* The rest of what is there, or failed, is not sent. */
static void
stops_at_the_part_that_fails(void **state)
{
	static const char *const failed[] = {
		REPLY("\"failed\":1,\"error\":{\"line\":1,\"message\":\"no\"}"),
		REPLY("\"imported\":1"), NULL };
	static const char *const skipped[] = { REPLY("\"items\":0"),
		REPLY("\"imported\":1"), NULL };
	struct feed_counts c;

	(void)state;
	logged_start();
	feeds(failed, &c);
	logged_has("line 1: no");
	assert_int_equal(c.failed, 1);
	assert_int_equal(c.imported, 1);
	feeds(skipped, &c);
	assert_int_equal(c.skipped, 1);
	assert_int_equal(c.imported, 1);
}

/* More than the daemon takes in one request: the other lines come in. */
static void
passes_over_what_no_request_holds(void **state)
{
	static const char *const replies[] = { REPLY("\"imported\":1"),
		REPLY("\"imported\":1"), NULL };
	const size_t len = ((size_t)2 << 30) + 1;
	struct feed_counts c;
	struct feed *f;
	char *line;

	(void)state;
	/* Of pages that nobody writes to there is one. */
	line = mmap(NULL, len, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS |
	    MAP_NORESERVE, -1, 0);
	assert_true(line != MAP_FAILED);
	admin.replies = replies;
	assert_non_null(f = feed_new(&conf, NULL, false));
	logged_start();
	assert_int_equal(feed_line(f, "x", 1), 0);
	assert_int_equal(feed_line(f, line, len), 0);
	assert_int_equal(feed_line(f, "y", 1), 0);
	assert_int_equal(feed_end(f, &c), 0);
	logged_has("line 2: it, or one item of it, has more than 2 GiB");
	assert_int_equal(c.failed, 1);
	assert_int_equal(c.imported, 2);
	assert_string_equal(asked, "x\ny\n");
	(void)munmap(line, len);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts_the_items_of_parts),
		cmocka_unit_test(takes_back_the_items_of_what_failed),
		cmocka_unit_test(stops_at_the_part_that_fails),
		cmocka_unit_test(passes_over_what_no_request_holds),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
