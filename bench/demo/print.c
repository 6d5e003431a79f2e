/* SPDX-License-Identifier: MIT
 *
 * Prints the figures of the demo, as text or as JSON.
 */
#include "demo.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "json.h"

/* The number of looks at the clock, of which the median is shown. */
#define TIMER_LOOKS MAX_ROUNDS

/* A formatted value, which lives as long as the expression that formats it. */
struct text {
	char at[32];
};

static const struct {
	const char *name;
	const char *key;
} ways[WAYS] = {
	[WAY_IN_PLACE] = {"in place", "in_place"},
	[WAY_THREAD] = {"a thread made for it", "thread"},
	[WAY_CALLER] = {"queue the caller drains", "caller_drained"},
	[WAY_ASLEEP] = {"worker, asleep", "worker_asleep"},
	[WAY_AWAKE] = {"worker, awake", "worker_awake"},
};

/* ---- The machine ----------------------------------------------------------------------------- */

static uint64_t time_timer(void)
{
	struct samples samples = {.count = 0};

	for (unsigned i = 0; i < TIMER_LOOKS; i++) {
		uint64_t start_ns = bench_now_ns();

		samples_add(&samples, bench_now_ns() - start_ns);
	}
	return samples_median(&samples);
}

void machine_look(struct machine *machine)
{
	machine_facts(&machine->facts);
	machine->timer_ns = time_timer();
	machine->config = library_config(defer_drop_queue_default());
}

bool is_all_destroyed(uint64_t created, uint64_t destroyed, const struct defer_drop_stats *stats)
{
	return created == destroyed && stats->pushed_total == stats->destroyed_total &&
	       !stats->backlog && !stats->abandoned_total;
}

/* ---- Numbers --------------------------------------------------------------------------------- */

/* Formats three significant digits, with the unit that suits them. */
static struct text duration(uint64_t ns)
{
	static const char *const units[] = {"ns", "us", "ms", "s"};
	struct text text;
	double value = (double)ns;
	unsigned unit = 0;
	int decimals = 0;

	/* From 999.5 on, three digits would round up to 1000. */
	while (value >= 999.5 && unit < 3) {
		value /= 1000;
		unit++;
	}
	if (unit)
		decimals = value < 9.995 ? 2 : value < 99.95;
	snprintf(text.at, sizeof text.at, "%.*f %-2s", decimals, value, units[unit]);
	return text;
}

/* Formats 1234567 as 1,234,567. */
static struct text count(uint64_t value)
{
	struct text text;
	char *at = text.at + sizeof text.at;
	unsigned digits = 0;

	*--at = '\0';
	do {
		if (digits && digits % 3 == 0)
			*--at = ',';
		*--at = (char)('0' + value % 10);
		digits++;
	} while (value /= 10);
	memmove(text.at, at, (size_t)(text.at + sizeof text.at - at));
	return text;
}

static double ratio(const struct samples *slow, const struct samples *fast)
{
	uint64_t least = samples_median(fast);

	return (double)samples_median(slow) / (double)(least ? least : 1);
}

static struct text times(double value)
{
	struct text text;

	if (value >= 9.95)
		return count((uint64_t)(value + 0.5));
	snprintf(text.at, sizeof text.at, "%.2f", value);
	return text;
}

/* ---- Text ------------------------------------------------------------------------------------ */

static void print_head(bool has_gone)
{
	printf("  %-23s %9s %9s %9s %11s %10s%s\n", "the caller's time", "median", "least", "most",
		"times less", "preempted", has_gone ? "  all gone" : "");
}

/*
 * Prints the columns that both tables have. to_beat: its median is divided by that of the samples.
 */
static void print_caller(
	const char *what, const struct samples *samples, const struct samples *to_beat)
{
	printf("  %-23s %9s %9s %9s %11s %10s", what, duration(samples_median(samples)).at,
		duration(samples_least(samples)).at, duration(samples_most(samples)).at,
		times(ratio(to_beat, samples)).at, count(samples->preempted).at);
}

