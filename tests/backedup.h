#ifndef BACKEDUP_H
#define BACKEDUP_H

#include <sys/stat.h>

#include <stdbool.h>

#include "store/backup.h"
#include "store/sys.h"
#include "tests/state.h"

/*
 * What the tests of backups share: a closed store, and room for what is made
 * of it.  See the tests named c_backup and c_restore.
 */
#define PATH_SIZE	256

/* The folder of the test; in it the store and three names that are free. */
extern char	 base[STATE_PATH];
extern char	 store[PATH_SIZE], to[PATH_SIZE], earlier[PATH_SIZE],
		    again[PATH_SIZE];
extern char	 open_name[32];		/* the store's last segment */

/* Conversation n of the three. */
#define C(n)	"tenants/acme/conversations/c" #n ".json"

int	 setup(void **state);
int	 teardown(void **state);
#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

/* A command with two words of it filled in; it must succeed. */
void	 shell(const char *fmt, const char *a, const char *b);

/* Of the file DIR/NAME: is it there, what is it, is it one in both? */
bool		 exists(const char *dir, const char *name);
struct stat	 stat_of(const char *dir, const char *name);
bool		 is_shared(const char *a, const char *b, const char *name);
ino_t		 inode_of(int fd);

/* How the store is backed up to dir; borrowed until the next. */
const struct backup_options	*options(const char *dir,
				    const char *against);
/* Do it; it must succeed. */
void	 make(const char *dir, const char *against);
/* Byte for byte what is in the store. */
void	 check_whole(const char *dir);

/* The name of the n-th segment behind the store's last; make it. */
void	 later_segment(int n, char *name);
void	 add_segment(int n, const char *p);

/* --- calls that go another way ------------------------------------------- */

/* The real calls, in a table that is in force until teardown: rows of it may
 * be replaced. */
extern struct sys	 table;
void	 hook(void);
/* The store is on another file system. */
int	 hook_linkat(int from, const char *a, int dest, const char *b,
	    int flags);

#endif /* !BACKEDUP_H */
