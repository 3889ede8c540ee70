#include <bsd/err.h>

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/document.h"
#include "store/export.h"
#include "store/log.h"
#include "store/store.h"

#include "conf.h"
#include "ctl.h"

struct dump {
	const struct ctl_args *args;
	struct buf	 line;
	uint64_t	 conversations;
	uint64_t	 items;
	bool		 is_found;	/* the conversation asked for */
	bool		 has_damage;
};

/* Does what stands behind the tenant's folder? */
static bool
concerns_of_tenant(const struct ctl_args *args, const char *rest)
{
	char id[ID_SIZE];

	if (*rest == '\0' || strcmp(rest, "/conversations") == 0)
		return (true);
	/* No retry is known by what a dump or a restore of a part has. */
	if (args->conversation == NULL)
		return (strncmp(rest, "/once", 5) != 0);
	return (strncmp(rest, "/conversations/", 15) == 0 &&
	    document_id(rest + 15, id) && strcmp(id, args->conversation) == 0);
}

bool
ctl_concerns(const struct ctl_args *args, const struct store_problem *p)
{
	static const char journal[] = "journal", tenants[] = "tenants";
	const char *file = p->file;
	size_t len;

	if (args->tenant == NULL && args->conversation == NULL)
		return (true);
	if (strncmp(file, journal, strlen(journal)) == 0)
		return ((args->tenant == NULL || p->tenant == NULL ||
		    strcmp(args->tenant, p->tenant) == 0) &&
		    (args->conversation == NULL || p->conversation == NULL ||
		    strcmp(args->conversation, p->conversation) == 0));
	if (strcmp(file, tenants) == 0)
		return (true);
	if (strncmp(file, tenants, strlen(tenants)) != 0)
		return (false);
	file += strlen(tenants) + 1;
	len = strcspn(file, "/");
	if (args->tenant != NULL && (strlen(args->tenant) != len ||
	    memcmp(file, args->tenant, len) != 0))
		return (false);
	return (concerns_of_tenant(args, file + len));
}

static void
on_problem(const struct store_problem *p, void *arg)
{
	struct dump *d = arg;

	if (!p->is_damage || !ctl_concerns(d->args, p))
		return;
	warnx("%s: %s; lost: %s", p->file, p->what, p->lost);
	d->has_damage = true;
}

static int
on_conversation(const char *tenant, const struct conversation_view *view,
    struct item *const *items, size_t n, void *arg)
{
	struct dump *d = arg;

	if (d->args->conversation != NULL &&
	    strcmp(view->id, d->args->conversation) != 0)
		return (0);
	d->is_found = true;
	buf_clear(&d->line);
	export_line(&d->line, tenant, view, items, n);
	if (!buf_ok(&d->line)) {
		errno = ENOMEM;
		return (-1);
	}
	if (fwrite(d->line.data, 1, d->line.len, stdout) != d->line.len)
		return (-1);
	d->conversations++;
	d->items += n;
	/* Each tenant may have one of that id. */
	return (d->args->conversation != NULL && d->args->tenant != NULL);
}

/* All lines, or those asked for.  Returns 0, or -1 after saying why. */
static int
dump(struct store *s, struct dump *d)
{
	const struct ctl_args *args = d->args;

	if (store_each(s, args->tenant, on_conversation, d) == -1 ||
	    fflush(stdout) == EOF) {
		if (errno == ENOENT && args->tenant != NULL)
			warnx("tenant %s not found", args->tenant);
		else
			warn("dump");
		return (-1);
	}
	if (args->conversation != NULL && !d->is_found) {
		warnx("conversation %s not found", args->conversation);
		return (-1);
	}
	return (0);
}

/* Who reads an export knows by this line that nothing was cut off. */
static int
write_end(const struct dump *d)
{

	printf("{\"export\":\"end\",\"conversations\":%" PRIu64
	    ",\"items\":%" PRIu64 "}\n", d->conversations, d->items);
	if (fflush(stdout) != EOF)
		return (0);
	warn("export");
	return (-1);
}

/* Write the lines of the store in dir.  Returns the exit status. */
static int
dump_store(const struct ctl_args *args, const char *dir, bool has_end)
{
	struct dump d = { .args = args };
	const struct store_options options = {
		.dir = dir,
		.read_only = true,
		.on_problem = on_problem,
		.problem_arg = &d,
	};
	struct store *s;
	pid_t holder;
	int rc;

	log_set_level(LOG_LEVEL_WARN);
	if (store_open(&options, &s, &holder) == -1) {
		warnx("%s cannot be opened", options.dir);
		return (EXIT_FAILURE);
	}
	if ((rc = dump(s, &d)) == 0 && has_end)
		rc = write_end(&d);
	buf_fini(&d.line);
	(void)store_close(s);
	return (rc == -1 || d.has_damage ? EXIT_FAILURE : EXIT_SUCCESS);
}

int
ctl_dump(const struct ctl_args *args, const struct conf *conf)
{

	return (dump_store(args, conf != NULL ? conf->store : args->words[0],
	    false));
}

int
ctl_export(const struct ctl_args *args, const struct conf *conf)
{

	return (dump_store(args, conf->store, true));
}
