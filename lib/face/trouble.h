/* SPDX-License-Identifier: MIT
 *
 * Errors of guards that no return value can report: who receives them, and which guards of the
 * process must be closed.
 */
#ifndef DD_TROUBLE_H
#define DD_TROUBLE_H

#include "defer_drop/guard.h"

/* Reports to the handler. The caller holds no lock of the library. */
void dd_trouble_tell(
	enum defer_drop_trouble_kind kind, const struct defer_drop_guard *guard, int error);

/* Notes a guard that must be closed. It has to be crossed out before it goes. 0 or -ENOMEM. */
int dd_trouble_note(struct defer_drop_guard *guard);

/* Crosses out a guard that was closed. */
void dd_trouble_cross_out(struct defer_drop_guard *guard);

#endif
