// deferdrop: void has no destructor
// SPDX-License-Identifier: MIT
#include <defer_drop.hpp>

void refused(void *object);
void refused(void *object)
{
	std::shared_ptr<void> shared(object, deferdrop::deleter<void>());
}
