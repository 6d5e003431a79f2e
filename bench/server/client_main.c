/* SPDX-License-Identifier: MIT
 *
 * Measures small commands, GET and SET of small values over several connections, in an open loop.
 * The commands are sent at times fixed beforehand and their time counts from then, so that a server
 * that stands still is charged for all commands that would have come meanwhile.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "bench.h"
#include "client.h"
#include "results.h"

#define MAX_CLIENTS 1000
#define MAX_EVENTS  64
#define KEYS        10000

/* The time that the client waits for the last answers. */
#define PATIENCE_NS UINT64_C(60000000000)

static uint64_t port = 6379;
static uint64_t rate = 20000;
static uint64_t duration_ms = 5000;
static uint64_t clients_count = 16;
static uint64_t sets_percent = 10;

static const struct options_entry table[] = {
	OPTIONS_NUMBER("port", &port, 1, 65535, .what = "where the server listens, on loopback"),
	OPTIONS_NUMBER("rate", &rate, 100, 10000000, .what = "requests per second"),
	OPTIONS_NUMBER("ms", &duration_ms, 10, 3600000, .quick = 1000,
		.what = "time for which it sends requests"),
	OPTIONS_NUMBER(
		"connections", &clients_count, 1, MAX_CLIENTS, .what = "connections, used in turn"),
	OPTIONS_NUMBER("sets", &sets_percent, 0, 100,
		.what = "SETs in a hundred requests, the others are GETs; 0: no keys are created "
			"first"),
	{.name = NULL},
};

static struct client clients[MAX_CLIENTS];
static struct histogram histogram;
static int poller;
static int timer;

static _Noreturn void fail(const char *what, int error)
{
	fprintf(stderr, "drop_client: %s: %s\n", what, strerror(error));
	exit(1);
}

/* ---- Requests -------------------------------------------------------------------------------- */

static void request(struct client *client, uint64_t number, bool is_write, uint64_t due_ns)
{
	char key[32];
	const char *set[] = {
		"SET", key, "sixteen bytes long, four times over: that is 64 bytes of it."};
	const char *get[] = {"GET", key};

	/* The stride is prime to the number of keys, so it reaches them all. */
	snprintf(key, sizeof key, "small:%" PRIu64, number * 7919 % KEYS);
	if (is_write)
		client_request(client, due_ns, set, 3);
	else
		client_request(client, due_ns, get, 2);
}

/* True for evenly spread requests. */
static bool is_write(uint64_t number)
{
	return number * sets_percent % 100 < sets_percent;
}

/* Creates all keys, before the clock runs. */
static void fill(struct client *client)
{
	for (uint64_t i = 0; i < KEYS; i++)
		request(client, i, true, 0);
	while (!client_is_idle(client)) {
		client_send(client);
		client_receive(client, NULL);
	}
}

static void set_timer(uint64_t due_ns)
{
	struct itimerspec at = {.it_value = {.tv_sec = (time_t)(due_ns / 1000000000u),
					.tv_nsec = (long)(due_ns % 1000000000u)}};

	if (timerfd_settime(timer, TFD_TIMER_ABSTIME, &at, NULL))
		fail("timer", errno);
}

/* Sends all requests that are due. Returns the number sent so far. */
static uint64_t send_due(uint64_t sent, uint64_t total, uint64_t begin_ns)
{
	uint64_t now_ns = bench_now_ns();

	for (; sent < total; sent++) {
		uint64_t due_ns = begin_ns + sent * 1000000000u / rate;

		if (due_ns > now_ns) {
			set_timer(due_ns);
			break;
		}
		request(&clients[sent % clients_count], sent, is_write(sent), due_ns);
		client_send(&clients[sent % clients_count]);
	}
	return sent;
}

/* ---- The loop -------------------------------------------------------------------------------- */

static void watch(int descriptor, struct client *client)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};

	if (epoll_ctl(poller, EPOLL_CTL_ADD, descriptor, &event))
		fail("epoll", errno);
}

static void open_all(void)
{
	/* The kernel may delay a timer by 50 us, to save wake-ups, unless told otherwise. */
	prctl(PR_SET_TIMERSLACK, 1);
	poller = epoll_create1(EPOLL_CLOEXEC);
	timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (poller < 0 || timer < 0)
		fail("epoll, timer", errno);
	watch(timer, NULL);
	for (uint64_t i = 0; i < clients_count; i++) {
		client_open(&clients[i], (uint16_t)port);
		watch(clients[i].socket, &clients[i]);
	}
}

static void turn(void)
{
	struct epoll_event events[MAX_EVENTS];
	int count = epoll_wait(poller, events, MAX_EVENTS, 1000);

	for (int i = 0; i < count; i++) {
		struct client *client = events[i].data.ptr;
		uint64_t expired;

		if (client)
			client_receive(client, &histogram), client_send(client);
		else if (read(timer, &expired, sizeof expired) < 0 && errno != EAGAIN)
			fail("timer", errno);
	}
}

static bool is_all_answered(void)
{
	for (uint64_t i = 0; i < clients_count; i++)
		if (!client_is_idle(&clients[i]))
			return false;
	return true;
}

static void measure(uint64_t total)
{
	uint64_t begin_ns = bench_now_ns() + 1000000;
	uint64_t until_ns = begin_ns + duration_ms * 1000000 + PATIENCE_NS;
	uint64_t sent = 0;

	while (sent < total || !is_all_answered()) {
		sent = send_due(sent, total, begin_ns);
		turn();
		if (bench_now_ns() > until_ns)
			fail("answers", ETIMEDOUT);
	}
}

/* ---- Results --------------------------------------------------------------------------------- */

static void print(struct results *results)
{
	static const struct {
		const char *name;
		double percent;
	} percentiles[] = {{"p50", 50}, {"p90", 90}, {"p99", 99}, {"p99.9", 99.9},
		{"p99.99", 99.99}, {"max", 100}};

	for (unsigned i = 0; i < sizeof percentiles / sizeof percentiles[0]; i++) {
		double ns = (double)histogram_percentile(&histogram, percentiles[i].percent);
		struct results_row row = {.name = "small commands",
			.at = percentiles[i].name,
			.unit = "ns",
			.samples = &ns,
			.rounds = 1};

		results_row(results, &row);
	}
}

int main(int count, char **arguments)
{
	static const struct results_table answers = {
		"time from when a request was due to its answer", "percentile", NULL};
	struct options options = options_read(table,
		"Measures small commands to a Redis server on loopback in an open loop: each "
		"counts\n"
		"from when it was due, whatever became of those before it.",
		count, arguments);
	struct results results;
	uint64_t errors = 0;

	results_begin(&results, &options);
	open_all();
	if (sets_percent)
		fill(&clients[0]);
	measure(rate * duration_ms / 1000);
	results_table(&results, &answers);
	print(&results);
	for (uint64_t i = 0; i < clients_count; i++) {
		errors += clients[i].errors;
		client_close(&clients[i]);
	}
	results_note(&results, "%" PRIu64 " requests, %" PRIu64 " answered by an error",
		histogram.count_total, errors);
	return results_end(&results);
}
