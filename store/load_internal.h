#ifndef LOAD_INTERNAL_H
#define LOAD_INTERNAL_H

#include "load.h"
#include "load_file.h"

/* For load.c and load_once.c alone. */

/* What a load brings together before others may see it. */
struct load {
	struct tenant	*tenant;
	int		 fd;		/* of the folder being read */
	struct conversation **v;	/* owned */
	size_t		 n;
	size_t		 size;
	size_t		 nread;		/* those of v that have a document;
					   behind them stand-ins for what
					   lies in quarantine */
	uint64_t	 lsn;		/* highest found */
	enum store_err	 err;
};

/* What a crash left half written, or a daemon writes: never the truth. */
void		 load_unlink_temporary(const struct store *, int dirfd,
		    const char *name);
/* As sys_eachname does, for the folder sub that is read. */
int		 load_each_name(struct load *, const char *sub,
		    int (*visit)(const char *, void *), void *arg);
/* A name that is none of ours, in the folder of the tenant or "/SUB" of it. */
void		 load_stray(const struct load *, const char *sub,
		    const char *name);
/* A file of the tenant itself is damaged; held, it waits for it. */
enum store_err	 load_tenant_damaged(struct tenant *,
		    const struct load_file *);
/* Read the files of once/, in order of time, which is that of the names. */
enum store_err	 load_once(struct load *);

#endif /* !LOAD_INTERNAL_H */
