#ifndef POOL_H
#define POOL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "fcgi/tally.h"
#include "fcgi/worker.h"
#include "tests/caller.h"
#include "tests/wirebytes.h"

/*
 * What the tests named b_worker share: a pool whose loops are the real ones,
 * over sockets.  The store is a number that the test moves, and the handlers do
 * what the address says, all but /big with the body that was sent:
 *
 *	/echo		answer
 *	/change/LSN	change something, durable at LSN
 *	/read/LSN	show what is durable at LSN
 *	/slow/LSN	the same, slowly while it is not durable
 *	/cold		be cold until is_warm
 *	/thaw/LSN	cold until is_warm, then as /read
 *	/never		be cold for ever
 *	/busy		be busy while is_busy
 *	/away, /blocks	hang while is_shut in a helper's thread, where /blocks
 *			always runs, and /away does with a LARGE body
 *	/big/BYTES	answer with so many
 *
 * pool.c defines what libstore.a and libedge.a have for real, so that it is
 * linked by name, see Makefile.am.
 */
int	 start(void **state);
int	 stop(void **state);
#define TEST(f)	cmocka_unit_test_setup_teardown(f, start, stop)

/* What start_workers is told; another is told by restart. */
extern struct edge	 edge;
extern struct workers_options	 options;
/* Returns false if they could not be started; then nothing is left of them. */
bool	 start_workers(void);
/* Also opens what is shut, once they have stopped. */
void	 stop_workers(void);
void	 restart(void);
void	 restart_with_timeout(uint64_t ms);

/* --- the store and the handlers ----------------------------------------- */

/* Move what is durable, or break, and wake whom it concerns. */
void	 move(uint64_t lsn, enum store_err err);
/* Move it, and wake nobody. */
void	 move_untold(uint64_t lsn);
/* The highest lsn, and the first, that store_late was told of; or 0. */
extern uint64_t	 late_lsn, first_late;

/* Of route_dispatch; how many there had been at the last /echo; and of
 * store_warm, in a helper's thread, which hangs while is_shut. */
extern atomic_uint	 calls, calls_at_echo, warmed;
extern atomic_bool	 is_warm, is_busy, is_shut;
/* Wait until a number of calls is n at least. */
void	 await(atomic_uint *count, unsigned int n);

/* Which thread served how many requests: forget it; how many threads served
 * any since, and the most that one did. */
void	 forget_threads(void);
unsigned int	 threads_seen(unsigned int *most_r);

/* --- clients ------------------------------------------------------------ */

/* A body that a loop does not read. */
#define LARGE	((size_t)90000)
const char	*large_body(void);

struct client	*dial(void);
struct client	*dial_control(void);
/* POST it; or any method, with a body of one x. */
void	 send_to(struct client *, const char *uri, const char *body);
void	 ask_with(struct client *, const char *method, const char *uri);
/* Ask and be answered. */
void	 assert_served(struct client *, const char *body);

#endif /* !POOL_H */
