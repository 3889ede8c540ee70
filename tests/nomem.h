#ifndef NOMEM_H
#define NOMEM_H

#include <stdbool.h>

/*
 * Allocations that fail on demand, in the loop that tests/fault.h shows.  A
 * program that uses it is linked with $(nomem_flags), which turn the calls
 * of our own objects (not those inside libraries) to here.  Thread safe.
 */

/* The n-th allocation from now (1 is the next) fails, once. */
void	 nomem_arm(int n);
/* Has it failed since? */
bool	 nomem_fired(void);
void	 nomem_disarm(void);

#endif /* !NOMEM_H */
