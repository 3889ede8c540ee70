#ifndef DAMAGED_H
#define DAMAGED_H

#include <sys/types.h>

#include <stdbool.h>

#include "tests/crashed.h"

/*
 * What the tests of damage share: every kind of it, and what a start must make
 * of it.  See the tests named c_damage.
 */
#define TENANT	"tenants/acme/tenant.json"

/* --- a disk that is bad in one place ------------------------------------ */

/* Files whose path ends so cannot be opened, or, with error 0, not be read
 * from `from` to `to`. */
void	 disk_is_bad(const char *path, int error, off_t from, off_t to);
void	 disk_is_good(void);

/* --- what is done to a file --------------------------------------------- */

/* Room for a path in the store, and for what it is saved as. */
#define PATH	(STATE_PATH + 512)
void	 path_of(const char *name, char path[PATH]);
/* Does anything stand by that name, be it a link to nothing? */
bool	 stands(const char *name);

void	 remove_file(const char *name);
void	 make_folder(const char *name);
void	 make_fifo(const char *name);
/* To the very document, elsewhere: a copy of the store would not have it. */
void	 make_link(const char *name);
void	 make_dangling(const char *name);

/* All there are, the above among them. */
#define NKINDS	11
extern const struct kind {
	const char	*name;
	void		 (*damage)(const char *file);
	bool		 stays;		/* in its place: it can be mended */
} kinds[NKINDS];

/*
 * A store that crashed with all in documents, without its journal, and the
 * name of a copy of it.  Returns what it holds (new).
 */
char	*flush_and_save(char saved[PATH]);

/* --- what comes of it --------------------------------------------------- */

/* Strict, it does not open, says where, and nothing in it changes. */
void	 strict_refuses(const char *what);
/* Strict, it opens, and holds just this. */
void	 strict_opens(const char *text);
/* The rest of a store whose acme, or its a, is damaged. */
void	 rest_is_served(struct store *);

/* Makes the disk good, too. */
int	 damaged_teardown(void **state);
#undef TEST
#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, damaged_teardown)

#endif /* !DAMAGED_H */
