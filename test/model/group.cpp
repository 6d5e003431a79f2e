// SPDX-License-Identifier: MIT
//
// A call that flushes, ends or abandons a group returns when no destructor of the group that it waits for runs, or
// will: what the destructors did is visible then, and their code may go. Every drop is destroyed, or abandoned once.
// The memory of a freed group is used again when the consumer has done with it. The last of the drops that share a
// context frees their member.
#include "model_lib.h"

namespace
{

enum { CAPACITY = 4 };

// The code of the group: destructors read it, and a thread that closes the plugin writes it.
rl::var<int> *the_code;
rl::var<int> *the_told;

void destroy_in_group(void *memory)
{
	RL_ASSERT((*the_code)($) == 1);
	destroy_object(memory);
}

// Has two slices.
int cut_in_group(void *memory)
{
	object *cake = static_cast<object *>(memory);

	RL_ASSERT((*the_code)($) == 1);
	cake->destroyed($) = cake->destroyed($) + 1;
	return cake->destroyed($) < 2 ? DEFER_DROP_AGAIN : 0;
}

void tell(void *context, void *memory)
{
	object *left = static_cast<object *>(memory);

	RL_ASSERT((*the_code)($) == 1 && context == the_told && (*the_told)($) == 1);
	RL_ASSERT(!left->destroyed($));
	left->destroyed($) = 2;
}

struct grouped {
	library_model model;
	defer_drop_queue &queue = model.queue;
	defer_drop_group *group = nullptr;
	rl::var<int> code;
	rl::var<int> told;

	explicit grouped(bool is_shared) : model(CAPACITY, is_shared, true)
	{
		groups = free_first = nullptr;
		free_end = &free_first;
		the_code = &code;
		the_told = &told;
		code($) = 1;
		told($) = 0;
	}

	void begin()
	{
		model.attach();
		RL_ASSERT(!defer_drop_group_create(&group, &queue));
	}

	int push(object *dropped)
	{
		dropped->made($) = 1;
		return defer_drop_group_push(group, dropped, destroy_in_group, DEFER_DROP_FOREVER);
	}

	// Destroys this many drops, or passes them over, as the queue's consumer.
	void consume(int drops)
	{
		DD_RUNNING(frame);

		dd_running_enter(&frame, &queue);
		while (drops)
			if (dd_run_turn(&queue.shared, 1, DEFER_DROP_FOREVER))
				drops--;
			else
				model_yield();
		dd_running_leave(&frame);
	}

	// Takes turns until nothing is left.
	void consume_all()
	{
		DD_RUNNING(frame);

		dd_running_enter(&frame, &queue);
		while (dd_run_turn(&queue.shared, 1, DEFER_DROP_FOREVER))
			continue;
		dd_running_leave(&frame);
	}

	void end()
	{
		RL_ASSERT(!queue.group_waiters.first);
		while (groups) {
			defer_drop_group *next = groups->next;

			RL_ASSERT(!dd_group_backlog(groups));
			delete groups;
			groups = next;
		}
	}
};

// Two threads push and flush: each sees what its own destructor did.
struct flushed : rl::test_suite<flushed, 3> {
	grouped all{true};
	object dropped[2];

	void before()
	{
		all.begin();
	}

	void thread(unsigned index)
	{
		if (index == 2)
			return all.consume(2);
		RL_ASSERT(!all.push(&dropped[index]));
		RL_ASSERT(!defer_drop_group_flush(all.group, DEFER_DROP_FOREVER));
		RL_ASSERT(dropped[index].destroyed($) == 1);
	}

	void after()
	{
		RL_ASSERT(!(dd_group_look(all.group) & (DD_GROUP_PENDING | DD_GROUP_RUNS)));
		all.end();
	}
};

// A thread pushes and flushes twice, so that a phase begins again, while another flushes what was there before.
struct in_phases : rl::test_suite<in_phases, 3> {
	grouped all{false};
	object first;
	object dropped[2];

