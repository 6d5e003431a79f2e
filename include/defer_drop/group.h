/* SPDX-License-Identifier: MIT
 *
 * Groups: drops that are flushed, counted and abandoned together.
 *
 * A group is a name for drops of one queue, the default one for instance. A plugin, a module, a
 * tenant or a connection makes its drops in the name of a group. Before it goes it waits for its
 * own, or gives them up, without a queue and a worker of its own, and without waiting for what
 * others dropped behind them:
 *
 *     defer_drop_group_create(&mine, NULL);                    when the plugin is loaded
 *     defer_drop_group_push(mine, tree, tree_free, DEFER_DROP_FOREVER);
 *
 *     defer_drop_group_end(mine, DEFER_DROP_FOREVER);          all is destroyed
 *     defer_drop_group_free(mine);
 *     dlclose(plugin);
 *
 * When the end has returned 0, the thread that runs destructors has returned from the last one of
 * the group: no code of it is called any more, and dlclose(3) is safe.
 *
 * A drop with options is in a group if its options name one. It takes two slots of its ring. A drop
 * that a destructor of a group makes in the same queue is in the group of that destructor, unless
 * it names another one; a push to another queue is not.
 *
 * The order of a thread's drops is that of its queue, whatever their groups. So drops of a group
 * wait their turn behind what the same threads dropped before.
 *
 * exit and the shutdown of a queue deal with drops in groups as with all others. A forked child has
 * the groups of its parent, with what at_fork says that it keeps: otherwise nothing is pending in
 * them. Their counters begin anew. What was ended or abandoned in the parent is so in the child.
 *
 * The memory of a freed group is used for later groups and not given back to the system, some 192
 * bytes for as many as there were at a time. So a call on a group that was freed returns -EINVAL,
 * and touches nothing, as long as no later group has its memory.
 */
#ifndef DEFER_DROP_GROUP_H
#define DEFER_DROP_GROUP_H

#include <defer_drop.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Makes a group.
 *
 * group: receives the new group; untouched on error.
 * queue: in which its drops lie; NULL means the default queue, which this does not set up. The
 *   queue cannot be freed before the group.
 * Threads: any.
 * Blocks: briefly.
 * Errors (there is no new group):
 *   -EINVAL  group is NULL
 *   -ENOMEM  no memory
 */
DEFER_DROP_API int defer_drop_group_create(
	struct defer_drop_group **group, struct defer_drop_queue *queue);

/*
 * Pushes in the name of a group, to its queue. With options: defer_drop_queue_push_with and
 * defer_drop_queue_push_many, whose options name the group.
 *
 * timeout_ns: how long to wait for room. With 0 it pushes as defer_drop_try, with
 *   DEFER_DROP_FOREVER as defer_drop, else as defer_drop_timed.
 * Threads: any, also destructors. Not beside defer_drop_group_free.
 * Blocks: as defer_drop_queue_push.
 * Errors (the object is still the caller's): those of defer_drop_queue_push, and
 *   -EINVAL     group is NULL or was freed
 *   -ESHUTDOWN  the group was ended or abandoned. A destructor of the group may push to it
 *               nevertheless, as long as something is pending
 *   -EOVERFLOW  also if 268,435,455 (2^28-1) drops of the group are pending
 * Ordering: as defer_drop.
 */
DEFER_DROP_API int defer_drop_group_push(
	struct defer_drop_group *group, void *object, defer_drop_fn destroy, uint64_t timeout_ns);

/*
 * Waits until every drop that was pushed in the name of a group before this call has been
 * destroyed, and what their destructors dropped in the same queue. Drops of others do not prolong
 * it, except those that the same threads pushed before; nor do later pushes, except that a flush
 * beside another one also waits for what is pushed until the drops of the other are destroyed.
 *
 * Threads: any, beside every other call on the group but defer_drop_group_free; destructors that
 *   its queue runs with a timeout of 0.
 * Blocks: until then, until timeout_ns is over; with 0 it looks, and blocks briefly. While the
 *   queue is stopped, the wait goes on until it is started. With the runner caller this call drains,
 *   unless the timeout is 0: it returns late by the destructor that runs when the timeout is over.
 *   With the runner drainer it waits for a thread that drains.
 * Errors:
 *   -EAGAIN     some drops are pending, and timeout_ns is 0
 *   -ETIMEDOUT  some drops are still pending
 *   -ESHUTDOWN  none is pending, but some were abandoned: by defer_drop_group_abandon, or because
 *               the queue was shut down before their turn came
 *   -ECANCELED  the queue was given up, and a destructor may still be running
 *   -ESTALE     this call drains, a destructor forked, and this is the child
 *   -EINVAL     group is NULL or was freed
 *   -EOVERFLOW  as for defer_drop_timed
 *   -EDEADLK    with a timeout that is not 0, while drops are pending: called by a destructor that
 *               the queue runs, one of the group itself for instance; or the call would have to
 *               wait inside a read-side critical section
 *   -ESRCH      drops are pending and the worker cannot be started
 * Ordering: what the destructors did is visible after 0 and -ESHUTDOWN.
 */
