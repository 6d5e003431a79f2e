/* Gives nodes back to the arena of the thread that took them: the destructor gets the arena too. */
#include <defer_drop.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#define NODES 1000

struct node {
	struct node *next;
};

struct arena {
	struct node nodes[NODES];
	unsigned taken;                  /* of nodes that were never given back */
	struct node *spare;              /* the thread's own */
	_Atomic(struct node *) returned; /* by the worker, for the thread */
};

static int give_back(void *object, void *context)
{
	struct node *node = object;
	struct arena *arena = context;

	node->next = atomic_load(&arena->returned);
	while (!atomic_compare_exchange_weak(&arena->returned, &node->next, node))
		continue;
	return 0;
}

/* NULL if all nodes are in use or pending. */
static struct node *take(struct arena *arena)
{
	struct node *node;

	if (arena->taken < NODES)
		return &arena->nodes[arena->taken++];
	if (!arena->spare)
		arena->spare = atomic_exchange(&arena->returned, NULL);
	node = arena->spare;
	if (node)
		arena->spare = node->next;
	return node;
}

static void *work(void *arena)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	unsigned failures = 0;

	options.destroy_context = give_back;
	options.context = arena;
	for (unsigned i = 0; i < 10 * NODES; i++) {
		struct node *node = take(arena);

		if (!node) {
			failures += defer_drop_flush() != 0;
			node = take(arena);
		}
		failures += defer_drop_with(node, NULL, DEFER_DROP_FOREVER, &options) != 0;
	}
	failures += defer_drop_flush() != 0;
	for (unsigned i = 0; i < NODES; i++) /* all of them are back where they belong */
		failures += !take(arena);
	return failures ? arena : NULL;
}

int main(void)
{
	static struct arena arenas[2];
	pthread_t other;
	void *failed;

	if (pthread_create(&other, NULL, work, &arenas[1]) || work(&arenas[0]))
		return 1;
	pthread_join(other, &failed);
	puts(failed ? "nodes are missing" : "each node is back in its arena");
	return failed != NULL;
}
