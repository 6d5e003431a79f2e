/* SPDX-License-Identifier: MIT
 *
 * Threads share objects by references, and the one that puts the last reference drops the object.
 * What each thread wrote into an object is there when it is destroyed, and it is destroyed once.
 */
#include "stress.h"

#include <defer_drop/ref.h>
#include <stdlib.h>

#define OBJECTS 50

struct shared {
	struct defer_drop_ref ref;
	uint64_t *destroyed;
	unsigned users;
	/* By a thread each. Plain on purpose: the references must order them. */
	uint64_t uses[MAX_PRODUCERS];
};

static struct shared *objects[OBJECTS];
static struct producer *first;

static void destroy(void *argument)
{
	struct shared *object = argument;

	for (unsigned i = 0; i < object->users; i++)
		CHECK(object->uses[i] == 3);
	++*object->destroyed;
	free(object);
}

static void *run(void *argument)
{
	struct producer *producer = argument;

	for (unsigned i = 0; i < OBJECTS; i++) {
		struct shared *object = objects[i];

		for (unsigned j = 0; j < 3; j++) {
			defer_drop_ref_get(&object->ref);
			object->uses[producer - first]++;
			CHECK(!defer_drop_ref_put(&object->ref));
		}
		CHECK(!defer_drop_ref_put(&object->ref));
	}
	return NULL;
}

static struct shared *make(
	unsigned users, uint64_t *destroyed, const struct defer_drop_strategy *strategy)
{
	struct shared *object = calloc(1, sizeof *object);

	object->users = users;
	object->destroyed = destroyed;
	CHECK(!defer_drop_ref_init(&object->ref, object, destroy, strategy));
	defer_drop_ref_get_many(&object->ref, users - 1);
	return object;
}

void scenario_share(struct stress *stress)
{
	struct producer producers[MAX_PRODUCERS] = {0};
	struct defer_drop_queue *queue = make_queue(stress, DEFER_DROP_RUNNER_WORKER);
	struct defer_drop_strategy_queue by;
	uint64_t destroyed = 0;

	first = producers;
	CHECK(!defer_drop_strategy_queue_init(&by, queue, DEFER_DROP_FOREVER));
	for (unsigned i = 0; i < OBJECTS; i++)
		objects[i] = make(stress->producers, &destroyed, &by.strategy);
	start_producers(stress, producers, stress->producers, queue, run);
	join_producers(producers, stress->producers);
	CHECK(!defer_drop_queue_flush(queue, DEFER_DROP_FOREVER));
	CHECK(destroyed == OBJECTS);
	defer_drop_queue_end(queue);
}
