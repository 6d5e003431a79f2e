/* SPDX-License-Identifier: MIT
 *
 * What the tests of adapters share: every pool, and every loop, is tested in the same way.
 */
#ifndef ADAPTER_H
#define ADAPTER_H

#include <defer_drop/strategy.h>

#include "../common/check.h"

/* Turns the loop once, waiting for something to happen. */
typedef void (*turn_fn)(void *loop);

/* Tests a strategy that destroys in other threads, also while no thread turns the loop. */
void test_pool(const struct defer_drop_strategy *by, turn_fn turn, void *loop);

/* A loop, and a strategy that destroys in this thread as it turns the loop. */
struct loop {
	const struct defer_drop_strategy *by;
	struct defer_drop_queue *queue; /* the strategy's */
	turn_fn turn;
	void *itself; /* for turn */
};

void test_loop(const struct loop *loop);

/* Drops in another thread what closing the strategy has to destroy in this one. */
void drop_before_closing(const struct loop *loop);
void check_closed(void);

#endif
