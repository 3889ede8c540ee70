/* fcgi/auth: who is known, and that nobody else is. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <jwt.h>

#include "fcgi/auth.h"

#include "fake_request.h"

/*
 * A store of two tenants, each known by its name, with one API key and some
 * JWT keys; and one that is cold.
 */
FAKE_TENANT

static unsigned char key_hash[KEY_HASH_SIZE];
static char key_plain[AUTH_KEY_SIZE];

static const struct {
	const char	*tenant, *kid, *secret;
} jwt_keys[] = {
	{ "acme_1", "a1", "secret-of-acme-number-1" },
	{ "acme_1", "a2", "secret-of-acme-number-2" },
	{ "other", "b1", "secret-of-other" },
};

#define OPERATOR	"secret-of-the-operator"

enum store_err
store_tenant_get(struct store *s, const char *name, size_t len,
    struct tenant **t_r)
{
	static char known[2][8] = { "acme_1", "other" };
	size_t i;

	(void)s;
	for (i = 0; i < NELEMS(known); i++)
		if (strlen(known[i]) == len && !memcmp(known[i], name, len)) {
			*t_r = (struct tenant *)known[i];
			return (STORE_OK);
		}
	return (len == 4 && memcmp(name, "cold", 4) == 0 ? STORE_COLD :
	    STORE_NOENT);
}

enum store_err
store_apikey_check(struct tenant *t, const unsigned char hash[KEY_HASH_SIZE],
    char id_r[ID_SIZE], uint64_t *lsn_r)
{
	*lsn_r = 42;
	if (strcmp((const char *)t, "acme_1") != 0 ||
	    memcmp(hash, key_hash, KEY_HASH_SIZE) != 0)
		return (STORE_NOENT);
	(void)strcpy(id_r, "key_1");
	return (STORE_OK);
}

enum store_err
store_jwtkeys(struct tenant *t, struct credential **v_r, size_t *n_r,
    uint64_t *lsn_r)
{
	struct credential *v = calloc(NELEMS(jwt_keys), sizeof(*v));
	size_t i, n = 0;

	assert_non_null(v);
	for (i = 0; i < NELEMS(jwt_keys); i++) {
		if (strcmp(jwt_keys[i].tenant, (const char *)t) != 0)
			continue;
		(void)strcpy(v[n].id, jwt_keys[i].kid);
		v[n].secret_len = strlen(jwt_keys[i].secret);
		memcpy(v[n++].secret, jwt_keys[i].secret,
		    strlen(jwt_keys[i].secret));
	}
	*v_r = v;
	*n_r = n;
	*lsn_r = 43;
	return (STORE_OK);
}

void
store_credentials_free(struct credential *v, size_t n)
{
	(void)n;
	free(v);
}

/* --- asking --------------------------------------------------------------- */

static enum api_verdict
ask(struct fake *f, const char *scheme, const char *token, bool has_operator)
{
	static char value[20000];
	const char *headers[] = { "HTTP_AUTHORIZATION", value, NULL };

	(void)snprintf(value, sizeof(value), "%s%s", scheme, token);
	fake_begin(f, "GET", "/v1/conversations", headers, "", 0);
	if (has_operator) {
		f->edge.jwt_secret_len = strlen(OPERATOR);
		memcpy(f->edge.jwt_secret, OPERATOR, strlen(OPERATOR));
	}
	return (auth_request(&f->req, &f->rep));
}

#define INCORRECT	"Incorrect API key provided."

static void
assert_refused(const char *scheme, const char *token, const char *end)
{
	struct fake f;

	assert_int_equal(ask(&f, scheme, token, true), API_DONE);
	if (f.req.caller.tenant != NULL)
		fail_msg("taken: %s%s", scheme, token);
	fake_assert_error(&f, 401, "invalid_api_key", NULL, end);
	fake_end(&f);
}

/* --- keys ----------------------------------------------------------------- */

static void
knows_api_keys(void **state)
{
	static const char *const schemes[] = { "Bearer ", "bearer ",
		"BEARER   " };
	struct fake f;
	uint64_t credential = 0;
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(schemes); i++) {
		assert_int_equal(ask(&f, schemes[i], key_plain, false),
		    API_DONE);
		assert_string_equal((char *)f.req.caller.tenant, "acme_1");
		assert_null(f.req.caller.user);
		assert_true(f.req.caller.can_read && f.req.caller.can_write);
		assert_int_equal(f.req.caller.lsn, 42);
		assert_true(i == 0 || credential == f.req.caller.credential);
		credential = f.req.caller.credential;
		fake_end(&f);
	}
}

