/* SPDX-License-Identifier: MIT
 *
 * GLib's asynchronous queue with a thread that empties it, and GLib's thread pool with one thread.
 * Both carry a pointer, so a pair is allocated for each drop.
 */
#include "peer.h"

#include <glib.h>

static struct peer_drop_pair *make_pair(void *object, void (*destroy)(void *))
{
	struct peer_drop_pair *pair = g_new(struct peer_drop_pair, 1);

	*pair = (struct peer_drop_pair){object, destroy};
	return pair;
}

static void destroy_pair(struct peer_drop_pair *pair)
{
	pair->destroy(pair->object);
	g_free(pair);
}

/* ---- GAsyncQueue ----------------------------------------------------------------------------- */

static GAsyncQueue *queue;
static bool is_over;
static pthread_t consumer;

static void *consume(void *argument)
{
	while (!is_over)
		destroy_pair(g_async_queue_pop(queue));
	return argument;
}

static void begin_queue(void)
{
	queue = g_async_queue_new();
	peer_start(&consumer, consume);
}

static void push_one_to_queue(void *object, void (*destroy)(void *))
{
	g_async_queue_push(queue, make_pair(object, destroy));
}

static void push_to_queue(uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		push_one_to_queue(NULL, peer_destroy);
}

static void end_queue(void)
{
	peer_end_behind(push_one_to_queue, &is_over, consumer);
	g_async_queue_unref(queue);
}

const struct peer peer_async_queue = {.name = "GAsyncQueue",
	.begin = begin_queue,
	.push = push_to_queue,
	.push_one = push_one_to_queue,
	.end = end_queue};

/* ---- GThreadPool ----------------------------------------------------------------------------- */

static GThreadPool *pool;

static void run(void *pair, void *unused)
{
	(void)unused;
	destroy_pair(pair);
}

/* Exclusive, so that its thread is made now and pinned as its maker. */
static void begin_pool(void)
{
	pool = g_thread_pool_new(run, NULL, 1, TRUE, NULL);
}

static void push_one_to_pool(void *object, void (*destroy)(void *))
{
	g_thread_pool_push(pool, make_pair(object, destroy), NULL);
}

static void push_to_pool(uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		push_one_to_pool(NULL, peer_destroy);
}

static void end_pool(void)
{
	g_thread_pool_free(pool, FALSE, TRUE);
}

const struct peer peer_thread_pool = {.name = "GThreadPool",
	.begin = begin_pool,
	.push = push_to_pool,
	.push_one = push_one_to_pool,
	.end = end_pool};
