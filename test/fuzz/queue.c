/* SPDX-License-Identifier: MIT
 *
 * Fuzzed: a queue. The input is a program of calls on queues, one after the other; their results,
 * and the order of the destructors, are those of the model.
 *
 * A worker is held up in its destructors, by a gate, except during calls that wait for all of them:
 * so the order of its work is as certain as that of a caller that drains.
 */
#include <errno.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "model.h"

#define FOREVER DEFER_DROP_FOREVER
#define MANY    4

static struct input input;
static unsigned forks;
static bool has_grace; /* some drop waits for readers: a drain may leave it */

/* ---- The gate -------------------------------------------------------------------------------- */

static bool has_worker(void)
{
	return model.config.runner == DEFER_DROP_RUNNER_WORKER;
}

/* True if a call that waits gets what is pending destroyed; else it would wait for ever. */
static bool is_served(void)
{
	if (model.is_shut)
		return true;
	return has_worker() ? !model.is_stopped : model.config.runner == DEFER_DROP_RUNNER_CALLER;
}

static void open_gate(void)
{
	model.is_running = true;
	if (has_worker())
		pthread_mutex_unlock(&model_gate);
}

static void close_gate(void)
{
	if (has_worker()) {
		if (!model.is_shut)
			CHECK(!defer_drop_queue_flush(model.queue, FOREVER));
		pthread_mutex_lock(&model_gate);
		CHECK(model.is_shut || !model.pending);
	}
	model.is_running = false;
}

/* ---- Queues ---------------------------------------------------------------------------------- */

static void make_queue(void)
{
	static const uint32_t lanes[] = {0, 1, 2, 4};
	static const uint32_t runners[] = {DEFER_DROP_RUNNER_WORKER, DEFER_DROP_RUNNER_CALLER,
		DEFER_DROP_RUNNER_CALLER, DEFER_DROP_RUNNER_CALLER, DEFER_DROP_RUNNER_CALLER,
		DEFER_DROP_RUNNER_CALLER, DEFER_DROP_RUNNER_CALLER, DEFER_DROP_RUNNER_DRAINER};
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	struct defer_drop_config shown = DEFER_DROP_CONFIG_INIT;
	struct defer_drop_queue *queue;
	unsigned kind = take_byte(&input);

	config.queue_size = 2u << (kind & 3);
	config.max_lanes = lanes[kind >> 2 & 3];
	config.runner = runners[kind >> 4 & 7];
	config.at_fork = kind >> 7 ? DEFER_DROP_AT_FORK_KEEP : DEFER_DROP_AT_FORK_EMPTY;
	config.max_bytes = 1 + take_below(&input, 64);
	config.error = model_hear_of_failure;
	config.quiet_spell_ns = 1000000;
	CHECK(!defer_drop_queue_create(&queue, &config));
	CHECK(!defer_drop_queue_config(queue, &shown));
	CHECK(shown.queue_size == config.queue_size && shown.max_lanes == config.max_lanes);
	CHECK(shown.runner == config.runner && shown.max_bytes == config.max_bytes);
	has_grace = false;
	model_begin(queue, &config);
	if (has_worker())
		pthread_mutex_lock(&model_gate);
}

/* A time in between is over before a destructor could start. */
static const uint64_t shutdown_timeouts_ns[] = {FOREVER, 1, 0};

static void shut_down(unsigned way)
{
	uint64_t timeout_ns = shutdown_timeouts_ns[way];
	uint64_t pending = model.pending;
	int result;

	CHECK(defer_drop_queue_free(model.queue) == -EBUSY);
	/* A worker may be in a destructor, which goes on: how many run is up to chance. */
	if (has_worker() && !model.is_stopped)
		timeout_ns = FOREVER;
	model.is_shut = true;
	model.is_stopped = false;
	open_gate();
	result = defer_drop_queue_shutdown(model.queue, timeout_ns);
	close_gate();
	CHECK(result == (timeout_ns == 1 && pending ? -ETIMEDOUT : 0));
	CHECK(model.pending == (timeout_ns == FOREVER ? 0 : pending));
	model_abandon();
	model_check();
	CHECK(!defer_drop_queue_shutdown(model.queue, 0));
	CHECK(!defer_drop_queue_shutdown(model.queue, FOREVER));
	CHECK(defer_drop_queue_stop(model.queue, FOREVER) == -ESHUTDOWN);
	CHECK(defer_drop_queue_start(model.queue) == -ESHUTDOWN);
}

