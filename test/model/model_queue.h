// SPDX-License-Identifier: MIT
//
// For models of what lib does under its locks: lib/queue.h as it is, with a mutex of the model's own in
// place of pthread's. Whoever destroys a mutex writes what those who lock it read, so that it is noticed
// where nothing orders the two.
#ifndef MODEL_QUEUE_H
#define MODEL_QUEUE_H

#include "model.h"

#include <pthread.h>
#include <sched.h>
#include <time.h>

// The checker's cannot be written.
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

#define pthread_mutex_lock(lock)    model_lock(lock)
#define pthread_mutex_unlock(lock)  model_unlock(lock)
#define pthread_mutex_destroy(lock) model_destroy(lock)

// In place of lib/deadline.h: deadlines come at once.
#define DD_MS UINT64_C(1000000)

static inline uint64_t dd_now_ns()
{
	return 1;
}

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
	return deadline_ns != DEFER_DROP_FOREVER;
}

#define _Thread_local thread_local

#include "queue.h"

// A queue with one lane, made anew for each execution.
template <int CAPACITY, bool IS_SHARED> struct queue_model {
	defer_drop_queue queue{};
	dd_slot slots[CAPACITY];

	explicit queue_model(bool is_fenced = false)
	{
		model_forget_sleepers();
		model_has_membarrier = !is_fenced;
		queue.is_fenced = is_fenced;
		queue.park.attention.store(is_fenced ? DD_FENCED : 0, rl::mo_relaxed, $);
		queue.drain_until_ns.store(DEFER_DROP_FOREVER, rl::mo_relaxed, $);
		model_make_lane(&queue.shared, &queue, slots, CAPACITY, IS_SHARED);
		queue.lanes[0] = &queue.shared;
		queue.lane_count.store(1, rl::mo_relaxed, $);
	}

	// What lane.c does in dd_lane_init.
	static void model_make_lane(dd_lane *lane, defer_drop_queue *queue, dd_slot *zeroed,
		uint64_t capacity, bool is_shared)
	{
		dd_ring_init(&lane->ring, zeroed, capacity, is_shared);
		lane->queue = queue;
		lane->is_shared = is_shared;
		lane->first = dd_ring_first(capacity);
		lane->current.width = 1;
		lane->alarm.store(lane->first + DD_NO_ALARM, rl::mo_relaxed, $);
	}
};

#endif
