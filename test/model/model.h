// SPDX-License-Identifier: MIT
//
// Lets the model checker run core/ring.h, core/park.h and the files that are built on them unchanged: the
// checker's atomics stand behind the names of C11's, its race-checked variables behind DD_PLAIN, and the
// model has a futex and a membarrier of its own.
//
// membarrier(2) is modelled by its guarantee to the caller: for each other thread, either what that thread
// did before its compiler fence is visible afterwards, or that thread sees what was written before the
// call. A full fence in both places gives this guarantee, so the compiler fence is a full fence here. In a
// model without membarrier the compiler fence does nothing. The model says nothing about the kernel's code.
//
// A sleep on a futex may end early, as a real one may. If it does not, a lost wake-up shows as a loop
// without end. Checking the word and falling asleep are one step, as in the kernel. A sleep with a deadline
// ends at once, at its deadline.
#ifndef MODEL_H
#define MODEL_H

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <memory>

// relacy replaces only the delete that C++11 had.
void operator delete(void *memory, std::size_t) noexcept
{
	::operator delete(memory);
}

// relacy compiles every scheduler that it has for every scenario, which takes most of the time to build a
// model. The full search is not used here: its name stands for a scheduler that is compiled anyway.
#include <relacy/base.hpp>
// clang-format off: in this order
#include <relacy/thread_local_ctx.hpp>
#include <relacy/context_base.hpp>
#include <relacy/full_search_scheduler.hpp>
// clang-format on
#define full_search_scheduler context_bound_scheduler
#include <relacy/relacy.hpp>
#undef full_search_scheduler

// relacy defines these with the values of other errors.
#undef EINVAL
#undef ETIMEDOUT
#undef EBUSY
#undef EINTR
#undef EAGAIN
#undef EWOULDBLOCK
#undef _ASM_GENERIC_ERRNO_BASE_H
#undef _ASM_GENERIC_ERRNO_H
#include <asm-generic/errno.h>

#include "defer_drop.h"

#define DD_ATOMIC_H // in place of base/atomic.h
#define DD_FUTEX_H  // in place of base/futex.h

// An atomic that begins as 0, like a field that the library zeroes before use, and that can be copied, as
// C's can. It stores the 0 itself: relacy's own way to begin with 0 leaves part of the history uninitialised.
template <typename type> struct model_atomic : rl::atomic<type> {
	model_atomic()
	{
		this->store(type(), rl::mo_relaxed, $);
	}

	model_atomic &operator=(const model_atomic &other)
	{
		this->store(other.load(rl::mo_relaxed, $), rl::mo_relaxed, $);
		return *this;
	}
};

#define _Atomic(type) model_atomic<type>
#define _Static_assert(claim, reason) // holds for C, but not for the checker's types
#define _Noreturn [[noreturn]]

#define memory_order_relaxed rl::mo_relaxed, $
#define memory_order_acquire rl::mo_acquire, $
#define memory_order_release rl::mo_release, $
#define memory_order_acq_rel rl::mo_acq_rel, $
#define memory_order_seq_cst rl::mo_seq_cst, $

#define atomic_load_explicit(field, ...)             (field)->load(__VA_ARGS__)
#define atomic_store_explicit(field, value, ...)     (field)->store(value, __VA_ARGS__)
#define atomic_exchange_explicit(field, value, ...)  (field)->exchange(value, __VA_ARGS__)
#define atomic_fetch_add_explicit(field, value, ...) (field)->fetch_add(value, __VA_ARGS__)
#define atomic_fetch_sub_explicit(field, value, ...) (field)->fetch_sub(value, __VA_ARGS__)
#define atomic_fetch_or_explicit(field, value, ...)  (field)->fetch_or(value, __VA_ARGS__)
#define atomic_fetch_and_explicit(field, value, ...) (field)->fetch_and(value, __VA_ARGS__)
#define atomic_compare_exchange_weak_explicit(field, expected, value, ...) \
	(field)->compare_exchange_weak(*(expected), value, __VA_ARGS__)
#define atomic_compare_exchange_strong_explicit(field, expected, value, ...) \
	(field)->compare_exchange_strong(*(expected), value, __VA_ARGS__)
#define atomic_signal_fence(...) model_fence()

#define DD_PLAIN(type)               rl::var<type>
#define dd_plain_load(field)         (*(field))($)
#define dd_plain_store(field, value) ((*(field))($) = (value))

#define dd_likely(claim)   (claim)
#define dd_unlikely(claim) (claim)

static inline void dd_prefetch(const void *)
{
}

static inline void dd_prefetch_to_write(const void *)
{
}

static inline void dd_relax()
{
}

static inline void model_yield()
{
	rl::yield(1, $);
}

static bool model_has_membarrier;

static inline void model_fence()
{
	if (model_has_membarrier)
		rl::atomic_thread_fence(rl::mo_seq_cst, $);
}

static inline void dd_membarrier(void)
{
	RL_ASSERT(model_has_membarrier);
	model_fence();
}

#define DD_STORES_SETTLE_NS 1

// A thread that has slept for as long as stores take to become visible knows what a membarrier tells it.
static inline void dd_stores_settled(void)
{
	model_fence();
}

enum { MODEL_THREADS = 4 };

// The word that each thread sleeps on, or null.
static const void *model_sleeps_on[MODEL_THREADS];

static uint64_t model_now_ns;

// Called when an execution begins: one that failed may have left sleepers behind.
static inline void model_forget_sleepers()
{
	std::fill_n(model_sleeps_on, +MODEL_THREADS, nullptr);
}

