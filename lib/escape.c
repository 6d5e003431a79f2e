/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "escape.h"

#include <stdlib.h>

#include "report.h"
#include "run.h"
#include "symbol.h"

void dd_escape_report(struct defer_drop_queue *queue, const char *how)
{
	struct dd_drop drop = dd_run_current(queue);
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
