/* SPDX-License-Identifier: MIT
 *
 * The ring, by itself.
 */
#include "unit.h"

#include "core/ring.h"
#include "life/fork_ring.h"

#define MOST 1024

TestSuite(ring, .timeout = 60);

static struct dd_slot slots[MOST];
static struct dd_ring ring;

static void make(uint64_t capacity, bool is_shared)
{
	memset(slots, 0, sizeof slots);
	memset(&ring, 0, sizeof ring);
	dd_ring_init(&ring, slots, capacity, is_shared);
}

/* Pushes as the owner of a ring does. False if the ring is full. */
static bool push_owned(uintptr_t value)
{
	uint64_t at = dd_ring_own_tail(&ring);

	if (dd_ring_is_at_limit(&ring, at) &&
		dd_ring_room_owned(&ring, at) >= dd_ring_capacity(&ring))
		return false;
	dd_ring_publish(&ring, at, number(value), note);
	dd_ring_advance(&ring, at + 1);
	return true;
}

static bool push_shared(uintptr_t value)
{
	uint64_t at;

	if (!dd_ring_claim_try(&ring, 1, &at))
		return false;
	dd_ring_publish(&ring, at, number(value), note);
	return true;
}

static bool push(uintptr_t value, bool is_shared)
{
	return is_shared ? push_shared(value) : push_owned(value);
}

/* Takes and destroys one drop. Returns its object, or UINTPTR_MAX if there is none. */
static uintptr_t take(void)
{
	struct dd_drop drop = {NULL, NULL};

	if (!dd_ring_take(&ring, &drop))
		return UINTPTR_MAX;
	cr_assert_eq(drop.destroy, note);
	dd_ring_done(&ring);
	return (uintptr_t)drop.object;
}

Test(ring, begins_one_lap_below_the_end_of_the_numbers)
{
	for (uint64_t capacity = 2; capacity <= MOST; capacity *= 2) {
		make(capacity, false);
		cr_assert_eq(dd_ring_capacity(&ring), capacity);
		cr_assert_eq(dd_ring_tail(&ring), -capacity);
		cr_assert_not(dd_ring_is_published(&ring));
		cr_assert_eq(take(), UINTPTR_MAX);
		cr_assert(dd_ring_is_past(&ring, dd_ring_tail(&ring)));
	}
}

Test(ring, before_and_after_hold_across_the_end_of_the_numbers)
{
	cr_assert(dd_is_before(UINT64_MAX, 0));
	cr_assert(dd_is_before(UINT64_MAX - 5, 5));
	cr_assert_not(dd_is_before(0, UINT64_MAX));
	cr_assert_not(dd_is_before(7, 7));
}

Test(ring, takes_as_many_as_its_capacity_and_no_more)
{
	for (uint64_t capacity = 2; capacity <= MOST; capacity *= 2) {
		for (unsigned shared = 0; shared < 2; shared++) {
			make(capacity, shared);
			for (unsigned lap = 0; lap < 5; lap++) {
				for (uintptr_t i = 0; i < capacity; i++)
					cr_assert(push(i, shared));
				cr_assert_not(push(99999, shared));
				cr_assert_not(push(99999, shared));
				for (uintptr_t i = 0; i < capacity; i++)
					cr_assert_eq(take(), i);
				cr_assert_eq(take(), UINTPTR_MAX);
			}
		}
	}
}

Test(ring, one_destroyed_makes_room_for_one)
{
	for (uint64_t capacity = 2; capacity <= MOST; capacity *= 2) {
		for (unsigned shared = 0; shared < 2; shared++) {
			uintptr_t next = 0;

			make(capacity, shared);
			while (push(next, shared))
				next++;
			for (uintptr_t taken = 0; taken < 5 * capacity; taken++) {
				cr_assert_eq(take(), taken);
				cr_assert(push(next++, shared), "at capacity %llu",
					(unsigned long long)capacity);
				cr_assert_not(push(next, shared));
			}
		}
	}
}

Test(ring, a_drop_being_destroyed_takes_its_place)
{
	for (unsigned shared = 0; shared < 2; shared++) {
		struct dd_drop drop;

		make(4, shared);
		for (uintptr_t i = 0; i < 4; i++)
			cr_assert(push(i, shared));
		cr_assert(dd_ring_take(&ring, &drop));
		cr_assert_not(push(4, shared));
		dd_ring_done(&ring);
		cr_assert(push(4, shared));
	}
}

