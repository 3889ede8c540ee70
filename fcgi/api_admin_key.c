#include <bsd/stdlib.h>
#include <bsd/string.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "conf/conf.h"
#include "store/hex.h"
#include "store/sys.h"

#include "api_admin.h"
#include "auth.h"
#include "input.h"
#include "shape.h"

/* How long a token lives unless it is said, and at most. */
#define TTL_DEFAULT	((int64_t)30 * 86400)
#define TTL_MAX		((int64_t)3660 * 86400)

/* A credential as members of an object; no secret. */
static void
add_credential(struct buf *out, const char *object, const char *id_name,
    const struct credential *k)
{
	buf_addf(out, "{\"object\":\"%s\",\"%s\":", object, id_name);
	buf_jsons(out, k->id);
	if (k->label[0] != '\0') {
		buf_adds(out, ",\"label\":");
		buf_jsons(out, k->label);
	}
	buf_adds(out, ",\"created_at\":");
	buf_addi(out, k->created_at / 1000);
}

/* The tenant's keys, by either reader of the store. */
static enum api_verdict
list_keys(struct admin_call *c, const char *object, const char *id_name,
    enum store_err (*read)(struct tenant *, struct credential **, size_t *,
    uint64_t *))
{
	struct credential *keys;
	uint64_t lsn = 0;
	enum store_err err;
	size_t i, n;

	if ((err = read(c->tenant, &keys, &n, &lsn)) != STORE_OK) {
		reply_store_error(c->rep, err,
		    (struct span){ c->name, strlen(c->name) });
		return (API_DONE);
	}
	reply_start(c->rep, 200);
	admin_list_begin(&c->rep->body);
	for (i = 0; i < n; i++) {
		if (i > 0)
			buf_addc(&c->rep->body, ',');
		add_credential(&c->rep->body, object, id_name, &keys[i]);
		buf_addc(&c->rep->body, '}');
	}
	admin_list_end(&c->rep->body);
	reply_wait(c->rep, lsn);
	store_credentials_free(keys, n);
	return (API_DONE);
}

/* Take back the key that the last segment names. */
static enum api_verdict
revoke(struct admin_call *c, enum change_kind kind, const char *object,
    const char *id_name)
{
	struct change change = { .kind = kind };
	struct credential key = { .created_at = 0 };
	enum api_verdict verdict;
	bool is_made;

	if (!id_is_valid(c->id.p, c->id.len)) {
		reply_error(c->rep, 404, NULL, NULL,
		    "Key with id '%.64s' not found.", c->id.p);
		return (API_DONE);
	}
	memcpy(key.id, c->id.p, c->id.len + 1);
	change.credential = &key;
	verdict = admin_commit(c, &change, &is_made);
	if (is_made)
		buf_addf(&c->rep->body, "{\"%s\":\"%s\",\"object\":"
		    "\"%s.deleted\",\"deleted\":true}", id_name, key.id,
		    object);
	return (verdict);
}

/* --- API keys ------------------------------------------------------------- */

enum api_verdict
admin_keys_list(struct admin_call *c)
{
	return (list_keys(c, "key", "id", store_apikeys));
}

bool
admin_is_label(const char *s, size_t len)
{

	return (len < sizeof(((struct credential *)NULL)->label) &&
	    (len == 0 || input_is_user(s, len)));
}

static bool
take_label(struct admin_call *c, struct credential *key)
{
	const json_t *label = json_object_get(c->body, "label");
	const char *s = json_string_value(label);

	if (label == NULL || json_is_null(label))
		return (true);
	if (!json_is_string(label))
		return (shape_bad_type(label, "label", "a string", c->rep));
	if (admin_is_label(s, json_string_length(label))) {
		(void)strlcpy(key->label, s, sizeof(key->label));
		return (true);
	}
	reply_error(c->rep, 400, "invalid_value", "label", "Invalid value "
	    "for 'label': expected at most %zu bytes without control "
	    "characters.", sizeof(key->label) - 1);
	return (false);
}

enum api_verdict
admin_keys_add(struct admin_call *c)
{
	static const char *const members[] = { "label", NULL };
	struct change change = { .kind = CHANGE_APIKEY_ADD };
	struct credential key = { .created_at = sys_now_ms() };
	char plain[AUTH_KEY_SIZE];
	enum api_verdict verdict;
	bool is_made;

	if (!input_members(c->body, members, c->rep) ||
	    !take_label(c, &key))
		return (API_DONE);
	id_mint(key.id, "key_");
	auth_key_mint(c->name, plain, key.hash);
	change.credential = &key;
	verdict = admin_commit(c, &change, &is_made);
	if (is_made) {
		add_credential(&c->rep->body, "key", "id", &key);
		buf_addf(&c->rep->body, ",\"key\":\"%s\"}", plain);
	}
	explicit_bzero(plain, sizeof(plain));
	return (verdict);
}

