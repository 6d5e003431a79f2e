/* SPDX-License-Identifier: MIT
 *
 * The thread that reports destructors which take too long.
 */
#include "core/watchdog.h"

#include <errno.h>
#include <unistd.h>

#include "base/report.h"
#include "base/symbol.h"
#include "core/print.h"
#include "core/queue.h"
#include "core/scheduling.h"
#include "core/stats.h"

/* Looks per limit: a destructor that exceeds the limit is seen within a quarter of the limit. */
#define LOOKS_PER_LIMIT 4

/* ---- Looking --------------------------------------------------------------------------------- */

static void tell(
	struct defer_drop_queue *queue, const struct dd_recorded *recorded, uint64_t running_ns)
{
	struct defer_drop_stats stats;
	char name[DD_SYMBOL_BYTES];
	struct defer_drop_slow slow = {
		.size = sizeof slow,
		.object = recorded->drop.object,
		.name = name,
		.running_ns = running_ns,
	};

	dd_sort_destructor(recorded->number << DD_RECORD_SHIFT, recorded->drop.destroy,
		&slow.destroy, &slow.destroy_status, &slow.destroy_context);
	dd_symbol_print(name, sizeof name, recorded->drop.destroy);
	dd_stats_get(queue, &stats);
	slow.backlog = stats.backlog ? stats.backlog - 1 : 0; /* it may have returned by now */
	if (queue->config.values.watchdog)
		queue->config.values.watchdog(queue->config.values.context, &slow);
	else
		dd_report(queue->config.values.name,
			"%s has been destroying %p for %llu ms; %llu drops wait behind it", name,
			slow.object, (unsigned long long)(running_ns / DD_MS),
			(unsigned long long)slow.backlog);
}

/* Looks at a record and reports. False if nothing has happened since the last look. */
static bool look_at(
	struct defer_drop_queue *queue, struct dd_record *record, struct dd_sight *sight)
{
	uint64_t limit_ns = queue->config.values.watchdog_ns;
	uint64_t now_ns = dd_now_ns(); /* read first: what the look finds was running then */
	struct dd_recorded recorded;
	bool is_running = dd_record_read(record, &recorded);
	uint64_t running_ns;

	if (recorded.number != sight->number) {
		/* It has begun at some time since the last look. */
		*sight = (struct dd_sight){recorded.number, dd_now_ns(), limit_ns};
		return true;
	}
	if (!is_running)
		return false;
	running_ns = now_ns - sight->since_ns;
	if (running_ns < sight->due_ns)
		return true;
	if (sight->due_ns == limit_ns)
		dd_count(&queue->watchdog.slow_total);
	/* Reports again when that has doubled: a few lines for a destructor that never returns. */
	sight->due_ns = 2 * running_ns;
	tell(queue, &recorded, running_ns);
	return true;
}

/*
 * Looks at the destructor that runs. Unless that is still the one of the last look, looks also at
 * the drops left in the middle: a drop without end may consist of short destructors. False if
 * nothing has happened since. The watchdog function may fork, and this may be the child.
 */
static bool look(struct defer_drop_queue *queue, struct dd_sight *sight)
{
	uint32_t count = dd_queue_lanes(queue);
	uint64_t before = sight->number;
	bool has_changed = look_at(queue, &queue->watchdog.record, sight);

	if (sight->number == before && (before & DD_RECORD_RUNS))
		return has_changed;
	for (uint32_t i = 0; i < count && dd_self.watched; i++)
		if (look_at(queue, &queue->lanes[i]->left, &queue->lanes[i]->sight))
			has_changed = true;
	return has_changed;
}

/* ---- Rest ------------------------------------------------------------------------------------ */

static uint32_t state_of(struct dd_watchdog *watchdog)
{
	return dd_read_32(&watchdog->state);
}

/* Moves from one state to another. False if it is not, or no longer, in the first. */
static bool change(struct dd_watchdog *watchdog, uint32_t from, uint32_t to)
{
	return atomic_compare_exchange_strong_explicit(
		&watchdog->state, &from, to, memory_order_relaxed, memory_order_relaxed);
}

