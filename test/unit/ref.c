/* SPDX-License-Identifier: MIT
 *
 * References.
 */
#include "queues.h"

#include <signal.h>

#include "defer_drop/ref.h"

TestSuite(ref, .timeout = 60);

/* Embeds its reference not at its beginning. */
struct tree {
	int leaves;
	struct defer_drop_ref ref;
};

static struct tree tree;

static void plant(defer_drop_fn destroy, const struct defer_drop_strategy *strategy)
{
	defer_drop_ref_init(&tree.ref, &tree, destroy, strategy);
}

static void assert_gone(void)
{
	cr_assert_eq(atomic_load(&seen_count), 1);
	cr_assert_eq(seen[0], &tree);
	cr_assert_eq(defer_drop_ref_count(&tree.ref), 0);
}

static bool may_take;

static int take_or_refuse(
	const struct defer_drop_strategy *strategy, void *object, defer_drop_fn destroy)
{
	(void)strategy;
	if (!may_take)
		return -EAGAIN;
	destroy(object);
	return 0;
}

static const struct defer_drop_strategy fickle = {
	DEFER_DROP_STRATEGY_VERSION, take_or_refuse, NULL};

/* ---- Use ------------------------------------------------------------------------------------- */

Test(ref, the_last_put_drops)
{
	plant(note, &defer_drop_strategy_in_place);
	cr_assert_eq(defer_drop_ref_count(&tree.ref), 1);
	defer_drop_ref_get(&tree.ref);
	cr_assert_eq(defer_drop_ref_count(&tree.ref), 2);
	answers(0, defer_drop_ref_put(&tree.ref));
	cr_assert_eq(atomic_load(&seen_count), 0);
	answers(0, defer_drop_ref_put(&tree.ref));
	assert_gone();
}

Test(ref, the_last_put_drops_by_the_worker_unless_told_otherwise)
{
	plant(note, NULL);
	answers(0, defer_drop_ref_put(&tree.ref));
	answers(0, defer_drop_flush());
	assert_gone();
	cr_assert_eq(stats_of(defer_drop_queue_default()).pushed_total, 1);
}

Test(ref, many_are_got_and_put_at_once)
{
	plant(note, &defer_drop_strategy_in_place);
	defer_drop_ref_get_many(&tree.ref, 0);
	defer_drop_ref_get_many(&tree.ref, 9);
	cr_assert_eq(defer_drop_ref_count(&tree.ref), 10);
	answers(0, defer_drop_ref_put_many(&tree.ref, 4));
	cr_assert_eq(atomic_load(&seen_count), 0);
	answers(0, defer_drop_ref_put_many(&tree.ref, 6));
	assert_gone();
}

Test(ref, only_a_unique_reference_takes_the_object_back)
{
	plant(forbidden, &defer_drop_strategy_in_place);
	defer_drop_ref_get(&tree.ref);
	cr_assert_not(defer_drop_ref_is_unique(&tree.ref));
	cr_assert_null(defer_drop_ref_take(&tree.ref));
	cr_assert_eq(defer_drop_ref_count(&tree.ref), 2);
	answers(0, defer_drop_ref_put(&tree.ref));
	cr_assert(defer_drop_ref_is_unique(&tree.ref));
	cr_assert_eq(defer_drop_ref_take(&tree.ref), &tree);
	cr_assert_eq(atomic_load(&forbidden_count), 0);
	plant(note, &defer_drop_strategy_in_place);
	answers(0, defer_drop_ref_put(&tree.ref));
	assert_gone();
}

Test(ref, the_strategy_can_be_changed_until_the_last_put)
{
	plant(note, &fickle);
	defer_drop_ref_get(&tree.ref);
	defer_drop_ref_retarget(&tree.ref, &defer_drop_strategy_in_place);
	answers(0, defer_drop_ref_put_many(&tree.ref, 2));
	assert_gone();
}

