/* SPDX-License-Identifier: MIT
 *
 * Calls of the library that most benchmarks make, checked. In line, since a program chooses between
 * the shared and the static library, and the client of the server uses neither.
 */
#ifndef LIBRARY_H
#define LIBRARY_H

#include <defer_drop.h>

#include "bench.h"

static inline struct defer_drop_stats library_stats(struct defer_drop_queue *queue)
{
	struct defer_drop_stats stats = DEFER_DROP_STATS_INIT;

	bench_check(defer_drop_queue_stats(queue, &stats));
	return stats;
}

/* Returns the configuration in force. Sets the default queue up, if that is asked for first. */
static inline struct defer_drop_config library_config(struct defer_drop_queue *queue)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	bench_check(defer_drop_queue_config(queue, &config));
	return config;
}

/* Destroys everything that is pending, and frees the queue. */
static inline void library_end(struct defer_drop_queue *queue)
{
	bench_check(defer_drop_queue_shutdown(queue, DEFER_DROP_FOREVER));
	bench_check(defer_drop_queue_free(queue));
}

#endif
