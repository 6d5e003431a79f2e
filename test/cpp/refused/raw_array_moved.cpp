// deferdrop: a raw array cannot be moved
// SPDX-License-Identifier: MIT
#include <defer_drop.hpp>

#include <string>

int refused();
int refused()
{
	std::string array[3];

	return deferdrop::drop(std::move(array));
}