static void check_freed(void)
{
	for (unsigned i = 0; i < model.count; i++)
		if (model.drops[i].ticket.queue_id)
			CHECK(defer_drop_ticket_wait(&model.drops[i].ticket, 0) == -ESTALE);
}

/* Destroys or abandons all, and gives the queue back. */
static void end_queue(void)
{
	if (!model.is_shut)
		shut_down(take_below(&input, 3));
	model_check();
	if (has_worker())
		pthread_mutex_unlock(&model_gate);
	CHECK(!defer_drop_queue_free(model.queue));
	check_freed();
}

/* ---- Stopped --------------------------------------------------------------------------------- */

/* A worker can only stop between two destructors: all are let through before. */
static void stop(void)
{
	int result;

	if (is_served() && has_worker()) {
		open_gate();
		close_gate();
	}
	result = defer_drop_queue_stop(model.queue, FOREVER);
	CHECK(result == (model.is_shut ? -ESHUTDOWN : 0));
	if (model.is_shut)
		return;
	model.is_stopped = true;
	CHECK(!defer_drop_queue_stop(model.queue, 0));
}

static void start(void)
{
	int result = defer_drop_queue_start(model.queue);

	CHECK(result == (model.is_shut ? -ESHUTDOWN : 0));
	model.is_stopped = false;
}

static void set_max_bytes(void)
{
	struct defer_drop_config shown = DEFER_DROP_CONFIG_INIT;

	CHECK(defer_drop_queue_set_max_bytes(model.queue, 0) == -EINVAL);
	CHECK(defer_drop_queue_set_max_bytes(model.queue, (UINT64_C(1) << 62) + 1) == -EINVAL);
	model.config.max_bytes = 1 + take_below(&input, 64);
	CHECK(!defer_drop_queue_set_max_bytes(model.queue, model.config.max_bytes));
	CHECK(!defer_drop_queue_config(model.queue, &shown));
	CHECK(shown.max_bytes == model.config.max_bytes);
}

/* ---- Pushes ---------------------------------------------------------------------------------- */

static int push_plain(struct drop *drop, unsigned way)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

	switch (way) {
	case 0:
		return defer_drop_queue_push(model.queue, drop, model_destroy(drop), 0);
	case 1:
		return defer_drop_queue_push_with(model.queue, drop, model_destroy(drop), 0, NULL);
	default:
		options.ticket = &drop->ticket;
		return defer_drop_queue_push_with(
			model.queue, drop, model_destroy(drop), 0, &options);
	}
}

/* The lane of the calling thread, which has pushed. */
static int lane_of_thread(void)
{
	struct defer_drop_ticket ticket;

	CHECK(!defer_drop_queue_ticket(model.queue, &ticket));
	CHECK(ticket.queue_id && ticket.lane < MOST_LANES);
	CHECK(!model.queue_id || model.queue_id == ticket.queue_id);
	model.queue_id = ticket.queue_id;
	return (int)ticket.lane;
}

/* This number of lanes can be owned by threads. */
static void check_lane(int lane, unsigned taken)
{
	CHECK((taken < model.config.max_lanes) == (lane != 0));
}

/* A plain drop, from a thread that may not have pushed before. */
static void push_first(struct input *from, int *lane)
{
	struct drop *drop = model_make(from);
	int result;

	if (!drop)
		return;
	drop->has_status = false;
	result = push_plain(drop, 0);
	if (*lane == NOWHERE)
		*lane = lane_of_thread();
	CHECK(result == model_expected(drop, *lane, -EAGAIN));
	model_pushed(drop, *lane, result);
}