Test(ref, what_was_refused_is_the_callers_again)
{
	plant(note, &fickle);
	answers(-EAGAIN, defer_drop_ref_put(&tree.ref));
	cr_assert(defer_drop_ref_is_unique(&tree.ref));
	defer_drop_ref_get_many(&tree.ref, 2);
	answers(-EAGAIN, defer_drop_ref_put_many(&tree.ref, 3));
	cr_assert(defer_drop_ref_is_unique(&tree.ref));
	may_take = true;
	answers(0, defer_drop_ref_put(&tree.ref));
	assert_gone();
}

Test(ref, as_many_as_there_can_be)
{
	plant(note, &defer_drop_strategy_in_place);
	defer_drop_ref_get_many(&tree.ref, DEFER_DROP_REF_MOST - 1);
	cr_assert_eq(defer_drop_ref_count(&tree.ref), DEFER_DROP_REF_MOST);
	answers(0, defer_drop_ref_put(&tree.ref));
	defer_drop_ref_get(&tree.ref);
	answers(0, defer_drop_ref_put_many(&tree.ref, DEFER_DROP_REF_MOST));
	assert_gone();
}

/* ---- Threads --------------------------------------------------------------------------------- */

static void *use(void *object)
{
	struct tree *used = object;

	for (unsigned i = 0; i < 1000; i++) {
		defer_drop_ref_get(&used->ref);
		if (defer_drop_ref_put(&used->ref))
			return object;
	}
	return number((uintptr_t)-defer_drop_ref_put(&used->ref));
}

Test(ref, threads_drop_once)
{
	pthread_t threads[4];

	plant(note, NULL);
	defer_drop_ref_get_many(&tree.ref, 4);
	for (unsigned i = 0; i < 4; i++)
		threads[i] = spawn(use, &tree);
	answers(0, defer_drop_ref_put(&tree.ref));
	for (unsigned i = 0; i < 4; i++)
		cr_assert_null(join_thread(threads[i]));
	answers(0, defer_drop_flush());
	assert_gone();
}

/* ---- Misuse ---------------------------------------------------------------------------------- */

static void get_after_the_last_put(void)
{
	plant(note, &defer_drop_strategy_leak);
	defer_drop_ref_put(&tree.ref);
	defer_drop_ref_get(&tree.ref);
}

static void put_after_the_last_put(void)
{
	plant(note, &defer_drop_strategy_leak);
	defer_drop_ref_put(&tree.ref);
	defer_drop_ref_put(&tree.ref);
}

static void take_after_the_last_put(void)
{
	plant(note, &defer_drop_strategy_leak);
	defer_drop_ref_put(&tree.ref);
	defer_drop_ref_take(&tree.ref);
}

static void get_after_take(void)
{
	plant(note, &defer_drop_strategy_leak);
	defer_drop_ref_take(&tree.ref);
	defer_drop_ref_get_many(&tree.ref, 3);
}

static void get_too_many(void)
{
	plant(note, &defer_drop_strategy_leak);
	defer_drop_ref_get_many(&tree.ref, DEFER_DROP_REF_MOST);
}

static void get_one_too_many(void)
{
	plant(note, &defer_drop_strategy_leak);
	defer_drop_ref_get_many(&tree.ref, DEFER_DROP_REF_MOST - 1);
	defer_drop_ref_get(&tree.ref);
}

static void put_too_many(void)
{
	plant(note, &defer_drop_strategy_leak);
	defer_drop_ref_get(&tree.ref);
	defer_drop_ref_put_many(&tree.ref, 3);
}

static void assert_aborts(void (*misuse)(void), const char *message)
{
	answers(1000 + SIGABRT, run_child(misuse));
	cr_assert_eq(times_said(message), 1, "%s", said);
}

Test(ref, use_after_the_last_put_ends_the_process)
{
	const char *message = " was used after its last reference was put\n";

	assert_aborts(get_after_the_last_put, message);
	assert_aborts(put_after_the_last_put, message);
	assert_aborts(take_after_the_last_put, message);
	assert_aborts(get_after_take, message);
}

Test(ref, more_references_than_there_can_be_end_the_process)
{
	const char *message = ", and more were got or put than there can be\n";

	assert_aborts(get_too_many, message);
	assert_aborts(get_one_too_many, message);
	assert_aborts(put_too_many, message);
}

Test(ref, misuse_is_an_abort, .signal = SIGABRT)
{
	get_one_too_many();
}
