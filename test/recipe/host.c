/* The program that loads plugin.c, uses it and closes it, again and again. */
/*
 *     cc host.c -o host
 */
#include <dlfcn.h>
#include <stdio.h>

static int call(void *plugin, const char *name)
{
	int (*function)(void) = (int (*)(void))dlsym(plugin, name);

	return function ? function() : 1;
}

int main(void)
{
	for (int i = 0; i < 10; i++) {
		void *plugin = dlopen("./plugin.so", RTLD_NOW);

		if (!plugin || call(plugin, "plugin_open"))
			return 1;
		for (int j = 0; j < 1000; j++)
			if (call(plugin, "plugin_work"))
				return 1;
		if (call(plugin, "plugin_close") || dlclose(plugin))
			return 1;
	}
	puts("loaded, used and closed 10 times");
	return 0;
}
