#ifndef DAEMON_H
#define DAEMON_H

#include <sys/types.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>

/*
 * A real rememberd in a folder of its own, with the tenants acme and other,
 * asked over FastCGI.  Calls fail the test where they cannot be made.
 *
 *	daemon_find --> daemon_set_up --> calls --> daemon_tear_down
 *	                daemon_stop --> daemon_start
 */

/* What the last reply said besides its body. */
extern int	 daemon_status;
extern char	 daemon_etag[64];	/* "" without one */
/* A key of each tenant. */
extern char	 daemon_key[256], daemon_other_key[256];
extern char	 daemon_conf[128];	/* the file */
extern char	 daemon_program[];	/* rememberd, once found */
extern pid_t	 daemon_pid;		/* 0: it does not run */

/* The daemon stands beside the folder of the test; -1 if it does not. */
int	 daemon_find(const char *argv0);
/* For cmocka_run_group_tests. */
int	 daemon_set_up(void **state);
int	 daemon_tear_down(void **state);

void	 daemon_start(void);
/* The same, without standard input, output and error. */
void	 daemon_start_closed(void);
/* Returns the exit status, or -1 if the signal ended it. */
int	 daemon_stop(int signal);

/* A request with a key or token, one more header ("Name: value") or NULL, and
 * a body.  The reply's body (new), NULL if it had none. */
json_t	*daemon_ask(const char *key, const char *method, const char *uri,
	    const char *header, const char *body);
/* The same, which must be answered by 200. */
json_t	*daemon_good(const char *key, const char *method, const char *uri,
	    const char *header, const char *body);
/* On the control socket. */
json_t	*daemon_admin(const char *method, const char *uri,
	    const char *body);

/* A new conversation of acme with these items (JSON), its id into id. */
void	 daemon_converse(char id[128], const char *items);

/* The last reply was this error, with all four keys; end is what its message
 * ends in, NULL code and param are null. */
void	 daemon_assert_error(const json_t *body, int status,
	    const char *code, const char *param, const char *end);

/* A member of an object. */
const char	*daemon_text(const json_t *object, const char *name);
json_int_t	 daemon_number(const json_t *object, const char *name);

#endif /* !DAEMON_H */
