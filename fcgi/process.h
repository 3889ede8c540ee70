#ifndef PROCESS_H
#define PROCESS_H

#include <stdint.h>

/* What the kernel knows of this process. */
struct process {
	uint64_t	 resident;	/* bytes; 0 if it is not told */
	uint64_t	 cpu_us;
	uint64_t	 open_fds;	/* 0 if it is not told */
	uint64_t	 max_fds;
};

/* Fill it in.  Reads /proc, which is no disk. */
void	 process_look(struct process *);

#endif /* !PROCESS_H */
