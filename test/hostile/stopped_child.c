/* SPDX-License-Identifier: MIT
 *
 * What the threads of the child do: the victim pushes, the mate has its duties, and the worker is
 * stopped in a round (stopped.h).
 */
#include "stopped.h"
#include "debugger.h"
#include "core/queue.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define MATE_DROPS 40

static struct gate gate;

static struct defer_drop_queue *queue;
static struct defer_drop_queue *other_queue;
static struct defer_drop_stats report; /* of the queue, once it was shut down */
static pthread_t victims_thread;
static pthread_t waiter; /* for room, or the end of the queue */
static _Atomic(uint64_t) claimed_before;
static _Atomic(uint64_t) slept_before;
static struct defer_drop_ticket tickets[2]; /* of a round: its first drop, and its last */
static int is_done_fd = -1;                 /* tells of the first */

static void destroy_victims(void *number)
{
	CHECK((uintptr_t)number == atomic_fetch_add(&stage->victim_destroyed, 1));
}

static void destroy_mates(void *number)
{
	CHECK((uintptr_t)number == atomic_fetch_add(&stage->mate_destroyed, 1));
}

static struct defer_drop_stats stats_of_shared_lane(void)
{
	struct defer_drop_stats stats = DEFER_DROP_STATS_INIT;

	ANSWERS(0, defer_drop_queue_lane_stats(queue, 0, &stats));
	return stats;
}

static uint64_t wakes(void)
{
	return stats_of(queue).wakes_total;
}

static int push_victims(void)
{
	uintptr_t number = atomic_load(&stage->victim_accepted);
	int error = course->push(queue, (void *)number, destroy_victims);

	atomic_fetch_add(&stage->victim_accepted, !error);
	return error;
}

/* For three quiet spells. */
static void let_sleep(void)
{
	if (course->is_waking)
		usleep(3000);
}

/* The ring is empty, the worker awake or asleep, and the lane found. */
static void prepare(void)
{
	if (course->is_first)
		return;
	ANSWERS(0, push_victims());
	ANSWERS(0, defer_drop_queue_flush(queue, DEADLINE_NS));
	let_sleep(); /* where that is too short, the turn is repeated */
	claimed_before = stats_of_shared_lane().pushed_total;
}

static void *be_victim(void *ignored)
{
	(void)ignored;
	atomic_store(&stage->victim, (unsigned)syscall(SYS_gettid));
	AWAIT(stage->is_watched); /* without a debugger a trap ends the process */
	for (;;) {
		uint64_t before;

		debugger_trap();
		if (atomic_load(&stage->is_over))
			return NULL;
		prepare();
		before = wakes();
		debugger_trap();
		atomic_store(&stage->answered, 0);
		atomic_store(&stage->is_pushing, 1);
		atomic_store(&stage->answer, push_victims());
		atomic_store(&stage->is_pushing, 0);
		atomic_store(&stage->has_woken, wakes() > before);
		atomic_store(&stage->answered, 1);
	}
}

static void make_queue(void)
{
	if (course->is_default) {
		queue = defer_drop_queue_default();
		ANSWERS(0, defer_drop_start(&course->config));
	} else {
		ANSWERS(0, defer_drop_queue_create(&queue, &course->config));
	}
}

static void *push_once(void *ignored)
{
	(void)ignored;
	ANSWERS(0, defer_drop_queue_push(queue, NULL, ignore, DEFER_DROP_FOREVER));
	return NULL;
}

static void push_numbered(defer_drop_fn destroy, struct defer_drop_ticket *ticket)
{
	uintptr_t number = atomic_fetch_add(&stage->mate_accepted, 1);
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;

	options.ticket = ticket;
	ANSWERS(0,
		defer_drop_queue_push_with(queue, (void *)number, destroy, DEADLINE_NS, &options));
}

static void push_mates(struct defer_drop_ticket *ticket)
{
	push_numbered(destroy_mates, ticket);
}

static void use_other_queue(void)
{
	ANSWERS(0, defer_drop_queue_push(other_queue, NULL, ignore, DEFER_DROP_FOREVER));
	ANSWERS(0, defer_drop_queue_flush(other_queue, DEADLINE_NS));
}

static void go_on(void)
{
	struct defer_drop_ticket ticket;
	pthread_t thread;

	for (unsigned i = 0; i < MATE_DROPS; i++)
		push_mates(&ticket);
	ANSWERS(0, defer_drop_ticket_wait(&ticket, DEADLINE_NS));
	CHECK(stage->mate_destroyed == stage->mate_accepted);
	use_other_queue();
	CHECK(!pthread_create(&thread, NULL, push_once, NULL));
	CHECK(!pthread_join(thread, NULL));
	ANSWERS(0, defer_drop_queue_flush(queue, DEADLINE_NS));
	let_sleep(); /* the victim may have to wake it once more */
}

