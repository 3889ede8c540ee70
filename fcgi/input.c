#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "input.h"
#include "shape.h"

static const char invalid_json[] = "Invalid body: failed to parse JSON value. "
    "Please check the value to ensure it is valid JSON. (Common errors "
    "include trailing commas, missing closing brackets, missing quotation "
    "marks, etc.)";

#define LOAD_FLAGS	(JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | \
			JSON_DECODE_ANY)

bool
input_nomem(struct reply *rep)
{
	reply_store_error(rep, STORE_NOMEM, (struct span){ NULL, 0 });
	return (false);
}

/* --- the body ------------------------------------------------------------- */

/*
 * Offset of the first bracket that nests deeper than INPUT_DEPTH_MAX, or
 * SIZE_MAX.  Where the text is not JSON what is found means nothing: jansson
 * then fails before it.
 */
static size_t
depth_error(struct span text)
{
	size_t depth = 0, i;
	bool is_string = false;

	for (i = 0; i < text.len; i++) {
		switch (text.p[i]) {
		case '"':
			is_string = !is_string;
			break;
		case '\\':
			i += is_string;
			break;
		case '{':
		case '[':
			if (!is_string && ++depth > INPUT_DEPTH_MAX)
				return (i);
			break;
		case '}':
		case ']':
			depth -= !is_string && depth > 0;
			break;
		}
	}
	return (SIZE_MAX);
}

/*
 * null_key_note: jansson cannot hold U+0000 in an object's key, which is
 * valid JSON all the same.  It is then given a copy in which each \u0000 of a
 * key is the escape of a private character that the text does not hold: every
 * position stays what it was, and no two keys become equal that were not.
 */
#define PRIVATE_FIRST	0xe000
#define PRIVATE_LAST	0xf8ff

/* The value of the escape \uXXXX at p, or -1. */
static int
unicode_escape(const char *p, const char *end)
{
	static const char digits[] = "00112233445566778899aAbBcCdDeEfF";
	const char *d;
	int i, value = 0;

	if (end - p < 6 || p[0] != '\\' || p[1] != 'u')
		return (-1);
	for (i = 2; i < 6; i++) {
		if (p[i] == '\0' || (d = strchr(digits, p[i])) == NULL)
			return (-1);
		value = value * 16 + (int)(d - digits) / 2;
	}
	return (value);
}

/* A private character that the text holds neither raw nor escaped, or -1. */
static int
unused_character(struct span text)
{
	bool used[PRIVATE_LAST - PRIVATE_FIRST + 1] = { false };
	const unsigned char *u;
	size_t i;
	int c;

	for (i = 0; i < text.len; i++) {
		u = (const unsigned char *)text.p + i;
		c = unicode_escape(text.p + i, text.p + text.len);
		if (c == -1 && text.len - i >= 3 && (u[0] & 0xf0) == 0xe0)
			c = (u[0] & 0xf) << 12 | (u[1] & 0x3f) << 6 |
			    (u[2] & 0x3f);
		if (c >= PRIVATE_FIRST && c <= PRIVATE_LAST)
			used[c - PRIVATE_FIRST] = true;
	}
	for (i = 0; i < sizeof(used); i++)
		if (!used[i])
			return (PRIVATE_FIRST + (int)i);
	return (-1);
}

/* Write c over each \u0000 of the string at p; returns behind its end. */
static char *
mask_string(char *p, const char *end, int c, bool is_key)
{
	static const char hex[] = "0123456789abcdef";
	int i;

	for (p++; p < end && *p != '"'; p++) {
		if (*p != '\\')
			continue;
		if (is_key && unicode_escape(p, end) == 0)
			for (i = 0; i < 4; i++)
				p[2 + i] = hex[c >> (12 - 4 * i) & 0xf];
		p++;
	}
	return (p < end ? p + 1 : p);
}

/* A string is a key if a colon follows. */
static void
mask_keys(char *text, size_t len, int c)
{
	char *p, *behind;
	const char *end = text + len, *q;

	for (p = text; p < end; p++) {
		if (*p != '"')
			continue;
		behind = mask_string(p, end, c, false);
		for (q = behind; q < end && strchr(" \t\r\n", *q) != NULL &&
		    *q != '\0'; q++)
			;
		if (q < end && *q == ':')
			(void)mask_string(p, end, c, true);
		p = behind - 1;
	}
}

