/* SPDX-License-Identifier: MIT
 *
 * All queues of the process. The lock also decides which thread owns which lane.
 *
 * Locks are taken in this order: registry, a queue's control, a queue's waiters, reports. fork()
 * takes all of them, so that none is held by a thread that the child does not have; so none is held
 * while a destructor runs, or while anything is waited for.
 */
#ifndef DD_REGISTRY_H
#define DD_REGISTRY_H

#include <stdbool.h>

#include "defer_drop.h"

void dd_registry_lock(void);
void dd_registry_unlock(void);
/* In a forked child, whose parent's thread had the lock: it is free. */
void dd_registry_survive(void);

/* An id that no queue has had. Not under the lock. */
uint64_t dd_registry_new_id(void);
/* Under the lock. */
void dd_registry_add(struct defer_drop_queue *queue);
/* Under the lock: the newest queue, or NULL; the others follow by next. */
struct defer_drop_queue *dd_registry_first(void);
/* Not under the lock. False where exit has the queue in hand: then its memory must stay. */
bool dd_registry_remove(struct defer_drop_queue *queue);
/* So many queues were removed: a guess without the lock, which never goes back. */
uint64_t dd_registry_removed(void);
/* Under the lock: the queue with this id, or NULL. */
struct defer_drop_queue *dd_registry_find(uint64_t id);
/* The same without the lock; NULL also for some queues of very many. */
struct defer_drop_queue *dd_registry_look_up(uint64_t id);

#endif
