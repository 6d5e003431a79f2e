/* SPDX-License-Identifier: MIT
 *
 * Guards: an object, its destructor and a strategy, kept together until one of three things
 * happens: the object is dropped, it is taken back, or the guard's scope is left, which drops it
 * too.
 *
 *     struct tree *build(void)
 *     {
 *             struct tree *tree = tree_new();
 *             DEFER_DROP_SCOPED(guard, tree, tree_free, NULL);
 *
 *             if (tree_fill(tree))
 *                     return NULL;                     // the tree is dropped
 *             return defer_drop_guard_disarm(&guard);  // the tree is the caller's
 *     }
 *
 * A guard whose destructor returns a status (a close that can fail) is waited for;
 * defer_drop_guard_await waits for several at once. A guard that must be closed is reported if that
 * is forgotten.
 *
 * A guard belongs to one thread at a time; while it is pending, to the thread that dropped it. A
 * guard may not be part of its object, nor be copied or moved while it is armed or pending. A
 * strategy that traces reports, for a guard that is waited for, the guard's address and the
 * function that runs its destructor.
 *
 * In a child that is forked while a guard is pending, the guard is the parent's alone, whatever the
 * queue keeps. But if the guard's own thread destroys the object and the destructor forks, the
 * child gets the status too. A strategy that goes on in a child must not destroy there what the
 * parent gave it.
 */
#ifndef DEFER_DROP_GUARD_H
#define DEFER_DROP_GUARD_H

#include <defer_drop/strategy.h>
#include <errno.h>