/* Its own lanes were found before. */
static void go_on_at_home(void)
{
	struct defer_drop_ticket ticket;

	push_mates(&ticket);
	ANSWERS(0, defer_drop_ticket_wait(&ticket, DEADLINE_NS));
	ANSWERS(0, defer_drop_queue_flush(queue, DEADLINE_NS));
	CHECK(stage->mate_destroyed == stage->mate_accepted);
	use_other_queue();
}

static void go_on_alone(void)
{
	struct defer_drop_ticket ignored;

	push_mates(&ignored);
	AWAIT(stage->mate_destroyed == stage->mate_accepted);
	let_sleep();
}

static void be_held_up(void)
{
	struct defer_drop_ticket ticket;
	unsigned pushed = 1;

	push_mates(&ticket);
	ANSWERS(-ETIMEDOUT, defer_drop_queue_flush(queue, A_BIT_NS));
	ANSWERS(-ETIMEDOUT, defer_drop_ticket_wait(&ticket, A_BIT_NS));
	ANSWERS(-EAGAIN, defer_drop_ticket_wait(&ticket, 0));
	ANSWERS(-ETIMEDOUT, defer_drop_queue_wait_backlog(queue, 0, UINT64_MAX, A_BIT_NS));
	while (!defer_drop_queue_push(queue, NULL, ignore, 0))
		pushed++;
	CHECK(pushed < course->config.queue_size);
	ANSWERS(-EAGAIN, defer_drop_queue_push(queue, NULL, ignore, 0));
	ANSWERS(-ETIMEDOUT, defer_drop_queue_push(queue, NULL, ignore, A_BIT_NS));
	use_other_queue();
	CHECK(!pthread_create(&waiter, NULL, push_once, NULL));
	CHECK(stage->mate_destroyed < stage->mate_accepted);
}

static void be_let_go(void)
{
	CHECK(!pthread_join(waiter, NULL));
	ANSWERS(0, defer_drop_queue_flush(queue, DEADLINE_NS));
	CHECK(stage->mate_destroyed == stage->mate_accepted);
	CHECK(stage->victim_destroyed == stage->victim_accepted);
}

static int push_if_room(void)
{
	int error = defer_drop_queue_push(
		queue, (void *)(uintptr_t)stage->mate_accepted, destroy_mates, 0);

	atomic_fetch_add(&stage->mate_accepted, !error);
	return error;
}

static void overtake(void)
{
	hold_up(queue, &gate);
	while (!push_if_room())
		;
}

static void give_way(void)
{
	atomic_store(&gate.is_open, true);
	AWAIT(stage->answered);
	ANSWERS(0, defer_drop_queue_flush(queue, DEADLINE_NS));
	CHECK(stage->mate_destroyed == stage->mate_accepted);
	CHECK(stage->victim_destroyed == stage->victim_accepted);
}

static void look(void)
{
	atomic_store(&stage->has_claimed, stats_of_shared_lane().pushed_total > claimed_before);
}

static void push_some(void)
{
	struct defer_drop_ticket ticket;

	for (unsigned i = 0; i < 3; i++)
		push_mates(&ticket);
}

static void shut_down(void)
{
	uint64_t timeout_ns = shutdown_timeouts_ns[stage->mode];
	bool is_given_up;
	int answer;

	push_some();
	answer = defer_drop_queue_shutdown(queue, timeout_ns);
	/* A destructor that gets no CPU for a tenth of a second is given up. */
	is_given_up = answer == -ECANCELED && timeout_ns != DEFER_DROP_FOREVER;
	if (is_given_up)
		ANSWERS(0, defer_drop_queue_shutdown(queue, DEFER_DROP_FOREVER));
	report = stats_of(queue);
	if (!is_given_up)
		ANSWERS(timeout_ns == A_BIT_NS && report.abandoned_total ? -ETIMEDOUT : 0, answer);
	CHECK(timeout_ns != DEFER_DROP_FOREVER || !report.abandoned_total);
}

/* Every push that answered 0 was destroyed or counted as abandoned; every other keeps its object.
 */