enum api_verdict
admin_keys_revoke(struct admin_call *c)
{
	return (revoke(c, CHANGE_APIKEY_REVOKE, "key", "id"));
}

/* --- keys for JWTs -------------------------------------------------------- */

enum api_verdict
admin_jwt_keys_list(struct admin_call *c)
{
	return (list_keys(c, "jwt_key", "kid", store_jwtkeys));
}

/* The kid that is asked for, or one of ours. */
static bool
take_kid(struct admin_call *c, struct credential *key)
{
	const json_t *kid = json_object_get(c->body, "kid");

	if (kid == NULL || json_is_null(kid)) {
		id_mint_short(key->id);
		return (true);
	}
	if (!json_is_string(kid))
		return (shape_bad_type(kid, "kid", "a string", c->rep));
	if (id_is_valid(json_string_value(kid), json_string_length(kid))) {
		(void)strlcpy(key->id, json_string_value(kid),
		    sizeof(key->id));
		return (true);
	}
	reply_error(c->rep, 400, "invalid_value", "kid", "Invalid value: "
	    "'%.100s'. Expected 1 to %d letters, digits, underscores, or "
	    "dashes.", json_string_value(kid), ID_MAX);
	return (false);
}

/* The secret that is given, or 64 hex digits: *is_new_r. */
static bool
take_secret(struct admin_call *c, struct credential *key, bool *is_new_r)
{
	const json_t *secret = json_object_get(c->body, "secret");
	unsigned char raw[32];

	*is_new_r = secret == NULL || json_is_null(secret);
	if (*is_new_r) {
		arc4random_buf(raw, sizeof(raw));
		hex_encode((char *)key->secret, raw, sizeof(raw));
		key->secret_len = 2 * sizeof(raw);
		explicit_bzero(raw, sizeof(raw));
		return (true);
	}
	if (!json_is_string(secret))
		return (shape_bad_type(secret, "secret", "a string",
		    c->rep));
	key->secret_len = json_string_length(secret);
	if (key->secret_len >= SECRET_MIN &&
	    key->secret_len <= KEY_SECRET_MAX) {
		memcpy(key->secret, json_string_value(secret),
		    key->secret_len);
		return (true);
	}
	reply_error(c->rep, 400, "invalid_value", "secret", "Invalid value "
	    "for 'secret': expected %d to %d bytes, but got %zu.",
	    SECRET_MIN, KEY_SECRET_MAX, key->secret_len);
	return (false);
}

enum api_verdict
admin_jwt_keys_add(struct admin_call *c)
{
	static const char *const members[] = { "kid", "secret", NULL };
	struct change change = { .kind = CHANGE_JWTKEY_ADD };
	struct credential key = { .created_at = sys_now_ms() };
	enum api_verdict verdict;
	bool is_made, is_new;

	if (!input_members(c->body, members, c->rep) ||
	    !take_kid(c, &key) || !take_secret(c, &key, &is_new))
		return (API_DONE);
	change.credential = &key;
	verdict = admin_commit(c, &change, &is_made);
	if (is_made) {
		add_credential(&c->rep->body, "jwt_key", "kid", &key);
		/* Who gave it has it; it need not stand in a terminal. */
		if (is_new) {
			buf_adds(&c->rep->body, ",\"secret\":");
			buf_json(&c->rep->body, (const char *)key.secret,
			    key.secret_len);
		}
		buf_addc(&c->rep->body, '}');
	}
	explicit_bzero(&key, sizeof(key));
	return (verdict);
}

enum api_verdict
admin_jwt_keys_revoke(struct admin_call *c)
{
	return (revoke(c, CHANGE_JWTKEY_REVOKE, "jwt_key", "kid"));
}

/* --- tokens --------------------------------------------------------------- */

/* What a token is to say. */
struct wish {
	const char	*sub;
	const char	*scope;		/* or NULL */
	const char	*kid;		/* or NULL */
	int64_t		 ttl;		/* s */
};