#ifdef __cplusplus
extern "C" {
#endif

struct defer_drop_forgotten; /* opaque */

/* Its fields are the library's own. */
struct defer_drop_guard {
	void *object;
	defer_drop_fn destroy; /* NULL if destroy_status is given */
	defer_drop_status_fn destroy_status;
	const struct defer_drop_strategy *strategy;
	const char *file; /* in which it was armed */
	uint32_t line;
	uint32_t state;
	int32_t status;
	int32_t process;
	struct defer_drop_forgotten *forgotten;
	void *reserved[2];
};

/* What a guard can be: the values of state. */
enum defer_drop_guard_state {
	DEFER_DROP_GUARD_EMPTY = 0, /* the object was dropped or taken back */
	DEFER_DROP_GUARD_ARMED = 1, /* it guards the object */
	/* The object was dropped, and the guard waits for its status. */
	DEFER_DROP_GUARD_PENDING = 2,
	DEFER_DROP_GUARD_OVER = 3, /* the status is there, and was not asked for yet */
};

/* ---- One guard ------------------------------------------------------------------------------- */

/* strategy: NULL means the worker; it must last as long as the guard. */
#define DEFER_DROP_GUARD_INIT(object, destroy, strategy) \
	DEFER_DROP_GUARD_WITH(object, destroy, NULL, strategy)

/* With a destructor that returns a status: 0 or a negative errno; or DEFER_DROP_AGAIN, and then it
 * is called again: as by defer_drop_again if a queue destroys the object, else at once. */
#define DEFER_DROP_GUARD_STATUS_INIT(object, destroy_status, strategy) \
	DEFER_DROP_GUARD_WITH(object, NULL, destroy_status, strategy)

/* For the two above. */
#define DEFER_DROP_GUARD_WITH(object, destroy, destroy_status, strategy)       \
	{                                                                      \
		object, destroy, destroy_status, strategy, __FILE__, __LINE__, \
			DEFER_DROP_GUARD_ARMED, 0, 0, NULL,                    \
		{                                                              \
			NULL, NULL                                             \
		}                                                              \
	}

/*
 * Declares a guard that drops when its scope is left: at its end, by return, goto, break or an
 * exception; but not by longjmp(3) or the end of the process.
 */
#define DEFER_DROP_SCOPED(guard, object, destroy, strategy)                                      \
	__attribute__((unused, cleanup(defer_drop_guard_leave))) struct defer_drop_guard guard = \
		DEFER_DROP_GUARD_INIT(object, destroy, strategy)

#define DEFER_DROP_SCOPED_STATUS(guard, object, destroy_status, strategy)                        \
	__attribute__((unused, cleanup(defer_drop_guard_leave))) struct defer_drop_guard guard = \
		DEFER_DROP_GUARD_STATUS_INIT(object, destroy_status, strategy)

/* Returns the enum defer_drop_guard_state of a guard. The thread that destroys the object of a
 * pending guard changes it. Threads: any, as long as the guard lasts. Blocks: never. */
static inline uint32_t defer_drop_guard_state(const struct defer_drop_guard *guard)
{
	if (!guard)
		return DEFER_DROP_GUARD_EMPTY;
	return __atomic_load_n(&guard->state, __ATOMIC_RELAXED);
}

/* True if the guard has its object. Threads: any, as long as the guard lasts. Blocks: never. */
static inline int defer_drop_guard_is_armed(const struct defer_drop_guard *guard)
{
	return defer_drop_guard_state(guard) == DEFER_DROP_GUARD_ARMED;
}

/* True if the object was dropped and its status was not returned yet: the guard may not go away.
 * Threads: any, as long as the guard lasts. Blocks: never. */
static inline int defer_drop_guard_is_pending(const struct defer_drop_guard *guard)
{
	return defer_drop_guard_state(guard) >= DEFER_DROP_GUARD_PENDING;
}

/* Returns the object, or NULL if the guard is not armed. Threads: the guard's. Blocks: never. */
static inline void *defer_drop_guard_object(const struct defer_drop_guard *guard)
{
	return defer_drop_guard_is_armed(guard) ? guard->object : NULL;
}

/*
 * Takes the object back: it is the caller's again, and the guard is empty. Returns the object, or
 * NULL if the guard was not armed.
 *
 * Threads: the guard's.
 * Blocks: never; on a guard that must be closed, briefly.
 */
DEFER_DROP_API void *defer_drop_guard_disarm(struct defer_drop_guard *guard);

/* Changes the strategy. Has no effect on an object that was dropped. Threads: the guard's. Blocks:
 * never. */
static inline void defer_drop_guard_retarget(
	struct defer_drop_guard *guard, const struct defer_drop_strategy *strategy)
{
	if (defer_drop_guard_is_armed(guard))
		guard->strategy = strategy;
}

/*
 * Drops the object by the guard's strategy. On a guard that is empty it does nothing and returns 0,
 * so that an object is dropped once however often this is called.
 *
 * Threads: the guard's.
 * Blocks: as the strategy; if the destructor returns a status, or the guard is pending, as
 *   defer_drop_guard_await with DEFER_DROP_FOREVER.
 * Errors:
 *   -EINVAL   guard is NULL
 *   those of defer_drop_by: the guard is still armed, and the object is the caller's
 *   those of defer_drop_guard_await, if it waits
 * Ordering: what the thread did before is visible to the destructor; if it waits, what the
 *   destructor did is visible to the thread.
 */
DEFER_DROP_API int defer_drop_guard_drop(struct defer_drop_guard *guard);

/*
 * Drops the object if something went wrong, and takes it back if nothing did.
 *
 * status: of what the object was needed for; 0 means success.
 * Threads, Blocks, Errors, Ordering: as defer_drop_guard_drop; with a status of 0 as
 *   defer_drop_guard_disarm, and -EINVAL if guard is NULL.
 */
DEFER_DROP_API int defer_drop_guard_drop_on_error(struct defer_drop_guard *guard, int status);

/*
 * Drops the object of a guard that is armed, and waits for a guard that is pending:
 * DEFER_DROP_SCOPED calls it at the end of the scope. It can return no error: errors go to the
 * handler of troubles.
 *
 * Threads: the guard's.
 * Blocks: as defer_drop_guard_drop. A guard that is waited for is about to go, so it waits until
 *   the object is destroyed, also if the queue was given up. Inside a read-side critical section
 *   that it would have to wait for, it reports that and aborts.
 */
DEFER_DROP_API void defer_drop_guard_leave(struct defer_drop_guard *guard);

/* ---- Several guards, waited for -------------------------------------------------------------- */

/*
 * Drops the objects of all guards that are armed, and waits until all are destroyed, whatever their
 * strategies; it skips guards that are empty. The errors after the first go to the handler of
 * troubles.
 *
 * guards: while a guard is pending it may not go away.
 * timeout_ns: for the destruction; how long a drop waits for room is up to its strategy.
 * Threads: the one to which all the guards belong; a further call for a pending guard comes from
 *   the thread that dropped it.
 * Blocks: as the strategies, and until all objects are destroyed or timeout_ns is over. If a
 *   strategy is a queue that this thread drains, or a loop that it turns, this call does that.
 * Errors: that of the first guard, in their order, that has one. The guard is then
 *   empty    what its destructor returned; or
 *     -ESHUTDOWN  the object leaks: the queue was shut down before its turn came
 *     -ESTALE     a fork came between, and the object is the parent's alone
 *   armed    an error of defer_drop_by, and the object is still the caller's; or
 *     -EDEADLK    this is a destructor of the queue that would have to destroy it
 *   pending  some of the guards; no status is returned before all are over
 *     -EAGAIN     some are not destroyed yet, and timeout_ns is 0
 *     -ETIMEDOUT  some are not destroyed yet; call again
 *     -ECANCELED  a queue was given up, and a destructor may still be running that writes to its
 *                 guard
 *     -EDEADLK, -ESRCH, ...  what the strategy's wait returned
 *   as it was
 *     -EOVERFLOW  as for defer_drop_timed
 *     -EINVAL     guards, or one of them, is NULL, and count is not 0
 * Ordering: what the destructors did is visible afterwards.
 */
DEFER_DROP_API int defer_drop_guard_await(
	struct defer_drop_guard *const *guards, size_t count, uint64_t timeout_ns);

/* Returns how the last await or drop ended for this guard, if it is not pending: 0 or its error;
 * -EINVAL if guard is NULL. Threads: the guard's. Blocks: never. */
static inline int defer_drop_guard_status(const struct defer_drop_guard *guard)
{
	return guard ? guard->status : -EINVAL;
}

/* ---- Troubles -------------------------------------------------------------------------------- */

enum defer_drop_trouble_kind {
	DEFER_DROP_TROUBLE_FORGOTTEN, /* a guard that must be closed was not, when its scope was
				       * left (it is dropped then) or the process ended */
	DEFER_DROP_TROUBLE_REFUSED,   /* the strategy refused an object; if the guard's scope was
				       * left, it leaks */
	DEFER_DROP_TROUBLE_FAILED,    /* the destructor returned an error */
};

struct defer_drop_trouble {
	size_t size; /* filled in by the library */
	enum defer_drop_trouble_kind kind;
	int error; /* a negative errno; 0 if forgotten */
	void *object;
	const char *file; /* in which the guard was armed */
	uint32_t line;
};

/*
 * Declares that this guard, which is armed, must be dropped or disarmed explicitly: a guard
 * that is still armed when its scope is left, or when the process that armed it ends by exit(3) or
 * by returning from main, is reported. A second call does nothing.
 *
 * Threads: the guard's.
 * Blocks: briefly.
 * Errors (the guard is as it was):
 *   -EINVAL  guard is NULL or not armed
 *   -ENOMEM  no memory to remember it
 */
DEFER_DROP_API int defer_drop_guard_must_close(struct defer_drop_guard *guard);

/*
 * Called for each trouble.
 *
 * Threads: called by the thread that met it, which is the guard's, or the one that ends the
 *   process; also by several at once. It holds no lock of the library's.
 */
typedef void (*defer_drop_trouble_fn)(void *context, const struct defer_drop_trouble *trouble);

/*
 * Sets the handler of troubles, for the whole process.
 *
 * handle: NULL means the built-in one, which reports a line (defer_drop_report_handle). context:
 *   passed to it.
 * Threads: any. The former handler may still be running when this returns.
 * Blocks: briefly.
 */
DEFER_DROP_API void defer_drop_trouble_handle(defer_drop_trouble_fn handle, void *context);

/*
 * Reports the line of a trouble, and aborts if a guard was forgotten: a handler for debugging.
 *
 * Threads: any. Blocks: for the report of the line.
 */
DEFER_DROP_API void defer_drop_trouble_abort(
	void *context, const struct defer_drop_trouble *trouble);

#ifdef __cplusplus
}
#endif

#endif
