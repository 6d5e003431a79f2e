/* SPDX-License-Identifier: MIT
 *
 * What the stress scenarios share: producers whose drops are counted and kept in order, random
 * numbers from a printed seed, and a failure that says where and with which seed.
 *
 * A stress program has a plain main, so that it runs under ThreadSanitizer too.
 */
#ifndef STRESS_H
#define STRESS_H

#include <defer_drop.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "../common/check.h"
#include "../common/queues.h"
#include "../common/random.h"

#define MAX_PRODUCERS 64

/* A thread that pushes. Plain fields on purpose: the library's edges must order them. */
struct producer {
	struct defer_drop_queue *queue;
	uint64_t random;
	uint64_t accepted;   /* by the thread */
	uint64_t refused;    /* by the thread */
	uint64_t destroyed;  /* by the consumer, and read by others after a flush */
	bool is_gap_allowed; /* drops may be abandoned: then only the order is checked, and the
			      * objects live until free_objects */
	struct object *objects;
	uint64_t last;  /* sequence number of the last one destroyed, from 1 */
	unsigned nests; /* that each drop makes, in its destructor */
	pthread_t thread;
};

/* What a scenario is given. */
struct stress {
	uint64_t random;
	unsigned producers;
	uint64_t until_ns; /* CLOCK_MONOTONIC */
	char outcome[128]; /* what the scenario adds to the line at the end, from ", " on */
};

/* One round of a scenario; it is called again until the time is over. */
typedef void (*scenario_fn)(struct stress *stress);

void scenario_await(struct stress *stress);
void scenario_burst(struct stress *stress);
void scenario_churn(struct stress *stress);
void scenario_flush(struct stress *stress);
void scenario_fork(struct stress *stress);
void scenario_give_up(struct stress *stress);
void scenario_group(struct stress *stress);
void scenario_nested(struct stress *stress);
void scenario_options(struct stress *stress);
void scenario_os(struct stress *stress);
void scenario_pool(struct stress *stress);
void scenario_share(struct stress *stress);
void scenario_shutdown(struct stress *stress);
void scenario_slow(struct stress *stress);
void scenario_soak(struct stress *stress);
void scenario_start(struct stress *stress);
void scenario_stop(struct stress *stress);
void scenario_ticket(struct stress *stress);
void scenario_watchdog(struct stress *stress);

/* A timeout below a bound; 0 in one of four cases. */
uint64_t some_ns(uint64_t *state, uint64_t bound);
/* Returns the result of a call with this timeout that waits in vain. For ever: 1, as no such call
 * returns. */
int in_vain(uint64_t timeout_ns);

/* A queue with a tiny ring, few lanes and short quiet spells, by chance. */
struct defer_drop_config make_config(struct stress *stress, uint32_t runner);
struct defer_drop_queue *make_queue(struct stress *stress, uint32_t runner);

/* Pushes one drop by a random one of the calls. Returns its result. */
int push_one(struct producer *producer);

/* Starts producers that run a function, with this queue; waits for them. */
void start_producers(struct stress *stress, struct producer *producers, unsigned count,
	struct defer_drop_queue *queue, void *(*run)(void *));
void join_producers(struct producer *producers, unsigned count);

/* Everything that was accepted has been destroyed, and the statistics say so. */
void check_all_destroyed(
	struct defer_drop_queue *queue, struct producer *producers, unsigned count);

/* Frees what was abandoned, and what was not, of producers that allow gaps. */
void free_objects(struct producer *producers, unsigned count);

/* Shuts down by draining, checks, frees. */
void end_drained(struct defer_drop_queue *queue, struct producer *producers, unsigned count);

#endif
