#include <bsd/string.h>

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "hex.h"
#include "key.h"
#include "member.h"
#include "text.h"

/* What a later rememberd wrote into the credential of that id. */
struct key_rest {
	struct key_rest	*next;
	char		 id[ID_SIZE];
	struct text	 text;
};

void
store_credentials_free(struct credential *v, size_t n)
{

	if (v == NULL)
		return;
	OPENSSL_cleanse(v, n * sizeof(*v));
	free(v);
}

/* Forget the rest of the credential of that id, or (NULL) all. */
static void
forget_rest(struct keyring *k, const char *id)
{
	struct key_rest **at = &k->rests, *r;

	while ((r = *at) != NULL) {
		if (id != NULL && strcmp(r->id, id) != 0) {
			at = &r->next;
			continue;
		}
		*at = r->next;
		OPENSSL_cleanse(r->text.p, r->text.len);
		free(r->text.p);
		free(r);
	}
}

/* One change of a ring. */
struct key_past {
	struct key_past	*next;
	uint64_t	 lsn;
	size_t		 index;		/* of what was removed */
	bool		 is_added;
	struct credential credential;	/* added or removed */
};

static void
past_free(struct key_past *p)
{

	if (p == NULL)
		return;
	OPENSSL_cleanse(p, sizeof(*p));
	free(p);
}

void
keyring_trim(struct keyring *k, uint64_t durable)
{
	struct key_past **from = &k->past, *p;

	while (*from != NULL && (*from)->lsn > durable)
		from = &(*from)->next;
	while ((p = *from) != NULL) {
		*from = p->next;
		past_free(p);
	}
	past_free(k->spare);
	k->spare = NULL;
}

bool
keyring_reserve_past(struct keyring *k, uint64_t durable)
{

	keyring_trim(k, durable);
	k->spare = calloc(1, sizeof(*k->spare));
	return (k->spare != NULL);
}

void
keyring_note(struct keyring *k, uint64_t lsn, const char *id)
{
	const struct credential *c = keyring_find(k, id);
	struct key_past *p = k->spare;

	if (p == NULL)
		return;
	k->spare = NULL;
	p->lsn = lsn;
	p->is_added = c == NULL;
	if (c != NULL) {
		p->index = (size_t)(c - k->v);
		p->credential = *c;
	} else
		strlcpy(p->credential.id, id, sizeof(p->credential.id));
	p->next = k->past;
	k->past = p;
}

/* Take one change back; there is room. */
static void
undo_past(struct keyring *k, const struct key_past *p)
{

	if (p->is_added) {
		(void)keyring_remove(k, p->credential.id);
		return;
	}
	assert(p->index <= k->n && k->n < k->size);
	memmove(&k->v[p->index + 1], &k->v[p->index],
	    (k->n - p->index) * sizeof(*k->v));
	k->v[p->index] = p->credential;
	k->n++;
}

const struct keyring *
keyring_at(const struct keyring *k, uint64_t bound, struct keyring *own)
{
	const struct key_past *p;

	memset(own, 0, sizeof(*own));
	if (k->past == NULL || k->past->lsn <= bound)
		return (k);
	own->size = k->n;
	for (p = k->past; p != NULL && p->lsn > bound; p = p->next)
		own->size++;
	if ((own->v = calloc(own->size, sizeof(*own->v))) == NULL)
		return (NULL);
	if (k->n > 0)
		memcpy(own->v, k->v, k->n * sizeof(*k->v));
	own->n = k->n;
	for (p = k->past; p != NULL && p->lsn > bound; p = p->next)
		undo_past(own, p);
	return (own);
}

void
keyring_fini(struct keyring *k)
{

	forget_rest(k, NULL);
	keyring_trim(k, UINT64_MAX);
	store_credentials_free(k->v, k->n);
	memset(k, 0, sizeof(*k));
}

void
keyring_take(struct keyring *k, struct keyring *other)
{

	keyring_fini(k);
	*k = *other;
	memset(other, 0, sizeof(*other));
}

bool
keyring_reserve(struct keyring *k)
{
	struct credential *v;
	size_t size;

	if (k->n < k->size)
		return (true);
	size = k->size == 0 ? 4 : k->size * 2;
	/* No realloc: it would leave secrets behind. */
	if ((v = calloc(size, sizeof(*v))) == NULL)
		return (false);
	if (k->n > 0)
		memcpy(v, k->v, k->n * sizeof(*v));
	store_credentials_free(k->v, k->n);
	k->v = v;
	k->size = size;
	return (true);
}

const struct credential *
keyring_find(const struct keyring *k, const char *id)
{
	size_t i;

	for (i = 0; i < k->n; i++)
		if (strcmp(k->v[i].id, id) == 0)
			return (&k->v[i]);
	return (NULL);
}

bool
keyring_add_all(struct keyring *k, const struct credential *v, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (!keyring_reserve(k))
			return (false);
		keyring_add(k, &v[i]);
	}
	return (true);
}

bool
keyring_remove(struct keyring *k, const char *id)
{
	const struct credential *c;
	size_t i;

	if ((c = keyring_find(k, id)) == NULL)
		return (false);
	forget_rest(k, id);
	i = (size_t)(c - k->v);
	k->n--;
	memmove(&k->v[i], &k->v[i + 1], (k->n - i) * sizeof(*k->v));
	OPENSSL_cleanse(&k->v[k->n], sizeof(*k->v));
	return (true);
}

