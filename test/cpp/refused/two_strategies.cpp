// deferdrop: the type of the pointer has a strategy already
// SPDX-License-Identifier: MIT
#include <defer_drop.hpp>

#include <string>

int refused(deferdrop::unique_ptr<std::string, deferdrop::rcu> &owner);
int refused(deferdrop::unique_ptr<std::string, deferdrop::rcu> &owner)
{
	return deferdrop::drop(std::move(owner), deferdrop::worker());
}
