#ifndef INPUT_H
#define INPUT_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "reply.h"
#include "request.h"

/*
 * Checked decoding of what a request says.  Every function that may refuse
 * makes the error reply itself, in the words of API.md 1.1 and with the path
 * of the first error, and then returns NULL or false.
 *
 * jansson judges whether a body is JSON and gives the tree that is checked;
 * what is stored is never dumped from it but cut out of the body's bytes.
 */

/* Nesting of {} and [] that is still taken. */
#define INPUT_DEPTH_MAX	128

/* Limits of WIRE.md 4 and API.md 2.2, in characters (code points). */
#define INPUT_METADATA_MAX	16
#define INPUT_METADATA_KEY_MAX	64
#define INPUT_METADATA_VALUE_MAX 512
#define INPUT_TITLE_MAX		1000
#define INPUT_USER_MAX		256	/* bytes */

/*
 * The request's body as a tree (new; json_decref it).  It must be one object:
 * else 400 invalid_type; with may_be_empty no body at all means {}.  Not JSON,
 * nested deeper than INPUT_DEPTH_MAX, or the same key twice: 400 invalid_json,
 * and the message ends in "position N", bytes from the start of the body.  A
 * number that jansson cannot hold: 400 invalid_value with its path.
 */
json_t	*input_body(const struct request *, bool may_be_empty,
	    struct reply *);

/* Only these members (names ends in NULL); else 400 unknown_parameter. */
bool	 input_members(const json_t *body, const char *const *names,
	    struct reply *);

/*
 * A map of at most 16 strings, or null.  In a patch a value may be null, and
 * does not count.
 */
bool	 input_metadata(const json_t *value, bool is_patch, struct reply *);
/*
 * The bytes of that map as they were sent, minified, in the request's arena;
 * "{}" if the body has none or null.  p is NULL after an error reply.
 */
struct span	 input_metadata_bytes(const struct request *, struct reply *);

/* A title: a string of at most INPUT_TITLE_MAX characters, or null. */
bool	 input_title(const json_t *value, struct reply *);
/* A user: 1 to 256 bytes without control characters. */
bool	 input_user(const json_t *value, struct reply *);
/* The form of such a name. */
bool	 input_is_user(const char *, size_t len);

/* The request ran out of memory: 503.  Returns false. */
bool	 input_nomem(struct reply *);

#endif /* !INPUT_H */