static inline int dd_futex_wait(
	model_atomic<uint32_t> *word, uint32_t expected, uint64_t deadline_ns)
{
	const void **slept_on = &model_sleeps_on[rl::thread_index()];

	if (deadline_ns != DEFER_DROP_FOREVER || rl::rand(2)) {
		model_yield();
		if (deadline_ns == DEFER_DROP_FOREVER)
			return 0;
		model_now_ns = std::max(model_now_ns, deadline_ns); // the deadline has come
		return -ETIMEDOUT;
	}
	// A read-modify-write, since the kernel sees the latest value.
	if (word->fetch_add(0, rl::mo_relaxed, $) != expected)
		return 0;
	*slept_on = word;
	while (*slept_on)
		model_yield();
	return 0;
}

static inline void dd_futex_wake(model_atomic<uint32_t> *word, int sleepers)
{
	for (const void *&slept_on : model_sleeps_on)
		if (slept_on == word && sleepers-- > 0)
			slept_on = nullptr;
}

#include "core/park.h"

enum { MODEL_SLOTS = 4 }; // of the largest ring

// A ring with its slots and its park, made anew for each execution.
struct ring_model {
	dd_ring ring;
	dd_slot slots[MODEL_SLOTS];
	dd_park park;

	ring_model(uint64_t capacity, bool is_shared)
	{
		model_forget_sleepers();
		model_has_membarrier = true;
		dd_ring_init(&ring, slots, capacity, is_shared);
	}
};

// An object that is dropped. Its producer writes it before the push; its destructor reads and writes it.
struct object {
	rl::var<int> made;
	rl::var<int> destroyed;

	object()
	{
		made($) = 0;
		destroyed($) = 0;
	}
};

static inline void destroy_object(void *memory)
{
	object *dropped = static_cast<object *>(memory);

	RL_ASSERT(dropped->made($) == 1);
	RL_ASSERT(dropped->destroyed($) == 0);
	dropped->destroyed($) = 1;
}

static inline defer_drop_fn options_word()
{
	return reinterpret_cast<defer_drop_fn>(DD_OPTIONS);
}

// Publishes as push.c does at a position that has room. A drop of two slots has options, which name the object.
static inline void publish(dd_ring *ring, uint64_t at, object *dropped, uint64_t width)
{
	dd_drop drop = {dropped, destroy_object};
	dd_options options = {DD_OPTIONS, dropped};

	if (width == 1)
		dd_ring_publish(ring, at, dropped, destroy_object);
	else
		dd_ring_publish_both(ring, at, &options, &drop);
}

// Runs what was taken from a slot, a drop or its options, as run.c does.
static inline object *run(dd_ring *ring, const dd_drop &taken)
{
	dd_drop drop = taken;

	if (dd_is_options(taken.destroy)) {
		dd_ring_take_second(ring, &drop);
		RL_ASSERT(drop.object == taken.object);
	}
	drop.destroy(drop.object);
	if (dd_is_options(taken.destroy))
		dd_ring_done_both(ring);
	else
		dd_ring_done(ring);
	return static_cast<object *>(drop.object);
}

// Returns how many slots a drop takes. pairs: has a bit for each drop, which is set if it has options.
static inline uint64_t width_of(unsigned pairs, int drop)
{
	return pairs & 1u << drop ? 2 : 1;
}

// Objects that producers push to a queue that closes: those that were accepted are destroyed, the others stay
// as they were.
template <int PRODUCERS, int DROPS> struct model_offers {
	object objects[PRODUCERS][DROPS];
	bool is_accepted[PRODUCERS][DROPS] = {};

	void check()
	{
		for (int i = 0; i < PRODUCERS; i++)
			for (int j = 0; j < DROPS; j++)
				RL_ASSERT(objects[i][j].destroyed($) == is_accepted[i][j]);
	}
};

// The arguments of a model: none, or two numbers. The first is added to the preemptions of each exhaustive
// search; the second multiplies the number of random executions.
static unsigned more_preemptions;
static unsigned times_executions = 1;

static inline void model_arguments(int count, char **arguments)
{
	if (count < 3)
		return;
	more_preemptions = unsigned(std::atoi(arguments[1]));
	times_executions = unsigned(std::atoi(arguments[2]));
}

// relacy's progress goes nowhere: a stream that keeps it in memory would allocate where relacy has replaced new.
template <typename scenario> bool model_simulate(rl::test_params params)
{
	std::ostream nowhere(nullptr);

	params.progress_stream = &nowhere;
	params.execution_depth_limit = 5000;
	return rl::simulate<scenario>(params);
}

// Runs random executions of a scenario. True if none failed.
template <typename scenario> bool explore_randomly(unsigned executions)
{
	rl::test_params params;

	params.search_type = rl::random_scheduler_type;
	params.iteration_count = executions * times_executions;
	return model_simulate<scenario>(params);
}

// Searches a scenario exhaustively within a bound of preemptions, and then at random. True if nothing failed.
template <typename scenario> bool explore(unsigned preemptions, unsigned random_executions)
{
	rl::test_params params;

	params.search_type = rl::fair_context_bound_scheduler_type;
	params.context_bound = preemptions + more_preemptions;
	return model_simulate<scenario>(params) && explore_randomly<scenario>(random_executions);
}

// Searches a scenario that has a parameter, whose type is the scenario's `parameter`.
template <typename scenario>
bool explore(typename scenario::parameter given, unsigned preemptions, unsigned random_executions)
{
	scenario::given = given;
	return explore<scenario>(preemptions, random_executions);
}

template <typename scenario>
bool explore_randomly(typename scenario::parameter given, unsigned executions)
{
	scenario::given = given;
	return explore_randomly<scenario>(executions);
}

#endif
