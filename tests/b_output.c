/* fcgi/output, recall: what goes out is the shape of API.md, and is JSON. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "fcgi/output.h"
#include "fcgi/recall.h"
#include "fcgi/recall_word.h"

static struct span
span(const char *s)
{
	return ((struct span){ s, strlen(s) });
}

static void
assert_text(struct buf *out, const char *want)
{
	assert_true(buf_ok(out));
	if (out->len != strlen(want) || memcmp(out->data, want, out->len))
		fail_msg("got:  %.*s\nwant: %s", (int)out->len, out->data,
		    want);
	buf_fini(out);
}

/* --- conversations -------------------------------------------------------- */

static struct conversation_view
view(const char *id)
{
	static char metadata[] = "{\"title\":\"from \\u00e9\"}";
	static char preview[] = "a\0b";
	struct conversation_view v;

	memset(&v, 0, sizeof(v));
	(void)strcpy(v.id, id);
	v.metadata = metadata;
	v.metadata_len = strlen(metadata);
	v.preview = preview;
	v.preview_len = 3;
	v.created_at = 1700000000999;
	v.updated_at = 1700000001000;
	v.version = 7;
	v.item_count = 2;
	v.bytes = 345;
	return (v);
}

#define FRONT	"{\"id\":\"conv_1\",\"object\":\"conversation\"," \
	"\"created_at\":1700000000,\"metadata\":{\"title\":" \
	"\"from \\u00e9\"},\"updated_at\":1700000001,\"version\":7,"
#define REST	"\"item_count\":2,\"bytes\":345,\"pinned\":false," \
	"\"archived\":false,\"expires_at\":null,\"forked_from\":null,"

static void
writes_conversations(void **state)
{
	struct conversation_view v = view("conv_1");
	struct buf out = BUF_INITIALIZER;
	char empty[] = "", user[] = "ann \"x\"";

	(void)state;
	output_conversation(&out, &v);
	assert_text(&out, FRONT "\"title\":\"from \\u00e9\",\"user\":null,"
	    REST "\"preview\":\"a\\u0000b\"}");
	/* An empty title is one. */
	v.title = empty;
	v.user = user;
	v.preview = NULL;
	output_conversation(&out, &v);
	assert_text(&out, FRONT "\"title\":\"\",\"user\":\"ann \\\"x\\\"\","
	    REST "\"preview\":null}");
	output_conversation_deleted(&out, "conv_1");
	assert_text(&out, "{\"id\":\"conv_1\",\"object\":"
	    "\"conversation.deleted\",\"deleted\":true}");
}

static void
writes_lists_of_conversations(void **state)
{
	struct conversation_view views[2] = { view("conv_1"), view("conv_2") };
	struct list_page page = { .views = views, .nviews = 2,
		.has_more = true, .last = { 5, 7, "conv_2" } };
	struct buf out = BUF_INITIALIZER;
	struct list_cursor cursor;
	const char *next;
	json_t *list;

	(void)state;
	output_conversations(&out, &page, STORE_BY_UPDATED);
	list = json_loadb(out.data, out.len, JSON_ALLOW_NUL, NULL);
	assert_int_equal(json_array_size(json_object_get(list, "data")), 2);
	assert_string_equal(json_string_value(json_object_get(list,
	    "first_id")), "conv_1");
	assert_string_equal(json_string_value(json_object_get(list,
	    "last_id")), "conv_2");
	assert_true(json_is_true(json_object_get(list, "has_more")));
	next = json_string_value(json_object_get(list, "next_after"));
	assert_true(query_cursor_read(span(next), STORE_BY_UPDATED, &cursor));
	assert_int_equal(cursor.key, 5);
	assert_int_equal(cursor.tie, 7);
	json_decref(list);
	buf_fini(&out);
	page.nviews = 0;
	page.has_more = false;
	output_conversations(&out, &page, STORE_BY_UPDATED);
	assert_text(&out, "{\"object\":\"list\",\"data\":[],\"first_id\":\"\","
	    "\"last_id\":\"\",\"has_more\":false,\"next_after\":null}");
}

/* --- items ---------------------------------------------------------------- */

