/* SPDX-License-Identifier: MIT
 *
 * A shared object that drops, with destructors of its own: built with the shared library, and with
 * the static one inside.
 */
#include <defer_drop.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "plugin.h"

struct piece {
	atomic_uint *destroyed;
};

static void destroy_piece(void *object)
{
	struct piece *piece = object;
	atomic_uint *destroyed = piece->destroyed;

	free(piece);
	atomic_fetch_add(destroyed, 1);
}

static void destroy_slowly(void *object)
{
	nanosleep(&(struct timespec){0, 200000}, NULL);
	destroy_piece(object);
}

static int push_pieces_to(
	struct defer_drop_queue *queue, unsigned count, atomic_uint *destroyed, int is_slow)
{
	for (unsigned i = 0; i < count; i++) {
		struct piece *piece = malloc(sizeof *piece);
		int result;

		if (!piece)
			return -1;
		piece->destroyed = destroyed;
		result = defer_drop_queue_push(
			queue, piece, is_slow ? destroy_slowly : destroy_piece, DEFER_DROP_FOREVER);
		if (result)
			return result;
	}
	return 0;
}

static int push_pieces(unsigned count, atomic_uint *destroyed, int is_slow)
{
	return push_pieces_to(defer_drop_queue_default(), count, destroyed, is_slow);
}

static struct defer_drop_queue *own;

static int push_own_pieces(unsigned count, atomic_uint *destroyed)
{
	int result = own ? 0 : defer_drop_queue_create(&own, NULL);

	return result ? result : push_pieces_to(own, count, destroyed, 1);
}

static int end_own(void)
{
	int result = defer_drop_queue_shutdown(own, DEFER_DROP_FOREVER);

	return result ? result : defer_drop_queue_free(own);
}

const struct plugin plugin = {
	push_pieces, defer_drop_flush, defer_drop_queue_default, push_own_pieces, end_own};
