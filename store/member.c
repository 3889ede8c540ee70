#include <string.h>

#include "member.h"

static struct member *
find(struct span key, struct member *v, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (jsonscan_is(key, v[i].name))
			return (&v[i]);
	return (NULL);
}

void
member_split(struct span object, struct member *v, size_t n, struct buf *rest)
{
	struct jsonscan it;
	struct span key, val;
	struct member *m;
	size_t i;

	for (i = 0; i < n; i++)
		v[i].value = (struct span){ NULL, 0 };
	jsonscan_begin(&it, object);
	if (!it.is_object)
		return;
	while (jsonscan_next(&it, &key, &val)) {
		if ((m = find(key, v, n)) != NULL) {
			if (m->value.p == NULL)
				m->value = val;
		} else if (rest != NULL) {
			buf_adds(rest, ",\"");
			buf_add(rest, key.p, key.len);
			buf_adds(rest, "\":");
			jsonscan_minify(val, rest);
		}
	}
}

bool
member_is_set(const struct member *m)
{

	return (m->value.p != NULL &&
	    !(m->value.len == 4 && memcmp(m->value.p, "null", 4) == 0));
}
