// deferdrop: the type of the pointer has a strategy already
// SPDX-License-Identifier: MIT
#include <defer_drop.hpp>

#include <string>

using published = deferdrop::unique_ptr<std::string, deferdrop::rcu>;

void refused(published &owner);
void refused(published &owner)
{
	deferdrop::scoped<published, deferdrop::worker> scoped(std::move(owner));
}
