/* SPDX-License-Identifier: MIT
 *
 * plugins FILE...: loads and uses plugins that each have the library inside, side by side; and then
 * the first two in turns, a hundred times, the new one before the old one goes.
 */
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "../hostile/plugin.h"

#define TURNS 100
#define DROPS 10

static atomic_uint destroyed;

static void fail(const char *what)
{
	fprintf(stderr, "plugins: %s\n", what);
	exit(1);
}

static void *use(const char *path)
{
	void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	const struct plugin *plugin;

	if (!handle)
		fail(dlerror());
	plugin = dlsym(handle, "plugin");
	if (!plugin)
		fail(dlerror());
	if (plugin->push(DROPS, &destroyed, 0) || plugin->flush())
		fail("a plugin cannot drop");
	if (dlsym(handle, "defer_drop"))
		fail("a plugin exports the library that is inside");
	return handle;
}

int main(int argc, char **argv)
{
	void *handles[64];
	void *old;

	if (argc < 3 || argc > 64)
		fail("want 2..63 files");
	for (int i = 1; i < argc; i++)
		handles[i] = use(argv[i]);
	for (int i = 1; i < argc; i++)
		dlclose(handles[i]);
	old = use(argv[1]);
	for (int i = 1; i <= TURNS; i++) {
		void *next = use(argv[1 + i % 2]);

		dlclose(old);
		old = next;
	}
	dlclose(old);
	if (destroyed != (unsigned)(argc + TURNS) * DROPS)
		fail("some drops were not destroyed");
	return 0;
}
