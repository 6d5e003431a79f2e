/* SPDX-License-Identifier: MIT
 *
 * What the library knows of the calling thread, before it knows anything.
 *
 * It lies apart from those who use it: where gcc 12 sees the definition, the fast path of a push is
 * eight instructions longer.
 */
#include "core/lane.h"

struct dd_lane dd_unattached;
_Thread_local struct dd_thread dd_self = {.lane = &dd_unattached};
