#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/documented.h"

struct store store;
struct tenant *tenant;
char why[DOCUMENT_WHY];

int
setup(void **state)
{

	(void)state;
	tenant = tenant_new(&store, "acme", TENANT_LOADED);
	return (tenant == NULL ? -1 : 0);
}

int
teardown(void **state)
{

	(void)state;
	tenant_free(tenant);
	return (0);
}

enum document_state
read_copy(const char *id, const char *p, size_t len, struct conversation **c)
{
	enum document_state state;
	char *copy = malloc(len + 1);

	assert_non_null(copy);
	memcpy(copy, p, len);
	copy[len] = '\0';
	*c = NULL;
	state = document_read_conversation(tenant, id, copy, len, c, why);
	if (state != DOCUMENT_OK) {
		assert_null(*c);
		assert_true(why[0] != '\0');
	}
	free(copy);
	return (state);
}

struct buf
written(struct conversation *c)
{
	struct buf b = BUF_INITIALIZER;

	lock_take(&c->lck);
	document_conversation(c, STORE, &b);
	lock_give(&c->lck);
	assert_true(buf_ok(&b));
	return (b);
}
