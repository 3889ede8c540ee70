#include <bsd/err.h>

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/log.h"
#include "store/store.h"

#include "conf.h"
#include "ctl.h"
#include "progress.h"

struct check {
	const char	*dir;
	bool		 is_json;
	struct progress	*progress;
	uint64_t	 documents;	/* read */
	uint64_t	 conversations;	/* live */
	uint64_t	 items;
	uint64_t	 bytes;		/* of their JSON */
	uint64_t	 damaged;	/* problems that are damage */
	uint64_t	 odd;		/* others */
	json_t		*problems;	/* with is_json */
};

/* --- what is found ------------------------------------------------------ */

static void
on_problem(const struct store_problem *p, void *arg)
{
	struct check *c = arg;

	if (p->is_damage)
		c->damaged++;
	else
		c->odd++;
	if (c->is_json) {
		json_array_append_new(c->problems, json_pack(
		    "{s:s, s:s, s:s, s:b}", "file", p->file, "what", p->what,
		    "lost", p->lost, "is_damage", p->is_damage));
		return;
	}
	progress_hide(c->progress);
	if (p->is_damage)
		printf("%s: %s; lost: %s\n", p->file, p->what, p->lost);
	else
		printf("%s: %s\n", p->file, p->what);
}

static void
on_document(void *arg)
{
	struct check *c = arg;

	progress_at(c->progress, ++c->documents);
}

static int
on_conversation(const char *tenant, const struct conversation_view *view,
    struct item *const *items, size_t n, void *arg)
{
	struct check *c = arg;

	(void)tenant;
	(void)items;
	c->conversations++;
	c->items += n;
	c->bytes += view->bytes;
	return (0);
}

/* --- how much there is -------------------------------------------------- */

/* The names in the folder that do not begin with a dot; 0 if it is none. */
static uint64_t
count_names(const char *path)
{
	const struct dirent *e;
	uint64_t n = 0;
	DIR *d;

	if ((d = opendir(path)) == NULL)
		return (0);
	while ((e = readdir(d)) != NULL)
		if (e->d_name[0] != '.')
			n++;
	(void)closedir(d);
	return (n);
}

/* How many documents are to be read, by and large. */
static uint64_t
count_documents(const char *dir)
{
	const struct dirent *e;
	uint64_t n = 0;
	char path[4096];
	DIR *d;

	(void)snprintf(path, sizeof(path), "%s/tenants", dir);
	if ((d = opendir(path)) == NULL)
		return (0);
	while ((e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		(void)snprintf(path, sizeof(path),
		    "%s/tenants/%s/conversations", dir, e->d_name);
		n += count_names(path);
		(void)snprintf(path, sizeof(path), "%s/tenants/%s/once", dir,
		    e->d_name);
		n += count_names(path) + 1;
	}
	(void)closedir(d);
	return (n);
}

/* --- what is said ------------------------------------------------------- */

/* The summary, in JSON with all problems.  The exit status. */
static int
summarize(struct check *c, const struct store_stats *st)
{
	const char *name;
	json_t *all, *value;

	all = json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}",
	    "store_id", st->store_id,
	    "tenants", (json_int_t)st->tenants,
	    "conversations", (json_int_t)c->conversations,
	    "items", (json_int_t)c->items,
	    "bytes", (json_int_t)c->bytes,
	    "segment_files", (json_int_t)st->segments,
	    "quarantined", (json_int_t)st->quarantined,
	    "damaged", (json_int_t)c->damaged,
	    "odd", (json_int_t)c->odd);
	if (c->is_json) {
		json_object_set(all, "problems", c->problems);
		json_dumpf(all, stdout, JSON_INDENT(2));
		putchar('\n');
	} else
		json_object_foreach(all, name, value) {
			if (json_is_string(value))
				printf("%-20s %s\n", name,
				    json_string_value(value));
			else
				printf("%-20s %" JSON_INTEGER_FORMAT "\n",
				    name, json_integer_value(value));
		}
	json_decref(all);
	if (all == NULL || fflush(stdout) == EOF || ferror(stdout)) {
		warn("check");
		return (EXIT_FAILURE);
	}
	return (c->damaged > 0 ? EXIT_FAILURE : EXIT_SUCCESS);
}

/* Read all there is.  Returns 0, or -1 after saying why. */
static int
check(struct check *c, struct store_stats *st)
{
	const struct store_options options = {
		.dir = c->dir,
		.read_only = true,
		.on_problem = on_problem,
		.on_document = on_document,
		.problem_arg = c,
	};
	struct store *s;
	pid_t holder;
	int rc;

	if (store_open(&options, &s, &holder) == -1) {
		progress_hide(c->progress);
		warnx("%s cannot be opened", c->dir);
		return (-1);
	}
	store_stats(s, st);
	if ((rc = store_each(s, NULL, on_conversation, c)) == -1) {
		progress_hide(c->progress);
		warn("%s", c->dir);
	}
	(void)store_close(s);
	return (rc);
}

int
ctl_check(const struct ctl_args *args, const struct conf *conf)
{
	struct check c = {
		.dir = conf != NULL ? conf->store : args->words[0],
		.is_json = args->is_json,
	};
	struct store_stats st;
	int rc;

	log_set_level(LOG_LEVEL_WARN);
	if (c.is_json && (c.problems = json_array()) == NULL)
		errx(EXIT_FAILURE, "out of memory");
	c.progress = progress_new("checking", count_documents(c.dir));
	rc = check(&c, &st);
	progress_end(c.progress);
	rc = rc == 0 ? summarize(&c, &st) : EXIT_FAILURE;
	json_decref(c.problems);
	return (rc);
}
