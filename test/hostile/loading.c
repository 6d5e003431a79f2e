/* SPDX-License-Identifier: MIT
 *
 * A library that is loaded and unloaded, and more than one copy of it in a process.
 */
#include "hostile.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "plugin.h"

/* Set by the build: a plugin that uses the shared library, and one that contains the static one. */
#define SHARED SHARED_PLUGIN
#define INSIDE INSIDE_PLUGIN

/* A sanitizer's own locks may be held by threads that a forked child lacks. */
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define HAS_SANITIZER
#endif

/* musl unloads nothing. */
#ifdef __GLIBC__
#define UNLOADS true
#else
#define UNLOADS false
#endif

/* ThreadSanitizer's atexit(3) knows nothing of shared objects: it calls the handler of one that was
 * closed when the process ends, and by then the handler is gone. */
#if defined __GLIBC__ && !defined __SANITIZE_THREAD__
#define HEARS_OF_CLOSE
#endif

#define TIMES 100
#define DROPS 300

struct loaded {
	void *handle;
	const struct plugin *plugin;
};

static struct loaded load(const char *path)
{
	struct loaded loaded = {.handle = dlopen(path, RTLD_NOW | RTLD_LOCAL)};

	if (!loaded.handle)
		fprintf(stderr, "%s\n", dlerror());
	CHECK(loaded.handle);
	loaded.plugin = dlsym(loaded.handle, "plugin");
	CHECK(loaded.plugin);
	return loaded;
}

static bool is_loaded(const char *path)
{
	void *handle = dlopen(path, RTLD_NOW | RTLD_NOLOAD);

	return handle && !dlclose(handle);
}

/* ---- Plugins come and go --------------------------------------------------------------------- */

static void load_and_unload(struct ledger *ledger)
{
	struct loaded loaded = load(SHARED);

	CHECK(loaded.plugin->queue() == defer_drop_queue_default());
	ANSWERS(0, loaded.plugin->push(DROPS, &ledger->destroyed, 0));
	ANSWERS(0, loaded.plugin->flush());
	CHECK(!dlclose(loaded.handle));
	CHECK(is_loaded(SHARED) != UNLOADS); /* its destructors are gone */
}

static void run_plugin(void)
{
	struct ledger *ledger = ledger_open();

	for (unsigned i = 1; i <= TIMES; i++) {
		load_and_unload(ledger);
		CHECK(ledger->destroyed == i * DROPS);
	}
	ANSWERS(0, defer_drop_shutdown());
	CHECK(ledger->destroyed == TIMES * DROPS);
}

/* What its destructors are wanted for is gone when its queue has ended, and nothing else is waited for. */
static void run_owner(void)
{
	struct ledger *ledger = ledger_open();
	struct ledger *others = ledger_open();
	struct gate gate;
	unsigned times = scaled(100, 1000);

	hold_up(defer_drop_queue_default(), &gate);
	ANSWERS(0, ledger_push(others, defer_drop_queue_default()));
	for (unsigned i = 1; i <= times; i++) {
		struct loaded loaded = load(SHARED);

		ANSWERS(0, loaded.plugin->push_own(3, &ledger->destroyed));
		ANSWERS(0, loaded.plugin->end_own());
		CHECK(ledger->destroyed == 3 * i);
		CHECK(!dlclose(loaded.handle));
		CHECK(is_loaded(SHARED) != UNLOADS);
	}
	CHECK(!others->destroyed);
	atomic_store(&gate.is_open, true);
	ANSWERS(0, defer_drop_shutdown());
}

/* Uses the default queue, and does not wait for what was dropped behind its own. */
static void run_group(void)
{
	struct ledger *ledger = ledger_open();
	unsigned times = scaled(100, 1000);

	for (unsigned i = 1; i <= times; i++) {
		struct loaded loaded = load(SHARED);
		struct gate gate;

		ANSWERS(0, loaded.plugin->push_grouped(3, &ledger->destroyed));
		hold_up(defer_drop_queue_default(), &gate);
		ANSWERS(0, loaded.plugin->end_group());
		CHECK(ledger->destroyed == 3 * i);
		CHECK(!dlclose(loaded.handle));
		CHECK(is_loaded(SHARED) != UNLOADS);
		atomic_store(&gate.is_open, true);
		ANSWERS(0, defer_drop_flush());
	}
	ANSWERS(0, defer_drop_shutdown());
}

