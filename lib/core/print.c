/* SPDX-License-Identifier: MIT
 *
 * Statistics as text. The figures of one queue are copied under the registry's lock, and printed
 * without it: the program's function may push, and finding a symbol takes another lock.
 */
#include "core/print.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/symbol.h"
#include "core/registry.h"
#include "core/stats.h"

dd_next_pool_fn dd_print_pools_hook;

/* A function with what it cost. destroy: NULL for all others together. */
struct cost {
	defer_drop_fn destroy;
	struct dd_reading times;
};

/* The figures of a queue. */
struct snapshot {
	uint64_t id;
	char name[DD_NAME_BYTES];
	uint32_t runner;
	uint32_t state;
	uint32_t destructor_times;
	struct defer_drop_stats stats;
	struct dd_reading delays;
	struct dd_reading destructors;
	struct cost costs[DD_COSTS + 1]; /* the most expensive first, all others last */
	uint32_t costs_count;
};

struct printer {
	defer_drop_write_fn write;
	void *context;
	int result;
};

/* ---- Copying --------------------------------------------------------------------------------- */

/* Returns the queue with the least id above this one, or NULL. Under the registry's lock. */
static struct defer_drop_queue *queue_after(uint64_t id)
{
	struct defer_drop_queue *found = NULL;

	for (struct defer_drop_queue *at = dd_registry_first(); at; at = at->next)
		if (dd_read(&at->id) > id && (!found || dd_read(&at->id) < dd_read(&found->id)))
			found = at;
	return found;
}

/* Inserts a function, the most expensive first. */
static void insert_cost(struct snapshot *to, const struct cost *cost)
{
	uint32_t at = to->costs_count++;

	for (; at && to->costs[at - 1].times.ns_total < cost->times.ns_total; at--)
		to->costs[at] = to->costs[at - 1];
	to->costs[at] = *cost;
}

static uint64_t difference(uint64_t more, uint64_t less)
{
	return more > less ? more - less : 0;
}

static void copy_costs(struct dd_costs *costs, struct snapshot *to)
{
	struct cost others = {.destroy = NULL};

	for (uint32_t i = 0; i < DD_COSTS; i++) {
		struct cost cost;

		cost.destroy = dd_cost_read(&costs->places[i], &cost.times);
		if (cost.destroy)
			insert_cost(to, &cost);
	}
	dd_times_read(&costs->all, &to->destructors);
	others.times.counted_total = to->destructors.counted_total;
	others.times.ns_total = to->destructors.ns_total;
	for (uint32_t i = 0; i < to->costs_count; i++) {
		const struct dd_reading *times = &to->costs[i].times;

		others.times.counted_total =
			difference(others.times.counted_total, times->counted_total);
		others.times.ns_total = difference(others.times.ns_total, times->ns_total);
	}
	if (others.times.counted_total)
		to->costs[to->costs_count++] = others;
}

/* Copies the queue with the least id above that of the snapshot. False if there is none. */
static bool copy_next(struct snapshot *to)
{
	struct defer_drop_queue *queue;

	dd_registry_lock();
	queue = queue_after(to->id);
	if (queue) {
		const struct defer_drop_config *values = &queue->config.values;

		*to = (struct snapshot){
			.id = dd_read(&queue->id),
			.runner = values->runner,
			.state = dd_queue_state(queue),
			.destructor_times = values->destructor_times,
		};
		memcpy(to->name, queue->config.text.name, sizeof to->name);
		dd_stats_get(queue, &to->stats);
		dd_times_read(&queue->figures->delays, &to->delays);
		copy_costs(&queue->figures->costs, to);
	}
	dd_registry_unlock();
	return queue;
}

/* ---- Writing --------------------------------------------------------------------------------- */

static int write_to_stderr(void *context, const char *text, size_t bytes)
{
	const char *end = text + bytes;

	(void)context;
	while (text < end) {
		ssize_t written = write(STDERR_FILENO, text, (size_t)(end - text));

		if (written > 0)
			text += written;
		else if (!written || errno != EINTR)
			return written ? -errno : -EIO;
	}
	return 0;
}

__attribute__((format(printf, 2, 3))) static void emit(
	struct printer *printer, const char *format, ...)
{
	char text[DD_SYMBOL_BYTES * 2];
	va_list arguments;
	int length;

	if (printer->result)
		return;
	va_start(arguments, format);
	length = vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	if ((size_t)length >= sizeof text)
		length = sizeof text - 1;
	printer->result = printer->write(printer->context, text, (size_t)length);
}