static json_t *
load(const struct request *req, json_error_t *error)
{
	struct span body = req->body;
	json_t *tree;
	char *copy;
	int c;

	tree = json_loadb(body.len == 0 ? "" : body.p, body.len, LOAD_FLAGS,
	    error);
	/* Without memory to begin with jansson sets no text, and no code. */
	if (tree != NULL || error->text[0] == '\0' ||
	    json_error_code(error) != json_error_null_byte_in_key)
		return (tree);
	/* See null_key_note. */
	if ((c = unused_character(body)) == -1 ||
	    (copy = arena_copy(req->arena, body.p, body.len)) == NULL)
		return (NULL);
	mask_keys(copy, body.len, c);
	return (json_loadb(copy, body.len, LOAD_FLAGS, error));
}

/* The path of the innermost value that holds the byte at p. */
static void
path_to(struct span value, const char *p, struct buf *path)
{
	struct jsonscan it;
	struct span key, val;
	size_t i = 0;
	bool is_inside;

	do {
		is_inside = false;
		jsonscan_begin(&it, value);
		for (i = 0; jsonscan_next(&it, &key, &val); i++) {
			if (p < val.p || p >= val.p + val.len)
				continue;
			if (it.is_object)
				buf_addf(path, "%s%.*s",
				    path->len == 0 ? "" : ".", (int)key.len,
				    key.p);
			else
				buf_addf(path, "[%zu]", i);
			value = val;
			is_inside = true;
			break;
		}
	} while (is_inside && val.len > 0 && strchr("{[", val.p[0]) != NULL);
}

static void
bad_number(const struct request *req, size_t position, struct reply *rep)
{
	struct buf path = BUF_INITIALIZER;

	assert(position > 0 && position <= req->body.len);
	path_to(req->body, req->body.p + position - 1, &path);
	buf_addc(&path, '\0');
	if (buf_ok(&path))
		reply_error(rep, 400, "invalid_value",
		    path.len > 1 ? path.data : NULL,
		    "Invalid value: a number is out of range at position %zu",
		    position);
	else
		(void)input_nomem(rep);
	buf_fini(&path);
}

/* What jansson refused. */
static void
refuse(const struct request *req, const json_error_t *error,
    struct reply *rep)
{
	size_t position = error->position < 0 ? 0 : (size_t)error->position;

	/* Where it cannot allocate, jansson often says nothing at all. */
	if (error->text[0] == '\0') {
		(void)input_nomem(rep);
		return;
	}
	switch (json_error_code(error)) {
	case json_error_out_of_memory:
		(void)input_nomem(rep);
		break;
	case json_error_numeric_overflow:
		bad_number(req, position, rep);
		break;
	default:
		reply_error(rep, 400, "invalid_json", NULL,
		    "%s %s at position %zu", invalid_json, error->text,
		    position);
		break;
	}
}

json_t *
input_body(const struct request *req, bool may_be_empty, struct reply *rep)
{
	json_error_t error;
	json_t *tree;
	size_t deep;

	if (req->body.len == 0 && may_be_empty) {
		if ((tree = json_object()) == NULL)
			(void)input_nomem(rep);
		return (tree);
	}
	/* The error that stands first in the text is told. */
	deep = depth_error(req->body);
	tree = load(req, &error);
	if (deep != SIZE_MAX && (tree != NULL ||
	    (size_t)error.position >= deep)) {
		reply_error(rep, 400, "invalid_json", NULL,
		    "%s Nested deeper than %d levels at position %zu",
		    invalid_json, INPUT_DEPTH_MAX, deep);
		goto fail;
	}
	if (tree == NULL) {
		refuse(req, &error, rep);
		return (NULL);
	}
	if (!json_is_object(tree)) {
		reply_error(rep, 400, "invalid_type", NULL,
		    "Invalid type for the body: expected an object.");
		goto fail;
	}
	return (tree);
fail:
	json_decref(tree);
	return (NULL);
}

/* --- members -------------------------------------------------------------- */

bool
input_members(const json_t *body, const char *const *names,
    struct reply *rep)
{
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)body, name, value)
		if (!shape_is_one_of(name, names))
			return (shape_unknown(name, rep));
	return (true);
}

static bool
check_pair(const char *key, const json_t *value, bool is_patch,
    struct reply *rep)
{
	char path[SHAPE_PATH];
	size_t length;

