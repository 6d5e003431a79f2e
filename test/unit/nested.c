/* SPDX-License-Identifier: MIT
 *
 * The list of nested drops.
 */
#include "unit.h"

#include "core/nested.h"

TestSuite(nested, .timeout = 60);

static void push(struct dd_nested *nested, uintptr_t value)
{
	const struct dd_options none = {0, NULL};
	const struct dd_drop drop = {number(value), note};

	answers(0, dd_nested_push(nested, &none, &drop));
}

static void assert_takes(struct dd_nested *nested, uintptr_t value)
{
	struct dd_drop drop = {0};
	struct dd_options options;

	cr_assert(dd_nested_take(nested, &options, &drop));
	cr_assert_eq(options.word, 0);
	cr_assert_eq(drop.object, number(value));
	cr_assert_eq(drop.destroy, note);
}

Test(nested, an_empty_list_gives_nothing)
{
	struct dd_nested nested = {0};
	struct dd_drop drop = {number(7), note};
	struct dd_options options;

	cr_assert(dd_nested_is_empty(&nested));
	cr_assert_not(dd_nested_take(&nested, &options, &drop));
	cr_assert_eq(drop.object, number(7));
	dd_nested_clear(&nested);
	cr_assert(dd_nested_is_empty(&nested));
}

Test(nested, first_in_is_first_out_over_many_chunks)
{
	const unsigned counts[] = {1, DD_CHUNK_DROPS - 1, DD_CHUNK_DROPS, DD_CHUNK_DROPS + 1,
		2 * DD_CHUNK_DROPS, 10000};
	struct dd_nested nested = {0};

	for (unsigned i = 0; i < sizeof counts / sizeof counts[0]; i++) {
		for (uintptr_t at = 0; at < counts[i]; at++)
			push(&nested, at);
		for (uintptr_t at = 0; at < counts[i]; at++) {
			cr_assert_not(dd_nested_is_empty(&nested));
			assert_takes(&nested, at);
		}
		cr_assert(dd_nested_is_empty(&nested));
	}
	dd_nested_clear(&nested);
}

Test(nested, a_list_that_is_pushed_to_while_it_is_taken_from_keeps_its_order)
{
	struct dd_nested nested = {0};
	uintptr_t pushed = 0;

	for (uintptr_t taken = 0; taken < 5000; taken++) {
		while (pushed < 2 * taken + 1)
			push(&nested, pushed++);
		assert_takes(&nested, taken);
	}
	dd_nested_clear(&nested);
}

/* Each drop that is taken makes the next one, as a destructor would. */
static void assert_chain_stays_in_first_chunk(void (*push_one)(struct dd_nested *, uintptr_t),
	void (*assert_takes_one)(struct dd_nested *, uintptr_t))
{
	struct dd_nested nested = {0};
	struct dd_chunk *first;

	push_one(&nested, 0);
	first = nested.first;
	for (uintptr_t i = 0; i < 3 * DD_CHUNK_DROPS; i++) {
		assert_takes_one(&nested, i);
		push_one(&nested, i + 1);
		cr_assert_eq(nested.first, first);
		cr_assert_null(first->next);
	}
	dd_nested_clear(&nested);
}

Test(nested, a_chain_needs_no_memory_after_the_first)
{
	assert_chain_stays_in_first_chunk(push, assert_takes);
}

Test(nested, what_was_cleared_is_forgotten_and_may_be_used_again)
{
	struct dd_nested nested = {0};
	struct dd_drop drop;
	struct dd_options options;

	for (uintptr_t i = 0; i < 3 * DD_CHUNK_DROPS; i++)
		push(&nested, i);
	dd_nested_clear(&nested);
	cr_assert_not(dd_nested_take(&nested, &options, &drop));
	push(&nested, 9);
	assert_takes(&nested, 9);
	dd_nested_clear(&nested);
}

/* ---- Drops with options: two places ---------------------------------------------------------- */

