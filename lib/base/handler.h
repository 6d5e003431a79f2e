/* SPDX-License-Identifier: MIT
 *
 * The program's handler of reports: a function and its context, which are read together without a
 * lock. Two are kept: the one in force, and the one before it, whose place the next one takes.
 * version counts them; its lowest bit says which one is in force.
 *
 * Edges:
 *   HANDLER  dd_handler_set: version, release -> dd_handler_get: version, acquire
 *            carries the handler of that version
 *   RETIRED  dd_handler_set: handle, context, release -> dd_handler_get: handle, context, acquire
 *            carries the version that says that the handler that was there is no longer in force
 */
#ifndef DD_HANDLER_H
#define DD_HANDLER_H

#include <stdint.h>

#include "base/atomic.h"
#include "defer_drop.h"

struct dd_handler {
	_Atomic(defer_drop_report_fn) handle;
	_Atomic(void *) context;
};

/* All fields are written by one thread at a time, and read by all. */
struct dd_handlers {
	struct dd_handler places[2];
	_Atomic(uint64_t) version;
};

static inline void dd_handler_set(
	struct dd_handlers *handlers, defer_drop_report_fn handle, void *context)
{
	uint64_t next = atomic_load_explicit(&handlers->version, memory_order_relaxed) + 1;
	struct dd_handler *handler = &handlers->places[next % 2];

	/* RETIRED->: without release this function could be read with the context that was here,
	 * and the version of the latter. */
	atomic_store_explicit(&handler->handle, handle, memory_order_release);
	/* RETIRED->: without release the old function could be read with this context. */
	atomic_store_explicit(&handler->context, context, memory_order_release);
	/* HANDLER->: without release this version could be read with the old handler. */
	atomic_store_explicit(&handlers->version, next, memory_order_release);
}

/* Reads the handler. Tries again only if another handler is set meanwhile. */
static inline defer_drop_report_fn dd_handler_get(struct dd_handlers *handlers, void **context)
{
	for (;;) {
		/* ->HANDLER: without acquire what is read could be older than the version. */
		uint64_t version = atomic_load_explicit(&handlers->version, memory_order_acquire);
		struct dd_handler *handler = &handlers->places[version % 2];
		defer_drop_report_fn handle;

		/* ->RETIRED: without acquire the version below could be older than this. */
		handle = atomic_load_explicit(&handler->handle, memory_order_acquire);
		/* ->RETIRED: without acquire the version below could be older than this context. */
		*context = atomic_load_explicit(&handler->context, memory_order_acquire);
		if (atomic_load_explicit(&handlers->version, memory_order_relaxed) == version)
			return handle;
	}
}

#endif
