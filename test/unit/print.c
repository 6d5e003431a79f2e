/* SPDX-License-Identifier: MIT
 *
 * Statistics as text and as JSON; on demand, at exit, and for signal handlers.
 */
#include "unit.h"

#include <defer_drop/pool.h>
#include <signal.h>

TestSuite(print, .timeout = 60);

#define TEXT DEFER_DROP_FORMAT_TEXT
#define JSON DEFER_DROP_FORMAT_JSON

/* ---- Text that is printed -------------------------------------------------------------------- */

static char printed[65536];
static size_t printed_bytes;

static int keep(void *context, const char *text, size_t bytes)
{
	cr_assert_eq(context, &printed_bytes);
	cr_assert_eq(strlen(text), bytes);
	cr_assert_lt(printed_bytes + bytes, sizeof printed);
	memcpy(printed + printed_bytes, text, bytes + 1);
	printed_bytes += bytes;
	return 0;
}

static void print(uint32_t format)
{
	printed_bytes = 0;
	errno = EBADF;
	answers(0, defer_drop_stats_print(keep, &printed_bytes, format));
	cr_assert_eq(errno, EBADF);
}

static bool has(const char *words)
{
	return strstr(printed, words);
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static const char *skip_value(const char *at);

static const char *skip_space(const char *at)
{
	return at + strspn(at, " \n");
}

/* Each of these returns the end, or NULL if there is none of what it skips. */
static const char *skip_string(const char *at)
{
	if (*at++ != '"')
		return NULL;
	for (; *at != '"'; at++) {
		if (*at < ' ' || (*at == '\\' && !strchr("\"\\u", at[1])))
			return NULL;
		at += *at == '\\';
	}
	return at + 1;
}

static const char *skip_list(const char *at, char end, bool has_names)
{
	at = skip_space(at + 1);
	if (*at == end)
		return at + 1;
	for (;;) {
		if (has_names) {
			at = skip_string(at);
			if (!at || *at++ != ':')
				return NULL;
		}
		at = skip_value(at);
		if (!at || *at == end)
			return at ? at + 1 : NULL;
		if (*at != ',')
			return NULL;
		at = skip_space(at + 1);
	}
}

static const char *skip_value(const char *at)
{
	size_t digits = strspn(at, "0123456789");

	if (digits)
		return at + digits;
	if (!strncmp(at, "null", 4))
		return at + 4;
	if (*at == '"')
		return skip_string(at);
	if (*at == '{')
		return skip_list(at, '}', true);
	return *at == '[' ? skip_list(at, ']', false) : NULL;
}

static void assert_json(const char *text)
{
	const char *end = *text == '{' ? skip_value(text) : NULL;

	cr_assert(end, "no JSON: %s", text);
	cr_assert_str_eq(end, "\n");
}

/* ---- All queues and pools -------------------------------------------------------------------- */

static struct defer_drop_queue *make_named(const char *name, uint32_t destructor_times)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	config.name = name;
	config.destructor_times = destructor_times;
	return create_queue(&config);
}

static struct defer_drop_pool *make_pool(void)
{
	struct defer_drop_pool_config config = DEFER_DROP_POOL_CONFIG_INIT;
	struct defer_drop_pool *pool = NULL;

	config.block_bytes = 1234;
	answers(0, defer_drop_pool_create(&pool, &config));
	return pool;
}

/* Not static: dladdr(3) finds its name. */
void destroy_for_print(void *object);

void destroy_for_print(void *object)
{
	note(object);
}

Test(print, a_process_without_a_queue_has_empty_lists)
{
	print(JSON);
	assert_json(printed);
	cr_assert(has("\"queues\":[],"));
	cr_assert(has("\"pools\":[]}"));
	print(TEXT);
	cr_assert(!has("queue "));
}

