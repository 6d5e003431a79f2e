/* SPDX-License-Identifier: MIT
 *
 * A flavor of liburcu whose grace periods pass when the test lets them, and in which a thread
 * is a reader as long as it says so.
 */
#ifndef READERS_H
#define READERS_H

#include "queues.h"

#include <urcu/flavor.h>

/* Each lets one grace period pass; or all do. */
static sem_t passes;
static atomic_bool passes_all;

static atomic_uint begun;      /* grace periods */
static atomic_uint registered; /* threads, less those that were unregistered */
static atomic_uint online;     /* times that a thread came back, less those that it left */
static _Thread_local int reading;
/* Called, by a thread that has one, when the library first asks whether it reads; or NULL. */
static _Thread_local void (*when_asked)(void);

static inline int is_reading(void)
{
	void (*call)(void) = when_asked;

	when_asked = NULL;
	if (call)
		call();
	return reading > 0;
}

static inline void wait_for_pass(void)
{
	atomic_fetch_add(&begun, 1);
	if (!atomic_load(&passes_all))
		await_semaphore(&passes);
}

static inline void register_reader(void)
{
	atomic_fetch_add(&registered, 1);
}

static inline void unregister_reader(void)
{
	atomic_fetch_sub(&registered, 1);
}

static inline void go_offline(void)
{
	atomic_fetch_sub(&online, 1);
}

static inline void go_online(void)
{
	atomic_fetch_add(&online, 1);
}

static inline void do_nothing(void)
{
}

static const struct rcu_flavor_struct paced = {
	.read_ongoing = is_reading,
	.read_quiescent_state = do_nothing,
	.update_synchronize_rcu = wait_for_pass,
	.thread_offline = go_offline,
	.thread_online = go_online,
	.register_thread = register_reader,
	.unregister_thread = unregister_reader,
};

/* A configuration in which the test paces grace periods; none passes yet. */
static inline struct defer_drop_config paced_config(uint32_t runner)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	sem_init(&passes, 0, 0);
	atomic_store(&passes_all, false);
	atomic_store(&begun, 0);
	config.runner = runner;
	config.queue_size = 16;
	config.rcu_flavor = &paced;
	return config;
}

static inline struct defer_drop_queue *make_with(const struct defer_drop_config *config)
{
	struct defer_drop_queue *queue = create_queue(config);

	/* A test that fails before it lets all pass could never drain. */
	gate_keeper = getpid();
	atomic_store(&gates_held, 1);
	atexit(leave_if_held_up);
	return queue;
}

static inline struct defer_drop_queue *make_paced(uint32_t runner)
{
	struct defer_drop_config config = paced_config(runner);

	return make_with(&config);
}

static inline void let_pass(void)
{
	sem_post(&passes);
}

/* From now on grace periods pass at once. */
static inline void let_all_pass(void)
{
	atomic_store(&gates_held, 0);
	atomic_store(&passes_all, true);
	for (unsigned i = 0; i < 16; i++)
		sem_post(&passes);
}

static inline int push_after(struct defer_drop_queue *queue, void *object, defer_drop_fn destroy)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

	options.flags = DEFER_DROP_AFTER_GRACE_PERIOD;
	return defer_drop_queue_push_with(queue, object, destroy, FOREVER, &options);
}

/* Waits a moment, in which what must not happen would happen. */
static inline void linger(struct defer_drop_queue *queue)
{
	if (queue->config.values.runner == CALLER)
		drain(queue, UINT64_MAX);
	else
		usleep(20000);
}

/* Waits until this number of grace periods has begun; a caller makes them begin by draining. */
static inline void await_begun(struct defer_drop_queue *queue, unsigned count)
{
	while (atomic_load(&begun) < count)
		linger(queue);
}

static inline void await_seen(struct defer_drop_queue *queue, unsigned count)
{
	while (atomic_load(&seen_count) < count)
		linger(queue);
}

#endif
