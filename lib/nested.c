/* SPDX-License-Identifier: MIT */
#include "nested.h"

#include <errno.h>
#include <stdlib.h>

_Static_assert(sizeof(struct dd_chunk) == 4096, "a chunk is a page");

static int add_chunk(struct dd_nested *nested)
{
	struct dd_chunk *chunk = malloc(sizeof *chunk);

	if (!chunk)
		return -ENOMEM;
	chunk->next = NULL;
	chunk->begin = chunk->end = 0;
	if (nested->last)
		nested->last->next = chunk;
	else
		nested->first = chunk;
	nested->last = chunk;
	return 0;
}

int dd_nested_push(struct dd_nested *nested, void *object, defer_drop_fn destroy)
{
	struct dd_chunk *last = nested->last;

	if (!last || last->end == DD_CHUNK_DROPS) {
		int result = add_chunk(nested);

		if (result)
			return result;
		last = nested->last;
	}
	last->drops[last->end++] = (struct dd_drop){object, destroy};
	return 0;
}

bool dd_nested_take(struct dd_nested *nested, struct dd_drop *drop)
{
	struct dd_chunk *first = nested->first;

	if (dd_nested_is_empty(nested))
		return false;
	*drop = first->drops[first->begin++];
	if (first->begin != first->end)
		return true;
	if (first->next) {
		nested->first = first->next;
		free(first);
	} else {
		/* The last chunk is kept: a chain of drops, one made by the other, needs no
		 * memory after the first. */
		first->begin = first->end = 0;
	}
	return true;
}

void dd_nested_clear(struct dd_nested *nested)
{
	while (nested->first) {
		struct dd_chunk *first = nested->first;

		nested->first = first->next;
		free(first);
	}
	nested->last = NULL;
}
