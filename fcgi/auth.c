#include <bsd/stdlib.h>
#include <bsd/string.h>
#include <assert.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include <jansson.h>
#include <jwt.h>
#include <openssl/evp.h>
#include <xxhash.h>

#include "auth.h"
#include "input.h"
#include "store/hex.h"

/* Longer ones are not looked at. */
#define TOKEN_MAX	8192
#define SECRET_HEX	64

/*
 * The same words for every cause that would tell of another tenant: no such
 * tenant, no such key, a key of somebody else, a bad signature.
 */
static enum api_verdict
refuse(struct reply *rep)
{
	reply_error(rep, 401, "invalid_api_key", NULL,
	    "Incorrect API key provided.");
	return (API_DONE);
}

/* What a credential is known by again: not the secret itself. */
static uint64_t
hash_identity(const char *kind, const char *a, const char *b)
{
	uint64_t hash = XXH3_64bits(kind, strlen(kind));

	hash = XXH3_64bits_withSeed(a, strlen(a), hash);
	return (XXH3_64bits_withSeed(b, strlen(b), hash));
}

/*
 * Hold the tenant in *tenant_r, or make the reply (401, or out of memory),
 * or say API_COLD; then it is NULL.
 */
static enum api_verdict
find_tenant(struct request *req, struct reply *rep, const char *name,
    size_t len, struct tenant **tenant_r)
{
	enum store_err err;

	*tenant_r = NULL;
	if (!id_is_tenant(name, len))
		return (refuse(rep));
	err = store_tenant_get(req->edge->store, name, len, tenant_r);
	switch (err) {
	case STORE_OK:
		return (API_DONE);
	case STORE_COLD:
		req->cold_tenant.p = arena_copy(req->arena, name, len);
		req->cold_tenant.len = len;
		if (req->cold_tenant.p != NULL)
			return (API_COLD);
		(void)input_nomem(rep);
		return (API_DONE);
	case STORE_NOENT:
		return (refuse(rep));
	default:
		reply_store_error(rep, err, (struct span){ name, len });
		return (API_DONE);
	}
}

/* --- API keys ------------------------------------------------------------- */

static bool
is_hex(const char *s, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (!(s[i] >= '0' && s[i] <= '9') &&
		    !(s[i] >= 'a' && s[i] <= 'f'))
			return (false);
	return (true);
}

static bool
sha256(const char *s, size_t len, unsigned char hash[KEY_HASH_SIZE])
{
	unsigned int n = 0;

	return (EVP_Digest(s, len, hash, &n, EVP_sha256(), NULL) == 1 &&
	    n == KEY_HASH_SIZE);
}

/* rk_<tenant>_<64 hex>; the tenant's name may hold underscores. */
static enum api_verdict
check_key(struct request *req, struct reply *rep, struct span token)
{
	unsigned char hash[KEY_HASH_SIZE];
	struct caller *who = &req->caller;
	enum api_verdict verdict;
	struct tenant *tenant;
	enum store_err err;
	char id[ID_SIZE];
	size_t len;

	if (token.len < 3 + 1 + 1 + SECRET_HEX)
		return (refuse(rep));
	len = token.len - 3 - 1 - SECRET_HEX;
	if (token.p[3 + len] != '_' ||
	    !is_hex(token.p + 3 + len + 1, SECRET_HEX))
		return (refuse(rep));
	verdict = find_tenant(req, rep, token.p + 3, len, &tenant);
	if (tenant == NULL)
		return (verdict);
	err = sha256(token.p, token.len, hash) ?
	    store_apikey_check(tenant, hash, id, &who->lsn) : STORE_NOMEM;
	if (err == STORE_OK) {
		who->tenant = tenant;
		who->credential = hash_identity("key",
		    store_tenant_name(tenant), id);
		who->can_read = who->can_write = true;
		return (API_DONE);
	}
	store_tenant_put(tenant);
	if (err == STORE_NOENT)
		(void)refuse(rep);
	else
		(void)input_nomem(rep);
	reply_wait(rep, who->lsn);
	return (API_DONE);
}

void
auth_key_mint(const char *tenant, char buf[AUTH_KEY_SIZE],
    unsigned char hash[KEY_HASH_SIZE])
{
	unsigned char secret[SECRET_HEX / 2];
	size_t len;

	assert(id_is_tenant(tenant, strlen(tenant)));
	arc4random_buf(secret, sizeof(secret));
	len = (size_t)snprintf(buf, AUTH_KEY_SIZE, "rk_%s_", tenant);
	hex_encode(buf + len, secret, sizeof(secret));
	explicit_bzero(secret, sizeof(secret));
	/* Fails for want of memory only, and a wrong hash opens nothing. */
	if (!sha256(buf, len + SECRET_HEX, hash))
		arc4random_buf(hash, KEY_HASH_SIZE);
}