static void
refuses_other_keys(void **state)
{
	char bad[AUTH_KEY_SIZE + 8];
	struct fake f;

	(void)state;
	assert_refused("", "", "Authorization: Bearer YOUR_KEY.");
	assert_refused("Bearer", "", "Authorization: Bearer YOUR_KEY.");
	assert_refused("Basic ", key_plain, "Authorization: Bearer YOUR_KEY.");
	assert_refused("", key_plain, "Authorization: Bearer YOUR_KEY.");
	(void)sprintf(bad, "%s0", key_plain);
	assert_refused("Bearer ", bad, INCORRECT);
	(void)strcpy(bad, key_plain);
	bad[strlen(bad) - 1] ^= 1;
	assert_refused("Bearer ", bad, INCORRECT);
	bad[strlen(bad) - 1] = '\0';
	assert_refused("Bearer ", bad, INCORRECT);
	/* The same secret with another tenant's name, or none. */
	(void)sprintf(bad, "rk_other_%s", key_plain + strlen("rk_acme_1_"));
	assert_refused("Bearer ", bad, INCORRECT);
	(void)sprintf(bad, "rk_nobody_%s", key_plain + strlen("rk_acme_1_"));
	assert_refused("Bearer ", bad, INCORRECT);
	(void)sprintf(bad, "rk_%s", key_plain + strlen("rk_acme_1_"));
	assert_refused("Bearer ", bad, INCORRECT);
	assert_refused("Bearer ", "rk_", INCORRECT);
	/* A cold tenant is read first. */
	(void)sprintf(bad, "rk_cold_%s", key_plain + strlen("rk_acme_1_"));
	assert_int_equal(ask(&f, "Bearer ", bad, false), API_COLD);
	assert_int_equal(f.req.cold_tenant.len, 4);
	assert_memory_equal(f.req.cold_tenant.p, "cold", 5);
	fake_end(&f);
}

static void
mints_keys_that_differ(void **state)
{
	unsigned char hash[KEY_HASH_SIZE];
	char longest[TENANT_NAME_MAX + 1], key[AUTH_KEY_SIZE];

	(void)state;
	memset(longest, 'x', TENANT_NAME_MAX);
	longest[TENANT_NAME_MAX] = '\0';
	auth_key_mint(longest, key, hash);
	assert_int_equal(strlen(key), AUTH_KEY_SIZE - 1);
	auth_key_mint("acme_1", key, hash);
	assert_string_not_equal(key, key_plain);
	assert_memory_not_equal(hash, key_hash, KEY_HASH_SIZE);
	assert_int_equal(strspn(key + strlen("rk_acme_1_"),
	    "0123456789abcdef"), 64);
}

/* --- tokens --------------------------------------------------------------- */

/* What a token says, as JSON with single quotes; NULL: as it should be. */
struct token {
	const char	*what;
	const char	*header;	/* more members of it */
	const char	*claims;	/* %ld: now + exp_in */
	long		 exp_in;
	const char	*secret;
	jwt_alg_t	 alg;
};

#define GOOD	"{'tenant':'acme_1','sub':'ann','exp':%ld}"
#define SECRET	"secret-of-acme-number-1"

static char *
make(const struct token *t)
{
	char text[1024], *p;
	jwt_t *jwt;

	assert_int_equal(jwt_new(&jwt), 0);
	(void)sprintf(text, t->claims, (long)time(NULL) + t->exp_in);
	for (p = text; *p != '\0'; p++)
		if (*p == '\'')
			*p = '"';
	assert_int_equal(jwt_add_grants_json(jwt, text), 0);
	if (t->header != NULL) {
		(void)strcpy(text, t->header);
		for (p = text; *p != '\0'; p++)
			if (*p == '\'')
				*p = '"';
		assert_int_equal(jwt_add_headers_json(jwt, text), 0);
	}
	assert_int_equal(jwt_set_alg(jwt, t->alg,
	    t->alg == JWT_ALG_NONE ? NULL : (const unsigned char *)t->secret,
	    t->alg == JWT_ALG_NONE ? 0 : (int)strlen(t->secret)), 0);
	p = jwt_encode_str(jwt);
	assert_non_null(p);
	jwt_free(jwt);
	return (p);
}

#define A1	"{'kid':'a1'}"
#define HS256	JWT_ALG_HS256

