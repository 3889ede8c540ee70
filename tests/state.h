#ifndef STATE_H
#define STATE_H

#include "store/store.h"

/*
 * A store in a folder of its own, and short words for what tests wish of it.
 * What must succeed aborts the test if it does not.
 */

/* A fresh folder's name in path; remove one with all that is in it. */
#define STATE_PATH	64
void	 state_folder(char path[STATE_PATH]);
void	 state_remove(const char *path);
/* What `cp -r` makes of a folder while somebody writes to it. */
void	 state_copy(const char *from, const char *to);

/* Documents are written when asked for only, and kept for an hour. */
struct store_options	 state_options(const char *path);
struct store		*state_open(const char *path);
void			 state_close(struct store *);

/* The tenant, made if need be, all in memory; give it back. */
struct tenant	*state_tenant(struct store *, const char *name);

/*
 * Changes; all wait until they are durable.  o NULL: the outcome does not
 * matter.  key NULL: without an idempotency key.
 */
enum store_err	 state_commit(struct store *, struct tenant *,
		    const struct change *, struct outcome *o);
enum store_err	 state_create(struct store *, struct tenant *, const char *id,
		    const char *user, const char *key, struct outcome *o);
enum store_err	 state_append(struct store *, struct tenant *, const char *id,
		    const char *item, const char *text, const char *key,
		    struct outcome *o);
enum store_err	 state_retitle(struct store *, struct tenant *,
		    const char *id, const char *title);
enum store_err	 state_delete(struct store *, struct tenant *,
		    const char *id, const char *key);
enum store_err	 state_delete_item(struct store *, struct tenant *,
		    const char *id, const char *item);

/* A message item of that id and text. */
struct item	*state_item(const char *id, const char *text);
/* What state_commit asks with, for key. */
struct change_once state_once(const char *key, const char *body);

/*
 * Everything in memory as text: two stores that say the same here are the
 * same.  New; all tenants are warmed.
 */
char	*state_dump(struct store *);

/* The whole file DIR/NAME, or NULL if it is not there (new). */
char	*state_read(const char *dir, const char *name, size_t *len_r);
void	 state_write(const char *dir, const char *name, const void *p,
	    size_t len);
/* How many names does the folder DIR/NAME hold that contain part? */
int	 state_count(const char *dir, const char *name, const char *part);
/* The first such name's path from DIR; false if there is none. */
bool	 state_find(const char *dir, const char *name, const char *part,
	    char path[256]);

/* Each file below DIR but the lock, with its inode, mode, time and bytes as
 * text (new): what was not touched says the same. */
char	*state_tree(const char *dir);

#endif /* !STATE_H */