Test(print, names_all_queues_functions_and_pools)
{
	struct defer_drop_queue *io = make_named("io \"\\\xe4", DEFER_DROP_TIMES_EXACT);
	struct defer_drop_pool *pool = make_pool();
	char line[100];

	for (unsigned i = 0; i < 3; i++)
		answers(0, defer_drop_queue_push(io, NULL, destroy_for_print, FOREVER));
	answers(0, defer_drop_queue_flush(io, FOREVER));
	answers(0, defer_drop(NULL, note));
	answers(0, defer_drop_flush());
	print(JSON);
	assert_json(printed);
	snprintf(line, sizeof line, "{\"pid\":%ld,", (long)getpid());
	cr_assert(has(line));
	cr_assert(has("\"id\":1,\"name\":\"defer_drop\",\"runner\":\"worker\",\"state\":\"open\""));
	cr_assert(has("\"name\":\"io \\\"\\\\\\u00e4\""));
	cr_assert(has("\"pushed_total\":3,\"destroyed_total\":3,"));
	cr_assert(has("\"destructor_times\":\"exact\""));
	cr_assert(has("{\"name\":\"destroy_for_print\",\"counted_total\":3,"));
	cr_assert(has("\"block_bytes\":1234,\"taken_total\":0"));
	print(TEXT);
	cr_assert(has("\"defer_drop\": open, run by a worker\n"));
	cr_assert(has("3 pushed, 0 of them nested; 3 destroyed"));
	cr_assert(has("destroy_for_print: 3, in all "));
	cr_assert(has("blocks of 1234 bytes"));
	end_queue(io);
	answers(0, defer_drop_pool_free(pool));
}

Test(print, what_has_no_place_in_the_table_is_summed)
{
	struct defer_drop_queue *queue = make_named("many", DEFER_DROP_TIMES_OFF);
	struct dd_costs *costs = &queue->figures->costs;

	for (uintptr_t i = 1; i <= DD_COSTS; i++)
		dd_costs_add(costs, (defer_drop_fn)(i * 64), 1000 + i, 1);
	dd_costs_add(costs, (defer_drop_fn)(uintptr_t)6400, 10, 7);
	print(JSON);
	assert_json(printed);
	cr_assert(has("{\"name\":null,\"counted_total\":7,\"ns_total\":70,"));
	end_queue(queue);
}

static int refuse(void *context, const char *text, size_t bytes)
{
	unsigned *calls = context;

	(void)text;
	(void)bytes;
	return ++*calls == 2 ? -ENOSPC : 0;
}

Test(print, an_error_of_the_programs_function_ends_it)
{
	unsigned calls = 0;

	answers(0, defer_drop(NULL, note));
	answers(-ENOSPC, defer_drop_stats_print(refuse, &calls, JSON));
	cr_assert_eq(calls, 2);
}

/* The program's function may push, and so take every lock of a push. */
static int push_meanwhile(void *context, const char *text, size_t bytes)
{
	(void)text;
	(void)bytes;
	return defer_drop_queue_push(context, NULL, note, FOREVER);
}

static void *print_pushing(void *argument)
{
	answers(0, defer_drop_stats_print(push_meanwhile, argument, TEXT));
	return NULL;
}

Test(print, the_programs_function_may_push)
{
	struct defer_drop_queue *queue = make_named("io", DEFER_DROP_TIMES_EXACT);

	cr_assert_null(join_thread(spawn(print_pushing, queue)));
	end_queue(queue);
}

Test(print, takes_one_of_two_formats)
{
	answers(-EINVAL, defer_drop_stats_print(keep, &printed_bytes, DEFER_DROP_FORMAT_NONE));
	answers(-EINVAL, defer_drop_stats_print(keep, &printed_bytes, 3));
	cr_assert_eq(printed_bytes, 0);
}

/* ---- In signal handlers ---------------------------------------------------------------------- */

static struct defer_drop_queue *asked;

static void on_signal(int signal)
{
	(void)signal;
	errno = EBADF;
	if (defer_drop_stats_ask(asked, TEXT) || errno != EBADF)
		abort();
}

static void ask_by_signal(void)
{
	struct sigaction action = {.sa_handler = on_signal};

	cr_assert_eq(sigaction(SIGUSR1, &action, NULL), 0);
	asked = make_named("asked", DEFER_DROP_TIMES_OFF);
	await(is_asleep(asked));
	for (unsigned i = 0; i < 3; i++) {
		raise(SIGUSR1);
		await(!atomic_load(&asked->print_asked));
		await(is_asleep(asked));
	}
	end_queue(asked);
}

Test(print, a_handler_has_the_worker_print_though_it_sleeps)
{
	cr_assert_eq(run_child(ask_by_signal), 0);
	cr_assert_eq(times_said("\"asked\": open"), 3);
}

