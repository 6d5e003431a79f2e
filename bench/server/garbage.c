/* SPDX-License-Identifier: MIT
 *
 * Destroys garbage, all of it or some.
 */
#include "garbage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

bool garbage_destroy_some(struct garbage *garbage, uint64_t nodes)
{
	struct slice slice = {.left = nodes};
	bool is_gone = garbage->destroy(garbage, &slice);

	memory_count_destroyed(&slice.done);
	return is_gone;
}

void garbage_destroy(void *garbage)
{
	garbage_destroy_some(garbage, UINT64_MAX);
}

struct marker {
	struct garbage garbage;
	int eventfd; /* a duplicate: the connection that asked may be closed by then */
};

static void free_marker(struct garbage *garbage)
{
	struct marker *marker = (struct marker *)garbage;

	close(marker->eventfd);
	free(marker);
}

static bool destroy_marker(struct garbage *garbage, struct slice *slice)
{
	(void)slice;
	eventfd_write(((struct marker *)garbage)->eventfd, 1);
	free_marker(garbage);
	return true;
}

static struct garbage *create_marker(int eventfd)
{
	struct marker *marker = malloc(sizeof *marker);

	if (!marker)
		return NULL;
	*marker = (struct marker){.garbage.destroy = destroy_marker};
	marker->eventfd = fcntl(eventfd, F_DUPFD_CLOEXEC, 0);
	if (marker->eventfd >= 0)
		return &marker->garbage;
	free(marker);
	return NULL;
}

int garbage_push_marker(bool (*push)(struct garbage *garbage), int eventfd)
{
	struct garbage *marker = create_marker(eventfd);

	if (!marker)
		return -errno;
	if (push(marker))
		return 0;
	free_marker(marker);
	return -EAGAIN;
}
