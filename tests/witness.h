#ifndef WITNESS_H
#define WITNESS_H

#include <bsd/sys/cdefs.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/lock.h"
#include "store/store.h"
#include "tests/simfs.h"

/*
 * Clients of a store on a simulated disk that remember what they changed, and
 * how much of it was durable for anybody; and what the next start may show.
 *
 *	witness_init();			first of all, in main
 *	witness_begin(seed);		an empty disk, nothing known
 *	witness_open(), witness_check(), witness_work(client), witness_close()
 *	simfs_power_cut()		and open and check it again
 *
 * The state that a start finds must be what the changes made up to one place
 * in the order of their lsns, no less than what was durable (promises 1, 2, 4
 * and 5), with the bytes that were sent, and nothing set aside.
 */
#define WITNESS_TENANTS	2
#define WITNESS_SLOTS	5	/* conversations a tenant */
#define WITNESS_ITEMS	600	/* that a slot ever holds */

/* A change that the store took. */
struct event {
	uint64_t	 lsn;
	uint64_t	 version;
	enum change_kind kind;
	unsigned	 first;		/* item, title or key; the first */
	unsigned	 n;		/* items */
	unsigned	 key;		/* idempotency key; 0: none */
};

/* A conversation, or a tenant with its keys, and all that befell it. */
struct slot {
	char		 id[ID_SIZE];
	bool		 is_spoilt;	/* by the test: it may be damaged */
	struct event	*v;
	size_t		 n;
	size_t		 size;
};

/* One client a tenant; each with its own numbers. */
struct client {
	char		 name[24];
	struct slot	 self;
	struct slot	 slots[WITNESS_SLOTS];
	uint64_t	 random;	/* chooses what it does */
	unsigned	 next;		/* item, title or key */
	unsigned	 steps;		/* that witness_work makes */
	bool		 is_quiet;	/* it does not ask for flushes */
	struct thread	 thread;
	struct tenant	*t;		/* while the store is open */
};

struct witness {
	struct client	 clients[WITNESS_TENANTS];
	struct store_options options;	/* to be changed after begin */
	struct store	*s;
	uint64_t	 known;		/* every lsn up to it was durable for
					   somebody */
	bool		 is_excused;	/* the test planted what may fail */
	bool		 is_spoilt;	/* the test did harm to something, so
					   that files may be set aside */
};
extern struct witness	 witness;

/* Put the simulated disk in force, and keep the log until something is wrong;
 * the end of main, given what cmocka says. */
void	 witness_init(void);
int	 witness_result(int failed);
/* An empty disk and clients that know nothing. */
void	 witness_begin(uint64_t seed);

/* Open the store.  Returns false if it does not, which is complained about
 * unless the disk was stopped or a fault planted. */
bool	 witness_open(void);
/* Compare what is there with what may be, which is then known to be durable.
 * Returns false if the disk went, or failed, before that could be seen. */
bool	 witness_check(void);
/* Retry what was done with keys: the first outcome comes again. */
void	 witness_retry(void);
/* Let a struct client make its steps; ends early if the store takes none. */
void	 witness_work(void *client);
/* Append an item to the client's first conversation that is there, and wait
 * for it; which that is. */
struct slot *witness_append(struct client *);
/* Damage the document of one of the client's conversations: which. */
struct slot *witness_spoil(struct client *);
/* Damage the last batch but one of the journal, a change of that slot. */
void	 witness_spoil_journal(struct slot *);
/* Delete one that may be damaged; once that is durable, it is not. */
void	 witness_delete(struct client *, struct slot *);
/* Wait until all changes are durable. */
void	 witness_wait(void);
/*
 * Note what is durable, see that readers are shown no more, and close the
 * store.  If that succeeds, what its clients did is on the disk; is_checked:
 * witness_check has returned true, so that they all did it in this store.
 */
void	 witness_close(bool is_checked);

/* From 0 to below n. */
uint64_t witness_draw(uint64_t *random, uint64_t n);

/* Say what is wrong; the first counts.  Any thread. */
void	 witness_complain(const char *fmt, ...) __printflike(1, 2);
bool	 witness_has_complaint(void);
/* Write the complaint, what a reader of it wants to know, and fmt. */
void	 witness_report(const char *fmt, ...) __printflike(1, 2);
/* One line for who runs the test. */
void	 witness_tell(const char *fmt, ...) __printflike(1, 2);

#endif /* !WITNESS_H */
