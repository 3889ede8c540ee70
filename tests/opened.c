#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <bsd/string.h>

#include <cmocka.h>

#include "tests/fault.h"
#include "tests/opened.h"

struct store *s;
struct tenant *t;

int
opened_setup(void **state)
{

	(void)state;
	fault_disarm();
	place_make();
	open_store(dir);
	return (0);
}

int
opened_teardown(void **state)
{

	(void)state;
	fault_disarm();
	close_store();
	place_remove();
	return (0);
}

void
close_store(void)
{

	store_tenant_put(t);
	state_close(s);
}

void
open_store(const char *path)
{

	s = state_open(path);
	t = state_tenant(s, "acme");
}

void
reopen(void)
{

	close_store();
	open_store(dir);
}

void
open_keeping_nothing(void)
{
	struct store_options o = state_options(dir);
	pid_t holder;

	o.keep_ms = 0;
	assert_int_equal(store_open(&o, &s, &holder), 0);
	t = state_tenant(s, "acme");
}

/* --- changes ------------------------------------------------------------ */

struct change
change_of(enum change_kind kind, const char *id)
{
	struct change ch = { .kind = kind };

	strlcpy(ch.conversation, id, sizeof(ch.conversation));
	return (ch);
}

uint64_t
change(const struct change *ch)
{
	struct outcome o;
	uint64_t lsn;

	assert_int_equal(store_commit(s, t, ch, &o), STORE_OK);
	lsn = o.lsn;
	store_outcome_fini(&o);
	return (lsn);
}

void
set_metadata(const char *id, const char *json, bool merges,
    enum store_err want, const char *after)
{
	struct change ch = change_of(CHANGE_CONVERSATION_UPDATE, id);
	struct outcome o;

	ch.metadata = (struct span){ json, strlen(json) };
	ch.has_metadata = true;
	ch.merges = merges;
	assert_int_equal(state_commit(s, t, &ch, &o), want);
	if (want == STORE_OK)
		assert_string_equal(o.view.metadata, after);
	store_outcome_fini(&o);
}

/* --- its disk ----------------------------------------------------------- */

void
hold_disk(void)
{

	fault_gate_close(FAULT_FDATASYNC);
}

static void
await_health(enum store_err err)
{
	int i;

	for (i = 0; i < 200 && store_health(s) != err; i++)
		usleep(50 * 1000);
	assert_int_equal(store_health(s), err);
}

void
break_journal(void)
{

	fault_arm_forever(FAULT_FDATASYNC | FAULT_FSYNC | FAULT_PWRITEV |
	    FAULT_OPENAT, 1, ENOSPC);
	fault_gate_open();
	await_health(STORE_FULL);
}

void
mend_journal(void)
{

	fault_disarm();
	await_health(STORE_OK);
}
