/* SPDX-License-Identifier: MIT
 *
 * Destructors that do not return. What is left of the consumer cannot go on, and threads that wait
 * for it would wait for ever, without a sign. So this is reported, and the process aborts.
 *
 * A thread that unwinds the stack, because it ends or by an exception, passes the frame of the
 * function that was running destructors (DD_RUNNING). A jump leaves that frame behind, and so does
 * the end of a thread in a C library that does not unwind. This is seen when the thread has
 * overwritten the frame and next enters the library off the fast path, or when it ends. It cannot be
 * seen earlier: a destructor may run on any stack, a coroutine's in the frame of its caller for
 * example, so depth proves nothing.
 */
#ifndef DD_ESCAPE_H
#define DD_ESCAPE_H

#include <stddef.h>

#include "base/atomic.h"

struct dd_lane;
struct defer_drop_queue;

/* True if the end of a thread unwinds its stack. musl's does not. */
#ifdef __GLIBC__
#define DD_END_UNWINDS true
#else
#define DD_END_UNWINDS false
#endif

/* A stack of the queues whose destructors a thread is running, innermost first. */
struct dd_running {
	struct defer_drop_queue *queue; /* NULL: not entered, or left */
	struct dd_running *outer;
	struct dd_lane *lane; /* the thread's lane in the default queue, put aside */
	int cancel_state;     /* to be restored, like errno_before */
	int errno_before;
};

/* Defines the frame in which a function runs destructors. */
#define DD_RUNNING(frame) \
	__attribute__((cleanup(dd_escape_catch))) struct dd_running frame = {.queue = NULL}

/* Returns the drop whose destructor runs, for the consumer inside it; NULLs if there is none. */
struct dd_drop dd_escape_current(const struct defer_drop_queue *queue);

/* Reports that the destructor this thread ran for that queue did not return, and aborts. */
_Noreturn void dd_escape_report(struct defer_drop_queue *queue, const char *how);

/* Aborts if the thread was running destructors and certainly does so no more. */
void dd_escape_look(void);

static inline void dd_escape_catch(struct dd_running *frame)
{
	if (dd_unlikely(frame->queue != NULL))
		dd_escape_report(frame->queue, "its thread was ended, or an exception thrown");
}

#endif
