#include <bsd/string.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "document.h"
#include "problem.h"
#include "quarantine.h"
#include "segment.h"
#include "store_internal.h"

#define JOURNAL		"journal"
#define TENANTS		"tenants/"

struct problem {
	RB_ENTRY(problem) node;
	enum log_level	 level;
	char		*file;
	char		*what;
	char		*lost;		/* or NULL */
	char		*tenant;	/* or NULL */
	char		*conversation;	/* or NULL */
};

/* What is lost is no part of it: a reading in motion may see other numbers. */
static int
problem_cmp(const struct problem *a, const struct problem *b)
{
	int rc = strcmp(a->file, b->file);

	return (rc != 0 ? rc : strcmp(a->what, b->what));
}

RB_GENERATE(problem_tree, problem, node, problem_cmp)

static void
problem_free(struct problem *p)
{

	if (p == NULL)
		return;
	free(p->file);
	free(p->what);
	free(p->lost);
	free(p->tenant);
	free(p->conversation);
	free(p);
}

static void
tree_fini(struct problem_tree *tree)
{
	struct problem *p;

	while ((p = RB_ROOT(tree)) != NULL) {
		RB_REMOVE(problem_tree, tree, p);
		problem_free(p);
	}
}

void
problems_init(struct problems *ps)
{

	RB_INIT(&ps->tree);
	RB_INIT(&ps->seen);
	ps->is_short = false;
}

void
problems_fini(struct problems *ps)
{

	tree_fini(&ps->tree);
	tree_fini(&ps->seen);
}

/* --- noting ------------------------------------------------------------- */

/* A name on the disk can be any bytes; what is told of it is plain text. */
static char *
plain(const char *s)
{
	char *copy, *p;

	if ((copy = strdup(s)) != NULL)
		for (p = copy; *p != '\0'; p++)
			if (*p < ' ' || *p > '~')
				*p = '?';
	return (copy);
}

static struct problem *
problem_new(enum log_level level, const char *file, const char *lost,
    const char *what)
{
	struct problem *p;

	if ((p = calloc(1, sizeof(*p))) == NULL)
		return (NULL);
	p->level = level;
	p->file = plain(file);
	p->what = plain(what);
	p->lost = lost == NULL ? NULL : plain(lost);
	if (p->file != NULL && p->what != NULL &&
	    (lost == NULL || p->lost != NULL))
		return (p);
	problem_free(p);
	return (NULL);
}

static void
log_problem(enum log_level level, const char *file, const char *what)
{

	switch (level) {
	case LOG_LEVEL_ERROR:
		log_errx("%s: %s", file, what);
		break;
	case LOG_LEVEL_WARN:
		log_warnx("%s: %s", file, what);
		break;
	default:
		log_info("%s: %s", file, what);
	}
}

/* Note p, or that there was no memory for it.  Steals it. */
static void
add_problem(struct store *s, struct problem *p)
{

	if (p == NULL)
		s->problems.is_short = true;
	else if (RB_INSERT(problem_tree, &s->problems.tree, p) != NULL)
		problem_free(p);
}

/* Say whose it is.  p, or NULL without memory: then it was freed. */
static struct problem *
problem_of(struct problem *p, const char *tenant, const char *conversation)
{

	if (p == NULL)
		return (NULL);
	p->tenant = strdup(tenant);
	p->conversation = conversation == NULL ? NULL : strdup(conversation);
	if (p->tenant != NULL &&
	    (conversation == NULL || p->conversation != NULL))
		return (p);
	problem_free(p);
	return (NULL);
}

/* Log it, or add it to what was found: whose it is (tenant NULL: unknown). */
static void
note(struct store *s, enum log_level level, const char *file,
    const char *tenant, const char *conversation, const char *lost,
    const char *what)
{
	struct problem *p;

	if (!s->o.read_only) {
		log_problem(level, file, what);
		return;
	}
	p = problem_new(level, file, lost, what);
	add_problem(s, tenant == NULL ? p :
	    problem_of(p, tenant, conversation));
}

