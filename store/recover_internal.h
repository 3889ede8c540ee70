#ifndef RECOVER_INTERNAL_H
#define RECOVER_INTERNAL_H

#include <bsd/sys/cdefs.h>
#include <bsd/sys/queue.h>
#include <bsd/sys/tree.h>

#include "buf.h"
#include "conversation.h"
#include "jsonscan.h"
#include "record.h"
#include "segment.h"
#include "store.h"

/* For recover.c, replay.c and lost.c alone. */

/* A conversation of which the journal lost a change. */
struct gap {
	struct conversation *conversation;
	uint64_t	 version;	/* that follows, and cannot */
};

/* What the journal changes, and neither document nor creation is there of. */
struct orphan {
	RB_ENTRY(orphan) node;
	char	 tenant[TENANT_NAME_MAX + 1];
	char	 what[ID_SIZE];		/* a conversation, or "the tenant" */
	bool	 is_copy;		/* the segment was one */
	uint64_t lsn;			/* of the first change */
};
RB_HEAD(orphans, orphan);

/* A name in tenants/ with nothing of a tenant in it. */
struct stray {
	SLIST_ENTRY(stray) link;
	char	 name[TENANT_NAME_MAX + 1];
};
SLIST_HEAD(strays, stray);

/* One segment found. */
struct found {
	char	 name[SEGMENT_NAME];
	struct segment_report report;
};

struct recovery {
	struct store	*store;
	struct found	*v;
	size_t		 n;
	uint64_t	 max;		/* highest lsn seen or named */
	uint64_t	 durable;	/* highest lsn vouched for */
	uint64_t	 applied;	/* records */
	int64_t		 at;		/* of the last batch; 0: none */
	struct segment_report report;	/* of the segment being read */
	char	 file[SEGMENT_NAME + 8];	/* its path in the store */
	uint64_t bad_lsn;	/* behind its first damaged place; 0: none */
	bool	 is_failed;	/* a record could not be applied; logged */
	bool		 has_hole;	/* that cut off changes */
	bool		 left_out;	/* what is damaged, and not in it yet,
					   stands in the segment being read */
	uint64_t run_first;	/* of the records up to run_last, all seen, */
	uint64_t run_last;	/* and kept if left out; 0: none */
	struct gap	*gaps;
	size_t		 ngaps;
	struct strays	 strays;
	struct orphans	 orphans;	/* not deleted in the journal either */
	/* The last batch in order of lsn. */
	struct buf	 tail;
	uint64_t	 tail_first;
	uint64_t	 tail_last;
};

/*
 * Apply the record in line, if what is in memory does not hold it already.
 * Its tenant is loaded as far as that needs.  Returns 0, or -1 logged.
 */
int	 replay_record(struct recovery *, struct span line, uint64_t lsn);

/*
 * What the journal lost (lost.c).  A gap: a version of this conversation that
 * r cannot follow.  An orphan: what r changes has neither a document nor a
 * creation; it is forgotten again when a later record deletes it or makes it
 * anew.  Both return 0, or -1 for want of memory; the tenant is locked.
 */
int	 lost_gap(struct recovery *, struct conversation *,
	    const struct record *);
/* It is about to be freed: another takes its place. */
void	 lost_gap_forget(struct recovery *, const struct conversation *);
int	 lost_orphan(struct recovery *, const struct record *,
	    const char *what);
void	 lost_orphan_forget(struct recovery *, const struct record *,
	    const char *what);
/* The gap of a store that is only read: what there is of it is shown. */
void	 lost_gap_tell(struct recovery *, const struct conversation *);

/*
 * Set aside what there is of the conversations with gaps, and note that of
 * orphans which the journal does not delete, so that they stay damaged when
 * the journal has gone.  Returns 0, or -1 logged.
 */
int	 lost_set_aside(struct recovery *);

/* Tell of the orphans that are left, once each, and free them. */
void	 lost_tell(struct recovery *);

#endif /* !RECOVER_INTERNAL_H */
