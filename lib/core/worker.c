/* SPDX-License-Identifier: MIT
 *
 * The drain loop.
 *
 * The worker goes round the lanes and gives each a turn of the same length, so that neither a hot
 * lane nor one with slow destructors starves the others. After each destructor it runs the nested
 * drops, publishes the lane's position, and checks whether a thread waits for it (run.c). A drop
 * that is not finished when its lane's turn is over is left in the middle, and the lane's next turn
 * goes on with it. A lane whose next drop waits for a grace period is set aside until that has
 * passed (grace.c).
 *
 * A round that finds little is followed by rest, in three depths:
 *   pause  A few microseconds of spinning away from the slots, while drops come so fast that a nap
 *          would be over before it began. A consumer right behind a producer takes away, with each
 *          push, the cache line that the producer writes to.
 *   nap    A timed sleep, as long as the work can wait: longest_delay_ns, or until a quarter of a
 *          ring, of the byte budget or of a watermark has gathered, at the rate of arrival since
 *          the last rest. It ends by itself; earlier if a thread waits, if a drop has a completion
 *          with an eventfd, or if a producer is half of its ring ahead.
 *   sleep  After the quiet spell, until woken: announced, then one more round, then the futex.
 */
#include "core/worker.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/eventfd.h"
#include "base/report.h"
#include "core/print.h"
#include "core/rest.h"
#include "core/run.h"
#include "core/scheduling.h"

/* Destructors between two looks at the backlog, which read the producers' cache lines. */
#define DD_MANY 1024

/* If a round finds this many drops, another follows at once; with fewer, more may gather first. */
#define DD_PLENTY 64

/* Spins of one pause, each some 20 ns on the machine that it was measured on. */
#define DD_PAUSE_SPINS 200

/* A timed sleep below this oversleeps by about its own length (timer slack of Linux: 50 us). */
#define DD_SHORTEST_NAP_NS UINT64_C(100000)

/* The longest nap while a thread waits but the worker found nothing to do: a drop may be claimed
 * and not yet published. */
#define DD_AWAITED_NAP_NS DD_MS

/* The fewest drops that give a rate. Fewer may have come in one burst. */
#define DD_SAMPLE 8

/* A round that takes longer may have ended because its time was up, not because lanes were empty;
 * its destructors took that time. */
#define DD_LONG_ROUND_NS UINT64_C(50000)

/* How long a caller that drains lets others drain while its own drops wait for a grace period, or
 * are claimed and not published. */
#define DD_LINGER_NS UINT64_C(50000)

/* What the worker has found since it last began to rest, and how long it rests next time. */
struct rest {
	uint64_t since_ns;       /* when that was; 0: it was deep sleep, which gives no rate */
	uint64_t ended_ns;       /* when that rest ended, or the last round after it */
	uint64_t ran;            /* drops */
	uint64_t fullest_ran;    /* drops of the fullest lane */
	uint64_t bytes;          /* that came while it rested */
	uint64_t nap_ns;         /* the nap that would be due */
	uint64_t quiet_since_ns; /* 0: it has found something since it last napped */
	bool is_probe;     /* that rest was a pause after many drops, to measure the rate now */
	bool has_slept;    /* since the last round */
	uint64_t unlooked; /* destructors since the last look at the backlog */
};

dd_rest_fn dd_rest_hook;

/* ---- Running destructors --------------------------------------------------------------------- */

