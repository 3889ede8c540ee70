#include <string.h>

#include "jsonscan.h"

static bool
is_space(char c)
{
	return (c == ' ' || c == '\n' || c == '\t' || c == '\r');
}

static const char *
skip_space(const char *p, const char *end)
{
	while (p < end && is_space(*p))
		p++;
	return (p);
}

/* p stands on a quote: the place behind the closing one, or end. */
static const char *
skip_string(const char *p, const char *end)
{
	const char *b, *q = p + 1;

	while (q < end && (q = memchr(q, '"', (size_t)(end - q))) != NULL) {
		/* Ends at p at the latest, for there stands a quote. */
		for (b = q; b[-1] == '\\'; b--)
			;
		q++;
		if ((q - b) % 2 == 1)
			return (q);
	}
	return (end);
}

/* Behind the object or array that begins at p, or end. */
static const char *
skip_container(const char *p, const char *end)
{
	size_t depth = 0;

	while (p < end) {
		switch (*p) {
		case '"':
			p = skip_string(p, end);
			continue;
		case '{':
		case '[':
			depth++;
			break;
		case '}':
		case ']':
			if (--depth == 0)
				return (p + 1);
			break;
		}
		p++;
	}
	return (end);
}

/* Behind the value that begins at p, white space after it not counted. */
static const char *
skip_value(const char *p, const char *end)
{
	if (p == end)
		return (end);
	if (*p == '"')
		return (skip_string(p, end));
	if (*p == '{' || *p == '[')
		return (skip_container(p, end));
	while (p < end && !is_space(*p) && *p != ',' && *p != '}' && *p != ']')
		p++;
	return (p);
}

void
jsonscan_begin(struct jsonscan *it, struct span value)
{
	it->end = value.p + value.len;
	it->p = skip_space(value.p, it->end);
	it->is_object = it->p < it->end && *it->p == '{';
	if (it->is_object || (it->p < it->end && *it->p == '['))
		it->p++;
	else
		it->p = it->end;
}

/* Read "name" : and set *key_r.  Returns where the value begins, or NULL. */
static const char *
scan_key(const char *p, const char *end, struct span *key_r)
{
	const char *q;

	if (p == end || *p != '"')
		return (NULL);
	q = skip_string(p, end);
	if (q - p < 2 || q[-1] != '"')
		return (NULL);
	key_r->p = p + 1;
	key_r->len = (size_t)(q - p) - 2;
	q = skip_space(q, end);
	if (q == end || *q != ':')
		return (NULL);
	return (skip_space(q + 1, end));
}

bool
jsonscan_next(struct jsonscan *it, struct span *key_r, struct span *val_r)
{
	const char *p, *q, *end = it->end;

	p = skip_space(it->p, end);
	if (p < end && *p == ',')
		p = skip_space(p + 1, end);
	*key_r = (struct span){ p, 0 };
	if (p == end || *p == '}' || *p == ']')
		goto none;
	if (it->is_object && (p = scan_key(p, end, key_r)) == NULL)
		goto none;
	/* An empty value would never move on: it is not JSON. */
	if ((q = skip_value(p, end)) == p)
		goto none;
	*val_r = (struct span){ p, (size_t)(q - p) };
	it->p = q;
	return (true);

none:
	it->p = end;
	return (false);
}

bool
jsonscan_get(struct span object, const char *name, struct span *val_r)
{
	struct jsonscan it;
	struct span key, val;

	jsonscan_begin(&it, object);
	if (!it.is_object)
		return (false);
	while (jsonscan_next(&it, &key, &val)) {
		if (jsonscan_is(key, name)) {
			*val_r = val;
			return (true);
		}
	}
	return (false);
}

/* The value of 4 hex digits at p, or -1. */
static int
scan_hex4(const char *p, const char *end)
{
	int i, n = 0;

	if (end - p < 4)
		return (-1);
	for (i = 0; i < 4; i++) {
		if (p[i] >= '0' && p[i] <= '9')
			n = n * 16 + p[i] - '0';
		else if ((p[i] | 0x20) >= 'a' && (p[i] | 0x20) <= 'f')
			n = n * 16 + (p[i] | 0x20) - 'a' + 10;
		else
			return (-1);
	}
	return (n);
}

/* The UTF-8 of code point c into out; returns its length. */
static size_t
put_utf8(unsigned c, char out[4])
{
	if (c < 0x80) {
		out[0] = (char)c;
		return (1);
	}
	if (c < 0x800) {
		out[0] = (char)(0xc0 | c >> 6);
		out[1] = (char)(0x80 | (c & 0x3f));
		return (2);
	}
	if (c < 0x10000) {
		out[0] = (char)(0xe0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 0x3f));
		out[2] = (char)(0x80 | (c & 0x3f));
		return (3);
	}
	out[0] = (char)(0xf0 | c >> 18);
	out[1] = (char)(0x80 | (c >> 12 & 0x3f));
	out[2] = (char)(0x80 | (c >> 6 & 0x3f));
	out[3] = (char)(0x80 | (c & 0x3f));
	return (4);
}

