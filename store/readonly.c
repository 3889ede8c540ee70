#include <bsd/string.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "identity.h"
#include "log.h"
#include "quarantine.h"
#include "readonly.h"
#include "recover.h"
#include "store_internal.h"
#include "sys.h"

/* Readings of the whole, and listings of a folder, while both change. */
#define READINGS	5
#define LISTINGS	5

/* --- folders ------------------------------------------------------------ */

struct names {
	char	**v;
	size_t	  n;
	size_t	  size;
};

static int
add_name(const char *name, void *arg)
{
	struct names *l = arg;
	char **v;
	size_t size;

	if (l->n == l->size) {
		size = l->size == 0 ? 64 : l->size * 2;
		if ((v = reallocarray(l->v, size, sizeof(*v))) == NULL)
			return (1);
		l->v = v;
		l->size = size;
	}
	if ((l->v[l->n] = strdup(name)) == NULL)
		return (1);
	l->n++;
	return (0);
}

static int
cmp_name(const void *a, const void *b)
{

	return (strcmp(*(char *const *)a, *(char *const *)b));
}

/* Put them in order and each there once. */
static void
sort_names(struct names *l)
{
	size_t i, n = 0;

	if (l->n > 0)
		qsort(l->v, l->n, sizeof(*l->v), cmp_name);
	for (i = 0; i < l->n; i++) {
		if (n > 0 && strcmp(l->v[n - 1], l->v[i]) == 0)
			free(l->v[i]);
		else
			l->v[n++] = l->v[i];
	}
	l->n = n;
}

/*
 * List the folder until that brings nothing new: on some file systems a name
 * that is renamed over meanwhile is passed over.
 */
static int
list_names(int fd, struct names *l)
{
	size_t before;
	int i, rc;

	for (i = 0; i < LISTINGS; i++) {
		before = l->n;
		if ((rc = sys_eachname(fd, add_name, l)) != 0) {
			if (rc == 1)
				errno = ENOMEM;
			return (-1);
		}
		sort_names(l);
		if (l->n == before)
			break;
	}
	return (0);
}

int
readonly_each(struct store *s, int fd, int (*visit)(const char *, void *),
    void *arg)
{
	struct names l = { NULL, 0, 0 };
	size_t i;
	int rc;

	if (!s->o.read_only)
		return (sys_eachname(fd, visit, arg));
	if (fd == -1)
		return (0);
	rc = list_names(fd, &l);
	for (i = 0; i < l.n; i++) {
		if (rc == 0)
			rc = visit(l.v[i], arg);
		free(l.v[i]);
	}
	free(l.v);
	return (rc);
}

/* Can it be read on without what could not be read?  Keeps errno. */
static bool
passes(struct store *s)
{

	if (errno == ENOENT)
		s->has_moved = true;
	return (s->o.read_only && errno != ENOMEM);
}

bool
readonly_passes(struct store *s, const char *file, const char *lost)
{
	int error = errno;

	if (!passes(s))
		return (false);
	if (error != ENOENT)
		problem_note(s, LOG_LEVEL_ERROR, file, lost,
		    "it cannot be read: %s", strerror(error));
	errno = error;
	return (true);
}

bool
readonly_passes_label(struct store *s, const char *label)
{
	char what[128];
	int error = errno;

	if (!passes(s))
		return (false);
	(void)snprintf(what, sizeof(what), "it cannot be read: %s",
	    strerror(error));
	if (error != ENOENT)
		problem_note_label(s, LOG_LEVEL_ERROR, label, what);
	errno = error;
	return (true);
}

/* --- opening ------------------------------------------------------------ */

