#ifndef LOG_H
#define LOG_H

#include <bsd/sys/cdefs.h>

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

#endif /* !LOG_H */
