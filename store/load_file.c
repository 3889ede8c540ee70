#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load_file.h"
#include "log.h"
#include "quarantine.h"
#include "readonly.h"
#include "store_internal.h"
#include "sys.h"

/* Read it whole into *data_r (new).  Returns 0, or an errno. */
static int
read_file(const struct load_file *f, char **data_r, size_t *len_r)
{
	int tries = 2;

	while (tries-- > 0) {
		if (sys_readfile(f->fd, f->name, DOCUMENT_MAX, data_r,
		    len_r) == 0)
			return (0);
		/* Once more: a disk may say so of a sector and mend it. */
		if (errno != EIO)
			break;
	}
	return (errno);
}

/* Can it never be read, as far as anybody knows? */
static bool
is_damage(int error)
{

	return (error == EIO || error == EFBIG || sys_is_no_file(error));
}

/* It may not be read, but somebody can see to it that it may. */
static bool
is_refused(int error)
{

	return (error == EACCES || error == EPERM);
}

static void
explain(int error, char why[DOCUMENT_WHY])
{

	(void)snprintf(why, DOCUMENT_WHY, "it cannot be read: %s",
	    error == EINVAL ? "It is no file" :
	    error == ELOOP ? "It is a symbolic link" : strerror(error));
}

/* Not now; errno is error. */
static enum store_err
not_now(const struct load_file *f, int error)
{

	errno = error;
	if (error == ENOENT || readonly_passes_label(f->store, f->label))
		return (STORE_NOENT);
	if (log_begins(f->told, error))
		log_warn("read %s", f->label);
	return (error == ENOMEM ? STORE_NOMEM : STORE_SICK);
}

/* Out of the way with it, unless it stays. */
static enum store_err
put_aside(struct load_file *f, const char *why)
{

	if (f->is_held)
		problem_note_label(f->store, LOG_LEVEL_ERROR, f->label, why);
	else if (quarantine_move(f->store, f->fd, f->name, f->label,
	    why) == -1)
		f->is_held = true;
	return (STORE_DAMAGED);
}

enum store_err
load_file(struct load_file *f, enum document_state (*take)(void *,
    const char *, size_t, char[DOCUMENT_WHY]), void *arg)
{
	enum document_state state;
	char why[DOCUMENT_WHY] = "";
	char *data;
	size_t len;
	int error;

	f->is_held = f->is_newer = false;
	if ((error = read_file(f, &data, &len)) != 0) {
		if (!is_damage(error) && !is_refused(error))
			return (not_now(f, error));
		f->is_held = is_refused(error);
		explain(error, why);
		return (put_aside(f, why));
	}
	state = take(arg, data, len, why);
	explicit_bzero(data, len);
	free(data);
	if (f->store->o.on_document != NULL)
		f->store->o.on_document(f->store->o.problem_arg);
	switch (state) {
	case DOCUMENT_OK:
		if (why[0] != '\0')
			problem_note_label(f->store, LOG_LEVEL_WARN, f->label,
			    why);
		return (STORE_OK);
	case DOCUMENT_NOMEM:
		return (STORE_NOMEM);
	case DOCUMENT_NEWER:
		f->is_held = f->is_newer = true;
		break;
	case DOCUMENT_BAD:
		break;
	}
	return (put_aside(f, why));
}
