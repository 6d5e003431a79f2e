/* SPDX-License-Identifier: MIT
 *
 * References: an object that is used in many places and dropped by its last user.
 *
 *     struct tree {
 *             struct defer_drop_ref ref;
 *             ...
 *     };
 *
 *     defer_drop_ref_init(&tree->ref, tree, tree_free, NULL);  one reference, the caller's
 *     defer_drop_ref_get(&tree->ref);                          one more, for somebody else
 *     defer_drop_ref_put(&tree->ref);                          the last put drops the tree
 *
 * The last user does not pay for the destruction. There are no weak references.
 *
 * Each caller holds a reference, except of defer_drop_ref_init. The process ends with a message if
 * a thread gets more than DEFER_DROP_REF_MOST references, puts more than there are, or uses one
 * after the last put and finds the memory still there: what follows would be a use after free.
 *
 * Edges:
 *   PUT     put_many: count, release -> put_last, take, is_unique: count, acquire
 *           carries what each thread did with the object while it held a reference, to the
 *           destructor or the strategy, or to the thread that has it alone
 *
 * To get one is relaxed: a thread that passes a reference on synchronises with the other anyway.
 */
#ifndef DEFER_DROP_REF_H
#define DEFER_DROP_REF_H

#include <defer_drop/strategy.h>
#include <errno.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Embedded in the object, anywhere. Its fields are the library's own. It will not grow, since every
 * object pays for it: what a later version needs goes into the strategy, which has a version, and
 * the upper half of the count is not used.
 */
struct defer_drop_ref {
	uint64_t count; /* 0 once the object was dropped or taken */
	void *object;
	defer_drop_fn destroy;
	const struct defer_drop_strategy *strategy;
};

/* References to one object at a time: half of what can be counted, so that threads which get too
 * many at the same time are all noticed before it wraps. */
#define DEFER_DROP_REF_MOST (UINT64_MAX / 2)

/*
 * Makes the first reference, which is the caller's.
 *
 * object: what destroy gets; that which embeds ref.
 * strategy: NULL means the worker; it must last as long as the object.
 * Threads: one, before any other uses ref. Blocks: never.
 * Errors (ref is untouched): -EINVAL if ref or destroy is NULL.
 */
DEFER_DROP_API int defer_drop_ref_init(struct defer_drop_ref *ref, void *object,
	defer_drop_fn destroy, const struct defer_drop_strategy *strategy);

/* For the calls below. */
DEFER_DROP_API void defer_drop_ref_misused(const struct defer_drop_ref *ref, uint64_t count)
	__attribute__((noreturn, cold));
DEFER_DROP_API int defer_drop_ref_put_last(struct defer_drop_ref *ref);

/*
 * Gets more references, 0..DEFER_DROP_REF_MOST.
 *
 * Threads: any that hold one. Blocks: never.
 */
static inline void defer_drop_ref_get_many(struct defer_drop_ref *ref, uint64_t count)
{
	uint64_t before;

	if (!ref)
		return;
	before = __atomic_fetch_add(&ref->count, count, __ATOMIC_RELAXED);
	/* Also if it was 0, which wraps. */
	if (__builtin_expect(before - 1 >= DEFER_DROP_REF_MOST - count, 0))
		defer_drop_ref_misused(ref, before);
}

/*
 * Gets one more reference.
 *
 * Threads: any that hold one. Blocks: never.
 */
static inline void defer_drop_ref_get(struct defer_drop_ref *ref)
{
	defer_drop_ref_get_many(ref, 1);
}

/*
 * Gives references back, 1 or more. The last one drops the object.
 *
 * Threads: any that hold that many.
 * Blocks: the last one, as the strategy; the others never.
 * Errors: -EINVAL if ref is NULL; and those of defer_drop_by, from the last one: the object was not
 *   dropped, and the caller still has one reference, the only one.
 * Ordering: what each thread did before its put is visible to the destructor.
 */
static inline int defer_drop_ref_put_many(struct defer_drop_ref *ref, uint64_t count)
{
	uint64_t before;

	if (!ref)
		return -EINVAL;
	/* PUT->: without release the object could be destroyed while this thread still uses it. */
	before = __atomic_fetch_sub(&ref->count, count, __ATOMIC_RELEASE);
	if (__builtin_expect(before == count, 0))
		return defer_drop_ref_put_last(ref);
	if (__builtin_expect(before < count || before > DEFER_DROP_REF_MOST, 0))
		defer_drop_ref_misused(ref, before);
	return 0;
}

/*
 * Gives one reference back. The last one drops the object.
 *
 * Threads, Blocks, Errors, Ordering: as defer_drop_ref_put_many.
 */
static inline int defer_drop_ref_put(struct defer_drop_ref *ref)
{
	return defer_drop_ref_put_many(ref, 1);
}

/*
 * Takes the object back if the caller's reference is the only one: it will not be dropped, and may
 * be freed or initialized again. Returns the object, or NULL if there are other references.
 *
 * Threads: any that hold one. Blocks: never.
 * Ordering: what the other threads did before their puts is visible, unless the result is NULL.
 */
static inline void *defer_drop_ref_take(struct defer_drop_ref *ref)
{
	uint64_t count = 1;

	if (!ref)
		return NULL;
	/* ->PUT: without acquire others could still use the object. */
	if (__atomic_compare_exchange_n(
		    &ref->count, &count, 0, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
		return ref->object;
	if (__builtin_expect(!count, 0))
		defer_drop_ref_misused(ref, count);
	return NULL;
}

/*
 * True if the caller holds the only reference: then the object may be changed like one that was
 * never shared.
 *
 * Threads: any that hold one. Blocks: never.
 * Ordering: what the other threads did before their puts is visible if it is true.
 */
static inline int defer_drop_ref_is_unique(const struct defer_drop_ref *ref)
{
	/* ->PUT: as in take. */
	return ref && __atomic_load_n(&ref->count, __ATOMIC_ACQUIRE) == 1;
}

/* Returns how many references there are, or were a moment ago: for debugging. Threads: any that
 * hold one. Blocks: never. */
static inline uint64_t defer_drop_ref_count(const struct defer_drop_ref *ref)
{
	return ref ? __atomic_load_n(&ref->count, __ATOMIC_RELAXED) : 0;
}

/*
 * Changes the strategy by which the last put will drop. If several threads change it, any of the
 * changes may be in force.
 *
 * Threads: any that hold one. Blocks: never.
 */
static inline void defer_drop_ref_retarget(
	struct defer_drop_ref *ref, const struct defer_drop_strategy *strategy)
{
	/* Relaxed: the caller's own put releases it to the last one. */
	if (ref)
		__atomic_store_n(&ref->strategy, strategy, __ATOMIC_RELAXED);
}

#ifdef __cplusplus
}
#endif

#endif
