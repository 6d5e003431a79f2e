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
 * by one more drop, and to take that. No thread waits for anything meanwhile, unless the turn says
 * so: to wake a thread the worker takes a lock, which a wait with a deadline needs as well.
 */
#ifndef STOPPED_H
#define STOPPED_H

#include "hostile.h"

#include <sys/types.h>

#define A_BIT_NS UINT64_C(2000000)
/* The debugger waits this long for what need not happen. */
#define PATIENCE_NS UINT64_C(40000000)

/* Large enough for a case, so that no push comes to a limit and each takes the same way. */
#define SHARED_SIZE 65536

/* The duties of the mate. */
enum duty {
	GO_ON = 1,     /* push, wait, flush, begin and end a thread */
	GO_ON_AT_HOME, /* as GO_ON, for threads that have not pushed yet */
	GO_ON_ALONE,   /* push, and wait for nothing that could wake the worker */
	BE_HELD_UP,    /* find the shared lane held up, and nothing else */
	BE_LET_GO,     /* find all destroyed, once the victim goes on */
	LOOK,          /* whether the victim has claimed its place in the shared lane */
	SHUT_DOWN,     /* the way that this turn has */
	OVERTAKE,      /* fill the shared lane, with the worker held up */
	GIVE_WAY,      /* let the worker go on, and find nothing lost */
	SETTLE,        /* find nothing lost, once the victim goes on; and make the next queue */
	BEGIN_ROUND,   /* make the worker trap, with drops behind */
	ROUSE,         /* push once more if the worker is in deep sleep, until it stands still */
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
	PUSHED_TO, /* one more drop, and no waiter */
	WAITED_ON, /* a full ring, and that others have waited in vain */
	AWAITED,   /* a waiter to wake, as it had before */
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

extern struct stage *stage;
extern const struct course *course;

/* Becomes the child: its first thread is the mate. */
_Noreturn void be_mate(void);

/* ---- The debugger's side --------------------------------------------------------------------- */

extern pid_t victim;
extern unsigned instructions; /* of the push, that the victim has executed */

/* Starts a child with this course, and waits until its victim traps. */
void begin(const struct course *of);

/* Waits until the mate has done its duty, while the victim is stopped. */
void await_mate(void);

/* Tells the mate to do its duty, and waits for it. */
void order(enum duty duty);

/* Waits for the end of the child, which must be a good one. */
void await_child(void);

/* Ends the victim, then the child. */
void finish(void);

/* Lets the victim finish its push. */
void release(void);

/* Stops the victim this number of instructions into its next push. False if that took fewer. */
bool step_into(unsigned count);

/* As step_into; a push that should have woken the worker and did not is not counted. */
bool stops_after(unsigned count);

/* Stops the worker this number of instructions into its next round. False if that took fewer. */
bool stops_in_round(unsigned count);

/* Ends the worker, then the child. */
void finish_worker(void);

#endif
