#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "atomicfile.h"
#include "document_internal.h"
#include "identity.h"
#include "sys.h"

/* A file that is being sealed. */
struct sealing {
	const char	*name;
	const char	*folder;	/* the tenant whose it is, or NULL */
	char		*data;		/* its checksum blanked out */
	size_t		 len;
	char		 store[17];	/* what it says of itself */
	char		 tenant[TENANT_NAME_MAX + 1];
	struct buf	 out;
	char		*why;
};

static const char spaces[] = " \t\r\n";

/* Blank out from p up to end, but for newlines: lines keep their numbers. */
static void
blank(char *p, const char *end)
{

	for (; p < end; p++)
		if (*p != '\n')
			*p = ' ';
}

/*
 * Blank out the member "checksum" with the comma before it, or behind it if
 * it is the first.  What is no JSON is left for others to judge.
 */
static void
blank_checksum(struct sealing *s)
{
	struct jsonscan it;
	struct span key, val, before = { NULL, 0 };
	char *from, *to, *end = s->data + s->len;

	jsonscan_begin(&it, (struct span){ s->data, s->len });
	while (jsonscan_next(&it, &key, &val)) {
		if (!jsonscan_is(key, "checksum")) {
			before = val;
			continue;
		}
		to = s->data + (val.p + val.len - s->data);
		if (before.p != NULL)
			from = s->data + (before.p + before.len - s->data);
		else {
			from = s->data + (key.p - 1 - s->data);
			while (to < end && strchr(spaces, *to) != NULL)
				to++;
			if (to < end && *to == ',')
				to++;
		}
		blank(from, to);
		return;
	}
}

static enum document_state
seal_conversation(struct sealing *s, struct tenant *t)
{
	struct conversation *c;
	enum document_state state;
	char id[ID_SIZE];

	if (!document_id(s->name, id)) {
		(void)snprintf(s->why, DOCUMENT_WHY, "a conversation's file is "
		    "called by its id and .json");
		return (DOCUMENT_BAD);
	}
	state = document_read_conversation(t, id, s->data, s->len, &c, s->why);
	if (state != DOCUMENT_OK)
		return (state);
	lock_take(&c->lck);
	document_conversation(c, s->store, &s->out);
	lock_give(&c->lck);
	conversation_free(c);
	return (DOCUMENT_OK);
}

static enum document_state
seal_tenant(struct sealing *s, struct tenant *t)
{
	enum document_state state;

	state = document_read_tenant(t, s->data, s->len, s->why);
	if (state == DOCUMENT_OK)
		document_tenant(t, s->store, &s->out);
	return (state);
}

static enum document_state
seal_once(struct sealing *s, struct tenant *t)
{
	enum document_state state;

	state = document_read_once(t, s->data, s->len, s->why);
	if (state == DOCUMENT_OK)
		(void)document_once(t, s->store, INT64_MIN, INT64_MAX,
		    &s->out);
	return (state);
}

static enum document_state
seal_identity(struct sealing *s)
{
	enum document_state state;
	struct identity i;

	identity_init(&i);
	state = identity_read(&i, s->data, s->len, s->why);
	if (state == DOCUMENT_OK)
		identity_encode(&i, &s->out);
	identity_fini(&i);
	return (state);
}

static const struct {
	const char	*kind;
	enum document_state (*seal)(struct sealing *, struct tenant *);
} kinds[] = {
	{ "conversation", seal_conversation },
	{ "tenant", seal_tenant },
	{ "once", seal_once },
};

/* The document in its normal form, of the tenant that it says it is of. */
static enum document_state
seal_of_tenant(struct sealing *s, const char *kind)
{
	enum document_state state = DOCUMENT_BAD;
	struct tenant *t;
	size_t i;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(kind, kinds[i].kind) == 0)
			break;
	if (i == sizeof(kinds) / sizeof(kinds[0])) {
		(void)snprintf(s->why, DOCUMENT_WHY, "no document is of the "
		    "kind \"%s\"", kind);
		return (DOCUMENT_BAD);
	}
	if ((t = tenant_new(NULL, s->tenant, TENANT_OPEN)) == NULL)
		return (DOCUMENT_NOMEM);
	lock_take(&t->lck);
	state = kinds[i].seal(s, t);
	lock_give(&t->lck);
	tenant_free(t);
	return (state);
}

/* Whatever it is, in its normal form with its checksum. */
static enum document_state
seal(struct sealing *s)
{
	struct member v[M_COMMON] = { DOCUMENT_MEMBERS };
	enum document_state state;
	char kind[32];

	blank_checksum(s);
	member_split((struct span){ s->data, s->len }, v, M_COMMON, NULL);
	/* With neither, the reading of a document says what is wrong. */
	if (!jsonscan_cstring(v[M_KIND].value, kind, sizeof(kind)))
		(void)snprintf(kind, sizeof(kind), "conversation");
	if (strcmp(kind, "store") == 0)
		state = seal_identity(s);
	else {
		if (!jsonscan_cstring(v[M_TENANT].value, s->tenant,
		    sizeof(s->tenant)))
			s->tenant[0] = '\0';
		if (!jsonscan_cstring(v[M_STORE].value, s->store,
		    sizeof(s->store)) || !id_is_valid(s->store,
		    strlen(s->store)))
			s->store[0] = '\0';
		state = seal_of_tenant(s, kind);
		if (state == DOCUMENT_OK && (s->store[0] == '\0' ||
		    !id_is_tenant(s->tenant, strlen(s->tenant)))) {
			(void)snprintf(s->why, DOCUMENT_WHY, "\"%s\" is none",
			    s->store[0] == '\0' ? "store" : "tenant");
			state = DOCUMENT_BAD;
		}
		if (state == DOCUMENT_OK && s->folder != NULL &&
		    strcmp(s->tenant, s->folder) != 0) {
			(void)snprintf(s->why, DOCUMENT_WHY, "it says that it "
			    "is of tenant %s, but stands in the folder of %s",
			    s->tenant, s->folder);
			state = DOCUMENT_BAD;
		}
	}
	if (state == DOCUMENT_OK && !buf_ok(&s->out))
		state = DOCUMENT_NOMEM;
	if (state == DOCUMENT_NOMEM)
		(void)snprintf(s->why, DOCUMENT_WHY, "out of memory");
	return (state);
}

int
document_seal(int dirfd, const char *name, const char *tenant,
    char why[DOCUMENT_WHY])
{
	struct sealing s = { .name = name, .folder = tenant,
	    .out = BUF_INITIALIZER, .why = why };
	int rc = -1;

	if (sys_readfile(dirfd, name, DOCUMENT_MAX, &s.data, &s.len) == -1) {
		(void)snprintf(why, DOCUMENT_WHY, "%s", strerror(errno));
		return (-1);
	}
	if (seal(&s) == DOCUMENT_OK) {
		rc = atomicfile_write(dirfd, name, s.out.data, s.out.len);
		(void)snprintf(why, DOCUMENT_WHY, "%s", rc == 0 ? "" :
		    strerror(errno));
	}
	/* There may be keys in it. */
	explicit_bzero(s.data, s.len);
	free(s.data);
	if (s.out.data != NULL)
		explicit_bzero(s.out.data, s.out.size);
	buf_fini(&s.out);
	return (rc);
}
