#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>

#include "tests/nomem.h"

/* Until the one that fails; 0 or less: disarmed, or it has failed. */
static _Atomic int left;
static _Atomic bool fired;

/* By the linker: what the objects call, and what they meant. */
void	*__real_malloc(size_t);
void	*__real_calloc(size_t, size_t);
void	*__real_realloc(void *, size_t);
void	*__real_reallocarray(void *, size_t, size_t);
void	*__wrap_malloc(size_t);
void	*__wrap_calloc(size_t, size_t);
void	*__wrap_realloc(void *, size_t);
void	*__wrap_reallocarray(void *, size_t, size_t);

static bool
fails(void)
{
	if (atomic_load(&left) <= 0 || atomic_fetch_sub(&left, 1) != 1)
		return (false);
	atomic_store(&fired, true);
	errno = ENOMEM;
	return (true);
}

void *
__wrap_malloc(size_t size)
{
	return (fails() ? NULL : __real_malloc(size));
}

void *
__wrap_calloc(size_t n, size_t size)
{
	return (fails() ? NULL : __real_calloc(n, size));
}

void *
__wrap_realloc(void *p, size_t size)
{
	return (fails() ? NULL : __real_realloc(p, size));
}

void *
__wrap_reallocarray(void *p, size_t n, size_t size)
{
	return (fails() ? NULL : __real_reallocarray(p, n, size));
}

void
nomem_arm(int n)
{
	atomic_store(&fired, false);
	atomic_store(&left, n);
}

bool
nomem_fired(void)
{
	return (atomic_load(&fired));
}

void
nomem_disarm(void)
{
	atomic_store(&left, 0);
}
