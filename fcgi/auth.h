#ifndef AUTH_H
#define AUTH_H

#include "api.h"

/*
 * Find out who asks from the Authorization header: "Bearer rk_<tenant>_<64
 * hex>" (an API key of the tenant) or a JWT (HS256; claims tenant, sub, exp,
 * scope).  Fills request.caller.
 *
 * Returns API_DONE with caller.tenant set if known; API_DONE with it NULL
 * and a 401 (code invalid_api_key) in the reply if not: the same words for
 * every cause that would tell of another tenant; or API_COLD.
 */
enum api_verdict	 auth_request(struct request *, struct reply *);

/* Make the plain API key of a tenant into buf (new secret) and its hash. */
#define AUTH_KEY_SIZE	(3 + TENANT_NAME_MAX + 1 + 64 + 1)
void	 auth_key_mint(const char *tenant, char buf[AUTH_KEY_SIZE],
	    unsigned char hash[KEY_HASH_SIZE]);

/*
 * Sign a JWT: HS256 with secret, header kid unless NULL, claims tenant, sub,
 * scope unless NULL, iat and exp (seconds since the epoch).  Returns it (new,
 * free() it), or NULL.
 */
char	*auth_token_mint(const char *tenant, const char *sub, const char *scope,
	    int64_t exp, const char *kid, const unsigned char *secret,
	    size_t secret_len);

#endif /* !AUTH_H */
