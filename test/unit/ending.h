/* SPDX-License-Identifier: MIT
 *
 * The default queue of a process that ends: its options, and how many drops its end destroys.
 */
#ifndef ENDING_H
#define ENDING_H

#include "unit.h"

static inline void set_options(const char *options)
{
	cr_assert_eq(setenv("DEFER_DROP_OPTIONS", options, 1), 0);
}

/* Makes callers drain the default queue: which of them do is the program's decision. */
static inline void start_without_worker(uint32_t queue_size)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	config.runner = CALLER;
	config.queue_size = queue_size;
	if (defer_drop_start(&config))
		abort();
}

static inline struct defer_drop_config config_in_force(void)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	answers(0, defer_drop_queue_config(defer_drop_queue_default(), &config));
	return config;
}

/* What a child leaves to its parent. */
struct life {
	atomic_uint destroyed;
	atomic_int result; /* 1: none yet */
};

__attribute__((unused)) static struct life *life;

static inline void count_life(void *object)
{
	(void)object;
	atomic_fetch_add(&life->destroyed, 1);
}

/* Runs it in a child, which must end with this exit status. Returns how many it destroyed. */
static inline unsigned live(void (*run)(void), int status)
{
	life = share(sizeof *life);
	atomic_store(&life->result, 1);
	cr_assert_eq(run_child(run), status, "%s", said);
	return atomic_load(&life->destroyed);
}

/* Has the worker end the process, with drops behind the one that does. */
static inline void exit_by_worker(void)
{
	struct gate *gate = malloc(sizeof *gate);

	hold_up(defer_drop_queue_default(), gate);
	if (defer_drop(NULL, exit_inside))
		_exit(1);
	for (unsigned i = 0; i < 10; i++)
		if (defer_drop(NULL, count_life))
			_exit(1);
	let_go(gate);
	for (;;)
		pause();
}

#endif
