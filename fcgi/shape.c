#include <bsd/string.h>
#include <assert.h>
#include <string.h>

#include "shape.h"

/* How much of a wrong value an error repeats, in bytes. */
#define ECHO_MAX	100

/* Bit, as `got` in an error. */
static unsigned int
type_of(const json_t *value, const char **noun_r)
{
	static const struct {
		unsigned int	 bit;
		const char	*noun;
	} types[] = {
		[JSON_OBJECT] = { SHAPE_OBJECT, "an object" },
		[JSON_ARRAY] = { SHAPE_ARRAY, "an array" },
		[JSON_STRING] = { SHAPE_STRING, "a string" },
		[JSON_INTEGER] = { SHAPE_INTEGER, "an integer" },
		[JSON_REAL] = { SHAPE_REAL, "a decimal number" },
		[JSON_TRUE] = { SHAPE_BOOL, "a boolean" },
		[JSON_FALSE] = { SHAPE_BOOL, "a boolean" },
		[JSON_NULL] = { SHAPE_NULL, "null" },
	};

	*noun_r = types[json_typeof(value)].noun;
	return (types[json_typeof(value)].bit);
}

/* What a row expects, as `expected` in an error. */
static const char *
phrase(const struct shape_field *f)
{
	static const struct {
		unsigned int	 types;
		const char	*text;
	} phrases[] = {
		{ SHAPE_STRING, "a string" },
		{ SHAPE_BOOL, "a boolean" },
		{ SHAPE_INTEGER, "an integer" },
		{ SHAPE_NUMBER, "a number" },
		{ SHAPE_OBJECT, "an object" },
		{ SHAPE_STRING | SHAPE_NULL, "a string or null" },
		{ SHAPE_OBJECT | SHAPE_NULL, "an object or null" },
		{ SHAPE_ARRAY | SHAPE_NULL, "an array of objects or null" },
		{ SHAPE_STRING | SHAPE_OBJECT, "one of a string or object" },
		{ SHAPE_STRING | SHAPE_ARRAY,
		    "one of a string or array of objects" },
	};
	size_t i;

	if (f->types == SHAPE_ARRAY)
		return (f->check == shape_strings ? "an array of strings" :
		    "an array of objects");
	for (i = 0; i < sizeof(phrases) / sizeof(phrases[0]); i++)
		if (phrases[i].types == f->types)
			return (phrases[i].text);
	assert(!"a phrase for every combination of types in a table");
	return ("another type");
}

/* Paths are made for every field of every item, so not by printf. */
void
shape_member(char path[SHAPE_PATH], const char *base, const char *name)
{
	size_t len = strlcpy(path, base, SHAPE_PATH);

	if (len > 0 && len < SHAPE_PATH - 1)
		path[len++] = '.';
	if (len < SHAPE_PATH)
		(void)strlcpy(path + len, name, SHAPE_PATH - len);
}

void
shape_element(char path[SHAPE_PATH], const char *base, size_t i)
{
	char digits[24], *p = digits + sizeof(digits);

	*--p = '\0';
	*--p = ']';
	do
		*--p = (char)('0' + i % 10);
	while ((i /= 10) > 0);
	*--p = '[';
	(void)strlcpy(path, base, SHAPE_PATH);
	(void)strlcat(path, p, SHAPE_PATH);
}

bool
shape_bad_type(const json_t *value, const char *path, const char *expected,
    struct reply *rep)
{
	const char *noun;

	(void)type_of(value, &noun);
	reply_error(rep, 400, "invalid_type", path,
	    "Invalid type for '%s': expected %s, but got %s instead.", path,
	    expected, noun);
	return (false);
}

bool
shape_missing(const char *path, struct reply *rep)
{
	reply_error(rep, 400, "missing_required_parameter", path,
	    "Missing required parameter: '%s'.", path);
	return (false);
}

bool
shape_unknown(const char *path, struct reply *rep)
{
	reply_error(rep, 400, "unknown_parameter", path,
	    "Unknown parameter: '%.*s'.", ECHO_MAX, path);
	return (false);
}

bool
shape_bad_value(const char *value, const char *path,
    const char *const *values, struct reply *rep)
{
	struct buf list = BUF_INITIALIZER;
	size_t i;

	for (i = 0; values[i] != NULL; i++) {
		if (i > 0 && values[i + 1] != NULL)
			buf_adds(&list, ", ");
		else if (i > 0)
			buf_adds(&list, i > 1 ? ", and " : " and ");
		buf_addf(&list, "'%s'", values[i]);
	}
	if (buf_ok(&list))
		reply_error(rep, 400, "invalid_value", path,
		    "Invalid value: '%.*s'. Supported values are: %.*s.",
		    ECHO_MAX, value, (int)list.len, list.data);
	else
		reply_store_error(rep, STORE_NOMEM, (struct span){ NULL, 0 });
	buf_fini(&list);
	return (false);
}

bool
shape_too_long(size_t length, const char *path, size_t max, struct reply *rep)
{
	reply_error(rep, 400, "string_above_max_length", path,
	    "Invalid '%s': string too long. Expected a string with maximum "
	    "length %zu, but got a string with length %zu instead.", path, max,
	    length);
	return (false);
}

bool
shape_is_one_of(const char *value, const char *const *values)
{
	for (; *values != NULL; values++)
		if (strcmp(value, *values) == 0)
			return (true);
	return (false);
}

size_t
shape_characters(const char *s, size_t len)
{
	size_t i, n = 0;

	for (i = 0; i < len; i++)
		n += ((unsigned char)s[i] & 0xc0) != 0x80;
	return (n);
}

bool
shape_strings(const json_t *array, const char *path, struct reply *rep)
{
	char at[SHAPE_PATH];
	const json_t *v;
	size_t i;

	json_array_foreach(array, i, v) {
		shape_element(at, path, i);
		if (!json_is_string(v))
			return (shape_bad_type(v, at, "a string", rep));
	}
	return (true);
}

bool
shape_objects(const json_t *array, const char *path, struct reply *rep)
{
	char at[SHAPE_PATH];
	const json_t *v;
	size_t i;

	if (!json_is_array(array))
		return (true);
	json_array_foreach(array, i, v) {
		shape_element(at, path, i);
		if (!json_is_object(v))
			return (shape_bad_type(v, at, "an object", rep));
	}
	return (true);
}

static bool
check_field(const json_t *value, const struct shape_field *f,
    const char *path, struct reply *rep)
{
	const char *noun;

	if ((type_of(value, &noun) & f->types) == 0)
		return (shape_bad_type(value, path, phrase(f), rep));
	if (f->values != NULL && json_is_string(value) &&
	    (strlen(json_string_value(value)) != json_string_length(value) ||
	    !shape_is_one_of(json_string_value(value), f->values)))
		return (shape_bad_value(json_string_value(value), path,
		    f->values, rep));
	return (f->check == NULL || f->check(value, path, rep));
}

bool
shape_check(const json_t *object, const struct shape_field *fields,
    const char *path, struct reply *rep)
{
	const struct shape_field *f;
	char at[SHAPE_PATH];
	const json_t *value;

	assert(json_is_object(object));
	for (f = fields; f->name != NULL; f++) {
		value = json_object_get(object, f->name);
		if (!f->is_required && (value == NULL || json_is_null(value)))
			continue;
		shape_member(at, path, f->name);
		if (value == NULL)
			return (shape_missing(at, rep));
		if (!check_field(value, f, at, rep))
			return (false);
	}
	return (true);
}
