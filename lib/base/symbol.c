/* SPDX-License-Identifier: MIT
 *
 * Names of functions, for people.
 */
#include "base/symbol.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

static const char *name_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

void dd_symbol_print(char *to, size_t bytes, defer_drop_fn destroy)
{
	Dl_info info;
	void *address;

	memcpy(&address, &destroy, sizeof address); /* ISO C has no such cast */
	if (!dladdr(address, &info))
		snprintf(to, bytes, "%p", address);
	else if (info.dli_saddr == address)
		snprintf(to, bytes, "%s", info.dli_sname);
	else /* the nearest symbol would be that of another function */
		snprintf(to, bytes, "%s+%#tx", name_of(info.dli_fname),
			(char *)address - (char *)info.dli_fbase);
}
