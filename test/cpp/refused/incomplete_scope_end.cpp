// deferdrop: the type is incomplete
// SPDX-License-Identifier: MIT
#include <defer_drop.hpp>

struct hidden;

void refused(hidden *object);
void refused(hidden *object)
{
	deferdrop::unique_ptr<hidden> owner(object);
}
