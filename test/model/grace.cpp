// SPDX-License-Identifier: MIT
//
// A thread takes an object out of the reach of a reader and drops it, the consumer asks another thread to
// wait for a grace period, and is woken when it has passed: the reader is done with the object by then. Asked
// again before that, the thread waits for another one. The one of the two that lets go last disposes of what
// they share, be there a grace period left or not.
#include "model_queue.h"

#define pthread_t int

#include "grace_thread.h"

namespace
{

enum { READER, PRODUCER, WAITER, CONSUMER, THREADS };

// One reader of an RCU of the simplest kind, with the guarantees of liburcu's: a reader who was inside when
// a grace period began has left when it ends, and one who came later sees what came before it began.
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

// What the consumer and the thread share, in memory of its own.
struct grace_model {
	ring_model<2, false> ring;
	dd_grace_thread *shared;
	int disposals = 0;

	void make()
	{
		shared = new dd_grace_thread();
		dd_grace_thread_init(shared, &ring.park);
	}

	void rest()
	{
		while (!dd_grace_thread_has_passed(shared))
			dd_bell_rest(&ring.park.bell, DEFER_DROP_FOREVER);
	}

	// What grace.c does in the thread and in dd_grace_end.
	void let_go()
	{
		if (!dd_grace_thread_let_go(shared))
			return;
		disposals++;
		pthread_mutex_destroy(&shared->lock);
		delete shared;
	}
};

// A reader, and a drop that it may be reading.
struct waited_for : rl::test_suite<waited_for, THREADS> {
	grace_model grace;
	reader inside;
	object dropped;
	rl::atomic<object *> reachable;

	void before()
	{
		grace.make();
		inside.make();
		dropped.made($) = 1;
		reachable.store(&dropped, rl::mo_relaxed, $);
	}

	void read()
	{
		inside.enter();
		object *seen = reachable.load(rl::mo_relaxed, $);
		if (seen)
			RL_ASSERT(!seen->destroyed($));
		inside.leave();
	}

	void produce()
	{
		dd_ring *ring = &grace.ring.ring;
		uint64_t at = dd_ring_own_tail(ring);

		reachable.store(nullptr, rl::mo_relaxed, $);
		dd_ring_room_owned(ring, at);
		dd_ring_publish(ring, at, &dropped, destroy_object);
		dd_ring_advance(ring, at + 1);
	}

	// One turn of dd_grace_thread_run.
	void wait()
	{
		uint32_t asked;

		RL_ASSERT(dd_grace_thread_await(grace.shared, 0, &asked));
		inside.synchronize();
		dd_grace_thread_finish(grace.shared, asked);
	}

	// What grace.c does in begin, rest and collect.
	void consume()
	{
		dd_ring *ring = &grace.ring.ring;
		dd_drop taken;

		while (!dd_is_before(dd_ring_first(2), dd_ring_tail(ring)))
			model_yield();
		dd_grace_thread_ask(grace.shared);
		grace.rest();
		RL_ASSERT(dd_ring_take(ring, &taken));
		run(ring, taken);
	}

	void thread(unsigned index)
	{
		if (index == READER)
			read();
		else if (index == PRODUCER)
			produce();
		else if (index == WAITER)
			wait();
		else
			consume();
	}

	void after()
	{
		RL_ASSERT(dropped.destroyed($) == 1);
		delete grace.shared;
	}
};

rl::atomic<int> *waits; // grace periods that were waited for

void synchronize()
{
	waits->fetch_add(1, rl::mo_relaxed, $);
}

// Several grace periods; the consumer does not stay for the last one.
template <int LAST> struct left : rl::test_suite<left<LAST>, 2> {
	grace_model grace;
	rl::atomic<int> counted;

	void before()
	{
		grace.make();
		counted.store(0, rl::mo_relaxed, $);
		waits = &counted;
	}

	void consume()
	{
		for (int i = 1; i <= LAST; i++) {
			dd_grace_thread_ask(grace.shared);
			if (i == LAST)
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

rl::atomic<int> *begun_at; // what was asked for when the last grace period began
rl::atomic<int> *last_asked;

void begin()
{
	begun_at->store(last_asked->load(rl::mo_relaxed, $), rl::mo_relaxed, $);
	model_yield();
}

// The consumer does not wait for one before it asks for the next.
struct asked_again : rl::test_suite<asked_again, 2> {
	grace_model grace;
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
	return !(explore<waited_for>(0, 50000) && explore<left<0>>(3, 20000) &&
		 explore<left<2>>(0, 20000) && explore<asked_again>(1, 20000));
}
