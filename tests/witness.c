#include <sys/mman.h>

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bsd/string.h>

#include "tests/state.h"
#include "tests/witness_internal.h"

struct witness	 witness;

static FILE	*report;
static struct lock lck = LOCK_INITIALIZER(LOCK_HELPER);
static char	 complaint[256];	/* under lck */

/* The end of the log since witness_begin. */
static size_t
read_log(char *log, size_t size)
{
	off_t end = lseek(STDERR_FILENO, 0, SEEK_END);
	off_t from = end > (off_t)size ? end - (off_t)size : 0;
	ssize_t n = pread(STDERR_FILENO, log, size, from);

	return (n > 0 ? (size_t)n : 0);
}

/* cmocka, too, has only standard error to complain to. */
static bool
has_failure(void)
{
	static const char error[] = "[  ERROR   ]";
	char log[8192];
	size_t len = read_log(log, sizeof(log));

	return (memmem(log, len, error, sizeof(error) - 1) != NULL);
}

static void
show_log(void)
{
	char log[8192];
	size_t len = read_log(log, sizeof(log));

	(void)fflush(report);
	(void)!write(fileno(report), log, len);
}

static void
aborted(int signo)
{
	(void)signo;
	show_log();
	_exit(1);
}

void
witness_init(void)
{
	int fd = memfd_create("log", MFD_CLOEXEC);

	/* Each end is logged, as it should: nobody reads ten thousand. */
	report = fdopen(dup(STDERR_FILENO), "w");
	if (report == NULL || fd == -1 || dup2(fd, STDERR_FILENO) == -1)
		abort();
	(void)signal(SIGABRT, aborted);
	simfs_init();
}

int
witness_result(int failed)
{
	if (failed != 0)
		show_log();
	return (failed);
}

/* --- what is wrong ------------------------------------------------------ */

void
witness_complain(const char *fmt, ...)
{
	va_list ap;

	lock_take(&lck);
	if (complaint[0] == '\0') {
		va_start(ap, fmt);
		(void)vsnprintf(complaint, sizeof(complaint), fmt, ap);
		va_end(ap);
	}
	lock_give(&lck);
}

bool
witness_has_complaint(void)
{
	bool has;

	lock_take(&lck);
	has = complaint[0] != '\0';
	lock_give(&lck);
	return (has);
}

void
witness_show(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vfprintf(report, fmt, ap);
	va_end(ap);
}

void
witness_tell(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vfprintf(report, fmt, ap);
	va_end(ap);
	(void)fputc('\n', report);
	(void)fflush(report);
}

void
witness_report(const char *fmt, ...)
{
	va_list ap;

	simfs_trace(report);
	show_log();
	va_start(ap, fmt);
	(void)vfprintf(report, fmt, ap);
	va_end(ap);
	witness_tell(": %s", complaint);
}

/* --- what clients know -------------------------------------------------- */

static void
clear_client(struct client *c, int i)
{
	int k;

	free(c->self.v);
	for (k = 0; k < WITNESS_SLOTS; k++)
		free(c->slots[k].v);
	memset(c, 0, sizeof(*c));
	(void)snprintf(c->name, sizeof(c->name), "tenant%d", i);
	strlcpy(c->self.id, c->name, sizeof(c->self.id));
	for (k = 0; k < WITNESS_SLOTS; k++)
		(void)snprintf(c->slots[k].id, ID_SIZE, "conv_%d_%d", i, k);
	c->next = 1;
}

void
witness_begin(uint64_t seed)
{
	int i;

	simfs_reset(seed);
	if (has_failure())
		show_log();
	(void)!ftruncate(STDERR_FILENO, 0);
	(void)lseek(STDERR_FILENO, 0, SEEK_SET);
	for (i = 0; i < WITNESS_TENANTS; i++)
		clear_client(&witness.clients[i], i);
	witness.options = state_options("/store");
	witness.known = 0;
	witness.is_spoilt = witness.is_excused = false;
}

uint64_t
witness_draw(uint64_t *random, uint64_t n)
{
	*random = *random * UINT64_C(6364136223846793005) +
	    UINT64_C(1442695040888963407);
	return ((*random >> 33) % n);
}