static void print_end(const char *what, uint64_t created, uint64_t destroyed,
	const struct defer_drop_stats *stats)
{
	printf("\n  flushed      %s of %s %s destroyed: %s\n", count(destroyed).at,
		count(created).at, what,
		is_all_destroyed(created, destroyed, stats) ? "all" : "NOT ALL");
	printf("  the queue    pushed %s, destroyed %s, waits %s, highest backlog %s\n",
		count(stats->pushed_total).at, count(stats->destroyed_total).at,
		count(stats->waits_total).at, count(stats->highest_backlog).at);
	printf("  the worker   wakes %s, naps %s, deep sleeps %s\n", count(stats->wakes_total).at,
		count(stats->naps_total).at, count(stats->deep_sleeps_total).at);
	fflush(stdout);
}

void print_machine(const struct machine *machine, const struct settings *settings)
{
	const struct defer_drop_config *config = &machine->config;

	printf("defer_drop %d.%d.%d: what destroying costs the caller\n\n",
		DEFER_DROP_VERSION_MAJOR, DEFER_DROP_VERSION_MINOR, DEFER_DROP_VERSION_PATCH);
	printf("  machine      %s, %u CPUs, %s\n", machine->facts.cpu, machine->facts.cpus,
		machine->facts.kernel);
	printf("  queue_size   %s drops per lane\n", count(config->queue_size).at);
	if (config->quiet_spell_ns == DEFER_DROP_NEVER)
		printf("  quiet spell  the worker never goes to deep sleep\n");
	else
		printf("  quiet spell  %s, then the worker sleeps until woken\n",
			duration(config->quiet_spell_ns).at);
	printf("  timer        %s for a look at the clock; nothing is subtracted for it\n",
		duration(machine->timer_ns).at);
	printf("  rounds       %u; tables show their median, least and most, and in how many the\n"
	       "               kernel took the caller's CPU away for another thread meanwhile\n\n",
		settings->rounds);
	fflush(stdout);
}

static void print_input(const struct index_figures *figures, const struct input *input)
{
	printf("  input        %s\n", input->source);
	printf("               lines %s, bytes %s, files %s, folders %s", count(input->lines).at,
		count(input->bytes).at, count(input->files).at, count(input->folders).at);
	if (input->left_out)
		printf(", left out as unreadable %s", count(input->left_out).at);
	if (figures->passes > 1)
		printf("\n  repeated     %s times the input, for so many nodes; the names repeated "
		       "start with /copy-N",
			times((double)figures->names / (double)input->lines).at);
	else if (figures->names < input->lines)
		printf("\n  cut short    the first %s lines were enough", count(figures->names).at);
	printf("\n");
}

void print_index(const struct index_figures *figures, const struct input *input)
{
	printf("1. A search index over names, replaced by a fresh one\n\n");
	print_input(figures, input);
	printf("  index        %s nodes, each allocated by itself:\n", count(figures->nodes).at);
	printf("               %s names, %s letters of a trie, %s postings\n",
		count(figures->names).at, count(figures->letters).at, count(figures->postings).at);
	printf("  built in     %s\n\n", duration(samples_median(&figures->build)).at);

	print_head(false);
	print_caller("old one in place", &figures->in_place, &figures->in_place);
	printf("\n");
	print_caller("old one dropped", &figures->dropped, &figures->in_place);
	printf("\n  %-23s %9s %9s %9s\n", "(the worker's time)",
		duration(samples_median(&figures->worker)).at,
		duration(samples_least(&figures->worker)).at,
		duration(samples_most(&figures->worker)).at);
	printf("\n  %u of %u drops found the worker asleep and had to wake it%s.\n", figures->woken,
		figures->dropped.count,
		figures->woken == figures->dropped.count
			? ", since building an index takes\n  longer than its quiet spell"
			: "");
	print_end("nodes", figures->created, figures->destroyed, &figures->stats);
	printf("\n");
	fflush(stdout);
}