static void
knows_tokens(void **state)
{
	static const struct {
		struct token	 t;
		bool		 reads, writes;
	} cases[] = {
		{ { "kid", A1, GOOD, 60, SECRET, HS256 }, true, true },
		{ { "no kid", NULL, GOOD, 60, SECRET, HS256 }, true, true },
		{ { "no kid, the second", NULL, GOOD, 60,
		    "secret-of-acme-number-2", HS256 }, true, true },
		{ { "operator", NULL, GOOD, 60, OPERATOR, HS256 }, true,
		    true },
		{ { "read", A1, "{'tenant':'acme_1','sub':'ann','exp':%ld,"
		    "'scope':'read'}", 60, SECRET, HS256 }, true, false },
		{ { "write", A1, "{'tenant':'acme_1','sub':'ann','exp':%ld,"
		    "'scope':'openid write x'}", 60, SECRET, HS256 }, false,
		    true },
		{ { "none", A1, "{'tenant':'acme_1','sub':'ann','exp':%ld,"
		    "'scope':' READ reads '}", 60, SECRET, HS256 }, false,
		    false },
		{ { "nbf", A1, "{'tenant':'acme_1','sub':'ann','exp':%ld.5,"
		    "'nbf':5}", 60, SECRET, HS256 }, true, true },
	};
	struct fake f;
	char *token;
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++) {
		token = make(&cases[i].t);
		assert_int_equal(ask(&f, "Bearer ", token, true), API_DONE);
		if (f.req.caller.tenant == NULL)
			fail_msg("refused: %s", cases[i].t.what);
		assert_string_equal((char *)f.req.caller.tenant, "acme_1");
		assert_string_equal(f.req.caller.user, "ann");
		assert_int_equal(f.req.caller.can_read, cases[i].reads);
		assert_int_equal(f.req.caller.can_write, cases[i].writes);
		assert_int_equal(f.req.caller.lsn, 43);
		fake_end(&f);
		free(token);
	}
}

static void
refuses_other_tokens(void **state)
{
	static const struct token cases[] = {
		{ "alg none", A1, GOOD, 60, "", JWT_ALG_NONE },
		{ "HS384", A1, GOOD, 60, SECRET, JWT_ALG_HS384 },
		{ "HS512", A1, GOOD, 60, SECRET, JWT_ALG_HS512 },
		{ "secret", A1, GOOD, 60, "wrong", HS256 },
		{ "kid unknown", "{'kid':'a9'}", GOOD, 60, SECRET, HS256 },
		{ "kid of another key", "{'kid':'a2'}", GOOD, 60, SECRET,
		    HS256 },
		{ "kid empty", "{'kid':''}", GOOD, 60, SECRET, HS256 },
		{ "kid a number", "{'kid':1}", GOOD, 60, SECRET, HS256 },
		{ "kid null", "{'kid':null}", GOOD, 60, SECRET, HS256 },
		{ "crit", "{'crit':['x'],'kid':'a1'}", GOOD, 60, SECRET,
		    HS256 },
		{ "operator under a kid", A1, GOOD, 60, OPERATOR, HS256 },
		{ "another tenant's key", NULL, GOOD, 60, "secret-of-other",
		    HS256 },
		{ "another tenant", A1, "{'tenant':'other','sub':'ann',"
		    "'exp':%ld}", 60, SECRET, HS256 },
		{ "unknown tenant", A1, "{'tenant':'nobody','sub':'ann',"
		    "'exp':%ld}", 60, SECRET, HS256 },
		{ "tenant a path", A1, "{'tenant':'../x','sub':'ann','exp':"
		    "%ld}", 60, SECRET, HS256 },
		{ "tenant a number", A1, "{'tenant':1,'sub':'ann','exp':%ld}",
		    60, SECRET, HS256 },
		{ "no tenant", A1, "{'sub':'ann','exp':%ld}", 60, SECRET,
		    HS256 },
		{ "no sub", A1, "{'tenant':'acme_1','exp':%ld}", 60, SECRET,
		    HS256 },
		{ "sub empty", A1, "{'tenant':'acme_1','sub':'','exp':%ld}",
		    60, SECRET, HS256 },
		{ "sub with a control", A1, "{'tenant':'acme_1','sub':"
		    "'a\\u0001','exp':%ld}", 60, SECRET, HS256 },
		{ "sub a number", A1, "{'tenant':'acme_1','sub':1,'exp':%ld}",
		    60, SECRET, HS256 },
		{ "no exp", A1, "{'tenant':'acme_1','sub':'ann','x':%ld}",
		    60, SECRET, HS256 },
		{ "exp a string", A1, "{'tenant':'acme_1','sub':'ann','exp':"
		    "'%ld'}", 60, SECRET, HS256 },
		{ "nbf a string", A1, "{'tenant':'acme_1','sub':'ann','exp':"
		    "%ld,'nbf':'1'}", 60, SECRET, HS256 },
		{ "scope null", A1, "{'tenant':'acme_1','sub':'ann','exp':"
		    "%ld,'scope':null}", 60, SECRET, HS256 },
		{ "scope a list", A1, "{'tenant':'acme_1','sub':'ann','exp':"
		    "%ld,'scope':['read']}", 60, SECRET, HS256 },
	};
	char *token;
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(cases); i++) {
		token = make(&cases[i]);
		assert_refused("Bearer ", token, INCORRECT);
		free(token);
	}
}

