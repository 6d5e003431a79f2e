// deferdrop: an array with a length in its type
// SPDX-License-Identifier: MIT
#include <defer_drop.hpp>

#include <string>

void refused();
void refused()
{
	(void)deferdrop::make_unique<std::string[3]>();
}
