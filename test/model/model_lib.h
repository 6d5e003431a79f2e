// SPDX-License-Identifier: MIT
//
// For models of whole files of the library: includes the files in which threads meet, unchanged. Functions
// that they call in other files, and that no model is about, do nothing here.
#ifndef MODEL_LIB_H
#define MODEL_LIB_H

#include "model_thread.h"

#include "model_queue.h"

#include <sys/mman.h>

#undef malloc
#undef free

// Maps and unmaps a lane and the slots behind it: fields of the checker's types must be constructed and
// destroyed.
static std::size_t model_slots(std::size_t bytes)
{
	return (bytes - sizeof(dd_lane)) / sizeof(dd_slot);
}

static void *model_map(std::size_t bytes)
{
	void *memory = malloc(bytes);

	std::uninitialized_value_construct_n(static_cast<dd_lane *>(memory), 1);
	std::uninitialized_value_construct_n(
		reinterpret_cast<dd_slot *>(static_cast<dd_lane *>(memory) + 1),
		model_slots(bytes));
	return memory;
}

static void model_unmap(void *mapping, std::size_t bytes)
{
	dd_lane *lane = static_cast<dd_lane *>(mapping);

	std::destroy_n(reinterpret_cast<dd_slot *>(lane + 1), model_slots(bytes));
	std::destroy_at(lane);
	free(lane);
}

// Clears slots whose memory was given back to the system, which reads as zeros.
static void model_clear(dd_slot *slots, std::size_t bytes)
{
	for (std::size_t i = 0; i < bytes / sizeof *slots; i++) {
		slots[i].object($) = nullptr;
		slots[i].destroy.store(nullptr, rl::mo_relaxed, $);
	}
}

#undef DD_WARM_LANES
#undef DD_LANE_COLOURS
#define DD_WARM_LANES                     0
#define DD_LANE_COLOURS                   1
#define sysconf(name)                     16 // the size of a page, so that slots begin at one
#define madvise(memory, bytes, advice)    model_clear((dd_slot *)memory, bytes)
#define mmap(address, bytes, ...)         model_map(bytes)
#define munmap(memory, bytes)             model_unmap(memory, bytes)
#define pthread_once(once, make)          (make)()
#define pthread_key_create(key, farewell) 0
#define pthread_key_delete(key)           (void)(key)
#define pthread_setspecific(key, value)   0
#define destructor                        // no destructor of a shared object
#define farewell_works                    (*model_farewell_works) // made anew for each execution

#include "core/budget.c"
#include "core/lane.c"
#include "core/nested.c"
#include "core/run.c"
#include "core/stats.c"
#include "core/watch.c"
#include "core/worker.c"
#include "life/closing.c"
#include "life/stop.c"
#include "calls/backlog.c"
#include "calls/completion.c"
#include "calls/drain.c"
#include "calls/ending.c"
#include "calls/group.c"
#include "calls/options.c"
#include "calls/push.c"
#include "calls/room.c"
#include "calls/ticket.c"

// These files free what they have allocated themselves, whose fields have the checker's types.
#define free(memory) delete memory
#ifdef MODEL_RCU
#define DD_HAS_RCU           1
#define calloc(count, bytes) new dd_grace_thread()
#include "core/grace.c"
#else
#include "core/grace_none.c"
#endif
#define malloc(bytes) new position_waiter()
#include "core/wait.c"
#undef malloc
#undef free
// A write, so that the model notices if nothing orders it behind the reads.
#define free(memory)                    (dd_plain_store(&(memory)->context, nullptr), delete (memory))
#define malloc(bytes)                   new dd_member()
#define aligned_alloc(alignment, bytes) new defer_drop_group()
#include "core/group.c"
#undef aligned_alloc
#undef free
#undef malloc

// What a process has once, beside the queue.
struct model_rest {
	defer_drop_queue *the_queue;
	model_mutex registry_lock;
	model_atomic<bool> has_farewell;
	rl::atomic<int> signalled; // the eventfd was

	static model_rest *the_one;

