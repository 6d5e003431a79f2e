/* SPDX-License-Identifier: MIT
 *
 * The holder: a thread with a table of descriptors of its own, which holds files for callers, and
 * gives what they drop to a queue whose worker shares that table. It starts when it is needed,
 * rests between the slices of a drop, and ends when nothing has been pending for a while.
 *
 * Callers may be in a signal handler: they take no memory here, unless the holder must be started.
 */
#ifndef DD_OS_HOLDER_H
#define DD_OS_HOLDER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/latch.h"
#include "defer_drop/os.h"

enum dd_os_kind { DD_OS_MAPPING, DD_OS_FILE, DD_OS_KINDS };

/* Something of the kernel's that is destroyed in slices. Embedded at its beginning. */
struct dd_os_drop {
	struct dd_os_drop *next; /* in the holder's list */
	/* Destroys a slice, on the worker. True if that was the last one: then the drop's memory is
	 * gone too. */
	bool (*destroy_some)(struct dd_os_drop *drop);
	enum dd_os_kind kind;
	uint64_t bytes;            /* as reserved */
	uint64_t slice_bytes;      /* that a slice destroys */
	uint64_t bytes_per_second; /* 0: no limit */
	bool is_polite;            /* rests for as long as a slice took */
	uint64_t due_ns;           /* no slice before that */
};

/* What a caller asks the holder to do, on the caller's stack. */
struct dd_os_request {
	struct dd_os_request *next;
	void (*serve)(struct dd_os_request *request); /* on the holder */
	struct dd_latch served;
};

/* Reserves room for bytes that will be pending. False if that is more than may be. */
bool dd_os_reserve(uint64_t bytes);
void dd_os_give_back(uint64_t bytes);
uint64_t dd_os_pending_bytes(void);

/* Has a request served, and waits for that. False if there is no holder; nothing was done then. */
bool dd_os_ask(struct dd_os_request *request);

/* Hands a drop over whose bytes are reserved. False if there is no holder. */
bool dd_os_hand_over(struct dd_os_drop *drop);

/* Adds to the statistics. */
void dd_os_count_deferred(enum dd_os_kind kind, uint64_t bytes, uint64_t caller_ns);
void dd_os_count_in_place(enum dd_os_kind kind);

#endif
