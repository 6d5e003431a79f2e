/* SPDX-License-Identifier: MIT
 *
 * The list of drops that a destructor makes.
 */
#include "core/nested.h"

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

/* Makes room for one drop, all of it in the last chunk, so that a failure leaves nothing behind. */
static int make_room(struct dd_nested *nested, uint32_t places)
{
	if (nested->last && nested->last->end + places <= DD_CHUNK_DROPS)
		return 0;
	return add_chunk(nested);
}

static void add(struct dd_nested *nested, const struct dd_drop *drop)
{
	struct dd_chunk *last = nested->last;

	last->drops[last->end++] = *drop;
	nested->pushed_total++;
}

int dd_nested_push(
	struct dd_nested *nested, const struct dd_options *options, const struct dd_drop *drop)
{
	struct dd_drop first = {options->pointer, dd_options_word(options)};
	int result = make_room(nested, options->word ? 2 : 1);

	if (result)
		return result;
	if (options->word)
		add(nested, &first);
	add(nested, drop);
	return 0;
}

static struct dd_drop take(struct dd_nested *nested)
{
	struct dd_chunk *first = nested->first;
	struct dd_drop taken = first->drops[first->begin++];

	nested->taken_total++;
	if (first->begin != first->end)
		return taken;
	if (first->next) {
		nested->first = first->next;
		free(first);
	} else {
		/* The last chunk is kept: a chain of drops, each made by the one before it, needs
		 * no memory after the first. */
		first->begin = first->end = 0;
	}
	return taken;
}

bool dd_nested_take(struct dd_nested *nested, struct dd_options *options, struct dd_drop *drop)
{
	*options = (struct dd_options){0, NULL};
	if (dd_nested_is_empty(nested))
		return false;
	*drop = take(nested);
	if (dd_is_options(drop->destroy)) {
		options->word = (uint64_t)(uintptr_t)drop->destroy;
		options->pointer = drop->object;
		*drop = take(nested);
	}
	drop->destroy = dd_untagged(drop->destroy);
	return true;
}

void dd_nested_clear(struct dd_nested *nested)
{
	while (nested->first) {
		struct dd_chunk *first = nested->first;

		nested->first = first->next;
		free(first);
	}
	*nested = (struct dd_nested){NULL, NULL, 0, 0};
}
