/* SPDX-License-Identifier: MIT
 *
 * Readers of a soak: what a site shows may not be destroyed while one of them looks at it.
 */
#define URCU_API_MAP /* the names without a flavor */
#include <errno.h>
#include <stdlib.h>
#include <urcu/urcu-memb.h>

#include "soak.h"

const bool soak_has_readers = true;

void reader_begin(void)
{
	rcu_register_thread();
}

void reader_end(void)
{
	rcu_unregister_thread();
}

static void look(struct site *site, unsigned long times)
{
	struct load *load;
	uint64_t mark;

	rcu_read_lock();
	load = atomic_load_explicit(&site->shown, memory_order_acquire);
	mark = load ? load->mark : 0;
	while (load && times--)
		CHECK(*(volatile uint64_t *)&load->mark == mark && mark);
	rcu_read_unlock();
}

static void replace(struct visitor *visitor, struct stream *stream)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	struct load *load =
		atomic_exchange(&stream->site->shown, make_load(stream, &visitor->random));
	int result;

	if (!load)
		return;
	load->stream = stream;
	load->sequence = stream->accepted + 1;
	options.flags = DEFER_DROP_AFTER_GRACE_PERIOD;
	result = defer_drop_queue_push_with(
		stream->site->queue, load, load_destroy, DEFER_DROP_FOREVER, &options);
	CHECK(is_done_or_shut(stream->site, result));
	if (result)
		synchronize_rcu();
	settle(stream, load, result);
}

void read_some(struct visitor *visitor, struct stream *stream)
{
	if (below(&visitor->random, 4))
		look(stream->site, below(&visitor->random, 200));
	else
		replace(visitor, stream);
}

void stop_showing(struct site *site)
{
	free(atomic_exchange(&site->shown, NULL));
}