	void before()
	{
		all.begin();
		RL_ASSERT(!all.push(&first));
	}

	void thread(unsigned index)
	{
		if (index == 2)
			return all.consume(3);
		for (int i = 0; index && i < 2; i++) {
			RL_ASSERT(!all.push(&dropped[i]));
			RL_ASSERT(!defer_drop_group_flush(all.group, DEFER_DROP_FOREVER));
			RL_ASSERT(dropped[i].destroyed($) == 1);
		}
		RL_ASSERT(!defer_drop_group_flush(all.group, DEFER_DROP_FOREVER));
		RL_ASSERT(first.destroyed($) == 1);
	}

	void after()
	{
		all.end();
	}
};

// A thread ends the group and closes the plugin, while another pushes.
struct ended : rl::test_suite<ended, 3> {
	grouped all{true};
	object dropped[2];
	rl::atomic<int> result; // of the push; 1: not yet

	void before()
	{
		all.begin();
		RL_ASSERT(!all.push(&dropped[0]));
		result.store(1, rl::mo_relaxed, $);
	}

	void consume()
	{
		all.consume(1);
		while (result.load(rl::mo_relaxed, $) == 1)
			model_yield();
		if (!result.load(rl::mo_relaxed, $))
			all.consume(1);
	}

	void thread(unsigned index)
	{
		if (index == 2)
			return consume();
		if (index == 1)
			return result.store(all.push(&dropped[1]), rl::mo_relaxed, $);
		RL_ASSERT(!defer_drop_group_end(all.group, DEFER_DROP_FOREVER));
		all.code($) = 0;
		RL_ASSERT(dropped[0].destroyed($) == 1);
	}

	void after()
	{
		int pushed = result.load(rl::mo_relaxed, $);

		RL_ASSERT(!pushed || pushed == -ESHUTDOWN);
		RL_ASSERT(dropped[1].destroyed($) == !pushed);
		RL_ASSERT(!defer_drop_group_free(all.group));
		all.end();
	}
};

// A thread abandons the group, closes the plugin, frees the group and makes another one, perhaps in its memory.
struct abandoned : rl::test_suite<abandoned, 2> {
	grouped all{false};
	object dropped[3];
	rl::var<int> code;

	void before()
	{
		all.begin();
		for (int i = 0; i < 2; i++)
			RL_ASSERT(!all.push(&dropped[i]));
		code($) = 1;
	}

	void thread(unsigned index)
	{
		if (index)
			return all.consume(2);
		RL_ASSERT(
			!defer_drop_group_abandon(all.group, nullptr, nullptr, DEFER_DROP_FOREVER));
		all.code($) = 0;
		RL_ASSERT(!defer_drop_group_free(all.group));
		RL_ASSERT(!defer_drop_group_create(&all.group, &all.queue));
		RL_ASSERT(!dd_read(&all.group->destroyed_total) &&
			  !dd_read(&all.group->abandoned_total));
	}

	void after()
	{
		the_code = &code;
		RL_ASSERT(dd_read(&all.queue.passed_over_total) ==
			  uint64_t(!dropped[0].destroyed($) + !dropped[1].destroyed($)));
		RL_ASSERT(!dd_read(&all.group->destroyed_total) &&
			  !dd_read(&all.group->abandoned_total));
		RL_ASSERT(!all.push(&dropped[2]));
		all.consume(1);
		RL_ASSERT(dropped[2].destroyed($) == 1);
		RL_ASSERT(!defer_drop_group_end(all.group, 0) && !defer_drop_group_free(all.group));
		all.end();
	}
};

// A drop is destroyed in slices. The consumer calls it again only when the thread that abandons has returned.
struct sliced : rl::test_suite<sliced, 2> {
	grouped all{false};
	object cake;
	rl::atomic<int> has_returned;

