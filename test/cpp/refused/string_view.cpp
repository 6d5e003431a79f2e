// deferdrop: the value owns nothing
// SPDX-License-Identifier: MIT
#include <defer_drop.hpp>

#include <string_view>

int refused();
int refused()
{
	return deferdrop::drop(std::string_view("text"));
}
