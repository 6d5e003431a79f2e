/* SPDX-License-Identifier: MIT
 *
 * What strategies share: the check of a strategy that a program passes.
 */
#ifndef DD_STRATEGY_H
#define DD_STRATEGY_H

#include "defer_drop/strategy.h"

/* Returns 0 if this library can use the strategy, else -EINVAL or -E2BIG. */
int dd_strategy_check(const struct defer_drop_strategy *strategy);

#endif
