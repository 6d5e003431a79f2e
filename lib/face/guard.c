/* SPDX-License-Identifier: MIT
 *
 * Guards. The states of a guard:
 *
 *   from     to       when                                                  by
 *   EMPTY    ARMED    it is initialized                                     its thread
 *   ARMED    EMPTY    it is disarmed, or dropped and not waited for         its thread
 *   ARMED    PENDING  its object goes to the strategy, to be waited for     its thread
 *   PENDING  ARMED    the strategy refuses it                               its thread
 *   PENDING  OVER     its object was destroyed                              the destroying thread
 *   PENDING  OVER     its object will never be, so no other thread writes   its thread
 *   OVER     EMPTY    its status was returned                               its thread
 *
 * While it is pending, its status is the number of its thread. In a child that another thread forks
 * meanwhile, it stays pending for ever.
 *
 * A caller waits for the guard, not for the object: the strategy gets the guard as the object, and
 * a destructor that leaves the status there. So waiting works with every strategy.
 *
 * Edges:
 *   STATUS  run: state, release -> is_over: state, acquire
 *           carries the status, and what the destructor did
 */
#include "defer_drop/guard.h"

#include <assert.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/futex.h"
#include "base/report.h"
#include "face/trouble.h"
#include "life/fork.h"

/* Not a C11 atomic in the public struct, because of C++. */
static _Atomic(uint32_t) *state_of(struct defer_drop_guard *guard)
{
	static_assert(sizeof(_Atomic(uint32_t)) == sizeof guard->state, "the same word");
	return (_Atomic(uint32_t) *)&guard->state;
}

static void set_state(struct defer_drop_guard *guard, enum defer_drop_guard_state state)
{
	atomic_store_explicit(state_of(guard), state, memory_order_relaxed);
}

static bool is_over(struct defer_drop_guard *guard)
{
	/* ->STATUS: without acquire the status could be the previous one. */
	return atomic_load_explicit(state_of(guard), memory_order_acquire) !=
	       DEFER_DROP_GUARD_PENDING;
}

static const struct defer_drop_strategy *strategy_of(const struct defer_drop_guard *guard)
{
	return guard->strategy ? guard->strategy : &defer_drop_strategy_worker;
}

/* ---- One guard ------------------------------------------------------------------------------- */

void *defer_drop_guard_disarm(struct defer_drop_guard *guard)
{
	if (!defer_drop_guard_is_armed(guard))
		return NULL;
	dd_trouble_cross_out(guard);
	set_state(guard, DEFER_DROP_GUARD_EMPTY);
	return guard->object;
}

int defer_drop_guard_must_close(struct defer_drop_guard *guard)
{
	if (!defer_drop_guard_is_armed(guard))
		return -EINVAL;
	return guard->forgotten ? 0 : dd_trouble_note(guard);
}

int defer_drop_guard_drop(struct defer_drop_guard *guard)
{
	if (!guard)
		return -EINVAL;
	if (defer_drop_guard_state(guard) == DEFER_DROP_GUARD_EMPTY)
		return guard->status = 0;
	if (!defer_drop_guard_is_armed(guard) || guard->destroy_status)
		return defer_drop_guard_await(&guard, 1, DEFER_DROP_FOREVER);
	guard->status = defer_drop_by(guard->strategy, guard->object, guard->destroy);
	if (!guard->status)
		defer_drop_guard_disarm(guard);
	return guard->status;
}

int defer_drop_guard_drop_on_error(struct defer_drop_guard *guard, int status)
{
	if (status || !guard)
		return defer_drop_guard_drop(guard);
	defer_drop_guard_disarm(guard);
	return 0;
}

/* ---- Waiting --------------------------------------------------------------------------------- */

/* Destroys the object of a guard that is waited for, and leaves its status there. A destructor. */
static void run(void *object)
{
	struct defer_drop_guard *guard = object;
	_Atomic(uint32_t) *state = state_of(guard);
	bool is_own = guard->status == gettid();
	pid_t process = guard->process;
	int status = 0;

	if (guard->destroy) {
		guard->destroy(guard->object);
	} else {
		/* Not finished: a queue goes on with it later; otherwise it goes on here. */
		while ((status = guard->destroy_status(guard->object)) == DEFER_DROP_AGAIN)
			if (!defer_drop_again(guard, run))
				return;
	}
	/* The destructor has forked, and this is the child, which does not have that thread. */
	if (!is_own && process != getpid())
		return;
	guard->status = status;
	/* STATUS->: without release the guard's thread could miss what the destructor did. */
	atomic_store_explicit(state, DEFER_DROP_GUARD_OVER, memory_order_release);
	dd_futex_wake(state, 1); /* uses only the address: the guard may be gone */
}

/* Refuses a wait inside a destructor whose return the object has to wait for. */
static int refuse(const struct defer_drop_guard *guard)
{
	const struct defer_drop_strategy *strategy = strategy_of(guard);

	if (!guard->destroy && !guard->destroy_status)
		return -EINVAL;
	return strategy->wait && strategy->wait(strategy, 0) == -EDEADLK ? -EDEADLK : 0;
}

