/* SPDX-License-Identifier: MIT
 *
 * Watching the backlog: watermarks, and threads that wait for it to shrink. While anything watches,
 * the consumer looks now and then as it destroys, and each time that it finds nothing to do. A look
 * reads the producers' cache lines, which slows them down.
 */
#ifndef DD_WATCH_H
#define DD_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "core/waiters.h"

struct defer_drop_queue;

/* A thread that waits for the backlog to shrink. */
struct dd_watcher {
	struct dd_waiter waiter;
	uint64_t max_drops;
	uint64_t max_bytes;
	bool has_been_enough; /* the backlog was small enough; under the lock, until it is woken */
};

struct dd_watch {
	struct dd_waiters list; /* threads that wait, under the lock of waiters */

	/* The consumer's. */
	uint64_t next_look_ns;
	uint64_t told_ns; /* when watermark was called last */
	bool is_high;     /* what watermark was told */
	bool is_telling;  /* watermark is being called */
};

/* True if the queue has watermarks. Set once. */
bool dd_watch_has_marks(const struct defer_drop_queue *queue);

/* True if a thread waits: then the consumer may not sleep until woken. */
bool dd_watch_is_awaited(struct defer_drop_queue *queue);

/* Looks, by the consumer after a drop, if the last look is some time ago. */
void dd_watch_glance(struct defer_drop_queue *queue);

/* Looks, by the consumer with nothing to do. is_last: it will not look again for long. */
void dd_watch_look(struct defer_drop_queue *queue, bool is_last);

/* Looks, by a caller that stops being the consumer, since the next look may be long after. */
void dd_watch_leave(struct defer_drop_queue *queue);

/* Returns the backlog now. True if it is as small as this watcher wants it. */
struct defer_drop_level dd_watch_level(struct defer_drop_queue *queue, bool is_consumer);
bool dd_watch_is_enough(const struct dd_watcher *watcher, const struct defer_drop_level *level);

/*
 * Puts a watcher into the list. False, and does nothing, if the consumer has finished or the queue
 * was given up.
 */
bool dd_watch_enlist(struct defer_drop_queue *queue, struct dd_watcher *watcher);

/* Takes a watcher out of the list. False if it was woken meanwhile, or is about to be. */
bool dd_watch_unlist(struct defer_drop_queue *queue, struct dd_watcher *watcher);

/* Wakes all watchers; forgets them, in a forked child. Under the lock of waiters. */
void dd_watch_release(struct defer_drop_queue *queue);
void dd_watch_forget(struct defer_drop_queue *queue);

#endif
