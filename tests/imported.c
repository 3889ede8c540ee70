#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bsd/string.h>

#include <cmocka.h>

#include "store/store.h"
#include "tests/imported.h"

struct change
import_of(const char *id)
{
	struct change ch = { .kind = CHANGE_CONVERSATION_IMPORT,
	    .user = "ann", .title = "a\0title", .title_len = 7,
	    .metadata = { "{\"k\":\"v\"}", 9 }, .created_at = CREATED,
	    .updated_at = CREATED + 5000, .version = 7 };

	strlcpy(ch.conversation, id, sizeof(ch.conversation));
	return (ch);
}

enum store_err
import_items(struct change *ch, int from, int n)
{
	struct item *v[8];
	enum store_err err;
	char id[16];
	int i;

	assert_true(n <= 8);
	for (i = 0; i < n; i++) {
		(void)snprintf(id, sizeof(id), "m%d", from + i);
		v[i] = state_item(id, id);
		v[i]->at = CREATED + from + i;
		/* One of three was deleted before it was exported. */
		v[i]->position = (uint64_t)(from + i + (from + i) / 3);
	}
	ch->items = v;
	ch->nitems = (size_t)n;
	err = state_commit(s, t, ch, NULL);
	while (i-- > 0)
		item_unref(v[i]);
	return (err);
}

enum store_err
part(const char *id, uint64_t number, const char *birth, int from, int n)
{
	struct change ch = { .kind = CHANGE_IMPORT_PART, .part = number };

	strlcpy(ch.conversation, id, sizeof(ch.conversation));
	strlcpy(ch.birth, birth, sizeof(ch.birth));
	return (import_items(&ch, from, n));
}

enum store_err
finish(const char *id, uint64_t n, const char *birth, int from)
{
	struct change ch = import_of(id);

	ch.part = n;
	strlcpy(ch.birth, birth, sizeof(ch.birth));
	return (import_items(&ch, from, 1));
}

bool
is_there(const char *id)
{
	struct conversation_view v;
	struct list_query q = { .limit = 100 };
	struct list_page p;
	enum store_err err;
	uint64_t lsn;
	bool listed = false;
	size_t i;

	err = store_conversation(t, id, NULL, &v, &lsn);
	assert_int_equal(store_list(t, &q, &p), STORE_OK);
	for (i = 0; i < p.nviews; i++)
		if (strcmp(p.views[i].id, id) == 0)
			listed = true;
	store_list_fini(&p);
	store_view_fini(&v);
	assert_int_equal(listed, err == STORE_OK);
	return (listed);
}

void
check_whole(const char *id, int n)
{
	struct conversation_view v;
	struct items_page p;
	struct item *want;
	char name[16];
	uint64_t lsn;
	int i;

	assert_int_equal(store_conversation(t, id, "ann", &v, &lsn), 0);
	assert_int_equal(v.created_at, CREATED);
	assert_int_equal(v.updated_at, CREATED + 5000);
	assert_int_equal(v.version, 7);
	assert_int_equal(v.title_len, 7);
	assert_memory_equal(v.title, "a\0title", 7);
	assert_string_equal(v.metadata, "{\"k\":\"v\"}");
	(void)snprintf(name, sizeof(name), "m%d", n);
	assert_string_equal(v.preview, name);
	store_view_fini(&v);
	assert_int_equal(store_items(t, id, NULL, NULL, STORE_ASC, 100, &p),
	    0);
	assert_int_equal(p.nitems, n);
	for (i = 1; i <= n; i++) {
		(void)snprintf(name, sizeof(name), "m%d", i);
		want = state_item(name, name);
		assert_string_equal(p.items[i - 1]->id, name);
		assert_int_equal(p.items[i - 1]->len, want->len);
		assert_memory_equal(p.items[i - 1]->json, want->json,
		    want->len);
		assert_int_equal(p.items[i - 1]->at, CREATED + i);
		assert_int_equal(p.items[i - 1]->position, i + i / 3);
		item_unref(want);
	}
	store_items_fini(&p);
	assert_true(is_there(id));
}

void
crash(void)
{
	char was[STATE_PATH + 8], line[256];

	(void)snprintf(was, sizeof(was), "%s-was", dir);
	(void)snprintf(line, sizeof(line), "cp -al '%s' '%s'", dir, was);
	assert_int_equal(system(line), 0);
	close_store();
	state_remove(dir);
	(void)snprintf(line, sizeof(line), "mv '%s' '%s'", was, dir);
	assert_int_equal(system(line), 0);
	open_store(dir);
}
