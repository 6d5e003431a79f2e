/* SPDX-License-Identifier: MIT
 *
 * What the tests of adapters share: the same things are asked of every pool and every loop.
 *
 * Plain mains, so that they run under all checkers.
 */
#ifndef ADAPTER_H
#define ADAPTER_H

#include <defer_drop/strategy.h>
#include <stdio.h>
#include <stdlib.h>

#define CHECK(claim)                                                                        \
	do {                                                                                \
		if (!(claim)) {                                                             \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #claim); \
			abort();                                                            \
		}                                                                           \
	} while (0)

/* Turns the loop once, waiting for something to happen. */
typedef void (*turn_fn)(void *loop);

/* A strategy that destroys in other threads, also while nobody turns the loop. */
void test_pool(const struct defer_drop_strategy *by, turn_fn turn, void *loop);

/* A strategy that destroys in this thread, as it turns the loop. */
void test_loop(const struct defer_drop_strategy *by, turn_fn turn, void *loop);

#endif
