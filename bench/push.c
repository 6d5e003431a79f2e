/* SPDX-License-Identifier: MIT
 *
 * What a push costs its caller when it pushes as fast as it can, with an empty destructor, against
 * other ways to hand destruction over: in one run, taken in turn, medians, and the ratio to ours.
 */
#define _GNU_SOURCE
#include <defer_drop.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>

#include "bench.h"
#include "peer.h"

#define MAX_ROUNDS 101

static const struct peer *const peers[] = {
	&peer_drop,
	&peer_two_stores,
	&peer_bare_ring,
	&peer_drop_shared,
#ifdef HAVE_URCU
	&peer_defer_rcu,
	&peer_call_rcu,
#endif
#ifdef HAVE_CK
	&peer_ck_ring,
#endif
	&peer_mutex_list,
};

#define PEERS (sizeof peers / sizeof peers[0])

struct figures {
	double push_ns[MAX_ROUNDS];  /* per drop, until the last push returned */
	double total_ns[MAX_ROUNDS]; /* per drop, until all were destroyed */
};

static void measure(
	const struct peer *peer, struct figures *figures, unsigned round, uint64_t drops)
{
	uint64_t begin_ns;
	uint64_t pushed_ns;
	uint64_t end_ns;

	if (peer->begin)
		peer->begin();
	peer->push(drops / 10); /* warms up: lanes are found, pages mapped, workers awake */
	peer->flush();
	begin_ns = bench_now_ns();
	peer->push(drops);
	pushed_ns = bench_now_ns();
	peer->flush();
	end_ns = bench_now_ns();
	if (peer->end)
		peer->end();
	figures->push_ns[round] = (double)(pushed_ns - begin_ns) / (double)drops;
	figures->total_ns[round] = (double)(end_ns - begin_ns) / (double)drops;
}

static void print(struct figures *figures, unsigned rounds)
{
	double ours = bench_median(figures[0].push_ns, rounds);

	printf("%-26s %10s %10s %10s %10s %12s\n", "", "ns/push", "least", "most", "ns/drop",
		"ours/theirs");
	for (unsigned i = 0; i < PEERS; i++) {
		double median = bench_median(figures[i].push_ns, rounds);

		printf("%-26s %10.2f %10.2f %10.2f %10.2f %12.3f\n", peers[i]->name, median,
			figures[i].push_ns[0], figures[i].push_ns[rounds - 1],
			bench_median(figures[i].total_ns, rounds), ours / median);
	}
}

static void print_skipped(void)
{
#ifndef HAVE_URCU
	printf("skipped: liburcu defer_rcu and call_rcu (liburcu-dev was not there to build "
	       "with)\n");
#endif
#ifndef HAVE_CK
	printf("skipped: ck_ring MPSC (libck-dev was not there to build with)\n");
#endif
}

static void usage(void)
{
	puts("usage: push [--rounds N] [--drops N]\n"
	     "\n"
	     "  --rounds N  how often each way is measured, in turn; 1..101 [11]\n"
	     "  --drops N   pushes of one measurement; 1000..100000000 [2000000]\n");
}

int main(int count, char **arguments)
{
	static const struct option options[] = {
		{"rounds", required_argument, NULL, 'r'},
		{"drops", required_argument, NULL, 'd'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	static struct figures figures[PEERS];
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	unsigned rounds = 11;
	uint64_t drops = 2000000;
	int option;

	while ((option = getopt_long(count, arguments, "", options, NULL)) != -1) {
		if (option == 'r')
			rounds = (unsigned)bench_number("--rounds", optarg, 1, MAX_ROUNDS);
		else if (option == 'd')
			drops = bench_number("--drops", optarg, 1000, 100000000);
		else
			return usage(), option == 'h' ? 0 : 2;
	}
	bench_print_machine(stdout);
	config.cpus = bench_cpus() > 1 ? "1" : NULL;
	bench_pin(0);
	if (defer_drop_start(&config))
		config.cpus = NULL, defer_drop_start(&config);
	defer_drop_queue_config(defer_drop_queue_default(), &config);
	printf("1 producer pinned to the first CPU, consumers to the second; queue_size %" PRIu32
	       "; %" PRIu64 " drops, median of %u\n",
		config.queue_size, drops, rounds);
	for (unsigned round = 0; round < rounds; round++)
		for (unsigned i = 0; i < PEERS; i++)
			measure(peers[i], &figures[i], round, drops);
	print(figures, rounds);
	print_skipped();
	return 0;
}
