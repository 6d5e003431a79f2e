/* SPDX-License-Identifier: MIT
 *
 * The way with liburcu's call_rcu: a list without a limit, and a thread that destroys after a grace
 * period.
 */
#include <errno.h>
#include <signal.h>

#include "reclaim.h"

static void destroy(struct rcu_head *head)
{
	garbage_destroy(caa_container_of(head, struct garbage, head));
}

static int start(const struct reclaim_config *config)
{
	sigset_t all;
	sigset_t before;
	struct call_rcu_data *data;

	(void)config;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	data = get_default_call_rcu_data();
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	rcu_register_thread();
	return data ? 0 : -EAGAIN;
}

static bool push(struct garbage *garbage)
{
	call_rcu(&garbage->head, destroy);
	return true;
}

static int notify(int eventfd)
{
	return garbage_push_marker(push, eventfd);
}

static void stop(void)
{
	rcu_barrier();
	rcu_unregister_thread();
}

const struct reclaim_way reclaim_call_rcu = {.name = "call_rcu",
	.has_grace_periods = true,
	.start = start,
	.push = push,
	.notify = notify,
	.stop = stop};
