/* store/export: the line of a conversation, from bytes. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "store/export.h"

static struct conversation_view
view(size_t n)
{
	static char metadata[] = "{\"n\":\"\\u00e9\",\"title\":\"mine\"}";
	struct conversation_view v = { .id = "conv_1", .version = 7,
	    .created_at = 1760000000123, .updated_at = -5,
	    .metadata = metadata, .metadata_len = strlen(metadata),
	    .title = metadata, .title_len = 3, .item_count = n };

	return (v);
}

static void
is_line(const struct conversation_view *v, struct item *const *items,
    const char *want)
{
	struct buf b = BUF_INITIALIZER;

	buf_adds(&b, "before\n");
	export_line(&b, "acme", v, items, v->item_count);
	assert_true(buf_ok(&b));
	if (b.len != strlen(want) + 7 || memcmp(b.data + 7, want,
	    b.len - 7) != 0)
		fail_msg("got:  %.*s\nwant: %s", (int)b.len, b.data, want);
	buf_fini(&b);
}

#define HEAD	"{\"tenant\":\"acme\",\"conversation\":{\"id\":\"conv_1\"," \
	"\"created_at\":1760000000123,\"updated_at\":-5,\"version\":7,"
#define REST	"\"metadata\":{\"n\":\"\\u00e9\",\"title\":\"mine\"}},"

/* A title that only the metadata give was not set. */
static void
head(void **state)
{
	static char title[] = "a\0\"b\n";
	static char user[] = "u\\1";
	struct conversation_view v = view(0);

	(void)state;
	is_line(&v, NULL, HEAD "\"user\":null,\"title\":null," REST
	    "\"items\":[]}\n");
	v.title = title;
	v.title_len = 5;
	v.has_title = true;
	v.user = user;
	is_line(&v, NULL, HEAD "\"user\":\"u\\\\1\","
	    "\"title\":\"a\\u0000\\\"b\\n\"," REST "\"items\":[]}\n");
}

/* Bytes as they are; a position where one is left out before it. */
static void
entries(void **state)
{
	const uint64_t positions[] = { 1, 2, 5, 6, 9 };
	struct conversation_view v = view(5);
	struct item *items[5];
	size_t i;

	(void)state;
	for (i = 0; i < 5; i++) {
		items[i] = item_new("x", "{\"n\":0.10,\"id\":\"x\"}", 19);
		assert_non_null(items[i]);
		items[i]->at = (int64_t)i * 10;
		items[i]->position = positions[i];
	}
#define ITEM	"\"item\":{\"n\":0.10,\"id\":\"x\"}}"
	is_line(&v, items, HEAD "\"user\":null,\"title\":null," REST
	    "\"items\":[{\"at\":0," ITEM ",{\"at\":10," ITEM
	    ",{\"at\":20,\"position\":5," ITEM ",{\"at\":30," ITEM
	    ",{\"at\":40,\"position\":9," ITEM "]}\n");
	v.item_count = 1;
	items[0]->position = 2;
	is_line(&v, items, HEAD "\"user\":null,\"title\":null," REST
	    "\"items\":[{\"at\":0,\"position\":2," ITEM "]}\n");
	for (i = 0; i < 5; i++)
		item_unref(items[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(head),
		cmocka_unit_test(entries),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
