/* SPDX-License-Identifier: MIT
 *
 * Watching the backlog: watermarks, and threads that wait for it to shrink. The consumer looks, now
 * and then while it destroys and each time that it finds nothing, as long as anyone watches: a look
 * reads the producers' lines, which costs them.
 */
#ifndef DD_WATCH_H
#define DD_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/latch.h"

struct defer_drop_queue;

/* A thread that waits. */
struct dd_watcher {
	struct dd_watcher *next;
	uint64_t max_drops;
	uint64_t max_bytes;
	bool has_been_enough; /* under the lock, until it is woken */
	struct dd_latch is_woken;
};

struct dd_watch {
	struct dd_watcher *first; /* threads that wait, under the lock of waiters */

	/* The consumer's. */
	uint64_t next_look_ns;
	uint64_t told_ns; /* when watermark was called last */
	bool is_high;     /* what it was told */
	bool is_telling;  /* it is being told */
};

/* True if the queue has watermarks. Set once. */
bool dd_watch_has_marks(const struct defer_drop_queue *queue);

/* True if a thread waits: then the consumer may not sleep for good. */
bool dd_watch_is_awaited(struct defer_drop_queue *queue);

/* By the consumer, after a drop: looks, if the last look is some time ago. */
void dd_watch_glance(struct defer_drop_queue *queue);

/* By the consumer, with nothing to do: looks. is_last: it will not look again for long. */
void dd_watch_look(struct defer_drop_queue *queue, bool is_last);

/* By a consumer that ceases to be it: looks, since nobody may look again for long. */
void dd_watch_leave(struct defer_drop_queue *queue);

/* The backlog now; and if it is as small as this watcher wants it. */
struct defer_drop_level dd_watch_level(struct defer_drop_queue *queue);
bool dd_watch_is_enough(const struct dd_watcher *watcher, const struct defer_drop_level *level);

/*
 * Puts a watcher into the list, and takes it out if it still is there. enlist: false, and nothing
 * done, if the consumer has finished.
 */
bool dd_watch_enlist(struct defer_drop_queue *queue, struct dd_watcher *watcher);
void dd_watch_unlist(struct defer_drop_queue *queue, struct dd_watcher *watcher);

/* Under the lock of waiters: wakes everyone; and, in a forked child, forgets them. */
void dd_watch_release(struct defer_drop_queue *queue);
void dd_watch_forget(struct defer_drop_queue *queue);

#endif
