#include <string.h>
#include <strings.h>

#include "recall_word.h"

static const char *const stops[] = { "a", "about", "after", "again", "all",
	"also", "am", "an", "and", "any", "anything", "are", "as", "ask",
	"asked", "at", "be", "been", "before", "but", "by", "can", "could",
	"did", "do", "does", "done", "earlier", "else", "ever", "every",
	"everything", "find", "for", "from", "get", "give", "got", "had",
	"has", "have", "he", "hello", "her", "here", "hey", "hi", "him",
	"his", "how", "i", "if", "in", "into", "is", "it", "its", "just",
	"know", "let", "like", "list", "ll", "m", "may", "me", "mention",
	"mentioned", "might", "mine", "must", "my", "no", "not", "now", "of",
	"on", "or", "our", "please", "re", "recall", "remember", "remind",
	"s", "said", "say", "says", "shall", "she", "should", "show", "so",
	"some", "something", "t", "talk", "talked", "tell", "thank", "thanks",
	"that", "the", "their", "them", "then", "there", "these", "they",
	"thing", "things", "think", "this", "those", "to", "told", "too",
	"us", "ve", "very", "was", "we", "were", "what", "whats", "when",
	"where", "which", "who", "whom", "whose", "why", "will", "with",
	"would", "yes", "you", "your", "yours" };

static const char *const askers[] = { "are", "can", "could", "did", "do",
	"does", "find", "has", "have", "how", "is", "list", "recall",
	"remember", "remind", "show", "tell", "was", "were", "what", "whats",
	"when", "where", "which", "who", "whom", "whose", "why", "will",
	"would" };

#define NELEMS(a)	(sizeof(a) / sizeof((a)[0]))

static bool
is_in(struct span word, const char *const *list, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (strlen(list[i]) == word.len &&
		    strncasecmp(list[i], word.p, word.len) == 0)
			return (true);
	return (false);
}

bool
recall_word_is_stop(struct span word)
{
	return (is_in(word, stops, NELEMS(stops)));
}

bool
recall_word_asks(struct span word)
{
	return (is_in(word, askers, NELEMS(askers)));
}

/* How many bytes at p are punctuation, space or a control?  0: a letter. */
static size_t
separator(const char *p, size_t len)
{
	const unsigned char *u = (const unsigned char *)p;

	if (u[0] < 0x80)
		return (!((u[0] >= '0' && u[0] <= '9') ||
		    (u[0] >= 'a' && u[0] <= 'z') ||
		    (u[0] >= 'A' && u[0] <= 'Z')));
	/* U+0080 to U+00BF; U+2000 to U+206F; U+3000 to U+303F; U+FF00 to
	 * U+FF0F. */
	if (len >= 2 && u[0] == 0xc2)
		return (2);
	if (len >= 3 && ((u[0] == 0xe2 && (u[1] == 0x80 || u[1] == 0x81)) ||
	    (u[0] == 0xe3 && u[1] == 0x80) ||
	    (u[0] == 0xef && u[1] == 0xbc && u[2] <= 0x9f)))
		return (3);
	return (0);
}

/* Bytes of a character that is a word by itself (kana, CJK), or 0. */
static size_t
ideograph(const char *p, size_t len)
{
	unsigned char c = (unsigned char)p[0];

	return (c >= 0xe3 && c <= 0xe9 && len >= 3 ? 3 : 0);
}

bool
recall_word_next(struct span *text, struct span *word_r)
{
	const char *p = text->p, *end = text->p + text->len;
	size_t n;

	while (p < end && (n = separator(p, (size_t)(end - p))) > 0)
		p += n;
	word_r->p = p;
	if (p < end && (n = ideograph(p, (size_t)(end - p))) > 0)
		p += n;
	else
		while (p < end && separator(p, (size_t)(end - p)) == 0 &&
		    ideograph(p, (size_t)(end - p)) == 0)
			p++;
	word_r->len = (size_t)(p - word_r->p);
	text->p = p;
	text->len = (size_t)(end - p);
	return (word_r->len > 0);
}

bool
recall_word_same(struct span a, struct span b)
{
	struct span s = a.len < b.len ? a : b, l = a.len < b.len ? b : a;

	if (l.len != s.len && (s.len < 4 || l.len - s.len > 2))
		return (false);
	return (strncasecmp(s.p, l.p, s.len) == 0);
}
