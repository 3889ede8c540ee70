#ifndef ID_H
#define ID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The longest id, and the longest tenant name, without the NUL. */
#define ID_MAX		64
#define TENANT_NAME_MAX	63
/* Room for either with its NUL. */
#define ID_SIZE		(ID_MAX + 1)

/*
 * Mint prefix + 48 lower-case hex digits into buf (ID_SIZE bytes): 12 digits
 * of milliseconds since the epoch and 6 of the nanoseconds beyond, so that ids
 * order by time, then 120 random bits.  prefix, such as "conv_", has at most
 * 16 characters.
 */
void	 id_mint(char *buf, const char *prefix);

/* 16 lower-case hex digits of 64 random bits into buf (17 bytes). */
void	 id_mint_short(char *buf);

/* Is it of the form [A-Za-z0-9_-]{1,64}?  len bytes, no NUL needed. */
bool	 id_is_valid(const char *, size_t len);

/* Is it of the form [a-z0-9][a-z0-9_-]{0,62}? */
bool	 id_is_tenant(const char *, size_t len);

#endif /* !ID_H */
