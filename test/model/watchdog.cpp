// SPDX-License-Identifier: MIT
//
// A consumer rests and destroys while its watchdog sleeps and looks: a destructor that lasts is reported, a
// watchdog that is spared falls asleep, and it is started at most once, and joined if it was started.
#include "model_thread.h"

#include "model_queue.h"

#include "core/watchdog.c"

// The results of these do not matter here.
void dd_stats_get(defer_drop_queue *, defer_drop_stats *)
{
}

void dd_symbol_print(char *, size_t, defer_drop_fn)
{
}

void dd_report(const char *, const char *, ...)
{
}

void dd_escape_look()
{
}

void dd_print_asked(defer_drop_queue *)
{
}

namespace
{

// The object that was reported last.
rl::atomic<void *> *told_of;

void tell_of(void *, const defer_drop_slow *slow)
{
	told_of->store(slow->object, rl::mo_relaxed, $);
}

// A queue with a watchdog whose limit is 0: a destructor that it sees twice is slow.
struct watched_model {
	queue_model model;
	model_thread watchdog;
	rl::atomic<void *> told;

	void make()
	{
		told.store(nullptr, rl::mo_relaxed, $);
		model.queue.has_watchdog = model.queue.is_next_observed = true;
		model.queue.config.values.watchdog = tell_of;
		told_of = &told;
	}

	void end()
	{
		dd_watchdog_end(&model.queue);
		watchdog.give_up();
	}
};

enum { CONSUMER, WATCHDOG, ENDER };

enum { LONG = 16 };

// Destructors that last until they are reported, and rests between them, short or long.
template <int DROPS> struct told : rl::test_suite<told<DROPS>, 2> {
	watched_model watched;
	object dropped[DROPS];

	void before()
	{
		watched.make();
	}

	void destroy(object *lasting)
	{
		defer_drop_queue *queue = &watched.model.queue;
		dd_drop drop = {lasting, destroy_object};

		dd_record_begin(&queue->watchdog.record, &drop, 0);
		while (watched.told.load(rl::mo_relaxed, $) != lasting)
			model_yield();
		dd_record_end(&queue->watchdog.record);
	}

	// A long rest is over when the watchdog sleeps.
	void rest(unsigned steps)
	{
		_Atomic(uint32_t) *state = &watched.model.queue.watchdog.state;

		while (steps == LONG ? dd_read_32(state) != DD_WATCHDOG_ASLEEP : steps-- > 0)
			model_yield();
	}

	void consume()
	{
		defer_drop_queue *queue = &watched.model.queue;

		for (object &each : dropped) {
			dd_watchdog_want(queue);
			destroy(&each);
			dd_watchdog_spare(queue);
			rest(rl::rand(LONG + 1));
		}
		watched.end();
	}

	void thread(unsigned index)
	{
		index ? watched.watchdog.live() : consume();
	}

	void after()
	{
		RL_ASSERT(watched.watchdog.creations == 1 && watched.watchdog.joins == 1);
	}
};

// A caller becomes the consumer and leaves the seat, while another one ends the watchdog.
struct ended : rl::test_suite<ended, 3> {
	using parameter = bool;
	inline static parameter given; // it was started before

	watched_model watched;

	void before()
	{
		watched.make();
	}

	void thread(unsigned index)
	{
		defer_drop_queue *queue = &watched.model.queue;

		if (index == CONSUMER) {
			dd_watchdog_want(queue);
			dd_watchdog_spare(queue);
		} else if (index == WATCHDOG) {
			watched.watchdog.live();
		} else {
			if (given) {
				dd_mutex_lock(&queue->control);
				RL_ASSERT(!dd_watchdog_start(queue));
				dd_mutex_unlock(&queue->control);
			}
			watched.end();
		}
	}

	void after()
	{
		int creations = watched.watchdog.creations;

		RL_ASSERT(creations == watched.watchdog.joins && creations <= 1);
		RL_ASSERT(creations == 1 || !given);
		RL_ASSERT(dd_read_32(&watched.model.queue.watchdog.state) == DD_WATCHDOG_ENDING);
	}
};

} // namespace

int main(int count, char **arguments)
{
	model_arguments(count, arguments);
	// A watchdog that looks again and again has too many executions for an exhaustive search.
	return !(explore<ended>(false, 2, 5000) && explore<ended>(true, 2, 5000) &&
		 explore_randomly<told<2>>(20000));
}
