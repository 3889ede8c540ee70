#ifndef FAULT_H
#define FAULT_H

#include <stdbool.h>

/*
 * System calls that fail on demand, by way of the table in store/sys.h.
 *
 *	fault_init();				first of all, in main
 *	for (n = 1; ; n++) {
 *		fault_arm(n, EIO);
 *		rc = the_function();
 *		if (!fault_fired())
 *			break;
 *		...
 *	}
 *	fault_disarm();
 *
 * Also gates: calls that stop until the test lets them go on, so that an
 * order of events is made, not hoped for.  Thread safe but for fault_init.
 */

/* One bit a row of the table. */
#define FAULT_CALLS	22
enum fault_call {
	FAULT_OPENAT = 1 << 0,
	FAULT_CLOSE = 1 << 1,
	FAULT_READ = 1 << 2,
	FAULT_PREAD = 1 << 3,
	FAULT_WRITE = 1 << 4,
	FAULT_PWRITEV = 1 << 5,
	FAULT_FSYNC = 1 << 6,
	FAULT_FDATASYNC = 1 << 7,
	FAULT_RENAMEAT = 1 << 8,
	FAULT_UNLINKAT = 1 << 9,
	FAULT_MKDIRAT = 1 << 10,
	FAULT_FSTAT = 1 << 11,
	FAULT_FSTATAT = 1 << 12,
	FAULT_FTRUNCATE = 1 << 13,
	FAULT_LINKAT = 1 << 14,
	FAULT_FSTATVFS = 1 << 15,
	FAULT_FLOPENAT = 1 << 16,
	FAULT_FDOPENDIR = 1 << 17,
	FAULT_READDIR = 1 << 18,
	FAULT_CLOSEDIR = 1 << 19,
	FAULT_FCHOWN = 1 << 20,
	FAULT_FUTIMENS = 1 << 21,
	FAULT_ANY = (1 << FAULT_CALLS) - 1
};

/* Put the table of faults in force.  Before any thread runs. */
void	 fault_init(void);

/*
 * The n-th call from now (1 is the next), counting only the calls in mask,
 * fails with error, once or for ever after.  A failing close or closedir has closed; a
 * failing write or pwritev has written half of its bytes.
 */
void	 fault_arm(int n, int error);
void	 fault_arm_call(unsigned mask, int n, int error);
void	 fault_arm_forever(unsigned mask, int n, int error);
/* The process ends at once, with status FAULT_KILLED, before the n-th call. */
#define FAULT_KILLED	42
void	 fault_kill(int n);
/* Has the call failed since it was armed? */
bool	 fault_fired(void);
/* Nothing fails any more; opens every gate. */
void	 fault_disarm(void);

/* How many calls of mask were made since fault_init. */
unsigned long	 fault_count(unsigned mask);

/*
 * Close the gate before calls of mask: they stop there, before they do
 * anything.  fault_gate_await blocks until a call stands at it and returns
 * false if none came within 10 s; fault_gate_pass lets the one that stands
 * there go on and keeps the gate closed for the next; fault_gate_open lets
 * all go.
 */
void	 fault_gate_close(unsigned mask);
bool	 fault_gate_await(void);
void	 fault_gate_pass(void);
void	 fault_gate_open(void);

#endif /* !FAULT_H */
