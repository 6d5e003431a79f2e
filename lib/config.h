/* SPDX-License-Identifier: MIT
 *
 * The configuration of a queue: built-in values, checks, and DEFER_DROP_OPTIONS.
 */
#ifndef DD_CONFIG_H
#define DD_CONFIG_H

#define _GNU_SOURCE
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

#include "defer_drop.h"

#define DD_MAX_QUEUE_SIZE (UINT32_C(1) << 24)
#define DD_MAX_LANES      1024
#define DD_NAME_BYTES     16 /* with the final 0: the kernel's limit for a thread's name */
#define DD_CPUS_BYTES     256

/* A configuration that was checked, every value filled in. It owns its strings. */
struct dd_config {
	uint32_t queue_size;
	uint32_t max_lanes; /* 0: none */
	uint32_t scheduling;
	uint32_t scheduling_priority;
	int32_t niceness;
	uint32_t runner;
	uint32_t at_exit;
	uint32_t at_fork;
	uint64_t exit_timeout_ns;
	uint64_t stack_size_bytes; /* 0: the system's */
	uint64_t quiet_spell_ns;
	uint64_t longest_nap_ns;
	uint64_t max_bytes;
	uint64_t high_drops; /* 0: no mark, like high_bytes */
	uint64_t low_drops;
	uint64_t high_bytes;
	uint64_t low_bytes;
	uint64_t watermark_interval_ns;
	defer_drop_watermark_fn watermark;
	defer_drop_error_fn error;
	void *context;
	const struct rcu_flavor_struct *rcu_flavor;
	uint64_t watchdog_ns; /* 0: no watchdog */
	defer_drop_watchdog_fn watchdog;
	char worker_name[DD_NAME_BYTES];
	char cpus[DD_CPUS_BYTES]; /* "": those of the starter */
};

/* Fills in what the caller left out. asked may be NULL. Returns 0, -EINVAL, -E2BIG. */
int dd_config_make(const struct defer_drop_config *asked, struct dd_config *config);

/*
 * Applies options, a list of name=value, to a configuration. What is wrong changes nothing and is
 * reported, one line each, through report.
 */
void dd_config_override(struct dd_config *config, const char *options,
	void (*report)(const char *option, const char *accepted));

bool dd_config_is_equal(const struct dd_config *a, const struct dd_config *b);

/* Writes it in the public form. Returns 0 or -EINVAL, where to->size is too small. */
int dd_config_show(const struct dd_config *config, struct defer_drop_config *to);

/* Reads a list as "0-3,6". False where it is none, or names no CPU below CPU_SETSIZE. */
bool dd_cpus_parse(const char *list, cpu_set_t *cpus);

/* SCHED_OTHER and so on, for a scheduling other than the default. */
int dd_config_policy(const struct dd_config *config);

#endif
