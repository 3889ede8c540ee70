#ifndef JSONSCAN_H
#define JSONSCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"

/*
 * Walks over JSON text that is known to be valid (jansson accepted it, or
 * its checksum says that we wrote it), to find where values begin and end
 * without building a tree: the bytes stay the client's own.
 *
 * On text that is not valid every function stays inside the bytes given and
 * ends; what it finds then means nothing.
 */

/* A run of bytes inside a larger text; borrowed. */
struct span {
	const char	*p;
	size_t		 len;
};

/*
 * Walk the members of the object (or the elements of the array) that value
 * holds, white space around it allowed.
 *
 *	struct jsonscan it;
 *	struct span key, val;
 *
 *	jsonscan_begin(&it, value);
 *	while (jsonscan_next(&it, &key, &val))
 *		...
 *
 * key holds the raw bytes between the quotes of the name, escapes not
 * undone (empty for an array's elements); val the value's bytes without
 * white space around it.
 */
struct jsonscan {
	const char	*p;
	const char	*end;
	bool		 is_object;
};

void	 jsonscan_begin(struct jsonscan *, struct span value);
bool	 jsonscan_next(struct jsonscan *, struct span *key_r,
	    struct span *val_r);

/* The value of member name (plain ASCII) of an object; false if not there.
 * A name written with escapes counts as its plain form. */
bool	 jsonscan_get(struct span object, const char *name,
	    struct span *val_r);

/* Does a raw key (as jsonscan_next gives) mean this plain ASCII name? */
bool	 jsonscan_is(struct span key, const char *name);

/*
 * Undo the escapes of the string value (with its quotes) and append the
 * bytes to out.  \u0000 becomes a NUL byte.  Returns false if the value is
 * no string.
 */
bool	 jsonscan_string(struct span value, struct buf *out);
/* The same into a C string of size bytes; false also if it does not fit or
 * holds a NUL. */
bool	 jsonscan_cstring(struct span value, char *dst, size_t size);
/* An unsigned or signed integer; false if it is none or out of range. */
bool	 jsonscan_u64(struct span value, uint64_t *);
bool	 jsonscan_i64(struct span value, int64_t *);

/* Append the value to out without the white space between its tokens. */
void	 jsonscan_minify(struct span value, struct buf *out);

#endif /* !JSONSCAN_H */
