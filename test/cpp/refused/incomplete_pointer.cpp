// deferdrop: the type is incomplete
// SPDX-License-Identifier: MIT
#include <defer_drop.hpp>

struct hidden;

int refused(hidden *object);
int refused(hidden *object)
{
	return deferdrop::drop(object);
}
