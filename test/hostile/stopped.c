/* SPDX-License-Identifier: MIT
 *
 * A thread that is stopped for good at each instruction of a push or of a round holds up no thread
 * that does not need it (stopped.h).
 */
#include "stopped.h"
#include "debugger.h"

/* ---- Courses --------------------------------------------------------------------------------- */

static int push_default(struct defer_drop_queue *to, void *object, defer_drop_fn destroy)
{
	(void)to;
	return defer_drop(object, destroy);
}

static int push_to_queue(struct defer_drop_queue *to, void *object, defer_drop_fn destroy)
{
	return defer_drop_queue_push(to, object, destroy, DEFER_DROP_FOREVER);
}

static int push_with_options(struct defer_drop_queue *to, void *object, defer_drop_fn destroy)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

	options.bytes = 1;
	return defer_drop_queue_push_with(to, object, destroy, DEFER_DROP_FOREVER, &options);
}

static struct course make_course(uint32_t queue_size, uint32_t max_lanes)
{
	struct course made = {.push = push_to_queue, .config = DEFER_DROP_CONFIG_INIT};

	made.config.queue_size = queue_size;
	made.config.max_lanes = max_lanes;
	made.config.quiet_spell_ns = DEFER_DROP_NEVER;
	made.stride = 1;
	return made;
}

static struct course make_waking_course(void)
{
	struct course made = make_course(64, 8);

	made.config.quiet_spell_ns = 1000000;
	made.is_waking = true;
	return made;
}

/* ---- What must hold -------------------------------------------------------------------------- */

static void go_on_beside(const struct course *of)
{
	unsigned count;

	begin(of);
	for (count = 0; stops_after(count); count += course->stride) {
		order(GO_ON);
		release();
		CHECK(!stage->answer);
		AWAIT(stage->victim_destroyed == stage->victim_accepted);
	}
	CHECK(count > 10);
	finish();
}

static void run_defer_drop(void)
{
	struct course made = make_course(64, 8);

	made.push = push_default;
	made.is_default = true;
	go_on_beside(&made);
}

static void run_limit(void)
{
	struct course made = make_course(4, 8); /* in which each position is a limit */

	made.stride = scaled(13, 1);
	go_on_beside(&made);
}

static void run_options(void)
{
	struct course made = make_course(64, 8);

	made.push = push_with_options;
	made.stride = scaled(13, 1);
	go_on_beside(&made);
}

static void run_waking(void)
{
	struct course made = make_waking_course();

	go_on_beside(&made);
}

/* Behind its claim, it depends on how far the victim is whether the mate can go on. */
static bool goes_on(bool must)
{
	uint64_t until_ns = now_ns() + PATIENCE_NS;
	bool does;

	atomic_store(&stage->duty, GO_ON);
	if (must)
		await_mate();
	while (stage->duty && now_ns() < until_ns)
		rest_a_bit();
	does = !stage->duty;
	release();
	await_mate();
	return does;
}

/*
 * The stride is for what comes before the claim and after the publish: where a claim is found, the
 * instructions since the last stop are gone through one by one.
 */
static void hold_up_beside(const struct course *of)
{
	unsigned stride = of->stride;
	bool has_claimed = false;
	bool has_published = false;

	begin(of);
	for (unsigned count = 0; stops_after(count); count += stride) {
		order(LOOK);
		if (!stage->has_claimed) {
			order(of->is_waking ? GO_ON_ALONE : GO_ON);
			release();
		} else if (!has_claimed && stride > 1) {
			release();
			count -= stride;
			stride = 1;
		} else if (!has_claimed) {
			has_claimed = true;
			order(BE_HELD_UP);
			release();
			order(BE_LET_GO);
		} else {
			has_published = goes_on(has_published);
			stride = has_published ? of->stride : scaled(2, 1);
		}
		CHECK(!stage->answer);
	}
	CHECK(has_claimed && has_published);
	finish();
}

static void run_shared(void)
{
	struct course made = make_course(SHARED_SIZE, 0);

	hold_up_beside(&made);
}