void dd_running_enter(struct dd_running *frame, struct defer_drop_queue *queue)
{
	*frame = (struct dd_running){
		.queue = queue,
		.outer = dd_self.running,
		.lane = dd_self.lane,
		.errno_before = errno,
	};
	/* A push from a destructor must leave the fast path: it may be nested. */
	dd_self.lane = &dd_unattached;
	dd_self.running = frame;
	/* No call is a cancellation point, including calls that destructors make. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &frame->cancel_state);
	dd_self.entered = *frame;
	if (!DD_END_UNWINDS)
		dd_lane_will_say_farewell();
	dd_watchdog_want(queue);
}

void dd_running_leave(struct dd_running *frame)
{
	dd_self.running = frame->outer;
	if (frame->outer)
		dd_self.entered = *frame->outer;
	dd_self.lane = frame->lane;
	dd_watchdog_spare(frame->queue);
	frame->queue = NULL;
	pthread_setcancelstate(frame->cancel_state, NULL);
	errno = frame->errno_before;
}

/* ---- Rounds ---------------------------------------------------------------------------------- */

/* Returns the backlog of a lane, and marks it. Reads the producers' line, which costs them a cache
 * miss. now_ns: 0 to make no marks. */
static uint64_t look_at_backlog(struct dd_lane *lane, uint64_t now_ns)
{
	uint64_t tail = dd_ring_tail(&lane->ring);
	uint64_t cursor = dd_plain_load(&lane->ring.cursor);

	uint64_t pairs = dd_read(&lane->ring.pairs_total) - dd_read(&lane->pairs_done_total);
	uint64_t slots = tail - cursor;

	/* An owner publishes before it moves the tail, and counts pairs after that. */
	uint64_t backlog = dd_is_before(tail, cursor) || pairs > slots ? 0 : slots - pairs;

	if (backlog > dd_read(&lane->highest_backlog))
		atomic_store_explicit(&lane->highest_backlog, backlog, memory_order_relaxed);
	if (backlog && now_ns)
		dd_figures_mark(lane, tail, now_ns);
	return backlog;
}

void dd_worker_look(struct defer_drop_queue *queue)
{
	uint64_t now_ns = dd_figures_look(queue);
	uint32_t count = dd_queue_lanes(queue);
	uint64_t backlog = dd_read(&queue->nested_total) - dd_read(&queue->nested_destroyed_total) -
			   dd_read(&queue->nested_abandoned_total);

	for (uint32_t i = 0; i < count; i++)
		if (dd_queue_may_have_backlog(queue, i))
			backlog += look_at_backlog(queue->lanes[i], now_ns);
	if (now_ns)
		dd_ages_look(&queue->ages, now_ns);
	if (backlog > dd_read(&queue->highest_backlog))
		atomic_store_explicit(&queue->highest_backlog, backlog, memory_order_relaxed);
}

uint64_t dd_worker_round(struct defer_drop_queue *queue, uint64_t most, uint64_t deadline_ns)
{
	uint32_t count = dd_queue_lanes(queue);
	uint32_t at = queue->next_lane;
	uint64_t fullest_ran = 0;
	uint64_t ran = 0;

	if (dd_unlikely(queue->grace.is_running || queue->grace.wanted_since_ns))
		dd_grace_collect(queue, queue->grace.has_worker);
	queue->has_more = false;
	for (uint32_t i = 0; i < count && ran < most; i++) {
		uint64_t ran_here;

		at = at < count ? at : 0;
		if (!dd_queue_has_next(queue, at++))
			continue;
		ran_here = dd_run_turn(queue->lanes[at - 1], most - ran, deadline_ns);
		ran += ran_here;
		fullest_ran = ran_here > fullest_ran ? ran_here : fullest_ran;
	}
	queue->next_lane = at;
	queue->fullest_ran += fullest_ran;
	dd_grace_be_quiescent(&queue->grace);
	return ran;
}

uint64_t dd_worker_turn(struct dd_lane *lane, uint64_t deadline_ns)
{
	uint64_t ran = dd_run_turn(lane, 1, deadline_ns);

	if (lane->is_unfinished && !lane->is_set_aside)
		ran += dd_worker_round(lane->queue, UINT64_MAX, deadline_ns);
	return ran;
}

void dd_worker_linger(
	struct defer_drop_queue *queue, struct dd_running *frame, uint64_t deadline_ns)
{
	uint64_t until_ns = dd_now_ns() + DD_LINGER_NS;
	uint32_t state = dd_queue_state(queue);

	dd_grace_collect(queue, deadline_ns == DEFER_DROP_FOREVER);
	dd_consumer_leave(queue, frame);
	/* No yield: it would not give this CPU to a thread of lower priority that must publish. */
	dd_futex_wait(&queue->state, state, dd_least(until_ns, deadline_ns));
}

/* True if a drop could be run, or was left in the middle. */
static bool has_any_published(struct defer_drop_queue *queue)
{
	uint32_t count = dd_queue_lanes(queue);

	for (uint32_t i = 0; i < count; i++) {
		struct dd_lane *lane = queue->lanes[i];

		/* The next look at a lane that was set aside is after the bell has rung. */
		if (dd_queue_has_next(queue, i) && !lane->is_set_aside &&
			(lane->is_unfinished || dd_ring_is_published(&lane->ring)))
			return true;
	}
	return false;
}

/* ---- Callers that drain ---------------------------------------------------------------------- */

void dd_worker_tell_pending(struct defer_drop_queue *queue)
{
	if (queue->config.values.pending_eventfd >= 0)
		dd_eventfd_signal(queue->config.values.pending_eventfd);
}

/*
 * Ensures that the eventfd is signalled when a drain is due again: now, by the next push, or when a
 * grace period has passed. As in deep_sleep: announces, then looks once more.
 */
static void arm(struct defer_drop_queue *queue)
{
	_Atomic(uint32_t) *attention = &queue->park.attention;
	uint32_t state = dd_queue_state(queue);

	if (queue->config.values.pending_eventfd < 0 || state >= DD_CLOSING)
		return;
	/* While the queue is stopped no grace period begins; the caller of start signals then. */
	if ((!dd_grace_hurry(queue) && state == DD_OPEN) || has_any_published(queue)) {
		dd_worker_tell_pending(queue);
		return;
	}
	/* A read-modify-write, so the value is not stale: no push came since the announcement. */
	if (dd_settle(attention) & DD_ASLEEP)
		return;
	dd_announce(attention, DD_ASLEEP);
	if (has_any_published(queue) && dd_rouse(attention))
		dd_worker_tell_pending(queue);
}

void dd_consumer_release(struct defer_drop_queue *queue)
{
	bool was_wanted;

	/* A drain that was answered -EBUSY meanwhile has used up its signal: one more look, by this
	 * thread or by the one that holds the seat now. */
	do {
		arm(queue);
		was_wanted = dd_seat_leave(&queue->consumer_seat);
		if (was_wanted && dd_queue_waits_drain(queue))
			dd_wait_call(queue);
	} while (was_wanted && queue->config.values.pending_eventfd >= 0 &&
		 dd_seat_try(&queue->consumer_seat));
}

void dd_consumer_leave(struct defer_drop_queue *queue, struct dd_running *frame)
{
	if (dd_unlikely(dd_read_32(&queue->print_asked)))
		dd_print_asked(queue);
	dd_rest(false);
	if (!queue->has_more)
		dd_lanes_trim(queue);
	dd_watch_leave(queue);
	dd_running_leave(frame);
	dd_consumer_release(queue);
}

/* ---- The end --------------------------------------------------------------------------------- */

static void announce_closed(struct defer_drop_queue *queue)
{
	uint32_t count = dd_queue_lanes(queue);

	/* Lanes that are added later have had nothing taken from them. */
	for (uint32_t i = 0; i < count; i++)
		dd_ring_contest(&queue->lanes[i]->ring);
	dd_announce(&queue->park.attention, DD_CLOSED);
}

/* Gives a turn to each lane that has drops left to run. False if none has. */
static bool run_last_round(struct defer_drop_queue *queue)
{
	uint32_t count = dd_queue_lanes(queue);
	bool has_more = false;

	dd_grace_collect(queue, false);
	for (uint32_t i = 0; i < count; i++)
		if (!dd_run_last(queue->lanes[i]) && !queue->lanes[i]->is_set_aside)
			has_more = true;
	return has_more;
}

/* Runs inside itself again if a destructor that it runs ends the process. */
void dd_worker_finish(struct defer_drop_queue *queue)
{
	uint32_t count;

	/* Another round could begin a grace period, whose thread would outlive the queue. */
	if (dd_queue_state(queue) >= DD_FINISHED)
		return;
	if (!dd_is_closed(queue))
		announce_closed(queue);
	/* A drop without end must not delay other lanes; a reader that stays inside must not delay
	 * drops that do not wait for it. */
	while (run_last_round(queue))
		continue;
	queue->is_waiting_out = true;
	while (run_last_round(queue))
		continue;
	count = dd_queue_lanes(queue);
	for (uint32_t i = 0; i < count; i++)
		dd_nested_clear(&queue->lanes[i]->nested);
	dd_queue_finish(queue);
	dd_wait_release(queue);
}

/* ---- Rest ------------------------------------------------------------------------------------ */

static void pause_away(void)
{
	for (unsigned i = 0; i < DD_PAUSE_SPINS; i++)
		dd_relax();
}

static void deep_sleep(struct defer_drop_queue *queue, struct rest *rest, uint64_t until_ns)
{
	dd_watchdog_spare(queue);
	dd_announce(&queue->park.attention, DD_ASLEEP);
	if (!has_any_published(queue)) {
		dd_count(&queue->deep_sleeps_total);
		dd_bell_rest(&queue->park.bell, until_ns);
	}
	rest->since_ns = 0;
	/* Not asleep any more: a push has come, and more may follow. */
	if (!dd_rouse(&queue->park.attention))
		rest->quiet_since_ns = 0;
}

/* True if a thread waits for a position that no reader delays, or for the backlog to shrink. */
static bool is_awaited(struct defer_drop_queue *queue)
{
	uint32_t count = dd_queue_lanes(queue);

	for (uint32_t i = 0; i < count; i++) {
		struct dd_lane *lane = queue->lanes[i];

		if (!lane->is_set_aside && dd_read(&lane->alarm) != lane->first + DD_NO_ALARM)
			return true;
	}
	return dd_watch_is_awaited(queue);
}

static void nap(struct defer_drop_queue *queue, const struct rest *rest, uint64_t left_ns)
{
	uint64_t nap_ns = dd_least(rest->nap_ns, left_ns);

	if (is_awaited(queue))
		nap_ns = dd_least(nap_ns, DD_AWAITED_NAP_NS);
	if (dd_bell_rest(&queue->park.bell, dd_now_ns() + nap_ns))
		dd_count(&queue->naps_total);
}

/* Returns how long it takes until `wanted` have gathered, at the rate of the period given. */
static uint64_t time_to_gather(uint64_t wanted, uint64_t gathered, uint64_t period_ns)
{
	uint64_t product;

	if (!gathered || gathered < dd_least(wanted, DD_SAMPLE))
		return DEFER_DROP_FOREVER;
	if (__builtin_mul_overflow(period_ns, wanted, &product))
		product = UINT64_MAX; /* then the result is too short, which is safe */
	return product / gathered;
}

/* A quarter of a limit: drops that come while the worker wakes up have room too. */
static uint64_t quarter(uint64_t limit)
{
	return limit < 4 ? 1 : limit / 4;
}

/*
 * Returns the longest nap in which not too much gathers. After few drops the nap grows by half: if
 * it grew faster, two bursts that each fell into one nap would fall into the next one together.
 */
static uint64_t next_nap(
	const struct defer_drop_queue *queue, const struct rest *rest, uint64_t period_ns)
{
	const struct defer_drop_config *config = &queue->config.values;
	uint64_t grown_ns = rest->is_probe ? rest->nap_ns : rest->nap_ns + rest->nap_ns / 2;
	uint64_t nap_ns = dd_least(grown_ns, config->longest_delay_ns);

	nap_ns = dd_least(
		nap_ns, time_to_gather(quarter(config->queue_size), rest->fullest_ran, period_ns));
	nap_ns = dd_least(
		nap_ns, time_to_gather(quarter(config->max_bytes), rest->bytes, period_ns));
	if (config->high_drops)
		nap_ns = dd_least(
			nap_ns, time_to_gather(quarter(config->high_drops), rest->ran, period_ns));
	if (config->high_bytes)
		nap_ns = dd_least(nap_ns,
			time_to_gather(quarter(config->high_bytes), rest->bytes, period_ns));
	return nap_ns < 2 ? 2 : nap_ns; /* so that it can grow */
}

/* Begins a rest, whose length follows from the drops that came since the last one. */
static void plan_rest(struct defer_drop_queue *queue, struct rest *rest, uint64_t now_ns)
{
	rest->fullest_ran = queue->fullest_ran;
	if (!rest->nap_ns)
		rest->nap_ns = queue->config.values.longest_delay_ns;
	else if (rest->since_ns)
		rest->nap_ns = next_nap(queue, rest, now_ns - rest->since_ns);
	rest->is_probe = rest->ran >= DD_PLENTY;
	rest->since_ns = now_ns;
	rest->ran = rest->bytes = queue->fullest_ran = 0;
}

/*
 * Notes how long a drop took in the last round. A worker that did not get a CPU seems slow, so the
 * figure rises by an eighth at most, and falls at once to what was seen.
 */
static void note_speed(struct defer_drop_queue *queue, uint64_t ran, uint64_t time_ns)
{
	uint64_t before_ns = dd_read(&queue->drop_ns);
	uint64_t drop_ns = time_ns / ran + 1;

	if (before_ns && drop_ns > before_ns + before_ns / 8 + 1)
		drop_ns = before_ns + before_ns / 8 + 1;
	atomic_store_explicit(&queue->drop_ns, drop_ns, memory_order_relaxed);
}

/* Naps, or sleeps until woken. */
static void lie_down(struct defer_drop_queue *queue, struct rest *rest, uint64_t now_ns)
{
	uint64_t quiet_spell_ns = queue->config.values.quiet_spell_ns;
	uint64_t pending_bytes = dd_budget_pending(&queue->budget);
	uint64_t wanted_ns;
	uint64_t quiet_ns;
	bool is_quiet;

	if (!rest->quiet_since_ns)
		rest->quiet_since_ns = now_ns;
	quiet_ns = now_ns - rest->quiet_since_ns;
	is_quiet = quiet_ns >= quiet_spell_ns;
	if (dd_unlikely(dd_read_32(&queue->watchers)))
		dd_watch_look(queue, is_quiet);
	wanted_ns = dd_rest(is_quiet);
	if (!wanted_ns || (is_quiet && dd_lanes_trim(queue)))
		return; /* there is more of that work, but drops come first */
	dd_grace_go_offline(&queue->grace);
	if (!is_quiet)
		nap(queue, rest, quiet_spell_ns - quiet_ns);
	else if (dd_watch_is_awaited(queue))
		nap(queue, rest, DEFER_DROP_FOREVER);
	else
		deep_sleep(queue, rest, wanted_ns);
	dd_grace_go_online(&queue->grace);
	dd_watchdog_want(queue);
	rest->has_slept = true;
	if (dd_budget_pending(&queue->budget) > pending_bytes)
		rest->bytes = dd_budget_pending(&queue->budget) - pending_bytes;
}

/* Rests after a round that ran `ran` drops, unless there is plenty to do. */
static void take_rest(struct defer_drop_queue *queue, struct rest *rest, uint64_t ran)
{
	uint64_t now_ns = dd_now_ns();
	bool was_long = now_ns - rest->ended_ns >= DD_LONG_ROUND_NS;

	if (ran && (was_long || ran >= DD_PLENTY))
		note_speed(queue, ran, now_ns - rest->ended_ns);
	rest->ended_ns = now_ns;
	rest->ran += ran;
	if (ran >= DD_PLENTY || queue->has_more || (was_long && has_any_published(queue)))
		return;
	plan_rest(queue, rest, now_ns);
	/* A grace period that is wanted begins soon; the bell reports one that has passed. */
	if (queue->grace.wanted_since_ns || rest->is_probe ||
		rest->nap_ns < dd_least(DD_SHORTEST_NAP_NS, queue->config.values.longest_delay_ns))
		pause_away();
	else
		lie_down(queue, rest, now_ns);
	rest->ended_ns = dd_now_ns();
}

/* ---- The thread ------------------------------------------------------------------------------ */

static void drain_until_closed(struct defer_drop_queue *queue)
{
	struct rest rest = {0};

	while (dd_queue_state(queue) == DD_OPEN) {
		uint64_t ran;

		if (dd_unlikely(dd_read_32(&queue->print_asked)))
			dd_print_asked(queue);
		if (rest.has_slept)
			dd_worker_look(queue);
		rest.has_slept = false;
		ran = dd_worker_round(queue, UINT64_MAX, DEFER_DROP_FOREVER);
		rest.unlooked += ran;
		if (rest.unlooked >= DD_MANY) {
			dd_worker_look(queue);
			rest.unlooked = 0;
		}
		if (ran)
			rest.quiet_since_ns = 0;
		take_rest(queue, &rest, ran);
	}
}

/* Reports to the starting thread how the worker came up. False if the worker must end then. */
static bool boot(struct defer_drop_queue *queue)
{
	const struct defer_drop_config *config = &queue->config.values;
	bool is_strict = queue->is_boot_strict;
	int result = dd_scheduling_settle(config);

	pthread_setname_np(pthread_self(), config->name);
	queue->thread_id = gettid();
	if (result && !is_strict)
		dd_report(config->name, "scheduling, niceness: %s; the worker runs without",
			strerror(-result));
	dd_plain_store(&queue->boot_result, result);
	dd_latch_open(&queue->has_booted);
	return !result || !is_strict;
}

/* Calls the program's function. A push from there is not nested: no drop is being destroyed. */
static void tell_program(struct defer_drop_queue *queue)
{
	if (!queue->config.values.worker_start)
		return;
	queue->running_lane = NULL;
	queue->watch.is_telling = true;
	queue->config.values.worker_start(queue->config.values.context);
	queue->watch.is_telling = false;
}

/*
 * True if the queue is stopped and its worker leaves. Decided under control, so a caller of stop
 * whose time is over either sees the worker leave or makes it stay. Afterwards a caller may take
 * the worker's place.
 */
static bool leaves(struct defer_drop_queue *queue, struct dd_running *frame)
{
	bool is_stopped;

	dd_watch_leave(queue);
	dd_mutex_lock(&queue->control);
	is_stopped = dd_queue_state(queue) == DD_STOPPED;
	if (is_stopped) {
		dd_grace_leave(&queue->grace);
		dd_running_leave(frame);
		dd_set_stop(queue, DD_STOP_LEFT);
	}
	dd_mutex_unlock(&queue->control);
	return is_stopped;
}

static void *worker(void *argument)
{
	struct defer_drop_queue *queue = argument;
	DD_RUNNING(frame);

	if (!boot(queue))
		return NULL;
	dd_running_enter(&frame, queue);
	dd_grace_enter(&queue->grace);
	tell_program(queue);
	do {
		drain_until_closed(queue);
		if (dd_queue_state(queue) == DD_STOPPED && leaves(queue, &frame))
			return NULL;
	} while (dd_queue_state(queue) <= DD_STOPPED);
	dd_worker_finish(
		queue); /* it is finished already in some children that a destructor forks */
	dd_grace_leave(&queue->grace);
	dd_running_leave(&frame);
	return NULL;
}

/* ---- Starting and waking --------------------------------------------------------------------- */

static int wait_for_boot(struct defer_drop_queue *queue)
{
	int result;

	while (!dd_latch_is_open(&queue->has_booted))
		dd_latch_wait(&queue->has_booted, DEFER_DROP_FOREVER);
	result = dd_plain_load(&queue->boot_result);
	if (result)
		dd_thread_join(queue->thread, &queue->thread_id);
	return result;
}

/* Starts the thread for a caller that expects no error: does without what fails, reports once. */
static int create_thread_somehow(struct defer_drop_queue *queue)
{
	int result = dd_scheduling_start_worker(queue, true, worker);
	int first = result;

	if (result)
		result = dd_scheduling_start_worker(queue, false, worker);
	if (first && !queue->has_reported)
		dd_report(queue->config.values.name, "cannot start the worker%s: %s",
			result ? "" : " as configured, it runs without cpus and scheduling",
			strerror(-first));
	queue->has_reported = queue->has_reported || first;
	return result ? -ESRCH : 0;
}

/* Starts the thread, under control. Waits for it only if the start is strict. */
static int start_thread(struct defer_drop_queue *queue, bool is_strict)
{
	int result;

	queue->is_boot_strict = is_strict;
	dd_latch_close(&queue->has_booted);
	/* Before the thread may sleep, so that only the thread sets it again. */
	dd_rouse(&queue->park.attention);
	result = is_strict ? dd_scheduling_start_worker(queue, true, worker)
			   : create_thread_somehow(queue);
	if (result == -EAGAIN)
		result = -ESRCH; /* pthread_create(3) means that there can be no more threads */
	if (!result && is_strict)
		result = wait_for_boot(queue);
	if (result) {
		/* The next push, wait or flush tries again. Relaxed is enough: no thread sleeps. */
		atomic_fetch_or_explicit(&queue->park.attention, DD_ASLEEP, memory_order_relaxed);
		return result;
	}
	atomic_store_explicit(&queue->has_thread, true, memory_order_relaxed);
	return 0;
}

/* Starts both threads, the watchdog first, so that it cannot inherit the worker's scheduling. */
static int start(struct defer_drop_queue *queue, bool is_strict)
{
	int result = 0;

	if (is_strict)
		result = dd_watchdog_start(queue);
	else
		dd_watchdog_start_somehow(queue);
	if (result || !dd_queue_has_worker(queue))
		return result;
	return start_thread(queue, is_strict);
}

int dd_worker_start(struct defer_drop_queue *queue, bool is_strict)
{
	int before = errno;
	int result = 0;

	/* A caller that drains starts the watchdog; nothing to start here unless strict. */
	if (!dd_queue_has_worker(queue) && !is_strict)
		return 0;
	dd_mutex_lock(&queue->control);
	if (!atomic_load_explicit(&queue->has_thread, memory_order_relaxed) &&
		dd_queue_state(queue) == DD_OPEN)
		result = start(queue, is_strict);
	dd_mutex_unlock(&queue->control);
	errno = before; /* starting a thread may change it, and succeed */
	return result;
}

int dd_worker_ensure(struct defer_drop_queue *queue)
{
	/* Relaxed is enough: this only saves the lock. */
	if (atomic_load_explicit(&queue->has_thread, memory_order_relaxed))
		return 0;
	return dd_worker_start(queue, false);
}

void dd_worker_wake(struct defer_drop_queue *queue)
{
	/* Nothing was pending before this push, except in lanes that are set aside, which have
	 * marks. Relaxed is enough: a time that is too early is a bound too. */
	atomic_store_explicit(&queue->ages.woken_ns, dd_now_ns(), memory_order_relaxed);
	if (!dd_queue_has_worker(queue)) {
		dd_worker_tell_pending(queue);
		return;
	}
	/* A failure leaves ASLEEP set for the next push. A worker just started may sleep by now. */
	if (dd_worker_ensure(queue))
		return;
	dd_queue_ring(queue);
}
