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
 * A guard whose destructor returns a status (a close that can fail) is waited for; several of them
 * at once by defer_drop_guard_await. One that must be closed is reported where that is forgotten.
 *
 * A guard belongs to one thread at a time, and while it is pending to the one that dropped it. It
 * may not be part of its object, nor be copied or moved while it is armed or pending.
 *
 * In a child that is forked while a guard is pending it is the parent's alone, whatever the queue
 * keeps; but where its own thread destroys the object and the destructor forks, the child gets the
 * status too. A strategy that goes on in a child must not destroy there what the parent gave it.
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
	defer_drop_fn destroy; /* NULL where destroy_status is given */
	defer_drop_status_fn destroy_status;
	const struct defer_drop_strategy *strategy;
	const char *file; /* where it was armed */
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
	DEFER_DROP_GUARD_OVER = 3, /* the status is there, and nobody has asked for it */
};

/* ---- One guard ------------------------------------------------------------------------------- */

/* strategy: NULL means the worker; it must last as long as the guard. */
#define DEFER_DROP_GUARD_INIT(object, destroy, strategy) \
	DEFER_DROP_GUARD_WITH(object, destroy, NULL, strategy)

/* With a destructor that returns a status: 0 or a negative errno. */
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
 * Declares a guard that drops where its scope is left, in whichever way: at its end, by return,
 * goto, break or an exception; but not by longjmp(3) or the end of the process.
 */
#define DEFER_DROP_SCOPED(guard, object, destroy, strategy)                                      \
	__attribute__((unused, cleanup(defer_drop_guard_leave))) struct defer_drop_guard guard = \
		DEFER_DROP_GUARD_INIT(object, destroy, strategy)

#define DEFER_DROP_SCOPED_STATUS(guard, object, destroy_status, strategy)                        \
	__attribute__((unused, cleanup(defer_drop_guard_leave))) struct defer_drop_guard guard = \
		DEFER_DROP_GUARD_STATUS_INIT(object, destroy_status, strategy)

/* enum defer_drop_guard_state. The thread that destroys the object of a pending guard changes it.
 */
static inline uint32_t defer_drop_guard_state(const struct defer_drop_guard *guard)
{
	if (!guard)
		return DEFER_DROP_GUARD_EMPTY;
	return __atomic_load_n(&guard->state, __ATOMIC_RELAXED);
}

static inline int defer_drop_guard_is_armed(const struct defer_drop_guard *guard)
{
	return defer_drop_guard_state(guard) == DEFER_DROP_GUARD_ARMED;
}

/* True if the object was dropped and its status not collected yet. Until then the guard may not go
 * away. */
static inline int defer_drop_guard_is_pending(const struct defer_drop_guard *guard)
{
	return defer_drop_guard_state(guard) >= DEFER_DROP_GUARD_PENDING;
}

/* The object, or NULL where the guard is not armed. */
static inline void *defer_drop_guard_object(const struct defer_drop_guard *guard)
{
	return defer_drop_guard_is_armed(guard) ? guard->object : NULL;
}

/*
 * Takes the object back: it is the caller's again, and the guard is empty. Returns it, or NULL
 * where the guard was not armed.
 */
DEFER_DROP_API void *defer_drop_guard_disarm(struct defer_drop_guard *guard);

/* Changes the strategy. Has no effect on an object that was dropped. */
static inline void defer_drop_guard_retarget(
	struct defer_drop_guard *guard, const struct defer_drop_strategy *strategy)
{
	if (defer_drop_guard_is_armed(guard))
		guard->strategy = strategy;
}

/*
 * Drops the object by the guard's strategy. On a guard that is empty it does nothing and answers 0,
 * so that an object is dropped once however often this is called.
 *
 * Blocks: as the strategy; where the destructor returns a status, until it has.
 * Errors:
 *   -EINVAL: guard is NULL
 *   those of defer_drop_by: the guard is still armed
 *   what the destructor returned: the guard is empty
 *   those of defer_drop_guard_await: the guard is pending
 */
DEFER_DROP_API int defer_drop_guard_drop(struct defer_drop_guard *guard);

/*
 * Drops the object where something went wrong, and takes it back where nothing did.
 *
 * status: of whatever the object was needed for; 0 means success.
 * Errors: as defer_drop_guard_drop.
 */
DEFER_DROP_API int defer_drop_guard_drop_on_error(struct defer_drop_guard *guard, int status);