static void
writes_items(void **state)
{
	static const char plain[] = "{\"id\":\"a\",\"type\":\"x\",\"v\":1.0}";
	static const char own[] = "{\"id\":\"b\",\"created_at\":\"mine\"}";
	struct item *v[2] = { item_new("a", plain, strlen(plain)),
		item_new("b", own, strlen(own)) };
	struct buf out = BUF_INITIALIZER;

	(void)state;
	v[0]->at = v[1]->at = 1700000000999;
	v[0]->position = 3;
	v[1]->position = 4;
	output_items(&out, v, 2, true, false);
	assert_text(&out, "{\"object\":\"list\",\"data\":[{\"id\":\"a\","
	    "\"type\":\"x\",\"v\":1.0},{\"id\":\"b\",\"created_at\":"
	    "\"mine\"}],\"first_id\":\"a\",\"last_id\":\"b\",\"has_more\":"
	    "true}");
	output_items(&out, v, 0, false, true);
	assert_text(&out, "{\"object\":\"list\",\"data\":[],\"first_id\":\"\","
	    "\"last_id\":\"\",\"has_more\":false}");
	output_item(&out, v[0], true);
	assert_text(&out, "{\"id\":\"a\",\"type\":\"x\",\"v\":1.0,"
	    "\"created_at\":1700000000,\"created_at_ms\":1700000000999,"
	    "\"position\":3}");
	/* The client's own member is not said twice. */
	output_item(&out, v[1], true);
	assert_text(&out, "{\"id\":\"b\",\"created_at\":\"mine\","
	    "\"created_at_ms\":1700000000999,\"position\":4}");
	item_unref(v[0]);
	item_unref(v[1]);
}

/* --- recall --------------------------------------------------------------- */

#define DAY	((int64_t)86400000)
#define FIRST	(1767225600000 + 9 * 3600000)	/* 1 January 2026, 09:00 */

/* What recall says to messages, oldest first, a day apart; who says it
 * stands before a colon: u, a, s. */
static char *
ask(const char *const *said, bool is_kept)
{
	static const char *const roles[] = { "user", "assistant", "system" };
	struct buf json = BUF_INITIALIZER, out = BUF_INITIALIZER;
	struct recall *r = recall_new();
	const char *role;
	size_t i, n = 0;

	assert_non_null(r);
	while (said[n] != NULL)
		n++;
	for (i = n; i-- > 0;) {
		role = roles[said[i][0] == 'u' ? 0 : said[i][0] == 'a' ? 1 :
		    2];
		buf_addf(&json, "{\"type\":\"message\",\"role\":\"%s\","
		    "\"content\":[{\"type\":\"t\",\"text\":", role);
		buf_jsons(&json, said[i] + 2);
		buf_adds(&json, "}]}");
		assert_true(recall_add(r, (struct span){ json.data,
		    json.len }, FIRST + (int64_t)i * DAY));
		buf_fini(&json);
	}
	recall_answer(r, is_kept, &out);
	recall_free(r);
	assert_true(out.len > 0 && memchr(out.data, '\0', out.len) == NULL);
	return (buf_take(&out, &n));
}

static void
recalls(void **state)
{
	static const struct {
		const char	*said[6];
		bool		 is_kept;
		const char	*answer;
	} cases[] = {
		{ { "u:My cat is called Miezi.", "a:Noted. x",
		    "u:What is my cat called?" }, true, "You said on "
		    "1 January 2026 at 09:00 UTC: “My cat is called Miezi.”" },
		/* An earlier question is not the answer. */
		{ { "u:The word is plum.", "u:What is the word?",
		    "a:I find nothing about word.", "u:What was the word?" },
		    true, "You said on 1 January 2026 at 09:00 UTC: "
		    "“The word is plum.”" },
		/* Unless nothing else is. */
		{ { "u:Where are the keys?", "u:Did I ask about keys?" },
		    true, "You asked on 1 January 2026 at 09:00 UTC: "
		    "“Where are the keys?”" },
		/* In the order in which it was said; fewer words go. */
		{ { "u:Red boats sail", "u:I like boats", "a:Blue boats sail",
		    "u:which boats sail?" }, true, "You said on 1 January "
		    "2026 at 09:00 UTC: “Red boats sail”\n\nI said on "
		    "3 January 2026 at 09:00 UTC: “Blue boats sail”" },
		{ { "u:I like tea", "u:Which coffee?" }, true, "I find "
		    "nothing about “coffee” in 1 earlier message." },
		{ { "u:Which coffee?" }, true, "Nothing was said here "
		    "before, so there is nothing I could recall." },
		{ { "u:hello" }, true, "Nothing was said here before. Tell "
		    "me something, then ask me about it." },
		{ { NULL }, true, "Nothing was said here before. Tell me "
		    "something, then ask me about it." },
		{ { "u:I like tea", "a:Noted.", "u:What do you remember?" },
		    true, "This conversation holds 2 earlier messages, the "
		    "first of them from 1 January 2026 at 09:00 UTC.\n\nYou "
		    "said on 1 January 2026 at 09:00 UTC: “I like tea”" },
		{ { "u:I like tea" }, true, "Noted. It is the first message "
		    "here. Ask me about it later, and I will find it "
		    "again." },
		{ { "u:I like tea" }, false, "Noted. Outside a conversation "
		    "nothing is kept, though." },
		{ { "u:My colour is teal.", "u:COLOURS matter" }, true,
		    "Noted. It comes after 1 other message. Ask me about it "
		    "later, and I will find it again.\n\nYou said on "
		    "1 January 2026 at 09:00 UTC: “My colour is teal.”" },
		{ { "u:Das Café heißt „Süß“", "u:Wie heißt das Café?" }, true,
		    "You said on 1 January 2026 at 09:00 UTC: “Das Café "
		    "heißt „Süß“”" },
		{ { "u:我的猫叫咪咪。", "u:猫叫什么？" }, true, "You said on "
		    "1 January 2026 at 09:00 UTC: “我的猫叫咪咪。”" },
	};
	char *answer;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		answer = ask(cases[i].said, cases[i].is_kept);
		assert_string_equal(answer, cases[i].answer);
		free(answer);
	}
}

