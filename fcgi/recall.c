#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "recall.h"
#include "recall_word.h"

#define WORDS_MAX	32	/* of a question */
#define QUOTES_MAX	3
#define QUOTE_BYTES	((size_t)300)
#define WORD_BYTES	((size_t)64)

enum speaker { USER, ASSISTANT, OTHER };

struct message {
	enum speaker	 speaker;
	int64_t		 at;		/* ms */
	size_t		 offset;	/* of its text in recall.text */
	size_t		 len;
};

/* Invariant: messages stand newest first. */
struct recall {
	struct buf	 text;		/* of all messages */
	struct message	*v;
	size_t		 n;
	size_t		 size;
	size_t		 scanned;	/* bytes of items */
};

/* An earlier message that shares words with the question. */
struct hit {
	const struct message *m;
	size_t		 words;		/* distinct ones that it shares */
	size_t		 at;		/* where the first of them stands */
};

/*
 * What answers begin with, so that recall does not quote itself: what an
 * assistant's message says behind these was said before by somebody else.
 */
static const char *const openings[] = { "You said ", "You asked ", "I said ",
	"I find ", "Noted", "Nothing was said ", "This conversation holds " };

#define NELEMS(a)	(sizeof(a) / sizeof((a)[0]))

/* --- messages ------------------------------------------------------------- */

struct recall *
recall_new(void)
{
	return (calloc(1, sizeof(struct recall)));
}

void
recall_free(struct recall *r)
{
	if (r == NULL)
		return;
	buf_fini(&r->text);
	free(r->v);
	free(r);
}

/* The speaker of an item; false if it is no message. */
static bool
read_speaker(struct span item, enum speaker *speaker_r)
{
	struct span value;
	char word[32];

	if (!jsonscan_get(item, "type", &value) ||
	    !jsonscan_cstring(value, word, sizeof(word)) ||
	    strcmp(word, "message") != 0 ||
	    !jsonscan_get(item, "role", &value) ||
	    !jsonscan_cstring(value, word, sizeof(word)))
		return (false);
	*speaker_r = strcmp(word, "user") == 0 ? USER :
	    strcmp(word, "assistant") == 0 ? ASSISTANT : OTHER;
	return (true);
}

/* The text of all parts that have one, but what is longer than max. */
static void
read_text(struct span item, size_t max, struct buf *out)
{
	struct jsonscan it;
	struct span content, key, part, text;

	if (!jsonscan_get(item, "content", &content))
		return;
	jsonscan_begin(&it, content);
	while (!it.is_object && jsonscan_next(&it, &key, &part)) {
		if (!jsonscan_get(part, "text", &text) || text.len > max)
			continue;
		max -= text.len;
		(void)jsonscan_string(text, out);
		buf_addc(out, '\n');
	}
}

bool
recall_add(struct recall *r, struct span item, int64_t at)
{
	struct message m = { .at = at, .offset = r->text.len };
	struct message *v;
	size_t size;

	if (r->scanned > RECALL_SCAN)
		return (true);
	r->scanned += item.len;
	if (!read_speaker(item, &m.speaker))
		return (true);
	if (r->n == r->size) {
		size = r->size == 0 ? 64 : r->size * 2;
		if ((v = reallocarray(r->v, size, sizeof(*v))) == NULL)
			return (false);
		r->v = v;
		r->size = size;
	}
	if (r->text.len < RECALL_TOTAL)
		read_text(item, RECALL_TEXT, &r->text);
	m.len = r->text.len - m.offset;
	r->v[r->n++] = m;
	return (buf_ok(&r->text));
}

static struct span
text_of(const struct recall *r, const struct message *m)
{
	if (m->len == 0)
		return ((struct span){ "", 0 });
	return ((struct span){ r->text.data + m->offset, m->len });
}

static size_t
all_words(struct span text)
{
	struct span word;
	size_t n = 0;

	while (recall_word_next(&text, &word))
		n++;
	return (n);
}

size_t
recall_item_words(struct span item)
{
	struct buf text = BUF_INITIALIZER;
	size_t n = 0;

	read_text(item, RECALL_TEXT, &text);
	if (buf_ok(&text) && text.len > 0)
		n = all_words((struct span){ text.data, text.len });
	buf_fini(&text);
	return (n);
}

/* --- looking for words ---------------------------------------------------- */

/* The words that matter, each once; returns their number. */
static size_t
keywords(struct span text, struct span words[WORDS_MAX])
{
	struct span word;
	size_t i, n = 0;

	while (n < WORDS_MAX && recall_word_next(&text, &word)) {
		if (recall_word_is_stop(word))
			continue;
		for (i = 0; i < n && !recall_word_same(words[i], word); i++)
			;
		if (i == n)
			words[n++] = word;
	}
	return (n);
}