static struct event *
add_event(struct slot *slot)
{
	if (slot->n == slot->size) {
		slot->size = slot->size == 0 ? 64 : 2 * slot->size;
		slot->v = realloc(slot->v, slot->size * sizeof(*slot->v));
		if (slot->v == NULL)
			abort();
	}
	memset(&slot->v[slot->n], 0, sizeof(*slot->v));
	return (&slot->v[slot->n++]);
}

static void
drop_item(struct facts *f, unsigned item)
{
	unsigned i, n = 0;

	for (i = 0; i < f->nitems; i++)
		if (f->items[i] != item)
			f->items[n++] = f->items[i];
	f->nitems = n;
}

static void
add_items(struct facts *f, unsigned first, unsigned n)
{
	for (; n > 0 && f->nitems < WITNESS_ITEMS; n--)
		f->items[f->nitems++] = first++;
}

static void
apply(struct facts *f, const struct event *e)
{
	switch (e->kind) {
	case CHANGE_CONVERSATION_CREATE:
	case CHANGE_TENANT_CREATE:
		memset(f, 0, sizeof(*f));
		f->exists = true;
		add_items(f, e->first, e->n);
		break;
	case CHANGE_CONVERSATION_DELETE:
		memset(f, 0, sizeof(*f));
		break;
	case CHANGE_CONVERSATION_UPDATE:
		f->title = e->first;
		break;
	case CHANGE_ITEMS_APPEND:
	case CHANGE_APIKEY_ADD:
		add_items(f, e->first, e->n);
		break;
	case CHANGE_ITEM_DELETE:
	case CHANGE_APIKEY_REVOKE:
		drop_item(f, e->first);
		break;
	default:
		abort();
	}
	if (f->exists)
		f->version = e->version;
}

/* What the slot is once everything up to lsn has happened. */
void
witness_facts(const struct slot *slot, uint64_t lsn, struct facts *f)
{
	size_t i;

	memset(f, 0, sizeof(*f));
	for (i = 0; i < slot->n && slot->v[i].lsn <= lsn; i++)
		apply(f, &slot->v[i]);
}

/* Mostly short; some longer than a sector, few than a segment. */
static void
text_of(unsigned item, char text[6000])
{
	unsigned h = item * 2654435761u, len = 10 + h % 40;

	if (h % 7 == 0)
		len = 300 + h % 700;
	if (h % 61 == 0)
		len = 3000 + h % 2900;
	memset(text, 'a' + (int)(h % 26), len);
	text[len] = '\0';
}

static void
item_id(unsigned item, char id[ID_SIZE])
{
	(void)snprintf(id, ID_SIZE, "i%u", item);
}

struct item *
witness_item(unsigned item)
{
	char id[ID_SIZE], text[6000];

	item_id(item, id);
	text_of(item, text);
	return (state_item(id, text));
}

/* --- one change --------------------------------------------------------- */

/* The store may refuse: its disk has gone, or a planted fault has come. */
bool
witness_may_fail(void)
{
	return (simfs_is_stopped() || simfs_has_failed() ||
	    witness.is_excused);
}

static struct facts *
facts_now(const struct slot *slot)
{
	static _Thread_local struct facts f;

	witness_facts(slot, UINT64_MAX, &f);
	return (&f);
}

void
wish_init(struct wish *w, const struct client *c, const struct slot *slot,
    const struct event *e)
{
	unsigned i;

	memset(w, 0, sizeof(*w));
	w->ch.kind = e->kind;
	w->ch.tenant = c->name;
	strlcpy(w->ch.conversation, slot->id, sizeof(w->ch.conversation));
	item_id(e->first, w->ch.item);
	w->ch.has_title = e->kind == CHANGE_CONVERSATION_UPDATE;
	if (w->ch.has_title) {
		(void)snprintf(w->title, sizeof(w->title), "t%u", e->first);
		w->ch.title = w->title;
		w->ch.title_len = strlen(w->title);
	}
	(void)snprintf(w->credential.id, sizeof(w->credential.id), "key_%u",
	    e->first);
	w->ch.credential = &w->credential;
	(void)snprintf(w->key, sizeof(w->key), "k%u", e->key);
	w->once = state_once(w->key, "body");
	w->ch.once = e->key != 0 ? &w->once : NULL;
	w->ch.items = w->items;
	w->ch.nitems = e->kind == CHANGE_APIKEY_ADD ? 0 : e->n;
	for (i = 0; i < w->ch.nitems; i++)
		w->items[i] = witness_item(e->first + i);
}

