#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "item.h"

/* The counted form: the public part, then the bytes it points to. */
struct item_memory {
	struct item	 item;
	atomic_uint	 refs;
	char		 bytes[];	/* id, NUL, json */
};

static struct item_memory *
item_memory(struct item *it)
{

	return ((struct item_memory *)(void *)((char *)it -
	    offsetof(struct item_memory, item)));
}

struct item *
item_new(const char *id, const char *json, size_t len)
{
	struct item_memory *m;
	size_t idsize = strlen(id) + 1;

	if (len > SIZE_MAX - sizeof(*m) - idsize)
		return (NULL);
	if ((m = malloc(sizeof(*m) + idsize + len)) == NULL)
		return (NULL);
	memset(&m->item, 0, sizeof(m->item));
	atomic_init(&m->refs, 1);
	memcpy(m->bytes, id, idsize);
	memcpy(m->bytes + idsize, json, len);
	m->item.id = m->bytes;
	m->item.json = m->bytes + idsize;
	m->item.len = len;
	return (&m->item);
}

struct item *
item_ref(struct item *it)
{

	atomic_fetch_add_explicit(&item_memory(it)->refs, 1,
	    memory_order_relaxed);
	return (it);
}

void
item_unref(struct item *it)
{

	if (it == NULL)
		return;
	if (atomic_fetch_sub_explicit(&item_memory(it)->refs, 1,
	    memory_order_acq_rel) == 1)
		free(item_memory(it));
}
