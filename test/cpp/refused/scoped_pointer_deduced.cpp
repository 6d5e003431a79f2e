// deferdrop: scoped<T *> would not own the object: use deferdrop::unique_ptr<T>
// SPDX-License-Identifier: MIT
#include <defer_drop.hpp>

#include <string>

void refused(std::string *object);
void refused(std::string *object)
{
	deferdrop::scoped scoped(object);
}
