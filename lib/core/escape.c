/* SPDX-License-Identifier: MIT
 *
 * Reporting destructors that do not return.
 */
#include "core/escape.h"

#include <stdlib.h>

#include "base/report.h"
#include "base/symbol.h"
#include "core/queue.h"

struct dd_drop dd_escape_current(const struct defer_drop_queue *queue)
{
	const struct dd_lane *lane = queue->running_lane;
	struct dd_drop last;

	if (queue->nested_running)
		return queue->nested_running->drop;
	if (!lane)
		return (struct dd_drop){NULL, NULL}; /* in a function of the configuration */
	last = dd_ring_last_taken(&lane->ring);
	return lane->current.width == 2 || last.destroy == DD_TAKEN ? lane->current.drop : last;
}

void dd_escape_report(struct defer_drop_queue *queue, const char *how)
{
	struct dd_drop drop = dd_escape_current(queue);
	char name[DD_SYMBOL_BYTES];

	dd_symbol_print(name, sizeof name, drop.destroy);
	if (drop.destroy)
		dd_report(queue->config.values.name,
			"while %p was destroyed by %s, %s: a destructor must return", drop.object,
			name, how);
	else
		dd_report(queue->config.values.name,
			"in a function of its configuration, %s: it must return", how);
	abort();
}

void dd_escape_look(void)
{
	const struct dd_running *frame = dd_self.running;
	const struct dd_running *entered = &dd_self.entered;

	if (frame->queue != entered->queue || frame->outer != entered->outer ||
		frame->lane != entered->lane)
		dd_escape_report(entered->queue, "longjmp(3) left it");
}