static void find_lane(void)
{
	if (model.lane != NOWHERE)
		return;
	push_first(&input, &model.lane);
	if (model.lane != NOWHERE && !model.is_shut)
		check_lane(model.lane, 0);
}

static void push_one(void)
{
	unsigned way = take_below(&input, 3);
	struct drop *drop = model_make(&input);
	int result;

	if (!drop)
		return;
	drop->has_status = false;
	result = push_plain(drop, way);
	CHECK(result == model_expected(drop, model.lane, -EAGAIN));
	model_pushed(drop, model.lane, result);
	CHECK((drop->ticket.queue_id != 0) == (!result && way == 2));
}

/* True if it is free, or in use for drops that are pending. */
static bool is_usable(const struct told *told)
{
	return !told->is_used || told->left;
}

static void choose_options(struct drop *drop, struct defer_drop_options *options)
{
	unsigned kind = take_byte(&input);

	drop->bytes = kind & 1 ? take_below(&input, 80) : 0;
	if (kind & 2 && is_usable(&model.told[kind >> 2 & 3]))
		drop->completion = (int)(kind >> 2 & 3);
	if (kind >= 240)
		options->flags = DEFER_DROP_AFTER_GRACE_PERIOD;
	drop->may_exceed = kind & 16;
	if (drop->may_exceed)
		options->flags |= DEFER_DROP_EXCEED_BUDGET;
	drop->has_context = drop->has_status && kind & 32;
	if (drop->bytes || drop->completion != NOWHERE || drop->has_status)
		drop->width = 2;
	options->bytes = drop->bytes;
	options->ticket = &drop->ticket;
	options->destroy_status = model_destroy_status(drop);
	options->destroy_context = model_destroy_context(drop);
	options->context = drop->has_context ? &model : NULL;
	if (drop->completion != NOWHERE)
		options->completion = &model.told[drop->completion].completion;
}

/* It serves drops that are pending. */
static bool is_busy(const struct drop *drop)
{
	return drop->completion != NOWHERE && model.told[drop->completion].left;
}

static void begin_completion(const struct drop *drop, int result)
{
	if (drop->completion == NOWHERE || result)
		return;
	model.told[drop->completion].is_used = true;
	model.told[drop->completion].is_abandoned = false;
	model.told[drop->completion].status = 0;
}

static bool asks_for_grace(const struct defer_drop_options *options)
{
	return options->flags & DEFER_DROP_AFTER_GRACE_PERIOD;
}

static void push_with(void)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	struct drop *drop = model_make(&input);
	int result;

	if (!drop)
		return;
	choose_options(drop, &options);
	result = defer_drop_queue_push_with(model.queue, drop, model_destroy(drop), 0, &options);
	if (result == -ENOTSUP && asks_for_grace(&options))
		return;
	if (is_busy(drop)) {
		CHECK(result == -EBUSY);
		return;
	}
	CHECK(result == model_expected(drop, model.lane, -EAGAIN));
	has_grace |= asks_for_grace(&options) && !result;
	begin_completion(drop, result);
	model_pushed(drop, model.lane, result);
}

static void push_many(void)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	struct defer_drop_ticket ticket;
	struct drop *drops[MANY];
	unsigned count = 1 + take_below(&input, MANY);
	size_t pushed;
	int expected = 0;
	int result;

	if (model.count + MANY > MOST_DROPS)
		return;
	for (unsigned i = 0; i < count; i++)
		drops[i] = model_make(&input);
	choose_options(drops[0], &options);
	for (unsigned i = 1; i < count; i++) {
		drops[i]->has_status = drops[0]->has_status;
		drops[i]->has_context = drops[0]->has_context;
		drops[i]->may_exceed = drops[0]->may_exceed;
		drops[i]->bytes = drops[0]->bytes;
		drops[i]->completion = drops[0]->completion;
		drops[i]->width = drops[0]->width;
	}
	result = defer_drop_queue_push_many(model.queue, (void *const *)drops, count,
		model_destroy(drops[0]), 0, &options, &pushed);
	if (result == -ENOTSUP && asks_for_grace(&options))
		return;
	if (is_busy(drops[0])) {
		CHECK(result == -EBUSY && !pushed);
		return;
	}
	begin_completion(drops[0], pushed ? 0 : result);
	for (unsigned i = 0; i < count && !expected; i++) {
		expected = model_expected(drops[i], model.lane, -EAGAIN);
		CHECK((i < pushed) == !expected);
		model_pushed(drops[i], model.lane, expected);
	}
	CHECK(result == expected);
	has_grace |= asks_for_grace(&options) && pushed;
	ticket = drops[0]->ticket;
	drops[0]->ticket.queue_id = 0;
	if (!result)
		drops[count - 1]->ticket = ticket;
}