/* It holds a question mark, of any script, or begins like a question. */
static bool
is_question(struct span text)
{
	static const char *const marks[] = { "?", "？", "؟" };
	struct span word;
	size_t i;

	for (i = 0; i < NELEMS(marks); i++)
		if (memmem(text.p, text.len, marks[i], strlen(marks[i])) !=
		    NULL)
			return (true);
	return (recall_word_next(&text, &word) && recall_word_asks(word));
}

static bool
is_own(struct span text)
{
	size_t i, len;

	for (i = 0; i < NELEMS(openings); i++) {
		len = strlen(openings[i]);
		if (text.len >= len && memcmp(text.p, openings[i], len) == 0)
			return (true);
	}
	return (false);
}

/* How many of the words stand in the text, and where the first one does. */
static size_t
count_words(struct span text, const struct span *words, size_t n,
    size_t *first_r)
{
	bool is_found[WORDS_MAX] = { false };
	const char *begin = text.p;
	struct span word;
	size_t i, found = 0;

	while (recall_word_next(&text, &word))
		for (i = 0; i < n; i++)
			if (!is_found[i] && recall_word_same(words[i], word)) {
				if (found++ == 0)
					*first_r = (size_t)(word.p - begin);
				is_found[i] = true;
			}
	return (found);
}

/* More words first; of two the same, what the user said, then the newer. */
static bool
is_better(const struct hit *a, const struct hit *b)
{
	if (a->words != b->words)
		return (a->words > b->words);
	return (a->m->speaker == USER && b->m->speaker != USER);
}

/* Keep the best QUOTES_MAX in order. */
static size_t
keep(struct hit *best, size_t n, struct hit hit)
{
	size_t i;

	for (i = n; i > 0 && is_better(&hit, &best[i - 1]); i--)
		if (i < QUOTES_MAX)
			best[i] = best[i - 1];
	if (i < QUOTES_MAX) {
		best[i] = hit;
		n += n < QUOTES_MAX;
	}
	return (n);
}

/*
 * The messages behind the newest of the user that share most words with it;
 * either what was stated or what was asked.  Who shares but half as many as
 * the best is left out.
 */
static size_t
look_up(const struct recall *r, size_t newest, const struct span *words,
    size_t nwords, bool asked, struct hit best[QUOTES_MAX])
{
	struct hit hit;
	struct span text;
	size_t i, n = 0;

	for (i = newest + 1; i < r->n; i++) {
		hit.m = &r->v[i];
		text = text_of(r, hit.m);
		if ((hit.m->speaker == ASSISTANT && is_own(text)) ||
		    is_question(text) != asked)
			continue;
		hit.words = count_words(text, words, nwords, &hit.at);
		if (hit.words > 0)
			n = keep(best, n, hit);
	}
	while (n > 1 && best[n - 1].words * 2 <= best[0].words)
		n--;
	return (n);
}

/* --- saying it ------------------------------------------------------------ */

static void
add_time(struct buf *out, int64_t at)
{
	time_t s = (time_t)(at / 1000);
	char text[64];
	struct tm tm;

	if (gmtime_r(&s, &tm) != NULL &&
	    strftime(text, sizeof(text), "%e %B %Y at %H:%M UTC", &tm) > 0)
		buf_adds(out, text + (text[0] == ' '));
}

static bool
is_continuation(char c)
{
	return (((unsigned char)c & 0xc0) == 0x80);
}

/*
 * About QUOTE_BYTES of the text, from a little before byte `at`, between
 * quotation marks; controls become spaces.
 */
static void
add_quote(struct buf *out, struct span text, size_t at)
{
	size_t begin = 0, end, i;

	while (text.len > 0 && (unsigned char)text.p[text.len - 1] <= ' ')
		text.len--;
	if (text.len > QUOTE_BYTES && at > QUOTE_BYTES / 3)
		begin = at - QUOTE_BYTES / 3;
	end = text.len - begin > QUOTE_BYTES ? begin + QUOTE_BYTES : text.len;
	while (begin < end && is_continuation(text.p[begin]))
		begin++;
	while (end < text.len && is_continuation(text.p[end]))
		end++;
	buf_adds(out, begin > 0 ? "“…" : "“");
	for (i = begin; i < end; i++)
		buf_addc(out, (unsigned char)text.p[i] < ' ' ||
		    text.p[i] == 0x7f ? ' ' : text.p[i]);
	buf_adds(out, end < text.len ? "…”" : "”");
}

static void
add_count(struct buf *out, size_t n, const char *what)
{
	buf_addf(out, "%zu %s%s", n, what, n == 1 ? "" : "s");
}

