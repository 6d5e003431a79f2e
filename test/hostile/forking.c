/* SPDX-License-Identifier: MIT
 *
 * Children of forks, and the queues that parent and child both have.
 */
#include "forking.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

const uint32_t policies[POLICIES] = {DEFER_DROP_AT_FORK_EMPTY, DEFER_DROP_AT_FORK_KEEP};

struct gate open_one = {.is_open = true};

/* LeakSanitizer calls it: a child has copies of its parent's drops, which are not its to free. */
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
	return 1;
}

pid_t fork_bounded(void)
{
	pid_t child = fork();

	CHECK(child >= 0);
	if (!child)
		alarm(DEADLINE_SECONDS);
	return child;
}

static int await_end(pid_t child)
{
	int status;

	while (waitpid(child, &status, 0) < 0)
		CHECK(errno == EINTR);
	return status;
}

void await_good(pid_t child)
{
	int status = await_end(child);

	CHECK(WIFEXITED(status) && !WEXITSTATUS(status));
}

void await_killed(pid_t child)
{
	int status = await_end(child);

	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

struct defer_drop_queue *make_queue(
	uint32_t runner, uint32_t at_fork, uint32_t queue_size, uint32_t max_lanes)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	config.runner = runner;
	config.at_fork = at_fork;
	config.queue_size = queue_size;
	config.max_lanes = max_lanes;
	config.quiet_spell_ns = 1000000;
	return create_queue(&config);
}