/* Sleeps until the watchdog is wanted. False, at once, if it is wanted now. */
static bool sleep_spared(struct dd_watchdog *watchdog)
{
	if (!change(watchdog, DD_WATCHDOG_SPARED, DD_WATCHDOG_ASLEEP))
		return false;
	while (state_of(watchdog) == DD_WATCHDOG_ASLEEP)
		dd_futex_wait(&watchdog->state, DD_WATCHDOG_ASLEEP, DEFER_DROP_FOREVER);
	return true;
}

/* Sleeps until the next look: when the destructor it saw is due, or after a part of the limit. */
static void nap(struct defer_drop_queue *queue, const struct dd_sight *sight)
{
	struct dd_watchdog *watchdog = &queue->watchdog;
	uint64_t until_ns = dd_now_ns() + queue->config.values.watchdog_ns / LOOKS_PER_LIMIT;
	uint64_t due_ns = sight->since_ns + sight->due_ns;
	uint32_t state;

	if ((sight->number & DD_RECORD_RUNS) && due_ns < until_ns)
		until_ns = due_ns;
	while ((state = state_of(watchdog)) != DD_WATCHDOG_ENDING)
		if (dd_futex_wait(&watchdog->state, state, until_ns) == -ETIMEDOUT)
			break;
}

/* ---- The thread ------------------------------------------------------------------------------ */

/* True if it must end. Decided under control, so that a caller of stop sees it end or go on. */
static bool ends(struct defer_drop_queue *queue)
{
	struct dd_watchdog *self = &queue->watchdog;
	bool is_ending;

	if (state_of(self) != DD_WATCHDOG_ENDING)
		return false;
	dd_mutex_lock(&queue->control);
	is_ending = state_of(self) == DD_WATCHDOG_ENDING;
	if (is_ending)
		atomic_store_explicit(&self->has_ended, 1, memory_order_relaxed);
	dd_mutex_unlock(&queue->control);
	if (is_ending)
		dd_futex_wake(&self->has_ended, 1);
	return is_ending;
}

static void *watchdog(void *argument)
{
	struct defer_drop_queue *queue = argument;
	struct dd_sight sight = {0};

	pthread_setname_np(pthread_self(), "drop_watchdog");
	queue->watchdog.thread_id = gettid();
	dd_self.watched = queue;
	while (!ends(queue)) {
		bool has_changed = look(queue, &sight);

		if (!dd_self.watched)
			break; /* the function that was told has forked, and this is the child */
		if (dd_unlikely(dd_read_32(&queue->print_asked)))
			dd_print_asked(queue); /* the worker may be in a long destructor */
		if (has_changed || !sleep_spared(&queue->watchdog))
			nap(queue, &sight);
	}
	return NULL;
}

bool dd_watchdog_is_self(const struct defer_drop_queue *queue)
{
	return dd_self.watched == queue;
}

int dd_watchdog_start(struct defer_drop_queue *queue)
{
	struct dd_watchdog *self = &queue->watchdog;

	/* A stopped queue has no threads; they start with the worker, or when a caller drains. */
	if (!queue->has_watchdog || state_of(self) == DD_WATCHDOG_ENDING ||
		dd_queue_state(queue) == DD_STOPPED ||
		atomic_load_explicit(&self->has_thread, memory_order_relaxed))
		return 0;
	atomic_store_explicit(&self->has_ended, 0, memory_order_relaxed);
	if (dd_scheduling_start_helper(&queue->config.values, &self->thread, watchdog, queue))
		return -ESRCH;
	atomic_store_explicit(&self->has_thread, true, memory_order_relaxed);
	return 0;
}

void dd_watchdog_start_somehow(struct defer_drop_queue *queue)
{
	int result = dd_watchdog_start(queue);

	if (result && !queue->watchdog.has_reported)
		dd_report(queue->config.values.name,
			"cannot start the watchdog; slow destructors are not reported");
	queue->watchdog.has_reported = queue->watchdog.has_reported || result;
}

/* ---- Seen from the consumer ------------------------------------------------------------------ */

/* Starts a watchdog in a forked child, which has none, or one that could not be started before. */
static void start_late(struct defer_drop_queue *queue)
{
	dd_mutex_lock(&queue->control);
	dd_watchdog_start_somehow(queue);
	dd_mutex_unlock(&queue->control);
}

