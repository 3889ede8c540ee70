#include <errno.h>
#include <stdlib.h>

#include <bsd/err.h>

#include "conf.h"
#include "ctl.h"

/*
 * The way that answered first is kept: a store that is open cannot be had by
 * a daemon, and one that a daemon had is not to be opened behind its back
 * when it ends.
 */
struct ctl_link {
	const struct conf *conf;
	enum { NOT_YET, LIVE, DISK } way;
	struct ctl_store *store;	/* DISK */
};

struct ctl_link *
ctl_link_new(const struct conf *conf)
{
	struct ctl_link *l;

	if ((l = calloc(1, sizeof(*l))) == NULL)
		warn(NULL);
	else
		l->conf = conf;
	return (l);
}

int
ctl_link_ask(struct ctl_link *l, const struct ctl_call *call,
    json_t **reply_r)
{
	int status;

	if (l->way != DISK) {
		status = ctl_live(l->conf, call, reply_r);
		if (status != -1)
			l->way = LIVE;
		if (status != -1 || errno == 0)
			return (status);
		if (l->way == LIVE) {
			warnx("%s: the daemon has gone",
			    l->conf->control_socket);
			return (-1);
		}
		if ((l->store = ctl_store_open(l->conf)) == NULL)
			return (-1);
		l->way = DISK;
	}
	return (ctl_store_ask(l->store, call, reply_r));
}

bool
ctl_link_is_live(const struct ctl_link *l)
{

	return (l->way == LIVE);
}

void
ctl_link_free(struct ctl_link *l)
{

	if (l == NULL)
		return;
	ctl_store_close(l->store);
	free(l);
}
