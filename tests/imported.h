#ifndef IMPORTED_H
#define IMPORTED_H

#include <stdbool.h>

#include "tests/opened.h"

/*
 * What the tests of imports share: a conversation that comes in, whole or in
 * parts, and what it must be then.  See the tests named c_import.
 */
#define CREATED	INT64_C(1500000000000)

/* The change that brings it whole, without its items. */
struct change	 import_of(const char *id);
/* Commit with n items from number `from` on, times and gaps of their own. */
enum store_err	 import_items(struct change *, int from, int n);

/* One part of it, of the try that birth names; */
enum store_err	 part(const char *id, uint64_t number, const char *birth,
		    int from, int n);
/* the change that shows what n parts brought, and one item more. */
enum store_err	 finish(const char *id, uint64_t n, const char *birth,
		    int from);

/* Is it shown, by itself and in the list? */
bool	 is_there(const char *id);
/* It is what import_of said, with items 1 to n. */
void	 check_whole(const char *id, int n);

/*
 * End the store as kill -9 would, and open it again: with its documents as
 * they were, and the very files of the journal.
 */
void	 crash(void);

#endif /* !IMPORTED_H */