Test(ring, a_position_is_past_when_its_drop_is_done_and_no_sooner)
{
	for (uint64_t capacity = 4; capacity <= MOST; capacity *= 4) {
		for (unsigned shared = 0; shared < 2; shared++) {
			make(capacity, shared);
			for (uintptr_t i = 0; i < 3 * capacity; i++) {
				struct dd_drop drop;
				uint64_t tail;

				cr_assert(push(i, shared));
				tail = dd_ring_tail(&ring);
				cr_assert_not(dd_ring_is_past(&ring, tail));
				cr_assert(dd_ring_is_past(&ring, tail - 1));
				cr_assert(dd_ring_take(&ring, &drop));
				cr_assert_not(dd_ring_is_past(&ring, tail));
				dd_ring_done(&ring);
				cr_assert(dd_ring_is_past(&ring, tail));
			}
		}
	}
}

Test(ring, a_position_stays_past_when_its_slot_is_filled_again)
{
	make(16, false);
	for (uintptr_t i = 0; i < 5; i++)
		cr_assert(push_owned(i));
	for (uintptr_t i = 0; i < 5; i++)
		take();
	for (uintptr_t i = 0; i < 16; i++)
		cr_assert(push_owned(i));
	for (uint64_t i = 0; i <= 5; i++)
		cr_assert(
			dd_ring_is_past(&ring, dd_ring_first(16) + i), "position %u", (unsigned)i);
	cr_assert_not(dd_ring_is_past(&ring, dd_ring_first(16) + 6));
}

Test(ring, null_objects_pass)
{
	make(2, false);
	dd_ring_publish(&ring, dd_ring_own_tail(&ring), NULL, note);
	cr_assert(dd_ring_is_published(&ring));
	cr_assert_eq(take(), 0);
}

Test(ring, what_is_claimed_and_not_published_holds_up_what_follows)
{
	uint64_t first;
	uint64_t second;

	make(8, true);
	cr_assert(dd_ring_claim_try(&ring, 1, &first));
	cr_assert(dd_ring_claim_try(&ring, 1, &second));
	cr_assert_eq(second, first + 1);
	dd_ring_publish(&ring, second, number(2), note);
	cr_assert_eq(take(), UINTPTR_MAX);
	dd_ring_publish(&ring, first, number(1), note);
	cr_assert_eq(take(), 1);
	cr_assert_eq(take(), 2);
}

Test(ring, a_claim_beyond_the_capacity_has_no_room_until_its_turn)
{
	uint64_t at;

	make(2, true);
	cr_assert(push_shared(0));
	cr_assert(push_shared(1));
	at = dd_ring_claim(&ring, 1);
	cr_assert_not(dd_ring_has_room(&ring, at));
	cr_assert_eq(take(), 0);
	cr_assert(dd_ring_has_room(&ring, at));
	cr_assert_not(dd_ring_has_room(&ring, at + 1));
	dd_ring_publish(&ring, at, number(2), note);
	cr_assert_eq(take(), 1);
	cr_assert_eq(take(), 2);
}

/* ---- Threads --------------------------------------------------------------------------------- */

#define PUSHERS 3
#define EACH    20000

static void *push_many(void *argument)
{
	uintptr_t self = (uintptr_t)argument;

	for (uintptr_t i = 0; i < EACH; i++)
		while (!push_shared(self * EACH + i))
			sched_yield();
	return NULL;
}

Test(ring, many_push_and_one_takes_each_once_and_in_its_order)
{
	uintptr_t next[PUSHERS] = {0};
	pthread_t threads[PUSHERS];

	make(16, true);
	for (uintptr_t i = 0; i < PUSHERS; i++)
		threads[i] = spawn(push_many, number(i));
	for (unsigned taken = 0; taken < PUSHERS * EACH;) {
		uintptr_t value = take();

		if (value == UINTPTR_MAX) {
			sched_yield();
			continue;
		}
		taken++;
		cr_assert_lt(value / EACH, PUSHERS);
		cr_assert_eq(value % EACH, next[value / EACH]);
		next[value / EACH]++;
	}
	for (unsigned i = 0; i < PUSHERS; i++)
		join_thread(threads[i]);
	cr_assert_eq(take(), UINTPTR_MAX);
}

