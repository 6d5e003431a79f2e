/* SPDX-License-Identifier: MIT
 *
 * Troubles of guards, that nobody can be told of by a return value: who hears of them, and which
 * guards of the process must be closed.
 */
#ifndef DD_TROUBLE_H
#define DD_TROUBLE_H

#include "defer_drop/guard.h"

/* Not under any lock of the library's. */
void dd_trouble_tell(
	enum defer_drop_trouble_kind kind, const struct defer_drop_guard *guard, int error);

/* Notes a guard that must be closed; it has to be crossed out before it goes. 0 or -ENOMEM. */
int dd_trouble_note(struct defer_drop_guard *guard);

/* Crosses a guard out that was closed. */
void dd_trouble_cross_out(struct defer_drop_guard *guard);

#endif