void
wish_fini(struct wish *w)
{
	size_t i;

	for (i = 0; i < w->ch.nitems; i++)
		item_unref(w->items[i]);
}

/* Note that the store took the change. */
static void
note_event(struct client *c, struct slot *slot, const struct event *e,
    const struct outcome *o)
{
	const struct facts *now = facts_now(slot);
	uint64_t expected = e->kind == CHANGE_CONVERSATION_CREATE ? 1 :
	    now->version + 1;
	struct event *mine;

	if (slot == &c->self)
		expected = o->version;
	/* Of what is damaged nobody knows. */
	if (o->is_repeat || (o->version != expected && !slot->is_spoilt))
		witness_complain("%s: change %d gives version %ju, not %ju",
		    slot->id, e->kind, (uintmax_t)o->version,
		    (uintmax_t)expected);
	mine = add_event(slot);
	*mine = *e;
	mine->lsn = o->lsn;
	mine->version = slot == &c->self ? 0 : o->version;
	simfs_say("%s: kind %d, lsn %ju", slot->id, e->kind,
	    (uintmax_t)mine->lsn);
}

/*
 * Commit what e says of the slot.  Half of the clients go on before they know
 * that it is durable.  Returns false if the store takes no changes.
 */
static bool
commit(struct client *c, struct slot *slot, const struct event *e)
{
	struct outcome o;
	struct wish w;
	enum store_err err;
	uint64_t lsn;

	wish_init(&w, c, slot, e);
	err = store_commit(witness.s, c->t, &w.ch, &o);
	wish_fini(&w);
	lsn = o.lsn;
	if (err == STORE_OK)
		note_event(c, slot, e, &o);
	store_outcome_fini(&o);
	/* The id's tombstone is still there; or the test did harm to it. */
	if ((err == STORE_EXISTS && e->kind == CHANGE_CONVERSATION_CREATE) ||
	    (err == STORE_DAMAGED && slot->is_spoilt))
		return (true);
	if (err == STORE_OK && (witness_draw(&c->random, 2) == 0 ||
	    store_wait(witness.s, lsn) == STORE_OK))
		return (true);
	if (!witness_may_fail())
		witness_complain("%s: change %d: %d, lsn %ju", slot->id,
		    e->kind, err, (uintmax_t)lsn);
	return (false);
}

struct slot *
witness_append(struct client *c)
{
	struct event e = { .kind = CHANGE_ITEMS_APPEND, .n = 1 };
	struct slot *slot = c->slots;

	while (!facts_now(slot)->exists)
		if (++slot == c->slots + WITNESS_SLOTS)
			abort();
	e.first = c->next++;
	(void)commit(c, slot, &e);
	witness_wait();
	return (slot);
}

struct slot *
witness_spoil(struct client *c)
{
	struct slot *slot = c->slots;
	char path[64];

	(void)snprintf(path, sizeof(path), "/store/tenants/%s/conversations",
	    c->name);
	/* A tombstone has no items. */
	while (!simfs_spoil(path, slot->id, "\"items\":[", 1))
		if (++slot == c->slots + WITNESS_SLOTS)
			abort();
	witness.is_spoilt = slot->is_spoilt = true;
	return (slot);
}

static bool
spoil_batch(unsigned n)
{
	return (simfs_spoil("/store/journal", "0000", "{\"lsn\":", n));
}

void
witness_spoil_journal(struct slot *slot)
{
	unsigned n;

	/* What is spoilt twice is not: so the last one is found. */
	for (n = 100; !spoil_batch(n); n--)
		if (n == 2)
			abort();
	if (!spoil_batch(n) || !spoil_batch(n - 1))
		abort();
	witness.is_spoilt = slot->is_spoilt = true;
}

