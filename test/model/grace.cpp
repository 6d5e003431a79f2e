// SPDX-License-Identifier: MIT
//
// A producer makes an object unreachable for a reader and drops it; the consumer asks another thread to wait for
// a grace period, and is woken when it has passed: the reader no longer uses the object then. If the thread is
// asked again before that, it waits for a second grace period. Of the consumer and the thread, the one that lets
// go last frees what they share, whether a grace period is still wanted or not. A queue that has finished while a
// grace period is wanted, and not begun, begins none: its thread would outlive the queue.
#define MODEL_RCU
#define _URCU_MEMB_H // the model has a flavor of its own in place of urcu-memb
#include <urcu/flavor.h>
extern "C" const rcu_flavor_struct urcu_memb_flavor;

#define mortals (*model_mortals) // made anew for each execution

#include "model_lib.h"

namespace
{

enum { READER, PRODUCER, CONSUMER, WAITER, THREADS };

enum { DROPS = 2, CAPACITY = 2 };

// The one reader of the simplest RCU, with the guarantees of liburcu: a reader that was inside when a grace
// period began has left when it ends, and a reader that enters later sees what happened before it began.
struct reader {
	rl::atomic<int> is_inside;

	void make()
	{
		is_inside.store(0, rl::mo_relaxed, $);
	}

	void enter()
	{
		is_inside.fetch_add(1, rl::mo_acquire, $);
	}

	void leave()
	{
		is_inside.fetch_sub(1, rl::mo_release, $);
	}

	void synchronize()
	{
		while (is_inside.fetch_add(0, rl::mo_acq_rel, $))
			model_yield();
	}
};

reader *the_reader;

// A reader may use two objects, which become unreachable one after the other.
struct waited_for : rl::test_suite<waited_for, THREADS> {
	struct parameter {
		bool is_shared;
		bool is_fenced;
		bool is_late; // of the second object: the first grace period may not cover it
	};
	inline static parameter given;

	library_model model{CAPACITY, given.is_shared, given.is_fenced};
	model_atomic<uint32_t> readers_and_waiters;
	model_thread waiter;
	reader inside;
	object objects[DROPS];
	rl::atomic<object *> reachable[DROPS];

	void before()
	{
		model.attach();
		model_mortals = &readers_and_waiters;
		dd_grace_init(&model.queue.grace, nullptr);
		inside.make();
		the_reader = &inside;
		for (int i = 0; i < DROPS; i++) {
			objects[i].made($) = 1;
			reachable[i].store(&objects[i], rl::mo_relaxed, $);
		}
	}

	// Reads an object. False if it is no longer reachable.
	bool look(rl::atomic<object *> &place)
	{
		inside.enter();
		object *seen = place.load(rl::mo_relaxed, $);
		if (seen)
			RL_ASSERT(!seen->destroyed($));
		inside.leave();
		return seen;
	}

	void read()
	{
		for (auto &each : reachable)
			while (look(each))
				model_yield();
	}

	void produce()
	{
		for (int i = 0; i < DROPS; i++) {
			while (given.is_late && i && !dd_read(&model.queue.grace.begun_total))
				model_yield();
			reachable[i].store(nullptr, rl::mo_relaxed, $);
			RL_ASSERT(!dd_queue_push_rcu(&model.queue, &objects[i], destroy_object));
		}
	}

	// Drains as worker.c does, without its pauses.
	void consume()
	{
		struct rest resting = {};
		uint64_t ran = 0;

		dd_grace_enter(&model.queue.grace);
		while (ran < DROPS) {
			uint64_t found =
				dd_worker_round(&model.queue, UINT64_MAX, DEFER_DROP_FOREVER);

			if (!found)
				take_rest(&model.queue, &resting, 0);
			ran += found;
		}
		dd_grace_leave(&model.queue.grace);
		dd_grace_end(&model.queue.grace);
	}

	void thread(unsigned index)
	{
		if (index == READER)
			read();
		else if (index == PRODUCER)
			produce();
		else if (index == CONSUMER)
			consume();
		else
			waiter.live();
	}

	void after()
	{
		RL_ASSERT(waiter.creations == 1);
		RL_ASSERT(!readers_and_waiters.load(rl::mo_relaxed, $));
		for (object &each : objects)
			RL_ASSERT(each.destroyed($) == 1);
	}
};

// A queue that callers drain is abandoned soon after a grace period was wanted, and called again later: by a second
// shutdown, or by a drain that found it open.
struct abandoned : rl::test_suite<abandoned, 3> {
	using parameter = bool;
	inline static parameter given; // does the second caller drain?

	library_model model{CAPACITY, false, false};
	model_atomic<uint32_t> readers_and_waiters;
	model_thread waiter;
	reader nobody;
	object dropped;
	rl::atomic<int> callers;

	void before()
	{
		callers.store(2, rl::mo_relaxed, $);
		nobody.make();
		the_reader = &nobody;
		model_tick_ns = 1;
		model.attach();
		model_mortals = &readers_and_waiters;
		dd_grace_init(&model.queue.grace, nullptr);
		model.queue.config.values.runner = DEFER_DROP_RUNNER_CALLER;
		model.queue.has_thread.store(false, rl::mo_relaxed, $);
		dropped.made($) = 1;
		RL_ASSERT(!dd_queue_push_rcu(&model.queue, &dropped, destroy_object));
		dd_worker_round(&model.queue, 1, DEFER_DROP_FOREVER);
		RL_ASSERT(model.queue.grace.wanted_since_ns);
	}