/* Seconds, or a string such as "30d". */
static bool
take_ttl(struct admin_call *c, struct wish *w)
{
	const json_t *ttl = json_object_get(c->body, "ttl");
	uint64_t ms = 0;

	w->ttl = TTL_DEFAULT;
	if (ttl == NULL || json_is_null(ttl))
		return (true);
	w->ttl = json_integer_value(ttl);
	if (json_is_string(ttl) &&
	    conf_duration(json_string_value(ttl), &ms) == 0 &&
	    ms / 1000 <= (uint64_t)TTL_MAX)
		w->ttl = (int64_t)(ms / 1000);
	if (w->ttl >= 1 && w->ttl <= TTL_MAX)
		return (true);
	reply_error(c->rep, 400, "invalid_value", "ttl", "Invalid value for "
	    "'ttl': expected seconds, or a time such as \"30d\".");
	return (false);
}

/* Only the words that mean something: a typing error would be silent. */
static bool
take_scope(struct admin_call *c, struct wish *w)
{
	static const char *const values[] = { "read", "write", "read write",
		"write read", NULL };

	w->scope = json_string_value(json_object_get(c->body, "scope"));
	return (w->scope == NULL || shape_is_one_of(w->scope, values) ||
	    shape_bad_value(w->scope, "scope", values, c->rep));
}

static bool
take_wish(struct admin_call *c, struct wish *w)
{
	static const struct shape_field fields[] = {
		{ "sub", SHAPE_STRING, true, NULL, NULL },
		{ "scope", SHAPE_STRING, false, NULL, NULL },
		{ "kid", SHAPE_STRING, false, NULL, NULL },
		{ NULL, 0, false, NULL, NULL } };
	static const char *const members[] = { "sub", "scope", "kid", "ttl",
		NULL };
	const json_t *sub = json_object_get(c->body, "sub");

	if (!input_members(c->body, members, c->rep) ||
	    !shape_check(c->body, fields, "", c->rep))
		return (false);
	w->sub = json_string_value(sub);
	w->kid = json_string_value(json_object_get(c->body, "kid"));
	if (!input_is_user(w->sub, json_string_length(sub))) {
		reply_error(c->rep, 400, "invalid_value", "sub", "Invalid "
		    "value for 'sub': expected 1 to %d bytes without control "
		    "characters.", INPUT_USER_MAX);
		return (false);
	}
	return (take_scope(c, w) && take_ttl(c, w));
}

/* The key of that kid, or the newest; NULL if there is none. */
static const struct credential *
choose_key(const struct credential *keys, size_t n, const char *kid)
{
	while (n-- > 0)
		if (kid == NULL || strcmp(keys[n].id, kid) == 0)
			return (&keys[n]);
	return (NULL);
}

static void
reply_token(struct admin_call *c, const struct wish *w,
    const struct credential *key)
{
	int64_t exp = (int64_t)time(NULL) + w->ttl;
	char *token = auth_token_mint(c->name, w->sub, w->scope, exp,
	    key->id, key->secret, key->secret_len);

	if (token == NULL) {
		(void)input_nomem(c->rep);
		return;
	}
	reply_start(c->rep, 200);
	buf_addf(&c->rep->body, "{\"object\":\"token\",\"token\":\"%s\","
	    "\"tenant\":\"%s\",\"sub\":", token, c->name);
	buf_jsons(&c->rep->body, w->sub);
	buf_adds(&c->rep->body, ",\"scope\":");
	buf_jsons(&c->rep->body, w->scope);
	buf_addf(&c->rep->body, ",\"kid\":\"%s\",\"expires_at\":%jd}",
	    key->id, (intmax_t)exp);
	explicit_bzero(token, strlen(token));
	free(token);
}

enum api_verdict
admin_tokens_add(struct admin_call *c)
{
	const struct credential *key;
	struct credential *keys;
	uint64_t lsn = 0;
	enum store_err err;
	struct wish w;
	size_t n;

	if (!take_wish(c, &w))
		return (API_DONE);
	if ((err = store_jwtkeys(c->tenant, &keys, &n, &lsn)) != STORE_OK) {
		reply_store_error(c->rep, err,
		    (struct span){ c->name, strlen(c->name) });
		return (API_DONE);
	}
	if ((key = choose_key(keys, n, w.kid)) != NULL)
		reply_token(c, &w, key);
	else if (w.kid != NULL)
		reply_error(c->rep, 404, NULL, "kid",
		    "Key with id '%.64s' not found.", w.kid);
	else
		reply_error(c->rep, 400, "no_jwt_key", NULL, "The tenant "
		    "'%s' has no JWT key; add one first.", c->name);
	reply_wait(c->rep, lsn);
	store_credentials_free(keys, n);
	return (API_DONE);
}

