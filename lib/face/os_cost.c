/* SPDX-License-Identifier: MIT
 *
 * The measured cost of a MiB, for the file systems that were used last.
 *
 * The same file system takes 0.1 us or 37 us for a MiB (ext4 with a journal, not cached and
 * cached): so a higher figure is believed at once, and a lower one by and by. Where destroying is
 * found to be cheap it is done in place, which is measured too, so that the figure can rise again.
 */
#include "face/os_cost.h"

#include "base/counter.h"

#define PLACES 8
/* Deferring takes the caller 100 to 250 us, mostly until the thread that holds files wakes up. */
#define WORTH_NS UINT64_C(300000)
/* ext4 with discard, not cached: 220 us. What is not known yet is worth deferring. */
#define UNKNOWN_NS UINT64_C(220000)
#define MIB        (UINT64_C(1) << 20)

/* A place is overwritten by another device with the same index. Two threads that write at the same
 * time may mix device and cost: a wrong figure costs some time, and is soon corrected. */
static struct {
	_Atomic(uint64_t) device;
	_Atomic(uint64_t) mib_ns;
} places[PLACES];

static uint64_t mib_ns(uint64_t device)
{
	uint64_t nth = device % PLACES;

	return dd_read(&places[nth].device) == device ? dd_read(&places[nth].mib_ns) : UNKNOWN_NS;
}

void dd_os_cost_note(uint64_t device, uint64_t bytes, uint64_t took_ns)
{
	uint64_t nth = device % PLACES;
	uint64_t known_ns = mib_ns(device);
	uint64_t now_ns = (uint64_t)((double)took_ns * (double)MIB / (double)(bytes ? bytes : 1));

	if (now_ns < known_ns)
		now_ns = (3 * known_ns + now_ns) / 4;
	atomic_store_explicit(&places[nth].mib_ns, now_ns, memory_order_relaxed);
	atomic_store_explicit(&places[nth].device, device, memory_order_relaxed);
}

bool dd_os_cost_pays(uint64_t device, uint64_t bytes)
{
	return (double)bytes / (double)MIB * (double)mib_ns(device) >= (double)WORTH_NS;
}
