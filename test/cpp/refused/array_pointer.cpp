// deferdrop: an array with a length in its type
// SPDX-License-Identifier: MIT
#include <defer_drop.hpp>

#include <string>

int refused(std::string (*array)[3]);
int refused(std::string (*array)[3])
{
	return deferdrop::drop(array);
}
