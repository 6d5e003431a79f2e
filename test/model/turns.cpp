// SPDX-License-Identifier: MIT
//
// A drop is destroyed in slices and makes a nested drop, with other turns in between. A wait for it returns when
// all of it is destroyed, and not before. Another consumer may go on with what is left of it. If the queue closes
// meanwhile, the drop is finished, or is abandoned once and its destructor not called again. With membarrier, and
// without.
#include "model_lib.h"

namespace
{

enum { CAPACITY = 4, SLICES = 2 };

// An object that is destroyed in slices, of which the first makes a nested drop.
struct cake {
	rl::var<int> made;
	rl::var<int> slices;
	object crumb;
	bool may_be_cut = true;

	void make()
	{
		made($) = 1;
		slices($) = 0;
		crumb.made($) = 1;
	}

	bool is_gone()
	{
		return slices($) == SLICES && crumb.destroyed($) == 1;
	}
};

defer_drop_queue *the_queue;

int cut(void *memory)
{
	cake *whole = static_cast<cake *>(memory);

	RL_ASSERT(whole->made($) == 1 && whole->may_be_cut);
	whole->slices($) = whole->slices($) + 1;
	if (whole->slices($) > 1)
		RL_ASSERT(whole->slices($) == SLICES && whole->crumb.destroyed($) == 1);
	else
		RL_ASSERT(!defer_drop_queue_push(the_queue, &whole->crumb, destroy_object, 0));
	return whole->slices($) == SLICES ? 0 : DEFER_DROP_AGAIN;
}

// A queue with one drop that is destroyed in slices, and in some scenarios a plain drop behind it.
struct sliced_model {
	library_model model;
	defer_drop_queue &queue = model.queue;
	dd_lane &lane = model.queue.shared;
	cake whole;
	object last;
	dd_completion completion{};

	sliced_model(bool is_shared, bool is_fenced) : model(CAPACITY, is_shared, is_fenced)
	{
		the_queue = &queue;
	}

	void push()
	{
		defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

		model.attach();
		whole.make();
		completion.eventfd = -1;
		options.destroy_status = cut;
		options.completion = reinterpret_cast<defer_drop_completion *>(&completion);
		RL_ASSERT(!defer_drop_queue_push_with(
			&queue, &whole, nullptr, DEFER_DROP_FOREVER, &options));
	}

	void push_last()
	{
		RL_ASSERT(!model_push(&queue, &last, 1));
	}

	// Takes a turn of one destructor, as one of several consumers.
	uint64_t take_turn()
	{
		DD_RUNNING(frame);
		uint64_t ran;

		dd_running_enter(&frame, &queue);
		ran = dd_run_turn(&lane, 1, DEFER_DROP_FOREVER);
		dd_running_leave(&frame);
		return ran;
	}
};

struct shape {
	bool is_shared;
	bool is_fenced;
};

// Two threads wait for the first drop, one by its position and one by its completion, while a third takes turns.
struct waited_for : rl::test_suite<waited_for, 3> {
	using parameter = shape;
	inline static parameter given;

	sliced_model sliced{given.is_shared, given.is_fenced};

	void before()
	{
		sliced.push();
		sliced.push_last();
	}

	void wait(bool by_position)
	{
		auto *asked = reinterpret_cast<defer_drop_completion *>(&sliced.completion);
		uint64_t position = dd_ring_tail(&sliced.lane.ring) - 1;
		int result = by_position ? dd_wait(&sliced.lane, position, DEFER_DROP_FOREVER)
					 : defer_drop_completion_wait(
						   asked, DEFER_DROP_FOREVER, nullptr);

		RL_ASSERT(!result);
		RL_ASSERT(sliced.whole.is_gone());
	}

	void thread(unsigned index)
	{
		if (index)
			return wait(index == 1);
		for (int i = 0; i < SLICES + 2; i++)
			RL_ASSERT(sliced.take_turn() == 1);
		RL_ASSERT(!sliced.take_turn());
	}

	void after()
	{
		RL_ASSERT(sliced.last.destroyed($) == 1 && !sliced.lane.is_unfinished);
	}
};

// Two threads drain, two destructors at a time, a plain drop before the one in slices: each goes on with what the other
// has left in the middle, and is told that something is left. The lane had a turn before, which left it empty.
struct drained : rl::test_suite<drained, 2> {
	using parameter = shape;
	inline static parameter given;

