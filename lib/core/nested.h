/* SPDX-License-Identifier: MIT
 *
 * The drops that destructors make: a first-in first-out list for each lane, which only the consumer
 * uses. It is unbounded, because a destructor that waited for room would wait for itself. As in a
 * ring, options come before their drop.
 */
#ifndef DD_NESTED_H
#define DD_NESTED_H

#include <stdbool.h>
#include <stdint.h>

#include "core/ring.h"

/* A chunk with its other fields is a page. */
#define DD_CHUNK_DROPS 255

struct dd_chunk {
	struct dd_chunk *next;
	uint32_t begin;
	uint32_t end;
	struct dd_drop drops[DD_CHUNK_DROPS];
};

struct dd_nested {
	struct dd_chunk *first; /* taken from; NULL if there is none */
	struct dd_chunk *last;  /* added to */
	uint64_t pushed_total;  /* places, of which a drop with options takes two */
	uint64_t taken_total;
};

/* Adds a drop. options: a word of 0 means none. Returns 0 or -ENOMEM. */
int dd_nested_push(
	struct dd_nested *nested, const struct dd_options *options, const struct dd_drop *drop);
/* Takes the next drop and its options. False if there is none. */
bool dd_nested_take(struct dd_nested *nested, struct dd_options *options, struct dd_drop *drop);
/* Forgets the drops and frees the memory. */
void dd_nested_clear(struct dd_nested *nested);

static inline bool dd_nested_is_empty(const struct dd_nested *nested)
{
	return nested->taken_total == nested->pushed_total;
}

/* Returns the next place of a list that is not empty: a drop, or options of the next drop. */
static inline const struct dd_drop *dd_nested_peek(const struct dd_nested *nested)
{
	return &nested->first->drops[nested->first->begin];
}

static inline defer_drop_fn dd_nested_next(const struct dd_nested *nested)
{
	return dd_nested_peek(nested)->destroy;
}

#endif
