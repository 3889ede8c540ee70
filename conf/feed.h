#ifndef FEED_H
#define FEED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct conf;

/*
 * Lines of an export, on their way into the store by POST /admin/v1/import:
 *
 *	feed_new --> feed_line, often --> feed_end
 *
 * Lines are gathered into requests of some MiB, and a conversation that is
 * longer than that is cut into parts, which the store shows all at once (see
 * fcgi/api_admin_import.c).  The daemon may run or not.  What went in is
 * durable; a feed that failed may be begun again, for what is there is
 * skipped.  All block.
 */
struct feed;

struct feed_counts {
	uint64_t	 imported;
	uint64_t	 replaced;
	uint64_t	 skipped;
	uint64_t	 failed;
	uint64_t	 items;
	uint64_t	 tenants;	/* made */
};

/* tenant: where to, whatever the lines say, or NULL; borrowed as conf is.
 * Returns it (new), or NULL after saying why. */
struct feed	*feed_new(const struct conf *, const char *tenant,
		    bool replaces);
/*
 * One line without its newline.
 * Returns 0, or -1 after saying why nothing more goes in; what is wrong with
 * a single line is said, counted, and no reason to stop.
 */
int		 feed_line(struct feed *, const char *line, size_t len);
/* Send the rest and free it, also after an error.  Returns as feed_line. */
int		 feed_end(struct feed *, struct feed_counts *);

#endif /* !FEED_H */
