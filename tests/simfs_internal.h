#ifndef SIMFS_INTERNAL_H
#define SIMFS_INTERNAL_H

#include <bsd/sys/queue.h>

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/lock.h"

#include "tests/simfs.h"

/* For simfs.c, the disk, and simfs_calls.c, the table of calls. */

#define SIMFS_NAME	256
#define SIMFS_SECTOR	512

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

void	 bytes_put(struct bytes *, size_t off, const void *p, size_t len);
void	 bytes_size(struct bytes *, size_t len);

struct inode	*inode_new(bool is_dir, const char *label);
struct inode	*names_find(const struct name_list *, const char *name);

/* Let name in dir be inode, or nothing, as part of the present call. */
void	 dir_set(struct inode *dir, const char *name, struct inode *inode);
/* Write to the cache. */
void	 file_write(struct inode *, size_t off, const void *p, size_t len);
/* What fsync does, and what it leaves if it fails. */
void	 inode_sync(struct inode *);
void	 inode_sync_failed(struct inode *);

#endif /* !SIMFS_INTERNAL_H */