void
keyring_add(struct keyring *k, const struct credential *c)
{

	(void)keyring_remove(k, c->id);
	k->v[k->n++] = *c;
}

const struct credential *
keyring_match(const struct keyring *k, const unsigned char hash[KEY_HASH_SIZE])
{
	const struct credential *found = NULL;
	size_t i;

	/* Look at all of them: the time taken tells nothing of a near miss. */
	for (i = 0; i < k->n; i++)
		if (CRYPTO_memcmp(k->v[i].hash, hash, KEY_HASH_SIZE) == 0)
			found = &k->v[i];
	return (found);
}

bool
keyring_copy(const struct keyring *k, struct credential **v_r, size_t *n_r)
{

	*v_r = NULL;
	*n_r = 0;
	if (k->n == 0)
		return (true);
	if ((*v_r = calloc(k->n, sizeof(**v_r))) == NULL)
		return (false);
	memcpy(*v_r, k->v, k->n * sizeof(**v_r));
	*n_r = k->n;
	return (true);
}

static void
encode_hex(struct buf *b, const char *name, const unsigned char *p, size_t len)
{
	char hex[2 * KEY_SECRET_MAX + 1];

	hex_encode(hex, p, len);
	buf_addf(b, ",\"%s\":\"%s\"", name, hex);
	explicit_bzero(hex, sizeof(hex));
}

/* All but the closing brace. */
static void
encode_open(const struct credential *c, struct buf *b)
{

	buf_addf(b, "{\"id\":\"%s\",\"label\":", c->id);
	buf_jsons(b, c->label);
	buf_addf(b, ",\"created_at\":%" PRId64, c->created_at);
	if (c->secret_len > 0)
		encode_hex(b, "secret", c->secret, c->secret_len);
	else
		encode_hex(b, "sha256", c->hash, sizeof(c->hash));
}

void
key_encode(const struct credential *c, struct buf *b)
{

	encode_open(c, b);
	buf_addc(b, '}');
}

void
keyring_encode(const struct keyring *k, size_t i, struct buf *b)
{
	const struct key_rest *r;

	encode_open(&k->v[i], b);
	for (r = k->rests; r != NULL; r = r->next)
		if (strcmp(r->id, k->v[i].id) == 0)
			buf_add(b, r->text.p, r->text.len);
	buf_addc(b, '}');
}

bool
keyring_keep(struct keyring *k, const char *id, const struct buf *rest)
{
	struct key_rest *r;

	forget_rest(k, id);
	if (rest->len == 0)
		return (buf_ok(rest));
	if (!buf_ok(rest) || (r = calloc(1, sizeof(*r))) == NULL)
		return (false);
	if ((r->text = text_new(rest->data, rest->len)).p == NULL) {
		free(r);
		return (false);
	}
	strlcpy(r->id, id, sizeof(r->id));
	r->next = k->rests;
	k->rests = r;
	return (true);
}

/* The string's hex digits into at most max bytes; their number, 0 if bad. */
static size_t
decode_hex(struct span value, unsigned char *p, size_t max)
{
	size_t n;

	if (value.len < 2 || value.len % 2 != 0 || value.p[0] != '"')
		return (0);
	n = (value.len - 2) / 2;
	return (n <= max && hex_decode(value.p + 1, p, n) ? n : 0);
}

bool
key_decode(struct span object, struct credential *c, struct buf *rest)
{
	enum { ID, LABEL, CREATED_AT, SHA256, SECRET, N };
	struct member v[N] = { { .name = "id" }, { .name = "label" },
	    { .name = "created_at" }, { .name = "sha256" },
	    { .name = "secret" } };

	memset(c, 0, sizeof(*c));
	member_split(object, v, N, rest);
	/* The id is written without escapes. */
	if (!jsonscan_cstring(v[ID].value, c->id, sizeof(c->id)) ||
	    !id_is_valid(c->id, strlen(c->id)) ||
	    !jsonscan_cstring(v[LABEL].value, c->label, sizeof(c->label)) ||
	    !jsonscan_i64(v[CREATED_AT].value, &c->created_at))
		return (false);
	if (v[SHA256].value.p != NULL)
		return (decode_hex(v[SHA256].value, c->hash,
		    sizeof(c->hash)) == sizeof(c->hash));
	c->secret_len = decode_hex(v[SECRET].value, c->secret,
	    sizeof(c->secret));
	return (c->secret_len > 0);
}

bool
store_credentials_read(struct span keys, const char *name,
    struct credential **v_r, size_t *n_r)
{
	struct keyring ring = { .n = 0 };
	struct jsonscan it;
	struct span array, key, val;
	struct credential c;
	bool ok;

	*v_r = NULL;
	*n_r = 0;
	ok = jsonscan_get(keys, name, &array) && array.p[0] == '[';
	if (ok)
		jsonscan_begin(&it, array);
	while (ok && jsonscan_next(&it, &key, &val)) {
		ok = key_decode(val, &c, NULL) && keyring_reserve(&ring);
		if (ok)
			keyring_add(&ring, &c);
	}
	explicit_bzero(&c, sizeof(c));
	ok = ok && keyring_copy(&ring, v_r, n_r);
	keyring_fini(&ring);
	return (ok);
}
