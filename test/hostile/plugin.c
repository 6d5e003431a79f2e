/* SPDX-License-Identifier: MIT
 *
 * A shared object that drops, with destructors of its own: built with the shared library, and with
 * the static one inside.
 */
#include <defer_drop.h>
#include <defer_drop/group.h>
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

/* queue: NULL means the default one, by the short call. */
static int push_pieces_to(struct defer_drop_queue *queue, unsigned count, atomic_uint *destroyed,
	defer_drop_fn destroy)
{
	for (unsigned i = 0; i < count; i++) {
		struct piece *piece = malloc(sizeof *piece);
		int result;

		if (!piece)
			return -1;
		piece->destroyed = destroyed;
		result = queue ? defer_drop_queue_push(queue, piece, destroy, DEFER_DROP_FOREVER)
			       : defer_drop(piece, destroy);
		if (result)
			return result;
	}
	return 0;
}

static int push_pieces(unsigned count, atomic_uint *destroyed, int is_slow)
{
	return push_pieces_to(NULL, count, destroyed, is_slow ? destroy_slowly : destroy_piece);
}

static struct defer_drop_queue *own;

static int push_own_pieces(unsigned count, atomic_uint *destroyed)
{
	int result = own ? 0 : defer_drop_queue_create(&own, NULL);

	return result ? result : push_pieces_to(own, count, destroyed, destroy_slowly);
}

static int end_own(void)
{
	int result = defer_drop_queue_shutdown(own, DEFER_DROP_FOREVER);

	if (!result)
		result = defer_drop_queue_free(own);
	own = NULL; /* for a C library that unloads nothing */
	return result;
}

static struct defer_drop_group *group;

/* They lie in the plugin, so that those that are abandoned go with it. */
static struct piece pieces[8];

static void destroy_in_place(void *object)
{
	struct piece *piece = object;

	nanosleep(&(struct timespec){0, 200000}, NULL);
	atomic_fetch_add(piece->destroyed, 1);
}

static int push_grouped(unsigned count, atomic_uint *destroyed)
{
	int result = group ? 0 : defer_drop_group_create(&group, NULL);

	for (unsigned i = 0; !result && i < count; i++) {
		pieces[i].destroyed = destroyed;
		result = defer_drop_group_push(
			group, &pieces[i], destroy_in_place, DEFER_DROP_FOREVER);
	}
	return result;
}

/* The plugin may stay loaded after dlclose(3): its next drops are in a new group. */
static int free_group(void)
{
	struct defer_drop_group *ended = group;

	group = NULL;
	return defer_drop_group_free(ended);
}

static int end_group(void)
{
	int result = defer_drop_group_end(group, DEFER_DROP_FOREVER);

	return result ? result : free_group();
}

static int abandon_group(void)
{
	int result = defer_drop_group_abandon(group, NULL, NULL, DEFER_DROP_FOREVER);

	return result ? result : free_group();
}

const struct plugin plugin = {push_pieces, defer_drop_flush, defer_drop_queue_default,
	push_own_pieces, end_own, push_grouped, end_group, abandon_group};
