/* SPDX-License-Identifier: MIT
 *
 * A mutex, a condition variable and an allocated list, as servers' background jobs are often made.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "bench.h"
#include "peer.h"

struct job {
	struct job *next;
	void *object;
	void (*destroy)(void *object);
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t is_pending = PTHREAD_COND_INITIALIZER;
static pthread_cond_t is_empty = PTHREAD_COND_INITIALIZER;
static struct job *first;
static struct job **last = &first;
static bool is_running_one;
static bool is_over;
static pthread_t thread;

static void *work(void *argument)
{
	(void)argument;
	bench_pin(1);
	pthread_mutex_lock(&lock);
	for (;;) {
		struct job *job = first;

		if (!job) {
			pthread_cond_broadcast(&is_empty);
			if (is_over)
				break;
			pthread_cond_wait(&is_pending, &lock);
			continue;
		}
		first = job->next;
		if (!first)
			last = &first;
		is_running_one = true;
		pthread_mutex_unlock(&lock);
		job->destroy(job->object);
		free(job);
		pthread_mutex_lock(&lock);
		is_running_one = false;
	}
	pthread_mutex_unlock(&lock);
	return NULL;
}

static void begin(void)
{
	is_over = false;
	pthread_create(&thread, NULL, work, NULL);
}

static void push(uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		struct job *job = malloc(sizeof *job);

		if (!job)
			abort();
		job->next = NULL;
		job->object = NULL;
		job->destroy = peer_destroy;
		pthread_mutex_lock(&lock);
		*last = job;
		last = &job->next;
		pthread_cond_signal(&is_pending);
		pthread_mutex_unlock(&lock);
	}
}

static void flush(void)
{
	pthread_mutex_lock(&lock);
	while (first || is_running_one)
		pthread_cond_wait(&is_empty, &lock);
	pthread_mutex_unlock(&lock);
}

static void end(void)
{
	pthread_mutex_lock(&lock);
	is_over = true;
	pthread_cond_signal(&is_pending);
	pthread_mutex_unlock(&lock);
	pthread_join(thread, NULL);
}

const struct peer peer_mutex_list = {"mutex and list", begin, push, flush, end};
