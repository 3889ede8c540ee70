#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "atomicfile.h"
#include "document.h"
#include "load_file.h"
#include "load_internal.h"
#include "log.h"
#include "store_internal.h"

static int
cmp_name(const void *a, const void *b)
{

	return (strcmp(*(char *const *)a, *(char *const *)b));
}

struct names {
	struct load	 *load;
	char		**v;
	size_t		  n;
};

static int
visit_name(const char *name, void *arg)
{
	struct names *l = arg;
	char **v;

	if (atomicfile_is_temporary(name))
		load_unlink_temporary(l->load->tenant->store, l->load->fd,
		    name);
	else if (!document_is_once(name))
		load_stray(l->load, "/once", name);
	if (!document_is_once(name))
		return (0);
	if ((v = reallocarray(l->v, l->n + 1, sizeof(*v))) == NULL)
		return (1);
	l->v = v;
	if ((l->v[l->n] = strdup(name)) == NULL)
		return (1);
	l->n++;
	return (0);
}

/* Its tenant's lock is taken for the table. */
static enum document_state
take_once(void *arg, const char *data, size_t len, char why[DOCUMENT_WHY])
{
	struct tenant *t = arg;
	enum document_state state;

	lock_take(&t->lck);
	state = document_read_once(t, data, len, why);
	lock_give(&t->lck);
	return (state);
}

/*
 * One file of once/.  If it has to stay where it is the tenant waits for it:
 * it would be written over, and what it holds be done twice.
 */
static enum store_err
load_once_file(struct load *l, const char *name)
{
	struct tenant *t = l->tenant;
	char label[QUARANTINE_LABEL];
	struct load_file f = { t->store, l->fd, name, label, &t->told,
		0, 0 };
	enum store_err err;

	(void)snprintf(label, sizeof(label), "%s.once.%s", t->name, name);
	err = load_file(&f, take_once, t);
	if (err == STORE_DAMAGED && f.is_held)
		return (load_tenant_damaged(t, &f));
	if (err == STORE_NOENT && !t->store->o.read_only)
		return (STORE_SICK);
	return (err == STORE_NOMEM || err == STORE_SICK ? err : STORE_OK);
}

enum store_err
load_once(struct load *l)
{
	struct names names = { l, NULL, 0 };
	enum store_err err = STORE_OK;
	size_t i;

	switch (load_each_name(l, "once", visit_name, &names)) {
	case 0:
		break;
	case 1:
		err = STORE_NOMEM;
		break;
	default:
		if (log_begins(&l->tenant->told, errno))
			log_warn("tenant %s: list once", l->tenant->name);
		err = STORE_SICK;
	}
	if (names.n > 0)
		qsort(names.v, names.n, sizeof(*names.v), cmp_name);
	for (i = 0; i < names.n; i++) {
		if (err == STORE_OK)
			err = load_once_file(l, names.v[i]);
		free(names.v[i]);
	}
	free(names.v);
	return (err);
}
