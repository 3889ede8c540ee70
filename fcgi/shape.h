#ifndef SHAPE_H
#define SHAPE_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "reply.h"

/*
 * What an object of a request must look like, as a table: one row a member.
 * The first member that does not fit is answered with its path, in the words
 * of API.md 1.1.  Members that stand in no row are left to the caller.
 */

/* JSON types, as bits. */
enum {
	SHAPE_NULL = 1, SHAPE_BOOL = 2, SHAPE_INTEGER = 4, SHAPE_REAL = 8,
	SHAPE_STRING = 16, SHAPE_ARRAY = 32, SHAPE_OBJECT = 64,
	SHAPE_NUMBER = SHAPE_INTEGER | SHAPE_REAL, SHAPE_ANY = 127
};

/* The longest path, such as "items[17].content[3].text", with its NUL. */
#define SHAPE_PATH	256

/* Checks a value further; false after an error reply. */
typedef bool	 shape_checker(const json_t *value, const char *path,
		    struct reply *);

/*
 * A member.  An optional one may be null, which is the same as not there; a
 * required one only if types says so.
 */
struct shape_field {
	const char		*name;		/* NULL ends the table */
	unsigned int		 types;
	bool			 is_required;
	const char *const	*values;	/* the only strings, or NULL */
	shape_checker		*check;		/* or NULL */
};

/*
 * Check the members of object, which is one, against the rows; path is the
 * object's own, "" for a body.  Returns false after an error reply.
 */
bool	 shape_check(const json_t *object, const struct shape_field *,
	    const char *path, struct reply *);

/* Every element a string; an object. */
shape_checker	 shape_strings, shape_objects;

/* path of member name, or of element i, of what stands at base. */
void	 shape_member(char path[SHAPE_PATH], const char *base,
	    const char *name);
void	 shape_element(char path[SHAPE_PATH], const char *base, size_t i);

/* The errors.  expected is a phrase, "an object"; returns false. */
bool	 shape_bad_type(const json_t *value, const char *path,
	    const char *expected, struct reply *);
bool	 shape_missing(const char *path, struct reply *);
bool	 shape_unknown(const char *path, struct reply *);
/* values ends in NULL; value is cut if it is long. */
bool	 shape_bad_value(const char *value, const char *path,
	    const char *const *values, struct reply *);
/* A string of more characters than max. */
bool	 shape_too_long(size_t length, const char *path, size_t max,
	    struct reply *);

/* Is it one of values (which ends in NULL)? */
bool	 shape_is_one_of(const char *value, const char *const *values);
/* Characters (code points) in valid UTF-8. */
size_t	 shape_characters(const char *, size_t len);

#endif /* !SHAPE_H */
