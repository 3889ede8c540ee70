#ifndef SIMFS_INTERNAL_H
#define SIMFS_INTERNAL_H

#include <bsd/sys/queue.h>

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/lock.h"
#include "store/sys.h"

#include "tests/simfs.h"

/*
 * For those that make up the disk:
 *
 *	simfs.c		what tests ask of it
 *	simfs_inode.c	bytes, names, files and folders
 *	simfs_cut.c	what a power cut leaves, and the disk as a whole
 *	simfs_calls.c	the table of calls; open, close and figures
 *	simfs_data.c	reading, writing and syncing
 *	simfs_names.c	changes of names, and listings
 */

#define SIMFS_NAME	256
#define SIMFS_SECTOR	512
#define SIMFS_BLOCK	4096

struct bytes {
	char		*p;
	size_t		 len;
	size_t		 size;
};

/* A write that no sync followed. */
struct unsynced {
	TAILQ_ENTRY(unsynced) entry;
	size_t		 off;
	size_t		 len;
	char		 data[];
};
TAILQ_HEAD(unsynced_list, unsynced);

struct name {
	TAILQ_ENTRY(name) entry;
	struct inode	*inode;
	char		 name[];
};
TAILQ_HEAD(name_list, name);

/* A file or a folder: as calls see it, and as a power cut would find it. */
struct inode {
	TAILQ_ENTRY(inode) entry;
	uint64_t	 number;
	bool		 is_dir;
	bool		 is_marked;	/* reached from the root */
	bool		 is_same;	/* cache and disk hold the same bytes */
	int		 locked_by;	/* a descriptor, or 0 */
	unsigned	 nopen;
	unsigned	 nlink;		/* names in the cache */
	char		 label[64];	/* some name it had, for the trace */
	/* A file's. */
	struct bytes	 cache;
	struct bytes	 disk;
	struct unsynced_list unsynced;	/* oldest first */
	/* A folder's. */
	struct name_list names;		/* in the cache */
	struct name_list durable;
};
TAILQ_HEAD(inode_list, inode);

/* A change of one name that no sync of its folder followed. */
struct step {
	TAILQ_ENTRY(step) entry;
	unsigned long	 call;		/* steps of one call go together */
	struct inode	*dir;
	struct inode	*inode;		/* NULL: the name goes */
	char		 name[];
};
TAILQ_HEAD(step_list, step);

struct open_file {
	int		 fd;
	int		 flags;
	struct inode	*inode;
	size_t		 pos;
};

#define SIMFS_OPEN_MAX	1024
#define SIMFS_TRACE	400
#define SIMFS_LINE	120

/* All of it under lck, which is taken under any other lock. */
struct simfs {
	struct lock	 lck;		/* rank 30 */
	struct inode	*root;
	struct inode_list inodes;
	struct step_list steps;		/* oldest first */
	uint64_t	 next_inode;
	struct open_file open[SIMFS_OPEN_MAX];
	int		 next_fd;
	size_t		 limit;
	uint64_t	 random;
	unsigned long	 ncalls;
	unsigned long	 count[FAULT_CALLS];
	bool		 is_stopped;
	unsigned	 stop_mask;
	unsigned long	 stop_left;
	unsigned	 fail_mask;
	unsigned long	 fail_left;
	int		 fail_error;
	bool		 fail_forever;
	bool		 has_failed;
	char		 trace[SIMFS_TRACE][SIMFS_LINE];
	unsigned long	 ntrace;
};

extern struct simfs	 simfs;

/* From 0 to below n. */
uint64_t simfs_random(uint64_t n);
/* One line more for simfs_trace; lck is held. */
void	 simfs_note(const char *fmt, ...) __printflike(1, 2);

/* realloc that does not fail. */
void	*simfs_alloc(void *p, size_t size);

/* --- simfs_inode.c ------------------------------------------------------ */

void	 bytes_put(struct bytes *, size_t off, const void *p, size_t len);
void	 bytes_size(struct bytes *, size_t len);
void	 bytes_copy(struct bytes *to, const struct bytes *from);

struct inode	*inode_new(bool is_dir, const char *label);
void	 inode_free(struct inode *);
struct inode	*names_find(const struct name_list *, const char *name);
/* Let name be inode, or nothing. */
void	 names_set(struct name_list *, const char *name, struct inode *);
void	 names_copy(struct name_list *to, const struct name_list *from);

/* Let name in dir be inode, or nothing, as part of the present call. */
void	 dir_set(struct inode *dir, const char *name, struct inode *inode);
void	 step_free(struct step *);
/* Write to the cache. */
void	 file_write(struct inode *, size_t off, const void *p, size_t len);
/* Its writes that were not synced are no longer known. */
void	 file_forget(struct inode *);
/* The part [*from_r, *to_r) of the write u that lies in its i-th sector. */
bool	 file_sector(const struct unsynced *u, size_t i, size_t *from_r,
	    size_t *to_r);
/* What fsync does, and what it leaves if it fails. */
void	 inode_sync(struct inode *);
void	 inode_sync_failed(struct inode *);

/* --- simfs_calls.c and simfs_data.c ------------------------------------- */

/*
 * Count the call.  Returns 0, or the errno it gets (or SIMFS_SHORT).  The
 * power's end comes first.
 */
int	 simfs_enter(enum fault_call);
/* Leave with that result, giving lck; errno is set if there is an error. */
int	 simfs_leave(int rc, int error);

/* The open file; aborts if there is none of that descriptor. */
struct open_file	*simfs_file(int fd);
/* It is closed, and gives its lock. */
void	 simfs_close(struct open_file *);

/*
 * The folder that the path's last word stands in, and that word.  Returns
 * NULL with *error_r set.
 */
struct inode	*simfs_walk(int dirfd, const char *path, char word[SIMFS_NAME],
		    int *error_r);
/* What that word names there, or NULL. */
struct inode	*simfs_find(struct inode *dir, const char *word);

/* Bytes of all files that have a name or are open. */
size_t	 simfs_used(void);

/* --- rows of the table -------------------------------------------------- */

ssize_t	 sim_read(int fd, void *buf, size_t len);
ssize_t	 sim_pread(int fd, void *buf, size_t len, off_t off);
ssize_t	 sim_write(int fd, const void *buf, size_t len);
ssize_t	 sim_pwritev(int fd, const struct iovec *iov, int iovcnt, off_t off);
int	 sim_ftruncate(int fd, off_t len);
int	 sim_fsync(int fd);
int	 sim_fdatasync(int fd);

int	 sim_renameat(int olddir, const char *old, int newdir, const char *new);
int	 sim_linkat(int olddir, const char *old, int newdir, const char *new,
	    int flags);
int	 sim_unlinkat(int dirfd, const char *path, int flags);
int	 sim_mkdirat(int dirfd, const char *path, mode_t mode);
DIR	*sim_fdopendir(int fd);
struct dirent	*sim_readdir(DIR *dir);
int	 sim_closedir(DIR *dir);

#endif /* !SIMFS_INTERNAL_H */
