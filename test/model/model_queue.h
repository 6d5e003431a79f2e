// SPDX-License-Identifier: MIT
//
// For models of what lib does under its locks: core/queue.h unchanged, with the model's mutex in place of
// pthread's. Destroying a mutex writes a field that locking it reads, so that the model notices if nothing
// orders the two.
#ifndef MODEL_QUEUE_H
#define MODEL_QUEUE_H

#include "model.h"

#include <pthread.h>
#include <sched.h>
#include <time.h>

// The checker's errno cannot be written.
#undef errno
static int model_errno;
#define errno model_errno

struct model_mutex {
	model_atomic<int> is_locked;
	rl::var<int> is_there;

	model_mutex()
	{
		is_there($) = 1;
	}
};

#define pthread_mutex_t model_mutex

static inline void model_lock(model_mutex *lock)
{
	while (lock->is_locked.exchange(1, rl::mo_acquire, $))
		model_yield();
	RL_ASSERT(lock->is_there($));
}

static inline void model_unlock(model_mutex *lock)
{
	lock->is_locked.store(0, rl::mo_release, $);
}

static inline void model_destroy(model_mutex *lock)
{
	lock->is_there($) = 0;
}

#define pthread_mutex_lock(lock)             model_lock(lock)
#define pthread_mutex_unlock(lock)           model_unlock(lock)
#define pthread_mutex_init(lock, attributes) (void)(lock)
#define pthread_mutex_destroy(lock)          model_destroy(lock)

// In place of base/mutex.h, which the model mutex goes through.
#define DD_MUTEX_H
#define dd_mutex              model_mutex
#define dd_mutex_lock(lock)   model_lock(lock)
#define dd_mutex_unlock(lock) model_unlock(lock)
#define dd_mutex_init(lock)   (void)(lock)

// In place of base/deadline.h: each look at the clock finds it a millisecond later, and a sleep with a deadline
// ends at its deadline.
#define DD_DEADLINE_H
#define DD_MS UINT64_C(1000000)

static uint64_t model_tick_ns; // from one look at the clock to the next

static inline uint64_t dd_now_ns()
{
	return model_now_ns += model_tick_ns;
}

// A deadline that has not come yet.
const uint64_t NOT_LONG = UINT64_C(1) << 62;

static inline int dd_timeout_check(uint64_t)
{
	return 0;
}

static inline uint64_t dd_deadline_after(uint64_t timeout_ns)
{
	return timeout_ns;
}

static inline bool dd_deadline_has_come(uint64_t deadline_ns)
{
	return dd_now_ns() >= deadline_ns;
}

static inline int dd_deadline_error(uint64_t deadline_ns)
{
	return deadline_ns ? -ETIMEDOUT : -EAGAIN;
}

static inline uint64_t dd_least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

// Thread-local variables: one for each thread of the model, made anew for each execution.
#define _Thread_local
#define tls_model(model)
#define dd_self       (*model_self())
#define dd_unattached (*model_unattached)

#include "core/queue.h"

// In place of core/scheduling.h: a thread of a model is not scheduled by the system.
#define DD_SCHEDULING_H

static inline int dd_scheduling_start_worker(defer_drop_queue *queue, bool, void *(*run)(void *))
{
	return -dd_thread_create(&queue->thread, NULL, run, queue);
}

static inline int dd_scheduling_start_helper(
	const defer_drop_config *, pthread_t *thread, void *(*run)(void *), void *argument)
{
	return -dd_thread_create(thread, NULL, run, argument);
}

static inline int dd_scheduling_settle(const defer_drop_config *)
{
	return 0;
}

struct dd_lane *model_unattached;
static dd_thread model_selves[MODEL_THREADS];

struct dd_thread *model_self()
{
	return &model_selves[rl::thread_index()];
}

enum { MODEL_QUEUE_ID = DD_DEFAULT_ID + 1 };

// A queue without a lane, made anew for each execution.
struct queue_model {
	defer_drop_queue queue{};
	dd_lane unattached{};

	explicit queue_model(bool is_fenced = false)
	{
		model_forget_sleepers();
		model_has_membarrier = !is_fenced;
		model_now_ns = 0;
		model_tick_ns = DD_MS;
		model_unattached = &unattached;
		std::fill_n(model_selves, +MODEL_THREADS, dd_thread{&unattached});
		queue.park.attention.store(is_fenced ? DD_FENCED : 0, rl::mo_relaxed, $);
		queue.drain_until_ns.store(DEFER_DROP_FOREVER, rl::mo_relaxed, $);
		queue.id.store(MODEL_QUEUE_ID, rl::mo_relaxed, $);
		queue.config.values.runner = DEFER_DROP_RUNNER_WORKER;
		queue.config.values.pending_eventfd = -1;
	}
};

#endif