static void print_way(const struct strings_figures *figures, enum way way)
{
	const struct way_figures *shown = &figures->ways[way];

	print_caller(ways[way].name, &shown->caller, &figures->ways[WAY_IN_PLACE].caller);
	printf(" %9s\n", duration(samples_median(&shown->gone)).at);
}

void print_strings(const struct strings_figures *figures, const struct settings *settings)
{
	printf("2. A vector of %s strings, destroyed\n\n", count(settings->strings).at);
	printf("  built in     %s, each string allocated by itself\n\n",
		duration(samples_median(&figures->build)).at);
	print_head(true);
	for (unsigned way = 0; way < WAYS; way++)
		print_way(figures, (enum way)way);
	printf("\n  A thread costs the caller until pthread_create() returns. The queue that the\n"
	       "  caller drains keeps %s of work for later. Of the drops to the worker asleep,\n"
	       "  %u of %u had to wake it; of those to the worker awake, %u of %u.\n",
		duration(samples_median(&figures->drain)).at, figures->ways[WAY_ASLEEP].woken,
		figures->ways[WAY_ASLEEP].caller.count, figures->ways[WAY_AWAKE].woken,
		figures->ways[WAY_AWAKE].caller.count);
	print_end("strings", figures->created, figures->destroyed, &figures->stats);
}

