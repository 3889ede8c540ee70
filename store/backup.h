#ifndef BACKUP_H
#define BACKUP_H

#include <stddef.h>
#include <stdint.h>

#include "segment.h"

/*
 * A backup is a copy of a store, with a daemon writing to it or without:
 *
 *	the journal is rotated > journal > tenants > tenants again
 *	> quarantine > store.json > backup.json
 *
 * It is a store itself, and a backup is done when its backup.json is there,
 * which is written last, after everything was synced; so one that was cut off
 * is told apart.  It lacks its store.json, too, and so is no store.
 *
 * all_is_in_it_note: every change that was acknowledged before it began is
 * in it, however long it takes:
 *
 *	1  The change stood in the journal, in a segment that is closed since
 *	   the rotation and never written again (journal_rotate).
 *	2  That segment is in the listing, and is linked or copied whole: then
 *	   replay of the backup has it, and a document in the backup that is
 *	   newer holds it (replay passes over what a document holds).
 *	3  Or it was retired before it was copied: it stood in a document then,
 *	   and documents are copied after that, as they are or newer.
 *	4  A document that is replaced while its folder is listed may be
 *	   missed, by what file systems promise; it is there when the folder
 *	   is listed once more.
 *	5  A deletion is a tombstone under the document's name from before its
 *	   record leaves the journal until twice journal_keep later.  Its
 *	   segment is copied before the older ones, and these leave the journal
 *	   first: if what it deletes is in the backup, so is the deletion; and
 *	   what is deleted and gone is no longer there to be copied.
 *
 * What is newer than its beginning may be in it or not, for each conversation
 * a whole number of changes.  That the journal comes first is the point: a
 * copier that comes to it last needs the segments of all the time it took
 * (journal_keep); between two segments that are there one may be missing.  Of
 * one listing the newest segment comes first, so that none is there behind one
 * that was copied before it was full.
 *
 * What is never written in place is linked to the store, if it is on the same
 * file system, else to the earlier backup, if it is the same there: documents,
 * which are replaced by rename, and closed segments.  The open segment is
 * copied, and neither it nor a later one is taken from an earlier backup, whose
 * backup.json names it (it was there in another state under the same size); so
 * is what lies in quarantine, where hands are at
 * work.  A daemon that is opened on the backup itself writes to none of the
 * linked files; who edits one in place edits both.
 */
#define BACKUP_NAME	"backup.json"

struct backup_options {
	const char	*store;		/* folder */
	const char	*dir;		/* made, or empty */
	const char	*against;	/* an earlier one, or NULL */
	const char	*open;		/* name of the segment that is being
					   written; NULL: not known */
	const char	*store_id;	/* of the store that said so */
	void		(*on_file)(void *arg);	/* or NULL */
	void		*arg;
};

struct backup_report {
	char		 store_id[17];
	int64_t		 started_at;	/* ms */
	int64_t		 ended_at;
	uint64_t	 copied;	/* files */
	uint64_t	 linked;	/* to the store */
	uint64_t	 kept;		/* linked to the earlier backup */
	uint64_t	 bytes;		/* of those copied */
	char		 open[SEGMENT_NAME];	/* those before it were closed;
						   "": not known */
};

/*
 * Make one; if root does, all of it belongs to the owner of the store's
 * store.json.  dir may not lie in the store.  Returns 0, or -1 after logging
 * why, and whether there is now what is no backup in dir.  Blocks.
 */
int	 backup_make(const struct backup_options *, struct backup_report *);

/*
 * Read backup.json of dir.  Returns 1, 0 if there is none, or -1 with errno
 * set, EBADMSG for one that is none.
 */
int	 backup_read(const char *dir, struct backup_report *);

/*
 * Ask before a store is set aside for what is restored from `from`: that must
 * be a store, by its store.json, and not lie in the store itself.  Returns 0,
 * or -1 after logging why not.
 */
int	 backup_may_replace(const char *from, const char *store);

/*
 * Move the store out of the way, to a free name beside its own that is put
 * into aside.  Returns 1; 0 if there is no such folder; -1 after logging why,
 * as when a daemon has it.  The next sync of the parent folder is the
 * restore's.
 */
int	 backup_set_aside(const char *store, char *aside, size_t size);

/*
 * Take that back: what stands in the store's place by now gets the name with
 * .partial instead of .before.  Returns 0, or -1 after logging why: then the
 * store is still what aside names.
 */
int	 backup_put_back(const char *store, const char *aside);

/*
 * Copy the store or backup in from to the folder to, which is made or empty:
 * all but its lock and its backup.json, nothing linked, its store.json last,
 * so that what was cut off is no store.  It belongs to the owner of from's
 * store.json, if we may give it away, and is locked meanwhile, as by a
 * daemon.  to may not lie in from.  Returns 0, or -1 after logging why.
 * Blocks.
 */
int	 backup_restore(const char *from, const char *to,
	    void (*on_file)(void *arg), void *arg);

#endif /* !BACKUP_H */
