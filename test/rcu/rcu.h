/* SPDX-License-Identifier: MIT
 *
 * What the programs with readers of liburcu share: objects that are poisoned when they are
 * destroyed, and kept, so that a reader that still sees one is sure to notice.
 */
#ifndef RCU_H
#define RCU_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "../common/check.h"
#include "../common/queues.h"

/* First in an object that readers see. */
struct mark {
	_Atomic(bool) is_poisoned;
	struct mark *next; /* of the destroyed, the worker's */
};

static struct mark *destroyed;

static inline bool is_alive(struct mark *mark)
{
	return !atomic_load_explicit(&mark->is_poisoned, memory_order_relaxed);
}

static inline void poison(struct mark *mark)
{
	CHECK(is_alive(mark));
	atomic_store_explicit(&mark->is_poisoned, true, memory_order_relaxed);
	mark->next = destroyed;
	destroyed = mark;
}

/* To be called when all readers have ended. Returns how many objects it frees. */
static inline unsigned long free_destroyed(void)
{
	unsigned long count = 0;

	for (; destroyed; count++) {
		struct mark *mark = destroyed;

		destroyed = mark->next;
		free(mark);
	}
	return count;
}

#define READERS  3
#define UPDATERS 2

/* Set when readers are to end. */
static atomic_bool has_ended;

/* Runs updaters to their end, beside readers. */
static inline void update_under_readers(void *(*update)(void *), void *(*read_on)(void *))
{
	pthread_t readers[READERS];
	pthread_t updaters[UPDATERS];

	for (unsigned i = 0; i < READERS; i++)
		readers[i] = spawn(read_on, NULL);
	for (unsigned i = 0; i < UPDATERS; i++)
		updaters[i] = spawn(update, NULL);
	for (unsigned i = 0; i < UPDATERS; i++)
		join_thread(updaters[i]);
	atomic_store(&has_ended, true);
	for (unsigned i = 0; i < READERS; i++)
		join_thread(readers[i]);
}

#endif
