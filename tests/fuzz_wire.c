/*
 * Any bytes at all for fcgi/wire, by libFuzzer: at once, and in pieces.  Both
 * ways must see the same events, requests and answers.
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fcgi/wire.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static const struct wire_limits limits = {
	.params_bytes = 300, .params_pairs = 5, .body = 200, .max_conns = 9
};

/* Write down what the request is. */
static void
note_request(const struct wire *w, struct buf *notes)
{
	const struct pair *v;
	struct span body = wire_body(w);
	size_t i, n;

	v = wire_params(w, &n);
	buf_addf(notes, "request %d %u %d", wire_refusal(w), wire_id(w),
	    wire_is_kept(w));
	for (i = 0; i < n; i++) {
		if (v[i].name.p[v[i].name.len] != '\0' ||
		    v[i].value.p[v[i].value.len] != '\0')
			abort();
		buf_add(notes, v[i].name.p, v[i].name.len);
		buf_addc(notes, '=');
		buf_add(notes, v[i].value.p, v[i].value.len);
	}
	if (body.p[body.len] != '\0' || body.len > limits.body ||
	    n > limits.params_pairs)
		abort();
	buf_add(notes, body.p, body.len);
}

/* Feed all, piece bytes at a time; notes gets what happened. */
static void
play(const uint8_t *bytes, size_t len, size_t piece, struct buf *notes,
    struct buf *out)
{
	struct wire *w = wire_new(&limits);
	size_t at = 0, used, n;

	while (w != NULL && at < len) {
		n = len - at < piece ? len - at : piece;
		switch (wire_feed(w, bytes + at, n, &used, out)) {
		case WIRE_MORE:
			if (used != n)
				abort();
			break;
		case WIRE_REQUEST:
			note_request(w, notes);
			/* Now and then it takes a while. */
			if (wire_id(w) % 2 == 0)
				wire_finish(w);
			break;
		case WIRE_ABORT:
			buf_adds(notes, "abort");
			wire_finish(w);
			break;
		case WIRE_HOLD:
			buf_adds(notes, "hold");
			wire_finish(w);
			break;
		case WIRE_BROKEN:
			buf_adds(notes, "broken");
			len = at + used;
			break;
		}
		at += used;
	}
	buf_addf(notes, "end %d %d", wire_is_idle(w), wire_is_begun(w));
	wire_free(w);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static const size_t pieces[] = { 1, 3, 17 };
	struct buf whole = BUF_INITIALIZER, all = BUF_INITIALIZER;
	struct buf notes = BUF_INITIALIZER, out = BUF_INITIALIZER;
	size_t i;

	play(bytes, len, SIZE_MAX, &whole, &all);
	for (i = 0; i < 3; i++) {
		buf_clear(&notes);
		buf_clear(&out);
		play(bytes, len, pieces[i], &notes, &out);
		if (notes.len != whole.len || out.len != all.len ||
		    memcmp(notes.data, whole.data, whole.len) != 0 ||
		    (out.len > 0 && memcmp(out.data, all.data, all.len) != 0))
			abort();
	}
	buf_fini(&notes);
	buf_fini(&out);
	buf_fini(&whole);
	buf_fini(&all);
	return (0);
}
