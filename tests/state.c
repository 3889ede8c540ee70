#include <sys/stat.h>

#include <assert.h>
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bsd/string.h>

#include <xxhash.h>

#include "store/document.h"
#include "store/load.h"
#include "store/store_internal.h"
#include "store/sys.h"
#include "tests/state.h"

/* Tests are built with assert; one that cannot go on says where. */
#define MUST(x)	do {							\
	if (!(x)) {							\
		fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x);	\
		abort();						\
	}								\
} while (0)

/* --- folders and files -------------------------------------------------- */

void
state_folder(char path[STATE_PATH])
{
	const char *tmp = getenv("TMPDIR");

	(void)snprintf(path, STATE_PATH, "%.30s/rememberd-test-XXXXXX",
	    tmp != NULL ? tmp : "/tmp");
	MUST(mkdtemp(path) != NULL);
}

static void
shell(const char *what, const char *a, const char *b)
{
	char line[512];

	(void)snprintf(line, sizeof(line), "%s '%s' '%s'", what, a, b);
	MUST(system(line) == 0);
}

void
state_remove(const char *path)
{

	shell("rm -rf", path, path);
}

void
state_copy(const char *from, const char *to)
{
	char line[512];

	state_remove(to);
	/* Of temporary files that are gone by then it complains. */
	(void)snprintf(line, sizeof(line), "cp -r '%s' '%s' 2>/dev/null", from,
	    to);
	MUST(system(line) != -1);
	MUST(access(to, R_OK) == 0);
}

char *
state_read(const char *dir, const char *name, size_t *len_r)
{
	char path[512], *p = NULL;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	if (sys_readfile(AT_FDCWD, path, SIZE_MAX / 4, &p, len_r) == -1)
		return (NULL);
	return (p);
}

void
state_write(const char *dir, const char *name, const void *p, size_t len)
{
	char path[512];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	MUST((f = fopen(path, "w")) != NULL);
	MUST(fwrite(p, 1, len, f) == len);
	MUST(fclose(f) == 0);
}

/* Count the names that hold part; the least of them into first. */
static int
scan(const char *dir, const char *name, const char *part, char first[256])
{
	char path[512];
	struct dirent *e;
	DIR *d;
	int n = 0;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	first[0] = '\0';
	if ((d = opendir(path)) == NULL)
		return (0);
	while ((e = readdir(d)) != NULL) {
		if (strcmp(e->d_name, ".") == 0 ||
		    strcmp(e->d_name, "..") == 0 ||
		    strstr(e->d_name, part) == NULL)
			continue;
		if (n++ == 0 || strcmp(e->d_name, first) < 0)
			strlcpy(first, e->d_name, 256);
	}
	closedir(d);
	return (n);
}

int
state_count(const char *dir, const char *name, const char *part)
{
	char first[256];

	return (scan(dir, name, part, first));
}

bool
state_find(const char *dir, const char *name, const char *part, char path[256])
{
	char first[256];

	if (scan(dir, name, part, first) == 0)
		return (false);
	strlcpy(path, name, 256);
	strlcat(path, "/", 256);
	strlcat(path, first, 256);
	return (true);
}

static struct buf tree;		/* of the walk that is under way */

static int
add_file(const char *path, const struct stat *st, int type, struct FTW *at)
{
	char *p = NULL;
	size_t len = 0;

	if (strcmp(path + at->base, "lock") == 0)
		return (0);
	if (type == FTW_F && S_ISREG(st->st_mode))
		MUST(sys_readfile(AT_FDCWD, path, SIZE_MAX / 4, &p,
		    &len) == 0);
	buf_addf(&tree, "%s %o %ju %jd.%09ld %016jx\n", path, st->st_mode,
	    (uintmax_t)st->st_ino, type == FTW_D ? 0 :
	    (intmax_t)st->st_mtim.tv_sec, type == FTW_D ? 0 :
	    st->st_mtim.tv_nsec, (uintmax_t)XXH3_64bits(p, len));
	free(p);
	return (0);
}

static int
cmp_line(const void *a, const void *b)
{

	return (strcmp(*(char *const *)a, *(char *const *)b));
}