/* Neither for what was dropped before. */
static void run_abandoned(void)
{
	struct ledger *ledger = ledger_open();
	unsigned times = scaled(100, 1000);

	for (unsigned i = 1; i <= times; i++) {
		struct loaded loaded = load(SHARED);
		struct gate gate;

		hold_up(defer_drop_queue_default(), &gate);
		ANSWERS(0, loaded.plugin->push_grouped(3, &ledger->destroyed));
		ANSWERS(0, loaded.plugin->abandon_group());
		CHECK(!dlclose(loaded.handle));
		CHECK(is_loaded(SHARED) != UNLOADS);
		atomic_store(&gate.is_open, true);
		ANSWERS(0, defer_drop_flush());
		CHECK(!ledger->destroyed);
	}
	ANSWERS(0, defer_drop_shutdown());
}

static void *load_in_thread(void *ledger)
{
	for (unsigned i = 0; i < TIMES / 4; i++) {
		struct loaded loaded = load(SHARED);

		ANSWERS(0, loaded.plugin->push(DROPS, &((struct ledger *)ledger)->destroyed, 0));
		ANSWERS(0, loaded.plugin->flush());
		CHECK(!dlclose(loaded.handle));
	}
	return NULL;
}

static void run_threads(void)
{
	struct ledger *ledger = ledger_open();
	pthread_t threads[4];

	for (unsigned i = 0; i < 4; i++)
		CHECK(!pthread_create(&threads[i], NULL, load_in_thread, ledger));
	for (unsigned i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	CHECK(ledger->destroyed == TIMES / 4 * 4 * DROPS);
	CHECK(is_loaded(SHARED) != UNLOADS);
}

/* ---- Two copies ------------------------------------------------------------------------------ */

static void *use_inside(void *ledger)
{
	struct loaded loaded = load(INSIDE);

	ANSWERS(0, loaded.plugin->push(DROPS, &((struct ledger *)ledger)->destroyed, 0));
	return NULL;
}

static void run_copies(void)
{
	struct ledger *own = ledger_open();
	struct ledger *theirs = ledger_open();
	struct loaded loaded = load(INSIDE);
	struct defer_drop_stats stats = DEFER_DROP_STATS_INIT;
	pthread_t thread;

	CHECK(loaded.plugin->queue() != defer_drop_queue_default());
	CHECK(!pthread_create(&thread, NULL, use_inside, theirs));
	pthread_join(thread, NULL);
	ANSWERS(0, loaded.plugin->push(DROPS, &theirs->destroyed, 0));
	ANSWERS(0, ledger_push(own, defer_drop_queue_default()));
	ANSWERS(0, loaded.plugin->flush());
	CHECK(theirs->destroyed == 2 * DROPS);
	ANSWERS(0, defer_drop_flush());
	CHECK(own->destroyed == 1);
	ANSWERS(0, defer_drop_queue_stats(defer_drop_queue_default(), &stats));
	CHECK(stats.pushed_total == 1 && stats.destroyed_total == 1);
	/* A shutdown of one copy does not close the other. */
	ANSWERS(0, defer_drop_shutdown());
	ANSWERS(0, loaded.plugin->push(DROPS, &theirs->destroyed, 0));
	ANSWERS(0, loaded.plugin->flush());
	CHECK(theirs->destroyed == 3 * DROPS);
}

struct pair {
	struct ledger *own;
	struct ledger *theirs;
};

static void push_to_both(const struct pair *pair, const struct loaded *loaded)
{
	for (unsigned i = 0; i < DROPS; i++)
		ANSWERS(0, ledger_push(pair->own, defer_drop_queue_default()));
	ANSWERS(0, loaded->plugin->push(DROPS, &pair->theirs->destroyed, 1));
}

static void leave_both(void *argument)
{
	struct loaded loaded = load(INSIDE);

	push_to_both(argument, &loaded);
	exit(0);
}

static void run_exit(void)
{
	struct pair pair = {ledger_open(), ledger_open()};

	run_good_child(leave_both, &pair);
	CHECK(pair.own->destroyed == DROPS && pair.theirs->destroyed == DROPS);
}

#ifndef HAS_SANITIZER

static void fork_both(void *argument)
{
	struct loaded loaded = load(INSIDE);
	int status;
	pid_t child;

	push_to_both(argument, &loaded);
	child = fork();
	CHECK(child >= 0);
	push_to_both(argument, &loaded);
	if (child) {
		CHECK(waitpid(child, &status, 0) == child);
		CHECK(!status);
	}
	exit(0);
}

/* What was pending in the parent is the parent's alone. */
static void run_fork(void)
{
	struct pair pair = {ledger_open(), ledger_open()};

	run_good_child(fork_both, &pair);
	CHECK(pair.own->destroyed == 3 * DROPS && pair.theirs->destroyed == 3 * DROPS);
}

/* ---- Handlers of fork that are older than a copy, so that they run between its own ------------- */

enum { BEFORE, IN_PARENT, IN_CHILD, PLACES };

static struct {
	struct pair pair;
	unsigned place; /* where exit is called */
	bool is_used;
	bool is_in_thread;
} leaving;

static void leave_at(unsigned place)
{
	if (leaving.place == place)
		exit(0);
}

static void leave_before(void)
{
	leave_at(BEFORE);
}

static void leave_in_parent(void)
{
	leave_at(IN_PARENT);
}

static void leave_in_child(void)
{
	leave_at(IN_CHILD);
}

static void *fork_and_leave(void *argument)
{
	int status = 0;
	pid_t child = fork();

	(void)argument;
	CHECK(child >= 0 && leaving.place != (child ? IN_PARENT : IN_CHILD));
	if (child)
		CHECK(waitpid(child, &status, 0) == child && !status);
	exit(0);
}

static void leave_in_fork(void *argument)
{
	struct loaded loaded;
	pthread_t thread;

	(void)argument;
	CHECK(!pthread_atfork(leave_before, leave_in_parent, leave_in_child));
	loaded = load(INSIDE);
	if (leaving.is_used)
		push_to_both(&leaving.pair, &loaded);
	if (!leaving.is_in_thread)
		fork_and_leave(NULL);
	CHECK(!pthread_create(&thread, NULL, fork_and_leave, NULL));
	pthread_join(thread, NULL);
}

static void run_older(void)
{
	for (unsigned i = 0; i < 4 * PLACES; i++) {
		leaving.pair = (struct pair){ledger_open(), ledger_open()};
		leaving.place = i / 4;
		leaving.is_used = i & 1;
		leaving.is_in_thread = i & 2;
		run_good_child(leave_in_fork, NULL);
		CHECK(leaving.pair.own->destroyed == leaving.is_used * DROPS);
		CHECK(leaving.pair.theirs->destroyed == leaving.is_used * DROPS);
	}
}

#endif

#ifdef HEARS_OF_CLOSE

/* ---- Unloaded with drops pending ------------------------------------------------------------- */

static void close_early(void *argument)
{
	struct ledger *ledger = argument;
	struct loaded loaded = load(INSIDE);

	ANSWERS(0, loaded.plugin->push(DROPS, &ledger->destroyed, 1));
	CHECK(!dlclose(loaded.handle)); /* the exit of the copy: it drains */
	CHECK(ledger->destroyed == DROPS && !is_loaded(INSIDE));
	CHECK(fork() >= 0); /* by nothing that has gone */
	exit(0);
}

static void run_pending(void)
{
	struct ledger *ledger = ledger_open();

	run_good_child(close_early, ledger);
	CHECK(ledger->destroyed == DROPS);
}

struct late {
	struct ledger *ledger;
	struct loaded loaded;
	atomic_bool has_pushed;
	atomic_bool is_closed;
};

static void *outlive(void *argument)
{
	struct late *late = argument;

	ANSWERS(0, late->loaded.plugin->push(DROPS, &late->ledger->destroyed, 0));
	late->has_pushed = true;
	AWAIT(late->is_closed);
	return NULL;
}

static void run_late(void)
{
	struct late late = {.ledger = ledger_open(), .loaded = load(INSIDE)};
	pthread_t thread;

	CHECK(!pthread_create(&thread, NULL, outlive, &late));
	AWAIT(late.has_pushed);
	CHECK(!dlclose(late.loaded.handle));
	CHECK(late.ledger->destroyed == DROPS);
	late.is_closed = true;
	pthread_join(thread, NULL);
	CHECK(!is_loaded(INSIDE));
}

#endif

const struct hostile_case hostile_cases[] = {
	{"plugin", "A plugin may be unloaded after a flush, and loaded again, a hundred times.",
		run_plugin},
	{"owner",
		"A plugin with a queue of its own may be unloaded when that has ended, a thousand "
		"times.",
		run_owner},
	{"group",
		"A plugin that drops in the name of a group may be unloaded when that has ended, a "
		"thousand times.",
		run_group},
	{"abandoned",
		"A plugin whose group was abandoned may be unloaded at once, a thousand times.",
		run_abandoned},
	{"threads", "Threads may load, use and unload a plugin at once.", run_threads},
	{"copies", "Two copies of the library in a process know nothing of each other.",
		run_copies},
	{"exit", "At exit both copies drain.", run_exit},
#ifndef HAS_SANITIZER
	{"fork", "A fork leaves both copies usable, in parent and child.", run_fork},
	{"older", "Handlers of fork that are older than a copy may call exit: it drains.",
		run_older},
#endif
#ifdef HEARS_OF_CLOSE
	{"pending", "A plugin with a copy inside that is closed with drops pending drains.",
		run_pending},
	{"late",
		"A thread that dropped by a plugin with a copy inside may end after that has gone.",
		run_late},
#endif
	{NULL, NULL, NULL},
};
