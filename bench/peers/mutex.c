/* SPDX-License-Identifier: MIT
 *
 * A mutex, a condition variable and an allocated list, as in the background threads of many
 * servers.
 */
#include "peer.h"

#include <stdlib.h>

struct link {
	struct link *next;
	void *object;
	void (*destroy)(void *object);
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t is_pending = PTHREAD_COND_INITIALIZER;
static struct link *first;
static struct link **last = &first;
static bool is_over;
static pthread_t consumer;

static struct link *take(void)
{
	struct link *link;

	pthread_mutex_lock(&lock);
	while (!first)
		pthread_cond_wait(&is_pending, &lock);
	link = first;
	first = link->next;
	if (!first)
		last = &first;
	pthread_mutex_unlock(&lock);
	return link;
}

static void *consume(void *argument)
{
	while (!is_over) {
		struct link *link = take();

		link->destroy(link->object);
		free(link);
	}
	return argument;
}

static void begin(void)
{
	peer_start(&consumer, consume);
}

static void push_one(void *object, void (*destroy)(void *))
{
	struct link *link = malloc(sizeof *link);

	if (!link)
		abort();
	*link = (struct link){NULL, object, destroy};
	pthread_mutex_lock(&lock);
	*last = link;
	last = &link->next;
	pthread_cond_signal(&is_pending);
	pthread_mutex_unlock(&lock);
}

static void push(uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		push_one(NULL, peer_destroy);
}

static void end(void)
{
	peer_end_behind(push_one, &is_over, consumer);
}

const struct peer peer_mutex_list = {
	.name = "mutex and list", .begin = begin, .push = push, .push_one = push_one, .end = end};
