#ifndef PROGRESS_H
#define PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/*
 * How far a long job of rememberctl is, on standard error.  Nothing is shown
 * of what takes less than a second; then a bar on a terminal, and a line at
 * times elsewhere:
 *
 *	progress_new > progress_at, often > progress_end
 *
 * All take NULL, so that a job goes on without.
 */
struct progress;

/* total 0: it is not known.  title is borrowed.  NULL for want of memory. */
struct progress	*progress_new(const char *title, uint64_t total);
/* So much is done. */
void	 progress_at(struct progress *, uint64_t n);
/* Something else is about to be written to the terminal: make room. */
void	 progress_hide(struct progress *);
/* Say the last if anything was said, and free it. */
void	 progress_end(struct progress *);

/* The same to a file of the caller's, by a clock of the caller's in ms. */
struct progress	*progress_open(FILE *, bool is_terminal,
		    int64_t (*clock_ms)(void), const char *title,
		    uint64_t total);

#endif /* !PROGRESS_H */
