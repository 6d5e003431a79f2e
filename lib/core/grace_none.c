/* SPDX-License-Identifier: MIT
 *
 * A build without liburcu: grace periods are refused at the push, so the consumer never meets them.
 */
#include "core/grace.h"

#include "config/built_in.h"
#if !DD_HAS_RCU

#include <errno.h>
#include <stddef.h>

int dd_grace_use(struct dd_grace *grace)
{
	(void)grace;
	return -ENOTSUP;
}

bool dd_grace_is_reading(struct dd_grace *grace)
{
	(void)grace;
	return false;
}

bool dd_grace_is_inside(struct dd_grace *grace)
{
	(void)grace;
	return false;
}

uint64_t dd_grace_ask_again_ns(struct dd_grace *grace, uint64_t deadline_ns)
{
	(void)grace;
	return deadline_ns;
}

bool dd_grace_covers(struct dd_lane *lane, uint64_t at)
{
	(void)lane;
	(void)at;
	return true;
}

bool dd_grace_covers_nested(struct dd_lane *lane)
{
	(void)lane;
	return true;
}

void dd_grace_collect(struct defer_drop_queue *queue, bool may_wait)
{
	(void)queue;
	(void)may_wait;
}

void dd_grace_rest(struct defer_drop_queue *queue, uint64_t deadline_ns)
{
	(void)queue;
	(void)deadline_ns;
}

bool dd_grace_hurry(struct defer_drop_queue *queue)
{
	(void)queue;
	return true;
}

void dd_grace_enter(struct dd_grace *grace)
{
	(void)grace;
}

void dd_grace_leave(struct dd_grace *grace)
{
	(void)grace;
}

void dd_grace_go_offline(struct dd_grace *grace)
{
	(void)grace;
}

void dd_grace_go_online(struct dd_grace *grace)
{
	(void)grace;
}

void dd_grace_be_quiescent(struct dd_grace *grace)
{
	(void)grace;
}

int dd_grace_init(struct dd_grace *grace, const struct rcu_flavor_struct *flavor)
{
	(void)grace;
	return flavor ? -ENOTSUP : 0;
}

int dd_grace_stop(struct defer_drop_queue *queue, uint64_t deadline_ns)
{
	(void)queue;
	(void)deadline_ns;
	return 0;
}

void dd_grace_end(struct dd_grace *grace)
{
	(void)grace;
}

bool dd_grace_suspend(struct dd_grace *grace)
{
	(void)grace;
	return false;
}

void dd_grace_resume(struct dd_grace *grace)
{
	(void)grace;
}

void dd_grace_fork(void)
{
}

bool dd_grace_survive(struct dd_grace *grace, bool is_worker)
{
	(void)grace;
	(void)is_worker;
	return true;
}

#endif
