/* SPDX-License-Identifier: MIT
 *
 * The head of objects that nobody can reach any more and that wait to be destroyed: a value, an
 * outgrown table, a data set.
 */
#ifndef GARBAGE_H
#define GARBAGE_H

#include <stdbool.h>
#ifdef HAVE_URCU
#include <urcu.h>
#endif

#include "memory.h"

struct garbage {
	/* Destroys as much of it as the slice allows. True if all of it is gone. */
	bool (*destroy)(struct garbage *garbage, struct slice *slice);
	struct tally tally; /* its contents, itself included */
#ifdef HAVE_URCU
	struct rcu_head head; /* call_rcu(3) needs it in the object */
#endif
};

/* Destroys about that number of its nodes. True if all of it is gone. Any thread. */
bool garbage_destroy_some(struct garbage *garbage, uint64_t nodes);
/* Destroys all of it: a defer_drop_fn. Any thread. */
void garbage_destroy(void *garbage);

/*
 * Pushes garbage that holds nothing and adds 1 to an eventfd as it is destroyed. Returns 0 or a
 * negative errno; -EAGAIN if push refused it.
 */
int garbage_push_marker(bool (*push)(struct garbage *garbage), int eventfd);

#endif
