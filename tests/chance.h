#ifndef CHANCE_H
#define CHANCE_H

#include <stdint.h>

/* Numbers by chance, the same in every run, for programs that want one row. */
static uint32_t chance_seed = 7;

/* One of 0 to below - 1. */
static inline uint32_t
chance(uint32_t below)
{
	chance_seed = chance_seed * 1664525 + 1013904223;
	return ((chance_seed >> 8) % below);
}

#endif /* !CHANCE_H */
