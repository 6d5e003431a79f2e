/* SPDX-License-Identifier: MIT
 *
 * The strategy that reports each drop and passes it on.
 */
#include <errno.h>
#include <stdio.h>

#include "base/symbol.h"
#include "face/strategy.h"

static int trace(const struct defer_drop_strategy *strategy, void *object, defer_drop_fn destroy)
{
	const struct defer_drop_strategy_trace *self =
		(const struct defer_drop_strategy_trace *)strategy;

	self->trace(self->context, object, destroy);
	return self->inner->drop(self->inner, object, destroy);
}

static int wait_for_inner(const struct defer_drop_strategy *strategy, uint64_t timeout_ns)
{
	const struct defer_drop_strategy *inner =
		((const struct defer_drop_strategy_trace *)strategy)->inner;

	return inner->wait ? inner->wait(inner, timeout_ns) : 0;
}

int defer_drop_strategy_trace_init(struct defer_drop_strategy_trace *strategy,
	const struct defer_drop_strategy *inner, defer_drop_trace_fn function, void *context)
{
	int result = strategy && function ? 0 : -EINVAL;

	inner = inner ? inner : &defer_drop_strategy_worker;
	if (!result)
		result = dd_strategy_check(inner);
	if (result)
		return result;
	*strategy = (struct defer_drop_strategy_trace){
		.strategy = {DEFER_DROP_STRATEGY_VERSION, trace, wait_for_inner},
		.inner = inner,
		.trace = function,
		.context = context,
	};
	return 0;
}

void defer_drop_trace_print(void *stream, void *object, defer_drop_fn destroy)
{
	char name[DD_SYMBOL_BYTES];

	if (!stream)
		return;
	dd_symbol_print(name, sizeof name, destroy);
	fprintf(stream, "drop %p by %s\n", object, name);
}
