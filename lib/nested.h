/* SPDX-License-Identifier: MIT
 *
 * The drops that destructors make: a first-in first-out list of the consumer's own, unbounded,
 * because a destructor that waited for room would wait for itself. Used by one thread.
 */
#ifndef DD_NESTED_H
#define DD_NESTED_H

#include <stdbool.h>
#include <stdint.h>

#include "ring.h"

/* With the fields beside them, a page. */
#define DD_CHUNK_DROPS 255

struct dd_chunk {
	struct dd_chunk *next;
	uint32_t begin;
	uint32_t end;
	struct dd_drop drops[DD_CHUNK_DROPS];
};

struct dd_nested {
	struct dd_chunk *first; /* taken from; NULL where there is none */
	struct dd_chunk *last;  /* added to */
};

/* 0 or -ENOMEM. */
int dd_nested_push(struct dd_nested *nested, void *object, defer_drop_fn destroy);
bool dd_nested_take(struct dd_nested *nested, struct dd_drop *drop);
/* Forgets the drops and frees the memory. */
void dd_nested_clear(struct dd_nested *nested);

static inline bool dd_nested_is_empty(const struct dd_nested *nested)
{
	return !nested->first || nested->first->begin == nested->first->end;
}

#endif