static void run_shared_options(void)
{
	struct course made = make_course(SHARED_SIZE, 0);

	made.push = push_with_options;
	made.stride = scaled(13, 1);
	hold_up_beside(&made);
}

static void run_shared_waking(void)
{
	struct course made = make_course(SHARED_SIZE, 0);

	made.config.quiet_spell_ns = 1000000;
	made.is_waking = true;
	made.stride = scaled(13, 1);
	hold_up_beside(&made);
}

/* Others take the room that the victim has seen, and it goes on: into a ring that is full. */
static void run_overtaken(void)
{
	struct course made = make_course(4, 0);
	bool has_claimed = false;

	begin(&made);
	for (unsigned count = 0; !has_claimed && stops_after(count); count++) {
		order(LOOK);
		has_claimed = stage->has_claimed;
		if (has_claimed)
			break;
		order(OVERTAKE);
		debugger_continue(victim);
		rest_a_bit();
		atomic_store(&stage->duty, GIVE_WAY);
		debugger_await_trap(victim);
		await_mate();
		CHECK(!stage->answer);
	}
	CHECK(has_claimed);
	release();
	finish();
}

static void shut_down_beside(const struct course *of)
{
	begin(of);
	for (unsigned mode = 0; mode < SHUTDOWNS; mode++) {
		bool has_stopped = true;

		atomic_store(&stage->mode, mode);
		for (unsigned count = 0; has_stopped; count += course->stride) {
			has_stopped = stops_after(count);
			order(SHUT_DOWN);
			if (has_stopped)
				release();
			order(SETTLE);
		}
	}
	finish();
}

static void run_shutdown_owned(void)
{
	struct course made = make_course(64, 8);

	shut_down_beside(&made);
}

static void run_shutdown_options(void)
{
	struct course made = make_course(64, 8);

	made.push = push_with_options;
	made.stride = scaled(13, 1);
	shut_down_beside(&made);
}

static void run_shutdown_waking(void)
{
	struct course made = make_waking_course();

	made.stride = scaled(13, 1);
	shut_down_beside(&made);
}

static void run_shutdown_shared_options(void)
{
	struct course made = make_course(64, 0);

	made.push = push_with_options;
	made.stride = scaled(17, 1);
	shut_down_beside(&made);
}

static void run_shutdown_shared(void)
{
	struct course made = make_course(SHARED_SIZE, 0);

	made.stride = scaled(13, 1);
	shut_down_beside(&made);
}

/* Ends the process this far into the push. False if that took fewer instructions. */
static bool exit_beside(const struct course *of, unsigned count)
{
	bool has_stopped;

	begin(of);
	has_stopped = stops_after(count);
	atomic_store(&stage->duty, EXIT);
	AWAIT(!debugger_has(victim));
	CHECK(of->config.exit_timeout_ns != DEFER_DROP_FOREVER ||
		stage->mate_destroyed == stage->mate_accepted);
	await_child();
	return has_stopped;
}

static void run_exit(void)
{
	static const uint64_t timeouts_ns[] = {DEFER_DROP_FOREVER, DEADLINE_NS, 0};

	for (unsigned i = 0; i < 3; i++) {
		struct course made = make_course(64, 8);

		made.push = push_default;
		made.is_default = true;
		made.config.exit_timeout_ns = timeouts_ns[i];
		for (unsigned count = 0; exit_beside(&made, count); count++)
			;
	}
}

static void stop_worker(enum round round)
{
	/* So small that a round with all that it holds is followed by rest. */
	struct course made = make_course(32, 8);
	bool has_stopped = true;

	made.push = push_with_options;
	made.config.quiet_spell_ns = 1000000;
	made.is_stopping_worker = true;
	made.stride = scaled(79, 1);
	begin(&made);
	debugger_continue(victim);
	atomic_store(&stage->mode, round);
	for (unsigned count = round; has_stopped; count += made.stride) {
		has_stopped = stops_in_round(count);
		order(LOOK_ON);
		debugger_continue(victim);
		order(END_ROUND);
	}
	CHECK(instructions > 100);
	finish_worker();
}

