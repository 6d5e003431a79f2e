/* SPDX-License-Identifier: MIT
 *
 * liburcu's own ways to defer: defer_rcu (a ring per thread, drained after a grace period, by a
 * worker or by the caller when full) and call_rcu (a list and a worker). Both give more than we are
 * asked for here, a grace period; there are no readers.
 */
#include <stdlib.h>
#include <urcu.h>
#include <urcu/defer.h>

#include "bench.h"
#include "peer.h"

/* Their workers inherit the CPU of the thread that starts them: for that moment, the second. */

static void unregister_defer(void)
{
	rcu_defer_unregister_thread();
	rcu_unregister_thread();
}

/* Once: a thread that has unregistered cannot register again in liburcu 0.13. */
static void begin_defer(void)
{
	static int is_registered;

	if (is_registered++)
		return;
	rcu_register_thread();
	bench_pin(1);
	if (rcu_defer_register_thread())
		abort();
	bench_pin(0);
	atexit(unregister_defer);
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

const struct peer peer_defer_rcu = {
	"liburcu defer_rcu", begin_defer, push_defer, flush_defer, NULL};

/* As in real use the head is part of the object, so that call_rcu allocates nothing. */
static struct rcu_head *heads;
static uint64_t heads_count;

static void destroy_head(struct rcu_head *head)
{
	peer_destroy(head);
}

static void begin_call(void)
{
	bench_pin(1);
	if (!get_default_call_rcu_data())
		abort();
	bench_pin(0);
}

static void push_call(uint64_t count)
{
	if (heads_count < count) {
		free(heads);
		heads = calloc(count, sizeof *heads);
		heads_count = count;
		if (!heads)
			abort();
	}
	for (uint64_t i = 0; i < count; i++)
		call_rcu(&heads[i], destroy_head);
}

static void flush_call(void)
{
	rcu_barrier();
}

const struct peer peer_call_rcu = {"liburcu call_rcu", begin_call, push_call, flush_call, NULL};
