/* SPDX-License-Identifier: MIT
 *
 * Another thread of the process, which does what every program does, and notes what took longest.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench.h"
#include "os.h"

#define PAUSE_NS 200000 /* so that the thread does not take a CPU for itself */

static const char *where;
static atomic_bool is_over;
static pthread_t thread;
static struct disturbance longest;

static void note(uint64_t *most_ns, uint64_t begin_ns)
{
	uint64_t took_ns = bench_now_ns() - begin_ns;

	if (took_ns > *most_ns)
		*most_ns = took_ns;
}

static void fault_in(void)
{
	uint64_t begin_ns = bench_now_ns();
	char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		abort();
	*page = 1;
	munmap(page, 4096);
	note(&longest.fault_ns, begin_ns);
}

static void make_small_file(void)
{
	char path[300];
	uint64_t begin_ns;
	int fd;

	snprintf(path, sizeof path, "%s/defer_drop_small_%d", where, getpid());
	begin_ns = bench_now_ns();
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, "word", 4) != 4)
		abort();
	close(fd);
	unlink(path);
	note(&longest.file_ns, begin_ns);
}

static void *work(void *unused)
{
	while (!atomic_load(&is_over)) {
		fault_in();
		make_small_file();
		bench_sleep_ns(PAUSE_NS);
	}
	return unused;
}

void disturb_begin(const char *folder)
{
	where = folder;
	atomic_store(&is_over, false);
	longest = (struct disturbance){0};
	bench_check(pthread_create(&thread, NULL, work, NULL));
}

struct disturbance disturb_end(void)
{
	atomic_store(&is_over, true);
	bench_check(pthread_join(thread, NULL));
	return longest;
}
