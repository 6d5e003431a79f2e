/* SPDX-License-Identifier: MIT
 *
 * The directory of queues by their ids, for tickets. It is read without a lock, since a thread that
 * holds a lock may be stopped, and written under the registry's lock.
 *
 * Edges:
 *   KNOWN   enter: id, release -> look_up: id, acquire
 *           carries the queue
 */
#ifndef DD_DIRECTORY_H
#define DD_DIRECTORY_H

#include "core/queue.h"

/* Queues that can be found at a time; the id chooses the place. */
enum { DD_PLACES = 1024 };

/* The id lies beside the pointer: a queue that is not asked for may be about to be unmapped. */
struct dd_place {
	_Atomic(uint64_t) id; /* 0: free */
	_Atomic(struct defer_drop_queue *) queue;
};

struct dd_directory {
	struct dd_place places[DD_PLACES];
};

static inline struct dd_place *dd_directory_place(struct dd_directory *directory, uint64_t id)
{
	return &directory->places[id % DD_PLACES];
}

/* Relaxed is enough for threads that write: the lock orders their accesses to a place. */
static inline bool dd_directory_has_room(struct dd_directory *directory, uint64_t id)
{
	return !atomic_load_explicit(&dd_directory_place(directory, id)->id, memory_order_relaxed);
}

/* Enters a queue, if there is room for its id. */
static inline void dd_directory_enter(
	struct dd_directory *directory, struct defer_drop_queue *queue)
{
	struct dd_place *place = dd_directory_place(directory, dd_read(&queue->id));

	if (!dd_directory_has_room(directory, dd_read(&queue->id)))
		return;
	atomic_store_explicit(&place->queue, queue, memory_order_relaxed);
	/* KNOWN->: without release a ticket could find the queue before it is set up. */
	atomic_store_explicit(&place->id, dd_read(&queue->id), memory_order_release);
}

/* Returns the queue of this id, which may not be freed meanwhile, or NULL. */
static inline struct defer_drop_queue *dd_directory_look_up(
	struct dd_directory *directory, uint64_t id)
{
	struct dd_place *place = dd_directory_place(directory, id);

	/* ->KNOWN: without acquire a ticket could find the queue before it is set up. */
	if (atomic_load_explicit(&place->id, memory_order_acquire) != id)
		return NULL;
	return atomic_load_explicit(&place->queue, memory_order_relaxed);
}

/* Removes a queue, if it was entered. */
static inline void dd_directory_strike(struct dd_directory *directory, uint64_t id)
{
	struct dd_place *place = dd_directory_place(directory, id);

	if (atomic_load_explicit(&place->id, memory_order_relaxed) == id)
		atomic_store_explicit(&place->id, 0, memory_order_relaxed);
}

#endif
