// SPDX-License-Identifier: MIT
//
// Threads wait for positions of a lane, as flushes, tickets and pushes that need room do: without a deadline,
// until a deadline, or for an eventfd. Each is woken, whether its position passes before it asks or after, and
// sees what the destructors did. Drops that are abandoned end the waits for them too. On a fenced queue no wait
// for stores to settle helps: there the model's compiler fence does nothing.
#include "model_lib.h"

namespace
{

enum { CAPACITY = 2, DROPS = 3, EVENTFD = 1 };

// A lane with room for fewer drops than are pushed.
struct lane_model : library_model {
	object objects[DROPS];

	lane_model(bool is_fenced, uint64_t batch) : library_model(CAPACITY, false, is_fenced)
	{
		queue.shared.ring.batch = batch;
		attach();
	}

	// Returns the position behind the drop.
	uint64_t push(object *dropped)
	{
		RL_ASSERT(!model_push(&queue, dropped, 1));
		return dd_ring_own_tail(&queue.shared.ring);
	}

	// Drains as worker.c does in its rounds.
	void consume(unsigned drops)
	{
		for (unsigned ran = 0; ran < drops;
			ran += dd_run_turn(&queue.shared, 1, DEFER_DROP_FOREVER))
			model_yield();
	}

	// Checks that all drops before this position are destroyed.
	void check(uint64_t position)
	{
		for (uint64_t i = 0; dd_ring_first(CAPACITY) + i != position; i++)
			RL_ASSERT(objects[i].destroyed($) == 1);
	}

	void check_end()
	{
		RL_ASSERT(!queue.shared.waiters.first && !queue.shared.waiters.last);
	}
};

// A thread pushes to a full ring and waits for room, and then for all that was pushed.
struct pushed : rl::test_suite<pushed, 2> {
	struct parameter {
		bool is_fenced;
		uint64_t batch;
	};
	inline static parameter given;

	lane_model model{given.is_fenced, given.batch};

	void before()
	{
		model.push(&model.objects[0]);
		model.push(&model.objects[1]);
	}

	void produce()
	{
		object *dropped = &model.objects[CAPACITY];
		defer_drop_ticket ticket;
		defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

		dropped->made($) = 1;
		options.ticket = &ticket;
		RL_ASSERT(!defer_drop_queue_push_with(
			&model.queue, dropped, destroy_object, DEFER_DROP_FOREVER, &options));
		RL_ASSERT(!defer_drop_ticket_wait(&ticket, DEFER_DROP_FOREVER));
		model.check(ticket.position);
	}

	void thread(unsigned index)
	{
		index ? model.consume(DROPS) : produce();
	}

	void after()
	{
		model.check_end();
	}
};

// A thread pushes to a full ring and waits for room until a deadline; an object that is refused stays as it was.
struct late : rl::test_suite<late, 2> {
	using parameter = bool;
	inline static parameter given; // the queue is fenced

	lane_model model{given, 1};
	rl::atomic<int> has_ended;
	bool is_accepted = false;

	void before()
	{
		has_ended.store(0, rl::mo_relaxed, $);
		model.push(&model.objects[0]);
		model.push(&model.objects[1]);
	}

	void produce()
	{
		object *dropped = &model.objects[CAPACITY];
		int result;

		dropped->made($) = 1;
		result = defer_drop_queue_push(&model.queue, dropped, destroy_object, NOT_LONG);
		RL_ASSERT(!result || result == -ETIMEDOUT);
		is_accepted = !result;
		has_ended.store(1, rl::mo_release, $);
	}

	void consume()
	{
		model.consume(CAPACITY);
		while (!has_ended.load(rl::mo_acquire, $))
			model_yield();
		model.consume(is_accepted);
	}

	void thread(unsigned index)
	{
		index ? consume() : produce();
	}

	void after()
	{
		RL_ASSERT(model.objects[CAPACITY].destroyed($) == is_accepted);
		model.check_end();
	}
};

// One thread pushes; another waits with a timeout of 0 for the drops that it finds.
struct flushed : rl::test_suite<flushed, 3> {
	using parameter = bool;
	inline static parameter given; // the queue is fenced

	lane_model model{given, 1};

	void flush()
	{
		uint64_t position = dd_ring_tail(&model.queue.shared.ring);
		int result = dd_wait(&model.queue.shared, position, 0);

		RL_ASSERT(!result || result == -ETIMEDOUT);
		if (!result)
			model.check(position);
	}

	void thread(unsigned index)
	{
		if (index == 0)
			model.push(&model.objects[0]);
		else if (index == 1)
			model.consume(1);
		else
			flush();
	}

	void after()
	{
		model.check_end();
	}
};

// Two threads wait for different positions without a deadline. The second position passes only after the first
// thread was woken.
struct queued_up : rl::test_suite<queued_up, 3> {
	using parameter = bool;
	inline static parameter given; // the queue is fenced