void print_strategies(const struct strategies_figures *figures)
{
	printf("\n3. A vector of %s strings, dropped by every strategy\n\n",
		count(figures->strings).at);
	print_head(true);
	for (unsigned i = 0; i < figures->count; i++) {
		const struct contender_figures *shown = &figures->each[i];

		print_caller(shown->contender->name, &shown->caller, &figures->each[0].caller);
		printf(" %9s\n",
			shown->gone.count ? duration(samples_median(&shown->gone)).at : "never");
	}
	fflush(stdout);
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void json_samples(const char *key, const struct samples *samples)
{
	printf("\"%s\": {\"median\": %" PRIu64 ", \"least\": %" PRIu64 ", \"most\": %" PRIu64
	       ", \"all\": [",
		key, samples_median(samples), samples_least(samples), samples_most(samples));
	for (unsigned i = 0; i < samples->count && i < MAX_ROUNDS; i++)
		printf("%s%" PRIu64, i ? ", " : "", samples->ns[i]);
	printf("]}");
}

static void json_end(uint64_t created, uint64_t destroyed, const struct defer_drop_stats *stats)
{
	printf(",\n    \"created\": %" PRIu64 ", \"destroyed\": %" PRIu64
	       ", \"is_all_destroyed\": %s,\n",
		created, destroyed, is_all_destroyed(created, destroyed, stats) ? "true" : "false");
	printf("    \"statistics\": {\"pushed_total\": %" PRIu64 ", \"destroyed_total\": %" PRIu64
	       ", \"waits_total\": %" PRIu64 ", \"highest_backlog\": %" PRIu64
	       ", \"wakes_total\": %" PRIu64 ", \"naps_total\": %" PRIu64
	       ", \"deep_sleeps_total\": %" PRIu64 "}\n  }",
		stats->pushed_total, stats->destroyed_total, stats->waits_total,
		stats->highest_backlog, stats->wakes_total, stats->naps_total,
		stats->deep_sleeps_total);
}

static void json_machine(const struct machine *machine, const struct settings *settings)
{
	uint32_t version = defer_drop_version();

	printf("  \"version\": \"%" PRIu32 ".%" PRIu32 ".%" PRIu32 "\",\n  \"machine\": {",
		version / 10000, version / 100 % 100, version % 100);
	json_members(stdout, "cpu", machine->facts.cpu, NULL);
	printf(", \"cpus\": %u, ", machine->facts.cpus);
	json_members(stdout, "kernel", machine->facts.kernel, NULL);
	printf("},\n  \"settings\": {\"nodes\": %" PRIu64 ", \"strings\": %" PRIu64
	       ", \"rounds\": %u},\n",
		settings->nodes, settings->strings, settings->rounds);
	printf("  \"queue_size\": %" PRIu32 ",\n  \"quiet_spell_ns\": %" PRIu64
	       ",\n  \"timer_ns\": %" PRIu64 ",\n",
		machine->config.queue_size, machine->config.quiet_spell_ns, machine->timer_ns);
}

static void json_index(const struct index_figures *figures, const struct input *input)
{
	printf("  \"index\": {\n    \"input\": {");
	json_members(stdout, "source", input->source, NULL);
	printf(", \"lines\": %zu, \"bytes\": %zu, \"files\": %zu, \"folders\": %zu, "
	       "\"left_out\": %zu, \"passes\": %" PRIu64 "},\n",
		input->lines, input->bytes, input->files, input->folders, input->left_out,
		figures->passes);
	printf("    \"nodes\": %" PRIu64 ", \"names\": %" PRIu64 ", \"letters\": %" PRIu64
	       ", \"postings\": %" PRIu64 ",\n    ",
		figures->nodes, figures->names, figures->letters, figures->postings);
	json_samples("build_ns", &figures->build);
	printf(",\n    ");
	json_samples("in_place_ns", &figures->in_place);
	printf(",\n    ");
	json_samples("dropped_ns", &figures->dropped);
	printf(",\n    ");
	json_samples("worker_ns", &figures->worker);
	printf(",\n    \"ratio\": %.2f, \"woken\": %u, \"preempted\": %u",
		ratio(&figures->in_place, &figures->dropped), figures->woken,
		figures->dropped.preempted);
	json_end(figures->created, figures->destroyed, &figures->stats);
}

static void json_strings(const struct strings_figures *figures)
{
	printf("  \"strings\": {\n    ");
	json_samples("build_ns", &figures->build);
	printf(",\n    ");
	json_samples("drain_ns", &figures->drain);
	printf(",\n    \"ways\": {");
	for (unsigned way = 0; way < WAYS; way++) {
		const struct way_figures *shown = &figures->ways[way];

		printf("%s\n      \"%s\": {", way ? "," : "", ways[way].key);
		json_samples("caller_ns", &shown->caller);
		printf(", ");
		json_samples("gone_ns", &shown->gone);
		printf(", \"ratio\": %.2f, \"woken\": %u, \"preempted\": %u}",
			ratio(&figures->ways[WAY_IN_PLACE].caller, &shown->caller), shown->woken,
			shown->caller.preempted);
	}
	printf("\n    }");
	json_end(figures->created, figures->destroyed, &figures->stats);
}

static void json_strategies(const struct strategies_figures *figures)
{
	printf("  \"strategies\": {\n    \"strings\": %" PRIu64 ",\n    \"ways\": {",
		figures->strings);
	for (unsigned i = 0; i < figures->count; i++) {
		const struct contender_figures *shown = &figures->each[i];

		printf("%s\n      \"%s\": {", i ? "," : "", shown->contender->key);
		json_samples("caller_ns", &shown->caller);
		printf(", ");
		json_samples("gone_ns", &shown->gone);
		printf(", \"ratio\": %.2f, \"preempted\": %u}",
			ratio(&figures->each[0].caller, &shown->caller), shown->caller.preempted);
	}
	printf("\n    }\n  }");
}

void print_json(const struct machine *machine, const struct settings *settings,
	const struct input *input, const struct index_figures *index,
	const struct strings_figures *strings, const struct strategies_figures *strategies)
{
	printf("{\n");
	json_machine(machine, settings);
	json_index(index, input);
	printf(",\n");
	json_strings(strings);
	printf(",\n");
	json_strategies(strategies);
	printf("\n}\n");
}
