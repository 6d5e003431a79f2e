/* SPDX-License-Identifier: MIT
 *
 * What the programs with readers of liburcu's share: objects that are poisoned when they are
 * destroyed, and kept, so that a reader who still sees one is sure to notice.
 */
#ifndef RCU_H
#define RCU_H

#include <defer_drop.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CHECK(claim)                                                                          \
	do {                                                                                  \
		if (!(claim)) {                                                               \
			fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #claim); \
			_exit(1);                                                             \
		}                                                                             \
	} while (0)

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

/* When there are no readers any more. Returns how many there were. */
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

#endif