static void push_pair(struct dd_nested *nested, uintptr_t value)
{
	const struct dd_options options = {DD_OPTIONS | value, number(value + 1)};
	const struct dd_drop drop = {number(value), note};

	answers(0, dd_nested_push(nested, &options, &drop));
}

static void assert_takes_pair(struct dd_nested *nested, uintptr_t value)
{
	struct dd_drop drop = {0};
	struct dd_options options;

	cr_assert(dd_is_options(dd_nested_next(nested)));
	cr_assert(dd_nested_take(nested, &options, &drop));
	cr_assert_eq(options.word, DD_OPTIONS | value);
	cr_assert_eq(options.pointer, number(value + 1));
	cr_assert_eq(drop.object, number(value));
	cr_assert_eq(drop.destroy, note);
}

Test(nested, options_stay_beside_their_drop_wherever_a_chunk_ends)
{
	for (unsigned odd = 0; odd < 4; odd++) {
		struct dd_nested nested = {0};

		for (unsigned i = 0; i < odd; i++)
			push(&nested, i);
		for (uintptr_t i = 0; i < 3 * DD_CHUNK_DROPS; i++) {
			push_pair(&nested, i);
			if (i % 5 == odd)
				push(&nested, i);
		}
		for (unsigned i = 0; i < odd; i++)
			assert_takes(&nested, i);
		for (uintptr_t i = 0; i < 3 * DD_CHUNK_DROPS; i++) {
			assert_takes_pair(&nested, i);
			if (i % 5 == odd)
				assert_takes(&nested, i);
		}
		cr_assert(dd_nested_is_empty(&nested));
		dd_nested_clear(&nested);
	}
}

Test(nested, a_chain_of_drops_with_options_needs_no_memory_after_the_first)
{
	assert_chain_stays_in_first_chunk(push_pair, assert_takes_pair);
}

/* ---- Without memory -------------------------------------------------------------------------- */

static struct defer_drop_queue *queue;
static struct defer_drop_completion completion = DEFER_DROP_COMPLETION_INIT;
static int results[4];

/* A destructor that takes all memory that malloc would give, drops, and gives it back. */
static void drop_without_memory(void *object)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	struct block *memory = take_memory();

	(void)object;
	options.bytes = 1000;
	options.completion = &completion;
	results[3] = defer_drop_queue_push_with(queue, NULL, forbidden, 0, &options);
	results[0] = defer_drop_queue_push(queue, NULL, forbidden, FOREVER);
	results[1] = defer_drop_queue_push(queue, NULL, forbidden, 0);
	give_memory(memory);
	results[2] = defer_drop_queue_push(queue, number(0), note, FOREVER);
}

static void assert_enomem(uint32_t runner)
{
	struct defer_drop_stats stats;

	queue = make_queue(runner, 8, 0);
	atomic_store(&seen_count, 0);
	answers(0, defer_drop_queue_push(queue, NULL, drop_without_memory, FOREVER));
	answers(0, defer_drop_queue_flush(queue, FOREVER));
	answers(-ENOMEM, results[0]);
	answers(-ENOMEM, results[1]);
	answers(0, results[2]);
	answers(-ENOMEM, results[3]);
	answers(-EINVAL, defer_drop_completion_wait(&completion, 0, NULL));
	cr_assert_eq(stats_of(queue).backlog_bytes, 0);
	assert_seen(0, 1);
	cr_assert_eq(atomic_load(&forbidden_count), 0);
	stats = stats_of(queue);
	cr_assert_eq(stats.pushed_total, 2);
	cr_assert_eq(stats.destroyed_total, 2);
	cr_assert_eq(stats.nested_total, 1);
	end_queue(queue);
}

Test(nested, without_memory_a_nested_drop_answers_enomem_and_stays_the_callers,
	.disabled = HAS_SANITIZER)
{
	assert_enomem(DEFER_DROP_RUNNER_WORKER);
	assert_enomem(DEFER_DROP_RUNNER_CALLER);
}
