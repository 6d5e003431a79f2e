// deferdrop: a scoped value has no readers
// SPDX-License-Identifier: MIT
#include <defer_drop.hpp>

#include <string>

void refused();
void refused()
{
	deferdrop::scoped<std::string, deferdrop::rcu> scoped(std::string("text"));
}