static void ask_held_up(void)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	struct gate gate;

	config.watchdog_ns = MS;
	config.watchdog = ignore_slow;
	asked = create_queue(&config);
	hold_up(asked, &gate);
	answers(0, defer_drop_stats_ask(asked, TEXT));
	await(!atomic_load(&asked->print_asked));
	let_go(&gate);
	end_queue(asked);
}

Test(print, the_watchdog_prints_while_a_destructor_holds_the_worker_up)
{
	cr_assert_eq(run_child(ask_held_up), 0);
	cr_assert_eq(times_said("statistics of process"), 1);
	cr_assert_eq(times_said("pending      1 drops"), 1);
}

static void ask_caller(void)
{
	asked = make_queue(CALLER, 64, LANES);
	answers(0, defer_drop_stats_ask(asked, JSON));
	answers(0, defer_drop_stats_ask(asked, TEXT));
	cr_assert_eq(atomic_load(&asked->print_asked), TEXT);
	answers(0, defer_drop_queue_drain(asked, 1, FOREVER, NULL));
	cr_assert_eq(atomic_load(&asked->print_asked), 0);
	end_queue(asked);
}

Test(print, without_a_worker_the_next_thread_that_has_drained_prints)
{
	cr_assert_eq(run_child(ask_caller), 0);
	cr_assert_eq(times_said("run by callers"), 1);
	cr_assert_eq(times_said("\"pid\""), 0);
}

static void ask_unused(void)
{
	answers(0, defer_drop_stats_ask(defer_drop_queue_default(), TEXT));
	answers(0, defer_drop(NULL, note));
	answers(0, defer_drop_flush());
	await(!atomic_load(&defer_drop_queue_default()->print_asked));
}

Test(print, a_queue_that_is_not_used_yet_prints_when_it_begins)
{
	cr_assert_eq(run_child(ask_unused), 0);
	cr_assert_eq(times_said("statistics of process"), 1);
}

Test(print, a_request_needs_a_queue_that_is_open_and_a_format)
{
	struct defer_drop_queue *queue = make_queue(CALLER, 64, LANES);

	answers(-EINVAL, defer_drop_stats_ask(NULL, TEXT));
	answers(-EINVAL, defer_drop_stats_ask(queue, DEFER_DROP_FORMAT_NONE));
	answers(-EINVAL, defer_drop_stats_ask(queue, 3));
	answers(0, defer_drop_queue_shutdown(queue, FOREVER));
	answers(-ESHUTDOWN, defer_drop_stats_ask(queue, TEXT));
	answers(0, defer_drop_queue_free(queue));
}

static void fork_asked(void)
{
	pid_t child;

	asked = make_queue(CALLER, 64, LANES);
	answers(0, defer_drop_stats_ask(asked, TEXT));
	child = fork();
	if (!child)
		_exit(atomic_load(&asked->print_asked) != 0);
	cr_assert_eq(status_of(child), 0);
	cr_assert_eq(atomic_load(&asked->print_asked), TEXT);
	end_queue(asked);
}

Test(print, a_request_is_the_parents)
{
	cr_assert_eq(run_child(fork_asked), 0);
}

/* ---- At exit --------------------------------------------------------------------------------- */

static void use_and_exit(void)
{
	struct defer_drop_queue *io = make_named("io", DEFER_DROP_TIMES_OFF);

	answers(0, defer_drop(NULL, note));
	answers(0, defer_drop_queue_push(io, NULL, note, FOREVER));
}

Test(print, at_exit_if_a_queue_says_so)
{
	unsetenv("DEFER_DROP_OPTIONS");
	cr_assert_eq(run_child(use_and_exit), 0);
	cr_assert_eq(times_said("statistics"), 0);
	setenv("DEFER_DROP_OPTIONS", "stats_print=text,io:stats_print=json", 1);
	cr_assert_eq(run_child(use_and_exit), 0);
	cr_assert_eq(times_said("statistics of process"), 1, "the default queue is the last");
	cr_assert_eq(times_said("\"defer_drop\": shut down"), 1);
	cr_assert_eq(times_said("\"io\": shut down"), 1);
	setenv("DEFER_DROP_OPTIONS", "io:stats_print=json", 1);
	cr_assert_eq(run_child(use_and_exit), 0);
	assert_json(said);
	cr_assert_eq(times_said("\"state\":\"shut down\""), 2);
}
