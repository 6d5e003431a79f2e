/* SPDX-License-Identifier: MIT
 *
 * A thread that is stopped for good in the middle of a push, at each of its instructions in turn;
 * and the worker, stopped in the middle of a round.
 *
 * The case's process is the debugger. Its child has three roles: the victim, a thread that pushes;
 * the mate, its first thread, which does what the others of such a process would; and the worker.
 * For each turn the victim traps twice: between two pushes, and when it is about to push. What a
 * thread does once, its first push or the end of its queue, takes a new child for each turn.
 *
 * Where the worker is the victim, it traps in the destructor that begins a round. Some drops wait
 * behind that one; what the debugger steps through is to destroy them, to go to sleep, to be woken
 * by one more drop, and to take that. Nobody waits for anything meanwhile, unless the turn says so:
 * for who is awaited, the worker takes a lock, which a wait with a deadline needs as well.
 */
#define _GNU_SOURCE
#include "debugger.h"
#include "hostile.h"
#include "queue.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static struct gate gate;

#define MATE_DROPS 40
#define A_BIT_NS   UINT64_C(2000000)
/* So long the debugger waits for what need not come to pass. */
#define PATIENCE_NS UINT64_C(40000000)

/* Large enough for a case, so that no push comes to a limit and each takes the same way. */
#define SHARED_SIZE 65536

/* What the mate is told to do. */
enum duty {
	GO_ON = 1,     /* push, wait, flush, begin and end a thread */
	GO_ON_AT_HOME, /* the same, but for threads that have not pushed yet */
	GO_ON_ALONE,   /* push, and wait for nothing that could wake the worker */
	BE_HELD_UP,    /* find the shared lane held up, and nothing else */
	BE_LET_GO,     /* find all destroyed, once the victim goes on */
	LOOK,          /* whether the victim has claimed its place in the shared lane */
	SHUT_DOWN,     /* the way that this turn has */
	OVERTAKE,      /* fill the shared lane, with the worker held up */
	GIVE_WAY,      /* let the worker go on, and find nothing lost */
	SETTLE,        /* find nothing lost, once the victim goes on; and make the next queue */
	BEGIN_ROUND,   /* make the worker trap, with drops behind */
	ROUSE,         /* push once more if the worker sleeps for good, until it stands still */
	LOOK_ON,       /* use the queue in the way that this turn has, and others */
	END_ROUND,     /* find all destroyed, once the worker goes on */
	CLOSE,         /* begin a shutdown */
	LOOK_ON_END,   /* push to a queue that is being closed */
	FIND_CLOSED,   /* nothing lost, once the worker goes on, and end */
	END,           /* of all turns */
	EXIT,          /* end the process while the victim is stopped */
};

/* What a stopped worker finds when it goes on. */
enum round {
	PUSHED_TO, /* one more drop, and nobody waited */
	WAITED_ON, /* a full ring, and that others have waited in vain */
	AWAITED,   /* somebody to tell, as it had before */
};

/* The ways to shut a queue down: the values of mode. */
static const uint64_t shutdown_timeouts_ns[] = {DEFER_DROP_FOREVER, A_BIT_NS, 0};
#define SHUTDOWNS (sizeof shutdown_timeouts_ns / sizeof *shutdown_timeouts_ns)

/* A kind of push, and where it goes. */
struct course {
	int (*push)(struct defer_drop_queue *queue, void *object, defer_drop_fn destroy);
	struct defer_drop_config config;
	bool is_default;         /* the default queue */
	bool is_waking;          /* the worker sleeps before each */
	bool is_stopping_worker; /* the victim is the worker */
	bool is_first;           /* the push is the thread's first */
	unsigned stride;         /* instructions from one stop to the next */
};

/* What debugger and child share. */
struct stage {
	atomic_uint victim; /* thread id */
	atomic_uint is_watched;
	atomic_uint is_pushing;  /* or in its round */
	atomic_uint is_standing; /* a worker, where it was to be stopped */
	atomic_uint is_over;
	atomic_uint has_woken;
	atomic_uint answered; /* the push is over */
	atomic_int answer;
	atomic_uint duty; /* 0: done */
	atomic_uint mode; /* of shutdown, an index; or enum round */
	atomic_uint has_claimed;
	atomic_uint has_finished; /* the worker, with its queue */
	/* Numbers of drops: accepted, and destroyed in their order. */
	atomic_uint victim_accepted, victim_destroyed;
	atomic_uint mate_accepted, mate_destroyed;
};

