/* SPDX-License-Identifier: MIT
 *
 * Finding the next functions.
 */
#include "preload/next.h"

#include <dlfcn.h>
#include <string.h>

struct dd_next dd_next;

static void find(void *place, const char *name)
{
	void *found = dlsym(RTLD_NEXT, name);

	memcpy(place, &found, sizeof found);
}

#define FIND(name) find(&dd_next.name, #name)

void dd_next_find(void)
{
	static bool is_finding;

	/* dlsym(3) may allocate and free. */
	if (is_finding)
		return;
	is_finding = true;
	FIND(close);
	FIND(fclose);
	FIND(unlink);
	FIND(unlinkat);
	FIND(remove);
	FIND(rename);
	FIND(renameat);
	FIND(renameat2);
	FIND(shm_unlink);
	FIND(memfd_create);
	FIND(tmpfile);
	FIND(tmpfile64);
	FIND(open);
	FIND(open64);
	FIND(openat);
	FIND(openat64);
	FIND(munmap);
	FIND(realloc);
	find(&dd_next.usable, "malloc_usable_size");
	FIND(unshare);
	FIND(setns);
	FIND(prctl);
	FIND(syscall);
	FIND(free);
	is_finding = false;
}
