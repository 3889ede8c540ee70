#ifndef LOG_H
#define LOG_H

#include <bsd/sys/cdefs.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * The log: one line an event on standard error,
 *
 *	2026-01-31T10:20:30.123Z level=warn msg="rename conv_1.json" err="..."
 *
 * Values are quoted and escaped where needed, so that one event is always
 * one line.  A log that cannot be written is ignored: nothing else may fail
 * by it.  Thread safe; errno is kept.  Never log secrets or message text.
 */
enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO,
    LOG_LEVEL_DEBUG };

/* The least important level that is written; at start LOG_LEVEL_INFO. */
void	 log_set_level(enum log_level);
/* "error", "warn", "info", "debug" to a level; -1 for another word. */
int	 log_level_parse(const char *);

/* The message, then strerror(errno) as err=. */
void	 log_err(const char *fmt, ...) __printflike(1, 2);
void	 log_warn(const char *fmt, ...) __printflike(1, 2);
/* The message alone. */
void	 log_errx(const char *fmt, ...) __printflike(1, 2);
void	 log_warnx(const char *fmt, ...) __printflike(1, 2);
void	 log_info(const char *fmt, ...) __printflike(1, 2);
void	 log_debug(const char *fmt, ...) __printflike(1, 2);

/*
 * For what is tried again and again: a failure is told when it begins and when
 * it ends, not each time.  Zeroed memory has told nothing.  Not thread safe.
 *
 *	failed:		if (log_begins(&told, errno)) log_warn(...);
 *	all is well:	if (log_ends(&told)) log_info(...);
 */
struct log_told {
	uint64_t	 errors[3];	/* a bit an errno */
};
/* Is this errno new since the last log_ends?  Keeps errno. */
bool	 log_begins(struct log_told *, int error);
/* Was there any?  Forgets it. */
bool	 log_ends(struct log_told *);

#endif /* !LOG_H */