static void *push_many_owned(void *argument)
{
	(void)argument;
	for (uintptr_t i = 0; i < PUSHERS * EACH; i++)
		while (!push_owned(i))
			sched_yield();
	return NULL;
}

Test(ring, one_pushes_and_one_takes_each_once_and_in_order)
{
	for (uint64_t capacity = 2; capacity <= 256; capacity *= 128) {
		pthread_t thread;

		make(capacity, false);
		thread = spawn(push_many_owned, NULL);
		for (uintptr_t taken = 0; taken < PUSHERS * EACH;) {
			uintptr_t value = take();

			if (value == UINTPTR_MAX)
				sched_yield();
			else
				cr_assert_eq(value, taken++);
		}
		join_thread(thread);
	}
}

/* ---- Closing --------------------------------------------------------------------------------- */

Test(ring, what_is_taken_back_is_not_taken)
{
	struct dd_drop drop;
	uint64_t at;

	make(8, false);
	at = dd_ring_own_tail(&ring);
	cr_assert(push_owned(1));
	dd_ring_contest(&ring);
	cr_assert(dd_ring_retract(&ring, at, note));
	cr_assert_not(dd_ring_retract(&ring, at, note));
	cr_assert_not(dd_ring_take_contested(&ring, &drop));
}

Test(ring, what_is_taken_is_not_taken_back)
{
	struct dd_drop drop;
	uint64_t at;

	make(8, false);
	at = dd_ring_own_tail(&ring);
	cr_assert(push_owned(1));
	dd_ring_contest(&ring);
	cr_assert(dd_ring_take_contested(&ring, &drop));
	cr_assert_eq(drop.object, number(1));
	cr_assert_eq(drop.destroy, note);
	cr_assert_not(dd_ring_retract(&ring, at, note));
	cr_assert_not(dd_ring_is_past(&ring, at + 1));
	dd_ring_done(&ring);
	cr_assert(dd_ring_is_past(&ring, at + 1));
	cr_assert_not(dd_ring_retract(&ring, at, note));
}

Test(ring, what_was_taken_while_it_was_open_is_not_taken_back)
{
	struct dd_drop drop;
	uint64_t at;

	make(8, false);
	at = dd_ring_own_tail(&ring);
	cr_assert(push_owned(1));
	cr_assert(dd_ring_take(&ring, &drop));
	dd_ring_contest(&ring);
	cr_assert_not(dd_ring_retract(&ring, at, note));
}

Test(ring, what_was_withdrawn_makes_the_next_push_look_first)
{
	make(8, false);
	cr_assert(push_owned(1));
	cr_assert_not(dd_ring_is_at_limit(&ring, dd_ring_own_tail(&ring)));
	dd_ring_withdraw(&ring);
	cr_assert(dd_ring_is_at_limit(&ring, dd_ring_own_tail(&ring)));
}

static atomic_bool is_contested;

/* Takes back as many drops of a full ring as it can. Returns how many. */
static void *retract_all(void *argument)
{
	uint64_t first = *(uint64_t *)argument;
	uintptr_t retracted = 0;

	while (!atomic_load(&is_contested))
		;
	for (uint64_t i = 0; i < MOST; i++)
		retracted += dd_ring_retract(&ring, first + MOST - 1 - i, note);
	return number(retracted);
}

Test(ring, of_two_threads_that_contest_a_drop_one_gets_it)
{
	for (unsigned round = 0; round < 50; round++) {
		uintptr_t taken = 0;
		uint64_t first;
		pthread_t thread;

		make(MOST, true);
		first = dd_ring_tail(&ring);
		for (uintptr_t i = 0; i < MOST; i++)
			cr_assert(push_shared(i));
		atomic_store(&is_contested, false);
		thread = spawn(retract_all, &first);
		dd_ring_contest(&ring);
		atomic_store(&is_contested, true);
		for (unsigned i = 0; i < MOST; i++) {
			struct dd_drop drop;

			taken += dd_ring_take_contested(&ring, &drop);
		}
		cr_assert_eq(taken + (uintptr_t)join_thread(thread), MOST);
	}
}

/* ---- fork ------------------------------------------------------------------------------------ */

