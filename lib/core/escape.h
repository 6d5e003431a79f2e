/* SPDX-License-Identifier: MIT
 *
 * Destructors that do not return: what is left of the consumer cannot go on, and must not be found
 * out by others who wait for ever. So it is said, and the process aborts.
 *
 * A thread that unwinds the stack, because it ends or by an exception, comes by the frame of the
 * function that was running destructors (DD_RUNNING). A jump leaves that frame behind. That is seen
 * when the thread has overwritten the frame and next enters the library off the fast path, or when
 * it ends. It is not seen before: a destructor may as well run on a stack that lies anywhere, a
 * coroutine's in the frame of its caller, say, and depth proves nothing.
 */
#ifndef DD_ESCAPE_H
#define DD_ESCAPE_H

#include <stddef.h>

#include "base/atomic.h"

struct dd_lane;
struct defer_drop_queue;

/* A stack of the queues whose destructors a thread is running, innermost first. */
struct dd_running {
	struct defer_drop_queue *queue; /* NULL: not entered, or left */
	struct dd_running *outer;
	struct dd_lane *lane; /* the thread's in the default queue, put aside */
	int cancel_state;     /* to be restored, like the next */
	int errno_before;
};

/* Defines the one in which a function runs destructors. */
#define DD_RUNNING(frame) \
	__attribute__((cleanup(dd_escape_catch))) struct dd_running frame = {.queue = NULL}

/* The drop whose destructor is running, for the consumer inside it; NULLs if there is none. */
struct dd_drop dd_escape_current(const struct defer_drop_queue *queue);

/* The destructor that this thread was running for that queue did not return. */
_Noreturn void dd_escape_report(struct defer_drop_queue *queue, const char *how);

/* Aborts if the thread, which was running destructors, certainly does so no more. */
void dd_escape_look(void);

static inline void dd_escape_catch(struct dd_running *frame)
{
	if (dd_unlikely(frame->queue != NULL))
		dd_escape_report(frame->queue, "its thread was ended, or an exception thrown");
}

#endif
