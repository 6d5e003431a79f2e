/* SPDX-License-Identifier: MIT
 *
 * Groups: one word that counts the drops of a group that are pending, and says what may be done
 * with them. Each step is one read-modify-write of that word.
 *
 * A drop counts in one of two phases. A flush begins the other phase, in which later pushes count:
 * so it waits for what came before it, however much comes afterwards. A phase begins again only
 * when none of its drops is pending. A drop that a destructor of the group makes counts in the
 * phase of the drop that makes it. (The alternative, to note the tails of all lanes, would wait for
 * drops of others too.)
 *
 * The memory of a group is never given back to the system, but used for other groups: a consumer
 * that comes to abandoned drops of a freed group, and a call that comes too late, find its word.
 *
 * word: the counts of both phases, and
 *   PHASE      in which phase pushes count; changed by flushes, under the lock of waiters
 *   RUNS       a destructor of the group runs; changed by the consumer
 *   CLOSED     pushes are refused; set by an end
 *   ABANDONED  no destructor of the group begins any more; set under the registry's lock
 *   FREED      it is the library's again; set by a free
 *   AWAITED    a thread waits, in the queue's list; changed under the lock of waiters
 * These arrows cannot happen:
 *   RUNS 0 -> 1 after ABANDONED           a destructor would run when its code is gone
 *   CLOSED, ABANDONED, FREED 1 -> 0       a drop could be pushed that nobody waits for; but the
 *                                         word of another group in this memory begins anew
 *   a count 0 -> 1 after CLOSED           neither; a drop that a destructor makes finds no 0
 *
 * Edges:
 *   LEFT   leave, pause: word, release -> look: word, acquire
 *          carries what the destructors did; and, to another group in this memory, that the
 *          consumer has done with this one
 *   GIVEN  abandon: word, release -> begin: word, acquire
 *          carries the function that is told of abandoned objects
 *   SPENT  member_release: uses, release -> member_release: uses, acquire
 *          carries that the member was read, to the thread that frees it
 */
#ifndef DD_GROUP_H
#define DD_GROUP_H

#include <errno.h>

#include "core/completion.h"
#include "defer_drop/group.h"

#define DD_PHASE_BITS      28
#define DD_GROUP_PENDING   ((UINT64_C(1) << 2 * DD_PHASE_BITS) - 1) /* the counts of both phases */
#define DD_GROUP_PHASE     (UINT64_C(1) << 56)
#define DD_GROUP_RUNS      (UINT64_C(1) << 57)
#define DD_GROUP_CLOSED    (UINT64_C(1) << 58)
#define DD_GROUP_ABANDONED (UINT64_C(1) << 59)
#define DD_GROUP_FREED     (UINT64_C(1) << 60)
#define DD_GROUP_AWAITED   (UINT64_C(1) << 61)

/* What a drop in a group has in place of its context: the group, and the context. */
struct dd_member {
	struct defer_drop_group *group;
	DD_PLAIN(void *) context;
	_Atomic(uint32_t) uses; /* drops that have it; of a group's own, not counted */
};

struct defer_drop_group {
	alignas(DD_LINE) _Atomic(uint64_t) word;
	struct defer_drop_queue *queue; /* set when it is made, like own */
	struct dd_member own;           /* of its drops without a context */

	/* The consumer's: it writes, statistics read. */
	_Atomic(uint64_t) destroyed_total;
	_Atomic(uint64_t) abandoned_total;

	/* Written before ABANDONED is set. */
	DD_PLAIN(defer_drop_abandoned_fn) told;
	DD_PLAIN(void *) told_context;

	uint64_t
		epoch; /* phases that have begun; its lowest bit is PHASE; under the lock of waiters */

	/* Under the registry's lock. */
	struct defer_drop_group *next;      /* of all that were made */
	struct defer_drop_group *next_free; /* of those that were freed */
};

/* A thread that waits until none of these bits of the word is set; on its stack. */
struct dd_group_waiter {
	struct dd_waiter waiter; /* sleeps on the completion, not on its latch */
	struct defer_drop_group *group;
	uint64_t bits;
	struct dd_completion completion;
};

