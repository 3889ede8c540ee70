#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lock.h"
#include "sys.h"

#include "log.h"

/* A pipe that polls writable takes this much without blocking. */
#define LINE_MAX_BYTES	4096
#define MESSAGE_MAX	1536

/* A line under construction; what does not fit is cut off. */
struct line {
	char	 data[LINE_MAX_BYTES];
	size_t	 len;
};

static const char *const level_names[] = { "error", "warn", "info", "debug" };

static _Atomic int level_max = LOG_LEVEL_INFO;

/*
 * Locks used to protect what follows:
 *	l	log_lck
 */
static struct lock log_lck = LOCK_INITIALIZER(LOCK_LOG);
static unsigned lost;		/* [l] lines that found no room */

void
log_set_level(enum log_level level)
{
	atomic_store_explicit(&level_max, (int)level, memory_order_relaxed);
}

int
log_level_parse(const char *word)
{
	size_t i;

	for (i = 0; i < sizeof(level_names) / sizeof(level_names[0]); i++) {
		if (strcmp(word, level_names[i]) == 0)
			return ((int)i);
	}
	return (-1);
}

static void
line_add(struct line *l, const char *s, size_t n)
{
	/* Always leaves room for the closing quote and the newline. */
	if (n > sizeof(l->data) - 2 - l->len)
		return;
	memcpy(l->data + l->len, s, n);
	l->len += n;
}

/* key="value", with value escaped as in a JSON string. */
static void
line_pair(struct line *l, const char *key, const char *value)
{
	char esc[8];
	int n;

	line_add(l, " ", 1);
	line_add(l, key, strlen(key));
	line_add(l, "=\"", 2);
	for (; *value != '\0'; value++) {
		if (*value == '"' || *value == '\\')
			n = snprintf(esc, sizeof(esc), "\\%c", *value);
		else if (*value == '\n')
			n = snprintf(esc, sizeof(esc), "\\n");
		else if ((unsigned char)*value < 0x20 || *value == 0x7f)
			n = snprintf(esc, sizeof(esc), "\\u%04x",
			    (unsigned)*value);
		else {
			esc[0] = *value;
			n = 1;
		}
		line_add(l, esc, (size_t)n);
	}
	l->data[l->len++] = '"';
}

static void
line_begin(struct line *l, enum log_level level)
{
	char stamp[64];
	struct timespec ts;
	struct tm tm;
	int n;

	l->len = 0;
	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	n = snprintf(stamp, sizeof(stamp),
	    "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ level=%s",
	    (tm.tm_year + 1900) % 10000, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour,
	    tm.tm_min, tm.tm_sec, (int)(ts.tv_nsec / 1000000),
	    level_names[level]);
	line_add(l, stamp, (size_t)n);
}

/*
 * Write it if that does not block: a reader of the log that sleeps must not
 * stop a worker or the committer.  Not by way of the table of system calls,
 * for a fault that a test plants is meant for the store.
 */
static void
line_write(const struct line *l)
{
	struct pollfd pfd = { .fd = STDERR_FILENO, .events = POLLOUT };
	ssize_t n = -1;

	if (poll(&pfd, 1, 0) == 1 && (pfd.revents & POLLOUT) != 0)
		n = sys_real.write(STDERR_FILENO, l->data, l->len);
	lost = n == -1 ? lost + 1 : 0;
}

static void __printflike(3, 0)
emit(enum log_level level, int error, const char *fmt, va_list ap)
{
	struct line l;
	char msg[MESSAGE_MAX], number[16];
	int saved = errno;

	if ((int)level > atomic_load_explicit(&level_max,
	    memory_order_relaxed))
		return;
	if (vsnprintf(msg, sizeof(msg), fmt, ap) < 0)
		msg[0] = '\0';
	line_begin(&l, level);
	line_pair(&l, "msg", msg);
	if (error != 0)
		line_pair(&l, "err", strerror(error));

	lock_take(&log_lck);
	if (lost > 0) {
		snprintf(number, sizeof(number), "%u", lost);
		line_pair(&l, "lines_lost", number);
	}
	l.data[l.len++] = '\n';
	line_write(&l);
	lock_give(&log_lck);
	errno = saved;
}

/* One function a level, with and without the text of errno. */
#define LOG_FUNCTION(name, level, error)				\
void									\
name(const char *fmt, ...)						\
{									\
	va_list ap;							\
									\
	va_start(ap, fmt);						\
	emit(level, error, fmt, ap);					\
	va_end(ap);							\
}

LOG_FUNCTION(log_err, LOG_LEVEL_ERROR, errno)
LOG_FUNCTION(log_warn, LOG_LEVEL_WARN, errno)
LOG_FUNCTION(log_errx, LOG_LEVEL_ERROR, 0)
LOG_FUNCTION(log_warnx, LOG_LEVEL_WARN, 0)
LOG_FUNCTION(log_info, LOG_LEVEL_INFO, 0)
LOG_FUNCTION(log_debug, LOG_LEVEL_DEBUG, 0)

/* --- what lasts --------------------------------------------------------- */

bool
log_begins(struct log_told *told, int error)
{
	const unsigned int n = (unsigned int)error % (sizeof(told->errors) * 8);
	uint64_t *word = &told->errors[n / 64];
	const uint64_t bit = UINT64_C(1) << n % 64;
	const bool is_new = (*word & bit) == 0;

	*word |= bit;
	return (is_new);
}

bool
log_ends(struct log_told *told)
{
	size_t i;
	bool was_told = false;

	for (i = 0; i < sizeof(told->errors) / sizeof(told->errors[0]); i++) {
		was_told |= told->errors[i] != 0;
		told->errors[i] = 0;
	}
	return (was_told);
}