	void before()
	{
		defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

		all.begin();
		has_returned.store(0, rl::mo_relaxed, $);
		options.group = all.group;
		options.destroy_status = cut_in_group;
		RL_ASSERT(!defer_drop_queue_push_with(
			&all.queue, &cake, nullptr, DEFER_DROP_FOREVER, &options));
	}

	void thread(unsigned index)
	{
		if (index) {
			all.consume(1);
			while (!has_returned.load(rl::mo_relaxed, $))
				model_yield();
			return all.consume_all();
		}
		RL_ASSERT(
			!defer_drop_group_abandon(all.group, nullptr, nullptr, DEFER_DROP_FOREVER));
		all.code($) = 0;
		has_returned.store(1, rl::mo_relaxed, $);
	}

	void after()
	{
		RL_ASSERT(cake.destroyed($) <= 1);
		RL_ASSERT(dd_read(&all.group->abandoned_total) == 1);
		RL_ASSERT(!defer_drop_group_free(all.group));
		all.end();
	}
};

// A phase begins again, and a drop is pushed in it, while the consumer has not yet woken a thread that waits for the
// end of that phase. The drop is destroyed only when that thread has returned.
struct reborn : rl::test_suite<reborn, 3> {
	grouped all{false};
	object first;
	object late;
	rl::atomic<int> has_returned;

	void before()
	{
		all.begin();
		has_returned.store(0, rl::mo_relaxed, $);
		RL_ASSERT(!all.push(&first));
	}

	void thread(unsigned index)
	{
		if (index == 2) {
			all.consume(1);
			while (!has_returned.load(rl::mo_relaxed, $))
				model_yield();
			return all.consume(1);
		}
		if (index == 1) {
			int result;

			while (!all.group->epoch) // the other flush has begun
				model_yield();
			result = defer_drop_group_flush(all.group, NOT_LONG);
			RL_ASSERT(!result || result == -ETIMEDOUT);
			RL_ASSERT(!all.push(&late));
			return;
		}
		RL_ASSERT(!defer_drop_group_flush(all.group, DEFER_DROP_FOREVER));
		RL_ASSERT(first.destroyed($) == 1);
		has_returned.store(1, rl::mo_relaxed, $);
	}

	void after()
	{
		all.end();
	}
};

// A function is told of abandoned objects: its code may go when it has been told of all.
struct told_of : rl::test_suite<told_of, 2> {
	grouped all{false};
	object dropped[2];

	void before()
	{
		all.begin();
		for (object &one : dropped)
			RL_ASSERT(!all.push(&one));
	}

	void thread(unsigned index)
	{
		if (index)
			return all.consume(2);
		all.told($) = 1;
		RL_ASSERT(!defer_drop_group_abandon(all.group, tell, the_told, DEFER_DROP_FOREVER));
		all.code($) = 0;
		RL_ASSERT(dropped[0].destroyed($) && dropped[1].destroyed($));
	}

	void after()
	{
		RL_ASSERT(!defer_drop_group_free(all.group));
		all.end();
	}
};

// A push that failed gives its share of a member back while the consumer does.
struct sharing : rl::test_suite<sharing, 2> {
	grouped all{false};
	dd_member *member;

	void before()
	{
		all.begin();
		member = dd_member_make(all.group, &all, 3);
	}

	void thread(unsigned index)
	{
		RL_ASSERT(member->context($) == &all);
		dd_member_release(member, index ? 1 : 2);
	}

	void after()
	{
		all.end();
	}
};

} // namespace

int main(int count, char **arguments)
{
	model_arguments(count, arguments);
	return !(explore<sharing>(2, 1000) && explore<told_of>(1, 5000) &&
		 explore<sliced>(1, 5000) && explore_randomly<reborn>(20000) &&
		 explore<abandoned>(1, 5000) && explore<ended>(0, 5000) &&
		 explore_randomly<in_phases>(20000) && explore_randomly<flushed>(20000));
}