static void
cuts_long_quotes_between_characters(void **state)
{
	char *text = malloc(4000), *answer;
	const char *said[3] = { text, "u:Who is Zoe?", NULL };
	struct buf out = BUF_INITIALIZER;
	json_t *json;
	size_t i;

	(void)state;
	for (i = 0; i < 300; i++) {
		/* Zoe stands at every distance from what is cut. */
		(void)sprintf(text, "u:%0*d", (int)i + 1, 0);
		(void)strcat(text, "ééééé\x01");
		while (strlen(text) < 1500)
			(void)strcat(text, " é😀");
		(void)strcat(text, " Zoe ");
		while (strlen(text) < 2500)
			(void)strcat(text, " 😀é");
		answer = ask(said, true);
		assert_non_null(strstr(answer, "“…"));
		assert_non_null(strstr(answer, " Zoe "));
		assert_non_null(strstr(answer, "…”"));
		assert_true(strlen(answer) < 400);
		buf_json(&out, answer, strlen(answer));
		json = json_loadb(out.data, out.len, JSON_DECODE_ANY, NULL);
		assert_non_null(json);
		json_decref(json);
		buf_fini(&out);
		free(answer);
	}
	free(text);
}

static void
bears_odd_items(void **state)
{
	static const char *const items[] = { "{\"type\":\"function_call\"}",
		"{\"type\":\"message\",\"role\":\"user\",\"content\":{}}",
		"{\"type\":\"message\",\"role\":7,\"content\":[]}",
		"{\"type\":\"message\",\"role\":\"user\",\"content\":"
		"[{\"type\":\"input_image\"},{\"type\":\"x\",\"text\":5}]}",
		"{\"type\":\"message\",\"role\":\"user\",\"content\":"
		"[{\"text\":\"a\\u0000b \\ud83d\\ude00 ?\"}]}" };
	struct buf out = BUF_INITIALIZER;
	struct recall *r = recall_new();
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(items) / sizeof(items[0]); i++)
		assert_true(recall_add(r, span(items[i]), FIRST));
	recall_answer(r, true, &out);
	assert_true(buf_ok(&out) && out.len > 0);
	buf_fini(&out);
	recall_free(r);
	assert_int_equal(recall_item_words(span(items[4])), 3);
	assert_int_equal(recall_item_words(span(items[0])), 0);
}

static void
splits_words(void **state)
{
	struct span text = span("It's 3 o'clock—“naïve” 猫が");
	static const char *const want[] = { "It", "s", "3", "o", "clock",
		"naïve", "猫", "が" };
	struct span word;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		assert_true(recall_word_next(&text, &word));
		assert_int_equal(word.len, strlen(want[i]));
		assert_memory_equal(word.p, want[i], word.len);
	}
	assert_false(recall_word_next(&text, &word));
	assert_true(recall_word_same(span("colour"), span("COLOURS")));
	assert_false(recall_word_same(span("cat"), span("cats")));
	assert_false(recall_word_same(span("cats"), span("catalogue")));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writes_conversations),
		cmocka_unit_test(writes_lists_of_conversations),
		cmocka_unit_test(writes_items),
		cmocka_unit_test(recalls),
		cmocka_unit_test(cuts_long_quotes_between_characters),
		cmocka_unit_test(bears_odd_items),
		cmocka_unit_test(splits_words),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
