// SPDX-License-Identifier: MIT
//
// A thread waits for two guards, first with a timeout of 0; two other threads destroy the objects. When the wait
// returns, the thread sees what both destructors did and their status, and may free the guards.
#include "model.h"

#include <unistd.h>

// In place of defer_drop/guard.h: state and status have the checker's types.
#define DEFER_DROP_GUARD_H

#include "defer_drop/strategy.h"

// In place of base/deadline.h: deadlines come at once.
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

static inline int dd_deadline_error(uint64_t deadline_ns)
{
	return deadline_ns ? -ETIMEDOUT : -EAGAIN;
}

enum defer_drop_guard_state {
	DEFER_DROP_GUARD_EMPTY,
	DEFER_DROP_GUARD_ARMED,
	DEFER_DROP_GUARD_PENDING,
	DEFER_DROP_GUARD_OVER,
};

enum defer_drop_trouble_kind {
	DEFER_DROP_TROUBLE_FORGOTTEN,
	DEFER_DROP_TROUBLE_REFUSED,
	DEFER_DROP_TROUBLE_FAILED,
};

struct model_status {
	rl::var<int> status;

	operator int()
	{
		return status($);
	}

	model_status &operator=(int value)
	{
		status($) = value;
		return *this;
	}
};

struct defer_drop_guard {
	void *object;
	defer_drop_fn destroy;
	int (*destroy_status)(void *);
	const defer_drop_strategy *strategy;
	_Atomic(uint32_t) state;
	model_status status;
	int32_t process;
	const char *file;
	uint32_t line;
	void *forgotten;
};

static inline uint32_t defer_drop_guard_state(const defer_drop_guard *guard)
{
	return guard->state.load(rl::mo_relaxed, $);
}

static inline int defer_drop_guard_is_armed(const defer_drop_guard *guard)
{
	return defer_drop_guard_state(guard) == DEFER_DROP_GUARD_ARMED;
}

static inline int defer_drop_guard_is_pending(const defer_drop_guard *guard)
{
	return defer_drop_guard_state(guard) >= DEFER_DROP_GUARD_PENDING;
}

int defer_drop_guard_await(defer_drop_guard *const *, size_t, uint64_t);

#define gettid() int32_t(rl::thread_index())

#include "face/guard.c"

void dd_fork_pass_over(defer_drop_fn)
{
}

int defer_drop_again(void *, defer_drop_fn)
{
	return -ENOENT;
}

// The guards that the two strategies have been given.
static rl::atomic<defer_drop_guard *> *model_given;

int defer_drop_by(const defer_drop_strategy *strategy, void *object, defer_drop_fn destroy)
{
	RL_ASSERT(destroy == run);
	model_given[strategy ? 1 : 0].store(
		static_cast<defer_drop_guard *>(object), rl::mo_release, $);
	return 0;
}

const defer_drop_strategy defer_drop_strategy_worker = {};

void dd_report(const char *, const char *, ...)
{
}

void dd_trouble_tell(defer_drop_trouble_kind, const defer_drop_guard *, int)
{
}

int dd_trouble_note(defer_drop_guard *)
{
	return 0;
}

void dd_trouble_cross_out(defer_drop_guard *)
{
}

namespace
{

enum { GUARDS = 2, STATUS = -5 };

int destroy(void *argument)
{
	rl::var<int> *destroyed = static_cast<rl::var<int> *>(argument);

	(*destroyed)($) = 1;
	return STATUS;
}

struct awaited : rl::test_suite<awaited, GUARDS + 1> {
	defer_drop_strategy other{};
	rl::atomic<defer_drop_guard *> given[GUARDS];
	rl::var<int> destroyed[GUARDS];
	defer_drop_guard guards[GUARDS]{};

	void before()
	{
		model_forget_sleepers();
		model_given = given;
		for (unsigned i = 0; i < GUARDS; i++) {
			given[i].store(nullptr, rl::mo_relaxed, $);
			destroyed[i]($) = 0;
			guards[i].object = &destroyed[i];
			guards[i].destroy_status = destroy;
			guards[i].strategy = i ? &other : nullptr;
			guards[i].state.store(DEFER_DROP_GUARD_ARMED, rl::mo_relaxed, $);
		}
	}

	void wait()
	{
		defer_drop_guard *all[GUARDS] = {&guards[0], &guards[1]};
		int result = defer_drop_guard_await(all, GUARDS, 0);

		if (result == -EAGAIN)
			result = defer_drop_guard_await(all, GUARDS, DEFER_DROP_FOREVER);
		RL_ASSERT(result == STATUS);
		for (unsigned i = 0; i < GUARDS; i++) {
			RL_ASSERT(destroyed[i]($) == 1);
			RL_ASSERT(guards[i].status == STATUS);
			guards[i].status = 0;
		}
	}

	void destroy_given(unsigned strategy)
	{
		while (!given[strategy].load(rl::mo_acquire, $))
			model_yield();
		run(given[strategy].load(rl::mo_relaxed, $));
	}

	void thread(unsigned index)
	{
		index < GUARDS ? destroy_given(index) : wait();
	}
};

} // namespace

int main(int count, char **arguments)
{
	model_arguments(count, arguments);
	return !explore<awaited>(1, 50000);
}
