/* SPDX-License-Identifier: MIT
 *
 * What the library knows of the calling thread, at first.
 *
 * This definition is apart from its users: if gcc 12 sees it, the fast path of a push is eight
 * instructions longer.
 */
#include "core/lane.h"

struct dd_lane dd_unattached;
_Thread_local struct dd_thread dd_self = {.lane = &dd_unattached};