Test(ring, a_survivor_that_keeps_nothing_is_empty_and_whole)
{
	for (unsigned shared = 0; shared < 2; shared++) {
		make(8, shared);
		for (uintptr_t i = 0; i < 8; i++)
			cr_assert(push(i, shared));
		cr_assert_eq(take(), 0);
		dd_ring_survive(&ring, false, false);
		cr_assert_eq(take(), UINTPTR_MAX);
		cr_assert(dd_ring_is_past(&ring, dd_ring_tail(&ring)));
		for (unsigned lap = 0; lap < 3; lap++) {
			for (uintptr_t i = 0; i < 8; i++)
				cr_assert(push(i, shared));
			cr_assert_not(push(8, shared));
			for (uintptr_t i = 0; i < 8; i++)
				cr_assert_eq(take(), i);
		}
	}
}

Test(ring, a_survivor_that_keeps_closes_the_gaps)
{
	uint64_t at[8];

	make(8, true);
	for (unsigned i = 0; i < 8; i++)
		cr_assert(dd_ring_claim_try(&ring, 1, &at[i]));
	for (unsigned i = 0; i < 8; i++)
		if (i != 0 && i != 3 && i != 7)
			dd_ring_publish(&ring, at[i], number(i), note);
	dd_ring_claim(&ring, 1); /* of a thread that waited for room: the child does not have it */
	dd_ring_survive(&ring, true, false);
	cr_assert(push_shared(11));
	cr_assert(push_shared(12));
	cr_assert(push_shared(13));
	cr_assert_not(push_shared(14));
	for (unsigned i = 0; i < 8; i++) {
		const uintptr_t want[] = {1, 2, 4, 5, 6, 11, 12, 13};

		cr_assert_eq(take(), want[i]);
	}
	cr_assert_eq(take(), UINTPTR_MAX);
}

Test(ring, a_survivor_keeps_what_an_owner_had_published_before_it_moved_the_tail)
{
	make(8, false);
	cr_assert(push_owned(0));
	dd_ring_publish(&ring, dd_ring_own_tail(&ring), number(1), note);
	dd_ring_survive(&ring, true, false);
	cr_assert(push_owned(2));
	for (uintptr_t i = 0; i < 3; i++)
		cr_assert_eq(take(), i);
	cr_assert_eq(take(), UINTPTR_MAX);
}

Test(ring, a_full_survivor_that_keeps_is_full)
{
	for (unsigned shared = 0; shared < 2; shared++) {
		make(8, shared);
		cr_assert(push(99, shared));
		cr_assert_eq(take(), 99);
		for (uintptr_t i = 0; i < 8; i++)
			cr_assert(push(i, shared));
		dd_ring_survive(&ring, true, false);
		cr_assert_not(push(8, shared));
		for (uintptr_t i = 0; i < 8; i++)
			cr_assert_eq(take(), i);
		cr_assert_eq(take(), UINTPTR_MAX);
	}
}

Test(ring, a_survivor_in_a_destructor_goes_on_behind_it)
{
	for (unsigned kept = 0; kept < 2; kept++) {
		struct dd_drop drop;

		make(32, false);
		for (uintptr_t i = 0; i < 32; i++)
			cr_assert(push_owned(i));
		for (uintptr_t i = 0; i < 5; i++)
			cr_assert_eq(take(), i);
		cr_assert(dd_ring_take(&ring, &drop));
		dd_ring_survive(&ring, kept, true);
		dd_ring_done(&ring);
		for (uintptr_t i = 0; kept && i < 26; i++)
			cr_assert_eq(take(), i + 6);
		cr_assert_eq(take(), UINTPTR_MAX);
		for (uintptr_t i = 0; i < 32; i++)
			cr_assert(push_owned(i));
		cr_assert_not(push_owned(32));
	}
}

/* The slot may have been filled again, with the same destructor, when a producer looks at CLOSED. */
Test(ring, a_drop_of_another_lap_is_not_taken_back)
{
	struct dd_drop drop;
	uint64_t at;

	make(2, true);
	at = dd_ring_claim(&ring, 1);
	dd_ring_publish(&ring, at, number(1), note);
	cr_assert(dd_ring_take(&ring, &drop));
	dd_ring_done(&ring);
	dd_ring_publish(&ring, dd_ring_claim(&ring, 1), number(2), note);
	dd_ring_publish(&ring, dd_ring_claim(&ring, 1), number(3), note);
	dd_ring_contest(&ring);
	cr_assert_not(dd_ring_retract(&ring, at, note));
	for (uintptr_t i = 2; i <= 3; i++) {
		cr_assert(dd_ring_take_contested(&ring, &drop));
		cr_assert_eq(drop.object, number(i));
		dd_ring_done(&ring);
	}
}