/* The lines in order, whatever the order of the walk. */
static char *
sorted(char *text)
{
	struct buf b = BUF_INITIALIZER;
	char *v[4096], *p, *save = NULL;
	size_t i, n = 0;

	for (p = strtok_r(text, "\n", &save); p != NULL;
	    p = strtok_r(NULL, "\n", &save)) {
		MUST(n < sizeof(v) / sizeof(v[0]));
		v[n++] = p;
	}
	qsort(v, n, sizeof(v[0]), cmp_line);
	for (i = 0; i < n; i++)
		buf_addf(&b, "%s\n", v[i]);
	free(text);
	MUST((p = buf_take(&b, &n)) != NULL);
	return (p);
}

char *
state_tree(const char *path)
{
	const struct sys *before = sys;
	char *p;
	size_t len;

	/* Whatever calls fail: those of this do not. */
	sys = &sys_real;
	buf_init(&tree);
	MUST(nftw(path, add_file, 16, FTW_PHYS) == 0);
	sys = before;
	MUST((p = buf_take(&tree, &len)) != NULL);
	return (sorted(p));
}

/* --- stores ------------------------------------------------------------- */

struct store_options
state_options(const char *path)
{

	return ((struct store_options){
		.dir = path,
		.flush_ms = 3600 * 1000,
		.keep_ms = 3600 * 1000,
		.journal_limit = (size_t)64 << 20,
		.journal_segment = 64 << 10,
		.once_limit = 1000,
	});
}

struct store *
state_open(const char *path)
{
	struct store_options o = state_options(path);
	struct store *s;
	pid_t holder;

	MUST(store_open(&o, &s, &holder) == 0);
	return (s);
}

void
state_close(struct store *s)
{

	MUST(store_close(s) == 0);
}

/* Have all of it in memory; NULL if there is no such tenant. */
static struct tenant *
warm(struct store *s, const char *name)
{
	struct tenant *t;
	enum store_err err;
	int i;

	for (i = 0; i < 3; i++) {
		err = store_tenant_get(s, name, strlen(name), &t);
		if (err == STORE_OK && tenant_is_loaded(t))
			return (t);
		if (err == STORE_OK)
			store_tenant_put(t);
		else if (err != STORE_COLD)
			return (NULL);
		MUST(store_warm(s, name, strlen(name)) == STORE_OK);
	}
	MUST(!"warmed for ever");
	return (NULL);
}

struct tenant *
state_tenant(struct store *s, const char *name)
{
	struct change ch = { .kind = CHANGE_TENANT_CREATE, .tenant = name };
	struct tenant *t;

	if ((t = warm(s, name)) != NULL)
		return (t);
	MUST(state_commit(s, NULL, &ch, NULL) == STORE_OK);
	MUST((t = warm(s, name)) != NULL);
	return (t);
}

/* --- changes ------------------------------------------------------------ */

enum store_err
state_commit(struct store *s, struct tenant *t, const struct change *ch,
    struct outcome *o)
{
	struct outcome mine;
	enum store_err err;

	err = store_commit(s, t, ch, o != NULL ? o : &mine);
	if (err == STORE_OK)
		MUST(store_wait(s, o != NULL ? o->lsn : mine.lsn) == STORE_OK);
	if (o == NULL)
		store_outcome_fini(&mine);
	return (err);
}

struct item *
state_item(const char *id, const char *text)
{
	struct buf b = BUF_INITIALIZER;
	struct item *it;

	buf_addf(&b, "{\"type\":\"message\",\"role\":\"user\",\"content\":"
	    "[{\"type\":\"input_text\",\"text\":");
	buf_jsons(&b, text);
	buf_addf(&b, "}],\"id\":\"%s\",\"status\":\"completed\"}", id);
	MUST(buf_ok(&b));
	MUST((it = item_new(id, b.data, b.len)) != NULL);
	buf_fini(&b);
	return (it);
}

struct change_once
state_once(const char *key, const char *body)
{
	struct change_once o = { .key = key, .scope = 7, .credential = 9 };

	strlcpy((char *)o.body, body, sizeof(o.body));
	return (o);
}

