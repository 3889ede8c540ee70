#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bsd/err.h>
#include <jansson.h>

#include "store/backup.h"
#include "store/export.h"
#include "store/log.h"
#include "store/store.h"

#include "conf.h"
#include "ctl.h"
#include "feed.h"
#include "progress.h"

#define EXIT_USAGE	2

struct restore {
	const struct ctl_args *args;
	struct progress	*progress;
	uint64_t	 done;		/* files, or conversations */
	uint64_t	 items;
	bool		 has_damage;
	bool		 is_found;	/* something asked for */
	struct feed	*feed;
	struct buf	 line;
};

static void
on_problem(const struct store_problem *p, void *arg)
{
	struct restore *r = arg;

	if (!ctl_concerns(r->args, p))
		return;
	progress_hide(r->progress);
	if (!p->is_damage)
		warnx("%s: %s", p->file, p->what);
	else
		warnx("%s: %s; lost: %s", p->file, p->what, p->lost);
	r->has_damage = r->has_damage || p->is_damage;
}

/* Open a store to be read only; NULL after saying why. */
static struct store *
open_read_only(const char *dir, struct restore *r)
{
	const struct store_options options = {
		.dir = dir,
		.read_only = true,
		.on_problem = on_problem,
		.problem_arg = r,
	};
	struct store *s;
	pid_t holder;

	if (store_open(&options, &s, &holder) == 0)
		return (s);
	warnx("%s cannot be opened", dir);
	return (NULL);
}

/* Say of what age it is, and whether it was finished.  0, or -1. */
static int
look_at(const char *dir)
{
	struct backup_report b;

	switch (backup_read(dir, &b)) {
	case 1:
		return (0);
	case 0:
		warnx("%s has no " BACKUP_NAME ": it is taken for a copy made "
		    "by other means", dir);
		return (0);
	default:
		warn("%s", dir);
		return (-1);
	}
}

/* --- the whole store ----------------------------------------------------- */

static void
on_file(void *arg)
{
	struct restore *r = arg;

	progress_at(r->progress, ++r->done);
}

static int
count(const char *tenant, const struct conversation_view *view,
    struct item *const *items, size_t n, void *arg)
{
	struct restore *r = arg;

	(void)tenant;
	(void)view;
	(void)items;
	r->items += n;
	progress_at(r->progress, ++r->done);
	return (0);
}

/* Read back all that was restored. */
static int
verify(struct restore *r, const char *dir)
{
	struct store *s;
	int rc = -1;

	r->done = 0;
	r->progress = progress_new("verify", 0);
	if ((s = open_read_only(dir, r)) != NULL &&
	    (rc = store_each(s, NULL, count, r)) == -1)
		warn("%s", dir);
	progress_end(r->progress);
	r->progress = NULL;
	if (s != NULL)
		(void)store_close(s);
	return (rc);
}

/* Does a daemon answer for the store? */
static bool
is_served(const struct conf *conf)
{
	static const struct ctl_call call = {
		.method = "GET", .path = "/admin/v1/status",
	};
	json_t *reply = NULL;
	bool yes;

	yes = ctl_live(conf, &call, &reply) != -1 || errno == 0;
	json_decref(reply);
	return (yes);
}

/* Copy it, and read it back.  0, or -1 after saying why. */
static int
restore_files(struct restore *r, const char *store)
{
	int rc;

	r->progress = progress_new("restore", 0);
	rc = backup_restore(r->args->words[0], store, on_file, r);
	progress_end(r->progress);
	r->progress = NULL;
	if (rc == -1)
		warnx("%s was not restored", store);
	return (rc == -1 ? -1 : verify(r, store));
}

/* Make room.  Returns 1, 0 if there was nothing, or -1 after saying why. */
static int
set_aside(const struct restore *r, const char *store, char *aside, size_t size)
{
	int rc;

	if (backup_may_replace(r->args->words[0], store) == -1)
		return (-1);
	if ((rc = backup_set_aside(store, aside, size)) == 1) {
		printf("%s is now %s\n", store, aside);
		/* Before hours of copying. */
		(void)fflush(stdout);
	}
	return (rc);
}

static void
put_back(const char *store, const char *aside)
{

	if (backup_put_back(store, aside) == 0)
		warnx("%s is what it was before", store);
	else
		warnx("the store is still %s; move away what is in its place, "
		    "then: mv -T '%s' '%s'", aside, aside, store);
}

