/* SPDX-License-Identifier: MIT
 *
 * Reports about guards: the program's handler, and the guards that must be closed.
 */
#include "face/trouble.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fork.h"
#include "base/report.h"

/*
 * A guard that must be closed. Not in the guard itself, which may be on a stack that is gone by the
 * time of the report.
 */
struct defer_drop_forgotten {
	struct defer_drop_forgotten *next;
	struct defer_drop_forgotten **link; /* to this one */
	struct defer_drop_trouble trouble;
	pid_t process;
	bool has_been_told;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* Under the lock, like all variables below. */
static struct defer_drop_forgotten *first;
static defer_drop_trouble_fn handler;
static void *handler_context;

static struct defer_drop_trouble trouble_of(
	const struct defer_drop_guard *guard, enum defer_drop_trouble_kind kind)
{
	return (struct defer_drop_trouble){
		.size = sizeof(struct defer_drop_trouble),
		.kind = kind,
		.object = guard->object,
		.file = guard->file,
		.line = guard->line,
	};
}

/* ---- The handler ----------------------------------------------------------------------------- */

static void print(const struct defer_drop_trouble *trouble)
{
	switch (trouble->kind) {
	case DEFER_DROP_TROUBLE_FORGOTTEN:
		dd_report(NULL, "%s:%u: the guard of %p was never closed", trouble->file,
			trouble->line, trouble->object);
		break;
	case DEFER_DROP_TROUBLE_REFUSED:
		dd_report(NULL, "%s:%u: %p could not be dropped: %s", trouble->file, trouble->line,
			trouble->object, strerror(-trouble->error));
		break;
	case DEFER_DROP_TROUBLE_FAILED:
		dd_report(NULL, "%s:%u: destroying %p failed: %s", trouble->file, trouble->line,
			trouble->object, strerror(-trouble->error));
	}
}

static void tell(const struct defer_drop_trouble *trouble)
{
	defer_drop_trouble_fn handle;
	void *context;

	pthread_mutex_lock(&lock);
	handle = handler;
	context = handler_context;
	pthread_mutex_unlock(&lock);
	if (handle)
		handle(context, trouble);
	else
		print(trouble);
}

void dd_trouble_tell(
	enum defer_drop_trouble_kind kind, const struct defer_drop_guard *guard, int error)
{
	struct defer_drop_trouble trouble = trouble_of(guard, kind);

	trouble.error = error;
	tell(&trouble);
}

void defer_drop_trouble_handle(defer_drop_trouble_fn handle, void *context)
{
	pthread_mutex_lock(&lock);
	handler = handle;
	handler_context = context;
	pthread_mutex_unlock(&lock);
}

void defer_drop_trouble_abort(void *context, const struct defer_drop_trouble *trouble)
{
	(void)context;
	if (!trouble)
		return;
	print(trouble);
	if (trouble->kind == DEFER_DROP_TROUBLE_FORGOTTEN)
		abort();
}

/* ---- Guards that must be closed -------------------------------------------------------------- */

static void hold(void)
{
	pthread_mutex_lock(&lock);
}

static void let_go(void)
{
	pthread_mutex_unlock(&lock);
}

static struct dd_fork_part fork_part = {hold, let_go, let_go, NULL};

DD_AT_LOAD static void hear_of_fork(void)
{
	dd_fork_add(&fork_part);
}

static void link_first(struct defer_drop_forgotten *forgotten)
{
	forgotten->next = first;
	forgotten->link = &first;
	if (first)
		first->link = &forgotten->next;
	first = forgotten;
}

int dd_trouble_note(struct defer_drop_guard *guard)
{
	struct defer_drop_forgotten *forgotten = malloc(sizeof *forgotten);

	if (!forgotten || !dd_fork_is_heard()) {
		free(forgotten);
		return -ENOMEM;
	}
	*forgotten = (struct defer_drop_forgotten){
		.trouble = trouble_of(guard, DEFER_DROP_TROUBLE_FORGOTTEN),
		.process = getpid(),
	};
	pthread_mutex_lock(&lock);
	link_first(forgotten);
	pthread_mutex_unlock(&lock);
	guard->forgotten = forgotten;
	return 0;
}

void dd_trouble_cross_out(struct defer_drop_guard *guard)
{
	struct defer_drop_forgotten *forgotten = guard->forgotten;

	if (!forgotten)
		return;
	pthread_mutex_lock(&lock);
	*forgotten->link = forgotten->next;
	if (forgotten->next)
		forgotten->next->link = forgotten->link;
	pthread_mutex_unlock(&lock);
	guard->forgotten = NULL;
	free(forgotten);
}

/* Takes the next guard to report, of those that this process armed; not those of its parent. */
static bool take_forgotten(struct defer_drop_trouble *trouble)
{
	struct defer_drop_forgotten *at;
	pid_t process = getpid();

	pthread_mutex_lock(&lock);
	for (at = first; at && (at->has_been_told || at->process != process);)
		at = at->next;
	if (at) {
		at->has_been_told = true;
		*trouble = at->trouble;
	}
	pthread_mutex_unlock(&lock);
	return at;
}

/* Runs after all handlers of atexit(3), each of which may still close a guard. */
__attribute__((destructor)) static void tell_forgotten(void)
{
	struct defer_drop_trouble trouble;

	dd_fork_break_off();
	while (take_forgotten(&trouble))
		tell(&trouble);
}