enum store_err
state_create(struct store *s, struct tenant *t, const char *id,
    const char *user, const char *key, struct outcome *o)
{
	struct change_once once = state_once(key, "create");
	struct change ch = { .kind = CHANGE_CONVERSATION_CREATE,
	    .user = user, .once = key != NULL ? &once : NULL };

	strlcpy(ch.conversation, id, sizeof(ch.conversation));
	return (state_commit(s, t, &ch, o));
}

enum store_err
state_append(struct store *s, struct tenant *t, const char *id,
    const char *item, const char *text, const char *key, struct outcome *o)
{
	struct change_once once = state_once(key, text);
	struct item *it = state_item(item, text);
	struct change ch = { .kind = CHANGE_ITEMS_APPEND, .items = &it,
	    .nitems = 1, .once = key != NULL ? &once : NULL };
	enum store_err err;

	strlcpy(ch.conversation, id, sizeof(ch.conversation));
	err = state_commit(s, t, &ch, o);
	item_unref(it);
	return (err);
}

enum store_err
state_retitle(struct store *s, struct tenant *t, const char *id,
    const char *title)
{
	struct change ch = { .kind = CHANGE_CONVERSATION_UPDATE,
	    .title = title, .title_len = title == NULL ? 0 : strlen(title),
	    .has_title = true };

	strlcpy(ch.conversation, id, sizeof(ch.conversation));
	return (state_commit(s, t, &ch, NULL));
}

enum store_err
state_delete(struct store *s, struct tenant *t, const char *id,
    const char *key)
{
	struct change_once once = state_once(key, "delete");
	struct change ch = { .kind = CHANGE_CONVERSATION_DELETE,
	    .once = key != NULL ? &once : NULL };

	strlcpy(ch.conversation, id, sizeof(ch.conversation));
	return (state_commit(s, t, &ch, NULL));
}

enum store_err
state_delete_item(struct store *s, struct tenant *t, const char *id,
    const char *item)
{
	struct change ch = { .kind = CHANGE_ITEM_DELETE };

	strlcpy(ch.conversation, id, sizeof(ch.conversation));
	strlcpy(ch.item, item, sizeof(ch.item));
	return (state_commit(s, t, &ch, NULL));
}

/* --- all of it as text -------------------------------------------------- */

/* Tombstones are left out: replay may bring back one that was swept. */
static void
dump_conversation(struct conversation *c, struct buf *b)
{

	if (c->is_deleted)
		return;
	if (c->is_damaged)
		buf_addf(b, "%s is damaged\n", c->id);
	else
		document_conversation(c, "0000000000000000", b);
	buf_json(b, c->preview.p, c->preview.len);
	buf_addf(b, " listed %d\n", c->is_listed);
}

static void
dump_tenant(struct tenant *t, struct buf *b)
{
	struct conversation *c;
	struct once *r;

	lock_take(&t->lck);
	document_tenant(t, "0000000000000000", b);
	TAILQ_FOREACH(r, &t->once.keyed, link) {
		once_encode(r, b);
		buf_addc(b, '\n');
	}
	RB_FOREACH(c, conversation_ids, &t->ids) {
		lock_take(&c->lck);
		dump_conversation(c, b);
		lock_give(&c->lck);
	}
	buf_addf(b, "%zu conversations\n", t->nconversations);
	lock_give(&t->lck);
}

struct dump {
	struct store	*store;
	struct buf	 b;
};

static int
visit_tenant(const char *name, void *arg)
{
	struct dump *d = arg;
	struct tenant *t;

	if ((t = warm(d->store, name)) == NULL)
		return (0);
	dump_tenant(t, &d->b);
	store_tenant_put(t);
	return (0);
}

char *
state_dump(struct store *s)
{
	struct dump d = { s, BUF_INITIALIZER };
	size_t len;
	char *text;

	MUST(store_tenants(s, visit_tenant, &d) == 0);
	MUST((text = buf_take(&d.b, &len)) != NULL);
	return (text);
}