/* --- tokens --------------------------------------------------------------- */

/* What a JWT claims, before anybody believed it. */
struct claims {
	json_t		*header;
	json_t		*payload;	/* the strings are borrowed from both */
	const char	*kid;		/* or NULL */
	const char	*tenant;
	const char	*sub;
	const char	*scope;		/* or NULL */
	int64_t		 exp;		/* s */
	int64_t		 nbf;		/* s; 0: none */
};

static void
claims_fini(struct claims *c)
{
	json_decref(c->header);
	json_decref(c->payload);
}

static const char *
string_claim(const json_t *json, const char *name)
{
	const json_t *v = json_object_get(json, name);
	const char *s = json_string_value(v);

	return (s != NULL && strlen(s) == json_string_length(v) ? s : NULL);
}

/* Seconds since the epoch, maybe with a fraction (RFC 7519, 2). */
static bool
time_claim(const json_t *json, const char *name, int64_t *s_r)
{
	const json_t *v = json_object_get(json, name);
	double d = json_number_value(v);

	if (!json_is_number(v) || !(d > -1e15 && d < 1e15))
		return (false);
	*s_r = (int64_t)d;
	return (true);
}

/*
 * The algorithm must be HS256 before any key is tried, so that a token cannot
 * choose how it is checked; we understand no critical extension (RFC 7515,
 * 4.1.11); and kid may be left out, but not be anything but a string.
 */
static bool
read_header(jwt_t *jwt, struct claims *c)
{
	char *text = jwt_get_headers_json(jwt, NULL);
	const char *alg;

	if (text == NULL)
		return (false);
	c->header = json_loads(text, 0, NULL);
	free(text);
	alg = string_claim(c->header, "alg");
	c->kid = string_claim(c->header, "kid");
	return (alg != NULL && strcmp(alg, "HS256") == 0 &&
	    json_object_get(c->header, "crit") == NULL &&
	    (c->kid != NULL || json_object_get(c->header, "kid") == NULL));
}

static bool
read_payload(jwt_t *jwt, struct claims *c)
{
	char *text = jwt_get_grants_json(jwt, NULL);

	if (text == NULL)
		return (false);
	c->payload = json_loads(text, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL,
	    NULL);
	free(text);
	c->tenant = string_claim(c->payload, "tenant");
	c->sub = string_claim(c->payload, "sub");
	c->scope = string_claim(c->payload, "scope");
	if (c->tenant == NULL || c->sub == NULL ||
	    !input_is_user(c->sub, strlen(c->sub)) ||
	    !time_claim(c->payload, "exp", &c->exp))
		return (false);
	if (c->scope == NULL && json_object_get(c->payload, "scope") != NULL)
		return (false);
	return (json_object_get(c->payload, "nbf") == NULL ||
	    time_claim(c->payload, "nbf", &c->nbf));
}

/* Read a token without believing it. */
static bool
read_claims(const char *token, struct claims *c)
{
	jwt_t *jwt = NULL;
	bool is_ok;

	memset(c, 0, sizeof(*c));
	if (jwt_decode(&jwt, token, NULL, 0) != 0)
		return (false);
	is_ok = read_header(jwt, c) && read_payload(jwt, c);
	jwt_free(jwt);
	return (is_ok);
}

static bool
is_signed_by(const char *token, const unsigned char *secret, size_t len)
{
	jwt_t *jwt = NULL;
	bool is_ok;

	assert(len > 0 && len <= INT_MAX);
	is_ok = jwt_decode(&jwt, token, secret, (int)len) == 0 &&
	    jwt_get_alg(jwt) == JWT_ALG_HS256;
	jwt_free(jwt);
	return (is_ok);
}

/*
 * Is the token signed by a key of the tenant: the one that kid names, or
 * without kid any, or then the operator's secret?  1, 0, -1 no memory.
 */
static int
is_signed(const struct request *req, struct tenant *tenant,
    const char *token, const char *kid, uint64_t *lsn_r)
{
	struct credential *keys;
	size_t i, n;
	bool is_ok = false;

	if (store_jwtkeys(tenant, &keys, &n, lsn_r) != STORE_OK)
		return (-1);
	for (i = 0; i < n && !is_ok; i++)
		is_ok = (kid == NULL || strcmp(kid, keys[i].id) == 0) &&
		    is_signed_by(token, keys[i].secret, keys[i].secret_len);
	store_credentials_free(keys, n);
	if (!is_ok && kid == NULL && req->edge->jwt_secret_len > 0)
		is_ok = is_signed_by(token, req->edge->jwt_secret,
		    req->edge->jwt_secret_len);
	return (is_ok);
}

