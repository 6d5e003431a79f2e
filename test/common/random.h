/* SPDX-License-Identifier: MIT
 *
 * Random numbers that a seed repeats. splitmix64: Steele, Lea, Flood, "Fast splittable
 * pseudorandom number generators", 2014.
 */
#ifndef RANDOM_H
#define RANDOM_H

#include <stdint.h>

static inline uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* A random number below a bound. */
static inline uint64_t below(uint64_t *state, uint64_t bound)
{
	return next_random(state) % bound;
}

#endif
