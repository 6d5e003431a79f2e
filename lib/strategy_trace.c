/* SPDX-License-Identifier: MIT
 *
 * The strategy that reports each drop and passes it on.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "defer_drop/strategy.h"

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

void defer_drop_strategy_trace_init(struct defer_drop_strategy_trace *strategy,
	const struct defer_drop_strategy *inner, defer_drop_trace_fn function, void *context)
{
	*strategy = (struct defer_drop_strategy_trace){
		.strategy = {trace, wait_for_inner},
		.inner = inner ? inner : &defer_drop_strategy_worker,
		.trace = function,
		.context = context,
	};
}

static const char *name_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

void defer_drop_trace_print(void *stream, void *object, defer_drop_fn destroy)
{
	Dl_info info;
	void *address;

	memcpy(&address, &destroy, sizeof address); /* ISO C has no such cast */
	if (!dladdr(address, &info))
		fprintf(stream, "drop %p by %p\n", object, address);
	else if (info.dli_saddr == address)
		fprintf(stream, "drop %p by %s\n", object, info.dli_sname);
	else /* the nearest symbol would be another function's */
		fprintf(stream, "drop %p by %s+%#tx\n", object, name_of(info.dli_fname),
			(char *)address - (char *)info.dli_fbase);
}