/* Head lags behind by a batch: slots before the cursor may hold drops of the next lap. */
Test(ring, a_survivor_keeps_what_was_filled_in_before_head_had_moved)
{
	struct dd_drop drop;

	make(16, false);
	for (uintptr_t i = 0; i < 16; i++)
		cr_assert(push_owned(i));
	cr_assert(dd_ring_take(&ring, &drop));
	dd_ring_done(&ring);
	cr_assert(push_owned(16));
	cr_assert(dd_ring_take(&ring, &drop));
	dd_ring_survive(&ring, true, true);
	dd_ring_done(&ring);
	for (uintptr_t i = 2; i <= 16; i++) {
		cr_assert(dd_ring_take(&ring, &drop), "drop %zu is lost", i);
		cr_assert_eq(drop.object, number(i));
		dd_ring_done(&ring);
	}
	cr_assert_not(dd_ring_take(&ring, &drop));
}

/* The consumer is gone, in the middle of a drop; or just after one, whose slot is filled again. */
Test(ring, a_survivor_drops_what_was_being_destroyed_and_nothing_else)
{
	struct dd_drop drop;

	for (unsigned was_done = 0; was_done < 2; was_done++) {
		make(16, false);
		for (uintptr_t i = 0; i < 16; i++)
			cr_assert(push_owned(i));
		cr_assert(dd_ring_take(&ring, &drop));
		if (was_done) {
			dd_ring_done(&ring);
			cr_assert(push_owned(16));
		}
		dd_ring_survive(&ring, true, false);
		for (uintptr_t i = 1; i < 16 + was_done; i++) {
			cr_assert(dd_ring_take(&ring, &drop));
			cr_assert_eq(drop.object, number(i));
			dd_ring_done(&ring);
		}
		cr_assert_not(dd_ring_take(&ring, &drop));
	}
}

/* ---- Drops with options: two slots ----------------------------------------------------------- */

static bool push_pair_owned(const struct dd_options *options, const struct dd_drop *drop)
{
	uint64_t at = dd_ring_own_tail(&ring);

	if (dd_ring_is_beyond_limit(&ring, at + 1) &&
		dd_ring_room_owned(&ring, at + 1) >= dd_ring_capacity(&ring))
		return false;
	dd_ring_publish_both(&ring, at, options, drop);
	dd_ring_advance(&ring, at + 2);
	return true;
}

/* Pushes a drop that holds as many bytes as its number. */
static bool push_pair(uintptr_t value, bool is_shared)
{
	const struct dd_options options = {DD_OPTIONS | value, number(value + 1)};
	const struct dd_drop drop = {number(value), note};
	uint64_t at;

	if (!is_shared)
		return push_pair_owned(&options, &drop);
	if (!dd_ring_claim_try(&ring, 2, &at))
		return false;
	dd_ring_publish_both(&ring, at, &options, &drop);
	return true;
}

/* Takes and destroys one drop, of either width. Returns its object, or UINTPTR_MAX if there is
 * none. */
static uintptr_t take_any(unsigned *width)
{
	struct dd_drop first;
	struct dd_drop drop;

	if (!dd_ring_take(&ring, &first))
		return UINTPTR_MAX;
	drop = first;
	*width = (unsigned)dd_width(first.destroy);
	if (*width == 2) {
		dd_ring_take_second(&ring, &drop);
		cr_assert_eq((uint64_t)(uintptr_t)first.destroy & DD_BYTES, (uintptr_t)drop.object);
		cr_assert_eq(first.object, number((uintptr_t)drop.object + 1));
		dd_ring_done_both(&ring);
	} else {
		dd_ring_done(&ring);
	}
	cr_assert_eq(drop.destroy, note);
	return (uintptr_t)drop.object;
}

static bool push_of(uintptr_t value, unsigned width, bool is_shared)
{
	return width == 2 ? push_pair(value, is_shared) : push(value, is_shared);
}

