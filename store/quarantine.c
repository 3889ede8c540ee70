#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "atomicfile.h"
#include "log.h"
#include "quarantine.h"
#include "readonly.h"
#include "store_internal.h"
#include "stray.h"
#include "sys.h"

#define WHY		".why"
#define WHY_MAX		4096
#define RELEASED	".deleted"
/* A label, a dot, a time and WHY. */
#define NAME_SIZE	(QUARANTINE_LABEL + 32)
/* A segment with its batches; larger ones are not copied. */
#define COPY_MAX	((size_t)1 << 30)

/* LABEL.TIME, so that no other file has the name. */
static void
free_name(struct store *s, const char *label, char *name)
{
	struct stat st;
	int64_t at = sys_now_ms();

	do
		(void)snprintf(name, NAME_SIZE, "%s.%" PRId64, label, at++);
	while (sys->fstatat(s->quarantinefd, name, &st,
	    AT_SYMLINK_NOFOLLOW) == 0);
}

/* Say why beside it, and in the log. */
static void
explain(struct store *s, const char *label, const char *name, const char *why)
{
	struct buf b = BUF_INITIALIZER;
	char whyname[NAME_SIZE + sizeof(WHY)];

	log_errx("%s is set aside as quarantine/%s: %s", label, name, why);
	(void)snprintf(whyname, sizeof(whyname), "%s" WHY, name);
	buf_addf(&b, "%s: %s\n", label, why);
	if (!buf_ok(&b) || atomicfile_write(s->quarantinefd, whyname, b.data,
	    b.len) == -1)
		log_warn("quarantine/%s", whyname);
	buf_fini(&b);
}

int
quarantine_move(struct store *s, int dirfd, const char *name,
    const char *label, const char *why)
{
	char aside[NAME_SIZE];

	if (s->o.read_only) {
		/* Whatever lies there, this one is another. */
		problem_note_label(s, LOG_LEVEL_ERROR, label, why);
		return (0);
	}
	free_name(s, label, aside);
	if (sys->renameat(dirfd, name, s->quarantinefd, aside) == -1) {
		log_warn("%s (%s) cannot be set aside", label, why);
		return (-1);
	}
	atomic_fetch_add(&s->nquarantined, 1);
	explain(s, label, aside, why);
	if (atomicfile_sync(s->quarantinefd) == -1 ||
	    atomicfile_sync(dirfd) == -1)
		log_warn("quarantine/%s", aside);
	return (0);
}

static void
put(struct store *s, const char *aside, const void *p, size_t len)
{

	if (atomicfile_write(s->quarantinefd, aside, p, len) == -1)
		log_warn("quarantine/%s", aside);
	else
		atomic_fetch_add(&s->nquarantined, 1);
}

void
quarantine_bytes(struct store *s, const char *label, const void *p,
    size_t len, const char *why)
{
	char aside[NAME_SIZE];

	free_name(s, label, aside);
	explain(s, label, aside, why);
	put(s, aside, p, len);
}

/* Where the file system knows no links. */
static void
copy(struct store *s, int dirfd, const char *name, const char *label,
    const char *aside)
{
	char *p;
	size_t len, lost;

	if (sys_readparts(dirfd, name, COPY_MAX, &p, &len, &lost) == -1) {
		log_warn("quarantine: copy %s", label);
		return;
	}
	put(s, aside, p, len);
	free(p);
}

void
quarantine_link(struct store *s, int dirfd, const char *name,
    const char *label, const char *why)
{
	char aside[NAME_SIZE];

	if (s->o.read_only) {
		/* The journal keeps it, so that it is met again. */
		if (!s->o.strict_recovery || quarantine_has(s, label) != 1)
			problem_note_label(s, LOG_LEVEL_ERROR, label, why);
		return;
	}
	if (quarantine_has(s, label) == 1)
		return;
	free_name(s, label, aside);
	explain(s, label, aside, why);
	if (sys->linkat(dirfd, name, s->quarantinefd, aside, 0) == -1)
		copy(s, dirfd, name, label, aside);
	else {
		atomic_fetch_add(&s->nquarantined, 1);
		if (atomicfile_sync(s->quarantinefd) == -1)
			log_warn("quarantine/%s", aside);
	}
}

