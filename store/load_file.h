#ifndef LOAD_FILE_H
#define LOAD_FILE_H

#include <stdbool.h>

#include "document.h"
#include "log.h"
#include "store.h"

/*
 * One document's file, and what becomes of it if it is not as it should be.
 *
 *	damaged, or of a kind that can    set aside under quarantine/
 *	never be read
 *	of a later format, or not ours    left where it is, and not to be
 *	to read (that can be mended)      written over: it is held
 *	not to be read just now           tried again another time
 */
struct load_file {
	struct store	*store;
	int		 fd;		/* of its folder */
	const char	*name;
	const char	*label;		/* what quarantine/ calls it */
	struct log_told	*told;		/* what of it was logged before */
	/* Afterwards: */
	bool		 is_held;
	bool		 is_newer;	/* held: of a later format */
};

/*
 * Read the file and call take with its bytes, which are wiped behind it.
 * Returns STORE_OK; STORE_NOENT if it is not there; STORE_DAMAGED (take may
 * not have been called); STORE_NOMEM; STORE_SICK if it cannot be read now.
 * What is wrong, or remarkable, is noted or logged.  Blocks.
 */
enum store_err	 load_file(struct load_file *, enum document_state
		    (*take)(void *arg, const char *data, size_t len,
		    char why[DOCUMENT_WHY]), void *arg);

#endif /* !LOAD_FILE_H */
