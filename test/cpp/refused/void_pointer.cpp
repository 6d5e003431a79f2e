// deferdrop: void has no destructor
// SPDX-License-Identifier: MIT
#include <defer_drop.hpp>

int refused(void *object);
int refused(void *object)
{
	return deferdrop::drop(object);
}
