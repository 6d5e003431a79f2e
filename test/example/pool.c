/* The nodes of lists come home: the worker gives them to a pool, from which the next list is made. */
#include <defer_drop.h>
#include <defer_drop/pool.h>
#include <stdio.h>

struct node {
	struct node *next;
	int value;
};

static struct defer_drop_pool *nodes;

static struct node *make_list(int length)
{
	struct node *first = NULL;

	while (length-- > 0) {
		struct node *node = defer_drop_pool_take(nodes); /* instead of malloc */

		if (!node)
			break;
		*node = (struct node){first, length};
		first = node;
	}
	return first;
}

static void free_list(void *object)
{
	struct node *node = object;

	while (node) {
		struct node *next = node->next;

		defer_drop_pool_give(nodes, node); /* instead of free */
		node = next;
	}
}

int main(void)
{
	struct defer_drop_pool_config config = DEFER_DROP_POOL_CONFIG_INIT;
	struct defer_drop_pool_counts counts = DEFER_DROP_POOL_COUNTS_INIT;

	config.block_bytes = sizeof(struct node);
	if (defer_drop_pool_create(&nodes, &config))
		return 1;
	for (int i = 0; i < 100; i++)
		if (defer_drop(make_list(1000), free_list) || defer_drop_flush())
			return 1;
	if (defer_drop_pool_stats(nodes, &counts))
		return 1;
	printf("%llu nodes were taken, %llu of them new\n", (unsigned long long)counts.taken_total,
		(unsigned long long)counts.from_backing_total);
	/* Destructors that give to it have run. */
	return defer_drop_pool_free(nodes) ? 1 : 0;
}
