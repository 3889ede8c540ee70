#ifndef WIRE_INTERNAL_H
#define WIRE_INTERNAL_H

#include "wire.h"

/*
 * For the files of wire alone: wire.c reads records, wire_pairs.c takes
 * name-value pairs apart, wire_write.c makes records.
 */

/* Take the pair at *p, left where it is; false if it is cut short. */
bool	 wire_take_pair(const unsigned char **p, const unsigned char *end,
	    struct span *name_r, struct span *value_r);

/* Append END_REQUEST with this protocol status. */
void	 wire_put_end(struct buf *out, uint16_t id, int status);
void	 wire_put_unknown_type(struct buf *out, unsigned char type);
/* Append what FCGI_GET_VALUES with this content asks for. */
void	 wire_put_values(const unsigned char *content, size_t len,
	    unsigned int max_conns, struct buf *out);

#endif /* !WIRE_INTERNAL_H */