DEFER_DROP_API int defer_drop_group_flush(struct defer_drop_group *group, uint64_t timeout_ns);

/*
 * Takes an object whose drop was abandoned with its group: the object is the program's again.
 *
 * object: of a drop that is destroyed in slices (DEFER_DROP_AGAIN) a part may be destroyed.
 * Threads: called on the thread that runs destructors, when it would have called the destructor,
 *   once for each drop that is abandoned. It may do what a destructor may; what it drops is in no
 *   group, unless that names one.
 */
typedef void (*defer_drop_abandoned_fn)(void *context, void *object);

/*
 * Abandons what is pending in a group: the destructors are not called any more, and the drops count
 * as abandoned, in the queue too. One that is running is waited for. Later pushes are refused.
 *
 * After 0 no code of the group is called any more. The drops themselves leave the rings when their
 * turn comes, whatever has become of the group. A completion of theirs is over then, with
 * -ESHUTDOWN.
 *
 * told: learns the objects, which otherwise leak; NULL means none. It is called when the turn of
 *   the drops comes, so that with it this call waits for that, too. If the group was abandoned before,
 *   the first call's is in force.
 * context: passed to told.
 * Threads, Blocks: as defer_drop_group_flush. Without told it waits for no other destructor than
 *   the one of the group that is running, and if none is, not at all.
 * Errors: those of defer_drop_group_flush, except -ESHUTDOWN. The group is abandoned nevertheless,
 *   except after -EINVAL and -EOVERFLOW; call again, or defer_drop_group_end, to wait.
 * Ordering: what the destructors, and told, did is visible after 0.
 */
DEFER_DROP_API int defer_drop_group_abandon(struct defer_drop_group *group,
	defer_drop_abandoned_fn told, void *context, uint64_t timeout_ns);

/*
 * Ends a group: refuses pushes from now on, and waits until all of its drops are destroyed, or, if
 * it was abandoned, as defer_drop_group_abandon does. A group that has ended may be ended again.
 *
 * After 0 no code of the group is called any more.
 *
 * Threads, Blocks: as defer_drop_group_flush.
 * Errors: those of defer_drop_group_flush, except -ESHUTDOWN. Pushes are refused nevertheless,
 *   except after -EINVAL and -EOVERFLOW; call again to wait on, or abandon the group.
 * Ordering: as defer_drop_group_abandon.
 */
DEFER_DROP_API int defer_drop_group_end(struct defer_drop_group *group, uint64_t timeout_ns);

/*
 * Frees a group that has ended.
 *
 * Threads: any; no other call on the group may be running.
 * Blocks: briefly.
 * Errors (the group is as it was):
 *   -EINVAL  group is NULL or was freed already
 *   -EBUSY   neither defer_drop_group_end nor defer_drop_group_abandon has returned 0
 */
DEFER_DROP_API int defer_drop_group_free(struct defer_drop_group *group);

/*
 * Returns how many drops are pending in a group, with pushes that wait for room; 0 if group is
 * NULL.
 *
 * Threads: any. Blocks: never. Ordering: none; the number was true a moment ago.
 */
DEFER_DROP_API uint64_t defer_drop_group_backlog(struct defer_drop_group *group);

/*
 * Fills in the statistics of a group: pushed_total, destroyed_total, abandoned_total and backlog,
 * and 0 for all that concerns a queue. They agree, as pushed = destroyed + abandoned + backlog.
 *
 * Threads: any. Blocks: never.
 * Errors: -EINVAL if group or stats is NULL, the group was freed, or stats->size is smaller than
 *   that of the first version.
 */
DEFER_DROP_API int defer_drop_group_stats(
	struct defer_drop_group *group, struct defer_drop_stats *stats);

#ifdef __cplusplus
}
#endif

#endif
