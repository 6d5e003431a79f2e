/* SPDX-License-Identifier: MIT
 *
 * The handlers for fork and exit of the process.
 */
#include "life/process.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/fork.h"
#include "base/report.h"
#include "core/group.h"
#include "core/print.h"
#include "core/registry.h"
#include "life/closing.h"
#include "life/fork.h"

/* Under the registry's lock. */
static bool hears_of_exit;
static bool has_told;
static bool is_exiting;
static bool is_over; /* no queue is left for exit to deal with */

/* ---- fork ------------------------------------------------------------------------------------ */

static void hold(void)
{
	dd_registry_lock();
	for (struct defer_drop_queue *at = dd_registry_first(); at; at = at->next)
		dd_queue_lock_all(at);
	dd_report_lock();
}

static void let_go(void)
{
	dd_report_unlock();
	for (struct defer_drop_queue *at = dd_registry_first(); at; at = at->next)
		dd_queue_unlock_all(at);
	dd_registry_unlock();
}

static void survive(void)
{
	dd_report_unlock();
	/* The child of a process in exit: its own exit would not know of a new push. */
	is_over = is_exiting;
	dd_grace_fork();
	dd_groups_survive();
	for (struct defer_drop_queue *at = dd_registry_first(); at; at = at->next)
		dd_queue_survive(at, is_exiting);
	dd_registry_unlock();
}

static struct dd_fork_part fork_part = {hold, let_go, survive, NULL};

DD_AT_LOAD static void hear_of_fork(void)
{
	dd_fork_add(&fork_part);
}

/* ---- exit ------------------------------------------------------------------------------------ */

/*
 * True if exit deals with this queue before that one. First comes the queue whose destructor ends
 * the process, since other queues may wait for room in it. Last comes the default queue, since
 * destructors of others may push to it.
 */
static bool comes_before(struct defer_drop_queue *queue, struct defer_drop_queue *other)
{
	if (!other || dd_is_running(queue))
		return true;
	return dd_queue_is_default(other) && !dd_is_running(other);
}

/* Takes the next queue that exit has not dealt with; of equals, the newest. */
static struct defer_drop_queue *next_to_exit(void)
{
	struct defer_drop_queue *found = NULL;

	dd_registry_lock();
	is_exiting = true;
	for (struct defer_drop_queue *at = dd_registry_first(); at; at = at->next)
		if (!at->has_seen_exit && comes_before(at, found))
			found = at;
	if (found)
		found->has_seen_exit = true;
	else
		is_over = true;
	dd_registry_unlock();
	return found;
}

static void at_exit(void)
{
	struct defer_drop_queue *queue;
	uint32_t format = DEFER_DROP_FORMAT_NONE;

	dd_fork_break_off();
	while ((queue = next_to_exit())) {
		uint64_t abandoned = dd_queue_exit(queue);
		uint64_t timeout_ns = queue->config.values.exit_timeout_ns;

		/* With an infinite timeout, abandoned drops are those that were given up before. */
		if (abandoned && timeout_ns)
			dd_report(queue->config.values.name, "exit abandons %llu drops",
				(unsigned long long)abandoned);
		if (queue->config.values.stats_print)
			format = queue->config.values.stats_print;
	}
	if (format)
		dd_print(NULL, NULL, format);
}

/* ---- The first queue ------------------------------------------------------------------------- */

/* Sets the handler of exit. If that fails for lack of memory, the next queue tries again. */
static void hear_of_exit(void)
{
	int before = errno;

	if (!hears_of_exit)
		hears_of_exit = !atexit(at_exit);
	errno = before;
}

/* Runs later than a handler of atexit(3): drops of such handlers would otherwise be refused. */
__attribute__((destructor)) static void at_end(void)
{
	if (!hears_of_exit)
		at_exit();
}

void dd_process_add(struct defer_drop_queue *queue)
{
	if (!dd_fork_is_heard() && !has_told)
		dd_report(NULL, "no memory to hear of fork: a child must not use the library");
	has_told = !dd_fork_is_heard();
	hear_of_exit();
	dd_registry_add(queue);
}

bool dd_process_is_over(void)
{
	return is_over;
}
