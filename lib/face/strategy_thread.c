/* SPDX-License-Identifier: MIT
 *
 * The strategy that makes a thread for each object.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/thread.h"
#include "defer_drop/strategy.h"

struct drop {
	void *object;
	defer_drop_fn destroy;
};

static void *run(void *argument)
{
	struct drop drop = *(struct drop *)argument;

	free(argument);
	drop.destroy(drop.object);
	return NULL;
}

/* Starts a thread. Returns 0 or an error of pthread_create(3). */
static int start(struct drop *drop)
{
	pthread_t thread;
	int error = dd_thread_create(&thread, NULL, run, drop);

	if (!error)
		pthread_detach(thread);
	return error;
}

static int drop_by_thread(
	const struct defer_drop_strategy *strategy, void *object, defer_drop_fn destroy)
{
	struct drop *drop = malloc(sizeof *drop);
	int error;

	(void)strategy;
	if (!drop)
		return -ENOMEM;
	*drop = (struct drop){object, destroy};
	error = start(drop);
	if (error)
		free(drop);
	/* pthread_create(3) means that there can be no more threads. */
	return error == EAGAIN ? -ESRCH : -error;
}

const struct defer_drop_strategy defer_drop_strategy_thread = {
	DEFER_DROP_STRATEGY_VERSION, drop_by_thread, NULL};
