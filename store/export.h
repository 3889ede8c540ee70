#ifndef EXPORT_H
#define EXPORT_H

#include "store.h"

/*
 * A conversation as one line of JSON, the form of rememberctl's dump, export
 * and import:
 *
 *	{"tenant":"acme","conversation":{"id":"conv_…","created_at":<ms>,
 *	 "updated_at":<ms>,"version":7,"user":null,"title":null,
 *	 "metadata":{…}},
 *	"items":[{"at":<ms>,"item":{…}},{"at":<ms>,"position":9,"item":{…}}]}
 *
 * without the line breaks.  The items' bytes are those that are stored.  A
 * position stands where it is not one above the last entry's (0 at first).
 * The title is null if none was set, also where the metadata give one.
 *
 * Appended to b with its newline; ask buf_ok.
 */
void	 export_line(struct buf *b, const char *tenant,
	    const struct conversation_view *, struct item *const *items,
	    size_t n);

/*
 * The keys of a tenant as a line, {"tenant":"acme","keys":{"api_keys":[…],
 * "jwt_keys":[…]}}, which only rememberctl restore sends: it holds secrets,
 * to be wiped by who has it.  store_credentials_read reads them back.
 */
void	 export_keys(struct buf *b, const char *tenant,
	    const struct credential *apikeys, size_t napikeys,
	    const struct credential *jwtkeys, size_t njwtkeys);

#endif /* !EXPORT_H */