static void push_wrongly(void)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	struct drop *drop = model_make(&input);
	defer_drop_fn destroy;

	if (!drop)
		return;
	drop->has_status = false;
	destroy = model_destroy(drop);
	CHECK(defer_drop_queue_push(model.queue, drop, NULL, 0) == -EINVAL);
	CHECK(defer_drop_queue_push(model.queue, drop, destroy, FOREVER - 1) == -EOVERFLOW);
	CHECK(defer_drop_queue_push_with(model.queue, drop, NULL, 0, &options) == -EINVAL);
	options.flags = 4;
	CHECK(defer_drop_queue_push_with(model.queue, drop, destroy, 0, &options) == -EINVAL);
	options.flags = 0;
	options.context = &model;
	CHECK(defer_drop_queue_push_with(model.queue, drop, destroy, 0, &options) == -EINVAL);
	options.context = NULL;
	options.bytes = DEFER_DROP_BYTES_END;
	CHECK(defer_drop_queue_push_with(model.queue, drop, destroy, 0, &options) == -EOVERFLOW);
	CHECK(defer_drop_bytes(drop, destroy, DEFER_DROP_BYTES_END) == -EOVERFLOW);
	CHECK(defer_drop_bytes(drop, NULL, 1) == -EINVAL);
}

static void count_default(void *destroyed)
{
	++*(unsigned *)destroyed;
}

/* The default queue beside it, which has a budget of its own. */
static void push_to_default(void)
{
	uint64_t bytes = take_below(&input, 200);
	unsigned destroyed = 0;

	CHECK(!defer_drop_bytes(&destroyed, count_default, bytes));
	CHECK(!defer_drop_flush());
	CHECK(destroyed == 1 && !defer_drop_queue_backlog(defer_drop_queue_default()));
}

/* Before the first push of a thread that is not the main one. */
static void attach(void)
{
	int result = defer_drop_queue_attach(model.queue);
	bool has_room = (unsigned)(model.lane > 0) < model.config.max_lanes;

	CHECK(result == (model.is_shut ? -ESHUTDOWN : has_room ? 0 : -ENOSPC));
}

/* A thread that pushes some and ends, which leaves its lane to the next. */
static void *hand_over(void *ignored)
{
	unsigned count = 1 + take_below(&input, 4);
	int lane = NOWHERE;

	(void)ignored;
	if (count % 2 == 0)
		attach();
	while (count--)
		push_first(&input, &lane);
	if (lane == NOWHERE || model.is_shut)
		return NULL;
	check_lane(lane, model.lane > 0);
	CHECK(!lane || lane != model.lane);
	return NULL;
}

static void start_thread(void)
{
	pthread_t thread;

	CHECK(!pthread_create(&thread, NULL, hand_over, NULL));
	CHECK(!pthread_join(thread, NULL));
}

/* ---- Waiting --------------------------------------------------------------------------------- */