static void settle(void)
{
	struct defer_drop_stats later;
	unsigned destroyed = stage->victim_destroyed + stage->mate_destroyed;

	CHECK(stage->answer == 0 || stage->answer == -ESHUTDOWN);
	CHECK(report.destroyed_total == destroyed);
	CHECK(report.destroyed_total + report.abandoned_total ==
		stage->victim_accepted + stage->mate_accepted);
	ANSWERS(0, defer_drop_queue_shutdown(queue, DEFER_DROP_FOREVER));
	later = stats_of(queue);
	CHECK(later.destroyed_total == report.destroyed_total);
	CHECK(later.abandoned_total == report.abandoned_total);
	ANSWERS(0, defer_drop_queue_free(queue));
	atomic_store(&stage->victim_accepted, 0);
	atomic_store(&stage->victim_destroyed, 0);
	atomic_store(&stage->mate_accepted, 0);
	atomic_store(&stage->mate_destroyed, 0);
	make_queue();
}

static void exit_with_drops(void)
{
	push_some();
	exit(0);
}

/* A destructor: makes the worker the victim. */
static void be_seized(void *ignored)
{
	sigset_t trap;

	(void)ignored;
	CHECK(!sigemptyset(&trap) && !sigaddset(&trap, SIGTRAP));
	CHECK(!pthread_sigmask(SIG_UNBLOCK, &trap, NULL)); /* a worker blocks all */
	atomic_store(&stage->victim, (unsigned)syscall(SYS_gettid));
	AWAIT(stage->is_watched);
	debugger_trap();
}

static void destroy_before_round(void *number)
{
	destroy_mates(number);
	slept_before = stats_of(queue).deep_sleeps_total;
	atomic_store(&stage->is_pushing, 0);
	debugger_trap();
	atomic_store(&stage->is_pushing, 1);
}

static void destroy_after_round(void *number)
{
	destroy_mates(number);
	atomic_store(&stage->is_pushing, 0);
}

static void begin_round(void)
{
	struct defer_drop_ticket ignored;
	uintptr_t number;

	push_numbered(destroy_before_round, &ignored);
	push_mates(&tickets[0]);
	number = atomic_fetch_add(&stage->mate_accepted, 1);
	ANSWERS(0, course->push(queue, (void *)number, destroy_mates));
	push_mates(&tickets[1]);
	if (stage->mode == AWAITED)
		ANSWERS(0, defer_drop_ticket_notify(&tickets[0], is_done_fd));
}

/* True if the worker sleeps. Executed one instruction at a time, it sleeps nowhere else. */
static bool is_worker_asleep(void)
{
	char path[64];
	char state = 0;
	FILE *file;

	if (stats_of(queue).deep_sleeps_total == slept_before)
		return false;
	snprintf(path, sizeof path, "/proc/self/task/%u/stat", stage->victim);
	file = fopen(path, "re");
	CHECK(file);
	CHECK(fscanf(file, "%*d (%*[^)]) %c", &state) == 1);
	CHECK(!fclose(file));
	return state == 'S';
}

static void rouse(void)
{
	struct defer_drop_ticket ignored;

	AWAIT(stage->is_standing || is_worker_asleep());
	if (!stage->is_standing)
		push_numbered(destroy_after_round, &ignored);
}

/* Its creation and its end take memory, and locks of the whole library. */
static void use_new_queue(void)
{
	struct defer_drop_queue *made;
	struct defer_drop_stats stats = DEFER_DROP_STATS_INIT;

	ANSWERS(0, defer_drop_queue_create(&made, NULL));
	ANSWERS(0, defer_drop_queue_push(made, NULL, ignore, DEFER_DROP_FOREVER));
	ANSWERS(0, defer_drop_queue_flush(made, DEADLINE_NS));
	ANSWERS(0, defer_drop_queue_push(made, NULL, ignore, DEFER_DROP_FOREVER));
	ANSWERS(0, defer_drop_queue_shutdown(made, DEFER_DROP_FOREVER));
	ANSWERS(0, defer_drop_queue_stats(made, &stats));
	CHECK(stats.destroyed_total == 2 && !stats.abandoned_total);
	ANSWERS(0, defer_drop_queue_free(made));
}

static void wait_in_vain(void)
{
	struct defer_drop_ticket ticket;

	push_mates(&ticket);
	ANSWERS(-EAGAIN, defer_drop_ticket_wait(&ticket, 0));
	ANSWERS(-ETIMEDOUT, defer_drop_ticket_wait(&ticket, A_BIT_NS));
	ANSWERS(-ETIMEDOUT, defer_drop_queue_flush(queue, A_BIT_NS));
	ANSWERS(-ETIMEDOUT, defer_drop_queue_wait_backlog(queue, 0, UINT64_MAX, A_BIT_NS));
	while (!push_if_room())
		;
	ANSWERS(-EAGAIN, push_if_room());
	ANSWERS(-ETIMEDOUT, defer_drop_queue_push(queue, NULL, ignore, A_BIT_NS));
	ANSWERS(-EAGAIN, defer_drop_ticket_wait(&ticket, 0));
}