/* The label of a file here; false for what is none of ours. */
static bool
label_of(const char *name, char label[QUARANTINE_LABEL])
{
	const char *dot = strrchr(name, '.');

	if (atomicfile_is_temporary(name) || dot == NULL || dot == name ||
	    dot[1] == '\0' || strspn(dot + 1, "0123456789") != strlen(dot + 1))
		return (false);
	if ((size_t)(dot - name) >= QUARANTINE_LABEL)
		return (false);
	memcpy(label, name, (size_t)(dot - name));
	label[dot - name] = '\0';
	return (true);
}

struct walk {
	struct store	*store;
	int		 (*visit)(const char *, void *);
	void		*arg;
	const char	*label;		/* the one looked for */
};

static int
visit_name(const char *name, void *arg)
{
	const struct walk *w = arg;
	char label[QUARANTINE_LABEL];

	return (label_of(name, label) ? w->visit(label, w->arg) : 0);
}

int
quarantine_each(struct store *s, int (*visit)(const char *, void *), void *arg)
{
	struct walk w = { s, visit, arg, NULL };

	return (readonly_each(s, s->quarantinefd, visit_name, &w));
}

/* Does it say why, or was what it names deleted? */
static bool
is_beside(const char *name)
{
	static const char *const ends[] = { WHY, RELEASED };
	char label[QUARANTINE_LABEL], of[NAME_SIZE];
	size_t i, len = strlen(name), end;

	for (i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		end = strlen(ends[i]);
		if (len <= end || len - end >= sizeof(of) ||
		    strcmp(name + len - end, ends[i]) != 0)
			continue;
		memcpy(of, name, len - end);
		of[len - end] = '\0';
		return (label_of(of, label));
	}
	return (false);
}

static int
visit_tell(const char *name, void *arg)
{
	struct store *s = arg;
	char file[NAME_SIZE + 16], why[NAME_SIZE + sizeof(WHY)];
	char label[QUARANTINE_LABEL], *text = NULL;
	size_t len;

	if (!label_of(name, label)) {
		if (!is_beside(name))
			stray_note(s, "quarantine", name);
		return (0);
	}
	atomic_fetch_add(&s->nquarantined, 1);
	/* Of a store that is kept the log told that when it happened. */
	if (!s->o.read_only)
		return (0);
	(void)snprintf(file, sizeof(file), "quarantine/%s", name);
	(void)snprintf(why, sizeof(why), "%s" WHY, name);
	if (sys_readfile(s->quarantinefd, why, WHY_MAX, &text, &len) == 0)
		text[strcspn(text, "\n")] = '\0';
	problem_note(s, LOG_LEVEL_WARN, file, NULL, "set aside: %s",
	    text != NULL ? text : "nothing says why");
	free(text);
	return (0);
}

int
quarantine_tell(struct store *s)
{

	return (readonly_each(s, s->quarantinefd, visit_tell, s));
}

static int
visit_same(const char *label, void *arg)
{

	return (strcmp(label, arg) == 0);
}

int
quarantine_has(struct store *s, const char *label)
{

	return (quarantine_each(s, visit_same, (void *)(uintptr_t)label));
}

/* A hand may have put there what was never counted. */
static void
count_down(atomic_size_t *count)
{
	size_t n = atomic_load(count);

	while (n > 0 && !atomic_compare_exchange_weak(count, &n, n - 1))
		continue;
}

static int
visit_release(const char *name, void *arg)
{
	const struct walk *w = arg;
	char label[QUARANTINE_LABEL], to[NAME_SIZE + sizeof(RELEASED)];

	if (!label_of(name, label) || strcmp(label, w->label) != 0)
		return (0);
	(void)snprintf(to, sizeof(to), "%s" RELEASED, name);
	if (sys->renameat(w->store->quarantinefd, name,
	    w->store->quarantinefd, to) == -1)
		return (-1);
	count_down(&w->store->nquarantined);
	return (0);
}

int
quarantine_release(struct store *s, const char *label)
{
	struct walk w = { s, NULL, NULL, label };

	/* A name that came by while one was changed is met next time. */
	if (quarantine_has(s, label) == 0)
		return (0);
	if (sys_eachname(s->quarantinefd, visit_release, &w) != 0 ||
	    atomicfile_sync(s->quarantinefd) == -1) {
		log_warn("quarantine: release %s", label);
		return (-1);
	}
	return (0);
}
