// deferdrop: the value owns nothing
// SPDX-License-Identifier: MIT
#include <defer_drop.hpp>

#include <functional>
#include <string>

int refused(std::string &value);
int refused(std::string &value)
{
	return deferdrop::drop(std::ref(value));
}
