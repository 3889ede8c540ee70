#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/wirepeer.h"

const struct wire_limits peer_limits = {
	.params_bytes = 65536, .params_pairs = 256, .body = 1000,
	.max_conns = 77
};

void
peer_setup(struct peer *p)
{
	memset(p, 0, sizeof(*p));
	p->wire = wire_new(&peer_limits);
	assert_non_null(p->wire);
}

void
peer_teardown(struct peer *p)
{
	wire_free(p->wire);
	buf_fini(&p->out);
}

enum wire_event
feed(struct peer *p, const char *bytes, size_t len, size_t *used_r)
{
	enum wire_event ev;

	ev = wire_feed(p->wire, bytes, len, used_r, &p->out);
	assert_true(*used_r <= len);
	return (ev);
}

enum wire_event
feed_all(struct peer *p, const struct buf *b)
{
	enum wire_event ev;
	size_t used;

	ev = feed(p, b->data, b->len, &used);
	assert_int_equal(used, b->len);
	assert_true(buf_ok(&p->out));
	return (ev);
}

enum wire_event
feed_pieces(struct peer *p, const struct buf *b, size_t *from, size_t piece)
{
	enum wire_event ev = WIRE_MORE;
	size_t used, len;

	while (*from < b->len && ev == WIRE_MORE) {
		len = b->len - *from < piece ? b->len - *from : piece;
		ev = feed(p, b->data + *from, len, &used);
		*from += used;
	}
	return (ev);
}

void
assert_span(struct span s, const char *expect)
{
	assert_int_equal(s.len, strlen(expect));
	assert_memory_equal(s.p, expect, s.len + 1);
}

const char *
param(const struct wire *w, const char *name)
{
	const struct pair *v;
	size_t i, n;

	v = wire_params(w, &n);
	for (i = 0; i < n; i++)
		if (strcmp(v[i].name.p, name) == 0)
			return (v[i].value.p);
	return (NULL);
}

void
assert_answer(struct peer *p, const void *expect, size_t len)
{
	assert_int_equal(p->out.len, len);
	assert_memory_equal(p->out.data, expect, len);
	buf_clear(&p->out);
}

void
assert_end(struct peer *p, int id, int status)
{
	unsigned char expect[16] = { 1, FCGI_END_REQUEST, 0,
	    (unsigned char)id, 0, 8, 0, 0, 0, 0, 0, 0, (unsigned char)status };

	assert_answer(p, expect, sizeof(expect));
}

void
assert_serves(struct peer *p)
{
	struct buf b = BUF_INITIALIZER;

	put_request(&b, 9, FCGI_KEEP_CONN, "GET", "/again", NULL, "");
	assert_int_equal(feed_all(p, &b), WIRE_REQUEST);
	assert_int_equal(wire_refusal(p->wire), 0);
	assert_string_equal(param(p->wire, "REQUEST_URI"), "/again");
	assert_int_equal(p->out.len, 0);
	wire_finish(p->wire);
	assert_true(wire_is_idle(p->wire));
	buf_fini(&b);
}
