#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <assert.h>
#include <errno.h>
#include <libgen.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <bsd/stdlib.h>
#include <bsd/string.h>
#include <unistd.h>

#include "conf/conf.h"
#include "helper.h"
#include "request.h"
#include "store/log.h"
#include "store/store.h"
#include "store/sys.h"
#include "tally.h"
#include "worker.h"

/* Exit codes besides 0. */
#define EXIT_CANNOT	1
#define EXIT_CONF	2

/* Jobs that may wait for a helper thread. */
#define HELPER_QUEUE	1024
/* How long a stop waits for replies under way. */
#define STOP_MS		5000
/* Descriptors that are not for connections: journal, flush, threads. */
#define FILES_KEPT	64
#define FILES_MIN	16

/* A socket of ours in the file system. */
struct door {
	const char	*path;
	int		 fd;		/* -1: not open */
	dev_t		 dev;
	ino_t		 ino;
};

struct daemon {
	struct conf	*conf;
	struct edge	 edge;
	struct door	 public;
	struct door	 control;
	struct helper	*helper;
	struct workers	*workers;
	int		 sigfd;
};

/* --- configuration ------------------------------------------------------ */

static void
usage(void)
{
	fprintf(stderr, "usage: rememberd [-nV] [-c file]\n");
	exit(EXIT_CONF);
}

static int
load_secret(struct edge *edge, const char *path)
{
	char *secret;
	size_t len;

	if (path == NULL)
		return (0);
	if (conf_secret(path, &secret, &len) == -1)
		return (-1);
	assert(len <= sizeof(edge->jwt_secret));
	memcpy(edge->jwt_secret, secret, len);
	edge->jwt_secret_len = len;
	freezero(secret, len);
	return (0);
}

/* All that can be said without touching the store. */
static int
configure(struct daemon *d, const char *path)
{
	if (conf_load(path, &d->conf) == -1)
		return (-1);
	d->edge.conf = d->conf;
	d->public.path = d->conf->socket;
	d->control.path = d->conf->control_socket;
	return (load_secret(&d->edge, d->conf->jwt_secret_file));
}

/* --- the process -------------------------------------------------------- */

/*
 * As many descriptors as we may have; each connection is one.  Returns how
 * many connections that allows.
 */
static unsigned int
raise_limits(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) == -1)
		return (FILES_MIN);
	rl.rlim_cur = rl.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &rl);
	if (getrlimit(RLIMIT_NOFILE, &rl) == -1 ||
	    rl.rlim_cur < FILES_KEPT + FILES_MIN)
		return (FILES_MIN);
	if (rl.rlim_cur > 1000000)
		return (1000000);
	return ((unsigned int)rl.rlim_cur - FILES_KEPT);
}

/*
 * Signals come through a descriptor to the main thread alone.  Blocked before
 * the first thread starts, so that none is lost.  A write beyond a limit or to
 * a closed socket is an error of that write, not a signal.
 */
static int
take_signals(struct daemon *d)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGUSR1);
	if (sigprocmask(SIG_BLOCK, &set, NULL) == -1 ||
	    (d->sigfd = signalfd(-1, &set, SFD_CLOEXEC)) == -1) {
		log_err("signalfd");
		return (-1);
	}
	return (0);
}

/* Serve signals until one says stop. */
static void
wait_for_stop(struct daemon *d)
{
	struct signalfd_siginfo si;

	for (;;) {
		if (read(d->sigfd, &si, sizeof(si)) != sizeof(si)) {
			if (errno == EINTR)
				continue;
			log_err("read signals");
			return;
		}
		if (si.ssi_signo != SIGUSR1)
			return;
		store_flush_soon(d->edge.store);
	}
}

/* --- sockets ------------------------------------------------------------ */

/* The folder of path is made if missing: for us and our group. */
static int
make_folder(const char *path)
{
	char copy[sizeof(((struct sockaddr_un *)0)->sun_path)];
	const char *dir;

	strlcpy(copy, path, sizeof(copy));
	dir = dirname(copy);
	if (mkdir(dir, 0750) == -1) {
		if (errno == EEXIST)
			return (0);
		log_err("mkdir %s", dir);
		return (-1);
	}
	/* The umask took the group's bits. */
	if (chmod(dir, 0750) == -1) {
		log_err("chmod %s", dir);
		return (-1);
	}
	return (0);
}

/* Does somebody answer there?  EAGAIN: so many that others must wait. */
static bool
is_served(const struct sockaddr_un *sun)
{
	bool is_there;
	int fd;

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1)
		return (false);
	is_there = connect(fd, (const struct sockaddr *)sun,
	    sizeof(*sun)) == 0 || errno == EAGAIN;
	close(fd);
	return (is_there);
}

/*
 * Take away what a killed daemon left at path.  The store's lock is ours, so
 * it is none of this store; one that serves another store stays.
 */
static int
remove_stale(const struct sockaddr_un *sun)
{
	struct stat sb;

	if (lstat(sun->sun_path, &sb) == -1) {
		if (errno == ENOENT)
			return (0);
		log_err("lstat %s", sun->sun_path);
		return (-1);
	}
	if (!S_ISSOCK(sb.st_mode)) {
		log_errx("%s: exists and is no socket", sun->sun_path);
		return (-1);
	}
	if (is_served(sun)) {
		log_errx("%s: another daemon answers there", sun->sun_path);
		return (-1);
	}
	if (unlink(sun->sun_path) == -1 && errno != ENOENT) {
		log_err("unlink %s", sun->sun_path);
		return (-1);
	}
	return (0);
}

