/* Destroys a list of a million nodes without the caller noticing. */
#include <defer_drop.h>
#include <stdlib.h>

static void list_free(void *list)
{
	for (void *next; list; free(list), list = next)
		next = *(void **)list;
}

int main(void)
{
	void **list = NULL, **node;

	for (int i = 0; i < 1000000 && (node = malloc(sizeof *node)); i++, list = node)
		*node = list;
	if (defer_drop(list, list_free)) /* instead of list_free(list) */
		return 1;
	return defer_drop_flush(); /* now it is gone; exit would have waited for it too */
}
