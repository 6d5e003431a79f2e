/* SPDX-License-Identifier: MIT
 *
 * Pushes a drop per microsecond from the first thread, for strace.sh to watch: after a warm-up it
 * says so with a system call of its own, and before it ends again.
 */
#include <defer_drop.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

static void nothing(void *object)
{
	(void)object;
}

/* clock_gettime is no system call here: the vDSO answers it. */
static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int push_for(uint64_t drops)
{
	uint64_t next_ns = now_ns();

	for (uint64_t i = 0; i < drops; i++) {
		while (now_ns() < next_ns)
			;
		next_ns += 1000;
		if (defer_drop(NULL, nothing))
			return 1;
	}
	return 0;
}

int main(void)
{
	if (push_for(10000))
		return 1;
	getppid(); /* the mark */
	if (push_for(500000))
		return 1;
	getppid();
	return defer_drop_flush();
}