Test(ring, pairs_and_single_drops_come_in_order_and_fill_the_ring)
{
	for (uint64_t capacity = 2; capacity <= 128; capacity *= 2) {
		for (unsigned shape = 1; shape < 64; shape += 2) {
			uintptr_t pushed = 0;
			uint64_t used = 0;
			unsigned width;

			make(capacity, shape & 2);
			for (uintptr_t taken = 0; taken < 6 * capacity; taken++) {
				/* In a pattern in which each position has each width. */
				while (used + 1 + ((shape >> pushed % 6) & 1) <= capacity) {
					width = 1 + ((shape >> pushed % 6) & 1);
					cr_assert(push_of(pushed++, width, shape & 2), "%u, of %u",
						(unsigned)used, (unsigned)capacity);
					used += width;
				}
				cr_assert_not(push_of(
					pushed, 1 + ((shape >> pushed % 6) & 1), shape & 2));
				cr_assert_eq(take_any(&width), taken);
				used -= width;
			}
		}
	}
}

Test(ring, a_pair_is_past_when_its_drop_is_done_and_no_sooner)
{
	for (uint64_t capacity = 2; capacity <= 64; capacity *= 2) {
		for (unsigned odd = 0; odd < 2 && odd + 2 <= capacity; odd++) {
			for (unsigned shared = 0; shared < 2; shared++) {
				make(capacity, shared);
				for (unsigned i = 0; i < odd; i++)
					cr_assert(push(0, shared) && !take());
				for (uintptr_t i = 0; i < 2 * capacity; i++) {
					struct dd_drop drop;
					uint64_t tail;

					cr_assert(push_pair(i, shared));
					tail = dd_ring_tail(&ring);
					cr_assert(dd_ring_is_past(&ring, tail - 2));
					cr_assert(dd_ring_take(&ring, &drop));
					dd_ring_take_second(&ring, &drop);
					cr_assert_not(dd_ring_is_past(&ring, tail));
					cr_assert_not(dd_ring_is_past(&ring, tail - 1));
					dd_ring_done_both(&ring);
					cr_assert(dd_ring_is_past(&ring, tail));
				}
			}
		}
	}
}

Test(ring, what_was_looked_at_is_still_there)
{
	struct dd_drop drop;
	unsigned width;

	make(4, false);
	cr_assert_not(dd_ring_peek(&ring, &drop));
	cr_assert(push_pair(7, false));
	for (unsigned i = 0; i < 3; i++) {
		cr_assert(dd_ring_peek(&ring, &drop));
		cr_assert(dd_is_options(drop.destroy));
		cr_assert(dd_ring_is_published(&ring));
	}
	cr_assert_eq(take_any(&width), 7);
}

Test(ring, a_pair_that_is_taken_back_is_not_taken_and_neither_is_its_second)
{
	for (unsigned shared = 0; shared < 2; shared++) {
		struct dd_drop drop;
		uint64_t at;

		make(8, shared);
		at = dd_ring_tail(&ring);
		cr_assert(push_pair(5, shared));
		dd_ring_contest(&ring);
		cr_assert(dd_ring_retract(&ring, at, (defer_drop_fn)(uintptr_t)(DD_OPTIONS | 5)));
		for (unsigned i = 0; i < 8; i++)
			cr_assert_not(dd_ring_take_contested(&ring, &drop));
	}
}

Test(ring, a_pair_that_is_taken_on_a_closed_ring_is_not_taken_back)
{
	struct dd_drop drop;
	uint64_t at;

	make(8, true);
	at = dd_ring_tail(&ring);
	cr_assert(push_pair(5, true));
	cr_assert(push(6, true));
	dd_ring_contest(&ring);
	cr_assert(dd_ring_take_contested(&ring, &drop));
	cr_assert(dd_is_options(drop.destroy));
	cr_assert_eq(drop.object, number(6));
	cr_assert_not(dd_ring_retract(&ring, at, drop.destroy));
	dd_ring_take_second(&ring, &drop);
	cr_assert_eq(drop.object, number(5));
	dd_ring_done_both(&ring);
	cr_assert(dd_ring_is_past(&ring, at + 2));
	cr_assert(dd_ring_take_contested(&ring, &drop));
	cr_assert_eq(drop.object, number(6));
}

