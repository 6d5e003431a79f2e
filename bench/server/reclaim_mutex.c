/* SPDX-License-Identifier: MIT
 *
 * The way with a mutex, a condition variable and an allocated list without a limit, as in the
 * background threads of many servers.
 */
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "reclaim.h"

struct link {
	struct link *next;
	struct garbage *garbage;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t is_pending = PTHREAD_COND_INITIALIZER;
static struct link *first;
static struct link **last = &first;
static uint64_t backlog;
static bool is_over;
static pthread_t thread;

static void *work(void *argument)
{
	(void)argument;
	pthread_mutex_lock(&lock);
	while (first || !is_over) {
		struct link *link = first;

		if (!link) {
			pthread_cond_wait(&is_pending, &lock);
			continue;
		}
		first = link->next;
		if (!first)
			last = &first;
		pthread_mutex_unlock(&lock);
		garbage_destroy(link->garbage);
		free(link);
		pthread_mutex_lock(&lock);
		backlog--;
	}
	pthread_mutex_unlock(&lock);
	return NULL;
}

static int start(const struct reclaim_config *config)
{
	sigset_t all;
	sigset_t before;
	int error;

	(void)config;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&thread, NULL, work, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -error;
}

static bool push(struct garbage *garbage)
{
	struct link *link = malloc(sizeof *link);

	if (!link)
		return false;
	*link = (struct link){.garbage = garbage};
	pthread_mutex_lock(&lock);
	*last = link;
	last = &link->next;
	backlog++;
	pthread_cond_signal(&is_pending);
	pthread_mutex_unlock(&lock);
	return true;
}

static int notify(int eventfd)
{
	return garbage_push_marker(push, eventfd);
}

static void describe(struct buffer *out)
{
	pthread_mutex_lock(&lock);
	buffer_print(out, "backlog:%" PRIu64 "\r\n", backlog);
	pthread_mutex_unlock(&lock);
}

static void stop(void)
{
	pthread_mutex_lock(&lock);
	is_over = true;
	pthread_cond_signal(&is_pending);
	pthread_mutex_unlock(&lock);
	pthread_join(thread, NULL);
}

const struct reclaim_way reclaim_mutex = {
	.name = "mutex",
	.start = start,
	.push = push,
	.notify = notify,
	.describe = describe,
	.stop = stop,
};