static void flush(void)
{
	bool is_waiting = take_below(&input, 2);
	uint64_t pending = model.pending;
	int result;

	if (!is_waiting) {
		result = defer_drop_queue_flush(model.queue, 0);
		CHECK(result == (model.is_shut ? -ESHUTDOWN : pending ? -EAGAIN : 0));
		CHECK(model.pending == pending);
		return;
	}
	if (!is_served()) {
		CHECK(defer_drop_queue_flush(model.queue, 1) == (pending ? -ETIMEDOUT : 0));
		return;
	}
	open_gate();
	result = defer_drop_queue_flush(model.queue, FOREVER);
	close_gate();
	CHECK(result == (model.is_shut ? -ESHUTDOWN : 0));
	CHECK(!model.pending);
}

static void drain(void)
{
	uint64_t ran = 1;
	uint64_t most = take_below(&input, 16);
	uint64_t budget_ns = take_below(&input, 4) ? FOREVER : 0;
	uint64_t before = model.ran;
	int result;

	if (has_worker()) {
		CHECK(defer_drop_queue_drain(model.queue, most, budget_ns, NULL) == -EINVAL);
		return;
	}
	open_gate();
	result = defer_drop_queue_drain(model.queue, most, budget_ns, &ran);
	close_gate();
	CHECK(result == (model.is_shut ? -ESHUTDOWN : 0));
	CHECK(ran == model.ran - before && ran <= most);
	CHECK(result || ran == most || !model.pending || !budget_ns || has_grace);
}

static int ticket_state(const struct drop *drop, int otherwise)
{
	switch (drop->state) {
	case DROP_DESTROYED:
		return 0;
	case DROP_ABANDONED:
		return -ESHUTDOWN;
	default:
		return otherwise;
	}
}

/* In so short a time nothing is destroyed; a caller that drains could begin to. */
static uint64_t short_ns(void)
{
	return model.config.runner != DEFER_DROP_RUNNER_CALLER;
}

static void ask_ticket(void)
{
	const struct drop *drop = &model.drops[take_bytes(&input, 1) % (model.count + 1u)];
	unsigned way = take_below(&input, 3);
	int result;

	if (drop == &model.drops[model.count] || !drop->ticket.queue_id ||
		drop->state == DROP_OURS || drop->is_nested)
		return;
	if (way == 0) {
		result = defer_drop_ticket_wait(&drop->ticket, 0);
		CHECK(result == ticket_state(drop, -EAGAIN));
	} else if (way == 1 || !is_served()) {
		result = defer_drop_ticket_wait(&drop->ticket, short_ns());
		CHECK(result == ticket_state(drop, short_ns() ? -ETIMEDOUT : -EAGAIN));
	} else {
		open_gate();
		result = defer_drop_ticket_wait(&drop->ticket, FOREVER);
		close_gate();
		CHECK((drop->state == DROP_DESTROYED || drop->state == DROP_ABANDONED) &&
			result == ticket_state(drop, 0));
	}
}

static int completion_state(const struct told *told, int otherwise)
{
	if (told->left)
		return otherwise;
	return told->is_abandoned ? -ESHUTDOWN : 0;
}

static void ask_completion(void)
{
	struct told *told = &model.told[take_below(&input, MOST_COMPLETIONS)];
	unsigned way = take_below(&input, 3);
	int status = 1;
	int result;

	if (!told->is_used) {
		CHECK(defer_drop_completion_wait(&told->completion, 0, NULL) == -EINVAL);
		return;
	}
	if (way == 0) {
		result = defer_drop_completion_wait(&told->completion, 0, &status);
		CHECK(result == completion_state(told, -EAGAIN));
	} else if (way == 1 || !is_served()) {
		result = defer_drop_completion_wait(&told->completion, short_ns(), &status);
		CHECK(result == completion_state(told, short_ns() ? -ETIMEDOUT : -EAGAIN));
	} else {
		open_gate();
		result = defer_drop_completion_wait(&told->completion, FOREVER, &status);
		close_gate();
		CHECK(!told->left && result == completion_state(told, 0));
	}
	if (told->left)
		return;
	CHECK(status == told->status);
	told->is_used = false;
	told->completion = (struct defer_drop_completion)DEFER_DROP_COMPLETION_INIT;
}

