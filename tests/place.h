#ifndef PLACE_H
#define PLACE_H

#include "tests/state.h"

/*
 * Where a test has its store, for tests that have one: what opened.h and
 * crashed.h begin with.
 */
extern char	 dir[STATE_PATH];	/* the store */
extern char	 side[STATE_PATH];	/* what the test notes beside it */

/* Both are made, empty; and removed with all that is in them. */
void	 place_make(void);
void	 place_remove(void);

/* Remove the journal, folder and all: documents alone are left. */
void	 remove_journal(void);

#endif /* !PLACE_H */
