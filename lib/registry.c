/* SPDX-License-Identifier: MIT */
#include "registry.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "directory.h"
#include "report.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool hears_of_fork; /* under the lock, like all that follows */
static bool hears_of_exit;
static bool is_exiting;
static bool is_over; /* no queue is left that exit would deal with */

static struct defer_drop_queue *queues; /* newest first */

static struct dd_directory directory;
static uint64_t last_id = DD_DEFAULT_ID;

void dd_registry_lock(void)
{
	pthread_mutex_lock(&lock);
}

void dd_registry_unlock(void)
{
	pthread_mutex_unlock(&lock);
}

/* ---- fork ------------------------------------------------------------------------------------ */

static void before_fork(void)
{
	dd_registry_lock();
	for (struct defer_drop_queue *at = queues; at; at = at->next)
		dd_queue_lock_all(at);
	dd_report_lock();
}

static void after_fork_in_parent(void)
{
	dd_report_unlock();
	for (struct defer_drop_queue *at = queues; at; at = at->next)
		dd_queue_unlock_all(at);
	dd_registry_unlock();
}

static void after_fork_in_child(void)
{
	dd_report_fork();
	/* What the child of a process that exits would push, its own exit would not hear of. */
	is_over = is_exiting;
	dd_grace_fork();
	for (struct defer_drop_queue *at = queues; at; at = at->next)
		dd_queue_survive(at, is_exiting);
	pthread_mutex_init(&lock, NULL);
}

/* ---- exit ------------------------------------------------------------------------------------ */

/*
 * Does exit deal with this queue before that one? First comes the queue whose destructor ends the
 * process, since others may wait for room in it; last the default one, since others may push to it.
 */
static bool comes_before(struct defer_drop_queue *queue, struct defer_drop_queue *other)
{
	if (!other || dd_is_running(queue))
		return true;
	return other == defer_drop_queue_default() && !dd_is_running(other);
}

/* Takes the next queue that still has to be dealt with: of equals, the newest. */
static struct defer_drop_queue *next_to_exit(void)
{
	struct defer_drop_queue *found = NULL;

	dd_registry_lock();
	is_exiting = true;
	for (struct defer_drop_queue *at = queues; at; at = at->next)
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

	while ((queue = next_to_exit())) {
		uint64_t abandoned = dd_queue_exit(queue);
		uint64_t timeout_ns = queue->config.values.exit_timeout_ns;

		/* One that may take for ever abandons only what was given up before. */
		if (abandoned && timeout_ns)
			dd_report(queue->config.values.name, "exit abandons %llu drops",
				(unsigned long long)abandoned);
	}
}

/* ---- The list -------------------------------------------------------------------------------- */

/* What fails for want of memory is tried again with the next queue. */
static void set_hooks(void)
{
	int before = errno;

	if (!hears_of_exit)
		hears_of_exit = !atexit(at_exit);
	if (!hears_of_fork)
		hears_of_fork =
			!pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
	if (!hears_of_fork)
		dd_report(NULL, "no memory to hear of fork: a child must not use the library");
	errno = before;
}

/* Later than atexit(3) would have done it: after its handlers, whose drops are refused else. */
__attribute__((destructor)) static void at_end(void)
{
	if (!hears_of_exit)
		at_exit();
}

uint64_t dd_registry_new_id(void)
{
	uint64_t id;

	dd_registry_lock();
	id = ++last_id;
	for (unsigned i = 1; i < DD_PLACES && !dd_directory_has_room(&directory, id); i++)
		id = ++last_id;
	dd_registry_unlock();
	return id;
}

void dd_registry_add(struct defer_drop_queue *queue)
{
	if (!hears_of_fork || !hears_of_exit)
		set_hooks();
	queue->next = queues;
	queues = queue;
	dd_directory_enter(&directory, queue);
}

bool dd_registry_is_over(void)
{
	return is_over;
}

bool dd_registry_remove(struct defer_drop_queue *queue)
{
	bool is_ours;

	dd_registry_lock();
	is_ours = !queue->has_seen_exit;
	dd_directory_strike(&directory, queue->id);
	for (struct defer_drop_queue **at = &queues; *at; at = &(*at)->next) {
		if (*at != queue)
			continue;
		*at = queue->next;
		break;
	}
	dd_registry_unlock();
	return is_ours;
}

struct defer_drop_queue *dd_registry_find(uint64_t id)
{
	for (struct defer_drop_queue *at = queues; at; at = at->next)
		if (at->id == id)
			return at;
	return NULL;
}

struct defer_drop_queue *dd_registry_look_up(uint64_t id)
{
	return dd_directory_look_up(&directory, id);
}