static void wait_backlog(void)
{
	uint64_t most = take_below(&input, 16);
	uint64_t most_bytes = take_below(&input, 2) ? take_below(&input, 64) : UINT64_MAX;
	bool is_met = model.pending <= most && model.bytes <= most_bytes;
	int result;

	if (take_below(&input, 2)) {
		result = defer_drop_queue_wait_backlog(model.queue, most, most_bytes, 0);
		CHECK(result == (model.is_shut ? -ESHUTDOWN : is_met ? 0 : -EAGAIN));
		return;
	}
	if (!is_served()) {
		result = defer_drop_queue_wait_backlog(model.queue, most, most_bytes, 1);
		CHECK(result == (is_met ? 0 : -ETIMEDOUT));
		return;
	}
	open_gate();
	result = defer_drop_queue_wait_backlog(model.queue, most, most_bytes, FOREVER);
	close_gate();
	CHECK(result == (model.is_shut ? -ESHUTDOWN : 0));
	CHECK(model.is_shut || (model.pending <= most && model.bytes <= most_bytes));
}

/* ---- Forks ----------------------------------------------------------------------------------- */

static void check_stale(void)
{
	for (unsigned i = 0; i < model.count; i++)
		if (model.drops[i].ticket.queue_id && model.drops[i].state != DROP_OURS)
			CHECK(defer_drop_ticket_wait(&model.drops[i].ticket, 0) == -ESTALE);
	for (unsigned i = 0; i < MOST_COMPLETIONS; i++)
		if (model.told[i].is_used && model.told[i].left)
			CHECK(defer_drop_completion_wait(&model.told[i].completion, 0, NULL) ==
				-ESTALE);
}

static void destroy_all(void)
{
	if (model.config.runner == DEFER_DROP_RUNNER_DRAINER)
		CHECK(!defer_drop_queue_drain(model.queue, UINT64_MAX, FOREVER, NULL));
	CHECK(!defer_drop_queue_flush(model.queue, FOREVER));
	CHECK(!model.pending);
}

static _Noreturn void be_child(void)
{
	check_stale();
	model.is_running = model.is_forked = true;
	if (model.config.at_fork == DEFER_DROP_AT_FORK_KEEP) {
		model_lose_middles();
		destroy_all();
	} else {
		model_forget();
		model.is_forked = false;
		model_check();
		find_lane();
		push_one();
		destroy_all();
		model_check();
	}
	_exit(0);
}

/* Few: they are slow, and sanitizers cannot follow threads that a child starts. */
static void fork_child(void)
{
	pid_t child;
	int status;

	if (has_worker() || model.is_shut || has_grace || forks++)
		return;
	child = fork();
	CHECK(child >= 0);
	if (!child)
		be_child();
	while (waitpid(child, &status, 0) != child)
		CHECK(errno == EINTR); /* libFuzzer has a timer */
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* ---- The program ----------------------------------------------------------------------------- */

static void do_more(void)
{
	switch (take_below(&input, 8)) {
	case 0:
		end_queue();
		make_queue();
		break;
	case 1:
		if (!model.is_shut)
			shut_down(take_below(&input, 3));
		break;
	case 2:
		fork_child();
		break;
	case 3:
		stop();
		break;
	case 4:
		start();
		break;
	case 5:
		set_max_bytes();
		break;
	case 6:
		push_to_default();
		break;
	default:
		break;
	}
}

static void (*const steps[])(void) = {
	push_one,
	push_one,
	push_one,
	push_with,
	push_with,
	push_many,
	push_wrongly,
	start_thread,
	flush,
	drain,
	drain,
	ask_ticket,
	ask_ticket,
	ask_completion,
	wait_backlog,
	do_more,
};

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	input = (struct input){bytes, bytes + size};
	forks = 0;
	make_queue();
	while (input.at < input.end) {
		unsigned step = take_below(&input, sizeof steps / sizeof steps[0]);

		if (step < 6)
			find_lane();
		if (step >= 6 || model.lane != NOWHERE)
			steps[step]();
		model_check();
	}
	end_queue();
	return 0;
}