static void
add_hit(struct buf *out, const struct recall *r, const struct hit *hit)
{
	struct span text = text_of(r, hit->m);

	buf_adds(out, hit->m->speaker != USER ? "I said" :
	    is_question(text) ? "You asked" : "You said");
	buf_adds(out, " on ");
	add_time(out, hit->m->at);
	buf_adds(out, ": ");
	add_quote(out, text, hit->at);
}

/* In the order in which they were said. */
static void
add_hits(struct buf *out, const struct recall *r, struct hit *best, size_t n)
{
	size_t i, j;
	struct hit swap;

	for (i = 1; i < n; i++)
		for (j = i; j > 0 && best[j].m > best[j - 1].m; j--) {
			swap = best[j];
			best[j] = best[j - 1];
			best[j - 1] = swap;
		}
	for (i = 0; i < n; i++) {
		if (i > 0)
			buf_adds(out, "\n\n");
		add_hit(out, r, &best[i]);
	}
}

/* Nothing in the question says what it is about. */
static void
say_overview(const struct recall *r, size_t newest, struct buf *out)
{
	struct hit last = { .words = 0 };
	size_t i, earlier = newest < r->n ? r->n - newest - 1 : r->n;

	if (earlier == 0) {
		buf_adds(out, "Nothing was said here before. Tell me "
		    "something, then ask me about it.");
		return;
	}
	buf_adds(out, "This conversation holds ");
	add_count(out, earlier, "earlier message");
	buf_adds(out, ", the first of them from ");
	add_time(out, r->v[r->n - 1].at);
	buf_addc(out, '.');
	for (i = newest + 1; i < r->n && last.m == NULL; i++)
		if (r->v[i].speaker == USER && !is_question(text_of(r,
		    &r->v[i])) && r->v[i].len > 1)
			last.m = &r->v[i];
	if (last.m == NULL)
		return;
	buf_adds(out, "\n\n");
	add_hit(out, r, &last);
}

/* A word between quotation marks, cut if it is none. */
static void
add_word(struct buf *out, struct span word)
{
	size_t len = word.len;

	if (len > WORD_BYTES)
		for (len = WORD_BYTES; is_continuation(word.p[len]); len--)
			;
	buf_adds(out, "“");
	buf_add(out, word.p, len);
	buf_adds(out, len < word.len ? "…”" : "”");
}

static void
say_nothing_found(size_t earlier, const struct span *words, size_t n,
    struct buf *out)
{
	size_t i;

	if (earlier == 0) {
		buf_adds(out, "Nothing was said here before, so there is "
		    "nothing I could recall.");
		return;
	}
	buf_adds(out, "I find nothing about ");
	for (i = 0; i < n && i < QUOTES_MAX; i++) {
		if (i > 0)
			buf_adds(out, ", ");
		add_word(out, words[i]);
	}
	buf_adds(out, " in ");
	add_count(out, earlier, "earlier message");
	buf_adds(out, ".");
}

static void
say_noted(size_t earlier, bool is_kept, struct buf *out)
{
	buf_adds(out, "Noted. ");
	if (!is_kept) {
		buf_adds(out, "Outside a conversation nothing is kept, "
		    "though.");
		return;
	}
	if (earlier == 0)
		buf_adds(out, "It is the first message here.");
	else {
		buf_adds(out, "It comes after ");
		add_count(out, earlier, "other message");
		buf_addc(out, '.');
	}
	buf_adds(out, " Ask me about it later, and I will find it again.");
}

void
recall_answer(const struct recall *r, bool is_kept, struct buf *out)
{
	struct hit best[QUOTES_MAX];
	struct span words[WORDS_MAX], text = { "", 0 };
	size_t newest, earlier, nwords, n;
	bool asks;

	for (newest = 0; newest < r->n && r->v[newest].speaker != USER;
	    newest++)
		;
	if (newest < r->n)
		text = text_of(r, &r->v[newest]);
	earlier = newest < r->n ? r->n - newest - 1 : 0;
	asks = is_question(text);
	if ((nwords = keywords(text, words)) == 0) {
		say_overview(r, newest, out);
		return;
	}
	n = look_up(r, newest, words, nwords, false, best);
	if (n == 0 && asks)
		n = look_up(r, newest, words, nwords, true, best);
	if (!asks) {
		say_noted(earlier, is_kept, out);
		if (n > 0) {
			buf_adds(out, "\n\n");
			add_hit(out, r, &best[0]);
		}
	} else if (n > 0)
		add_hits(out, r, best, n);
	else
		say_nothing_found(earlier, words, nwords, out);
}
