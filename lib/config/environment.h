/* SPDX-License-Identifier: MIT
 *
 * DEFER_DROP_OPTIONS: the environment tunes the configurations of queues.
 */
#ifndef DD_ENVIRONMENT_H
#define DD_ENVIRONMENT_H

#include <stdbool.h>

#include "config/config.h"

/*
 * Applies DEFER_DROP_OPTIONS to a configuration that was made.
 *
 * asked: what it was made of, or NULL: what the program has set there for the sake of its
 *   correctness stays.
 * name: of the queue: options of the form NAME:option are its own.
 * is_default: true for the default queue, which the options without a name are for.
 * tell: gets a line without a newline for each option that was refused, with what stays in force,
 *   and the lines of help; may be NULL.
 *
 * errno stays as it is.
 */
void dd_environment_apply(struct dd_config *config, const struct defer_drop_config *asked,
	const char *name, bool is_default, void (*tell)(const char *line));

#endif
