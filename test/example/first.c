/* Destroys a tree of a million nodes without the caller noticing. */
#include <defer_drop.h>
#include <stdio.h>
#include <stdlib.h>

struct node {
	struct node *left, *right;
};

static struct node *grow(unsigned depth)
{
	struct node *node = calloc(1, sizeof *node);

	if (node && depth) {
		node->left = grow(depth - 1);
		node->right = grow(depth - 1);
	}
	return node;
}

static void fell(void *object)
{
	struct node *node = object;

	if (!node)
		return;
	fell(node->left);
	fell(node->right);
	free(node);
}

int main(void)
{
	if (defer_drop(grow(19), fell)) /* instead of fell(tree) */
		return 1;
	puts("the caller goes on at once");
	return defer_drop_flush(); /* now it is gone */
}
