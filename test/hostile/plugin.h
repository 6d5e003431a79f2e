/* SPDX-License-Identifier: MIT
 *
 * What a plugin exports: one symbol, `plugin`.
 */
#ifndef PLUGIN_H
#define PLUGIN_H

#include <defer_drop.h>
#include <stdatomic.h>

struct plugin {
	/* Pushes this number of drops, each of which counts itself. Returns 0, or the result of the
	 * push. */
	int (*push)(unsigned count, atomic_uint *destroyed, int is_slow);
	int (*flush)(void);
	/* Of the copy of the library that the plugin uses. */
	struct defer_drop_queue *(*queue)(void);
	/* Pushes as push does, to a queue of the plugin's own, and ends that queue. */
	int (*push_own)(unsigned count, atomic_uint *destroyed);
	int (*end_own)(void);
	/* Pushes as push does, to the default queue, in the name of a group; and ends the group, or
	 * abandons and frees it. */
	int (*push_grouped)(unsigned count, atomic_uint *destroyed);
	int (*end_group)(void);
	int (*abandon_group)(void);
};

__attribute__((visibility("default"))) extern const struct plugin plugin;

#endif
