/* SPDX-License-Identifier: MIT
 *
 * liburcu's wait-free queue, with a consumer that takes all nodes at a time.
 */
#include "peer.h"

#include <stdlib.h>
#include <urcu/wfcqueue.h>

/* As in real use, part of the object, so that a push allocates nothing. */
struct node {
	struct cds_wfcq_node node;
	void *object;
	void (*destroy)(void *object);
};

static struct __cds_wfcq_head head;
static struct cds_wfcq_tail tail;
static _Thread_local struct node *nodes, *next_node;
static bool is_over;
static pthread_t consumer;

static void destroy_all(struct __cds_wfcq_head *taken, struct cds_wfcq_tail *taken_tail)
{
	struct cds_wfcq_node *at, *next;

	__cds_wfcq_for_each_blocking_safe(taken, taken_tail, at, next)
	{
		struct node *node = caa_container_of(at, struct node, node);

		node->destroy(node->object);
	}
}

static void *consume(void *argument)
{
	struct __cds_wfcq_head taken;
	struct cds_wfcq_tail taken_tail;

	for (unsigned times = 0; !is_over; times++) {
		__cds_wfcq_init(&taken, &taken_tail);
		if (__cds_wfcq_splice_blocking(&taken, &taken_tail, &head, &tail) ==
			CDS_WFCQ_RET_SRC_EMPTY)
			peer_relax(times);
		else
			destroy_all(&taken, &taken_tail), times = 0;
	}
	return argument;
}

static void begin(void)
{
	__cds_wfcq_init(&head, &tail);
	peer_start(&consumer, consume);
}

static void join(unsigned nth, uint64_t pushes)
{
	(void)nth;
	nodes = next_node = peer_allocate(pushes, sizeof *nodes);
}

static void enqueue(struct node *node, void *object, void (*destroy)(void *))
{
	node->object = object;
	node->destroy = destroy;
	cds_wfcq_node_init(&node->node);
	cds_wfcq_enqueue(&head, &tail, &node->node);
}

static void push(uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		enqueue(next_node++, NULL, peer_destroy);
}

/* Called when no other thread pushes. The consumer has finished with the node before the next call. */
static void push_one(void *object, void (*destroy)(void *))
{
	static struct node node;

	enqueue(&node, object, destroy);
}

static void leave(void)
{
	free(nodes);
}

static void end(void)
{
	peer_end_behind(push_one, &is_over, consumer);
}

const struct peer peer_wfcqueue = {.name = "liburcu wfcqueue",
	.begin = begin,
	.join = join,
	.push = push,
	.push_one = push_one,
	.leave = leave,
	.end = end};
