// deferdrop: void has no destructor
// SPDX-License-Identifier: MIT
#include <defer_drop.hpp>

void refused();
void refused()
{
	(void)deferdrop::make_unique<const void>();
}
