#include <string.h>

#include <jansson.h>

#include "metadata.h"

/* Strings and nulls alone stand in it, so that a tree loses nothing. */
enum store_err
metadata_merge(const struct text *old, struct span patch,
    struct text *merged_r)
{
	const int flags = JSON_ALLOW_NUL;
	json_t *map, *change, *value;
	const char *key;
	enum store_err err = STORE_NOMEM;
	char *dump;
	void *tmp;

	map = json_loadb(old->p, old->len, flags, NULL);
	change = json_loadb(patch.p, patch.len, flags, NULL);
	if (map == NULL || change == NULL)
		goto out;
	json_object_foreach_safe(change, tmp, key, value) {
		if (json_is_null(value))
			(void)json_object_del(map, key);
		else if (json_object_set(map, key, value) == -1)
			goto out;
	}
	err = STORE_METADATA_LIMIT;
	if (json_object_size(map) > METADATA_MAX)
		goto out;
	err = STORE_NOMEM;
	if ((dump = json_dumps(map, JSON_COMPACT)) == NULL)
		goto out;
	*merged_r = (struct text){ dump, strlen(dump) };
	err = STORE_OK;
out:
	json_decref(map);
	json_decref(change);
	return (err);
}

/* Is the text of b this string, all of it? */
static bool
text_is(const struct buf *b, const char *s)
{
	size_t len = strlen(s);

	return (b->len == len && (len == 0 || memcmp(b->data, s, len) == 0));
}

enum store_err
metadata_matches(const struct text *metadata, const struct list_query *q,
    bool *yes_r)
{
	struct buf name = BUF_INITIALIZER, value = BUF_INITIALIZER;
	struct jsonscan it;
	struct span key, val;
	size_t i, n = 0;
	bool ok = true;

	jsonscan_begin(&it, (struct span){ metadata->p, metadata->len });
	while (ok && jsonscan_next(&it, &key, &val)) {
		buf_clear(&name);
		buf_clear(&value);
		/* The name with its quotes back: it may hold escapes. */
		(void)jsonscan_string((struct span){ key.p - 1, key.len + 2 },
		    &name);
		(void)jsonscan_string(val, &value);
		ok = buf_ok(&name) && buf_ok(&value);
		for (i = 0; ok && i < q->nmetadata; i++)
			if (text_is(&name, q->metadata_keys[i]) &&
			    text_is(&value, q->metadata_values[i]))
				n++;
	}
	*yes_r = n == q->nmetadata;
	buf_fini(&name);
	buf_fini(&value);
	return (ok ? STORE_OK : STORE_NOMEM);
}
