/* SPDX-License-Identifier: MIT
 *
 * A process forks while producers push; the child pushes, flushes, forks again and exits; the
 * parent has lost nothing, and what the child inherits it destroys once or, by policy, not at all.
 */
#include "stress.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static atomic_bool is_over;

static void *run(void *argument)
{
	struct producer *producer = argument;

	while (!atomic_load(&is_over))
		push_one(producer);
	return NULL;
}

static void wait_for(pid_t child)
{
	int status;

	CHECK(waitpid(child, &status, 0) == child);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* The thread lives on in the child: it pushes as a producer of its own. */
static void push_some(struct producer *producer)
{
	for (unsigned i = 0; i < 50; i++)
		push_one(producer);
}

/* Ends a child by the way of the exit handlers, which find nothing left. */
static _Noreturn void end_child(const struct producer *producer)
{
	CHECK(!defer_drop_queue_flush(producer->queue, DEFER_DROP_FOREVER));
	CHECK(producer->destroyed == producer->accepted);
	exit(0);
}

static _Noreturn void be_grandchild(const struct producer *parent)
{
	struct producer producer = {.queue = parent->queue, .random = parent->random};

	push_some(&producer);
	end_child(&producer);
}

static _Noreturn void be_child(const struct producer *parent)
{
	struct producer producer = {.queue = parent->queue, .random = parent->random};
	pid_t child;

	push_some(&producer);
	child = fork();
	CHECK(child >= 0);
	if (!child)
		be_grandchild(&producer);
	wait_for(child);
	end_child(&producer);
}

void scenario_fork(struct stress *stress)
{
	struct producer producers[MAX_PRODUCERS] = {0};
	struct producer own = {0};
	struct defer_drop_queue *queue = make_queue(stress, DEFER_DROP_RUNNER_WORKER);

	atomic_store(&is_over, false);
	own.queue = queue;
	own.random = next_random(&stress->random);
	start_producers(stress, producers, stress->producers, queue, run);
	for (unsigned i = 0; i < 5; i++) {
		pid_t child;

		push_one(&own);
		child = fork();
		CHECK(child >= 0);
		if (!child)
			be_child(&own);
		wait_for(child);
	}
	atomic_store(&is_over, true);
	join_producers(producers, stress->producers);
	CHECK(!defer_drop_queue_shutdown(queue, DEFER_DROP_FOREVER));
	CHECK(own.destroyed == own.accepted);
	for (unsigned i = 0; i < stress->producers; i++)
		CHECK(producers[i].destroyed == producers[i].accepted);
	CHECK(!defer_drop_queue_free(queue));
}
