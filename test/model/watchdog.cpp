// SPDX-License-Identifier: MIT
//
// A consumer rests and destroys while its watchdog sleeps and looks: a destructor that lasts is told of,
// a watchdog that is spared falls asleep, and it is started at most once and joined if it was.
#include "model.h"

#include <pthread.h>
#include <signal.h>

// The thread of the watchdog is one of the model's: it waits until it is created, or never will be.
enum { NOT_YET, CREATED, NEVER };

static rl::atomic<int> *model_life;
static rl::atomic<int> *model_ended;
static void *(*model_run)(void *argument);
static void *model_argument;
static int model_creations;
static int model_joins;

static inline int model_create(void *(*run)(void *argument), void *argument)
{
	model_creations++;
	model_run = run;
	model_argument = argument;
	model_life->store(CREATED, rl::mo_release, $);
	return 0;
}

static inline void model_join()
{
	model_joins++;
	while (!model_ended->load(rl::mo_acquire, $))
		model_yield();
}

#define pthread_create(thread, attributes, run, argument) model_create(run, argument)
#define pthread_join(thread, result)                      model_join()
#define pthread_setcancelstate(state, old)                (void)(old)
#define pthread_sigmask(how, set, old)                    (void)(set)
#define pthread_setname_np(thread, name)                  (void)(name)

#include "model_queue.h"

// lane.h's is one for all threads of the model, and only the watchdog has any use for it.
thread_local dd_thread dd_self;

#include "watchdog.c"

// Nobody looks at these here.
int defer_drop_queue_stats(defer_drop_queue *, defer_drop_stats *)
{
	return 0;
}

void dd_symbol_print(char *, size_t, defer_drop_fn)
{
}

void dd_report(const char *, ...)
{
}

void dd_escape_look(const void *)
{
}

namespace
{

// The object of which it told last.
rl::atomic<void *> *told_of;

void tell_of(void *, const defer_drop_slow *slow)
{
	told_of->store(slow->object, rl::mo_relaxed, $);
}

// A queue that is watched, with a limit of 0: what is seen twice is slow.
struct watched_model {
	queue_model<2, false> model;
	rl::atomic<int> life;
	rl::atomic<int> has_ended;
	rl::atomic<void *> told;

	void make()
	{
		life.store(NOT_YET, rl::mo_relaxed, $);
		has_ended.store(0, rl::mo_relaxed, $);
		told.store(nullptr, rl::mo_relaxed, $);
		model.queue.is_watched = true;
		model.queue.config.watchdog = tell_of;
		model_life = &life;
		model_ended = &has_ended;
		told_of = &told;
		model_creations = 0;
		model_joins = 0;
	}

	void watch()
	{
		while (life.load(rl::mo_acquire, $) == NOT_YET)
			model_yield();
		if (life.load(rl::mo_relaxed, $) == NEVER)
			return;
		model_run(model_argument);
		has_ended.store(1, rl::mo_release, $);
	}

	void end()
	{
		int not_yet = NOT_YET;

		dd_watchdog_end(&model.queue);
		life.compare_exchange_strong(not_yet, NEVER, rl::mo_acq_rel, $);
	}
};

enum { CONSUMER, WATCHDOG, ENDER };

enum { LONG = 16 };

// Destructors that last until they are told of, and rests between them, short or long.
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

		dd_record_begin(&queue->watchdog.record, &drop, false);
		while (watched.told.load(rl::mo_relaxed, $) != lasting)
			model_yield();
		dd_record_end(&queue->watchdog.record);
	}

	// A long one is over when the watchdog sleeps.
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
		index ? watched.watch() : consume();
	}

	void after()
	{
		RL_ASSERT(model_creations == 1 && model_joins == 1);
	}
};

// One more caller becomes the consumer, and ceases to be it, while another joins the watchdog.
template <bool IS_STARTED> struct ended : rl::test_suite<ended<IS_STARTED>, 3> {
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
			watched.watch();
		} else {
			if (IS_STARTED) {
				pthread_mutex_lock(&queue->control);
				RL_ASSERT(!dd_watchdog_start(queue));
				pthread_mutex_unlock(&queue->control);
			}
			watched.end();
		}
	}

	void after()
	{
		RL_ASSERT(model_creations == model_joins && model_creations <= 1);
		RL_ASSERT(model_creations == 1 || !IS_STARTED);
		RL_ASSERT(dd_read_32(&watched.model.queue.watchdog.state) == DD_WATCHDOG_ENDING);
	}
};

} // namespace

int main(int count, char **arguments)
{
	model_arguments(count, arguments);
	// Looking again and again has too many outcomes to go through.
	return !(explore<ended<false>>(2, 5000) && explore<ended<true>>(2, 5000) &&
		 explore_randomly<told<2>>(20000));
}
