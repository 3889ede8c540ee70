#include <stdlib.h>
#include <string.h>

#include "text.h"

struct text
text_new(const char *p, size_t len)
{
	struct text t = { malloc(len + 1), len };

	if (t.p == NULL)
		return ((struct text){ NULL, 0 });
	if (len > 0)
		memcpy(t.p, p, len);
	t.p[len] = '\0';
	return (t);
}

void
text_replace(struct text *t, struct text next)
{

	free(t->p);
	*t = next;
}

void
text_encode(const struct text *t, const char *name, struct buf *b)
{

	buf_addf(b, ",\"%s\":", name);
	if (t->p == NULL)
		buf_adds(b, "null");
	else
		buf_json(b, t->p, t->len);
}

int
text_decode(struct span value, struct text *t)
{
	struct buf b = BUF_INITIALIZER;

	text_replace(t, (struct text){ NULL, 0 });
	if (value.len == 4 && memcmp(value.p, "null", 4) == 0)
		return (1);
	if (!jsonscan_string(value, &b)) {
		buf_fini(&b);
		return (0);
	}
	t->p = buf_take(&b, &t->len);
	return (t->p != NULL ? 1 : -1);
}
