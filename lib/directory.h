/* SPDX-License-Identifier: MIT
 *
 * The directory of queues by their ids, for tickets: it is read without a lock, since a thread that
 * holds one may be stopped. Written under the registry's lock.
 *
 * Edges:
 *   KNOWN   enter: places, release -> look_up: places, acquire
 *           carries the queue
 */
#ifndef DD_DIRECTORY_H
#define DD_DIRECTORY_H

#include "queue.h"

/* Queues that can be found so at a time; the id chooses the place. */
enum { DD_PLACES = 1024 };

struct dd_directory {
	_Atomic(struct defer_drop_queue *) places[DD_PLACES];
};

/* Relaxed is enough for those who write: the lock orders what becomes of a place. */
static inline bool dd_directory_has_room(struct dd_directory *directory, uint64_t id)
{
	return !atomic_load_explicit(&directory->places[id % DD_PLACES], memory_order_relaxed);
}

/* Enters a queue, if there is room for its id. */
static inline void dd_directory_enter(
	struct dd_directory *directory, struct defer_drop_queue *queue)
{
	if (dd_directory_has_room(directory, queue->id))
		/* KNOWN->: without release a ticket could find the queue before it is set up. */
		atomic_store_explicit(
			&directory->places[queue->id % DD_PLACES], queue, memory_order_release);
}

static inline struct defer_drop_queue *dd_directory_look_up(
	struct dd_directory *directory, uint64_t id)
{
	/* ->KNOWN: without acquire the same. */
	struct defer_drop_queue *queue =
		atomic_load_explicit(&directory->places[id % DD_PLACES], memory_order_acquire);

	return queue && queue->id == id ? queue : NULL;
}

/* Strikes a queue out, if it was entered. */
static inline void dd_directory_strike(
	struct dd_directory *directory, struct defer_drop_queue *queue)
{
	if (dd_directory_look_up(directory, queue->id))
		atomic_store_explicit(
			&directory->places[queue->id % DD_PLACES], NULL, memory_order_relaxed);
}

#endif
