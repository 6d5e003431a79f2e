/* SPDX-License-Identifier: MIT
 *
 * All queues of the process. The lock also decides which thread owns which lane.
 *
 * Locks are taken in this order: registry, a queue's control, a queue's waiters, reports. fork()
 * takes all of them, so that no thread that the child does not have holds one. Therefore no thread
 * holds one while a destructor runs, or while it waits.
 */
#ifndef DD_REGISTRY_H
#define DD_REGISTRY_H

#include <stdbool.h>

#include "defer_drop.h"

void dd_registry_lock(void);
void dd_registry_unlock(void);

/* Returns an id that no queue has had. Not under the lock. */
uint64_t dd_registry_new_id(void);
/* Under the lock. */
void dd_registry_add(struct defer_drop_queue *queue);
/* Under the lock: the newest queue, or NULL; the others follow by next. */
struct defer_drop_queue *dd_registry_first(void);
/* Not under the lock. False if exit is dealing with the queue: then its memory must stay. */
bool dd_registry_remove(struct defer_drop_queue *queue);
/* Returns how many queues were removed. Without the lock, the figure may be late. */
uint64_t dd_registry_removed(void);
/* Under the lock: the queue with this id, or NULL. */
struct defer_drop_queue *dd_registry_find(uint64_t id);
/* Finds a queue without the lock. If there are very many queues, it is NULL for some of them. */
struct defer_drop_queue *dd_registry_look_up(uint64_t id);

#endif
