#ifndef SIMFS_H
#define SIMFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <bsd/sys/cdefs.h>

#include "tests/fault.h"

/*
 * A disk in memory behind the table of store/sys.h, whose power can be cut at
 * any call.
 *
 *	simfs_init();				first of all, in main
 *	simfs_reset(seed);			an empty disk with "/" alone
 *	simfs_stop_at(FAULT_FSYNC, n);		the n-th fsync is the last call
 *	... open a store, work ...		every call fails with EIO now
 *	... close it, so that its threads end ...
 *	simfs_power_cut(seed);			the same disk, after the cut
 *
 * The model is as strict as POSIX, not as kind as a certain file system:
 *
 *	1. fsync and fdatasync make a file's bytes and size durable, not its
 *	   name; fsync of a folder makes the names in it durable, nothing else.
 *	2. Of a file's writes that were not synced each 512-byte sector is kept
 *	   or not, by itself; of several writes to one sector any number from
 *	   the first on.  One that was being written holds zeros, or anything,
 *	   but only in the bytes that were written: synced neighbours stay.  The
 *	   size may have grown with or without them.
 *	3. Of the changes of names that were not synced any are kept, in any
 *	   order, but what concerns one name in the order of the calls.  A
 *	   rename is kept whole or not at all; into another folder it is two
 *	   changes as soon as one of the folders is synced.
 *	4. After a failed fsync some of the file's sectors are on the disk, the
 *	   others in the cache only, and no later fsync of it writes them.  What
 *	   a folder's failed fsync left undone a later one does: file systems
 *	   that lose names go read-only.
 *
 * Descriptors are no numbers of the kernel's, and none is used twice: a call
 * with one that is not open aborts.  Thread safe but for simfs_init; what
 * changes the disk as a whole wants that no other thread uses it.
 */

/* Put the table in force.  Before any thread runs. */
void	 simfs_init(void);
/* Forget everything: an empty disk without limit or faults. */
void	 simfs_reset(uint64_t seed);

/* Nothing happens any more: every call fails with EIO until the end comes. */
void	 simfs_stop(void);
/* The same before the n-th call from now (1 is the next) of those in mask. */
void	 simfs_stop_at(unsigned mask, unsigned long n);
bool	 simfs_is_stopped(void);
/*
 * What came after the stop: the power was cut, and seed chooses what is left;
 * or the process was killed, and the cache outlives it.  Every descriptor is
 * closed.  The disk can be used again.
 */
void	 simfs_power_cut(uint64_t seed);
void	 simfs_kill(void);

/*
 * The n-th call from now of those in mask fails with error, once or for ever.
 * A failing write or pwritev wrote half; with SIMFS_SHORT it says so, read and
 * pread alike, and no other call fails.  A failing close or closedir has
 * closed.  simfs_fail(0, 0, 0, false) disarms.
 */
#define SIMFS_SHORT	(-1)
void	 simfs_fail(unsigned mask, unsigned long n, int error, bool forever);
/* Has it since it was armed, and the disk began or went on after an end? */
bool	 simfs_has_failed(void);
/* Writes that would bring all files above so many bytes fail with ENOSPC;
 * 0: no limit. */
void	 simfs_limit(size_t bytes);

/* How many calls of mask were made since simfs_reset. */
unsigned long	 simfs_calls(unsigned mask);

/* The names in a folder that hold part, "/" first in its path. */
size_t	 simfs_count(const char *path, const char *part);

/*
 * Change the byte behind the n-th (from 1) such text in the first file of the
 * folder whose name holds part and that has it.  Returns false if none has.
 */
bool	 simfs_spoil(const char *path, const char *part, const char *text,
	    unsigned n);

/* Write what the last calls were and what the last power cuts left, and between
 * them what the test had to say. */
void	 simfs_trace(FILE *);
void	 simfs_say(const char *fmt, ...) __printflike(1, 2);

#endif /* !SIMFS_H */