void
witness_delete(struct client *c, struct slot *slot)
{
	const struct event e = { .kind = CHANGE_CONVERSATION_DELETE };

	const size_t before = slot->n;

	/* What is damaged and could not be set aside cannot be deleted. */
	if (commit(c, slot, &e) && slot->n > before &&
	    store_wait(witness.s, witness_last()) == STORE_OK)
		slot->is_spoilt = false;
}

static bool
change_keys(struct client *c)
{
	struct facts *f = facts_now(&c->self);
	struct event e = { .kind = CHANGE_APIKEY_ADD, .n = 1 };

	if (f->nitems > 3) {
		e.kind = CHANGE_APIKEY_REVOKE;
		e.first = f->items[witness_draw(&c->random, f->nitems)];
		e.n = 0;
	} else
		e.first = c->next++;
	return (commit(c, &c->self, &e));
}

static bool
change_slot(struct client *c, struct slot *slot)
{
	struct facts *f = facts_now(slot);
	struct event e = { 0 };

	if (witness_draw(&c->random, 3) == 0)
		e.key = c->next++;
	if (!f->exists)
		e.kind = CHANGE_CONVERSATION_CREATE;
	else switch (witness_draw(&c->random, 12)) {
	case 0:
		e.kind = CHANGE_CONVERSATION_DELETE;
		break;
	case 1:
		e.kind = CHANGE_CONVERSATION_UPDATE;
		e.first = c->next++;
		break;
	case 2:
	case 3:
		if (f->nitems > 0) {
			e.kind = CHANGE_ITEM_DELETE;
			e.first = f->items[witness_draw(&c->random, f->nitems)];
			e.key = 0;
			break;
		}
		/* FALLTHROUGH */
	default:
		e.kind = CHANGE_ITEMS_APPEND;
		break;
	}
	if (e.kind == CHANGE_CONVERSATION_CREATE)
		e.n = (unsigned)witness_draw(&c->random, 3);
	if (e.kind == CHANGE_ITEMS_APPEND)
		e.n = 1 + (unsigned)witness_draw(&c->random, 3);
	if (f->nitems + e.n > WITNESS_ITEMS)
		e.kind = CHANGE_CONVERSATION_DELETE;
	if (e.n > 0) {
		e.first = c->next;
		c->next += e.n;
	}
	return (commit(c, slot, &e));
}

enum store_err
witness_find(struct client *c)
{
	const size_t len = strlen(c->name);
	enum store_err err = STORE_COLD;
	int i;

	for (i = 0; i < 3 && err == STORE_COLD; i++) {
		err = store_tenant_get(witness.s, c->name, len, &c->t);
		if (err == STORE_COLD && (err = store_warm(witness.s, c->name,
		    len)) == STORE_OK)
			err = STORE_COLD;
	}
	/* Open, but not yet all of it. */
	if (err == STORE_OK)
		err = store_warm(witness.s, c->name, len);
	if (err != STORE_OK) {
		store_tenant_put(c->t);
		c->t = NULL;
	}
	return (err);
}

/* Have the client's tenant in memory, made if it is not there. */
static bool
enter(struct client *c)
{
	struct event create = { .kind = CHANGE_TENANT_CREATE };
	enum store_err err = witness_find(c);

	if (err == STORE_NOENT && !facts_now(&c->self)->exists) {
		if (!commit(c, &c->self, &create))
			return (false);
		err = witness_find(c);
	}
	if (err != STORE_OK && !witness_may_fail())
		witness_complain("tenant %s: %d", c->name, err);
	return (err == STORE_OK);
}

void
witness_work(void *arg)
{
	struct client *c = arg;
	unsigned n;

	if (c->t == NULL && !enter(c))
		return;
	for (n = 0; n < c->steps && !witness_has_complaint(); n++) {
		if (!c->is_quiet && witness_draw(&c->random, 15) == 0 &&
		    store_flush(witness.s) == -1 && !witness_may_fail())
			witness_complain("the flush fails");
		if (!(witness_draw(&c->random, 10) == 0 ? change_keys(c) :
		    change_slot(c, &c->slots[witness_draw(&c->random, WITNESS_SLOTS)])))
			return;
	}
}

