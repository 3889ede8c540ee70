/*
 * make_vectors FOLDER: small stores of the present format into FOLDER, each
 * with what must be found in it, for tests/c_vectors.  A format that was
 * released is never made again: a later one gets a folder of its own,
 *
 *	make vectors FORMAT=2
 *
 *	NAME/store		the store, without its lock
 *	NAME/expected.txt	all that is in memory after it was opened
 */

#include <sys/stat.h>
#include <sys/wait.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bsd/err.h>
#include <bsd/string.h>

#include "store/segment.h"
#include "tests/state.h"

static char out[256];		/* FOLDER/NAME/expected.txt's folder */

/* What is there now is what is expected. */
static void
expect(struct store *s)
{
	char *text = state_dump(s);

	state_write(out, "expected.txt", text, strlen(text));
	free(text);
}

static void
must(enum store_err err)
{

	if (err != STORE_OK)
		errx(1, "a change was refused: %d", (int)err);
}

/* Keys are made up for this, and open nothing. */
static void
add_keys(struct store *s, struct tenant *t)
{
	struct credential k = { .id = "key_vector", .label = "a \"label\"",
	    .created_at = 1760000000000 };
	struct change ch = { .kind = CHANGE_APIKEY_ADD, .credential = &k };

	memset(k.hash, 0x5a, sizeof(k.hash));
	must(state_commit(s, t, &ch, NULL));
	strlcpy(k.id, "kid-1", sizeof(k.id));
	memcpy(k.secret, "not a secret", 12);
	k.secret_len = 12;
	ch.kind = CHANGE_JWTKEY_ADD;
	must(state_commit(s, t, &ch, NULL));
}

static void
describe(struct store *s, struct tenant *t, const char *id)
{
	static const char title[] = "Gr\xc3\xbc\xc3\x9f" "e "
	    "\xf0\x9f\x8c\x8d\0\n";
	static const char metadata[] = "{\"k\":\"v \\u0000 \xe2\x82\xac\","
	    "\"topic\":\"x\"}";
	struct change ch = { .kind = CHANGE_CONVERSATION_UPDATE,
	    .title = title, .title_len = sizeof(title) - 1, .has_title = true,
	    .metadata = { metadata, sizeof(metadata) - 1 },
	    .has_metadata = true };

	strlcpy(ch.conversation, id, sizeof(ch.conversation));
	must(state_commit(s, t, &ch, NULL));
}

/* Something of everything. */
static void
fill(struct store *s)
{
	struct tenant *t = state_tenant(s, "acme"), *u;

	add_keys(s, t);
	must(state_create(s, t, "conv_a", "user \"1\"", "key-a", NULL));
	must(state_append(s, t, "conv_a", "msg_1", "one", NULL, NULL));
	must(state_append(s, t, "conv_a", "msg_2", "\xe4\xb8\xad\xe6\x96\x87 "
	    "\xf0\x9f\x98\x80 \"\\\n", "key \"2\"", NULL));
	must(state_append(s, t, "conv_a", "msg_3", "three", NULL, NULL));
	/* Positions have gaps now, in the middle and at the end. */
	must(state_delete_item(s, t, "conv_a", "msg_1"));
	must(state_append(s, t, "conv_a", "msg_4", "four", NULL, NULL));
	must(state_delete_item(s, t, "conv_a", "msg_4"));
	describe(s, t, "conv_a");
	must(state_create(s, t, "conv_b", NULL, NULL, NULL));
	must(state_create(s, t, "conv_gone", NULL, "key-g", NULL));
	must(state_delete(s, t, "conv_gone", "key-d"));
	store_tenant_put(t);
	u = state_tenant(s, "other");
	must(state_create(s, u, "conv_a", "someone", NULL, NULL));
	must(state_append(s, u, "conv_a", "msg_1", "elsewhere", NULL, NULL));
	store_tenant_put(u);
}

static void
more(struct store *s)
{
	struct tenant *t = state_tenant(s, "acme");

	must(state_append(s, t, "conv_b", "msg_9", "late", "key-late", NULL));
	must(state_retitle(s, t, "conv_b", NULL));
	must(state_create(s, t, "conv_c", "user \"2\"", NULL, NULL));
	store_tenant_put(t);
}

static void
documents(struct store *s)
{

	fill(s);
	expect(s);
	if (store_flush(s) == -1)
		errx(1, "flush");
}

static void
journal(struct store *s)
{

	fill(s);
	expect(s);
}

static void
both(struct store *s)
{

	fill(s);
	if (store_flush(s) == -1)
		errx(1, "flush");
	more(s);
	expect(s);
}

/* Its last batch is cut in the middle afterwards. */
static void
torn(struct store *s)
{
	struct tenant *t;

	fill(s);
	expect(s);
	t = state_tenant(s, "other");
	must(state_append(s, t, "conv_a", "msg_torn", "never acknowledged",
	    NULL, NULL));
	store_tenant_put(t);
}

static const struct vector {
	const char	*name;
	void		 (*work)(struct store *);
	size_t		 cut;		/* bytes of the journal's end */
	bool		 has_journal;
} vectors[] = {
	{ "documents", documents, 0, false },
	{ "journal", journal, 0, true },
	{ "documents-and-journal", both, 0, true },
	{ "torn", torn, 40, true },
};

/* Take out the zeros at the end of each segment, and those without a batch. */
static void
shrink(const char *store, const struct vector *v)
{
	char path[512], name[800];
	struct dirent *e;
	size_t len;
	char *p;
	DIR *d;

	(void)snprintf(path, sizeof(path), "%s/journal", store);
	if ((d = opendir(path)) == NULL)
		err(1, "%s", path);
	while ((e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		(void)snprintf(name, sizeof(name), "%s/%s", path, e->d_name);
		if ((p = state_read(path, e->d_name, &len)) == NULL)
			err(1, "%s", name);
		while (len > 0 && p[len - 1] == '\0')
			len--;
		if (!v->has_journal || len <= SEGMENT_HEADER)
			(void)unlink(name);
		else
			state_write(path, e->d_name, p, len - v->cut);
		free(p);
	}
	closedir(d);
}

/* As a crash would leave it: nothing is closed. */
static void
make(const char *folder, const struct vector *v)
{
	char dir[STATE_PATH], store[300], lock[320];
	struct store *s;
	pid_t pid;
	int status;

	(void)snprintf(out, sizeof(out), "%s/%s", folder, v->name);
	if (mkdir(out, 0755) == -1)
		err(1, "%s", out);
	state_folder(dir);
	if ((pid = fork()) == -1)
		err(1, "fork");
	if (pid == 0) {
		s = state_open(dir);
		v->work(s);
		_exit(0);
	}
	if (waitpid(pid, &status, 0) == -1 || status != 0)
		errx(1, "%s could not be made", v->name);
	(void)snprintf(store, sizeof(store), "%s/store", out);
	state_copy(dir, store);
	state_remove(dir);
	(void)snprintf(lock, sizeof(lock), "%s/lock", store);
	(void)unlink(lock);
	shrink(store, v);
}

int
main(int argc, char **argv)
{
	size_t i;

	if (argc != 2)
		errx(2, "usage: make_vectors FOLDER");
	if (mkdir(argv[1], 0755) == -1)
		err(1, "%s", argv[1]);
	for (i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++)
		make(argv[1], &vectors[i]);
	return (0);
}
