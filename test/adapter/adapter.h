/* SPDX-License-Identifier: MIT
 *
 * What the tests of adapters share: the same things are asked of every pool and every loop.
 */
#ifndef ADAPTER_H
#define ADAPTER_H

#include <defer_drop/strategy.h>

#include "../claim.h"

/* Turns the loop once, waiting for something to happen. */
typedef void (*turn_fn)(void *loop);

/* A strategy that destroys in other threads, also while nobody turns the loop. */
void test_pool(const struct defer_drop_strategy *by, turn_fn turn, void *loop);

/* A strategy that destroys in this thread, as it turns the loop. */
void test_loop(const struct defer_drop_strategy *by, turn_fn turn, void *loop);

#endif
