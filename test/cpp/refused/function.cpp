// deferdrop: only an object can be destroyed
// SPDX-License-Identifier: MIT
#include <defer_drop.hpp>

int refused();
int refused()
{
	return deferdrop::drop(&refused);
}