/* ---- JSON ------------------------------------------------------------------------------------ */

/* Names lie in the tables themselves: a pointer would cost each program a page when it is loaded. */
struct field {
	char name[22];
	uint16_t offset;
};

#define FIELD(type, field)                    \
	{                                     \
#field, offsetof(type, field) \
	}

static const struct field stats_fields[] = {
	FIELD(struct defer_drop_stats, pushed_total),
	FIELD(struct defer_drop_stats, destroyed_total),
	FIELD(struct defer_drop_stats, refused_total),
	FIELD(struct defer_drop_stats, abandoned_total),
	FIELD(struct defer_drop_stats, nested_total),
	FIELD(struct defer_drop_stats, waits_total),
	FIELD(struct defer_drop_stats, wait_ns_total),
	FIELD(struct defer_drop_stats, wakes_total),
	FIELD(struct defer_drop_stats, naps_total),
	FIELD(struct defer_drop_stats, deep_sleeps_total),
	FIELD(struct defer_drop_stats, backlog),
	FIELD(struct defer_drop_stats, highest_backlog),
	FIELD(struct defer_drop_stats, backlog_bytes),
	FIELD(struct defer_drop_stats, failed_total),
	FIELD(struct defer_drop_stats, grace_periods_total),
	FIELD(struct defer_drop_stats, slow_total),
	FIELD(struct defer_drop_stats, oldest_ns),
	FIELD(struct defer_drop_stats, oldest_least_ns),
	FIELD(struct defer_drop_stats, mapped_bytes),
	{"", 0},
};

static const struct field times_fields[] = {
	FIELD(struct dd_reading, counted_total),
	FIELD(struct dd_reading, ns_total),
	FIELD(struct dd_reading, most_ns),
	FIELD(struct dd_reading, p50_ns),
	FIELD(struct dd_reading, p90_ns),
	FIELD(struct dd_reading, p99_ns),
	FIELD(struct dd_reading, p999_ns),
	{"", 0},
};

static const struct field pool_fields[] = {
	FIELD(struct defer_drop_pool_counts, taken_total),
	FIELD(struct defer_drop_pool_counts, given_total),
	FIELD(struct defer_drop_pool_counts, from_home_total),
	FIELD(struct defer_drop_pool_counts, from_backing_total),
	FIELD(struct defer_drop_pool_counts, to_backing_total),
	FIELD(struct defer_drop_pool_counts, out),
	FIELD(struct defer_drop_pool_counts, at_rest),
	FIELD(struct defer_drop_pool_counts, out_bytes),
	FIELD(struct defer_drop_pool_counts, at_rest_bytes),
	{"", 0},
};

/* Prints fields, which are not the first of their object. */
static void json_fields(struct printer *printer, const struct field *fields, const void *from)
{
	for (const struct field *at = fields; *at->name; at++) {
		uint64_t value;

		memcpy(&value, (const char *)from + at->offset, sizeof value);
		emit(printer, ",\"%s\":%llu", at->name, (unsigned long long)value);
	}
}

/* Prints a string, whose bytes beyond ASCII are taken for those of Latin-1. */
static void json_string(struct printer *printer, const char *text)
{
	char quoted[DD_SYMBOL_BYTES + 8];
	size_t length = 0;

	emit(printer, "\"");
	for (const char *at = text; *at; at++) {
		unsigned char byte = (unsigned char)*at;

		if (byte < ' ' || byte >= 0x7f)
			length += (size_t)sprintf(quoted + length, "\\u%04x", byte);
		else
			length += (size_t)sprintf(
				quoted + length, byte == '"' || byte == '\\' ? "\\%c" : "%c", byte);
		if (length + 7 > sizeof quoted || !at[1]) {
			emit(printer, "%s", quoted);
			length = 0;
		}
	}
	emit(printer, "\"");
}

static void json_times(struct printer *printer, const char *name, const struct dd_reading *times)
{
	emit(printer, ",\"%s\":{\"unit\":\"ns\"", name);
	json_fields(printer, times_fields, times);
	emit(printer, "}");
}

static const char times_names[][8] = {"off", "sampled", "exact"};
static const char state_names[][10] = {
	[DD_OPEN] = "open",
	[DD_STOPPED] = "stopped",
	[DD_CLOSING] = "closing",
	[DD_GIVEN_UP] = "given up",
	[DD_FINISHED] = "finished",
	[DD_JOINED] = "shut down",
};
static const char runner_names[][8] = {
	[DEFER_DROP_RUNNER_WORKER] = "worker",
	[DEFER_DROP_RUNNER_CALLER] = "caller",
	[DEFER_DROP_RUNNER_DRAINER] = "drainer",
};

