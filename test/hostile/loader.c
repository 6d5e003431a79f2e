/* SPDX-License-Identifier: MIT
 *
 * loader LIBRARY: a process that knows nothing of the library except what it loads, uses and
 * closes, again and again; at last with drops pending.
 */
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define TIMES 100
#define DROPS 300

typedef int (*push_fn)(void *object, void (*destroy)(void *object));
typedef int (*flush_fn)(void);

static atomic_uint destroyed;

static void fail(const char *what)
{
	fprintf(stderr, "loader: %s\n", what);
	_Exit(1);
}

static void destroy(void *object)
{
	free(object);
	atomic_fetch_add(&destroyed, 1);
}

static void destroy_slowly(void *object)
{
	nanosleep(&(struct timespec){0, 200000}, NULL);
	destroy(object);
}

static void use(const char *path, void (*by)(void *object), int is_flushed)
{
	void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	push_fn push;
	flush_fn flush;

	if (!library)
		fail(dlerror());
	*(void **)&push = dlsym(library, "defer_drop");
	*(void **)&flush = dlsym(library, "defer_drop_flush");
	for (unsigned i = 0; i < DROPS; i++)
		if (push(malloc(16), by))
			fail("a push fails");
	if (is_flushed && flush())
		fail("a flush fails");
	dlclose(library);
}

/* Set before the library's own, so it runs after that. */
static void check(void)
{
	if (destroyed != (TIMES + 1) * DROPS)
		fail("exit does not destroy what was pending when the library was closed");
}

int main(int argc, char **argv)
{
	if (argc != 2)
		fail("want the path of the library");
	atexit(check);
	for (unsigned i = 1; i <= TIMES; i++) {
		use(argv[1], destroy, 1);
		if (destroyed != i * DROPS)
			fail("a flush does not destroy all");
	}
	use(argv[1], destroy_slowly, 0);
	/* Its worker runs in it. */
	if (!dlopen(argv[1], RTLD_NOW | RTLD_NOLOAD))
		fail("the library was unloaded");
	return 0;
}