void
problem_note(struct store *s, enum log_level level, const char *file,
    const char *lost, const char *fmt, ...)
{
	char what[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	note(s, level, file, NULL, NULL, lost, what);
}

void
problem_note_of(struct store *s, enum log_level level, const char *tenant,
    const char *conversation, const char *lost, const char *fmt, ...)
{
	char what[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	note(s, level, JOURNAL, tenant, conversation, lost, what);
}

/* Where the file that label means stands, and what goes with it. */
static void
read_label(const char *label, char file[QUARANTINE_LABEL + 32],
    char lost[QUARANTINE_LABEL + 64])
{
	const size_t fsize = QUARANTINE_LABEL + 32;
	const size_t lsize = QUARANTINE_LABEL + 64;
	const char *rest = label + strcspn(label, ".");
	int len = (int)(rest - label);
	uint64_t first;
	char id[ID_SIZE];

	if (segment_parse(label, &first)) {
		(void)snprintf(file, fsize, JOURNAL "/%s", label);
		strlcpy(lost, "changes in it that stand in no document",
		    lsize);
	} else if (strncmp(rest, ".once.", 6) == 0) {
		(void)snprintf(file, fsize, "tenants/%.*s/once/%s", len, label,
		    rest + 6);
		(void)snprintf(lost, lsize, "that tenant %.*s made requests "
		    "of that hour: a retry is taken as new", len, label);
	} else if (strncmp(rest, ".conversations.", 15) == 0) {
		rest += 15;
		(void)snprintf(file, fsize, "tenants/%.*s/conversations/%s",
		    len, label, rest);
		(void)snprintf(lost, lsize, "conversation %s of tenant %.*s",
		    document_id(rest, id) ? id : rest, len, label);
	} else {
		(void)snprintf(file, fsize, "tenants/%.*s/tenant.json", len,
		    label);
		(void)snprintf(lost, lsize, "the keys of tenant %.*s", len,
		    label);
	}
}

void
problem_note_label(struct store *s, enum log_level level, const char *label,
    const char *what)
{
	char file[QUARANTINE_LABEL + 32], lost[QUARANTINE_LABEL + 64];

	read_label(label, file, lost);
	problem_note(s, level, file, level == LOG_LEVEL_ERROR ? lost : NULL,
	    "%s", what);
}

/* --- reading again ------------------------------------------------------ */

void
problems_again(struct problems *from, struct problems *to)
{

	to->seen = from->tree;
	RB_INIT(&from->tree);
}

/* Damage of the journal that no earlier reading met? */
static bool
is_unseen(struct problems *ps, struct problem *p)
{

	return (p->level == LOG_LEVEL_ERROR &&
	    strncmp(p->file, JOURNAL, strlen(JOURNAL)) == 0 &&
	    RB_FIND(problem_tree, &ps->seen, p) == NULL);
}

size_t
problems_unseen(struct problems *ps)
{
	struct problem *p;
	size_t n = 0;

	RB_FOREACH(p, problem_tree, &ps->tree)
		if (is_unseen(ps, p))
			n++;
	return (n);
}

void
problems_excuse(struct problems *ps)
{
	struct problem *p, *next;

	RB_FOREACH_SAFE(p, problem_tree, &ps->tree, next)
		if (is_unseen(ps, p)) {
			RB_REMOVE(problem_tree, &ps->tree, p);
			problem_free(p);
		}
}

/* --- telling ------------------------------------------------------------ */

/* Does the journal hold the tenant, or its conversation of that file, whole? */
static bool
is_replayed(struct tenant *t, const char *file)
{
	const struct conversation *c;
	char id[ID_SIZE];
	bool yes;

	lock_take(&t->lck);
	if (strcmp(file, "tenant.json") == 0)
		yes = t->exists && !t->is_damaged;
	else
		yes = strncmp(file, "conversations/", 14) == 0 &&
		    document_id(file + 14, id) &&
		    (c = tenant_find(t, id)) != NULL && !c->is_damaged;
	lock_give(&t->lck);
	return (yes);
}

/* Is it a document that the journal makes good? */
static bool
is_rebuilt(struct store *s, const char *file)
{
	const char *name = file + sizeof(TENANTS) - 1;
	size_t len;
	struct tenant *t;

	if (strncmp(file, TENANTS, sizeof(TENANTS) - 1) != 0)
		return (false);
	len = strcspn(name, "/");
	t = store_find(s, name, len);
	return (t != NULL && name[len] == '/' &&
	    is_replayed(t, name + len + 1));
}

int
problem_tell(struct store *s)
{
	struct store_problem told;
	struct problem *p;

	lock_assert_none();
	while ((p = RB_MIN(problem_tree, &s->problems.tree)) != NULL) {
		RB_REMOVE(problem_tree, &s->problems.tree, p);
		told.file = p->file;
		told.what = p->what;
		told.lost = p->lost == NULL ? "nothing" : p->lost;
		told.tenant = p->tenant;
		told.conversation = p->conversation;
		told.is_damage = p->level == LOG_LEVEL_ERROR;
		if (is_rebuilt(s, p->file))
			told.lost = "nothing: the journal holds all of it";
		if (s->o.on_problem != NULL)
			s->o.on_problem(&told, s->o.problem_arg);
		problem_free(p);
	}
	if (!s->problems.is_short)
		return (0);
	errno = ENOMEM;
	return (-1);
}