/* Until it listens nobody can connect, so the mode may be set late. */
static int
bind_door(struct door *door, const struct sockaddr_un *sun, mode_t mode)
{
	struct stat sb;

	if (bind(door->fd, (const struct sockaddr *)sun, sizeof(*sun)) == -1 ||
	    lstat(door->path, &sb) == -1)
		return (-1);
	door->dev = sb.st_dev;
	door->ino = sb.st_ino;
	if (chmod(door->path, mode) == -1)
		return (-1);
	return (listen(door->fd, SOMAXCONN));
}

/*
 * Nobody new comes to the door: from here on they are told so at once.  Only
 * our own name is taken away, not one that somebody has put there since.
 */
static void
door_hide(const struct door *door)
{
	struct stat sb;

	if (door->fd != -1 && lstat(door->path, &sb) == 0 &&
	    sb.st_dev == door->dev && sb.st_ino == door->ino)
		(void)unlink(door->path);
}

static void
door_close(struct door *door)
{
	if (door->fd != -1)
		close(door->fd);
	door->fd = -1;
}

static int
door_open(struct door *door, mode_t mode)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };

	strlcpy(sun.sun_path, door->path, sizeof(sun.sun_path));
	if (make_folder(door->path) == -1 || remove_stale(&sun) == -1)
		return (-1);
	door->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    0);
	if (door->fd == -1 || bind_door(door, &sun, mode) == -1) {
		log_err("listen on %s", door->path);
		door_hide(door);
		door_close(door);
		return (-1);
	}
	return (0);
}

/* --- start and stop ----------------------------------------------------- */

static int
open_store(struct daemon *d)
{
	const struct conf *conf = d->conf;
	struct store_options o = {
		.dir = conf->store,
		.flush_ms = (int64_t)conf->flush_interval,
		.keep_ms = (int64_t)conf->journal_keep,
		.journal_limit = conf->journal_limit,
		.journal_segment = conf->journal_segment,
		.disk_reserve = conf->disk_reserve,
		.strict_recovery = conf->strict_recovery,
		.once_limit = conf->once_limit
	};
	pid_t holder;

	/* It has said why not, and who holds it. */
	return (store_open(&o, &d->edge.store, &holder));
}

static int
start(struct daemon *d)
{
	struct workers_options o = {
		.edge = &d->edge,
		.n = d->conf->workers,
		.max_conns = raise_limits(),
		.stop_ms = STOP_MS
	};

	if (door_open(&d->public, d->conf->socket_mode) == -1 ||
	    door_open(&d->control, 0600) == -1)
		return (-1);
	d->helper = helper_new(d->conf->helpers, HELPER_QUEUE);
	if (d->helper == NULL) {
		log_err("start the helpers");
		return (-1);
	}
	if ((d->edge.tallies = tallies_new(o.n)) == NULL) {
		log_err("start the workers");
		return (-1);
	}
	o.helper = d->edge.helper = d->helper;
	o.public_fd = d->public.fd;
	o.control_fd = d->control.fd;
	d->edge.started_at = sys_now_ms();
	if ((d->workers = workers_start(&o)) == NULL)
		return (-1);
	return (0);
}

/* In reverse, whatever of it there is. */
static int
stop(struct daemon *d)
{
	int rc = 0;

	door_hide(&d->public);
	door_hide(&d->control);
	if (d->workers != NULL)
		workers_stop(d->workers);
	door_close(&d->public);
	door_close(&d->control);
	helper_free(d->helper);
	if (d->workers != NULL)
		workers_free(d->workers);
	tallies_free(d->edge.tallies);
	if (d->edge.store != NULL)
		rc = store_close(d->edge.store);
	return (rc);
}

static int
serve(struct daemon *d)
{
	int rc = EXIT_CANNOT;

	log_set_level((enum log_level)d->conf->log_level);
	umask(077);
	if (take_signals(d) == -1)
		return (rc);
	if (open_store(d) == 0 && start(d) == 0) {
		log_info("ready pid=%ld socket=%s", (long)getpid(),
		    d->public.path);
		wait_for_stop(d);
		log_info("stopping");
		rc = 0;
	}
	if (stop(d) == -1)
		rc = EXIT_CANNOT;
	if (rc == 0)
		log_info("stopped");
	close(d->sigfd);
	return (rc);
}

int
main(int argc, char **argv)
{
	struct daemon d = { .public.fd = -1, .control.fd = -1, .sigfd = -1 };
	const char *path = CONF_DEFAULT;
	bool is_check = false;
	int c, rc = 0;

	if (sys_streams() == -1) {
		log_err("/dev/null");
		return (EXIT_CANNOT);
	}
	while ((c = getopt(argc, argv, "c:nV")) != -1) {
		switch (c) {
		case 'c':
			path = optarg;
			break;
		case 'n':
			is_check = true;
			break;
		case 'V':
			printf("rememberd %s\n", PACKAGE_VERSION);
			return (0);
		default:
			usage();
		}
	}
	if (argc != optind)
		usage();
	if (configure(&d, path) == -1)
		rc = EXIT_CONF;
	else if (!is_check)
		rc = serve(&d);
	explicit_bzero(d.edge.jwt_secret, sizeof(d.edge.jwt_secret));
	conf_free(d.conf);
	return (rc);
}
