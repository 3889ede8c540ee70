#ifndef DOCUMENTED_H
#define DOCUMENTED_H

#include <stddef.h>

#include "store/document.h"
#include "store/store_internal.h"

/*
 * What the tests of documents share: a tenant without a store on any disk, and
 * what is read and written of it.  See the tests named c_document.
 */
#define STORE	"0123456789abcdef"	/* its id */

extern struct store	 store;		/* for the count of conversations */
extern struct tenant	*tenant;	/* acme */
extern char		 why[DOCUMENT_WHY];	/* of the last read */

int	 setup(void **state);
int	 teardown(void **state);
#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

/* Read a conversation in memory of its own, so that a byte too far is seen. */
enum document_state	 read_copy(const char *id, const char *p, size_t len,
			    struct conversation **c);
/* What is written of it. */
struct buf	 written(struct conversation *);

#endif /* !DOCUMENTED_H */
