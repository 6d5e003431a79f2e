/* SPDX-License-Identifier: MIT
 *
 * What destroying files takes on each file system, as measured in this process.
 */
#ifndef DD_OS_COST_H
#define DD_OS_COST_H

#include <stdbool.h>
#include <stdint.h>

/* Notes how long it took to destroy a file. Safe in signal handlers. */
void dd_os_cost_note(uint64_t device, uint64_t bytes, uint64_t took_ns);

/* True if destroying a file in place would take longer than to defer that, as far as is known. */
bool dd_os_cost_pays(uint64_t device, uint64_t bytes);

#endif
