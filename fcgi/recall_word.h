#ifndef RECALL_WORD_H
#define RECALL_WORD_H

#include <stdbool.h>
#include <stddef.h>

#include "store/jsonscan.h"

/*
 * Words, for recall.c and its tests: runs of ASCII letters and digits and of
 * what is beyond ASCII, but for punctuation; in scripts that put no spaces
 * between words each character is one.
 */

/* Cut the next word off *text; false at its end. */
bool	 recall_word_next(struct span *text, struct span *word_r);
/*
 * The same word?  ASCII letters count without case, and one may be the other
 * with at most two letters more ("cat" no, "colour" and "colours" yes).
 */
bool	 recall_word_same(struct span, struct span);
/* Does it say nothing about the matter ("the", "what", "remember")? */
bool	 recall_word_is_stop(struct span);
/* Does a sentence that begins with it ask or order something? */
bool	 recall_word_asks(struct span);

#endif /* !RECALL_WORD_H */
