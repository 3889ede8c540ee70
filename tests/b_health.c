/*
 * fcgi/health: what is answered to who watches, by the state of the store.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake_request.h"
#include "fcgi/api.h"
#include "fcgi/tally.h"

FAKE_TENANT

static enum store_state health;

enum store_state
store_ready(struct store *s)
{
	(void)s;
	return (health);
}

static void
assert_answer(api_handler *handler, bool is_stopping, int status,
    const char *body)
{
	struct tallies tallies = { .is_stopping = is_stopping };
	struct fake f;

	fake_begin(&f, "GET", "/", NULL, "", 0);
	f.edge.tallies = &tallies;
	assert_int_equal(handler(&f.req, &f.rep), API_DONE);
	assert_int_equal(f.rep.status, status);
	buf_addc(&f.rep.body, '\0');
	assert_string_equal(f.rep.body.data, body);
	assert_int_equal(f.rep.lsn, 0);
	fake_end(&f);
}

/* It lives, whatever the store has. */
static void
lives(void **state)
{
	(void)state;
	for (health = STATE_READY; health <= STATE_HANGS; health++)
		assert_answer(api_healthz, health % 2 == 0, 200,
		    "{\"status\":\"ok\"}\n");
}

static void
is_ready(void **state)
{
	(void)state;
	health = STATE_READY;
	assert_answer(api_readyz, false, 200, "{\"status\":\"ready\"}\n");
	health = STATE_FULL;
	assert_answer(api_readyz, false, 503,
	    "{\"status\":\"unready\",\"reasons\":[\"disk_full\"]}\n");
	health = STATE_BROKEN;
	assert_answer(api_readyz, false, 503,
	    "{\"status\":\"unready\",\"reasons\":[\"journal_broken\"]}\n");
	assert_answer(api_readyz, true, 503, "{\"status\":\"unready\","
	    "\"reasons\":[\"stopping\",\"journal_broken\"]}\n");
	health = STATE_HANGS;
	assert_answer(api_readyz, false, 503,
	    "{\"status\":\"unready\",\"reasons\":[\"disk_hangs\"]}\n");
	health = STATE_READY;
	assert_answer(api_readyz, true, 503,
	    "{\"status\":\"unready\",\"reasons\":[\"stopping\"]}\n");
	assert_answer(api_readyz, false, 200, "{\"status\":\"ready\"}\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lives),
		cmocka_unit_test(is_ready),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
