/* SPDX-License-Identifier: MIT
 *
 * The list of all queues of the process, and the lock of it.
 */
#include "core/registry.h"

#include <pthread.h>

#include "core/directory.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* Under the lock, like all that follows. */
static struct defer_drop_queue *queues; /* newest first */
static struct dd_directory directory;
static uint64_t last_id = DD_DEFAULT_ID;
static _Atomic(uint64_t) removed_total; /* read without the lock */

void dd_registry_lock(void)
{
	pthread_mutex_lock(&lock);
}

void dd_registry_unlock(void)
{
	pthread_mutex_unlock(&lock);
}

uint64_t dd_registry_new_id(void)
{
	uint64_t id;

	dd_registry_lock();
	id = ++last_id;
	for (unsigned i = 1; i < DD_PLACES && !dd_directory_has_room(&directory, id); i++)
		id = ++last_id;
	dd_registry_unlock();
	return id;
}

struct defer_drop_queue *dd_registry_first(void)
{
	return queues;
}

void dd_registry_add(struct defer_drop_queue *queue)
{
	queue->next = queues;
	queues = queue;
	dd_directory_enter(&directory, queue);
}

uint64_t dd_registry_removed(void)
{
	return dd_read(&removed_total);
}

bool dd_registry_remove(struct defer_drop_queue *queue)
{
	bool is_ours;

	dd_registry_lock();
	is_ours = !queue->has_seen_exit && !queue->is_in_main_end;
	dd_directory_strike(&directory, dd_read(&queue->id));
	for (struct defer_drop_queue **at = &queues; *at; at = &(*at)->next) {
		if (*at != queue)
			continue;
		*at = queue->next;
		dd_count(&removed_total);
		break;
	}
	dd_registry_unlock();
	return is_ours;
}

struct defer_drop_queue *dd_registry_find(uint64_t id)
{
	for (struct defer_drop_queue *at = queues; at; at = at->next)
		if (dd_read(&at->id) == id)
			return at;
	return NULL;
}

struct defer_drop_queue *dd_registry_look_up(uint64_t id)
{
	return dd_directory_look_up(&directory, id);
}
