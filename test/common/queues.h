/* SPDX-License-Identifier: MIT
 *
 * Queues and threads for the tests of every kind. A file includes this one after it has CHECK and
 * ANSWERS, from common/check.h or from unit/unit.h.
 */
#ifndef COMMON_QUEUES_H
#define COMMON_QUEUES_H

#include <defer_drop.h>
#include <dirent.h>
#include <pthread.h>
#include <stdlib.h>

/* A destructor for drops that only have to be there. */
static inline void ignore(void *object)
{
	(void)object;
}

/* Callbacks that a configuration has only to have. */

static inline void ignore_failure(void *context, const struct defer_drop_failure *failure)
{
	(void)context;
	(void)failure;
}

static inline void ignore_level(void *context, const struct defer_drop_level *level)
{
	(void)context;
	(void)level;
}

static inline void ignore_slow(void *context, const struct defer_drop_slow *slow)
{
	(void)context;
	(void)slow;
}

static inline void ignore_start(void *context)
{
	(void)context;
}

static inline struct defer_drop_queue *create_queue(const struct defer_drop_config *config)
{
	struct defer_drop_queue *queue = NULL;

	ANSWERS(0, defer_drop_queue_create(&queue, config));
	CHECK(queue);
	return queue;
}

static inline void end_queue(struct defer_drop_queue *queue)
{
	ANSWERS(0, defer_drop_queue_shutdown(queue, DEFER_DROP_FOREVER));
	ANSWERS(0, defer_drop_queue_free(queue));
}

static inline struct defer_drop_stats stats_of(struct defer_drop_queue *queue)
{
	struct defer_drop_stats stats = DEFER_DROP_STATS_INIT;

	ANSWERS(0, defer_drop_queue_stats(queue, &stats));
	return stats;
}

static inline pthread_t spawn(void *(*run)(void *), void *argument)
{
	pthread_t thread;

	CHECK(!pthread_create(&thread, NULL, run, argument));
	return thread;
}

/* Returns what the thread returned. */
static inline void *join_thread(pthread_t thread)
{
	void *result;

	CHECK(!pthread_join(thread, &result));
	return result;
}

/* Returns how many threads this process has. Children use it too. */
static inline unsigned count_threads(void)
{
	DIR *tasks = opendir("/proc/self/task");
	struct dirent *task;
	unsigned count = 0;

	if (!tasks)
		abort();
	while ((task = readdir(tasks)))
		count += task->d_name[0] != '.';
	closedir(tasks);
	return count;
}

#endif