static inline unsigned dd_group_phase(uint64_t word)
{
	return word & DD_GROUP_PHASE ? 1 : 0;
}

/* Returns the phase in which a drop with this word of options counts. */
static inline unsigned dd_options_phase(uint64_t word)
{
	return word & DD_IN_PHASE_1 ? 1 : 0;
}

/* Returns one drop in a phase; and the bits in which the drops of a phase are counted. */
static inline uint64_t dd_group_one(unsigned phase)
{
	return UINT64_C(1) << phase * DD_PHASE_BITS;
}

static inline uint64_t dd_group_count(unsigned phase)
{
	return dd_group_one(phase) * ((UINT64_C(1) << DD_PHASE_BITS) - 1);
}

/* Returns the member of a drop that is in a group. */
static inline struct dd_member *dd_options_member(const struct dd_options *options)
{
	return dd_options_kept(options);
}

/* Returns the group of a drop with options, or NULL. */
static inline struct defer_drop_group *dd_options_group(const struct dd_options *options)
{
	return options->word & DD_HAS_GROUP ? dd_options_member(options)->group : NULL;
}

/* Returns the context for the destructor of a drop with options. */
static inline void *dd_options_context(const struct dd_options *options)
{
	return options->word & DD_HAS_GROUP ? dd_plain_load(&dd_options_member(options)->context)
					    : dd_options_kept(options);
}

/*
 * Counts a drop that is about to be pushed. maker: the word of options of the drop in this group
 * whose destructor makes the new one, or 0: such a drop is taken also if the group was closed.
 * Returns 0 or an error. word: of the drop's options, gets its phase.
 */
static inline int dd_group_join(struct defer_drop_group *group, uint64_t maker, uint64_t *word)
{
	uint64_t before = atomic_load_explicit(&group->word, memory_order_relaxed);
	unsigned phase;

	do {
		if (!maker && (before & (DD_GROUP_CLOSED | DD_GROUP_ABANDONED)))
			return before & DD_GROUP_FREED ? -EINVAL : -ESHUTDOWN;
		phase = maker ? dd_options_phase(maker) : dd_group_phase(before);
		if ((before & dd_group_count(phase)) == dd_group_count(phase))
			return -EOVERFLOW;
		/* Relaxed is enough: PUBLISH carries it to the consumer, which takes it back. */
	} while (!atomic_compare_exchange_weak_explicit(&group->word, &before,
		before + dd_group_one(phase), memory_order_relaxed, memory_order_relaxed));
	*word = (*word & ~DD_IN_PHASE_1) | (phase ? DD_IN_PHASE_1 : 0);
	return 0;
}

/* Begins a destructor, by the consumer. False if the group was abandoned: it must not run. */
static inline bool dd_group_begin(struct defer_drop_group *group)
{
	uint64_t before = atomic_load_explicit(&group->word, memory_order_relaxed);

	while (!(before & DD_GROUP_ABANDONED))
		/* Relaxed is enough: it carries nothing. */
		if (atomic_compare_exchange_weak_explicit(&group->word, &before,
			    before | DD_GROUP_RUNS, memory_order_relaxed, memory_order_relaxed))
			return true;
	/* ->GIVEN: without acquire the function that is to be told could be missed. */
	atomic_load_explicit(&group->word, memory_order_acquire);
	return false;
}

/* Notes that a destructor has returned, of a drop that is still pending. True if threads must be
 * woken. */
static inline bool dd_group_pause(struct defer_drop_group *group)
{
	uint64_t before;

	dd_tools_release(group);
	/* LEFT->: without release a thread that abandons could unload the code under us. */
	before = atomic_fetch_and_explicit(&group->word, ~DD_GROUP_RUNS, memory_order_release);
	return (before & DD_GROUP_AWAITED) && (before & DD_GROUP_ABANDONED);
}

/*
 * Counts a drop as ended, or a push as failed: the last access to the group. runs: RUNS if the
 * consumer ends a drop whose destructor it has noted as running, otherwise 0. True if threads must
 * be woken.
 */