	shape_member(path, "metadata", key);
	if ((length = shape_characters(key, strlen(key))) >
	    INPUT_METADATA_KEY_MAX) {
		reply_error(rep, 400, "property_name_above_max_length",
		    "metadata", "Invalid 'metadata': property name too long. "
		    "Expected a property name with maximum length %d, but got "
		    "a property name with length %zu instead.",
		    INPUT_METADATA_KEY_MAX, length);
		return (false);
	}
	if (is_patch && json_is_null(value))
		return (true);
	if (!json_is_string(value))
		return (shape_bad_type(value, path, "a string", rep));
	length = shape_characters(json_string_value(value),
	    json_string_length(value));
	return (length <= INPUT_METADATA_VALUE_MAX ||
	    shape_too_long(length, path, INPUT_METADATA_VALUE_MAX, rep));
}

bool
input_metadata(const json_t *value, bool is_patch, struct reply *rep)
{
	const char *key;
	json_t *v;
	size_t n = 0;

	if (value == NULL || json_is_null(value))
		return (true);
	if (!json_is_object(value))
		return (shape_bad_type(value, "metadata", "an object", rep));
	json_object_foreach((json_t *)(uintptr_t)value, key, v)
		n += !is_patch || !json_is_null(v);
	if (n > INPUT_METADATA_MAX) {
		reply_error(rep, 400, "object_above_max_properties",
		    "metadata", "Invalid 'metadata': too many properties. "
		    "Expected an object with at most %d properties, but got "
		    "an object with %zu properties instead.",
		    INPUT_METADATA_MAX, n);
		return (false);
	}
	json_object_foreach((json_t *)(uintptr_t)value, key, v)
		if (!check_pair(key, v, is_patch, rep))
			return (false);
	return (true);
}

/*
 * A map that is merged must be read by jansson, so that its keys can hold no
 * U+0000 (see null_key_note).
 */
static bool
check_null_keys(struct span metadata, struct reply *rep)
{
	static const char null[] = "\\u0000";
	struct jsonscan it;
	struct span key, val;

	jsonscan_begin(&it, metadata);
	while (jsonscan_next(&it, &key, &val)) {
		if (key.len < 6 ||
		    memmem(key.p, key.len, null, sizeof(null) - 1) == NULL)
			continue;
		reply_error(rep, 400, "invalid_value", "metadata",
		    "Invalid value for 'metadata': a key holds U+0000.");
		return (false);
	}
	return (true);
}

struct span
input_metadata_bytes(const struct request *req, struct reply *rep)
{
	struct buf out = BUF_INITIALIZER;
	struct span bytes = { "{}", 2 }, value;

	if (!jsonscan_get(req->body, "metadata", &value) ||
	    value.len == 0 || value.p[0] != '{')
		return (bytes);
	if (!check_null_keys(value, rep))
		return ((struct span){ NULL, 0 });
	jsonscan_minify(value, &out);
	bytes.p = buf_ok(&out) ? arena_copy(req->arena, out.data, out.len) :
	    NULL;
	bytes.len = out.len;
	if (bytes.p == NULL)
		(void)input_nomem(rep);
	buf_fini(&out);
	return (bytes);
}

bool
input_title(const json_t *value, struct reply *rep)
{
	size_t length;

	if (value == NULL || json_is_null(value))
		return (true);
	if (!json_is_string(value))
		return (shape_bad_type(value, "title", "a string or null",
		    rep));
	length = shape_characters(json_string_value(value),
	    json_string_length(value));
	return (length <= INPUT_TITLE_MAX ||
	    shape_too_long(length, "title", INPUT_TITLE_MAX, rep));
}

bool
input_is_user(const char *s, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if ((unsigned char)s[i] < 0x20 || s[i] == 0x7f)
			return (false);
	return (len >= 1 && len <= INPUT_USER_MAX);
}

bool
input_user(const json_t *value, struct reply *rep)
{
	if (value == NULL || json_is_null(value))
		return (true);
	if (!json_is_string(value))
		return (shape_bad_type(value, "user", "a string", rep));
	if (input_is_user(json_string_value(value),
	    json_string_length(value)))
		return (true);
	reply_error(rep, 400, "invalid_value", "user", "Invalid value for "
	    "'user': expected 1 to %d bytes without control characters.",
	    INPUT_USER_MAX);
	return (false);
}
