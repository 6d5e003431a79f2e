/* SPDX-License-Identifier: MIT
 *
 * DEFER_DROP_OPTIONS: an environment variable that tunes the configurations of queues.
 */
#ifndef DD_ENVIRONMENT_H
#define DD_ENVIRONMENT_H

#include <stdbool.h>

#include "config/config.h"

/*
 * Applies DEFER_DROP_OPTIONS to a configuration that was made.
 *
 * asked: what the program asked for, or NULL: values that it has set for the sake of its
 *   correctness stay.
 * name: of the queue; options of the form NAME:option are for it.
 * is_default: true for the default queue, which takes the options without a name.
 * tell: receives a line without a newline for each option that was refused, with the value that
 *   stays in force, and the lines of help; may be NULL.
 *
 * errno stays as it is.
 */
void dd_environment_apply(struct dd_config *config, const struct defer_drop_config *asked,
	const char *name, bool is_default, void (*tell)(const char *line));

#endif
