#include <errno.h>

#include "log.h"
#include "readonly.h"
#include "strict.h"

static void
on_problem(const struct store_problem *p, void *arg)
{
	size_t *damaged = arg;

	if (!p->is_damage)
		return;
	log_errx("%s: %s; lost with it: %s", p->file, p->what, p->lost);
	(*damaged)++;
}

/* It is there: that is all. */
static int
visit(const char *tenant, const struct conversation_view *view,
    struct item *const *items, size_t n, void *arg)
{

	(void)tenant;
	(void)view;
	(void)items;
	(void)n;
	(void)arg;
	return (0);
}

int
strict_check(const struct store_options *options)
{
	struct store_options o = *options;
	struct store *s;
	size_t damaged = 0;
	int rc, error;

	o.read_only = true;
	o.strict_recovery = true;
	o.on_problem = on_problem;
	o.problem_arg = &damaged;
	if (readonly_open(&o, &s) == -1)
		return (-1);
	rc = store_each(s, NULL, visit, NULL);
	error = errno;
	(void)store_close(s);
	errno = error;
	if (damaged == 0)
		return (rc);
	log_errx("%s is not opened and was not changed: strict_recovery is on "
	    "and there is damage (%zu); with strict_recovery = \"off\" it is "
	    "set aside and the rest is served", o.dir, damaged);
	errno = EBADMSG;
	return (-1);
}