/*
 * *pp stands on a backslash: move it behind the escape and put what it means
 * into out.  Returns the length, or 0 if it is no escape of JSON.
 */
static size_t
unescape(const char **pp, const char *end, char out[4])
{
	static const char names[] = "\"\\/bfnrt", means[] = "\"\\/\b\f\n\r\t";
	const char *p = *pp + 1, *at;
	int c, low;

	if (p == end || *p == '\0')
		return (0);
	if ((at = strchr(names, *p)) != NULL) {
		*out = means[at - names];
		*pp = p + 1;
		return (1);
	}
	if (*p != 'u' || (c = scan_hex4(p + 1, end)) == -1)
		return (0);
	p += 5;
	if (c >= 0xd800 && c <= 0xdfff) {
		if (c >= 0xdc00 || end - p < 6 || p[0] != '\\' ||
		    p[1] != 'u' || (low = scan_hex4(p + 2, end)) < 0xdc00 ||
		    low > 0xdfff)
			return (0);
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
		p += 6;
	}
	*pp = p;
	return (put_utf8((unsigned)c, out));
}

bool
jsonscan_is(struct span key, const char *name)
{
	const char *p = key.p, *end = key.p + key.len;
	size_t n, len = strlen(name);
	char c[4];

	if (memchr(p, '\\', key.len) == NULL)
		return (key.len == len && memcmp(p, name, len) == 0);
	while (p < end) {
		n = 1;
		if (*p != '\\')
			c[0] = *p++;
		else
			n = unescape(&p, end, c);
		/* The name is ASCII, so what takes more bytes differs. */
		if (n != 1 || *name == '\0' || *name++ != c[0])
			return (false);
	}
	return (*name == '\0');
}

/* The bytes between the quotes; false if value is no string. */
static bool
unquote(struct span value, const char **p_r, const char **end_r)
{
	if (value.len < 2 || value.p[0] != '"' ||
	    value.p[value.len - 1] != '"')
		return (false);
	*p_r = value.p + 1;
	*end_r = value.p + value.len - 1;
	return (true);
}

bool
jsonscan_string(struct span value, struct buf *out)
{
	const char *p, *esc, *end;
	char c[4];
	size_t n;

	if (!unquote(value, &p, &end))
		return (false);
	while ((esc = memchr(p, '\\', (size_t)(end - p))) != NULL) {
		buf_add(out, p, (size_t)(esc - p));
		if ((n = unescape(&esc, end, c)) == 0)
			return (false);
		buf_add(out, c, n);
		p = esc;
	}
	buf_add(out, p, (size_t)(end - p));
	return (true);
}

bool
jsonscan_cstring(struct span value, char *dst, size_t size)
{
	const char *p, *end;
	char c[4];
	size_t n, len = 0;

	if (!unquote(value, &p, &end))
		return (false);
	while (p < end) {
		n = 1;
		if (*p != '\\')
			c[0] = *p++;
		else if ((n = unescape(&p, end, c)) == 0)
			return (false);
		if (c[0] == '\0' || n >= size - len)
			return (false);
		memcpy(dst + len, c, n);
		len += n;
	}
	if (len >= size)
		return (false);
	dst[len] = '\0';
	return (true);
}

bool
jsonscan_u64(struct span value, uint64_t *n_r)
{
	uint64_t n = 0;
	unsigned digit;
	size_t i;

	for (i = 0; i < value.len; i++) {
		digit = (unsigned char)value.p[i] - '0';
		if (digit > 9 || n > (UINT64_MAX - digit) / 10)
			return (false);
		n = n * 10 + digit;
	}
	if (value.len == 0)
		return (false);
	*n_r = n;
	return (true);
}

bool
jsonscan_i64(struct span value, int64_t *n_r)
{
	bool is_negative = value.len > 0 && value.p[0] == '-';
	uint64_t n;

	if (is_negative) {
		value.p++;
		value.len--;
	}
	if (!jsonscan_u64(value, &n) ||
	    n > (uint64_t)INT64_MAX + (is_negative ? 1 : 0))
		return (false);
	/* By way of n - 1, for INT64_MIN has no positive twin. */
	*n_r = is_negative && n > 0 ? -(int64_t)(n - 1) - 1 : (int64_t)n;
	return (true);
}

void
jsonscan_minify(struct span value, struct buf *out)
{
	const char *p = value.p, *run = p, *end = p + value.len;

	while (p < end) {
		if (*p == '"') {
			p = skip_string(p, end);
		} else if (is_space(*p)) {
			buf_add(out, run, (size_t)(p - run));
			run = p = skip_space(p, end);
		} else
			p++;
	}
	buf_add(out, run, (size_t)(end - run));
}
