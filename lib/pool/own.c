/* SPDX-License-Identifier: MIT
 *
 * What the calling thread has of pools, at first. This definition is apart from its users, as that
 * in core/self.c is.
 */
#include "pool/cache.h"

struct dd_caches dd_nobody;
struct dd_caches dd_ended;

_Thread_local struct dd_caches *dd_own = &dd_nobody;
