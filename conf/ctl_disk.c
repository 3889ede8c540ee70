#include <errno.h>
#include <string.h>
#include <time.h>

#include <bsd/err.h>

#include "fcgi/admin.h"
#include "store/log.h"
#include "store/store.h"

#include "conf.h"
#include "ctl.h"

int
ctl_disk(const struct conf *conf, const struct ctl_call *call,
    json_t **reply_r)
{
	const struct store_options options = {
		.dir = conf->store,
		.flush_ms = (int64_t)conf->flush_interval,
		.keep_ms = (int64_t)conf->journal_keep,
		.journal_limit = conf->journal_limit,
		.journal_segment = conf->journal_segment,
		.disk_reserve = conf->disk_reserve,
		.once_limit = conf->once_limit,
	};
	struct edge edge = { .conf = conf };
	pid_t holder = 0;
	int status;

	/* What is amiss is told, not that a store was opened and closed. */
	log_set_level(LOG_LEVEL_WARN);
	if (store_open(&options, &edge.store, &holder) == -1) {
		if (errno == EWOULDBLOCK)
			warnx("%s is held by process %ld, which does not "
			    "answer on %s", conf->store, (long)holder,
			    conf->control_socket);
		else
			warnx("%s cannot be opened", conf->store);
		errno = 0;
		return (-1);
	}
	edge.started_at = (int64_t)time(NULL) * 1000;
	status = admin_call(&edge, call->method, call->path, call->body,
	    call->body_len, reply_r);
	/* What was answered is in the journal all the same. */
	if (store_close(edge.store) == -1)
		warnx("%s was not closed cleanly", conf->store);
	return (status);
}