void dd_watchdog_want(struct defer_drop_queue *queue)
{
	struct dd_watchdog *self = &queue->watchdog;
	bool was_asleep = false;

	if (!queue->has_watchdog)
		return;
	/* The watchdog may fall asleep between the two. */
	if (!change(self, DD_WATCHDOG_SPARED, DD_WATCHDOG_WANTED)) {
		was_asleep = change(self, DD_WATCHDOG_ASLEEP, DD_WATCHDOG_WANTED);
		if (!was_asleep)
			return; /* wanted already, or there will be none */
	}
	if (was_asleep)
		dd_futex_wake(&self->state, 1);
	else if (!atomic_load_explicit(&self->has_thread, memory_order_relaxed))
		start_late(queue);
}

void dd_watchdog_spare(struct defer_drop_queue *queue)
{
	if (queue->has_watchdog)
		change(&queue->watchdog, DD_WATCHDOG_WANTED, DD_WATCHDOG_SPARED);
}

/* ---- The end --------------------------------------------------------------------------------- */

void dd_watchdog_end(struct defer_drop_queue *queue)
{
	struct dd_watchdog *self = &queue->watchdog;
	bool has_thread;

	dd_mutex_lock(&queue->control);
	atomic_store_explicit(&self->state, DD_WATCHDOG_ENDING, memory_order_relaxed);
	has_thread = atomic_exchange_explicit(&self->has_thread, false, memory_order_relaxed);
	dd_mutex_unlock(&queue->control);
	if (!has_thread)
		return;
	dd_futex_wake(&self->state, 1);
	/* Fails, as it should, if the watchdog itself ends the process. */
	dd_thread_join(self->thread, &self->thread_id);
}

/* Asks the watchdog to end. False if there is none. */
static bool ask_to_end(struct defer_drop_queue *queue)
{
	struct dd_watchdog *self = &queue->watchdog;
	bool has_thread;

	dd_mutex_lock(&queue->control);
	has_thread = atomic_load_explicit(&self->has_thread, memory_order_relaxed);
	if (has_thread)
		atomic_store_explicit(&self->state, DD_WATCHDOG_ENDING, memory_order_relaxed);
	dd_mutex_unlock(&queue->control);
	if (has_thread)
		dd_futex_wake(&self->state, 1);
	return has_thread;
}

/* Waits until it has ended. Checks the state for a shutdown, which does not wake this thread. */
static void await_end(struct defer_drop_queue *queue, uint64_t deadline_ns)
{
	struct dd_watchdog *self = &queue->watchdog;

	while (!dd_read_32(&self->has_ended) && dd_queue_state(queue) == DD_STOPPED &&
		!dd_deadline_has_come(deadline_ns)) {
		dd_futex_wait(&self->has_ended, 0, dd_least(dd_now_ns() + DD_LOOK_NS, deadline_ns));
	}
}

int dd_watchdog_stop(struct defer_drop_queue *queue, uint64_t deadline_ns)
{
	struct dd_watchdog *self = &queue->watchdog;
	bool is_taken = false;
	int result = 0;

	if (!ask_to_end(queue))
		return 0;
	await_end(queue, deadline_ns);
	dd_mutex_lock(&queue->control);
	if (dd_queue_state(queue) != DD_STOPPED) {
		result = -ESHUTDOWN; /* the shutdown joins it */
	} else {
		is_taken = dd_read_32(&self->has_ended);
		change(self, DD_WATCHDOG_ENDING, DD_WATCHDOG_SPARED);
		result = is_taken ? 0 : -ETIMEDOUT;
	}
	if (is_taken)
		atomic_store_explicit(&self->has_thread, false, memory_order_relaxed);
	dd_mutex_unlock(&queue->control);
	if (is_taken)
		dd_thread_join(self->thread, &self->thread_id);
	return result;
}

void dd_watchdog_survive(struct defer_drop_queue *queue)
{
	struct dd_watchdog *self = &queue->watchdog;
	bool is_open = dd_queue_state(queue) <= DD_STOPPED;

	if (dd_self.watched == queue)
		dd_self.watched = NULL;
	if (!dd_is_running(queue))
		dd_record_end(&self->record);
	atomic_store_explicit(&self->state, is_open ? DD_WATCHDOG_SPARED : DD_WATCHDOG_ENDING,
		memory_order_relaxed);
	atomic_store_explicit(&self->has_thread, false, memory_order_relaxed);
	atomic_store_explicit(&self->slow_total, 0, memory_order_relaxed);
}