/* Drops the object of an armed guard; an error becomes its status. */
static void start(struct defer_drop_guard *guard)
{
	int result = refuse(guard);

	if (!result) {
		guard->process = getpid();
		guard->status = gettid();
		set_state(guard, DEFER_DROP_GUARD_PENDING);
		dd_fork_pass_over(run);
		result = defer_drop_by(guard->strategy, guard, run);
	}
	if (!result) {
		dd_trouble_cross_out(guard);
		return;
	}
	set_state(guard, DEFER_DROP_GUARD_ARMED);
	guard->status = result;
}

/* Ends a guard whose object will never be destroyed, with that error as its status. */
static void lose(struct defer_drop_guard *guard, int error)
{
	guard->status = error;
	set_state(guard, DEFER_DROP_GUARD_OVER);
}

/* Returns the time left, for the strategy's wait, which takes no deadlines. */
static uint64_t time_left(uint64_t deadline_ns)
{
	uint64_t now_ns;

	if (!deadline_ns || deadline_ns == DEFER_DROP_FOREVER)
		return deadline_ns;
	now_ns = dd_now_ns();
	return deadline_ns > now_ns ? deadline_ns - now_ns : 0;
}

/* Waits until a guard is not pending. Returns 0, -EAGAIN, -ETIMEDOUT or the strategy's error. */
static int finish(struct defer_drop_guard *guard, uint64_t deadline_ns)
{
	const struct defer_drop_strategy *strategy = strategy_of(guard);
	int result = 0;

	if (!is_over(guard) && strategy->wait)
		result = strategy->wait(strategy, time_left(deadline_ns));
	if (is_over(guard))
		return 0;
	if (!result && guard->process != getpid())
		result = -ESTALE;
	if (result == -ESHUTDOWN || result == -ESTALE) {
		lose(guard, result);
		return 0;
	}
	while (!result && !is_over(guard))
		result = dd_futex_wait(state_of(guard), DEFER_DROP_GUARD_PENDING, deadline_ns);
	if (is_over(guard))
		return 0;
	/* Which of the two depends on the caller's timeout, not on the part the strategy got. */
	return result == -ETIMEDOUT || result == -EAGAIN ? dd_deadline_error(deadline_ns) : result;
}

/* Returns the first error of guards none of which is pending, and reports the others. */
static int tell_statuses(struct defer_drop_guard *const *guards, size_t count)
{
	int first = 0;

	for (size_t i = 0; i < count; i++) {
		struct defer_drop_guard *guard = guards[i];
		bool is_refused = defer_drop_guard_is_armed(guard);

		if (defer_drop_guard_state(guard) == DEFER_DROP_GUARD_EMPTY)
			continue;
		if (!is_refused)
			set_state(guard, DEFER_DROP_GUARD_EMPTY);
		if (!first)
			first = guard->status;
		else if (guard->status)
			dd_trouble_tell(
				is_refused ? DEFER_DROP_TROUBLE_REFUSED : DEFER_DROP_TROUBLE_FAILED,
				guard, guard->status);
	}
	return first;
}

static bool has_all(struct defer_drop_guard *const *guards, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!guards || !guards[i])
			return false;
	return true;
}

int defer_drop_guard_await(
	struct defer_drop_guard *const *guards, size_t count, uint64_t timeout_ns)
{
	int result = has_all(guards, count) ? dd_timeout_check(timeout_ns) : -EINVAL;
	uint64_t deadline_ns;

	if (result)
		return result;
	for (size_t i = 0; i < count; i++)
		if (defer_drop_guard_is_armed(guards[i]))
			start(guards[i]);
	deadline_ns = dd_deadline_after(timeout_ns);
	for (size_t i = 0; i < count && !result; i++)
		result = finish(guards[i], deadline_ns);
	return result ? result : tell_statuses(guards, count);
}

/* Aborts: the guard's scope is left inside a reader that its object waits for. */
_Noreturn static void fail_inside(const struct defer_drop_guard *guard)
{
	dd_report(NULL,
		"%s:%u: the scope of a guard is left inside a read-side critical section, which %p "
		"waits for",
		guard->file, guard->line, guard->object);
	abort();
}

void defer_drop_guard_leave(struct defer_drop_guard *guard)
{
	int result;

	if (!guard)
		return;
	if (guard->forgotten)
		dd_trouble_tell(DEFER_DROP_TROUBLE_FORGOTTEN, guard, 0);
	result = defer_drop_guard_drop(guard);
	/* The strategy cannot wait for it, but the guard's memory is about to go. */
	while (defer_drop_guard_is_pending(guard)) {
		if (result == -EDEADLK)
			fail_inside(guard);
		dd_futex_wait(state_of(guard), DEFER_DROP_GUARD_PENDING, DEFER_DROP_FOREVER);
		result = defer_drop_guard_await(&guard, 1, DEFER_DROP_FOREVER);
	}
	if (result)
		dd_trouble_tell(defer_drop_guard_is_armed(guard) ? DEFER_DROP_TROUBLE_REFUSED
								 : DEFER_DROP_TROUBLE_FAILED,
			guard, result);
	dd_trouble_cross_out(guard);
}
