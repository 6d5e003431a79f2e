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

static int push_pieces(unsigned count, atomic_uint *destroyed, int is_slow)
{
	for (unsigned i = 0; i < count; i++) {
		struct piece *piece = malloc(sizeof *piece);
		int result;

		if (!piece)
			return -1;
		piece->destroyed = destroyed;
		result = defer_drop(piece, is_slow ? destroy_slowly : destroy_piece);
		if (result)
			return result;
	}
	return 0;
}

const struct plugin plugin = {push_pieces, defer_drop_flush, defer_drop_queue_default};
