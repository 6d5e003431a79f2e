/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "escape.h"

#include <pthread.h>
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
		dd_report("%s: while %p was destroyed by %s, %s: a destructor must return",
			queue->config.worker_name, drop.object, name, how);
	else
		dd_report("%s: in its watermark function, %s: it must return",
			queue->config.worker_name, how);
	abort();
}

/* Do both lie in this thread's own stack? One that it was lent says nothing about depth. */
static bool are_in_own_stack(const char *one, const char *other)
{
	pthread_attr_t attributes;
	void *lowest;
	size_t size;
	int error;

	if (pthread_getattr_np(pthread_self(), &attributes))
		return false;
	error = pthread_attr_getstack(&attributes, &lowest, &size);
	pthread_attr_destroy(&attributes);
	return !error && one >= (char *)lowest && one < (char *)lowest + size &&
	       other >= (char *)lowest && other < (char *)lowest + size;
}

/*
 * A frame that was jumped out of lies deeper than the present one; or else the present ones lie
 * over it, and have most likely overwritten it.
 */
void dd_escape_look(const void *stack)
{
	const struct dd_running *frame = dd_self.running;
	const struct dd_running *entered = &dd_self.entered;
	bool is_whole = frame->queue == entered->queue && frame->outer == entered->outer &&
			frame->lane == entered->lane && frame->outside == entered->outside;
	bool is_deeper = (const char *)stack < (const char *)dd_self.depth;

	if (is_whole && (is_deeper || !are_in_own_stack(stack, dd_self.depth)))
		return;
	dd_escape_report(entered->queue, "longjmp(3) left it");
}
