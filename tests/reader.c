#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "store/store.h"
#include "tests/reader.h"

/* --- no call that changes a file ---------------------------------------- */

struct sys guard;
const struct sys *unguarded;

static void
forbidden(const char *call)
{

	fprintf(stderr, "%s: of a store that is only read\n", call);
	abort();
}

int
guard_openat(int fd, const char *name, int flags, mode_t mode)
{

	if ((flags & (O_CREAT | O_TRUNC | O_WRONLY | O_RDWR)) != 0)
		forbidden("openat");
	return (unguarded->openat(fd, name, flags, mode));
}

#define FORBID(type, call, ...)						\
static type								\
guard_##call(__VA_ARGS__)						\
{									\
									\
	forbidden(#call);						\
	return (-1);							\
}
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
FORBID(ssize_t, write, int fd, const void *p, size_t len)
FORBID(ssize_t, pwritev, int fd, const struct iovec *v, int n, off_t off)
FORBID(int, fsync, int fd)
FORBID(int, fdatasync, int fd)
FORBID(int, renameat, int a, const char *p, int b, const char *q)
FORBID(int, unlinkat, int fd, const char *name, int flags)
FORBID(int, mkdirat, int fd, const char *name, mode_t mode)
FORBID(int, ftruncate, int fd, off_t len)
FORBID(int, linkat, int a, const char *p, int b, const char *q, int flags)
FORBID(int, flopenat, int fd, const char *name, int flags, mode_t mode)
#pragma GCC diagnostic pop

void
guard_begin(void)
{

	unguarded = sys;
	guard = *sys;
	guard.openat = guard_openat;
	guard.write = guard_write;
	guard.pwritev = guard_pwritev;
	guard.fsync = guard_fsync;
	guard.fdatasync = guard_fdatasync;
	guard.renameat = guard_renameat;
	guard.unlinkat = guard_unlinkat;
	guard.mkdirat = guard_mkdirat;
	guard.ftruncate = guard_ftruncate;
	guard.linkat = guard_linkat;
	guard.flopenat = guard_flopenat;
	sys = &guard;
}

void
guard_end(void)
{

	sys = unguarded;
}

/* --- what a store shows ------------------------------------------------- */

static void
on_problem(const struct store_problem *p, void *arg)
{
	struct sight *v = arg;

	buf_addf(&v->told, "%s: %s: %s\n", p->file, p->what, p->lost);
	if (p->is_damage)
		v->damage++;
	else
		v->odd++;
}

int
on_conversation(const char *tenant, const struct conversation_view *view,
    struct item *const *items, size_t n, void *arg)
{
	struct sight *v = arg;
	size_t i;

	buf_addf(&v->text, "%s %s %ju %s %s", tenant, view->id,
	    (uintmax_t)view->version, view->user != NULL ? view->user : "-",
	    view->title != NULL ? view->title : "-");
	for (i = 0; i < n; i++) {
		buf_addf(&v->text, " %ju:", (uintmax_t)items[i]->position);
		buf_add(&v->text, items[i]->json, items[i]->len);
	}
	buf_addc(&v->text, '\n');
	return (0);
}

void
sight_fini(struct sight *v)
{

	buf_fini(&v->text);
	buf_fini(&v->told);
	memset(v, 0, sizeof(*v));
}

const char *
string(struct buf *b)
{

	buf_addc(b, '\0');
	b->len--;
	assert_true(buf_ok(b));
	return (b->data);
}

int
open_only(const char *path, struct sight *v, struct store **s_r)
{
	struct store_options o = state_options(path);
	pid_t holder;

	o.read_only = true;
	o.on_problem = on_problem;
	o.problem_arg = v;
	return (store_open(&o, s_r, &holder));
}

struct sight
sight_of(const char *path)
{
	struct sight v = { .rc = -1 };
	struct store *s;

	guard_begin();
	if (open_only(path, &v, &s) == 0) {
		v.rc = store_each(s, NULL, on_conversation, &v);
		assert_int_equal(store_close(s), 0);
	}
	guard_end();
	return (v);
}

struct sight
daemon_sight(const char *path)
{
	struct sight v = { .rc = 0 };
	struct store *s = state_open(path);

	v.rc = store_each(s, NULL, on_conversation, &v);
	state_close(s);
	return (v);
}

int
reader_teardown(void **state)
{

	if (sys == &guard)
		guard_end();
	return (teardown(state));
}
