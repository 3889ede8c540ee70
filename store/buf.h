#ifndef BUF_H
#define BUF_H

#include <bsd/sys/cdefs.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A growing run of bytes.  A failed allocation sets `failed` and makes every
 * later append do nothing, so that a writer appends freely and asks once, at
 * the end, with buf_ok().  Not thread safe; owner is who made it.
 */
struct buf {
	char	*data;		/* NULL while empty; no NUL at its end */
	size_t	 len;
	size_t	 size;
	bool	 failed;
};

#define BUF_INITIALIZER	{ NULL, 0, 0, false }

void	 buf_init(struct buf *);
/* Free the bytes and make it empty and usable again. */
void	 buf_fini(struct buf *);
/* Forget the bytes, keep the memory; clears failed. */
void	 buf_clear(struct buf *);
/* Did everything fit so far? */
bool	 buf_ok(const struct buf *);
/* Make room for n more bytes.  Returns false, failed set, if there is none. */
bool	 buf_reserve(struct buf *, size_t n);

void	 buf_add(struct buf *, const void *, size_t);
void	 buf_addc(struct buf *, char);
void	 buf_adds(struct buf *, const char *);
void	 buf_addf(struct buf *, const char *fmt, ...) __printflike(2, 3);
/* Unsigned and signed decimal, without printf. */
void	 buf_addu(struct buf *, uint64_t);
void	 buf_addi(struct buf *, int64_t);
/*
 * A JSON string with its quotes: len bytes of valid UTF-8 at s, in which a
 * NUL byte may stand; controls, quote and backslash are escaped, nothing
 * else is changed.
 */
void	 buf_json(struct buf *, const char *s, size_t len);
/* The same of a C string; NULL becomes null. */
void	 buf_jsons(struct buf *, const char *s);

/*
 * Take the bytes out (new, free() them), NUL added behind *len_r, and leave
 * an empty buf.  Returns NULL if failed.
 */
char	*buf_take(struct buf *, size_t *len_r);

#endif /* !BUF_H */