static void
refuses_tokens_out_of_time(void **state)
{
	static const struct token now = { "exp now", A1, GOOD, 0, SECRET,
		HS256 };
	static const struct token past = { "exp 0", A1, "{'tenant':'acme_1',"
		"'sub':'ann','exp':-%ld}", 0, SECRET, HS256 };
	static const struct token early = { "nbf", A1, "{'tenant':'acme_1',"
		"'sub':'ann','exp':9999999999,'nbf':%ld}", 60, SECRET, HS256 };
	/* That it is expired is told only to who holds a good one. */
	static const struct token forged = { "forged", A1, GOOD, -60, "wrong",
		HS256 };
	char *token;

	(void)state;
	token = make(&now);
	assert_refused("Bearer ", token, "This token has expired.");
	free(token);
	token = make(&past);
	assert_refused("Bearer ", token, "This token has expired.");
	free(token);
	token = make(&early);
	assert_refused("Bearer ", token, "This token is not valid yet.");
	free(token);
	token = make(&forged);
	assert_refused("Bearer ", token, INCORRECT);
	free(token);
}

static void
refuses_what_is_no_token(void **state)
{
	static const struct token good = { "good", A1, GOOD, 60, SECRET,
		HS256 };
	char *token = make(&good), *copy, *dot;
	static char huge[10000];
	size_t i;

	(void)state;
	assert_refused("Bearer ", "..", INCORRECT);
	assert_refused("Bearer ", "a.b", INCORRECT);
	assert_refused("Bearer ", "x", INCORRECT);
	/* Any byte changed, and any end cut off. */
	copy = strdup(token);
	for (i = 0; i < strlen(token); i++) {
		copy[i] = token[i] == 'A' ? 'Q' : 'A';
		/* The last character of a part has bits that mean nothing. */
		if (token[i] != '.' && token[i + 1] != '.' &&
		    token[i + 1] != '\0')
			assert_refused("Bearer ", copy, INCORRECT);
		copy[i] = token[i];
	}
	dot = strrchr(copy, '.');
	for (i = (size_t)(dot - copy); i < strlen(token) - 1; i++) {
		copy[i + 1] = '\0';
		assert_refused("Bearer ", copy, INCORRECT);
		copy[i + 1] = token[i + 1];
	}
	(void)sprintf(huge, "%s.x", token);
	assert_refused("Bearer ", huge, INCORRECT);
	memset(huge, 'x', sizeof(huge) - 1);
	assert_refused("Bearer ", huge, INCORRECT);
	free(copy);
	free(token);
}

static void
knows_the_tokens_it_mints(void **state)
{
	const unsigned char *secret = (const unsigned char *)SECRET;
	struct fake f;
	char *token;

	(void)state;
	token = auth_token_mint("acme_1", "ann é", "read",
	    (int64_t)time(NULL) + 60, "a1", secret, strlen(SECRET));
	assert_non_null(token);
	assert_int_equal(ask(&f, "Bearer ", token, false), API_DONE);
	assert_non_null(f.req.caller.tenant);
	assert_string_equal(f.req.caller.user, "ann é");
	assert_true(f.req.caller.can_read && !f.req.caller.can_write);
	fake_end(&f);
	free(token);
	token = auth_token_mint("cold", "ann", NULL,
	    (int64_t)time(NULL) + 60, NULL, secret, strlen(SECRET));
	assert_int_equal(ask(&f, "Bearer ", token, false), API_COLD);
	fake_end(&f);
	free(token);
	/* The operator's secret is off unless configured. */
	token = auth_token_mint("acme_1", "ann", NULL,
	    (int64_t)time(NULL) + 60, NULL, (const unsigned char *)OPERATOR,
	    strlen(OPERATOR));
	assert_int_equal(ask(&f, "Bearer ", token, false), API_DONE);
	assert_null(f.req.caller.tenant);
	fake_end(&f);
	free(token);
}

static int
set_up(void **state)
{
	(void)state;
	auth_key_mint("acme_1", key_plain, key_hash);
	return (0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(knows_api_keys),
		cmocka_unit_test(refuses_other_keys),
		cmocka_unit_test(mints_keys_that_differ),
		cmocka_unit_test(knows_tokens),
		cmocka_unit_test(refuses_other_tokens),
		cmocka_unit_test(refuses_tokens_out_of_time),
		cmocka_unit_test(refuses_what_is_no_token),
		cmocka_unit_test(knows_the_tokens_it_mints),
	};

	return (cmocka_run_group_tests(tests, set_up, NULL));
}
