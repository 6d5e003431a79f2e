// SPDX-License-Identifier: MIT
//
// Two callers shut a queue down in different ways. Its worker is asked once, knows the earlier deadline then,
// and is joined once; where there is none, the first caller finishes the queue. Both get its final counters.
#include "model.h"

#include <pthread.h>

// The worker's end, for who joins it.
static rl::atomic<int> *model_ended;
static int model_joins;

static inline void model_join()
{
	model_joins++;
	while (!model_ended->load(rl::mo_acquire, $))
		model_yield();
}

#define pthread_join(thread, result)       model_join()
#define pthread_setcancelstate(state, old) (void)(old)

#include "model_queue.h"

// lane.h's is one for all threads of the model, and none of them runs a destructor.
thread_local dd_thread dd_self;

#include "shutdown.c"

// Nobody does these here.
bool dd_grace_is_reading(dd_grace *)
{
	return false;
}

bool dd_grace_suspend(dd_grace *)
{
	return false;
}

void dd_grace_resume(dd_grace *)
{
}

void dd_grace_end(dd_grace *)
{
}

int dd_queue_open(defer_drop_queue *)
{
	return 0;
}

void dd_run_end(defer_drop_queue *)
{
}

void dd_watch_leave(defer_drop_queue *)
{
}

void dd_wait_release(defer_drop_queue *)
{
}

void dd_running_enter(dd_running *, defer_drop_queue *)
{
}

void dd_running_leave(dd_running *)
{
}

void dd_escape_report(defer_drop_queue *, const char *)
{
	std::abort();
}

void dd_escape_look(const void *)
{
}

void dd_watchdog_end(defer_drop_queue *)
{
}

bool dd_watchdog_is_self(const defer_drop_queue *)
{
	return false;
}

void dd_report(const char *, ...)
{
}

// What stats.c reads, plainly: after the end it must be all there.
static rl::var<int> *model_destroyed;

int defer_drop_queue_stats(defer_drop_queue *, defer_drop_stats *stats)
{
	stats->destroyed_total = (*model_destroyed)($);
	stats->abandoned_total = 0;
	return 0;
}

enum { DESTROYED = 7 };

// What worker.c does with what is left, and then.
void dd_worker_finish(defer_drop_queue *queue)
{
	(*model_destroyed)($) = DESTROYED;
	dd_queue_finish(queue);
}

namespace
{

enum { CALLERS = 2 };

// With a worker, and without.
template <bool HAS_WORKER> struct ending : rl::test_suite<ending<HAS_WORKER>, CALLERS + HAS_WORKER> {
	queue_model<2, false> model;
	rl::atomic<int> has_ended;
	rl::var<int> destroyed;

	void before()
	{
		has_ended.store(0, rl::mo_relaxed, $);
		destroyed($) = 0;
		model.queue.has_thread.store(HAS_WORKER, rl::mo_relaxed, $);
		model_ended = &has_ended;
		model_destroyed = &destroyed;
		model_joins = 0;
	}

	// What worker.c does, from a rest to its end.
	void consume()
	{
		defer_drop_queue *queue = &model.queue;

		while (dd_queue_state(queue) == DD_OPEN)
			dd_bell_rest(&queue->park.bell, DEFER_DROP_FOREVER);
		RL_ASSERT(dd_read(&queue->drain_until_ns) != DEFER_DROP_FOREVER);
		dd_worker_finish(queue);
		has_ended.store(1, rl::mo_release, $);
	}

	void shut(unsigned index)
	{
		uint32_t mode = index ? DEFER_DROP_SHUTDOWN_ABANDON : DEFER_DROP_SHUTDOWN_TIMED;
		defer_drop_report report;

		RL_ASSERT(!defer_drop_queue_shutdown(&model.queue, mode, index ? 0 : 5, &report));
		RL_ASSERT(report.destroyed_total == DESTROYED);
	}

	void thread(unsigned index)
	{
		index < CALLERS ? shut(index) : consume();
	}

	void after()
	{
		RL_ASSERT(model_joins == HAS_WORKER);
		RL_ASSERT(!dd_read(&model.queue.drain_until_ns));
		RL_ASSERT(dd_queue_state(&model.queue) == DD_JOINED);
	}
};

} // namespace

int main(int count, char **arguments)
{
	model_arguments(count, arguments);
	return !(explore<ending<false>>(2, 20000) && explore<ending<true>>(0, 50000));
}