static int
open_folder(struct store *s, const char *name, const char *lost, int *fd_r)
{

	*fd_r = sys->openat(s->dirfd, name,
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (*fd_r == -1 && errno == ENOENT && lost != NULL)
		problem_note(s, LOG_LEVEL_ERROR, name, lost,
		    "the folder is missing");
	else if (*fd_r == -1 && errno != ENOENT &&
	    !readonly_passes(s, name, lost))
		return (-1);
	return (0);
}

/* Its store.json is of no use, as why says: by its other files, then. */
static int
guess_identity(struct store *s, const char *why)
{

	switch (identity_guess(s->dirfd, s->id)) {
	case 1:
		problem_note(s, LOG_LEVEL_ERROR, IDENTITY_NAME, "no change, "
		    "but no daemon opens the store", "%s", why);
		return (0);
	case 0:
		log_errx("%s/" IDENTITY_NAME ": %s, and nothing else says "
		    "which store it is", s->o.dir, why);
		errno = EBADMSG;
		return (-1);
	default:
		log_err("%s/" IDENTITY_NAME ": %s", s->o.dir, why);
		return (-1);
	}
}

/* Find out which store this is. */
static int
identify(struct store *s)
{
	struct identity id;
	char why[DOCUMENT_WHY];
	int state, error;

	identity_init(&id);
	state = identity_load(s->dirfd, &id, why);
	error = state == DOCUMENT_NOMEM ? ENOMEM : errno;
	(void)strlcpy(s->id, id.id, sizeof(s->id));
	identity_fini(&id);
	if (state == DOCUMENT_OK && why[0] != '\0')
		problem_note(s, LOG_LEVEL_WARN, IDENTITY_NAME, NULL, "%s",
		    why);
	if (state == DOCUMENT_OK)
		return (0);
	if (state == DOCUMENT_BAD)
		return (guess_identity(s, why));
	if (state == DOCUMENT_NEWER) {
		log_errx("%s/" IDENTITY_NAME ": %s", s->o.dir, why);
		errno = EBADMSG;
		return (-1);
	}
	if (error == ENOMEM) {
		errno = error;
		log_err("%s/" IDENTITY_NAME, s->o.dir);
		return (-1);
	}
	(void)snprintf(why, sizeof(why), "it cannot be read: %s",
	    strerror(error));
	return (guess_identity(s, why));
}

/* One reading of all but the tenants that the journal does not speak of. */
static int
read_in(struct store *s)
{

	s->dirfd = sys->openat(AT_FDCWD, s->o.dir,
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (s->dirfd == -1) {
		log_err("open %s", s->o.dir);
		return (-1);
	}
	if (identify(s) == -1)
		return (-1);
	if (open_folder(s, "tenants", "every document", &s->tenantsfd) == -1 ||
	    open_folder(s, "journal", "every change that stands in no "
	    "document", &s->journalfd) == -1 ||
	    open_folder(s, "quarantine", NULL, &s->quarantinefd) == -1) {
		log_err("open the folders of %s", s->o.dir);
		return (-1);
	}
	if (quarantine_tell(s) == -1 &&
	    !readonly_passes(s, "quarantine", NULL)) {
		log_err("list quarantine");
		return (-1);
	}
	return (recover(s));
}

/*
 * Read it once, told what the reading before found; that one is freed.
 * Returns NULL with errno set.
 */
static struct store *
read_again(const struct store_options *o, struct store *before)
{
	struct store *s;
	int e;

	if ((s = store_new(o)) == NULL)
		log_err("store");
	if (before != NULL) {
		if (s != NULL)
			problems_again(&before->problems, &s->problems);
		store_free(before);
	}
	if (s != NULL && read_in(s) == -1) {
		e = errno;
		store_free(s);
		errno = e;
		s = NULL;
	}
	return (s);
}

int
readonly_open(const struct store_options *o, struct store **s_r)
{
	static const struct timespec pause = { 0, 5 * 1000 * 1000 };
	struct store *s = NULL;
	int i;

	for (i = 1; i <= READINGS; i++) {
		if ((s = read_again(o, s)) == NULL)
			return (-1);
		if (!s->has_moved && problems_unseen(&s->problems) == 0)
			break;
		(void)nanosleep(&pause, NULL);
	}
	problems_excuse(&s->problems);
	if (s->has_moved)
		problem_note(s, LOG_LEVEL_ERROR, "journal", "what they held, "
		    "in this reading alone", "segments went while they were "
		    "read: journal_keep is too short for it");
	if (problem_tell(s) == -1) {
		log_err("%s", s->o.dir);
		store_free(s);
		errno = ENOMEM;
		return (-1);
	}
	*s_r = s;
	return (0);
}