	sliced_model sliced{given.is_shared, given.is_fenced};
	object plain;

	void before()
	{
		sliced.queue.config.values.runner = DEFER_DROP_RUNNER_CALLER;
		sliced.queue.config.values.pending_eventfd = 1;
		sliced.queue.has_thread.store(false, rl::mo_relaxed, $);
		sliced.model.attach();
		sliced.push_last();
		RL_ASSERT(sliced.take_turn() == 1);
		RL_ASSERT(!model_push(&sliced.queue, &plain, 1));
		sliced.push();
	}

	void thread(unsigned)
	{
		uint64_t ran;
		int result = defer_drop_queue_drain(&sliced.queue, 2, DEFER_DROP_FOREVER, &ran);

		RL_ASSERT(result == -EBUSY || (!result && ran == 2));
	}

	void after()
	{
		RL_ASSERT(sliced.model.signalled.load(rl::mo_relaxed, $));
		while (sliced.take_turn())
			continue;
		RL_ASSERT(sliced.whole.is_gone());
	}
};

// The consumer closes the queue after some turns, before its deadline or after it, while a producer fills the
// ring.
struct closed : rl::test_suite<closed, 2> {
	struct parameter {
		bool is_shared;
		bool is_fenced;
		int turns;
		bool is_in_time;
	};
	inline static parameter given;

	sliced_model sliced{given.is_shared, given.is_fenced};
	object late[2];
	bool is_accepted[2] = {};

	void before()
	{
		sliced.push();
		sliced.push_last();
	}

	void close()
	{
		defer_drop_queue *queue = &sliced.queue;
		DD_RUNNING(frame);

		for (int i = 0; i < given.turns; i++)
			RL_ASSERT(sliced.take_turn() == 1);
		if (!given.is_in_time)
			queue->drain_until_ns.store(1, rl::mo_relaxed, $);
		sliced.whole.may_be_cut = given.is_in_time;
		dd_queue_set_state(queue, DD_CLOSING);
		dd_running_enter(&frame, queue);
		dd_worker_finish(queue);
		dd_running_leave(&frame);
	}

	void thread(unsigned index)
	{
		if (!index)
			return close();
		for (int i = 0; i < 2; i++) {
			late[i].made($) = 1;
			is_accepted[i] =
				!defer_drop_queue_push(&sliced.queue, &late[i], destroy_object, 0);
		}
	}

	void after()
	{
		uint64_t abandoned = sliced.lane.abandoned_total.load(rl::mo_relaxed, $);
		unsigned accepted = is_accepted[0] + is_accepted[1];
		bool is_over = given.is_in_time;

		RL_ASSERT(sliced.whole.is_gone() == is_over);
		RL_ASSERT(dd_wait_poll(&sliced.lane, dd_ring_first(CAPACITY) + 2) ==
			  (is_over ? 0 : -ESHUTDOWN));
		RL_ASSERT(sliced.last.destroyed($) == is_over);
		for (int i = 0; i < 2; i++)
			RL_ASSERT(late[i].destroyed($) == (is_over && is_accepted[i]));
		RL_ASSERT(abandoned == (is_over ? 0 : 2 + accepted));
		RL_ASSERT(dd_completion_look(&sliced.completion) == DD_COMPLETION_OVER);
		RL_ASSERT(dd_plain_load(&sliced.completion.outcome) == (is_over ? 0 : -ESHUTDOWN));
	}
};

} // namespace

int main(int count, char **arguments)
{
	bool is_right = true;

	model_arguments(count, arguments);
	for (bool is_shared : {false, true})
		for (bool is_fenced : {false, true}) {
			is_right = is_right &&
				   explore<waited_for>({is_shared, is_fenced}, 1, 5000) &&
				   explore<drained>({is_shared, is_fenced}, 1, 5000);
			for (int turns : {0, 1, 2})
				is_right = is_right &&
					   explore<closed>(
						   {is_shared, is_fenced, turns, false}, 1, 3000) &&
					   explore<closed>(
						   {is_shared, is_fenced, turns, true}, 1, 3000);
		}
	return !is_right;
}
