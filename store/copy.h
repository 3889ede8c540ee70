#ifndef COPY_H
#define COPY_H

#include <sys/stat.h>

#include <stdbool.h>
#include <stdint.h>

/*
 * Files and folders copied so that the copy is there after a power cut: each
 * file is synced before it counts, each folder when it is complete.
 *
 *	copy_tree: folder > each file: link or copy > its folders > sync it
 *
 * What is there already is left alone, so that a folder may be copied again
 * for what a first look missed.  Files and folders that vanish meanwhile are
 * passed over; so are temporary files, and what is neither file nor folder.
 * Symbolic links are followed, as by the daemon, and the copy has what they
 * stand for; one that leads nowhere is an error.  Copies keep mode, time and,
 * where that is allowed, owner.
 */
struct copy {
	/*
	 * May the file be linked instead?  Only what is never written in place
	 * may.  NULL: nothing may.  st is of the file in folder fd.
	 */
	bool		 (*may_link)(int fd, const char *name, void *arg);
	/* After each file; NULL: nobody asks. */
	void		 (*on_file)(void *arg);
	void		*arg;
	/* From that name on an earlier copy may be half; NULL: none is. */
	const char	*half;
	uint64_t	 copied;	/* files */
	uint64_t	 linked;	/* to the original */
	uint64_t	 kept;		/* linked to the earlier copy */
	uint64_t	 bytes;		/* of those copied */
	unsigned int	 depth;		/* of folders */
	char		 failed[512];	/* where it failed, from the top */
};

/*
 * Copy what is in folder from to folder to, whole, and sync it.  earlier is
 * an earlier copy of from, or -1: where may_link allows but the file system
 * does not, what is the same in it is linked from there.  Returns 0, or -1
 * with errno set and c->failed.
 */
int	 copy_tree(struct copy *, int from, int to, int earlier);

/*
 * As copy_tree, but only the files that is_one names, of one listing, from the
 * last name to the first.
 */
int	 copy_last_first(struct copy *, int from, int to, int earlier,
	    bool (*is_one)(const char *name));

/*
 * One file of folder from to folder to, synced; the folder is not.  Returns
 * 1; 0 if it vanished, or is there already; -1 with errno set: then it is not
 * there.
 */
int	 copy_file(struct copy *, int from, int to, int earlier,
	    const char *name);

/* Let what is open as `to` belong to the owner of what is open as from, if we
 * may. */
void	 copy_owner(int from, int to);

/*
 * Make the folder path with mode 0700 if it is not there, and sync its
 * parent.  Returns its descriptor, or -1 with errno set: ENOTEMPTY if there
 * is something in it but lost+found and the lock file.
 */
int	 copy_folder(const char *path);

#endif /* !COPY_H */
