/* SPDX-License-Identifier: MIT
 *
 * Mappings: their pages are moved elsewhere, and freed there in slices.
 *
 * MREMAP_DONTUNMAP leaves the old range mapped, without pages. So it is never free for another
 * thread before its owner unmaps it, which is a cheap system call then.
 */
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>

#include "base/futex.h"
#include "face/os_holder.h"
#include "face/os_terms.h"

/* Not in the headers of other C libraries. */
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif
#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#define MADV_KEEPONFORK 19
#endif

/* munmap of 4 MiB took 188 us, and to move them 28; of 1 MiB 40 and 63. Beside that a thread is
 * woken, and malloc(3) of many a program maps and unmaps some MiB again and again. */
#define LEAST_BYTES (UINT64_C(16) << 20)
/* A huge page is moved whole if it lies at the same place of its 2 MiB. */
#define HUGE_BYTES (UINT64_C(2) << 20)
/* Pages that are looked at to tell how much of a range is resident. */
#define SAMPLES 64

/* At the beginning of the reservation that the pages were moved to. */
struct mapping {
	struct dd_os_drop drop;
	char *pages;
	uint64_t left_bytes; /* of them, from the beginning */
	uint64_t reserved_bytes;
};

static uint64_t page_bytes(void)
{
	return (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Unmaps memory of our own: by a system call, since a program may replace munmap(2) by a function
 * that drops (LD_PRELOAD). */
static void unmap_own(void *address, uint64_t bytes)
{
	syscall(SYS_munmap, address, bytes);
}

/* Frees pages first: unlike munmap(2), that does not keep other threads from mapping memory. */
static bool destroy_some(struct dd_os_drop *drop)
{
	struct mapping *mapping = (struct mapping *)drop;
	uint64_t slice_bytes = dd_least(drop->slice_bytes, mapping->left_bytes);

	slice_bytes &= ~(page_bytes() - 1);
	mapping->left_bytes -= slice_bytes;
	/* What cannot be freed so is freed with the mapping. */
	madvise(mapping->pages + mapping->left_bytes, slice_bytes, MADV_DONTNEED);
	if (mapping->left_bytes && slice_bytes)
		return false;
	unmap_own(mapping, mapping->reserved_bytes);
	return true;
}

/* ---- What may be moved, and what pays -------------------------------------------------------- */

/* True if no part of a range is locked, or unmapped: msync(2) tells, and does nothing else. */
static bool is_unlocked(char *address, uint64_t bytes)
{
	return !msync(address, bytes, MS_ASYNC | MS_INVALIDATE);
}

/*
 * Marks a range for a moment, which only private mappings without a file accept. The mark means
 * that a forked child sees zeros there: nobody needs what the range holds. MADV_FREE tells the
 * same, but splits huge pages, which took 20 ms for 64 of them.
 */
static bool mark_private(char *address, uint64_t bytes)
{
	return !madvise(address, bytes, MADV_WIPEONFORK);
}

static void unmark(char *address, uint64_t bytes)
{
	madvise(address, bytes, MADV_KEEPONFORK);
}

/* Estimates how much of a range is resident. */
static uint64_t resident_bytes(char *address, uint64_t bytes)
{
	uint64_t step = bytes / SAMPLES & ~(page_bytes() - 1);
	unsigned found = 0;

	for (unsigned i = 0; i < SAMPLES; i++) {
		unsigned char is_resident = 0;

		if (mincore(address + i * step, page_bytes(), &is_resident))
			return 0;
		found += is_resident & 1;
	}
	return bytes / SAMPLES * found;
}

/* True if the process has no limit that memory would count for after it was given back. */
static bool has_no_limit(void)
{
	struct rlimit addresses;
	struct rlimit data;

	return !getrlimit(RLIMIT_AS, &addresses) && addresses.rlim_cur == RLIM_INFINITY &&
	       !getrlimit(RLIMIT_DATA, &data) && data.rlim_cur == RLIM_INFINITY;
}

/* True if as much memory is free as is not back yet. What the page cache holds does not count: it
 * can be had, but a thread that wants it waits. */
static bool may_wait(void)
{
	struct sysinfo system;

	return !sysinfo(&system) &&
	       (uint64_t)system.freeram * system.mem_unit >= dd_os_pending_bytes();
}

static bool is_range(const void *address, size_t bytes)
{
	return !((uintptr_t)address % page_bytes()) && !(bytes % page_bytes());
}

/* ---- Moving ---------------------------------------------------------------------------------- */

/* Reserves addresses for the range, with its place among huge pages, behind a page for the drop.
 * The child of a fork does not get them. */
static struct mapping *reserve(char *address, uint64_t bytes)
{
	uint64_t reserved_bytes = page_bytes() + HUGE_BYTES + bytes;
	char *base = mmap(NULL, reserved_bytes, PROT_NONE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	struct mapping *mapping = (struct mapping *)base;

	if (base == MAP_FAILED)
		return NULL;
	if (mprotect(base, page_bytes(), PROT_READ | PROT_WRITE)) {
		unmap_own(base, reserved_bytes);
		return NULL;
	}
	mapping->reserved_bytes = reserved_bytes;
	mapping->left_bytes = bytes;
	mapping->pages = base + page_bytes();
	mapping->pages += ((uintptr_t)address - (uintptr_t)mapping->pages) % HUGE_BYTES;
	return mapping;
}

/* Moves the pages of a range away, if that is possible. Several mappings are moved at once from
 * Linux 6.17 on. */
static struct mapping *move(char *address, uint64_t bytes)
{
	struct mapping *mapping = reserve(address, bytes);
	void *moved = MAP_FAILED;

	if (!mapping)
		return NULL;
	if (mark_private(address, bytes))
		moved = mremap(address, bytes, bytes,
			MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, mapping->pages);
	unmark(address, bytes);
	if (moved == MAP_FAILED) {
		unmap_own(mapping, mapping->reserved_bytes);
		return NULL;
	}
	madvise(mapping, mapping->reserved_bytes, MADV_DONTFORK);
	return mapping;
}

/* Moves the pages of a range, if its bytes may be pending. */
static struct mapping *try_to_move(char *address, uint64_t bytes, uint64_t found_bytes)
{
	struct mapping *mapping;

	if (!may_wait() || !is_unlocked(address, bytes) || !dd_os_reserve(found_bytes))
		return NULL;
	mapping = move(address, bytes);
	if (!mapping)
		dd_os_give_back(found_bytes);
	return mapping;
}

/* Hands moved pages over, whose bytes are reserved. */
static void hand_over(struct mapping *mapping, uint64_t bytes,
	const struct defer_drop_os_options *terms, uint64_t begin_ns)
{
	mapping->drop.destroy_some = destroy_some;
	mapping->drop.kind = DD_OS_MAPPING;
	mapping->drop.bytes = bytes;
	mapping->drop.slice_bytes = terms->slice_bytes;
	mapping->drop.bytes_per_second = terms->bytes_per_second;
	if (dd_os_hand_over(&mapping->drop)) {
		dd_os_count_deferred(DD_OS_MAPPING, bytes, dd_now_ns() - begin_ns);
		return;
	}
	unmap_own(mapping, mapping->reserved_bytes);
	dd_os_give_back(bytes);
	dd_os_count_in_place(DD_OS_MAPPING);
}

static int discard(char *address, uint64_t bytes, const struct defer_drop_os_options *terms)
{
	uint64_t least_bytes = dd_os_least(terms, LEAST_BYTES);
	uint64_t begin_ns;
	uint64_t found_bytes;
	struct mapping *mapping;

	if (!bytes || bytes < least_bytes || !is_range(address, bytes) || !has_no_limit())
		return -EAGAIN;
	begin_ns = dd_now_ns();
	found_bytes = resident_bytes(address, bytes);
	if (!found_bytes || found_bytes < least_bytes)
		return -EAGAIN;
	mapping = try_to_move(address, bytes, found_bytes);
	if (!mapping) {
		dd_os_count_in_place(DD_OS_MAPPING);
		return -EAGAIN;
	}
	hand_over(mapping, found_bytes, terms, begin_ns);
	return 0;
}

int defer_drop_os_discard(void *address, size_t bytes, const struct defer_drop_os_options *options)
{
	struct dd_os_caller caller = dd_os_begin();
	struct defer_drop_os_options terms;
	int result = dd_os_terms(options, &terms);

	if (!result)
		result = discard(address, bytes, &terms);
	return dd_os_end(&caller, result);
}

int defer_drop_os_munmap(void *address, size_t bytes, const struct defer_drop_os_options *options)
{
	struct dd_os_caller caller = dd_os_begin();
	int result = defer_drop_os_discard(address, bytes, options);

	if (!result || result == -EAGAIN)
		result = munmap(address, bytes) ? -errno : 0;
	return dd_os_end(&caller, result);
}