static int
restore_whole(struct restore *r, const struct conf *conf)
{
	char aside[PATH_MAX] = "";
	int is_aside = 0;

	if (is_served(conf)) {
		warnx("a daemon answers on %s: stop it first",
		    conf->control_socket);
		return (-1);
	}
	if (r->args->is_forced && (is_aside = set_aside(r, conf->store, aside,
	    sizeof(aside))) == -1)
		return (-1);
	if (restore_files(r, conf->store) == -1) {
		if (is_aside == 1)
			put_back(conf->store, aside);
		return (-1);
	}
	printf("restored %" PRIu64 " conversations with %" PRIu64
	    " items into %s\n", r->done, r->items, conf->store);
	return (fflush(stdout) == EOF || r->has_damage ? -1 : 0);
}

/* --- a tenant, a conversation -------------------------------------------- */

/* The keys go first: they count only for a tenant that is not there. */
static int
feed_keys(struct restore *r, struct store *s)
{
	const char *name = r->args->tenant;
	struct credential *api = NULL, *jwt = NULL;
	struct tenant *t = NULL;
	size_t napi = 0, njwt = 0;
	uint64_t lsn;
	int rc = 0;

	if (store_tenant_get(s, name, strlen(name), &t) == STORE_COLD &&
	    store_warm(s, name, strlen(name)) == STORE_OK)
		(void)store_tenant_get(s, name, strlen(name), &t);
	if (t == NULL || store_apikeys(t, &api, &napi, &lsn) != STORE_OK ||
	    store_jwtkeys(t, &jwt, &njwt, &lsn) != STORE_OK)
		warnx("the keys of tenant %s cannot be read", name);
	else {
		export_keys(&r->line, name, api, napi, jwt, njwt);
		rc = buf_ok(&r->line) ? feed_line(r->feed, r->line.data,
		    r->line.len - 1) : -1;
		if (r->line.data != NULL)
			explicit_bzero(r->line.data, r->line.size);
		buf_clear(&r->line);
	}
	store_credentials_free(api, napi);
	store_credentials_free(jwt, njwt);
	store_tenant_put(t);
	return (rc);
}

static int
feed_conversation(const char *tenant, const struct conversation_view *view,
    struct item *const *items, size_t n, void *arg)
{
	struct restore *r = arg;
	const char *only = r->args->conversation;

	if (only != NULL && strcmp(view->id, only) != 0)
		return (0);
	r->is_found = true;
	buf_clear(&r->line);
	export_line(&r->line, tenant, view, items, n);
	if (!buf_ok(&r->line)) {
		warnx("out of memory");
		return (1);
	}
	progress_at(r->progress, ++r->done);
	return (feed_line(r->feed, r->line.data, r->line.len - 1) == -1);
}

/* All that is asked for, from the backup into the store. */
static int
feed_all(struct restore *r, struct store *s)
{
	int rc;

	/* Of a conversation alone nothing else is to come back. */
	if (r->args->conversation == NULL && feed_keys(r, s) == -1)
		return (-1);
	rc = store_each(s, r->args->tenant, feed_conversation, r);
	if (rc == -1 && errno == ENOENT)
		warnx("tenant %s is not in the backup", r->args->tenant);
	else if (rc == -1)
		warn("%s", r->args->words[0]);
	if (rc == 0 && r->args->conversation != NULL && !r->is_found) {
		warnx("conversation %s is not in the backup",
		    r->args->conversation);
		rc = -1;
	}
	return (rc == 0 ? 0 : -1);
}

static int
restore_part(struct restore *r, const struct conf *conf)
{
	struct feed_counts counts;
	struct store *s;
	int rc;

	if ((s = open_read_only(r->args->words[0], r)) == NULL)
		return (-1);
	r->feed = feed_new(conf, NULL, r->args->is_forced);
	if (r->feed == NULL) {
		(void)store_close(s);
		return (-1);
	}
	r->progress = progress_new("restore", 0);
	rc = feed_all(r, s);
	if (feed_end(r->feed, &counts) == -1)
		rc = -1;
	progress_end(r->progress);
	r->progress = NULL;
	buf_fini(&r->line);
	(void)store_close(s);
	ctl_show_counts(r->args, &counts);
	return (rc == -1 || counts.failed > 0 || r->has_damage ? -1 : 0);
}

int
ctl_restore(const struct ctl_args *args, const struct conf *conf)
{
	struct restore r = { .args = args };
	int rc;

	if (args->conversation != NULL && args->tenant == NULL) {
		warnx("restore: --conversation needs --tenant");
		return (EXIT_USAGE);
	}
	log_set_level(LOG_LEVEL_WARN);
	if (look_at(args->words[0]) == -1)
		return (EXIT_FAILURE);
	rc = args->tenant == NULL ? restore_whole(&r, conf) :
	    restore_part(&r, conf);
	return (rc == -1 ? EXIT_FAILURE : EXIT_SUCCESS);
}
