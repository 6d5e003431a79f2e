/* SPDX-License-Identifier: MIT
 *
 * liburcu's own ways to defer: defer_rcu (a ring per thread, drained after a grace period, by a
 * worker or by the caller when full) and call_rcu (a list and a worker, one for all or one for each
 * thread). Both wait for a grace period, which is not needed here, as there are no readers. Their
 * workers inherit the CPU of their starter, which is on the consumer's CPU for that moment.
 */
#include "peer.h"

#include <stdlib.h>
#include <urcu.h>
#include <urcu/defer.h>

#include "bench.h"

/* ---- defer_rcu ------------------------------------------------------------------------------- */

static void join_defer(unsigned nth, uint64_t pushes)
{
	(void)pushes;
	rcu_register_thread();
	bench_pin_consumer();
	if (rcu_defer_register_thread())
		abort();
	bench_pin_producer(nth);
}

static void push_defer(uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		defer_rcu(peer_destroy, NULL);
}

static void flush_defer(void)
{
	rcu_defer_barrier();
}

static void leave_defer(void)
{
	rcu_defer_unregister_thread();
	rcu_unregister_thread();
}

const struct peer peer_defer_rcu = {.name = "liburcu defer_rcu",
	.join = join_defer,
	.push = push_defer,
	.flush = flush_defer,
	.leave = leave_defer};

/* ---- call_rcu -------------------------------------------------------------------------------- */

/* As in real use, the head is part of the object, so that call_rcu allocates nothing. */
static _Thread_local struct rcu_head *heads, *next_head;

static void destroy_head(struct rcu_head *head)
{
	peer_destroy(head);
}

static void begin_call(void)
{
	if (!get_default_call_rcu_data())
		abort();
}

static void join_call(unsigned nth, uint64_t pushes)
{
	(void)nth;
	rcu_register_thread();
	heads = next_head = peer_allocate(pushes, sizeof *heads);
}

static void push_call(uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		call_rcu(next_head++, destroy_head);
}

static void flush_call(void)
{
	rcu_barrier();
}

static void leave_call(void)
{
	free(heads);
	rcu_unregister_thread();
}

const struct peer peer_call_rcu = {.name = "liburcu call_rcu",
	.begin = begin_call,
	.join = join_call,
	.push = push_call,
	.flush = flush_call,
	.leave = leave_call};

/* Kept for the next measurement: liburcu 0.13 does not join a worker's thread when it is freed. */
static struct call_rcu_data *workers[PEER_PRODUCERS];

static void join_call_own(unsigned nth, uint64_t pushes)
{
	join_call(nth, pushes);
	bench_pin_consumer();
	if (!workers[nth])
		workers[nth] = create_call_rcu_data(0, -1);
	if (!workers[nth])
		abort();
	bench_pin_producer(nth);
	set_thread_call_rcu_data(workers[nth]);
}

static void leave_call_own(void)
{
	set_thread_call_rcu_data(NULL);
	leave_call();
}

const struct peer peer_call_rcu_own = {.name = "liburcu call_rcu per thread",
	.join = join_call_own,
	.push = push_call,
	.flush = flush_call,
	.leave = leave_call_own};
