// SPDX-License-Identifier: MIT
//
// Threads wait for positions of a lane, as flushes, tickets and pushes that need room do: for as long as it
// takes, until a deadline, or for an eventfd. Each hears of it, with membarrier and without, whether its
// position passes before or after it asked, and sees what the destructors did; and of what is abandoned.
#include "model_queue.h"

#include "eventfd.h"
#include "report.h"
#include "run.h"

// wait.c frees what it has allocated itself, whose fields are the checker's.
#undef malloc
#undef free
#define malloc(bytes) new dd_waiter()
#define free(waiter)  delete waiter

#include "wait.c"

// lane.h's is one for all threads of the model, and none of them runs a destructor.
thread_local dd_thread dd_self;

#include "run.c"

// Nobody does these here.
void dd_budget_release(dd_budget *)
{
}

void dd_watch_release(defer_drop_queue *)
{
}

void dd_budget_serve(defer_drop_queue *)
{
}

void dd_watch_glance(defer_drop_queue *)
{
}

void dd_report(const char *, ...)
{
}

bool dd_nested_take(dd_nested *, dd_options *, dd_drop *)
{
	return false;
}

int dd_completion_finish(dd_completion *, uint32_t)
{
	return 0;
}

bool dd_grace_covers(dd_lane *, uint64_t)
{
	return true;
}

bool dd_grace_covers_nested(dd_lane *)
{
	return true;
}

void dd_grace_rest(defer_drop_queue *, uint64_t)
{
}

// An eventfd is the address of what is set when it is signalled.
static rl::atomic<int> *model_signalled;

int dd_eventfd_signal(int)
{
	model_signalled->store(1, rl::mo_release, $);
	return 0;
}

void dd_eventfd_close(int)
{
}

namespace
{

enum { CAPACITY = 2, DROPS = 3, EVENTFD = 1 };

// A lane with room for less than is pushed.
struct lane_model : queue_model<CAPACITY, false> {
	object objects[DROPS];
	rl::atomic<int> signalled;

	lane_model(bool is_fenced, uint64_t batch) : queue_model(is_fenced)
	{
		queue.shared.ring.batch = batch;
		signalled.store(0, rl::mo_relaxed, $);
		model_signalled = &signalled;
	}

	// What push.c does in push_owned. Returns the position behind the drop.
	uint64_t push(object *dropped)
	{
		dd_lane *lane = &queue.shared;
		uint64_t at = dd_ring_own_tail(&lane->ring);

		dropped->made($) = 1;
		while (dd_ring_is_beyond_limit(&lane->ring, at) &&
			dd_ring_room_owned(&lane->ring, at) >= CAPACITY)
			dd_wait(lane, at + 1 - CAPACITY, DEFER_DROP_FOREVER);
		dd_ring_publish(&lane->ring, at, dropped, destroy_object);
		dd_ring_advance(&lane->ring, at + 1);
		return at + 1;
	}

	// What worker.c does in its rounds.
	void consume(unsigned drops)
	{
		for (unsigned ran = 0; ran < drops;
			ran += dd_run_turn(&queue.shared, 1, DEFER_DROP_FOREVER))
			model_yield();
	}

	// All before this position is destroyed.
	void check(uint64_t position)
	{
		for (uint64_t i = 0; dd_ring_first(CAPACITY) + i != position; i++)
			RL_ASSERT(objects[i].destroyed($) == 1);
	}

	void check_end()
	{
		RL_ASSERT(!queue.shared.first_waiter && !queue.shared.last_waiter);
	}
};

// Who pushes to a full ring waits for room, and then for all that was pushed.
template <bool IS_FENCED, uint64_t BATCH>
struct pushed : rl::test_suite<pushed<IS_FENCED, BATCH>, 2> {
	lane_model model{IS_FENCED, BATCH};

	void before()
	{
		model.push(&model.objects[0]);
		model.push(&model.objects[1]);
	}

	void produce()
	{
		uint64_t position = model.push(&model.objects[CAPACITY]);

		RL_ASSERT(!dd_wait(&model.queue.shared, position, DEFER_DROP_FOREVER));
		model.check(position);
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

// One pushes, one waits for what it finds, but not for long.
template <bool IS_FENCED> struct flushed : rl::test_suite<flushed<IS_FENCED>, 3> {
	lane_model model{IS_FENCED, 1};

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

// Two wait for different positions, as long as it takes. The second passes when the first has heard of its own.
template <bool IS_FENCED> struct queued_up : rl::test_suite<queued_up<IS_FENCED>, 3> {
	lane_model model{IS_FENCED, 1};
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

// One wants to hear of it by an eventfd.
template <bool IS_FENCED> struct notified : rl::test_suite<notified<IS_FENCED>, 2> {
	lane_model model{IS_FENCED, 1};

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

// The consumer finishes, and abandons what it has not destroyed. Who waits, or polls, gets the truth.
template <bool IS_FENCED> struct finished : rl::test_suite<finished<IS_FENCED>, 3> {
	lane_model model{IS_FENCED, 1};
	bool is_abandoned = false;

	void before()
	{
		model.push(&model.objects[0]);
		model.push(&model.objects[1]);
	}

	// What worker.c does in dd_worker_finish.
	void finish()
	{
		is_abandoned = !dd_run_turn(&model.queue.shared, rl::rand(2), DEFER_DROP_FOREVER);
		dd_queue_set_state(&model.queue, DD_CLOSING);
		dd_queue_finish(&model.queue);
		dd_wait_release(&model.queue);
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
	return !(explore<notified<false>>(3, 20000) && explore<notified<true>>(3, 20000) &&
		 explore<finished<false>>(1, 20000) && explore<finished<true>>(1, 20000) &&
		 explore<queued_up<false>>(1, 20000) && explore<queued_up<true>>(1, 20000) &&
		 explore<flushed<false>>(1, 20000) && explore<flushed<true>>(1, 20000) &&
		 explore<pushed<false, 1>>(1, 20000) && explore<pushed<true, 2>>(1, 20000));
}