	// It is given up if the other caller is slow.
	void shut()
	{
		int result = defer_drop_queue_shutdown(&model.queue, 0);

		RL_ASSERT(!result || result == -ECANCELED);
		if (result)
			RL_ASSERT(!defer_drop_queue_shutdown(&model.queue, DEFER_DROP_FOREVER));
		model_now_ns += GATHER_NS;
	}

	void drain()
	{
		uint64_t ran;
		int result = defer_drop_queue_drain(&model.queue, 1, DEFER_DROP_FOREVER, &ran);

		RL_ASSERT(!result || result == -EBUSY || result == -ESHUTDOWN);
	}

	void thread(unsigned index)
	{
		if (index == 2)
			return waiter.live();
		if (index && given) {
			drain();
		} else {
			shut();
			shut();
		}
		if (callers.fetch_sub(1, rl::mo_acq_rel, $) == 1)
			waiter.give_up();
	}

	void after()
	{
		RL_ASSERT(!model.queue.grace.thread);
		RL_ASSERT(!readers_and_waiters.load(rl::mo_relaxed, $));
		RL_ASSERT(given || !dropped.destroyed($));
	}
};

// The memory that the consumer and the thread share.
struct sharing {
	ring_model ring{2, false};
	dd_grace_thread *shared;
	int disposals = 0;

	void make()
	{
		shared = new dd_grace_thread();
		dd_grace_thread_init(shared, &ring.park, -1);
	}

	void rest()
	{
		while (!dd_grace_thread_has_passed(shared))
			dd_bell_rest(&ring.park.bell, DEFER_DROP_FOREVER);
	}

	void let_go()
	{
		if (!dd_grace_thread_let_go(shared))
			return;
		disposals++;
		dispose(shared);
	}
};

rl::atomic<int> *waits; // grace periods that were waited for

void synchronize()
{
	waits->fetch_add(1, rl::mo_relaxed, $);
}

// Several grace periods; the consumer does not wait for the last one.
struct left : rl::test_suite<left, 2> {
	using parameter = int;
	inline static parameter given; // the number of the last one

	sharing grace;
	rl::atomic<int> counted;

	void before()
	{
		grace.make();
		counted.store(0, rl::mo_relaxed, $);
		waits = &counted;
	}

	void consume()
	{
		for (int i = 1; i <= given; i++) {
			dd_grace_thread_ask(grace.shared);
			if (i == given)
				break;
			grace.rest();
			RL_ASSERT(counted.load(rl::mo_relaxed, $) == i);
		}
		dd_grace_thread_dismiss(grace.shared);
		grace.let_go();
	}

	void thread(unsigned index)
	{
		if (index)
			return consume();
		dd_grace_thread_run(grace.shared, synchronize);
		grace.let_go();
	}

	void after()
	{
		RL_ASSERT(grace.disposals == 1);
	}
};

rl::atomic<int> *begun_at; // the number asked for when the last grace period began
rl::atomic<int> *last_asked;

void begin()
{
	begun_at->store(last_asked->load(rl::mo_relaxed, $), rl::mo_relaxed, $);
	model_yield();
}

// The consumer asks for a second grace period without waiting for the first.
struct asked_again : rl::test_suite<asked_again, 2> {
	sharing grace;
	rl::atomic<int> begun;
	rl::atomic<int> asked;

	void before()
	{
		grace.make();
		begun.store(0, rl::mo_relaxed, $);
		asked.store(0, rl::mo_relaxed, $);
		begun_at = &begun;
		last_asked = &asked;
	}

	void consume()
	{
		for (int i = 1; i <= 2; i++) {
			asked.store(i, rl::mo_relaxed, $);
			dd_grace_thread_ask(grace.shared);
		}
		grace.rest();
		RL_ASSERT(begun.load(rl::mo_relaxed, $) == 2);
		dd_grace_thread_dismiss(grace.shared);
		grace.let_go();
	}

	void thread(unsigned index)
	{
		if (index)
			return consume();
		dd_grace_thread_run(grace.shared, begin);
		grace.let_go();
	}

	void after()
	{
		RL_ASSERT(grace.disposals == 1);
	}
};

} // namespace

int main(int count, char **arguments)
{
	model_arguments(count, arguments);
	return !(explore<abandoned>(false, 1, 5000) && explore<abandoned>(true, 1, 5000) &&
		 explore_randomly<waited_for>({false, false, false}, 20000) &&
		 explore_randomly<waited_for>({false, false, true}, 20000) &&
		 explore_randomly<waited_for>({false, true, false}, 20000) &&
		 explore_randomly<waited_for>({true, false, false}, 20000) &&
		 explore_randomly<waited_for>({true, true, true}, 20000) &&
		 explore<left>(0, 3, 20000) && explore<left>(2, 0, 20000) &&
		 explore<asked_again>(1, 20000));
}

// The functions of liburcu that grace.c calls.
static int model_is_reading()
{
	return 0;
}

static void model_ignore()
{
}

static void model_synchronize()
{
	the_reader->synchronize();
}

extern "C" const rcu_flavor_struct urcu_memb_flavor = {
	.read_ongoing = model_is_reading,
	.read_quiescent_state = model_ignore,
	.update_synchronize_rcu = model_synchronize,
	.thread_offline = model_ignore,
	.thread_online = model_ignore,
	.register_thread = model_ignore,
	.unregister_thread = model_ignore,
};
