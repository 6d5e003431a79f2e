/* SPDX-License-Identifier: MIT
 *
 * The completion of drops: a word in the caller's memory that tells when the memory is the caller's
 * again.
 *
 * state, with WAITED beside it if a thread sleeps on it, and CALLED if no thread may sleep on it
 * any more, since its queue was given up or has lost its consumer:
 *   UNUSED, OVER -> PENDING  the push that begins to use it
 *   PENDING -> UNUSED        that push, if it pushed nothing
 *   PENDING -> TOLD          the thread that counts the last drop, with an eventfd to signal: a
 *                            reader of the eventfd must wait until that is no longer needed
 *   PENDING, TOLD -> OVER    the thread that counts the last drop: its last access
 *   OVER -> UNUSED           cannot happen: a caller that has not looked yet would lose the result
 *
 * Edges:
 *   COUNT  count: pending, release -> count: pending, acquire
 *          carries what the destructors did, and their status, to the thread that counts the last
 *   OVER   end, cancel: state, release -> look, begin: state, acquire
 *          carries what COUNT carries, and that the memory is the caller's
 */
#ifndef DD_COMPLETION_H
#define DD_COMPLETION_H

#include "base/eventfd.h"
#include "base/futex.h"
#include "core/ring.h"
#include "core/waiters.h"

enum dd_completion_state {
	DD_COMPLETION_UNUSED,
	DD_COMPLETION_PENDING,
	DD_COMPLETION_TOLD,
	DD_COMPLETION_OVER,
	DD_COMPLETION_CALLED = 1 << 29,
	DD_COMPLETION_WAITED = 1 << 30,
};

/* struct defer_drop_completion, as the library sees it. */
struct dd_completion {
	int32_t eventfd;
	_Atomic(uint32_t) state;   /* a futex word */
	_Atomic(uint32_t) pending; /* drops that are not counted yet */
	/* Written while it is pending, by the consumer or a push that fails. */
	DD_PLAIN(int32_t) status;
	DD_PLAIN(int32_t) outcome; /* of defer_drop_completion_wait */
	/* Written by the push, before it publishes. */
	uint32_t generation;
	struct defer_drop_queue *queue;
	struct dd_lane *lane;
	void *context; /* what the pointer of the options would be without it */
	void *reserved[2];
};

/* A thread that waits for one, in a list of the queue, so that it is woken if that is given up. */
struct dd_completion_waiter {
	struct dd_waiter waiter; /* sleeps on the completion, not on its latch */
	struct dd_completion *completion;
};

/* Returns the completion of a drop with options, or NULL. */
static inline struct dd_completion *dd_options_completion(const struct dd_options *options)
{
	return options->word & DD_HAS_COMPLETION ? options->pointer : NULL;
}

/* Returns the context of a drop with options; of a drop in a group, its member. */
static inline void *dd_options_kept(const struct dd_options *options)
{
	const struct dd_completion *completion = dd_options_completion(options);

	return completion ? completion->context : options->pointer;
}

/* Begins to use a completion for `count` drops. False if it is in use. */
static inline bool dd_completion_begin(struct dd_completion *completion, uint32_t count)
{
	uint32_t state = atomic_load_explicit(&completion->state, memory_order_relaxed);

	do {
		if (state != DD_COMPLETION_UNUSED && state != DD_COMPLETION_OVER)
			return false;
		/* ->OVER: without acquire the end of the last use could overwrite what is written
		 * below. */
	} while (!atomic_compare_exchange_weak_explicit(&completion->state, &state,
		DD_COMPLETION_PENDING, memory_order_acquire, memory_order_relaxed));
	dd_plain_store(&completion->status, 0);
	dd_plain_store(&completion->outcome, 0);
	atomic_store_explicit(&completion->pending, count, memory_order_relaxed);
	return true;
}

/* Makes it unused again, if nothing was pushed. */
static inline void dd_completion_cancel(struct dd_completion *completion)
{
	/* OVER->: without release another push could begin before our writes. */
	atomic_store_explicit(&completion->state, DD_COMPLETION_UNUSED, memory_order_release);
}

/* Keeps the first status that is not 0. By the consumer, before it counts the drop. */
static inline void dd_completion_note(
	struct dd_completion *completion, int32_t status, int32_t outcome)
{
	if (status && !dd_plain_load(&completion->status))
		dd_plain_store(&completion->status, status);
	if (outcome)
		dd_plain_store(&completion->outcome, outcome);
}

