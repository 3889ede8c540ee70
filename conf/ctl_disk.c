#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <bsd/err.h>

#include "fcgi/admin.h"
#include "store/log.h"
#include "store/store.h"

#include "conf.h"
#include "ctl.h"

struct ctl_store {
	struct edge	 edge;
	const char	*dir;
};

struct ctl_store *
ctl_store_open(const struct conf *conf)
{
	const struct store_options options = {
		.dir = conf->store,
		.flush_ms = (int64_t)conf->flush_interval,
		.keep_ms = (int64_t)conf->journal_keep,
		.journal_limit = conf->journal_limit,
		.journal_segment = conf->journal_segment,
		.disk_reserve = conf->disk_reserve,
		.strict_recovery = conf->strict_recovery,
		.once_limit = conf->once_limit,
	};
	struct ctl_store *s;
	pid_t holder = 0;

	if ((s = calloc(1, sizeof(*s))) == NULL) {
		warn(NULL);
		return (NULL);
	}
	s->edge.conf = conf;
	s->dir = conf->store;
	/* What is amiss is told, not that a store was opened and closed. */
	log_set_level(LOG_LEVEL_WARN);
	if (store_open(&options, &s->edge.store, &holder) == -1) {
		if (errno == EWOULDBLOCK)
			warnx("%s is held by process %ld, which does not "
			    "answer on %s", conf->store, (long)holder,
			    conf->control_socket);
		else
			warnx("%s cannot be opened", conf->store);
		free(s);
		return (NULL);
	}
	s->edge.started_at = (int64_t)time(NULL) * 1000;
	return (s);
}

int
ctl_store_ask(struct ctl_store *s, const struct ctl_call *call,
    json_t **reply_r)
{

	return (admin_call(&s->edge, call->method, call->path, call->body,
	    call->body_len, reply_r));
}

void
ctl_store_close(struct ctl_store *s)
{

	if (s == NULL)
		return;
	/* What was answered is in the journal all the same. */
	if (store_close(s->edge.store) == -1)
		warnx("%s was not closed cleanly", s->dir);
	free(s);
}

int
ctl_disk(const struct conf *conf, const struct ctl_call *call,
    json_t **reply_r)
{
	struct ctl_store *s;
	int status;

	if ((s = ctl_store_open(conf)) == NULL) {
		errno = 0;
		return (-1);
	}
	status = ctl_store_ask(s, call, reply_r);
	ctl_store_close(s);
	return (status);
}
