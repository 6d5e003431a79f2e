// deferdrop: not a strategy as a type: put a pointer in deferdrop::chosen()
// SPDX-License-Identifier: MIT
#include <defer_drop.hpp>

#include <string>

int refused(std::string &value);
int refused(std::string &value)
{
	return deferdrop::drop(std::move(value), &::defer_drop_strategy_leak);
}