static void json_costs(struct printer *printer, const struct snapshot *from)
{
	char symbol[DD_SYMBOL_BYTES];

	emit(printer, ",\"functions\":[");
	for (uint32_t i = 0; i < from->costs_count; i++) {
		const struct cost *cost = &from->costs[i];

		emit(printer, "%s{\"name\":", i ? "," : "");
		if (cost->destroy)
			dd_symbol_print(symbol, sizeof symbol, cost->destroy);
		if (cost->destroy)
			json_string(printer, symbol);
		else
			emit(printer, "null");
		json_fields(printer, times_fields, &cost->times);
		emit(printer, "}");
	}
	emit(printer, "]");
}

static void json_queue(struct printer *printer, const struct snapshot *from)
{
	emit(printer, "\n{\"id\":%llu,\"name\":", (unsigned long long)from->id);
	json_string(printer, from->name);
	emit(printer, ",\"runner\":\"%s\",\"state\":\"%s\",\"lanes\":%u",
		runner_names[from->runner], state_names[from->state], from->stats.lanes);
	json_fields(printer, stats_fields, &from->stats);
	json_times(printer, "delays", &from->delays);
	emit(printer, ",\"destructor_times\":\"%s\"", times_names[from->destructor_times]);
	json_times(printer, "destructors", &from->destructors);
	json_costs(printer, from);
	emit(printer, "}");
}

/* ---- Text ------------------------------------------------------------------------------------ */

/* Prints a number with its unit, the greatest that leaves it at 1 or more, with three digits. */
static void text_amount(
	struct printer *printer, uint64_t amount, const char units[][6], double factor)
{
	double shown = (double)amount;
	unsigned unit = 0;

	while (shown >= factor && *units[unit + 1]) {
		shown /= factor;
		unit++;
	}
	emit(printer,
		unit && shown < 10    ? "%.2f %s"
		: unit && shown < 100 ? "%.1f %s"
				      : "%.0f %s",
		shown, units[unit]);
}

static void text_ns(struct printer *printer, const char *before, uint64_t ns)
{
	static const char units[][6] = {"ns", "us", "ms", "s", ""};

	emit(printer, "%s", before);
	text_amount(printer, ns, units, 1000);
}

static void text_bytes(struct printer *printer, uint64_t bytes, const char *after)
{
	static const char units[][6] = {"bytes", "KiB", "MiB", "GiB", "TiB", ""};

	text_amount(printer, bytes, units, 1024);
	emit(printer, "%s", after);
}

#define NUMBER(field) ((unsigned long long)(field))

static void text_times(struct printer *printer, const struct dd_reading *times)
{
	emit(printer, "%llu", NUMBER(times->counted_total));
	text_ns(printer, ", in all ", times->ns_total);
	if (times->most_ns) {
		text_ns(printer, "; p50 ", times->p50_ns);
		text_ns(printer, ", p90 ", times->p90_ns);
		text_ns(printer, ", p99 ", times->p99_ns);
		text_ns(printer, ", p99.9 ", times->p999_ns);
		text_ns(printer, ", longest ", times->most_ns);
	}
	emit(printer, "\n");
}

static void text_costs(struct printer *printer, const struct snapshot *from)
{
	char symbol[DD_SYMBOL_BYTES];

	for (uint32_t i = 0; i < from->costs_count; i++) {
		const struct cost *cost = &from->costs[i];

		if (cost->destroy)
			dd_symbol_print(symbol, sizeof symbol, cost->destroy);
		emit(printer, "    %5.1f %%    %s: ",
			100.0 * (double)cost->times.ns_total /
				(double)(from->destructors.ns_total + 1),
			cost->destroy ? symbol : "all others");
		text_times(printer, &cost->times);
	}
}

static void text_pending(struct printer *printer, const struct defer_drop_stats *stats)
{
	emit(printer, "  pending      %llu drops, ", NUMBER(stats->backlog));
	text_bytes(printer, stats->backlog_bytes, "");
	if (stats->oldest_ns) {
		text_ns(printer, "; the oldest for ", stats->oldest_least_ns);
		text_ns(printer, " to ", stats->oldest_ns);
	}
	emit(printer, "; at most there were %llu\n", NUMBER(stats->highest_backlog));
}

