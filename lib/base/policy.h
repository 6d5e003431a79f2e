/* SPDX-License-Identifier: MIT
 *
 * The scheduling policy of a thread, by its id; 0 is the calling thread. By system calls: musl's
 * sched_setscheduler(3) refuses, since POSIX means a process where Linux means a thread.
 */
#ifndef DD_POLICY_H
#define DD_POLICY_H

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Returns the policy, or -1. */
static inline int dd_policy(pid_t thread)
{
	return (int)syscall(SYS_sched_getscheduler, thread);
}

/* Returns 0, or -1 with errno. */
static inline int dd_policy_set(pid_t thread, int policy, int priority)
{
	struct sched_param param = {.sched_priority = priority};

	return (int)syscall(SYS_sched_setscheduler, thread, policy, &param);
}

#endif
