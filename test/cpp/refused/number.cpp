// deferdrop: the value owns nothing
// SPDX-License-Identifier: MIT
#include <defer_drop.hpp>

int refused(int file);
int refused(int file)
{
	return deferdrop::drop(std::move(file));
}