static void look_on(void)
{
	unsigned destroyed = stage->mate_destroyed;

	ANSWERS(0, push_if_room());
	for (unsigned i = 0; i < 2; i++) {
		int answer = defer_drop_ticket_wait(&tickets[i], 0);

		CHECK(!answer || answer == -EAGAIN);
	}
	CHECK(stats_of(queue).backlog);
	use_other_queue();
	if (stage->mode != AWAITED) /* a thread that has told may be about to free memory */
		use_new_queue();
	if (stage->mode == WAITED_ON)
		wait_in_vain();
	CHECK(stage->mate_destroyed == destroyed);
}

static void end_round(void)
{
	uint64_t told;

	AWAIT(stage->mate_destroyed == stage->mate_accepted); /* and no thread rings */
	if (stage->mode != AWAITED)
		return;
	CHECK(read(is_done_fd, &told, sizeof told) == sizeof told);
	CHECK(told == 1);
}

static void end(void)
{
	if (!course->is_stopping_worker)
		CHECK(!pthread_join(victims_thread, NULL));
	ANSWERS(0, defer_drop_queue_shutdown(queue, DEFER_DROP_FOREVER));
	CHECK(!stats_of(queue).abandoned_total);
	CHECK(stage->victim_destroyed == stage->victim_accepted);
	CHECK(stage->mate_destroyed == stage->mate_accepted);
	defer_drop_queue_free(queue); /* refused for the default one */
	end_queue(other_queue);
	exit(0);
}

static void *close_queue(void *ignored)
{
	(void)ignored;
	ANSWERS(0, defer_drop_queue_shutdown(queue, DEFER_DROP_FOREVER));
	report = stats_of(queue);
	return NULL;
}

static void begin_to_close(void)
{
	use_other_queue(); /* and find a lane there */
	push_some();
	CHECK(!pthread_create(&waiter, NULL, close_queue, NULL));
	AWAIT(dd_queue_state(queue) == DD_CLOSING);
}

static void look_on_end(void)
{
	bool is_closed = false;

	for (unsigned i = 0; i < 3; i++) {
		int answer = push_if_room();

		CHECK(!answer || answer == -ESHUTDOWN);
		CHECK(answer || !is_closed);
		is_closed = answer;
	}
	use_other_queue();
	atomic_store(&stage->has_finished, dd_queue_state(queue) >= DD_FINISHED);
}

static void find_closed(void)
{
	CHECK(!pthread_join(waiter, NULL));
	ANSWERS(-ESHUTDOWN, push_if_room());
	CHECK(stage->mate_destroyed == stage->mate_accepted);
	CHECK(report.destroyed_total == stage->mate_destroyed + 1 && !report.abandoned_total);
	ANSWERS(0, defer_drop_queue_free(queue));
	exit(0);
}

static void (*const duties[])(void) = {
	[GO_ON] = go_on,
	[GO_ON_AT_HOME] = go_on_at_home,
	[GO_ON_ALONE] = go_on_alone,
	[BE_HELD_UP] = be_held_up,
	[BE_LET_GO] = be_let_go,
	[LOOK] = look,
	[SHUT_DOWN] = shut_down,
	[OVERTAKE] = overtake,
	[GIVE_WAY] = give_way,
	[SETTLE] = settle,
	[BEGIN_ROUND] = begin_round,
	[ROUSE] = rouse,
	[LOOK_ON] = look_on,
	[END_ROUND] = end_round,
	[CLOSE] = begin_to_close,
	[LOOK_ON_END] = look_on_end,
	[FIND_CLOSED] = find_closed,
	[END] = end,
	[EXIT] = exit_with_drops,
};

_Noreturn void be_mate(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* also where the debugger gives up, or hangs */
	make_queue();
	ANSWERS(0, defer_drop_queue_create(&other_queue, NULL));
	is_done_fd = eventfd(0, EFD_CLOEXEC);
	CHECK(is_done_fd >= 0);
	if (course->is_first)
		go_on_at_home();
	if (course->is_stopping_worker)
		ANSWERS(0, defer_drop_queue_push(queue, NULL, be_seized, DEFER_DROP_FOREVER));
	else
		CHECK(!pthread_create(&victims_thread, NULL, be_victim, NULL));
	for (;;) {
		AWAIT(stage->duty);
		duties[stage->duty]();
		atomic_store(&stage->duty, 0);
	}
}
