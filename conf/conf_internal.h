#ifndef CONF_INTERNAL_H
#define CONF_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct conf;

/*
 * What the files of conf_load share:
 *
 *	conf_text.c	the bytes of a file: reading, comments, complaints
 *	conf_option.c	the options: names, defaults, what each may be
 *	conf.c		the grammar, by libconfuse; sections; includes
 */

/* "FILE:LINE: what is wrong: what was expected" on stderr. */
void	 conf_complain(const char *file, int line, const char *fmt, ...)
	    __attribute__((format(printf, 3, 4)));

/*
 * Read all of fp, at most max bytes, into *text_r (new, with a NUL behind
 * it).  Returns 0, or -1 with errno set (EFBIG: there is more).
 */
int	 conf_read_all(FILE *fp, size_t max, char **text_r, size_t *len_r);

/*
 * Blank out the comments of the text and refuse, with a complaint and -1,
 * what libconfuse would accept or misreport: a string that goes on behind
 * its line, a comment or a section without end, a NUL.  libconfuse 3.3
 * miscounts lines at comments, refuses them within lists, takes the file's
 * end for a section's, and notices an unterminated string only there.
 */
int	 conf_prepare(char *text, size_t len, const char *file);

enum conf_kind {
	KIND_PATH,		/* char *, any path */
	KIND_FILE,		/* char *, readable; NULL when empty */
	KIND_SOCKET,		/* char *, short enough for a socket */
	KIND_MODE,		/* mode_t, octal */
	KIND_COUNT,		/* unsigned int */
	KIND_SIZE,		/* uint64_t, bytes */
	KIND_DURATION,		/* uint64_t, milliseconds */
	KIND_LEVEL,		/* int, enum log_level */
	KIND_SWITCH		/* bool */
};

/* One option of the file, and the member of struct conf that it sets. */
struct conf_option {
	const char	*name;
	const char	*value;		/* the default, as if written so */
	enum conf_kind	 kind;
	size_t		 offset;
	uint64_t	 min;		/* of numbers, in the member's unit */
	uint64_t	 max;
};

extern const struct conf_option	 conf_options[];
extern const size_t		 conf_noptions;

/* Is its member a string on the heap? */
bool	 conf_option_is_string(const struct conf_option *);

/*
 * Set the option's member of the struct conf from value; a string that was
 * there is freed.  Returns 0, 1 if the value does not do, -1 without memory.
 */
int	 conf_option_set(const struct conf_option *, struct conf *,
	    const char *value);

/* Say in buf what values the option takes. */
void	 conf_option_expects(const struct conf_option *, char *buf,
	    size_t size);

#endif /* !CONF_INTERNAL_H */