	lane_model model{given, 1};
	rl::atomic<int> has_heard;

	void before()
	{
		has_heard.store(0, rl::mo_relaxed, $);
		model.push(&model.objects[0]);
		model.push(&model.objects[1]);
	}

	void thread(unsigned index)
	{
		uint64_t position = dd_ring_first(CAPACITY) + index;

		if (!index)
			return consume();
		RL_ASSERT(!dd_wait(&model.queue.shared, position, DEFER_DROP_FOREVER));
		model.check(position);
		if (index == 1)
			has_heard.store(1, rl::mo_relaxed, $);
	}

	void consume()
	{
		model.consume(1);
		while (!has_heard.load(rl::mo_relaxed, $))
			model_yield();
		model.consume(1);
	}

	void after()
	{
		model.check_end();
	}
};

// A thread waits for the first of two drops of one turn. The destructor of the second returns only after that
// thread was woken.
struct held_up : rl::test_suite<held_up, 2> {
	inline static held_up *the_one;

	lane_model model{false, 1};
	rl::atomic<int> has_heard;

	void before()
	{
		the_one = this;
		has_heard.store(0, rl::mo_relaxed, $);
		model.push(&model.objects[0]);
		RL_ASSERT(!defer_drop_queue_push(&model.queue, &model.objects[1], wait, 0));
	}

	static void wait(void *)
	{
		while (!the_one->has_heard.load(rl::mo_relaxed, $))
			model_yield();
	}

	void thread(unsigned index)
	{
		uint64_t position = dd_ring_first(CAPACITY) + 1;

		if (!index) {
			RL_ASSERT(dd_run_turn(&model.queue.shared, 2, DEFER_DROP_FOREVER) == 2);
			return;
		}
		RL_ASSERT(!dd_wait(&model.queue.shared, position, DEFER_DROP_FOREVER));
		model.check(position);
		has_heard.store(1, rl::mo_relaxed, $);
	}

	void after()
	{
		model.check_end();
	}
};

// A thread waits by an eventfd.
struct notified : rl::test_suite<notified, 2> {
	using parameter = bool;
	inline static parameter given; // the queue is fenced

	lane_model model{given, 1};

	void before()
	{
		model.push(&model.objects[0]);
	}

	void ask()
	{
		uint64_t position = dd_ring_tail(&model.queue.shared.ring);

		RL_ASSERT(!dd_wait_notify(&model.queue.shared, position, EVENTFD));
		while (!model.signalled.load(rl::mo_acquire, $))
			model_yield();
		RL_ASSERT(!dd_wait_poll(&model.queue.shared, position));
		model.check(position);
	}

	void thread(unsigned index)
	{
		index ? ask() : model.consume(1);
	}

	void after()
	{
		model.check_end();
	}
};

// The consumer finishes, and abandons the drops that it has not destroyed. A thread that waits and a thread that
// polls both get the right result.
struct finished : rl::test_suite<finished, 3> {
	using parameter = bool;
	inline static parameter given; // the queue is fenced

	lane_model model{given, 1};
	bool is_abandoned = false;

	void before()
	{
		model.push(&model.objects[0]);
		model.push(&model.objects[1]);
	}

	// Takes a turn and finishes, as worker.c does when its time is over.
	void finish()
	{
		is_abandoned = !dd_run_turn(&model.queue.shared, rl::rand(2), DEFER_DROP_FOREVER);
		model.queue.drain_until_ns.store(0, rl::mo_relaxed, $);
		dd_queue_set_state(&model.queue, DD_CLOSING);
		dd_worker_finish(&model.queue);
	}

	void tell(int result)
	{
		RL_ASSERT(result == -EINPROGRESS || result == (is_abandoned ? -ESHUTDOWN : 0));
		if (!result)
			model.check(dd_ring_first(CAPACITY) + 1);
	}

	void thread(unsigned index)
	{
		uint64_t position = dd_ring_first(CAPACITY) + 1;

		if (index == 0)
			finish();
		else if (index == 1)
			tell(dd_wait(&model.queue.shared, position, DEFER_DROP_FOREVER));
		else
			tell(dd_wait_poll(&model.queue.shared, position));
	}

	void after()
	{
		model.check_end();
	}
};

} // namespace

int main(int count, char **arguments)
{
	model_arguments(count, arguments);
	return !(explore<notified>(false, 3, 20000) && explore<notified>(true, 3, 20000) &&
		 explore<finished>(false, 1, 20000) && explore<finished>(true, 1, 20000) &&
		 explore<held_up>(2, 20000) && explore<queued_up>(false, 0, 50000) &&
		 explore<queued_up>(true, 0, 50000) && explore<flushed>(false, 1, 20000) &&
		 explore<flushed>(true, 1, 20000) && explore<late>(false, 2, 20000) &&
		 explore<late>(true, 2, 20000) && explore<pushed>({false, 1}, 1, 20000) &&
		 explore<pushed>({true, 2}, 1, 20000));
}