/* Is word among the words of scope?  Without a scope everything is. */
static bool
has_scope(const char *scope, const char *word)
{
	size_t len = strlen(word), n;

	if (scope == NULL)
		return (true);
	for (; *scope != '\0'; scope += n + (scope[n] != '\0'))
		if ((n = strcspn(scope, " ")) == len &&
		    memcmp(scope, word, len) == 0)
			return (true);
	return (false);
}

/* The signature holds: may it be used now, and by whom? */
static bool
admit(struct request *req, struct reply *rep, const struct claims *c)
{
	struct caller *who = &req->caller;
	int64_t now = (int64_t)time(NULL);

	if (c->exp <= now || c->nbf > now) {
		reply_error(rep, 401, "invalid_api_key", NULL, c->exp <= now ?
		    "This token has expired." :
		    "This token is not valid yet.");
		return (false);
	}
	who->user = arena_copy(req->arena, c->sub, strlen(c->sub));
	who->can_read = has_scope(c->scope, "read");
	who->can_write = has_scope(c->scope, "write");
	who->credential = hash_identity("user", c->tenant, c->sub);
	return (who->user != NULL || input_nomem(rep));
}

static enum api_verdict
check_claims(struct request *req, struct reply *rep, const char *token,
    const struct claims *c)
{
	enum api_verdict verdict;
	struct tenant *tenant;
	uint64_t lsn = 0;
	int found;

	verdict = find_tenant(req, rep, c->tenant, strlen(c->tenant),
	    &tenant);
	if (tenant == NULL)
		return (verdict);
	found = is_signed(req, tenant, token, c->kid, &lsn);
	req->caller.lsn = lsn;
	if (found == 1 && admit(req, rep, c)) {
		req->caller.tenant = tenant;
		return (API_DONE);
	}
	store_tenant_put(tenant);
	if (found == 0)
		(void)refuse(rep);
	else if (found == -1)
		(void)input_nomem(rep);
	reply_wait(rep, lsn);
	return (API_DONE);
}

static enum api_verdict
check_token(struct request *req, struct reply *rep, const char *token)
{
	enum api_verdict verdict;
	struct claims claims;

	if (read_claims(token, &claims))
		verdict = check_claims(req, rep, token, &claims);
	else
		verdict = refuse(rep);
	claims_fini(&claims);
	return (verdict);
}

char *
auth_token_mint(const char *tenant, const char *sub, const char *scope,
    int64_t exp, const char *kid, const unsigned char *secret,
    size_t secret_len)
{
	jwt_t *jwt = NULL;
	char *token = NULL;

	if (secret_len == 0 || secret_len > INT_MAX || jwt_new(&jwt) != 0)
		return (NULL);
	if (jwt_set_alg(jwt, JWT_ALG_HS256, secret, (int)secret_len) == 0 &&
	    (kid == NULL || jwt_add_header(jwt, "kid", kid) == 0) &&
	    jwt_add_grant(jwt, "tenant", tenant) == 0 &&
	    jwt_add_grant(jwt, "sub", sub) == 0 &&
	    (scope == NULL || jwt_add_grant(jwt, "scope", scope) == 0) &&
	    jwt_add_grant_int(jwt, "iat", (long)time(NULL)) == 0 &&
	    jwt_add_grant_int(jwt, "exp", (long)exp) == 0)
		token = jwt_encode_str(jwt);
	jwt_free(jwt);
	return (token);
}

/* --- the header ----------------------------------------------------------- */

/* What stands behind "Bearer", in any case; len 0 if nothing does. */
static struct span
bearer(struct span header)
{
	static const char scheme[] = "Bearer ";
	const size_t len = sizeof(scheme) - 1;

	if (header.len < len || strncasecmp(header.p, scheme, len) != 0)
		return ((struct span){ "", 0 });
	header.p += len;
	header.len -= len;
	while (header.len > 0 && header.p[0] == ' ') {
		header.p++;
		header.len--;
	}
	return (header);
}

enum api_verdict
auth_request(struct request *req, struct reply *rep)
{
	struct span token = bearer(request_param(req, "HTTP_AUTHORIZATION"));

	assert(req->caller.tenant == NULL);
	if (token.len == 0) {
		reply_error(rep, 401, "invalid_api_key", NULL,
		    "You didn't provide an API key. Send it in the "
		    "Authorization header: Authorization: Bearer YOUR_KEY.");
		return (API_DONE);
	}
	if (token.len > TOKEN_MAX || strlen(token.p) != token.len)
		return (refuse(rep));
	if (token.len >= 3 && memcmp(token.p, "rk_", 3) == 0)
		return (check_key(req, rep, token));
	return (check_token(req, rep, token.p));
}
