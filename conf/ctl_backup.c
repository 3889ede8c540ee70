#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bsd/err.h>
#include <bsd/libutil.h>
#include <bsd/string.h>
#include <jansson.h>

#include "store/backup.h"
#include "store/log.h"

#include "conf.h"
#include "ctl.h"
#include "progress.h"

struct job {
	struct progress	*progress;
	uint64_t	 files;
};

static void
on_file(void *arg)
{
	struct job *job = arg;

	progress_at(job->progress, ++job->files);
}

/*
 * Have a running daemon close its open segment, so that all before it can be
 * linked.  Without that all of the journal is copied, which is as good.
 * Returns its reply (new) for o to point into, or NULL.
 */
static json_t *
rotate(const struct conf *conf, struct backup_options *o)
{
	static const struct ctl_call call = {
		.method = "POST", .path = "/admin/v1/rotate",
	};
	const char *message = "no reason given";
	json_t *reply = NULL;
	int status;

	status = ctl_live(conf, &call, &reply);
	if (status == 200)
		(void)json_unpack(reply, "{s:s, s:s}", "open", &o->open,
		    "store_id", &o->store_id);
	else if (status != -1) {
		(void)json_unpack(reply, "{s:{s:s}}", "error", "message",
		    &message);
		warnx("the journal could not be rotated, and is copied as it "
		    "is: %s", message);
	}
	return (reply);
}

/* The seconds that the daemon gives a copy now; -1 if none is there. */
static int64_t
ask_copy_time(const struct conf *conf)
{
	static const struct ctl_call call = {
		.method = "GET", .path = "/admin/v1/status",
	};
	json_t *reply = NULL;
	json_int_t s = -1;

	if (ctl_live(conf, &call, &reply) == 200)
		(void)json_unpack(reply, "{s:I}", "copy_time", &s);
	json_decref(reply);
	return ((int64_t)s);
}

static void
show(const struct ctl_args *args, const struct backup_report *r,
    int64_t copy_time)
{
	const int64_t ms = r->ended_at - r->started_at;
	char size[8], time[32] = "null";

	if (copy_time != -1)
		(void)snprintf(time, sizeof(time), "%" PRId64, copy_time);
	if (args->is_json)
		printf("{\"store_id\":\"%s\",\"copied\":%" PRIu64
		    ",\"linked\":%" PRIu64 ",\"kept\":%" PRIu64 ",\"bytes\":%"
		    PRIu64 ",\"ms\":%" PRId64 ",\"copy_time\":%s}\n",
		    r->store_id, r->copied, r->linked, r->kept, r->bytes, ms,
		    time);
	else {
		(void)humanize_number(size, sizeof(size), (int64_t)r->bytes,
		    "B", HN_AUTOSCALE, HN_DECIMAL | HN_NOSPACE);
		printf("store %s: copied %" PRIu64 " files of %s, linked %"
		    PRIu64 ", kept %" PRIu64 ", in %" PRId64 ".%03d s\n",
		    r->store_id, r->copied, size, r->linked, r->kept,
		    ms / 1000, (int)(ms % 1000));
	}
	if (copy_time != -1 && ms / 1000 >= copy_time)
		warnx("it took longer than a copy of the live store may now, "
		    "which is %" PRId64 " s: this backup is whole, but one "
		    "made by cp, tar or rsync may lack something", copy_time);
}

int
ctl_backup(const struct ctl_args *args, const struct conf *conf)
{
	struct job job = { .files = 0 };
	struct backup_options o = {
		.store = conf->store,
		.dir = args->words[0],
		.against = args->against,
		.on_file = on_file,
		.arg = &job,
	};
	struct backup_report r, earlier;
	json_t *reply;
	int rc;

	log_set_level(LOG_LEVEL_WARN);
	reply = rotate(conf, &o);
	job.progress = progress_new("backup", o.against != NULL &&
	    backup_read(o.against, &earlier) == 1 ? earlier.copied +
	    earlier.linked + earlier.kept : 0);
	rc = backup_make(&o, &r);
	progress_end(job.progress);
	json_decref(reply);
	if (rc == -1) {
		warnx("no backup was made");
		return (EXIT_FAILURE);
	}
	show(args, &r, ask_copy_time(conf));
	return (EXIT_SUCCESS);
}