Test(ring, a_survivor_keeps_pairs_whole)
{
	for (unsigned shared = 0; shared < 2; shared++) {
		for (unsigned kept = 0; kept < 2; kept++) {
			uintptr_t next = kept ? 2 : 7;
			unsigned width;

			make(8, shared);
			cr_assert(push(0, shared));
			cr_assert(push_pair(1, shared));
			cr_assert_eq(take_any(&width), 0);
			cr_assert_eq(take_any(&width), 1);
			for (uintptr_t i = 2; i < 6; i++)
				cr_assert(push_of(i, i % 2 ? 2 : 1, shared));
			dd_ring_survive(&ring, kept, 0);
			if (kept)
				cr_assert(push_pair(6, shared));
			cr_assert(push_pair(7, shared) == !kept);
			for (; next < 7 + !kept; next++)
				cr_assert_eq(take_any(&width), next);
			cr_assert_eq(take_any(&width), UINTPTR_MAX);
		}
	}
}

Test(ring, a_survivor_closes_the_gap_of_half_a_pair)
{
	const struct dd_options options = {DD_OPTIONS | 1, number(2)};
	const struct dd_drop drop = {number(1), note};
	uint64_t at[3];
	unsigned width;

	make(8, true);
	for (unsigned i = 0; i < 3; i++)
		cr_assert(dd_ring_claim_try(&ring, 2, &at[i]));
	/* Stops before the first slot was published, in the order of publish_both. */
	dd_ring_publish_both(&ring, at[0], &options, &drop);
	dd_ring_empty(&ring, at[0]);
	dd_ring_publish_both(&ring, at[2], &options, &drop);
	dd_ring_survive(&ring, true, 0);
	cr_assert_eq(take_any(&width), 1);
	cr_assert_eq(width, 2);
	cr_assert_eq(take_any(&width), UINTPTR_MAX);
	for (unsigned i = 0; i < 4; i++)
		cr_assert(push_pair(1, true));
	cr_assert_not(push(1, true));
}

static void lose(void *object)
{
	(void)object;
}

/* options: NULL for a drop that has none. */
static void put(const struct dd_options *options, const struct dd_drop *drop, bool is_shared)
{
	uint64_t width = options ? 2 : 1;
	uint64_t at;

	if (is_shared) {
		cr_assert(dd_ring_claim_try(&ring, width, &at));
	} else {
		at = dd_ring_own_tail(&ring);
		cr_assert(dd_ring_room_owned(&ring, at + width - 1) < dd_ring_capacity(&ring));
	}
	if (options)
		dd_ring_publish_both(&ring, at, options, drop);
	else
		dd_ring_publish(&ring, at, drop->object, drop->destroy);
	if (!is_shared)
		dd_ring_advance(&ring, at + width);
}

static const struct dd_drop lost = {NULL, lose};

static void survive_without_lost(unsigned offset, bool is_shared)
{
	const struct dd_options options = {DD_OPTIONS | 1, number(2)};
	const struct dd_drop lost_after_grace = {NULL, dd_tagged(lose, DD_GRACE)};
	const struct dd_drop kept[] = {{number(0), note}, {number(1), note}};
	unsigned width;

	make(8, is_shared);
	for (uintptr_t i = 0; i < offset; i++) {
		cr_assert(push(i, is_shared));
		cr_assert_eq(take(), i);
	}
	put(NULL, &lost_after_grace, is_shared);
	put(NULL, &kept[0], is_shared);
	put(&options, &lost, is_shared);
	put(&options, &kept[1], is_shared);
	put(NULL, &lost, is_shared);
	if (!is_shared) /* and its owner has not moved the tail */
		dd_ring_publish(&ring, dd_ring_own_tail(&ring), NULL, lose);
	dd_ring_lose(&ring, lose, 0);
	dd_ring_survive(&ring, true, 0);
	cr_assert_eq(take_any(&width), 0);
	cr_assert_eq(take_any(&width), 1);
	cr_assert_eq(width, 2);
	cr_assert_eq(take_any(&width), UINTPTR_MAX);
	for (uintptr_t i = 0; i < 8; i++)
		cr_assert(push(i, is_shared));
}

Test(ring, what_a_survivor_is_to_lose_it_does_not_keep)
{
	for (unsigned shared = 0; shared < 2; shared++)
		for (unsigned offset = 0; offset < 8; offset++)
			survive_without_lost(offset, shared);
}

