// no matching function
// SPDX-License-Identifier: MIT
#include <defer_drop.hpp>

int refused();
int refused()
{
	return deferdrop::flush(100);
}
