#ifndef LOGGED_H
#define LOGGED_H

#include <stddef.h>

/*
 * What the program says on standard error is kept from logged_start on, until
 * one of the others ends that.
 */
void	 logged_start(void);
/* It must hold this, or must not; quotes have no backslashes. */
void	 logged_has(const char *text);
void	 logged_has_not(const char *text);
/* How often does it hold this?  May follow another of these. */
size_t	 logged_times(const char *text);
/* End it, if none of these did: for teardowns. */
void	 logged_stop(void);
/* All that the last of these looked at; borrowed until the next. */
const char	*logged_text(void);

#endif /* !LOGGED_H */