static struct stage *stage;
static const struct course *course;

/* ---- The child ------------------------------------------------------------------------------- */

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

static void ignore(void *object)
{
	(void)object;
}

static struct defer_drop_stats stats_of_shared_lane(void)
{
	struct defer_drop_stats stats = DEFER_DROP_STATS_INIT;

	ANSWERS(0, defer_drop_queue_lane_stats(queue, 0, &stats));
	return stats;
}

static struct defer_drop_stats stats_of_queue(void)
{
	struct defer_drop_stats stats = DEFER_DROP_STATS_INIT;

	ANSWERS(0, defer_drop_queue_stats(queue, &stats));
	return stats;
}

static uint64_t wakes(void)
{
	return stats_of_queue().wakes_total;
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
	AWAIT(stage->is_watched); /* a trap that nobody watches is the end */
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
	atomic_store(&gate.is_entered, false);
	atomic_store(&gate.is_open, false);
	ANSWERS(0, defer_drop_queue_push(queue, &gate, pass_gate, DEFER_DROP_FOREVER));
	AWAIT(atomic_load(&gate.is_entered));
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
	report = stats_of_queue();
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
	later = stats_of_queue();
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
	slept_before = stats_of_queue().deep_sleeps_total;
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

/* Where it is made to execute one instruction after the other, it sleeps nowhere but there. */
static bool is_worker_asleep(void)
{
	char path[64];
	char state = 0;
	FILE *file;

	if (stats_of_queue().deep_sleeps_total == slept_before)
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
	CHECK(stats_of_queue().backlog);
	use_other_queue();
	if (stage->mode != AWAITED) /* who has told may be about to free memory */
		use_new_queue();
	if (stage->mode == WAITED_ON)
		wait_in_vain();
	CHECK(stage->mate_destroyed == destroyed);
}

static void end_round(void)
{
	uint64_t told;

	AWAIT(stage->mate_destroyed == stage->mate_accepted); /* and nobody calls the worker */
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
	CHECK(!stats_of_queue().abandoned_total);
	CHECK(stage->victim_destroyed == stage->victim_accepted);
	CHECK(stage->mate_destroyed == stage->mate_accepted);
	defer_drop_queue_free(queue); /* refused for the default one */
	ANSWERS(0, defer_drop_queue_shutdown(other_queue, DEFER_DROP_FOREVER));
	ANSWERS(0, defer_drop_queue_free(other_queue));
	exit(0);
}

static void *close_queue(void *ignored)
{
	(void)ignored;
	ANSWERS(0, defer_drop_queue_shutdown(queue, DEFER_DROP_FOREVER));
	report = stats_of_queue();
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

_Noreturn static void be_mate(void)
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

/* ---- The debugger ---------------------------------------------------------------------------- */

static pid_t child;
static pid_t victim;
static unsigned instructions; /* of the push, that the victim has executed */

static void begin(const struct course *of)
{
	course = of;
	stage = share_memory(sizeof *stage);
	child = fork();
	CHECK(child >= 0);
	if (!child)
		be_mate();
	AWAIT(stage->victim);
	victim = (pid_t)stage->victim;
	debugger_attach(victim);
	atomic_store(&stage->is_watched, 1);
	debugger_await_trap(victim);
}

/* Waits until the mate has done its duty, while the victim is stopped. */
static void await_mate(void)
{
	uint64_t until_ns = now_ns() + DEADLINE_NS / 2;

	while (stage->duty) {
		if (!debugger_has(victim) || now_ns() > until_ns) {
			fprintf(stderr,
				"the others cannot go on: duty %u, mode %u, stopped after %u\n",
				stage->duty, stage->mode, instructions);
			exit(1);
		}
		rest_a_bit();
	}
}

static void order(enum duty duty)
{
	atomic_store(&stage->duty, duty);
	await_mate();
}

static void await_child(void)
{
	int status;

	while (waitpid(child, &status, 0) < 0)
		CHECK(errno == EINTR);
	CHECK(!status);
	CHECK(!munmap(stage, sizeof *stage));
}

static void finish(void)
{
	atomic_store(&stage->is_over, 1);
	debugger_see_off(victim);
	atomic_store(&stage->duty, END);
	await_child();
}

/* Lets the victim finish its push. */
static void release(void)
{
	debugger_continue(victim);
	debugger_await_trap(victim);
}

/* From the trap. */
static bool step_on(unsigned count)
{
	while (!stage->is_pushing)
		debugger_step(victim);
	for (instructions = 0; instructions < count && stage->is_pushing; instructions++)
		debugger_step(victim);
	return stage->is_pushing;
}

/* Stops the victim so far into its next push. False where that took fewer instructions. */
static bool step_into(unsigned count)
{
	debugger_continue(victim);
	debugger_await_trap(victim);
	return step_on(count);
}

/* The same. A push that should have woken the worker and did not is not counted. */
static bool stops_after(unsigned count)
{
	do {
		if (step_into(count))
			return true;
		release();
	} while (course->is_waking && !stage->has_woken);
	return false;
}

/* Makes the worker trap, where a round begins. */
static void trap_worker(void)
{
	atomic_store(&stage->duty, BEGIN_ROUND);
	debugger_await_trap(victim);
	await_mate();
}

/* Stops the worker so far into its next round. False where that took fewer instructions. */
static bool stops_in_round(unsigned count)
{
	bool is_inside;

	trap_worker();
	atomic_store(&stage->is_standing, 0);
	atomic_store(&stage->duty, ROUSE);
	is_inside = step_on(count);
	atomic_store(&stage->is_standing, 1);
	await_mate();
	return is_inside;
}

static void finish_worker(void)
{
	trap_worker();
	atomic_store(&stage->duty, END);
	debugger_see_off(victim);
	await_child();
}

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

/* Ends the process so far into the push. False where that took fewer instructions. */
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

/* Each time another thread, which has pushed nowhere. */
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

/* Stops the worker so far into what it does when its queue is closed. True where that was all. */
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
		"A thread stopped at any instruction of a push to its own lane holds up nobody.",
		run_defer_drop},
	{"limit", "Nor where the push looks for room.", run_limit},
	{"options", "Nor where the drop has options.", run_options},
	{"waking", "Nor do those who wait wait for it where it was waking the worker.", run_waking},
	{"shared",
		"In the shared lane it holds up those behind it, from claim to publish, and no "
		"others.",
		run_shared},
	{"shared_options",
		"So where the drop has options, and takes two places that are published one after "
		"the other.",
		run_shared_options},
	{"shared_waking",
		"So where the worker sleeps: others wake it, or who waits does where it was about "
		"to.",
		run_shared_waking},
	{"overtaken", "Where others take the room that it has seen, it waits for other room.",
		run_overtaken},
	{"shutdown_owned", "A shutdown does not wait for it, and both agree on what was accepted.",
		run_shutdown_owned},
	{"shutdown_options", "Nor where the drop has options.", run_shutdown_options},
	{"shutdown_waking", "Nor where it was waking the worker.", run_shutdown_waking},
	{"shutdown_shared", "Nor in the shared lane.", run_shutdown_shared},
	{"shutdown_shared_options", "Nor with options there.", run_shutdown_shared_options},
	{"exit", "Nor does the end of the process.", run_exit},
	{"worker",
		"A worker stopped at any instruction of a round holds up no push; it finds what "
		"was "
		"pushed meanwhile.",
		run_worker},
	{"worker_waited_on", "Who waits for it does so until the deadline.", run_worker_waited_on},
	{"worker_awaited", "Nor does it hold up a push where it was telling who waited.",
		run_worker_awaited},
	{"first", "A thread stopped in its first push holds up nobody who has pushed before.",
		run_first},
	{"worker_closing",
		"A worker stopped while it closes its queue holds up no push, taken or refused.",
		run_worker_closing},
	{NULL, NULL, NULL},
};
