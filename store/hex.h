#ifndef HEX_H
#define HEX_H

#include <stdbool.h>
#include <stddef.h>

/* Bytes as lower-case hex digits, and back. */

/* n bytes at p as 2n digits and a NUL. */
void	 hex_encode(char *dst, const unsigned char *p, size_t n);
/*
 * The first 2n characters at digits into n bytes at p.  Returns false if one
 * of them is no lower-case hex digit.
 */
bool	 hex_decode(const char *digits, unsigned char *p, size_t n);

#endif /* !HEX_H */
