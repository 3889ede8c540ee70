#ifndef API_ADMIN_H
#define API_ADMIN_H

#include <jansson.h>

#include "api.h"
#include "reply.h"
#include "request.h"

/*
 * What api_admin.c (the table, tenants, the daemon), api_admin_key.c (the
 * credentials of a tenant) and api_admin_import.c share.
 *
 * One call.  tenant is held while it runs, or NULL for the calls that are
 * about none; body is {} for all but POST.
 */
struct admin_call {
	struct request	*req;
	struct reply	*rep;
	struct tenant	*tenant;
	const char	*name;		/* of the tenant, or NULL */
	struct span	 id;		/* the last segment of a DELETE */
	const json_t	*body;
};

typedef enum api_verdict admin_handler(struct admin_call *);

/* api_admin_import.c; its body is lines of JSON, and {} stands for it. */
admin_handler	 admin_import;

/* Credentials: api_admin_key.c. */
admin_handler	 admin_keys_list, admin_keys_add, admin_keys_revoke;
admin_handler	 admin_jwt_keys_list, admin_jwt_keys_add,
		    admin_jwt_keys_revoke;
admin_handler	 admin_tokens_add;

/* Bytes of a JWT secret: fewer are guessed. */
#define SECRET_MIN	16

/* At most 64 bytes without control characters: a terminal shows it. */
bool		 admin_is_label(const char *, size_t len);
/*
 * Make the change of a call.  If *is_made_r the reply is begun and the caller
 * fills its body; else the verdict is to be returned as it is.
 */
enum api_verdict admin_commit(struct admin_call *, const struct change *,
		    bool *is_made_r);

/* What stands before and behind the data of a list. */
void	 admin_list_begin(struct buf *);
void	 admin_list_end(struct buf *);

#endif /* !API_ADMIN_H */
