/* SPDX-License-Identifier: MIT
 *
 * What the calling thread has of pools, before it has anything. As in self.c, it lies apart from
 * those who use it.
 */
#include "pool/cache.h"

struct dd_caches dd_nobody;
struct dd_caches dd_ended;

_Thread_local struct dd_caches *dd_own = &dd_nobody;
