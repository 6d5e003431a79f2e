// deferdrop: the value owns nothing
// SPDX-License-Identifier: MIT
#include <defer_drop.hpp>

#include <string_view>

void refused();
void refused()
{
	deferdrop::scoped<std::string_view> scoped(std::string_view("text"));
}