static void run_worker(void)
{
	stop_worker(PUSHED_TO);
}

static void run_worker_waited_on(void)
{
	stop_worker(WAITED_ON);
}

static void run_worker_awaited(void)
{
	stop_worker(AWAITED);
}

/* Each turn has a new thread, which has pushed to no queue. */
static void run_first(void)
{
	struct course made = make_course(64, 8);
	bool has_stopped = true;

	made.is_first = true;
	for (unsigned count = 0; has_stopped; count += scaled(79, 11)) {
		begin(&made);
		has_stopped = step_into(count);
		order(GO_ON_AT_HOME);
		release();
		CHECK(!stage->answer);
		AWAIT(stage->victim_destroyed == stage->victim_accepted);
		finish();
	}
	CHECK(instructions > 100);
}

/* Stops the worker this far into what it does when its queue is closed. True if that was all. */
static bool close_beside(const struct course *of, unsigned count)
{
	begin(of);
	order(CLOSE);
	for (instructions = 0; instructions < count; instructions++)
		debugger_step(victim);
	order(LOOK_ON_END);
	debugger_see_off(victim);
	atomic_store(&stage->duty, FIND_CLOSED);
	return stage->has_finished;
}

/* Each that is accepted is destroyed. */
static void run_worker_closing(void)
{
	const uint32_t lanes[] = {8, 0};

	for (unsigned i = 0; i < 2; i++) {
		struct course made = make_course(64, lanes[i]);
		bool has_finished = false;

		made.is_stopping_worker = true;
		for (unsigned count = 0; !has_finished; count += scaled(199, 37)) {
			has_finished = close_beside(&made, count);
			await_child();
		}
		CHECK(instructions > 100);
	}
}

const struct hostile_case hostile_cases[] = {
	{"defer_drop",
		"A thread stopped at any instruction of a push to its own lane holds up no other.",
		run_defer_drop},
	{"limit", "Nor does one whose push looks for room.", run_limit},
	{"options", "Nor does one whose drop has options.", run_options},
	{"waking", "Nor does one that was waking the worker hold up a wait.", run_waking},
	{"shared",
		"In the shared lane it holds up those behind it, from claim to publish, and no "
		"others.",
		run_shared},
	{"shared_options",
		"It does so if the drop has options, and takes two slots that are published one "
		"after "
		"the other.",
		run_shared_options},
	{"shared_waking",
		"It does so if the worker sleeps: other threads wake it, or a thread that waits "
		"does if "
		"the stopped one was about to.",
		run_shared_waking},
	{"overtaken", "If others take the room that it has seen, it waits for other room.",
		run_overtaken},
	{"shutdown_owned", "A shutdown does not wait for it, and both agree on what was accepted.",
		run_shutdown_owned},
	{"shutdown_options", "Nor does it if the drop has options.", run_shutdown_options},
	{"shutdown_waking", "Nor does it if the thread was waking the worker.",
		run_shutdown_waking},
	{"shutdown_shared", "Nor in the shared lane.", run_shutdown_shared},
	{"shutdown_shared_options", "Nor with options there.", run_shutdown_shared_options},
	{"exit", "Nor does the end of the process.", run_exit},
	{"worker",
		"A worker stopped at any instruction of a round holds up no push; it finds what "
		"was "
		"pushed meanwhile.",
		run_worker},
	{"worker_waited_on", "A thread that waits for it does so until the deadline.",
		run_worker_waited_on},
	{"worker_awaited", "Nor does it hold up a push while it wakes a waiter.",
		run_worker_awaited},
	{"first", "A thread stopped in its first push holds up no thread that has pushed before.",
		run_first},
	{"worker_closing",
		"A worker stopped while it closes its queue holds up no push, taken or refused.",
		run_worker_closing},
	{NULL, NULL, NULL},
};