	model_rest()
	{
		signalled.store(0, rl::mo_relaxed, $);
		model_farewell_works = &has_farewell;
		the_one = this;
	}
};

model_rest *model_rest::the_one;

// The one queue, whose worker counts as started, and its first lane, which is shared or owned.
struct library_model : queue_model, model_rest {
	dd_slot slots[MODEL_SLOTS];

	library_model(uint64_t capacity, bool is_shared, bool is_fenced) : queue_model(is_fenced)
	{
		queue.config.values.queue_size = capacity;
		dd_lane_init(&queue.shared, &queue, slots, is_shared);
		queue.lanes[0] = &queue.shared;
		queue.lane_count.store(1, rl::mo_relaxed, $);
		queue.has_thread.store(true, rl::mo_relaxed, $);
		the_queue = &queue;
	}

	// All threads of the model push to that lane.
	void attach()
	{
		for (dd_thread &self : model_selves)
			self.tenancies[0] = {MODEL_QUEUE_ID, &queue.shared, 0};
	}
};

void dd_registry_lock()
{
	pthread_mutex_lock(&model_rest::the_one->registry_lock);
}

void dd_registry_unlock()
{
	pthread_mutex_unlock(&model_rest::the_one->registry_lock);
}

defer_drop_queue *dd_registry_find(uint64_t)
{
	return model_rest::the_one->the_queue;
}

uint64_t dd_registry_removed()
{
	return 0;
}

defer_drop_queue *dd_registry_look_up(uint64_t)
{
	return model_rest::the_one->the_queue;
}

// A thread that reads the eventfd sees what happened before the signal.
int dd_eventfd_signal(int)
{
	model_rest::the_one->signalled.store(1, rl::mo_release, $);
	return 0;
}

void dd_eventfd_close(int)
{
}

int dd_queue_open(defer_drop_queue *)
{
	return 0;
}

defer_drop_queue *defer_drop_queue_default()
{
	return nullptr;
}

int dd_config_policy(const defer_drop_config *)
{
	return SCHED_FIFO;
}

bool dd_cpus_parse(const char *, cpu_set_t *)
{
	return true;
}

void dd_escape_look()
{
}

dd_drop dd_escape_current(const defer_drop_queue *)
{
	return {};
}

void dd_escape_report(defer_drop_queue *, const char *)
{
	std::abort();
}

bool dd_queue_has_opened(const defer_drop_queue *)
{
	return true;
}

void dd_report(const char *, const char *, ...)
{
}

uint64_t dd_figures_look(defer_drop_queue *)
{
	return 0;
}

void dd_figures_mark(dd_lane *, uint64_t, uint64_t)
{
}

void dd_figures_pass(dd_lane *)
{
}

uint64_t dd_timing_cut_short(defer_drop_queue *, uint64_t count, uint64_t *later)
{
	*later = 0;
	return count;
}

void dd_timing_note(defer_drop_queue *, defer_drop_fn, uint64_t)
{
}

void dd_print_asked(defer_drop_queue *)
{
}

void dd_watchdog_end(defer_drop_queue *)
{
}

int dd_watchdog_stop(defer_drop_queue *, uint64_t)
{
	return 0;
}

bool dd_watchdog_is_self(const defer_drop_queue *)
{
	return false;
}

void dd_watchdog_spare(defer_drop_queue *)
{
}

int dd_watchdog_start(defer_drop_queue *)
{
	return 0;
}

void dd_watchdog_start_somehow(defer_drop_queue *)
{
}

void dd_watchdog_want(defer_drop_queue *)
{
}

// Pushes a drop with options (width 2) or without (width 1), and waits for room.
static inline int model_push(defer_drop_queue *queue, object *dropped, uint64_t width)
{
	dd_request request = {.drop = {dropped, destroy_object}};

	dropped->made($) = 1;
	if (width == 1)
		return defer_drop_queue_push(queue, dropped, destroy_object, DEFER_DROP_FOREVER);
	request.options.word = DD_OPTIONS;
	return dd_queue_push_request(queue, &request, DEFER_DROP_FOREVER);
}

#endif
