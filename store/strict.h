#ifndef STRICT_H
#define STRICT_H

#include "store.h"

/*
 * strict_recovery: read the whole store, without a change to it, and log each
 * damaged file and what is lost with it.  A torn tail is no damage, nor are
 * the holes of a copy; and what lies in quarantine already was known to whoever
 * started without this.  Returns 0 if there is none, else -1 with errno set
 * to EBADMSG, or to why it could not be read.  Blocks.
 */
int	 strict_check(const struct store_options *);

#endif /* !STRICT_H */