static inline bool dd_group_leave(struct defer_drop_group *group, uint64_t word, uint64_t runs)
{
	uint64_t ended = dd_group_one(dd_options_phase(word)) + runs;
	uint64_t before;

	dd_tools_release(group);
	/* LEFT->: without release a thread that waits could miss what the destructor did. */
	before = atomic_fetch_sub_explicit(&group->word, ended, memory_order_release) - ended;
	if (!(before & DD_GROUP_AWAITED))
		return false;
	/* Only a thread that abandons waits for less than the end of a phase. */
	return !(before & dd_group_count(dd_options_phase(word))) ||
	       (runs && (before & DD_GROUP_ABANDONED));
}

/* Returns RUNS if it is set. By the consumer, which alone changes it. */
static inline uint64_t dd_group_runs(struct defer_drop_group *group)
{
	return atomic_load_explicit(&group->word, memory_order_relaxed) & DD_GROUP_RUNS;
}

/* Returns the word as it is now. */
static inline uint64_t dd_group_look(struct defer_drop_group *group)
{
	/* ->LEFT: without acquire what the destructors did could be missed. */
	uint64_t word = atomic_load_explicit(&group->word, memory_order_acquire);

	dd_tools_acquire(group);
	return word;
}

/* Sets bits of the word. */
static inline void dd_group_set(struct defer_drop_group *group, uint64_t bits)
{
	/* GIVEN->: without release the consumer could miss the function that is to be told. */
	atomic_fetch_or_explicit(&group->word, bits, memory_order_release);
}

/* Returns how many drops are pending. */
static inline uint64_t dd_group_backlog(struct defer_drop_group *group)
{
	uint64_t word = atomic_load_explicit(&group->word, memory_order_relaxed);

	return (word & dd_group_count(0)) + ((word & dd_group_count(1)) >> DD_PHASE_BITS);
}

/*
 * Returns the options of the drop whose destructor runs, if the drop is in a group, or NULL. By the
 * consumer, inside a destructor.
 */
const struct dd_options *dd_group_running(const struct defer_drop_queue *queue);

/* Counts a drop in a group, pushed to its queue by the calling thread. As dd_group_join. */
int dd_group_enter(struct defer_drop_group *group, uint64_t *word);

/* Ends a push that failed after dd_group_enter. */
void dd_group_withdraw(struct defer_drop_group *group, uint64_t word);

/* Ends a drop in a group, by the consumer, after all else. word: of its options. */
void dd_group_end(
	struct defer_drop_queue *queue, struct dd_member *member, uint64_t word, bool is_destroyed);

/* Wakes the threads that wait for what has happened to a group. */
void dd_group_wake(struct defer_drop_queue *queue, const struct defer_drop_group *group);

/*
 * Makes a member for drops with a context; returns that of the group for drops without one. NULL if
 * there is no memory.
 */
struct dd_member *dd_member_make(struct defer_drop_group *group, void *context, uint32_t uses);
void dd_member_release(struct dd_member *member, uint32_t uses);

/* Returns the bits for which a flush that began in this epoch waits, or 0. Under the lock. */
uint64_t dd_group_flushed(struct defer_drop_group *group, uint64_t epoch);

/* Returns the bits for which an end, or an abandonment, waits. */
uint64_t dd_group_ended(struct defer_drop_group *group, uint64_t epoch);

/* Puts a waiter into the list. False, and does nothing, if it need not wait. Under the lock. */
bool dd_group_enlist(struct dd_group_waiter *self);

/* Takes a waiter out, unless it was woken. Under the lock. */
void dd_group_unlist(struct dd_group_waiter *self);

/* Makes a group; frees one. Return 0 or an error. */
int dd_group_make(struct defer_drop_group **group, struct defer_drop_queue *queue);
int dd_group_free(struct defer_drop_group *group);

/* Empties all groups, in a forked child; and counts a drop that the child keeps. */
void dd_groups_survive(void);
void dd_group_keep(const struct dd_options *options);

#endif