Test(ring, a_survivor_in_a_destructor_of_those_that_are_lost_goes_on_behind_it)
{
	for (unsigned shared = 0; shared < 2; shared++) {
		struct dd_drop drop;

		make(8, shared);
		for (uintptr_t i = 0; i < 8; i++)
			if (i % 2)
				cr_assert(push(i, shared));
			else
				put(NULL, &lost, shared);
		cr_assert(dd_ring_take(&ring, &drop));
		dd_ring_lose(&ring, lose, 1);
		dd_ring_survive(&ring, true, 1);
		dd_ring_done(&ring);
		for (uintptr_t i = 1; i < 8; i += 2)
			cr_assert_eq(take(), i);
		cr_assert_eq(take(), UINTPTR_MAX);
	}
}

/* A ring that is full of pairs; the destructor of the first one runs. */
static void make_in_first_pair(uint64_t capacity)
{
	struct dd_drop drop;

	make(capacity, false);
	for (uintptr_t i = 0; i < capacity / 2; i++)
		cr_assert(push_pair(i, false));
	cr_assert(dd_ring_take(&ring, &drop));
	dd_ring_take_second(&ring, &drop);
}

Test(ring, a_survivor_in_the_destructor_of_a_pair_goes_on_behind_it)
{
	for (uint64_t capacity = 2; capacity <= 32; capacity *= 2) {
		for (unsigned kept = 0; kept < 2; kept++) {
			unsigned width;

			make_in_first_pair(capacity);
			dd_ring_survive(&ring, kept, 2);
			dd_ring_done_both(&ring);
			for (uintptr_t i = 1; kept && i < capacity / 2; i++)
				cr_assert_eq(take_any(&width), i);
			cr_assert_eq(take_any(&width), UINTPTR_MAX);
			for (uintptr_t i = 0; i < capacity / 2; i++)
				cr_assert(push_pair(i, false));
			cr_assert_not(push(0, false));
		}
	}
}

Test(ring, a_survivor_drops_the_pair_that_was_being_destroyed_and_nothing_else)
{
	for (uint64_t capacity = 4; capacity <= 32; capacity *= 2) {
		for (unsigned was_done = 0; was_done < 2; was_done++) {
			unsigned width;

			make_in_first_pair(capacity);
			if (was_done) {
				dd_ring_done_both(&ring);
				cr_assert(push_pair(capacity / 2, false));
			}
			dd_ring_survive(&ring, true, 0);
			for (uintptr_t i = 1; i < capacity / 2 + was_done; i++)
				cr_assert_eq(take_any(&width), i);
			cr_assert_eq(take_any(&width), UINTPTR_MAX);
		}
	}
}

/* Another producer looks for room at a position that was claimed long ago: slots that are filled
 * stay. */
Test(ring, a_survivor_keeps_what_was_filled_again_after_another_producer_looked_for_room)
{
	for (uint64_t capacity = 4; capacity <= 32; capacity *= 2) {
		uint64_t first = dd_ring_first(capacity);

		make(capacity, true);
		for (uintptr_t i = 0; i < capacity; i++)
			cr_assert(push_shared(i));
		cr_assert_eq(take(), 0);
		cr_assert(push_shared(capacity));
		dd_ring_room(&ring, first + 1);
		dd_ring_survive(&ring, true, 0);
		for (uintptr_t i = 1; i <= capacity; i++)
			cr_assert_eq(take(), i);
		cr_assert_eq(take(), UINTPTR_MAX);
	}
}

static void *push_many_shapes(void *argument)
{
	for (uintptr_t i = 0; i < EACH; i++)
		while (!push_of(i, i % 3 == 2 ? 2 : 1, argument != NULL))
			sched_yield();
	return NULL;
}

Test(ring, one_pushes_pairs_and_single_drops_and_one_takes_each_once_and_in_order)
{
	for (uint64_t capacity = 2; capacity <= 32; capacity *= 4) {
		for (uintptr_t shared = 0; shared < 2; shared++) {
			pthread_t thread;
			unsigned width;

			make(capacity, shared);
			thread = spawn(push_many_shapes, number(shared));
			for (uintptr_t taken = 0; taken < EACH;) {
				uintptr_t value = take_any(&width);

				if (value == UINTPTR_MAX)
					sched_yield();
				else
					cr_assert_eq(value, taken++);
			}
			join_thread(thread);
		}
	}
}
