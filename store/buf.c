#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"

/* The first allocation; most records and replies fit. */
#define BUF_MIN	256

void
buf_init(struct buf *b)
{
	*b = (struct buf)BUF_INITIALIZER;
}

void
buf_fini(struct buf *b)
{
	free(b->data);
	buf_init(b);
}

void
buf_clear(struct buf *b)
{
	b->len = 0;
	b->failed = false;
}

bool
buf_ok(const struct buf *b)
{
	return (!b->failed);
}

bool
buf_reserve(struct buf *b, size_t n)
{
	size_t size;
	char *data;

	if (b->failed)
		return (false);
	if (n <= b->size - b->len)
		return (true);
	if (n > SIZE_MAX / 2 - b->len) {
		b->failed = true;
		return (false);
	}

	/* Doubling keeps the cost of all the copying linear. */
	size = b->size == 0 ? BUF_MIN : b->size;
	while (size - b->len < n)
		size *= 2;
	if ((data = realloc(b->data, size)) == NULL) {
		b->failed = true;
		return (false);
	}
	b->data = data;
	b->size = size;
	return (true);
}

void
buf_add(struct buf *b, const void *p, size_t n)
{
	if (n == 0 || !buf_reserve(b, n))
		return;
	memcpy(b->data + b->len, p, n);
	b->len += n;
}

void
buf_addc(struct buf *b, char c)
{
	if (buf_reserve(b, 1))
		b->data[b->len++] = c;
}

void
buf_adds(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void
buf_addf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0) {
		b->failed = true;
		return;
	}
	/* vsnprintf wants room for its NUL. */
	if (!buf_reserve(b, (size_t)n + 1))
		return;
	va_start(ap, fmt);
	vsnprintf(b->data + b->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)n;
}

void
buf_addu(struct buf *b, uint64_t n)
{
	char digits[20];
	size_t i = sizeof(digits);

	do {
		digits[--i] = (char)('0' + n % 10);
		n /= 10;
	} while (n != 0);
	buf_add(b, digits + i, sizeof(digits) - i);
}

void
buf_addi(struct buf *b, int64_t n)
{
	if (n >= 0) {
		buf_addu(b, (uint64_t)n);
		return;
	}
	buf_addc(b, '-');
	/* In unsigned arithmetic, for INT64_MIN has no positive twin. */
	buf_addu(b, 0 - (uint64_t)n);
}

/* Append the escape of one byte that may not stand in a JSON string. */
static void
add_escape(struct buf *b, unsigned char c)
{
	static const char hex[] = "0123456789abcdef";
	static const char names[] = "btn?fr";
	char esc[6] = { '\\', 'u', '0', '0', 0, 0 };

	if (c == '"' || c == '\\') {
		esc[1] = (char)c;
		buf_add(b, esc, 2);
	} else if (c >= '\b' && c <= '\r' && c != '\v') {
		esc[1] = names[c - '\b'];
		buf_add(b, esc, 2);
	} else {
		esc[4] = hex[c >> 4];
		esc[5] = hex[c & 15];
		buf_add(b, esc, 6);
	}
}

void
buf_json(struct buf *b, const char *s, size_t len)
{
	const char *p, *run, *end = len > 0 ? s + len : s;
	unsigned char c;

	/* Most strings need no escape: one allocation, one copy. */
	if (!buf_reserve(b, len < SIZE_MAX / 4 ? len + 2 : len))
		return;
	buf_addc(b, '"');
	for (p = run = s; p < end; p++) {
		c = (unsigned char)*p;
		if (c >= 0x20 && c != '"' && c != '\\')
			continue;
		buf_add(b, run, (size_t)(p - run));
		add_escape(b, c);
		run = p + 1;
	}
	buf_add(b, run, (size_t)(end - run));
	buf_addc(b, '"');
}

void
buf_jsons(struct buf *b, const char *s)
{
	if (s == NULL)
		buf_add(b, "null", 4);
	else
		buf_json(b, s, strlen(s));
}

char *
buf_take(struct buf *b, size_t *len_r)
{
	char *data;
	size_t len = b->len;

	buf_addc(b, '\0');
	if (b->failed) {
		buf_fini(b);
		return (NULL);
	}
	data = b->data;
	*len_r = len;
	buf_init(b);
	return (data);
}
