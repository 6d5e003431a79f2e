/* SPDX-License-Identifier: MIT
 *
 * All threads of a new process use the default queue at once, which none has set up: it is set up
 * once, starts one worker, and all that they drop is destroyed.
 */
#include "stress.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static pthread_barrier_t gate;

static void *run(void *argument)
{
	struct producer *producer = argument;
	int passed = pthread_barrier_wait(&gate);

	CHECK(!passed || passed == PTHREAD_BARRIER_SERIAL_THREAD);
	for (unsigned i = 0; i < 20; i++)
		push_one(producer);
	return NULL;
}

static _Noreturn void be_child(struct stress *stress)
{
	struct defer_drop_queue *queue = defer_drop_queue_default();
	struct producer producers[MAX_PRODUCERS] = {0};

	CHECK(!pthread_barrier_init(&gate, NULL, stress->producers));
	start_producers(stress, producers, stress->producers, queue, run);
	join_producers(producers, stress->producers);
	CHECK(!defer_drop_queue_flush(queue, DEFER_DROP_FOREVER));
	check_all_destroyed(queue, producers, stress->producers);
	exit(0);
}

void scenario_start(struct stress *stress)
{
	uint64_t random = next_random(&stress->random);
	pid_t child = fork();
	int status;

	CHECK(child >= 0);
	if (!child) {
		stress->random = random;
		be_child(stress);
	}
	CHECK(waitpid(child, &status, 0) == child);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}