/*
 * What DEFER_DROP_SCOPED calls at the end: drops the object of a guard that is armed, and waits for
 * one that is pending. There is nobody to return an error to: it goes to the handler of troubles.
 *
 * Blocks: until the object is destroyed, since the guard is about to go, also if its queue was
 *   given up. Inside a read-side critical section that this would have to wait for, it reports that
 *   and aborts: the guard can neither stay nor go.
 */
DEFER_DROP_API void defer_drop_guard_leave(struct defer_drop_guard *guard);

/* ---- Several guards, waited for -------------------------------------------------------------- */

/*
 * Drops the objects of all guards that are armed, and waits until all are destroyed, whatever their
 * strategies; of those that are empty it takes no notice. The errors after the first go to the
 * handler of troubles.
 *
 * guards: while a guard is pending it may not go away. Where the strategy is a queue that the
 *   caller drains, or a loop that this thread turns, this call does that.
 * timeout_ns: for the destruction; how long a drop waits for room is up to its strategy.
 * Threads: one for a guard; and where it is called again, the same.
 * Blocks: until they are destroyed.
 * Errors: that of the first guard, in their order, which has one. What is now with a guard:
 *   empty    what its destructor returned; or
 *     -ESHUTDOWN  it leaks: the queue was shut down before its turn came
 *     -ESTALE     a fork came between, and it is the parent's alone
 *   armed    why it was refused: an error of defer_drop_by; or
 *     -EDEADLK    this is a destructor of the queue that would have to destroy it
 *   pending  some of them; no status is told before all are over
 *     -EAGAIN     some are not destroyed yet, and timeout_ns is 0
 *     -ETIMEDOUT  some are not destroyed yet; call again
 *     -ECANCELED  a queue was given up, and a destructor may still be running that writes to its
 *                 guard
 *     -EDEADLK, -ESRCH, ...  as the strategy's wait answers
 *   as it was
 *     -EOVERFLOW  as for defer_drop_timed
 *     -EINVAL     guards, or one of them, is NULL, and count is not 0
 * Ordering: what the destructors did is visible afterwards.
 */
DEFER_DROP_API int defer_drop_guard_await(
	struct defer_drop_guard *const *guards, size_t count, uint64_t timeout_ns);

/* How the last await or drop ended for this guard: 0 or its error; -EINVAL if guard is NULL. */
static inline int defer_drop_guard_status(const struct defer_drop_guard *guard)
{
	return guard ? guard->status : -EINVAL;
}

/* ---- Troubles -------------------------------------------------------------------------------- */

enum defer_drop_trouble_kind {
	DEFER_DROP_TROUBLE_FORGOTTEN, /* a guard that must be closed was not, when its scope was
				       * left (it is dropped then) or the process ended */
	DEFER_DROP_TROUBLE_REFUSED,   /* the strategy refused an object; where the guard's scope was
				       * left, it leaks */
	DEFER_DROP_TROUBLE_FAILED,    /* the destructor returned an error */
};

struct defer_drop_trouble {
	size_t size; /* filled in by the library */
	enum defer_drop_trouble_kind kind;
	int error; /* a negative errno; 0 where forgotten */
	void *object;
	const char *file; /* where the guard was armed */
	uint32_t line;
};

/*
 * Declares that this guard, which is armed, must be dropped or disarmed explicitly: a guard
 * that is still armed when its scope is left, or when the process that armed it ends by exit(3) or
 * by returning from main, is reported.
 *
 * Errors:
 *   -EINVAL  it is NULL or not armed
 *   -ENOMEM  no memory to remember it
 */
DEFER_DROP_API int defer_drop_guard_must_close(struct defer_drop_guard *guard);

/* Called for each trouble, on the thread where it happened. */
typedef void (*defer_drop_trouble_fn)(void *context, const struct defer_drop_trouble *trouble);

/*
 * Sets the handler of troubles, for the whole process.
 *
 * handle: NULL means the built-in one, which reports a line (defer_drop_report_handle).
 * Threads: any, but the old handler may still be running when this returns.
 */
DEFER_DROP_API void defer_drop_trouble_handle(defer_drop_trouble_fn handle, void *context);

/*
 * A handler that prints the line and aborts where a guard was forgotten: for debugging.
 */
DEFER_DROP_API void defer_drop_trouble_abort(
	void *context, const struct defer_drop_trouble *trouble);

#ifdef __cplusplus
}
#endif

#endif
