/* SPDX-License-Identifier: MIT
 *
 * Statistics as text: for people, and JSON.
 */
#ifndef DD_PRINT_H
#define DD_PRINT_H

#include "core/queue.h"
#include "defer_drop/pool.h"

/* Reads the counts of the next pool of that index or a greater one. False if there is none. */
typedef bool (*dd_next_pool_fn)(
	uint32_t *index, struct defer_drop_pool_counts *counts, size_t *block_bytes);

/* By the pools, which the core does not know: set once, or NULL. */
extern dd_next_pool_fn dd_print_pools_hook;

static inline void dd_print_pools(dd_next_pool_fn next)
{
	/* Relaxed is enough: the pointer carries nothing else. */
	__atomic_store_n(&dd_print_pools_hook, next, __ATOMIC_RELAXED);
}

/*
 * Prints the statistics of all queues and pools. write: NULL for stderr. Takes the registry's lock
 * in between, and allocates nothing. Returns 0, or what write returned.
 */
int dd_print(defer_drop_write_fn write, void *context, enum defer_drop_format format);

/* Prints to stderr if that was asked for. By the consumer, or the watchdog: the first one prints. */
void dd_print_asked(struct defer_drop_queue *queue);

#endif