/* Counts drops as done. True for the thread that counts the last: it must end the completion. */
static inline bool dd_completion_count(struct dd_completion *completion, uint32_t drops)
{
	dd_tools_release(completion);
	/* COUNT->: without release the status could be missed; ->COUNT: without acquire, too. */
	return atomic_fetch_sub_explicit(&completion->pending, drops, memory_order_acq_rel) ==
	       drops;
}

/* Moves to TOLD: an eventfd is about to be signalled. */
static inline void dd_completion_tell(struct dd_completion *completion)
{
	atomic_fetch_add_explicit(&completion->state, DD_COMPLETION_TOLD - DD_COMPLETION_PENDING,
		memory_order_relaxed);
}

/* Gives it back to the caller. True if threads sleep on its state, and must be woken. */
static inline bool dd_completion_end(struct dd_completion *completion)
{
	/* OVER->: without release the caller could miss the status, or free it under us. */
	return atomic_exchange_explicit(
		       &completion->state, DD_COMPLETION_OVER, memory_order_release) &
	       DD_COMPLETION_WAITED;
}

/* Returns its state, without WAITED and CALLED. */
static inline uint32_t dd_completion_look(struct dd_completion *completion)
{
	/* ->OVER: without acquire the status could be missed. */
	uint32_t state = atomic_load_explicit(&completion->state, memory_order_acquire) &
			 ~(uint32_t)(DD_COMPLETION_WAITED | DD_COMPLETION_CALLED);

	if (state == DD_COMPLETION_OVER) {
		dd_tools_acquire(completion);
		dd_tools_give_back(completion, sizeof *completion);
	}
	return state;
}

/* Asks to be woken. Returns the word to sleep on, or 0 if there is nothing to wait for. */
static inline uint32_t dd_completion_ask(struct dd_completion *completion)
{
	uint32_t state = atomic_load_explicit(&completion->state, memory_order_relaxed);

	do {
		/* A TOLD completion is waited for until OVER: CALLED concerns PENDING only. */
		if (state == DD_COMPLETION_UNUSED || state == DD_COMPLETION_OVER ||
			(state & ~(uint32_t)DD_COMPLETION_WAITED) ==
				(DD_COMPLETION_PENDING | DD_COMPLETION_CALLED))
			return 0;
	} while (!atomic_compare_exchange_weak_explicit(&completion->state, &state,
		state | DD_COMPLETION_WAITED, memory_order_relaxed, memory_order_relaxed));
	return state | DD_COMPLETION_WAITED;
}

/* Wakes the threads that sleep on it, unless it is over. Under the lock of waiters. */
static inline void dd_completion_wake(struct dd_completion *completion)
{
	uint32_t state = atomic_load_explicit(&completion->state, memory_order_relaxed);

	/* Relaxed is enough: it carries no data. */
	do {
		if (state == DD_COMPLETION_UNUSED || state == DD_COMPLETION_OVER)
			return;
	} while (!atomic_compare_exchange_weak_explicit(&completion->state, &state,
		state | DD_COMPLETION_CALLED, memory_order_relaxed, memory_order_relaxed));
	dd_futex_wake(&completion->state, INT_MAX);
}

/* Clears CALLED for a thread that will look at the queue and then sleep. Under the lock. */
static inline void dd_completion_listen(struct dd_completion *completion)
{
	atomic_fetch_and_explicit(
		&completion->state, ~(uint32_t)DD_COMPLETION_CALLED, memory_order_relaxed);
}

/* Wakes the threads in a queue's list, to look at the queue again. Under the lock of waiters. */
static inline void dd_completion_call(const struct dd_waiters *list)
{
	for (const struct dd_waiter *at = list->first; at; at = at->next)
		dd_completion_wake(((const struct dd_completion_waiter *)at)->completion);
}

/*
 * Counts drops as done. If they are the last, reports to the threads that wait: from then on the
 * completion is the caller's. Returns 0, or the error of write(2) to the eventfd.
 */
static inline int dd_completion_finish(struct dd_completion *completion, uint32_t drops)
{
	int eventfd = completion->eventfd;
	int result = 0;

	if (!dd_completion_count(completion, drops))
		return 0;
	if (eventfd >= 0) {
		dd_completion_tell(completion);
		result = dd_eventfd_signal(eventfd);
	}
	/* The last access: the wake uses only the address. */
	if (dd_completion_end(completion))
		dd_futex_wake(&completion->state, INT_MAX);
	return result;
}

#endif