static void text_queue(struct printer *printer, const struct snapshot *from)
{
	const struct defer_drop_stats *stats = &from->stats;

	emit(printer, "queue %llu \"%s\": %s, run by %s\n", NUMBER(from->id), from->name,
		state_names[from->state],
		from->runner == DEFER_DROP_RUNNER_WORKER ? "a worker" : "callers");
	text_pending(printer, stats);
	emit(printer,
		"  drops        %llu pushed, %llu of them nested; %llu destroyed, %llu abandoned\n"
		"  trouble      %llu refused, %llu failed, %llu slow\n"
		"  waits        %llu for room",
		NUMBER(stats->pushed_total), NUMBER(stats->nested_total),
		NUMBER(stats->destroyed_total), NUMBER(stats->abandoned_total),
		NUMBER(stats->refused_total), NUMBER(stats->failed_total),
		NUMBER(stats->slow_total), NUMBER(stats->waits_total));
	text_ns(printer, ", ", stats->wait_ns_total);
	emit(printer,
		"\n  rest         %llu naps, %llu deep sleeps, woken %llu times; %llu grace "
		"periods\n"
		"  memory       ",
		NUMBER(stats->naps_total), NUMBER(stats->deep_sleeps_total),
		NUMBER(stats->wakes_total), NUMBER(stats->grace_periods_total));
	text_bytes(printer, stats->mapped_bytes, " mapped");
	emit(printer, ", %u lanes\n  delays       ", stats->lanes);
	text_times(printer, &from->delays);
	if (!from->destructor_times)
		return;
	emit(printer, "  destructors  %s: ", times_names[from->destructor_times]);
	text_times(printer, &from->destructors);
	text_costs(printer, from);
}

/* ---- Pools ----------------------------------------------------------------------------------- */

static void print_pool(struct printer *printer, uint32_t index, size_t block_bytes,
	const struct defer_drop_pool_counts *counts, bool is_json, bool is_first)
{
	if (is_json) {
		emit(printer, "%s\n{\"index\":%u,\"block_bytes\":%zu", is_first ? "" : ",", index,
			block_bytes);
		json_fields(printer, pool_fields, counts);
		emit(printer, "}");
		return;
	}
	emit(printer,
		"pool %u, blocks of %zu bytes: %llu taken, %llu given, %llu from home, %llu from "
		"and %llu to the backing; %llu out, ",
		index, block_bytes, NUMBER(counts->taken_total), NUMBER(counts->given_total),
		NUMBER(counts->from_home_total), NUMBER(counts->from_backing_total),
		NUMBER(counts->to_backing_total), NUMBER(counts->out));
	text_bytes(printer, counts->out_bytes, "; at rest ");
	text_bytes(printer, counts->at_rest_bytes, "\n");
}

static void print_pools(struct printer *printer, bool is_json)
{
	dd_next_pool_fn next = __atomic_load_n(&dd_print_pools_hook, __ATOMIC_RELAXED);
	struct defer_drop_pool_counts counts;
	size_t block_bytes;
	bool is_first = true;

	for (uint32_t i = 1; next && next(&i, &counts, &block_bytes); i++) {
		print_pool(printer, i, block_bytes, &counts, is_json, is_first);
		is_first = false;
	}
}

/* ---- The whole ------------------------------------------------------------------------------- */

int dd_print(defer_drop_write_fn write, void *context, enum defer_drop_format format)
{
	struct printer printer = {write ? write : write_to_stderr, context, 0};
	struct snapshot snapshot = {.id = 0};
	bool is_json = format == DEFER_DROP_FORMAT_JSON;
	bool is_first = true;
	int errno_before = errno;
	int state;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	emit(&printer,
		is_json ? "{\"pid\":%ld,\"library\":%d,\"queues\":["
			: "defer_drop statistics of process %ld, version %d\n",
		(long)getpid(), DEFER_DROP_VERSION);
	while (copy_next(&snapshot)) {
		if (is_json && !is_first)
			emit(&printer, ",");
		is_first = false;
		(is_json ? json_queue : text_queue)(&printer, &snapshot);
	}
	if (is_json)
		emit(&printer, "],\n\"pools\":[");
	print_pools(&printer, is_json);
	if (is_json)
		emit(&printer, "]}\n");
	pthread_setcancelstate(state, NULL);
	errno = errno_before;
	return printer.result;
}

void dd_print_asked(struct defer_drop_queue *queue)
{
	/* Relaxed is enough: it carries only the format. */
	uint32_t format = atomic_exchange_explicit(&queue->print_asked, 0, memory_order_relaxed);

	if (format)
		dd_print(NULL, NULL, format);
}
