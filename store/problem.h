#ifndef PROBLEM_H
#define PROBLEM_H

#include <bsd/sys/cdefs.h>
#include <bsd/sys/tree.h>

#include <stdbool.h>
#include <stddef.h>

#include "log.h"

/*
 * What is found wrong with a store while it is read.  Of a store that is
 * kept it is logged; of one that is opened to be read only it is collected,
 * and told to store_options.on_problem when nothing is locked and it is known
 * what the journal makes good:
 *
 *	problem_note > one for the same file and fault > problem_tell
 *
 * One thread at a time.
 */
struct store;
struct problem;

RB_HEAD(problem_tree, problem);
RB_PROTOTYPE(problem_tree, problem, node, problem_cmp)

struct problems {
	struct problem_tree tree;	/* to be told */
	struct problem_tree seen;	/* of an earlier reading, not told */
	bool		 is_short;	/* one was left out: no memory */
};

void	 problems_init(struct problems *);
void	 problems_fini(struct problems *);

/*
 * Note what is wrong with the file (its path in the store): LOG_LEVEL_ERROR
 * is damage, and lost what goes with it, or NULL for nothing.
 */
void	 problem_note(struct store *, enum log_level, const char *file,
	    const char *lost, const char *fmt, ...) __printflike(5, 6);
/* The same of the journal, where it lacks changes of the tenant, and of the
 * conversation unless that is NULL. */
void	 problem_note_of(struct store *, enum log_level, const char *tenant,
	    const char *conversation, const char *lost, const char *fmt, ...)
	    __printflike(6, 7);
/* The same of the file that quarantine/ would call label, which says what is
 * lost with it. */
void	 problem_note_label(struct store *, enum log_level, const char *label,
	    const char *what);

/*
 * While a daemon writes, its journal is read in motion.  Begin another
 * reading: what was noted moves over as seen.
 */
void	 problems_again(struct problems *from, struct problems *to);
/* How much of the damage noted of the journal was not seen before? */
size_t	 problems_unseen(struct problems *);
/* Forget that: it is the writing, for it never stood twice. */
void	 problems_excuse(struct problems *);

/* Tell all and forget it.  No lock may be held.  Returns 0, or -1 with errno
 * set to ENOMEM if one was left out. */
int	 problem_tell(struct store *);

#endif /* !PROBLEM_H */
